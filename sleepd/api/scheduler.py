"""``SleepScheduler``: whether a sleep cycle is due after a session, for those who run no daemon.

Experiences are counted by id and only where they may be trained (``api.material``). Which of them are new follows
from the ids that the cycles' manifests hold. Earlier programs left counts only; then new is what exceeds the count,
and a count above what the buffer holds, which repeats would make, does not block for ever. ``scheduler_state.json``
has the documents' exact fields; times in it are local and naive.
"""

from __future__ import annotations

import argparse
import json
import logging
import math
import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sleepd import durable
from sleepd.api import cycle, defaults, material
from sleepd.api.checkpoints import Checkpoints, Record
from sleepd.api.cycle import Outcome, Request
from sleepd.api.order import Settings
from sleepd.errors import ExitCode, SleepdError
from sleepd.ledger.exports import naive_local

log = logging.getLogger(__name__)

STATE_FILE = "scheduler_state.json"
SHOWN_CYCLES = 5
FUTURE = timedelta(days=1)  # a last sleep so far ahead was noted by a clock that was wrong

Document = dict[str, Any]


class SleepScheduler:
    """Decides and runs sleep cycles on one buffer and one checkpoint directory; keeps its state on disk only."""

    def __init__(
        self,
        model_path: str | Path | None = None,
        experience_buffer_path: str | Path | None = None,
        checkpoint_dir: str | Path | None = None,
        min_experiences: int = 5,
        min_new_experiences: int = 2,
        min_hours_between_sleep: float = 6.0,
        min_salience: float = 0.6,
        device: str | None = None,
    ) -> None:
        """Paths that are not given come from the sleepd configuration: see ``api.defaults``. Raises ConfigError."""
        self._given_model = model_path
        self.experience_buffer_path = defaults.buffer_path(experience_buffer_path)
        self.checkpoint_dir = defaults.checkpoint_dir(checkpoint_dir)
        self.min_experiences = min_experiences
        self.min_new_experiences = min_new_experiences
        self.min_hours_between_sleep = min_hours_between_sleep
        self.min_salience = min_salience
        self.device = device
        self._wanted_device = defaults.device(device)
        self._checkpoints = Checkpoints(self.checkpoint_dir)
        self.state_file = self.checkpoint_dir / STATE_FILE

    @property
    def model_path(self) -> Path:
        """The base model. Only a cycle needs it, so a scheduler that merely checks works without one."""
        return defaults.model_path(self._given_model)

    @property
    def state(self) -> Document:
        """The state in the documents' fields, read anew; without a file, what the cycles on disk say."""
        return self._state(self._checkpoints.look())

    def should_run_sleep_cycle(self) -> tuple[bool, str]:
        """Whether a cycle is due, and why or why not, with the numbers. Raises BufferError for an unreadable buffer."""
        total, new, state = self._counts()
        return self._decide(total, new, state)

    def get_status(self) -> Document:
        """The documents' status. ``sleep_history``: the last five cycles; ``hours_since_last_sleep`` None before the first."""
        total, new, state = self._counts()
        should_run, reason = self._decide(total, new, state)
        hours = _hours_since(state["last_sleep_time"])
        return {
            "total_experiences": total,
            "experiences_since_last_sleep": new,
            "total_sleep_cycles": state["total_sleep_cycles"],
            "last_sleep_time": state["last_sleep_time"],
            "should_run_sleep": should_run,
            "reason": reason,
            "sleep_history": state["sleep_history"][-SHOWN_CYCLES:],
            "hours_since_last_sleep": None if hours is None else round(hours, 2),
        }

    def run_sleep_cycle(
        self, epochs: int = 3, learning_rate: float = 1e-5, max_experiences: int | None = None, force: bool = False
    ) -> Document:
        """Run a cycle if one is due and return its results, as ``SleepTrainingLoop.run_sleep_cycle`` does.

        When none is due: {"status": "skipped", "reason", "timestamp"}. ``force`` skips that question, never the gate.
        Raises SkippedError while another process runs a cycle here, and what the loop raises.
        """
        settings = Settings(epochs, learning_rate, batch_size=1)
        with self._checkpoints.lock():
            total, new, state = self._counts()
            should_run, reason = self._decide(total, new, state)
            log.info("sleep check: %s%s", reason, " (forced)" if force and not should_run else "")
            if not should_run and not force:
                return {"status": "skipped", "reason": reason, "timestamp": naive_local(datetime.now(UTC))}
            request = Request(
                self.model_path, self.experience_buffer_path, self._wanted_device, settings, self.min_salience, max_experiences
            )
            outcome = cycle.run(self._checkpoints, request, self._checkpoints.look())
            durable.write_atomic(self.state_file, json.dumps(_after(state, outcome), indent=2) + "\n")
        return outcome.results

    def _counts(self) -> tuple[int, int, Document]:
        """Experiences that may be trained, those of them that are new, and the state."""
        record = self._checkpoints.look()
        state = self._state(record)
        if not self.experience_buffer_path.exists():
            log.warning("experience buffer %s does not exist", self.experience_buffer_path)
            return 0, 0, state
        rows = material.trainable(material.read(self.experience_buffer_path), self.min_salience)
        ids = {row.experience.id for row in rows}
        if record.seen:
            return len(ids), len(ids - record.seen), state
        before = state["experiences_at_last_sleep"]
        return len(ids), len(ids) - before if before <= len(ids) else len(ids), state

    def _decide(self, total: int, new: int, state: Document) -> tuple[bool, str]:
        if total < self.min_experiences:
            return False, f"Insufficient experiences ({total} < {self.min_experiences})"
        if new < self.min_new_experiences:
            return False, f"Insufficient new experiences ({new} < {self.min_new_experiences})"
        hours = _hours_since(state["last_sleep_time"])
        if hours is not None and hours < self.min_hours_between_sleep:
            shown = math.floor(hours * 100) / 100  # rounding up could say 6.00h < 6.0h
            return False, f"Too soon since last sleep ({shown:.2f}h < {self.min_hours_between_sleep}h)"
        return True, f"Ready: {total} experiences ({new} new), sufficient time elapsed"

    def _state(self, record: Record) -> Document:
        """The file, unless a cycle on disk is newer: one that was run by hand, or whose run was killed at its end."""
        state = _read_state(self.state_file)
        if state is not None and state["last_sleep_cycle"] >= record.number:
            return state
        return {
            "last_sleep_time": record.updated,
            "last_sleep_cycle": record.number,
            "experiences_at_last_sleep": record.total_trained,
            "total_sleep_cycles": record.number,
            "sleep_history": [_entry(results) for results in record.history],
        }


def _after(state: Document, outcome: Outcome) -> Document:
    """The state after a cycle. Every experience that could have been trained counts as slept on."""
    return {
        "last_sleep_time": naive_local(datetime.now(UTC)),
        "last_sleep_cycle": outcome.results["sleep_cycle"],
        "experiences_at_last_sleep": outcome.available,
        "total_sleep_cycles": state["total_sleep_cycles"] + 1,
        "sleep_history": [*state["sleep_history"], _entry(outcome.results)],
    }


def _entry(results: Document) -> Document:
    return {
        "cycle": results.get("sleep_cycle", results.get("cycle")),
        **{key: results.get(key) for key in ("timestamp", "num_experiences", "final_loss")},
    }


def _read_state(file: Path) -> Document | None:
    """None where there is no usable state: it can be made again from the cycles."""
    try:
        value = json.loads(file.read_bytes())
        last = value["last_sleep_time"]
        if last is not None:
            datetime.fromisoformat(last)
        counts = {key: int(value[key]) for key in ("last_sleep_cycle", "experiences_at_last_sleep", "total_sleep_cycles")}
        return {"last_sleep_time": last, **counts, "sleep_history": [dict(entry) for entry in value["sleep_history"]]}
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        log.warning("%s cannot be used and is made again from the cycles: %s: %s", file, type(error).__name__, error)
        return None


def _hours_since(moment: str | None) -> float | None:
    """Hours since a local (or aware) ISO 8601 time, never negative; None when there is none to rely on."""
    if moment is None:
        return None
    elapsed = datetime.now(UTC) - datetime.fromisoformat(moment).astimezone(UTC)
    return None if elapsed < -FUTURE else max(0.0, elapsed.total_seconds() / 3600)


def main(argv: Sequence[str]) -> int:
    """``python -m sleepd.api``: exit 0 when a cycle ran (or, with --check, is due), 75 when it is not time, 1 on failure."""
    parser = argparse.ArgumentParser(
        prog="python -m sleepd.api", description="Runs a sleep cycle if one is due. Paths not given come from the sleepd configuration."
    )
    parser.add_argument("--check", action="store_true", help="say whether one is due, and run nothing")
    parser.add_argument("--force", action="store_true", help="run one whatever the schedule says; the gate still judges it")
    parser.add_argument("--model-path")
    parser.add_argument("--experience-buffer")
    parser.add_argument("--checkpoint-dir")
    arguments = parser.parse_args(argv)
    try:
        scheduler = SleepScheduler(arguments.model_path, arguments.experience_buffer, arguments.checkpoint_dir)
        if arguments.check:
            should_run, reason = scheduler.should_run_sleep_cycle()
            print(f"Should run: {should_run}\nReason: {reason}")
            return ExitCode.OK if should_run else ExitCode.SKIPPED
        results = scheduler.run_sleep_cycle(force=arguments.force)
    except SleepdError as error:
        print(f"sleepd: {error.message}" + (f"\nremedy: {error.remedy}" if error.remedy else ""), file=sys.stderr)
        return ExitCode.SKIPPED if error.exit_code is ExitCode.SKIPPED else ExitCode.FAILED
    print(json.dumps(results, indent=2))
    return ExitCode.SKIPPED if results.get("status") == "skipped" else ExitCode.OK
