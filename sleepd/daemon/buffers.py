"""When to read which experience buffer: the watcher's hints, a periodic look, quiet time, torn files, gone files.

Decides from size, inode and modification time alone and reads no buffer itself; never writes one. Ages count
on the monotonic clock from the first sight, so that a clock that jumps neither hides nor invents a quiet time.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

TORN_PATIENCE = 3
"""A document that is still torn after so many looks at an unchanged file is an error, not a writer at work."""


class Outcome(Protocol):
    """What reading a buffer came to."""

    @property
    def torn(self) -> bool: ...

    @property
    def error(self) -> str | None: ...


@dataclass(frozen=True)
class Stamp:
    """What tells one state of a file from the next without reading it."""

    size: int
    inode: int
    mtime_ns: int


@dataclass
class _Buffer:
    stamp: Stamp | None = None
    seen: bool = False
    dirty: bool = False
    changed_at: float = 0.0
    torn_looks: int = 0
    error: str | None = None
    retry_at: float = field(default=0.0)


class Buffers:
    """The state of each watched buffer. ``monotonic`` and ``wall`` are clocks in seconds."""

    def __init__(self, paths: list[Path], quiet_seconds: float, monotonic: Callable[[], float], wall: Callable[[], float]) -> None:
        self._quiet = quiet_seconds
        self._monotonic = monotonic
        self._wall = wall
        self._buffers = {path: _Buffer() for path in paths}

    def configure(self, paths: list[Path], quiet_seconds: float) -> None:
        """Take new settings; what is known of a buffer that stays is kept."""
        self._quiet = quiet_seconds
        self._buffers = {path: self._buffers.get(path, _Buffer()) for path in paths}

    def look(self) -> None:
        """Compare every buffer with what was last seen of it."""
        for path, buffer in self._buffers.items():
            self._look_at(path, buffer)

    def _look_at(self, path: Path, buffer: _Buffer) -> None:
        now = self._monotonic()
        try:
            status = path.stat()
            stamp = Stamp(status.st_size, status.st_ino, status.st_mtime_ns)
        except FileNotFoundError:
            if buffer.stamp is not None:
                buffer.error = f"buffer {path} has vanished"  # what it held is in the ledger
            buffer.stamp, buffer.dirty = None, False
            return
        except OSError as error:
            buffer.error, buffer.dirty = f"buffer {path} cannot be read: {error.strerror}", False
            return
        if stamp == buffer.stamp:
            return
        age = 0.0 if buffer.seen else max(0.0, self._wall() - status.st_mtime)
        buffer.stamp, buffer.seen, buffer.dirty, buffer.torn_looks = stamp, True, True, 0
        buffer.changed_at = now - age
        buffer.retry_at = 0.0

    def ready(self) -> list[Path]:
        """The buffers that changed and have been quiet since."""
        now = self._monotonic()
        return [path for path, b in self._buffers.items() if b.dirty and now >= max(b.changed_at + self._quiet, b.retry_at)]

    def changed(self) -> list[Path]:
        """The buffers that changed, quiet or not."""
        return [path for path, buffer in self._buffers.items() if buffer.dirty]

    def wait_seconds(self) -> float | None:
        """Seconds until a changed buffer may be ready; None when none has changed."""
        now = self._monotonic()
        return min((max(0.0, max(b.changed_at + self._quiet, b.retry_at) - now) for b in self._buffers.values() if b.dirty), default=None)

    def was_read(self, path: Path, outcome: Outcome) -> None:
        """Note what reading it came to. A torn one is read again after the next quiet time, a few times."""
        buffer = self._buffers.get(path)
        if buffer is None:
            return
        if not outcome.torn:
            buffer.dirty, buffer.torn_looks, buffer.error = False, 0, outcome.error
            return
        buffer.torn_looks += 1
        buffer.retry_at = self._monotonic() + max(self._quiet, 0.2) * 2**buffer.torn_looks
        if buffer.torn_looks >= TORN_PATIENCE:
            buffer.error = outcome.error or f"buffer {path} is torn: it ends in the middle of an entry"
            buffer.dirty = False  # look again when it changes

    def quiet_minutes(self) -> float | None:
        """Minutes since any buffer last changed; None when none was ever seen."""
        ages = [self._monotonic() - b.changed_at for b in self._buffers.values() if b.seen]
        return min(ages) / 60 if ages else None

    def touched_since(self, moment: float) -> bool:
        """Whether a buffer changed after this moment of the monotonic clock."""
        return any(b.seen and b.changed_at > moment for b in self._buffers.values())

    def errors(self) -> list[str]:
        return [buffer.error for buffer in self._buffers.values() if buffer.error]
