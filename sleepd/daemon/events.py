"""What may arrive in the main loop's queue. Values only; whoever puts one does nothing else."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sleepd.control.server import Pending
from sleepd.records import Progress


@dataclass(frozen=True)
class SignalArrived:
    number: int


@dataclass(frozen=True)
class BufferTouched:
    """The watcher saw something; it only means "look now"."""

    path: Path


@dataclass(frozen=True)
class AlarmRang:
    reason: str


@dataclass(frozen=True)
class RequestArrived:
    pending: Pending


@dataclass(frozen=True)
class ChildProgress:
    """A progress line of the child with this serial number (a late line of an earlier child is ignored)."""

    child: int
    progress: Progress


@dataclass(frozen=True)
class ChildFailed:
    """The child's own last words: a progress line of stage "error"."""

    child: int
    message: str
    remedy: str


@dataclass(frozen=True)
class ChildExited:
    """``status`` as subprocess gives it: an exit code, or minus a signal's number."""

    child: int
    status: int


@dataclass(frozen=True)
class WorkDone:
    """A worker's task ended. Exactly one of ``value`` and ``error`` means something."""

    settle: Callable[[object, Exception | None], None]
    value: object = None
    error: Exception | None = None


Event = SignalArrived | BufferTouched | AlarmRang | RequestArrived | ChildProgress | ChildFailed | ChildExited | WorkDone
