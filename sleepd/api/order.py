"""One night for the API: writes the job, runs the child, judges the result. Publishes nothing.

The job is the daemon's kind of job with the documents' preset: no fact cards, since the documents train whole
conversations, and every chosen experience as a behaviour example.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sleepd
from sleepd import durable
from sleepd.adapter import expected, gate
from sleepd.adapter.verify import CANARY_TOKENS
from sleepd.api.checkpoints import PRESET
from sleepd.api.material import Trainable
from sleepd.errors import BadDataError, BadJobError, ChildExit, ConfigError, SkippedError, SleepdError
from sleepd.night.job import FORMAT, job_id
from sleepd.records import BaseModel, GateReport

log = logging.getLogger(__name__)

POOL = 192  # prompts the base makes up, of which one in sixteen is held out: what the gate needs and little more
_STDERR_LINES = 5

Document = dict[str, Any]


@dataclass(frozen=True)
class Settings:
    """How to train. Raises ConfigError when a value makes no sense."""

    epochs: int
    learning_rate: float
    batch_size: int

    def __post_init__(self) -> None:
        for name, low in (("epochs", 1), ("batch_size", 1)):
            if getattr(self, name) < low:
                raise ConfigError(f"{name} is {getattr(self, name)}", f"{name} is at least {low}")
        if not 0 < self.learning_rate <= 1:
            raise ConfigError(f"learning_rate is {self.learning_rate}", "learning_rate is above 0 and at most 1; the documents use 1e-5")


@dataclass(frozen=True)
class Order:
    """What goes into one job. ``device``: cuda, cpu or auto."""

    number: int
    base: BaseModel
    living: Path | None
    device: str
    cache_dir: Path
    settings: Settings
    rows: tuple[Trainable, ...]


@dataclass(frozen=True)
class Night:
    """A finished and judged night. ``adapter``: the directory of the candidate, in the job's."""

    job: Document
    result: Document
    report: GateReport
    adapter: Path


def run(order: Order, directory: Path, created: datetime) -> Night:
    """Train ``order`` with ``directory`` (empty) as its job directory. Raises SleepdError when no result came of it."""
    job = _write(order, directory, created)
    _train(directory, order.device)
    result = json.loads((directory / "result" / "result.json").read_bytes())
    adapter = directory / "result" / "adapter"
    report = gate.judge(result, gate.GateLimits(), expected.expect(job, adapter, earlier_cards=0))
    return Night(job, result, report, adapter)


def _write(order: Order, directory: Path, created: datetime) -> Document:
    lines = "".join(json.dumps({"experience": asdict(row.experience), "verdict": _verdict(row)}) + "\n" for row in order.rows)
    seed = hashlib.sha256(f"{order.base.sha256}:{order.number}".encode()).digest()[:4]
    job: Document = {
        "format": FORMAT,
        "cycle": order.number,
        "kind": "light",
        "created": created.isoformat(),
        "model": {"path": order.base.path, "sha256": order.base.sha256},
        "device": order.device,
        "dtype": "auto",
        "threads": 0,
        "seed": int.from_bytes(seed, "big"),
        "training": {
            "preset": PRESET,
            **asdict(order.settings),
            "max_cards": 0,
            "max_examples": len(order.rows),
            "rehearsal_pool": POOL,
            "heldout_text": "",
        },
        "gate": asdict(gate.GateLimits()),
        "living_adapter": None if order.living is None else str(order.living.resolve()),
        "cache_dir": str(order.cache_dir),
        "canary_tokens": CANARY_TOKENS,
        "min_salience": min(row.experience.salience.total for row in order.rows),
        "files": {"experiences.jsonl": hashlib.sha256(lines.encode()).hexdigest()},
    }
    job["id"] = job_id(job)
    durable.write_atomic(directory / "experiences.jsonl", lines)
    durable.write_json(directory / "job.json", job)
    return job


def _verdict(row: Trainable) -> Document:
    return {"example": True, "reasons": [], "trimmed": row.verdict.trimmed, "cards": []}


def _train(directory: Path, device: str) -> None:
    """Run the child to its end. It dies with this call, whatever ends it."""
    argv = [sys.executable, "-m", "sleepd.night", str(directory)]
    last: Document = {}
    with (directory / "stderr").open("w+", encoding="utf-8", errors="replace") as stderr:
        with subprocess.Popen(
            argv, stdout=subprocess.PIPE, stderr=stderr, env=_environment(device), encoding="utf-8", errors="replace"
        ) as child:
            try:
                assert child.stdout is not None
                for line in child.stdout:
                    last = _progress(line) or last
            except BaseException:  # Ctrl-C too: nobody would take the child's result
                child.kill()
                raise
        stderr.seek(0)
        said = stderr.read().splitlines()[-_STDERR_LINES:]
    if child.returncode != ChildExit.DONE:
        raise _failure(child.returncode, last, said)


def _progress(line: str) -> Document | None:
    try:
        value = json.loads(line)
    except ValueError:
        return None  # only sleepd's own lines are JSON; what a library prints is of no use here
    if not isinstance(value, dict):
        return None
    log.debug("night: %s %s %%", value.get("stage"), value.get("percent"))
    return value


def _failure(code: int, last: Mapping[str, Any], said: list[str]) -> SleepdError:
    message, remedy = (str(last["message"]), str(last["remedy"])) if last.get("stage") == "error" else ("", "")
    if code == ChildExit.BAD_JOB and message:
        return BadJobError(message, remedy)
    if code == ChildExit.BAD_DATA and message:
        return BadDataError(message, remedy)
    if code == ChildExit.CHECKPOINTED:
        return SkippedError("the night was asked to stop", "run the cycle again when the machine has time")
    if code == ChildExit.OUT_OF_MEMORY:
        return SleepdError(message or "the night ran out of memory", remedy or "free memory, lower batch_size, or pass device='cpu'")
    if code == -9:
        return SleepdError("the night was killed, most likely for want of memory", "free memory, or pass device='cpu'")
    end = f"signal {-code}" if code < 0 else f"exit {code}"
    return SleepdError(
        f"the night failed ({end}): {' | '.join(said) or 'it said nothing'}",
        "run `python -m sleepd.night` in the same environment to see whether it starts",
    )


def _environment(device: str) -> dict[str, str]:
    """The child must find this very sleepd, and must not touch a GPU when it is told to stay on the CPU."""
    package = str(Path(sleepd.__file__).resolve().parents[1])
    path = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": path, **({"CUDA_VISIBLE_DEVICES": ""} if device == "cpu" else {})}
