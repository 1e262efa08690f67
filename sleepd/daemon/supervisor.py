"""Launches the child of a cycle and follows it: progress, log lines, exit. Knows it only as an argument vector.

The child runs in its own session with its own limits and a clean environment. Reading threads only enqueue
and log. Its process id is used only while the kernel still keeps it for us, so a signal never hits a stranger.
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from sleepd import durable
from sleepd.daemon import launch
from sleepd.daemon.cgroup import prepare_leaf
from sleepd.daemon.events import ChildExited, ChildFailed, ChildProgress
from sleepd.errors import ChildExit
from sleepd.records import Progress

ChildEvent = ChildProgress | ChildFailed | ChildExited
OOM_SCORE_ADJ = 800
MAX_LINE_BYTES = 16 * 1024
_STRIPPED = ("NOTIFY_SOCKET", "JOURNAL_STREAM", "INVOCATION_ID", "MAINPID")
_STRIPPED_PREFIXES = ("WATCHDOG_", "LISTEN_", "CREDENTIALS_")
_PID_FILE = "child.json"
_DRAIN_SECONDS = 5.0


@dataclass(frozen=True)
class ChildSettings:
    """How the child runs. ``python`` empty: ours. ``memory_max_mb`` 0: no limit."""

    python: str
    device: str
    threads: int
    nice: int
    memory_max_mb: int


def default_trainer(settings: ChildSettings, job_dir: Path) -> list[str]:
    return [settings.python or sys.executable, "-m", "sleepd.night", str(job_dir)]


TrainerArgv = Callable[[ChildSettings, Path], Sequence[str]]


class Supervisor:
    """Starts children, one at a time. ``put`` receives their events, ``log`` their lines, each with the cycle's number."""

    def __init__(
        self,
        put: Callable[[ChildEvent], None],
        log: Callable[[int, str], None],
        trainer_argv: TrainerArgv = default_trainer,
    ) -> None:
        self._put = put
        self._log = log
        self._trainer_argv = trainer_argv
        self._serial = 0

    def launch(self, job_dir: Path, cycle: int, settings: ChildSettings) -> Child:
        """Start the child of one job. Raises OSError when even the launcher cannot be started."""
        self._serial += 1
        leaf = prepare_leaf(settings.memory_max_mb) if settings.memory_max_mb else None
        limits = {
            "parent": os.getpid(),
            "nice": settings.nice,
            "oom_score_adj": OOM_SCORE_ADJ,
            "memory_max_mb": settings.memory_max_mb,
            "cgroup": None if leaf is None else str(leaf),
        }
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", launch.__file__, json.dumps(limits), *self._trainer_argv(settings, job_dir)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=child_environment(os.environ, settings),
            cwd=job_dir,
            start_new_session=True,
        )
        durable.write_json(job_dir / _PID_FILE, {"pid": process.pid, "started": _start_time(process.pid)})
        return Child(self._serial, cycle, process, self._put, self._log)


class Child:
    """A running child."""

    def __init__(
        self,
        serial: int,
        cycle: int,
        process: subprocess.Popen[bytes],
        put: Callable[[ChildEvent], None],
        log: Callable[[int, str], None],
    ) -> None:
        self.serial = serial
        self.cycle = cycle
        self.pid = process.pid
        self._process = process
        self._put = put
        self._log = log
        self._reaped = False
        self._lock = threading.Lock()
        assert process.stdout is not None and process.stderr is not None
        self._readers = [
            threading.Thread(target=_read_lines, args=(process.stdout, self._progress), name="child-stdout", daemon=True),
            threading.Thread(target=_read_lines, args=(process.stderr, self._text), name="child-stderr", daemon=True),
        ]
        for reader in self._readers:
            reader.start()
        threading.Thread(target=self._wait, name="child-wait", daemon=True).start()

    def stop(self) -> None:
        """Ask it to write its checkpoint and stop."""
        self._signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it and everything it started."""
        self._signal(signal.SIGKILL)

    def _signal(self, number: signal.Signals) -> None:
        with self._lock:
            if not self._reaped:
                os.killpg(self.pid, number)

    def _wait(self) -> None:
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        with self._lock:  # a zombie leader still keeps its group's number from being given away
            os.killpg(self.pid, signal.SIGKILL)
            status = self._process.wait()
            self._reaped = True
        for reader in self._readers:
            reader.join(_DRAIN_SECONDS)
        self._put(ChildExited(self.serial, status))

    def _progress(self, line: str) -> None:
        event = parse_progress(self.serial, line)
        if event is None:
            self._log(self.cycle, line)
        else:
            self._put(event)

    def _text(self, line: str) -> None:
        self._log(self.cycle, line)


def child_environment(environment: Mapping[str, str], settings: ChildSettings) -> dict[str, str]:
    """Ours, without what is between us and systemd; with what makes the child use what it was given."""
    kept = {k: v for k, v in environment.items() if k not in _STRIPPED and not k.startswith(_STRIPPED_PREFIXES)}
    kept |= {"TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1", "PYTHONUNBUFFERED": "1"}
    if settings.device == "cpu":
        kept["CUDA_VISIBLE_DEVICES"] = ""
    if settings.threads:
        kept["OMP_NUM_THREADS"] = str(settings.threads)
    if not settings.python:  # our own interpreter finds our own package, also from a checkout; another has its own
        root = str(Path(__file__).parents[2])
        kept["PYTHONPATH"] = os.pathsep.join([root, *filter(None, [kept.get("PYTHONPATH", "")])])
    return kept


def parse_progress(child: int, line: str) -> ChildProgress | ChildFailed | None:
    """What a line of the progress pipe says; None when it is not one of ours, whatever it is."""
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not isinstance(stage := value.get("stage"), str):
        return None
    if stage == "error":
        return ChildFailed(child, str(value.get("message", "")), str(value.get("remedy", "")))
    percent = _number(value.get("percent"))
    if percent is None:
        return None
    step, steps = _number(value.get("step")) or 0, _number(value.get("steps")) or 0
    progress = Progress(
        stage,
        min(100.0, max(0.0, percent)),
        int(step),
        int(steps),
        _number(value.get("loss")),
        _number(value.get("eta_s")),
        str(value.get("message", "")),
    )
    return ChildProgress(child, progress)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < 1e15 else None  # also refuses NaN and the infinities


def _read_lines(pipe: IO[bytes], take: Callable[[str], None]) -> None:
    """Whole lines, each at most MAX_LINE_BYTES: the rest of a longer one is dropped."""
    pending = bytearray()
    cut = False
    while chunk := os.read(pipe.fileno(), 65536):
        for part in chunk.splitlines(keepends=True):
            room = MAX_LINE_BYTES - len(pending)
            cut = cut or len(part.rstrip(b"\r\n")) > room
            pending += part.rstrip(b"\r\n")[: max(0, room)]
            if part.endswith((b"\n", b"\r")):
                _hand_over(pending, cut, take)
                pending.clear()
                cut = False
    _hand_over(pending, cut, take)
    pipe.close()


def _hand_over(line: bytearray, cut: bool, take: Callable[[str], None]) -> None:
    text = line.decode("utf-8", errors="replace").strip()
    if text:
        take(text + (" ... (cut)" if cut else ""))


def describe_exit(status: int) -> tuple[str, str]:
    """What an exit status means, and what an operator can do."""
    if status < 0:
        name = _signal_name(-status)
        if -status == signal.SIGKILL:
            return (
                f"was killed ({name})",
                "see `dmesg` for an out-of-memory kill; lower training.batch_size or training.rank, or free memory",
            )
        return f"crashed ({name})", 'see its last lines in the log; try training.device = "cpu"'
    known = {
        ChildExit.BAD_JOB: ("refused the job (exit 3)", "see its last lines in the log"),
        ChildExit.BAD_DATA: ("found nothing to learn (exit 4)", "see `sleepd inspect` for what the screen makes of the buffer"),
        ChildExit.OUT_OF_MEMORY: ("ran out of memory (exit 5)", "lower training.batch_size or training.rank, or free memory"),
        ChildExit.CHECKPOINTED: ("stopped at a checkpoint (exit 75)", ""),
    }
    if status in known:
        return known[ChildExit(status)]
    return f"failed (exit {status})", "see its last lines in the log"


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def end_orphan(job_dir: Path, grace_seconds: float) -> bool:
    """End a child that outlived the daemon which started it, and wait for that; True when there was one."""
    try:
        recorded = json.loads((job_dir / _PID_FILE).read_text(encoding="utf-8"))
        pid, started = int(recorded["pid"]), recorded["started"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    if started is None or _start_time(pid) != started:
        return False
    try:
        descriptor = os.pidfd_open(pid)
    except OSError:
        return False  # it ended just now
    try:
        if _start_time(pid) != started:
            return False
        for number, seconds in ((signal.SIGTERM, grace_seconds), (signal.SIGKILL, _DRAIN_SECONDS)):
            try:
                os.killpg(pid, number)
            except ProcessLookupError:
                return True
            if select.select([descriptor], [], [], seconds)[0]:
                break
    finally:
        os.close(descriptor)
    return True


def _start_time(pid: int) -> str | None:
    """The kernel's start time of a process, which tells it from a later one with the same number; None when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]
