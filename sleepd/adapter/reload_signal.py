"""A signal to the process in a pid file, sent only to a process that catches it: SIGHUP kills one that does not."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from sleepd.adapter.identity import Chat, Health
from sleepd.errors import ReloadError
from sleepd.records import Served

# A pid file is written after its process has started. The kernel counts start times in ticks, clocks are adjusted.
_SLACK_SECONDS = 5.0


class SignalReloader:
    """Sends one signal. The service finds the new adapter through the ``active`` link and must resolve it itself."""

    kind = "signal"

    def __init__(
        self, number: signal.Signals, pid_file: Path, health: Health | None, chat: Chat | None, proc: Path = Path("/proc")
    ) -> None:
        self._signal, self._pid_file, self._health, self._chat, self._proc = number, pid_file, health, chat, proc

    def reload(self, directory: Path | None, adapter_id: str | None) -> None:
        pid = self._pid()
        try:
            descriptor = os.pidfd_open(pid)  # from here on the number cannot come to mean another process
        except OSError as error:
            raise self._gone(pid) from error
        try:
            self._check_started(pid)
            if not caught(self._status(pid), self._signal):
                message = f"process {pid} ({self._name(pid)}) does not catch {self._signal.name}: it would end or ignore it"
                raise ReloadError(message, "choose a signal that the service handles, or another inference.kind")
            signal.pidfd_send_signal(descriptor, self._signal)
        except PermissionError as error:
            message = f"this user may not send {self._signal.name} to process {pid}"
            raise ReloadError(message, "run both as one user, or use inference.kind = systemd") from error
        except ProcessLookupError as error:
            raise self._gone(pid) from error
        finally:
            os.close(descriptor)

    def served(self) -> Served:
        if self._health:
            return self._health.served()
        try:
            pid = self._pid()
            self._status(pid)
        except ReloadError as error:
            return Served(healthy=False, detail=error.message)
        return Served(healthy=True, detail=f"process {pid} runs; inference.health_url is not set, so what it serves is not known")

    def ask(self, prompt: str, max_tokens: int) -> str | None:
        return self._chat.ask(prompt, max_tokens) if self._chat else None

    def _pid(self) -> int:
        try:
            text = self._pid_file.read_text(errors="replace").strip()
        except OSError as error:
            message = f"pid file {self._pid_file} cannot be read: {error.strerror}"
            raise ReloadError(message, "start the inference service, or correct inference.pid_file") from error
        if not text.isdecimal() or int(text) in (0, 1, os.getpid()):
            raise ReloadError(f"pid file {self._pid_file} holds {text[:40]!r}, not the pid of a service", "correct inference.pid_file")
        return int(text)

    def _status(self, pid: int) -> dict[str, str]:
        try:
            lines = (self._proc / str(pid) / "status").read_text(errors="replace").splitlines()
        except OSError as error:
            raise self._gone(pid) from error
        status = {key: value.strip() for key, _, value in (line.partition(":") for line in lines)}
        if status.get("State", "Z").startswith(("Z", "X")):
            raise self._gone(pid)
        return status

    def _name(self, pid: int) -> str:
        return self._status(pid).get("Name", "unnamed")

    def _check_started(self, pid: int) -> None:
        """Refuse a pid file that is older than its process: the number has been given to another one since."""
        try:
            started = started_at(self._proc, pid)
            written = self._pid_file.stat().st_mtime
        except (OSError, ValueError, IndexError, StopIteration) as error:
            raise ReloadError(f"when process {pid} started cannot be read from {self._proc}", "use another inference.kind") from error
        if started > written + _SLACK_SECONDS:
            age = started - written
            message = f"pid file {self._pid_file} is {age:.0f} s older than process {pid} ({self._name(pid)}): it is another process's"
            raise ReloadError(message, "restart the inference service so that it writes its pid file again")

    def _gone(self, pid: int) -> ReloadError:
        return ReloadError(f"process {pid} of {self._pid_file} does not run", "start the inference service")


def caught(status: dict[str, str], number: signal.Signals) -> bool:
    """Whether /proc/PID/status says that a handler is installed for the signal (bit N-1 of the mask SigCgt)."""
    try:
        return bool(int(status["SigCgt"], 16) >> (number - 1) & 1)
    except (KeyError, ValueError):
        return False


def started_at(proc: Path, pid: int) -> float:
    """When a process started, in seconds since the epoch. Raises OSError, ValueError, IndexError or StopIteration."""
    fields = (proc / str(pid) / "stat").read_text(errors="replace").rpartition(")")[2].split()
    boot = next(line for line in (proc / "stat").read_text().splitlines() if line.startswith("btime "))
    return int(boot.split()[1]) + int(fields[19]) / os.sysconf("SC_CLK_TCK")
