"""journald's native protocol: fields in, one entry out. What the fields are is the journal's."""

from __future__ import annotations

import array
import errno
import fcntl
import os
import socket
import struct
from collections.abc import Sequence
from pathlib import Path

from sleepd.errors import ConfigError

SEND_SECONDS = 1.0


class JournalSocket:
    """One datagram an entry, a sealed memory file for what does not fit into one."""

    def __init__(self, path: Path) -> None:
        """Raises ConfigError when nothing listens on ``path``."""
        self._path = str(path)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.settimeout(SEND_SECONDS)
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as trial:
                trial.connect(self._path)
        except OSError as error:
            self._socket.close()
            message = f"journald does not listen on {path}: {error.strerror or error}"
            raise ConfigError(message, 'start systemd-journald, or set log.format = "json"') from error

    def send(self, fields: Sequence[tuple[str, str]]) -> None:
        """Raises OSError when journald is gone or does not keep up."""
        entry = b"".join(_encoded(name, value) for name, value in fields)
        try:
            self._socket.sendto(entry, self._path)  # by address each time: journald may have been restarted
        except OSError as error:
            if error.errno not in (errno.EMSGSIZE, errno.ENOBUFS):
                raise
            self._send_as_file(entry)

    def _send_as_file(self, entry: bytes) -> None:
        descriptor = os.memfd_create("sleepd-journal-entry", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            with open(descriptor, "wb", closefd=False) as file:
                file.write(entry)
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE)
            rights = (socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))
            self._socket.sendmsg([], [rights], 0, self._path)
        finally:
            os.close(descriptor)

    def close(self) -> None:
        self._socket.close()


def _encoded(name: str, value: str) -> bytes:
    data = value.encode("utf-8", "replace")
    if b"\n" in data:
        return name.encode() + b"\n" + struct.pack("<Q", len(data)) + data + b"\n"
    return name.encode() + b"=" + data + b"\n"
