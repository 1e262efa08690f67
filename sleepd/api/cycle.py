"""One cycle of the API from buffer to published directory: read, choose, train, judge, publish or refuse.

Shared by the loop and the scheduler, who hold the lock of the checkpoint directory while it runs. Whatever fails
leaves the directory as it was.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from sleepd.adapter.store import cycle_id
from sleepd.api import defaults, material, order
from sleepd.api.checkpoints import JOB_PREFIX, SEEN, TRAINING_STATE, Checkpoints, Record
from sleepd.api.material import Trainable
from sleepd.api.order import Night, Order, Settings
from sleepd.base_model import identify
from sleepd.daemon import documents
from sleepd.errors import ConfigError, RefusedError, StoreError
from sleepd.records import Experience

log = logging.getLogger(__name__)

Document = dict[str, Any]


@dataclass(frozen=True)
class Request:
    """What to train, on what. ``device``: cuda, cpu or auto; ``max_experiences`` None: all that reach the salience."""

    model_path: Path
    buffer_path: Path
    device: str
    settings: Settings
    min_salience: float
    max_experiences: int | None


@dataclass(frozen=True)
class Outcome:
    """``results`` in the documents' keys, the record with this cycle in it, and how many experiences could be trained."""

    results: Document
    record: Record
    available: int


def choose(
    path: Path, min_salience: float, limit: int | None, trained: Collection[str]
) -> tuple[list[Trainable], list[Trainable], list[Experience]]:
    """What a cycle trains after those of ``trained``, highest salience first; all it could train; all in the buffer."""
    if limit is not None and limit < 1:
        raise ConfigError(f"max_experiences is {limit}", "max_experiences is at least 1, or None for all")
    experiences = material.read(path)
    rows = material.trainable(experiences, min_salience)
    return material.one_reply_a_prompt(rows, trained)[:limit], rows, experiences


def run(checkpoints: Checkpoints, request: Request, record: Record, unsaved: Path | None = None, keep: Path | None = None) -> Outcome:
    """Run one cycle after ``record``; the caller holds the lock.

    ``unsaved``: continue this adapter instead of the highest cycle's. ``keep``: put the adapter there and publish
    nothing. Raises BadDataError when there is nothing to train, RefusedError when the gate says no, and other
    SleepdErrors when the model, the night or the disk fails.
    """
    chosen, rows, experiences = choose(request.buffer_path, request.min_salience, request.max_experiences, record.trained)
    if not chosen:
        raise material.nothing_to_train(request.buffer_path, experiences, request.min_salience)
    cache = defaults.cache_dir(checkpoints.root)
    base = identify(request.model_path, cache / "base_models.json")
    highest = max((number for number, _ in checkpoints.cycles()), default=0)
    number = max(record.number, highest) + 1
    living = unsaved or checkpoints.living(base.sha256)
    log.info("sleep cycle %d: %d experiences, %s", number, len(chosen), f"continues {living.name}" if living else "a new adapter")
    wanted = Order(number, base, living, request.device, cache, request.settings, tuple(chosen))
    try:
        with tempfile.TemporaryDirectory(prefix=JOB_PREFIX, dir=checkpoints.root) as job:
            night = order.run(wanted, Path(job), datetime.now(UTC))
            _check(night, number)
            outcome = _record(record, night, number, rows)
            if keep is None:
                _publish(checkpoints, request.model_path, night, outcome)
            else:
                shutil.copytree(night.adapter, keep)
    except OSError as error:
        raise StoreError(f"cycle {number} cannot work in {checkpoints.root}: {error}", "check its free space and its rights") from error
    log.info("sleep cycle %d done: final loss %s", number, outcome.results["final_loss"])
    return outcome


def _check(night: Night, number: int) -> None:
    if not night.report.accepted:
        raise RefusedError(
            f"{cycle_id(number)} was refused by the gate and not kept: {'; '.join(night.report.reasons)}",
            "lower learning_rate or epochs, or raise min_salience; the adapter of the last cycle is untouched",
        )


def _record(record: Record, night: Night, number: int, rows: Sequence[Trainable]) -> Outcome:
    now = datetime.now(UTC)
    results = documents.cycle_results(number, night.result, now)
    return Outcome(
        results,
        replace(
            record,
            number=number,
            history=(*record.history, results),
            trained=record.trained | set(night.result["experiences_used"]),
            seen=record.seen | {row.experience.id for row in rows},
            updated=results["timestamp"],
        ),
        len(rows),
    )


def _publish(checkpoints: Checkpoints, model_path: Path, night: Night, outcome: Outcome) -> None:
    """``cycle_NNN`` with the documents' files, a report, a model card and a manifest; complete or absent."""
    now, number, record = datetime.now(UTC), outcome.record.number, outcome.record
    state = {
        "sleep_cycle_count": number,
        "total_experiences_trained": record.total_trained,
        "training_history": list(record.history),
        "model_path": str(model_path),
        "last_updated": record.updated,
    }
    files = {
        "cycle_results.json": outcome.results,
        TRAINING_STATE: state,
        "report.json": documents.report(
            number, "light", "Python API", night.result, night.report, datetime.fromisoformat(night.job["created"]), now
        ),
    }
    on_disk = checkpoints.look()
    origin = {
        **documents.provenance(night.job, night.result, night.report, now),
        # with what cycles trained that were not kept: this adapter went on from theirs
        "experience_ids": sorted(record.trained - on_disk.trained | set(night.result["experiences_used"])),
        SEEN: sorted(record.seen - on_disk.seen),
    }
    card = documents.model_card(number, night.job, night.result, night.report)
    checkpoints.store.publish(number, night.adapter, files, card, origin)
