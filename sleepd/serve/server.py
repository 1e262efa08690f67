"""The process of the service: socket, signals, start and end. What it serves is in ``app`` and ``engine``.

SIGHUP follows the active link; SIGTERM and SIGINT let requests in flight finish, within a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import uvicorn

from sleepd.errors import ConfigError, SleepdError
from sleepd.serve.app import create_app
from sleepd.serve.capture import BufferCollector
from sleepd.serve.settings import ServeSettings

if TYPE_CHECKING:
    from sleepd.serve.engine import Engine

logger = logging.getLogger(__name__)

_ENGINE_STOP_SECONDS = 5.0


def serve(settings: ServeSettings, ready: Callable[[str], None] | None = None) -> int:
    """Load the model, answer until told to stop, and return the exit code. Call it on the main thread.

    Raises ConfigError or ModelError when it cannot start. The port is taken first, so that a second service
    fails at once, but nothing is accepted on it before there is an answer to give.
    """
    hung_up = threading.Event()
    signal.signal(signal.SIGHUP, lambda _number, _frame: hung_up.set())  # its default would end the process while it loads
    with contextlib.closing(_bind(settings.host, settings.port)) as listener:
        engine = _load(settings)
        engine.start()
        try:
            asyncio.run(_Service(settings, engine, listener, ready).run_until_stopped(hung_up))
        finally:
            engine.stop(_ENGINE_STOP_SECONDS)
    logger.info("stopped")
    return 0


def _load(settings: ServeSettings) -> Engine:
    # torch takes seconds to import and is needed from here on only
    from sleepd.serve.base import load_base
    from sleepd.serve.engine import Engine

    return Engine(load_base(settings), settings.adapters, settings.parallel, settings.max_waiting)


def _bind(host: str, port: int) -> socket.socket:
    """A bound socket that does not listen yet; ConfigError when the address cannot be had."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as error:
        raise ConfigError(
            f"serve.host {host!r} is no address of this machine: {error.strerror or error}", "set serve.host, for example to 127.0.0.1"
        ) from error
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
    except OSError as error:
        listener.close()
        raise ConfigError(
            f"cannot listen on {host} port {port}: {error.strerror or error}", "stop what uses it, or set serve.host and serve.port"
        ) from error
    return listener


class _Service(uvicorn.Server):
    """uvicorn with our signals and our word of when it is ready."""

    def __init__(self, settings: ServeSettings, engine: Engine, listener: socket.socket, ready: Callable[[str], None] | None) -> None:
        collector = BufferCollector(settings.buffer) if settings.buffer else None
        app = create_app(engine, collector, settings)
        # uvicorn's own log set-up would replace the one of this process
        super().__init__(
            uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=settings.shutdown_seconds)
        )
        self._engine = engine
        self._listener = listener
        self._ready = ready
        self._reloads: set[asyncio.Task[None]] = set()

    async def run_until_stopped(self, hung_up: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, self._reload_soon)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        if hung_up.is_set():
            self._reload_soon()
        await self.serve([self._listener])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: uvicorn would raise a caught signal again at the end, which would become the exit code."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        url = _url(self._listener)
        logger.info("serving %s with adapter %s on %s", self._engine.info.name, self._engine.identity.label, url)
        if self._ready is not None:
            self._ready(url)

    def _reload_soon(self) -> None:
        task = asyncio.get_running_loop().create_task(self._reload())
        self._reloads.add(task)
        task.add_done_callback(self._reloads.discard)

    async def _reload(self) -> None:
        with contextlib.suppress(SleepdError):  # the engine has logged it, keeps what it serves, and /health tells
            await asyncio.to_thread(self._engine.reload)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
