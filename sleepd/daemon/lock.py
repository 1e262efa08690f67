"""One writer a state directory: a lock on ``daemon.lock`` that ends with the process, however it ends."""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from types import TracebackType

from sleepd.errors import SleepdError

NAME = "daemon.lock"


class StateLock:
    """Held from construction to ``release``. Raises SleepdError naming who holds it."""

    def __init__(self, state: Path, purpose: str) -> None:
        path = state / NAME
        try:
            state.mkdir(parents=True, exist_ok=True)
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise SleepdError(
                f"state directory {state} cannot be used: {error.strerror}", f"create {state} and give this user write access"
            ) from error
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            holder = os.pread(self._descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            os.close(self._descriptor)
            raise SleepdError(
                f"state directory {state} is in use by {holder}",
                "stop it (`systemctl stop sleepd`), or give this instance its own state directory (--instance NAME)",
            ) from error
        os.ftruncate(self._descriptor, 0)
        os.pwrite(self._descriptor, f"{purpose} (pid {os.getpid()})".encode(), 0)

    def release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> StateLock:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.release()
