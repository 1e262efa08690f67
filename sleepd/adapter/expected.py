"""What the daemon knows about a cycle without asking the child: the gate compares the child's result with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sleepd.adapter import artifact, evidence
from sleepd.errors import BadJobError


@dataclass(frozen=True)
class Expected:
    """The base model and job that were asked for, and the candidate's files as they lie on disk.

    ``files``: sha256 by name, empty when the child made no adapter. ``earlier_cards``: cards trained in earlier
    nights and still living, ``planted_canaries``: texts to look for, so that an empty probe of either is noticed.
    ``forgotten``: facts that the adapter must be unable to say, so that tries which were left out are noticed.
    """

    base_sha256: str
    job_id: str
    files: Mapping[str, str]
    earlier_cards: int = 0
    planted_canaries: int = 0
    forgotten: int = 0


def expect(job: Mapping[str, object], candidate_dir: Path, earlier_cards: int, forgotten: int = 0) -> Expected:
    """What ``job.json`` and the candidate's directory say. Raises StoreError when its files are no plain LoRA adapter."""
    try:
        base, job_id = evidence.text(job, "model.sha256"), evidence.text(job, "id")
    except evidence.EvidenceError as error:
        raise BadJobError(f"job.json is damaged: {error}", "discard the job directory; the next cycle writes a new one") from error
    files = artifact.check_files(candidate_dir) if candidate_dir.is_dir() else {}
    training = job.get("training")
    planted = training.get("planted_canaries") if isinstance(training, Mapping) else None
    return Expected(base, job_id, files, earlier_cards, len(planted) if isinstance(planted, list) else 0, forgotten)
