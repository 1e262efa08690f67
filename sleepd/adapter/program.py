"""One run of an external program with a deadline. Its whole process group ends with it, at the latest then."""

from __future__ import annotations

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sleepd.errors import ReloadError, ReloadUnknownError

_TAIL_BYTES = 2000
_KILL_SECONDS = 5.0
_OURS = ("NOTIFY_SOCKET", "WATCHDOG_", "LISTEN_")  # systemd's words to this daemon; a child must not answer for it


@dataclass(frozen=True)
class Finished:
    """How a program ended. ``stdout`` and ``stderr`` are the last few lines of each."""

    code: int
    stdout: str
    stderr: str


def run(arguments: Sequence[str], timeout: float, environment: Mapping[str, str]) -> Finished:
    """Run ``arguments`` without a shell and wait for its end.

    Raises ReloadError when it cannot be started, ReloadUnknownError when it was killed at the deadline. Output goes to
    files, not pipes: a service that the program leaves running in the background would keep a pipe open for ever.
    """
    kept = {key: value for key, value in environment.items() if not key.startswith(_OURS)}
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=kept, start_new_session=True)
        except OSError as error:
            raise ReloadError(f"{arguments[0]} cannot be started: {error.strerror}", "install it, or correct inference.command") from error
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired as error:
            how = "was killed" if _kill(process) else "cannot be killed by this user"
            said = _tail(err.fileno())
            message = f"{' '.join(arguments)} did not end within {timeout:g} s and {how}" + (f": {said}" if said else "")
            raise ReloadUnknownError(message, "raise inference.timeout_seconds, or see why it hangs") from error
        return Finished(code, _tail(out.fileno()), _tail(err.fileno()))


def _kill(process: subprocess.Popen[bytes]) -> bool:
    """Kill the program's process group; False when it runs as another user, as after sudo."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait(_KILL_SECONDS)
    except (PermissionError, subprocess.TimeoutExpired):
        return False
    return True


def _tail(descriptor: int) -> str:
    size = os.fstat(descriptor).st_size
    data = os.pread(descriptor, _TAIL_BYTES, max(0, size - _TAIL_BYTES))
    return "\n".join(data.decode(errors="replace").strip().splitlines()[-10:])
