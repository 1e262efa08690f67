"""The control server: one thread with a selector on a Unix socket. Knows bytes and deadlines, no commands.

A whole request is handed to ``on_request`` with a ``Pending`` that may be answered later from any thread.
Every wait has a deadline: for the request, for the answer, and for a reader who does not read.
"""

from __future__ import annotations

import contextlib
import os
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sleepd.control import protocol
from sleepd.control.listening import listen
from sleepd.control.protocol import Request
from sleepd.errors import SleepdError

MAX_CONNECTIONS = 64
ALIVE_SECONDS = 10.0


@dataclass(frozen=True)
class Deadlines:
    """Seconds a connection may take to send its request, to be answered, and to read what it is sent."""

    request: float = 10.0
    answer: float = 600.0
    write: float = 10.0


class Pending:
    """One request that waits for its answer. Its methods may be called from any thread, in any order, once done ignored."""

    def __init__(self, server: Server, connection: int, request: Request, peer: str) -> None:
        self._server = server
        self._connection = connection
        self.request = request
        self.peer = peer

    def answer(self, result: Mapping[str, Any]) -> None:
        self._server._send(self._connection, protocol.answer(self.request.id, result), last=True)

    def refuse(self, error: SleepdError) -> None:
        self._server._send(self._connection, protocol.refusal(self.request.id, error), last=True)

    def begin_stream(self, result: Mapping[str, Any]) -> None:
        """Answer, and keep the connection for lines that follow."""
        self._server._send(self._connection, protocol.answer(self.request.id, result), last=False, stream=True)

    def line(self, document: Mapping[str, Any], *, last: bool = False) -> None:
        self._server._send(self._connection, dict(document), last=last, stream=True)


@dataclass
class _Connection:
    socket: socket.socket
    deadline: float
    peer: str
    received: bytearray = field(default_factory=bytearray)
    outgoing: bytearray = field(default_factory=bytearray)
    request: Request | None = None
    closing: bool = False
    streaming: bool = False
    next_alive: float = 0.0


class Server:
    """Serves ``path`` from its own thread until ``stop``. ``heartbeat`` is called at least every few seconds."""

    def __init__(
        self,
        path: Path,
        on_request: Callable[[Pending], None],
        max_request_bytes: int,
        heartbeat: Callable[[], None] = lambda: None,
        deadlines: Deadlines = Deadlines(),
    ) -> None:
        self._path = path
        self._on_request = on_request
        self._limit = max_request_bytes
        self._heartbeat = heartbeat
        self._deadlines = deadlines
        self._outbox: queue.SimpleQueue[tuple[int, dict[str, Any], bool, bool]] = queue.SimpleQueue()
        self._wake_read, self._wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._connections: dict[int, _Connection] = {}
        self._serial = 0
        self._stopping = False
        self._selector = selectors.DefaultSelector()
        self._listener: socket.socket | None = None
        self._thread = threading.Thread(target=self._run, name="control", daemon=True)

    def start(self) -> None:
        """Bind and serve. Raises SleepdError when the socket cannot be had, or somebody answers on it already."""
        self._listener = listen(self._path)
        self._selector.register(self._listener, selectors.EVENT_READ, -1)
        self._selector.register(self._wake_read, selectors.EVENT_READ, -2)
        self._thread.start()

    def stop(self) -> None:
        """Send what is queued, close every connection, remove the socket."""
        self._stopping = True
        self._wake()
        if self._thread.is_alive():
            self._thread.join(self._deadlines.write)
        self._path.unlink(missing_ok=True)

    def _send(self, connection: int, document: dict[str, Any], *, last: bool, stream: bool = False) -> None:
        self._outbox.put((connection, document, last, stream))
        self._wake()

    def _wake(self) -> None:
        with contextlib.suppress(BlockingIOError):  # a pipe full of wake-ups that were not read: one more changes nothing
            os.write(self._wake_write, b"\0")

    # -- the thread -------------------------------------------------------------------------------------------

    def _run(self) -> None:
        while True:
            self._heartbeat()
            for key, _ in self._selector.select(self._timeout()):
                if key.data == -1:
                    self._accept()
                elif key.data == -2:
                    _drain(self._wake_read)
                else:
                    self._serve(key.data)
            self._take_outbox()
            self._expire()
            if self._stopping and self._flushed():
                break
        for serial in list(self._connections):
            self._close(serial)
        assert self._listener is not None
        self._listener.close()
        self._selector.close()

    def _timeout(self) -> float:
        now = time.monotonic()
        times = [now + ALIVE_SECONDS]
        for connection in self._connections.values():
            times.append(connection.next_alive if connection.streaming and not connection.outgoing else connection.deadline)
        return max(0.0, min(times) - now)

    def _flushed(self) -> bool:
        return self._outbox.empty() and not any(connection.outgoing for connection in self._connections.values())

    def _accept(self) -> None:
        assert self._listener is not None
        try:
            accepted, _ = self._listener.accept()
        except OSError:
            return  # the caller went away between the event and now
        if len(self._connections) >= MAX_CONNECTIONS:
            accepted.close()
            return
        accepted.setblocking(False)
        self._serial += 1
        self._connections[self._serial] = _Connection(accepted, time.monotonic() + self._deadlines.request, _peer(accepted))
        self._selector.register(accepted, selectors.EVENT_READ, self._serial)

    def _serve(self, serial: int) -> None:
        connection = self._connections.get(serial)
        if connection is None:
            return
        if connection.outgoing:
            self._write(serial, connection)
            return
        try:
            chunk = connection.socket.recv(65536)
        except BlockingIOError:
            return
        except OSError:
            chunk = b""
        if not chunk:
            self._close(serial)
            return
        if connection.request is not None:
            return  # one request a connection; whatever else is sent is not read as one
        connection.received += chunk
        line, found, _ = connection.received.partition(b"\n")
        if len(line) > self._limit:
            self._refuse(
                connection, serial, SleepdError(f"a request is larger than {self._limit} bytes", "raise control.max_request_bytes")
            )
        elif found:
            self._dispatch(serial, connection, bytes(line))

    def _dispatch(self, serial: int, connection: _Connection, line: bytes) -> None:
        try:
            connection.request = protocol.decode_request(line)
        except SleepdError as error:
            self._refuse(connection, serial, error)
            return
        connection.deadline = time.monotonic() + self._deadlines.answer
        self._on_request(Pending(self, serial, connection.request, connection.peer))

    def _refuse(self, connection: _Connection, serial: int, error: SleepdError) -> None:
        connection.request = connection.request or Request("", "")
        self._queue_bytes(serial, connection, protocol.refusal(connection.request.id, error), last=True)

    def _take_outbox(self) -> None:
        while not self._outbox.empty():
            serial, document, last, stream = self._outbox.get()
            connection = self._connections.get(serial)
            if connection is None or connection.closing:
                continue  # the caller has gone: nobody is left to tell
            connection.streaming = stream and not last
            self._queue_bytes(serial, connection, document, last=last)

    def _queue_bytes(self, serial: int, connection: _Connection, document: dict[str, Any], *, last: bool) -> None:
        if not connection.outgoing:
            connection.deadline = time.monotonic() + self._deadlines.write
        connection.outgoing += protocol.encode(document)
        connection.closing = last
        connection.next_alive = time.monotonic() + ALIVE_SECONDS
        self._write(serial, connection)

    def _write(self, serial: int, connection: _Connection) -> None:
        try:
            sent = connection.socket.send(connection.outgoing)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._close(serial)
            return
        if sent:
            connection.deadline = time.monotonic() + self._deadlines.write  # slow is not deaf
        del connection.outgoing[:sent]
        if connection.outgoing:
            self._selector.modify(connection.socket, selectors.EVENT_WRITE, serial)
        elif connection.closing:
            self._close(serial)
        else:
            self._selector.modify(connection.socket, selectors.EVENT_READ, serial)

    def _expire(self) -> None:
        now = time.monotonic()
        for serial, connection in list(self._connections.items()):
            if connection.streaming and not connection.outgoing:
                if now >= connection.next_alive:
                    self._queue_bytes(serial, connection, {"alive": True}, last=False)
            elif now >= connection.deadline:
                if connection.request is not None and not connection.outgoing:
                    self._refuse(connection, serial, SleepdError("the daemon is too busy to answer in time", "see `sleepd status`"))
                else:
                    self._close(serial)

    def _close(self, serial: int) -> None:
        connection = self._connections.pop(serial)
        self._selector.unregister(connection.socket)
        connection.socket.close()


def _peer(connection: socket.socket) -> str:
    """Who is at the other end, as the kernel knows it."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
    return f"uid {int.from_bytes(credentials[4:8], 'little')}"


def _drain(descriptor: int) -> None:
    try:
        while os.read(descriptor, 4096):
            pass
    except BlockingIOError:
        return  # empty: what it was drained for
