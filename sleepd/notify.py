"""Tells systemd how the daemon is: ready, reloading, stopping, alive, and its status line.

Without $NOTIFY_SOCKET every message is dropped, so callers need not ask who started them. Decides nothing
about when to say what.
"""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Mapping

import sdnotify

SEND_SECONDS = 1.0


class Notifier:
    """One connection to the service manager. Each message says whether it was sent; ``error`` holds why the last was not."""

    def __init__(self, env: Mapping[str, str]) -> None:
        self.error: str | None = None
        # sdnotify looks into the process's own environment, and hides errors unless told not to. Ours is an
        # argument, so it is handed the connected socket.
        self._systemd = sdnotify.SystemdNotifier()
        if self._systemd.socket is not None:
            self._systemd.socket.close()
        self._systemd.debug = True
        self._systemd.socket = self._connected(env.get("NOTIFY_SOCKET", ""))

    @property
    def connected(self) -> bool:
        """Whether a service manager listens."""
        return self._systemd.socket is not None

    def ready(self, status: str) -> bool:
        return self._send("READY=1", f"STATUS={_line(status)}")

    def status(self, text: str) -> bool:
        return self._send(f"STATUS={_line(text)}")

    def watchdog(self) -> bool:
        return self._send("WATCHDOG=1")

    def reloading(self) -> bool:
        """One datagram with the time, so that systemd can tell a late message from a new one. End it with ``ready``."""
        return self._send("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, status: str = "stopping") -> bool:
        return self._send("STOPPING=1", f"STATUS={_line(status)}")

    def extend_timeout(self, usec: int) -> bool:
        """Ask for this many more microseconds, from now, to start, reload or stop."""
        return self._send(f"EXTEND_TIMEOUT_USEC={usec}")

    def close(self) -> None:
        if self._systemd.socket is not None:
            self._systemd.socket.close()
            self._systemd.socket = None

    def _connected(self, address: str) -> socket.socket | None:
        if not address:
            return None
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        connection.settimeout(SEND_SECONDS)  # a service manager that hangs must not take the daemon with it
        try:
            connection.connect("\0" + address[1:] if address.startswith("@") else address)
        except OSError as error:
            connection.close()
            self.error = f"NOTIFY_SOCKET={address} cannot be reached: {error}"
            return None
        return connection

    def _send(self, *lines: str) -> bool:
        if self._systemd.socket is None:
            return False
        try:
            # sdnotify encodes as Latin-1; systemd reads UTF-8
            self._systemd.notify("\n".join(lines).encode("utf-8", "replace").decode("latin-1"))
        except OSError as error:
            self.error = f"the service manager does not take messages: {error}"
            return False
        self.error = None
        return True


def watchdog_interval(env: Mapping[str, str], pid: int | None = None) -> float | None:
    """Seconds between two watchdog messages, half of what systemd allows; None when it does not watch this process."""
    usec, watched = env.get("WATCHDOG_USEC", ""), env.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or int(usec) == 0:
        return None
    if watched and watched != str(os.getpid() if pid is None else pid):
        return None
    return int(usec) / 2_000_000


def _line(text: str) -> str:
    """A line feed would end the field and begin another."""
    return " ".join(text.split())
