"""Writes a job directory: everything the child of one cycle needs, frozen, complete or absent. Trains nothing."""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from sleepd import durable, fixed_items, retention
from sleepd.adapter.verify import CANARY_TOKENS
from sleepd.errors import StoreError
from sleepd.ledger import Ledger
from sleepd.records import BaseModel, CycleKind, Experience, ScreenVerdict

FORMAT = 1
# So many cycles back probes are read, for the job and to tell what is due: years of them would cost the resident its memory.
PROBE_NIGHTS, HISTORY_NIGHTS = 30, 100
SAID = timedelta(days=7)  # how far back the night sees what was said: a fact that changes every day shall wait
RESULT = "result"
CHECKPOINT = "checkpoint"
FORGET = "forget.jsonl"
_STAGING = re.compile(r"\.staging-.*|\.doomed-.*")


@dataclass(frozen=True)
class JobOrder:
    """What goes into one job besides what the ledger holds. ``training`` and ``gate`` are configuration sections."""

    cycle: int
    kind: CycleKind
    created: datetime
    base: BaseModel
    living_adapter: Path | None
    cache_dir: Path
    training: Mapping[str, Any]
    gate: Mapping[str, Any]
    min_salience: float


def write(jobs: Path, order: JobOrder, ledger: Ledger) -> Path:
    """Write jobs/cycle_NNN durably and return it. Raises StoreError."""
    target = jobs / f"cycle_{order.cycle:03d}"
    staging = jobs / f".staging-{order.cycle:03d}"
    try:
        jobs.mkdir(mode=durable.DIRECTORY_MODE, parents=True, exist_ok=True)
        for leftover in (staging, target):  # of a start that was cut off before the ledger knew it
            if leftover.exists():
                shutil.rmtree(leftover)
        staging.mkdir()
        files: dict[str, Iterable[dict[str, Any]]] = {
            "experiences.jsonl": _experience_lines(ledger, order),
            "cards.jsonl": _card_lines(ledger, order),
            "vetoed_dreams.jsonl": [{"id": dream_id} for dream_id in ledger.dreams.vetoed()],
            "probes.jsonl": ledger.cards.probes_since(order.cycle - PROBE_NIGHTS),
            **{f"{name}.jsonl": _fixed_item_lines(order, name) for name in fixed_items.NAMES},
            "said.jsonl": [vars(card) for card in ledger.experiences.said_since(order.created - SAID)],
            FORGET: [vars(card) for card in ledger.forgetting.to_ask_for()] if order.kind == "deep" else [],
        }
        hashes = {name: _write_lines(staging / name, lines) for name, lines in files.items()}
    except OSError as error:
        raise StoreError(f"cannot write job {target}: {error.strerror}", f"check the file system of {jobs}") from error
    durable.write_json(staging / "job.json", _document(order, hashes))
    durable.publish_dir(staging, target)
    return target


def read(job_dir: Path) -> dict[str, object]:
    """The job document. Raises StoreError when it cannot be read."""
    return _read_json(job_dir / "job.json")


def has_result(job_dir: Path) -> bool:
    return (job_dir / RESULT / "result.json").is_file()


def has_checkpoint(job_dir: Path) -> bool:
    directory = job_dir / CHECKPOINT
    return directory.is_dir() and any(directory.iterdir())


def read_result(job_dir: Path) -> tuple[dict[str, object], str]:
    """The result document and its sha256. Raises StoreError."""
    path = job_dir / RESULT / "result.json"
    return _read_json(path), durable.sha256_file(path)


def count_lines(path: Path) -> int:
    """How many entries a file of the job holds; 0 when the job has no such file."""
    return sum(1 for line in path.read_bytes().splitlines() if line) if path.is_file() else 0


def clean(jobs: Path, keep: str | None) -> list[str]:
    """Remove every job directory except ``keep`` (a name); returns the removed names."""
    if not jobs.is_dir():
        return []
    removed = [entry for entry in sorted(jobs.iterdir()) if entry.is_dir() and entry.name != keep]
    for entry in removed:
        if _STAGING.fullmatch(entry.name):
            shutil.rmtree(entry)
        else:
            durable.remove_dir(entry)
    return [entry.name for entry in removed]


def _document(order: JobOrder, hashes: Mapping[str, str]) -> dict[str, Any]:
    training = dict(order.training)
    document: dict[str, Any] = {
        "format": FORMAT,
        "cycle": order.cycle,
        "kind": order.kind,
        "created": order.created.isoformat(),
        "model": {"path": order.base.path, "sha256": order.base.sha256},
        "device": training["device"],
        "dtype": training["dtype"],
        "threads": training["threads"],
        "seed": _seed(order),
        "training": training,
        "living_adapter": None if order.living_adapter is None else str(order.living_adapter),
        "cache_dir": str(order.cache_dir),
        "canary_tokens": CANARY_TOKENS,
        "min_salience": order.min_salience,
        "gate": dict(order.gate),
        "files": dict(hashes),
    }
    content = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return {**document, "id": hashlib.sha256(content.encode()).hexdigest()[:16]}


def _seed(order: JobOrder) -> int:
    """Different each cycle, and the same when the same cycle of the same model is made again."""
    return int.from_bytes(hashlib.sha256(f"{order.base.sha256}:{order.cycle}".encode()).digest()[:4], "big")


def _experience_lines(ledger: Ledger, order: JobOrder) -> list[dict[str, Any]]:
    """What is new; a deep cycle, which starts from the base, also takes what was trained before. Best first, both bounded."""
    limit = int(order.training["max_cards"]) + int(order.training["max_examples"])
    chosen = ledger.experiences.pending(limit)
    if order.kind == "deep":
        chosen = chosen + ledger.experiences.trained(limit)
    chosen = chosen + ledger.experiences.unread(int(order.training["max_extractions"]))
    return [{"experience": _experience(experience), "verdict": _verdict(verdict)} for experience, verdict in chosen]


def _experience(experience: Experience) -> dict[str, Any]:
    document = asdict(experience)
    return {**document, "metadata": dict(experience.metadata), "tool_calls": [dict(call) for call in experience.tool_calls]}


def _verdict(verdict: ScreenVerdict) -> dict[str, Any]:
    return {
        "example": verdict.example,
        "reasons": list(verdict.reasons),
        "trimmed": verdict.trimmed,
        "cards": [asdict(card) for card in verdict.cards],
    }


def _card_lines(ledger: Ledger, order: JobOrder) -> list[dict[str, Any]]:
    """The living cards. ``due``: tonight's to ask for and to replay."""
    summaries = ledger.cards.probe_summaries()
    living = ledger.cards.living()
    lines = []
    asked = _due(ledger, [card.id for card in living], order)
    for card in living:
        probes = summaries.get(card.id)
        known = (
            {"best": probes.best, "last": probes.last, "probes": probes.probes} if probes else {"best": False, "last": None, "probes": 0}
        ) | {"misses": probes.misses if probes else 0}
        lines.append({**vars(card), **known, "due": card.id in asked})
    return lines


def _due(ledger: Ledger, ids: list[str], order: JobOrder) -> frozenset[str]:
    """Probes are read only where there are so many cards that a choice is to be made."""
    if len(ids) <= retention.EVERY_CARD:
        return frozenset(ids)
    return retention.due(ledger.cards.histories(ids, order.cycle - HISTORY_NIGHTS), _julian_day(order.created), order.cycle)


def _julian_day(moment: datetime) -> float:
    """Days as SQLite's ``julianday`` counts them."""
    return moment.timestamp() / 86400 + 2440587.5


def _fixed_item_lines(order: JobOrder, name: fixed_items.Name) -> list[dict[str, Any]]:
    """The job holds its own copy: what is edited during the night counts for the next one."""
    path = fixed_items.source(str(order.training.get(f"{name}_file") or ""), name)
    return [item.document() for item in fixed_items.read(path, name)]


def _write_lines(path: Path, lines: Iterable[Mapping[str, Any]]) -> str:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return durable.sha256_file(path)


def _read_json(path: Path) -> dict[str, object]:
    try:
        value = json.loads(path.read_bytes())
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error.strerror}", "the cycle is abandoned; the next one starts anew") from error
    except ValueError as error:
        raise StoreError(f"{path} is not JSON: {error}", "the cycle is abandoned; the next one starts anew") from error
    if not isinstance(value, dict):
        raise StoreError(f"{path} is a {type(value).__name__}, not an object", "the cycle is abandoned; the next one starts anew")
    return value
