"""The client of the control socket. Standard library only, so that ``sleepd status`` starts at once."""

from __future__ import annotations

import os
import socket as sockets
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from sleepd.control import protocol
from sleepd.errors import NoDaemonError, SleepdError

SILENCE_SECONDS = 60.0
"""A stream that says nothing for this long has lost its daemon, which sends a sign of life every few seconds."""


def call(socket: Path, command: str, args: Mapping[str, Any] | None = None, timeout: float = 30.0) -> dict[str, Any]:
    """Send one command and return its result.

    Raises NoDaemonError when nothing answers, and the daemon's own refusal as a SleepdError with its exit code.
    """
    with _connect(socket, timeout) as connection:
        lines = _lines(connection, socket, time.monotonic() + timeout)
        _send(connection, socket, command, args)
        document = protocol.decode(next(lines))
    protocol.raise_refusal(document)
    result = document["result"]
    assert isinstance(result, dict)
    return result


def follow(
    socket: Path, command: str = protocol.FOLLOW, args: Mapping[str, Any] | None = None, silence: float = SILENCE_SECONDS
) -> Iterator[dict[str, Any]]:
    """Yield progress lines of the running cycle; the last one has ``"done": true`` and, if there was a cycle, its verdict."""
    with _connect(socket, silence) as connection:
        _send(connection, socket, command, args)
        lines = _lines(connection, socket, None, silence)
        protocol.raise_refusal(protocol.decode(next(lines)))
        for line in lines:
            document = protocol.decode(line)
            if document.get("alive"):
                continue
            yield document
            if document.get("done"):
                return


def _connect(path: Path, timeout: float) -> sockets.socket:
    connection = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    connection.settimeout(timeout)
    try:
        connection.connect(str(path))
    except (FileNotFoundError, ConnectionRefusedError, NotADirectoryError) as error:
        connection.close()
        raise NoDaemonError(f"no daemon answers on {path}", "start it with `systemctl start sleepd`, or `sleepd run`") from error
    except PermissionError as error:
        connection.close()
        raise NoDaemonError(f"no permission to talk to the daemon on {path}", "join the group sleepd, or use sudo") from error
    except OSError as error:
        connection.close()
        raise NoDaemonError(f"cannot reach the daemon on {path}: {error}", "see `systemctl status sleepd`") from error
    return connection


def _send(connection: sockets.socket, path: Path, command: str, args: Mapping[str, Any] | None) -> None:
    try:
        connection.sendall(protocol.encode({"id": str(os.getpid()), "command": command, "args": dict(args or {})}))
    except TimeoutError as error:
        raise _silent(path) from error
    except OSError as error:
        raise NoDaemonError(f"the daemon on {path} hung up: {error}", "see `journalctl -u sleepd`") from error


def _lines(connection: sockets.socket, path: Path, deadline: float | None, silence: float = 0.0) -> Iterator[bytes]:
    """Whole lines until the daemon closes. ``deadline``: monotonic, for all lines; else ``silence`` for each."""
    pending = bytearray()
    while True:
        end = pending.find(b"\n")
        if end >= 0:
            yield bytes(pending[:end])
            del pending[: end + 1]
            continue
        limit = silence if deadline is None else deadline - time.monotonic()
        if limit <= 0:
            raise _silent(path)
        connection.settimeout(limit)
        try:
            chunk = connection.recv(65536)
        except TimeoutError as error:
            raise _silent(path) from error
        except OSError as error:
            raise NoDaemonError(f"the daemon on {path} hung up: {error}", "see `journalctl -u sleepd`") from error
        if not chunk:
            raise NoDaemonError(f"the daemon on {path} hung up before it answered", "see `journalctl -u sleepd`")
        pending += chunk
        if len(pending) > protocol.MAX_ANSWER_BYTES:
            raise SleepdError(
                f"the daemon on {path} sent more than {protocol.MAX_ANSWER_BYTES} bytes in one line", "report this with your version"
            )


def _silent(path: Path) -> NoDaemonError:
    return NoDaemonError(f"the daemon on {path} does not answer in time", "see `systemctl status sleepd` and `journalctl -u sleepd`")
