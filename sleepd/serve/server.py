"""The process of the service: socket, signals, systemd, start and end. What it serves is in ``app`` and ``engine``.

SIGHUP follows the active link; SIGTERM and SIGINT let requests in flight finish, within a deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import threading
from collections.abc import Callable, Coroutine, Iterator, Mapping
from typing import TYPE_CHECKING

import uvicorn

from sleepd.errors import ConfigError, SleepdError
from sleepd.journal import Event, logger
from sleepd.notify import Notifier, watchdog_interval
from sleepd.serve.app import create_app
from sleepd.serve.capture import BufferCollector
from sleepd.serve.settings import ServeSettings

if TYPE_CHECKING:
    from sleepd.serve.engine import Engine

log = logger(__name__)

_ENGINE_STOP_SECONDS = 5.0
_STALLED_SECONDS = 300.0  # no forward pass takes this long; the longest prompt on a slow CPU needs a minute


def serve(settings: ServeSettings, env: Mapping[str, str], ready: Callable[[str], None] | None = None) -> int:
    """Load the model, answer until told to stop, and return the exit code. Call it on the main thread.

    Raises ConfigError or ModelError when it cannot start. The port is taken first, so that a second service
    fails at once, but nothing is accepted on it before there is an answer to give.
    """
    hung_up = threading.Event()
    signal.signal(signal.SIGHUP, lambda _number, _frame: hung_up.set())  # its default would end the process while it loads
    with contextlib.closing(_bind(settings.host, settings.port)) as listener, contextlib.closing(Notifier(env)) as notifier:
        engine = _load(settings)
        engine.start()
        try:
            service = _Service(settings, engine, listener, notifier, watchdog_interval(env), ready)
            asyncio.run(service.run_until_stopped(hung_up))
        finally:
            engine.stop(_ENGINE_STOP_SECONDS)
    log.info(Event.SERVE_STOPPED)
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
    except (OSError, UnicodeError) as error:
        raise ConfigError(f"serve.host {host!r} is no address: {error}", "set serve.host, for example to 127.0.0.1") from error
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
    """uvicorn with our signals, our word of when it is ready, and systemd kept informed."""

    def __init__(
        self,
        settings: ServeSettings,
        engine: Engine,
        listener: socket.socket,
        notifier: Notifier,
        watchdog_seconds: float | None,
        ready: Callable[[str], None] | None,
    ) -> None:
        collector = BufferCollector(settings.buffer) if settings.buffer else None
        # uvicorn's own log set-up would replace the one of this process
        config = uvicorn.Config(
            create_app(engine, collector, settings),
            log_config=None,
            log_level="warning",
            access_log=False,
            lifespan="on",
            timeout_graceful_shutdown=settings.shutdown_seconds,
        )
        super().__init__(config)
        self._engine = engine
        self._listener = listener
        self._notifier = notifier
        self._watchdog_seconds = watchdog_seconds
        self._ready = ready
        self._tasks: set[asyncio.Task[None]] = set()

    async def run_until_stopped(self, hung_up: threading.Event) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGHUP, lambda: self._spawn(self._reload()))
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.handle_exit, number, None)
        if hung_up.is_set():
            self._spawn(self._reload())
        if self._watchdog_seconds is not None:
            self._spawn(self._watch(self._watchdog_seconds))
        await self.serve([self._listener])

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Nothing: uvicorn would raise a caught signal again at the end, which would become the exit code."""
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        url = _url(self._listener)
        log.info(Event.SERVE_STARTED, url=url, model=self._engine.info.name, adapter=self._engine.identity.label)
        self._notifier.ready(self._status())
        if self._ready is not None:
            self._ready(url)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._notifier.stopping("finishing the requests in flight")
        await super().shutdown(sockets)

    def _status(self) -> str:
        failure = self._engine.last_reload_error
        served = f"serving {self._engine.info.name} with adapter {self._engine.identity.label} on {_url(self._listener)}"
        return f"{served}; last reload refused: {failure.message}" if failure else served

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)  # the loop itself holds tasks only weakly
        task.add_done_callback(self._tasks.discard)

    async def _reload(self) -> None:
        self._notifier.reloading()
        try:
            with contextlib.suppress(SleepdError):  # the engine has logged it, keeps what it serves, and /health tells
                await asyncio.to_thread(self._engine.reload)
        finally:
            self._notifier.ready(self._status())

    async def _watch(self, seconds: float) -> None:
        """Tell systemd that both the event loop and the engine move."""
        while self._engine.stalled_seconds() < _STALLED_SECONDS:
            self._notifier.watchdog()
            await asyncio.sleep(seconds)
        log.error(Event.COMPONENT_STALE, component="engine", seconds=_STALLED_SECONDS)


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
