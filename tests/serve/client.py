"""A plain HTTP client and helpers for waiting. No test sleeps: it waits for a condition with a deadline."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import uvicorn
from starlette.applications import Starlette

DEADLINE_SECONDS = 30.0


def wait_until(condition: Callable[[], object], what: str, seconds: float = DEADLINE_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    tick = threading.Event()
    while not condition():
        assert time.monotonic() < deadline, f"waited {seconds} s in vain until {what}"
        tick.wait(0.01)


@dataclass(frozen=True)
class Reply:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def text(self) -> str:
        return str(self.json["choices"][0]["message"]["content"])

    @property
    def events(self) -> list[Any]:
        """The documents of a stream of server-sent events, without the closing mark."""
        lines = [line.removeprefix("data: ") for line in self.body.decode().split("\n\n") if line]
        return [json.loads(line) for line in lines if line != "[DONE]"]


@dataclass(frozen=True)
class Client:
    """Talks to one service; every call is a new connection."""

    port: int

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_SECONDS)

    def request(self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None) -> Reply:
        with contextlib.closing(self.connect()) as connection:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())

    def get(self, path: str) -> Reply:
        return self.request("GET", path)

    def health(self) -> Any:
        return self.get("/health").json

    def reload(self) -> Reply:
        return self.request("POST", "/reload")

    def chat(self, question: str = "Where does Ada live?", headers: Mapping[str, str] | None = None, **fields: Any) -> Reply:
        document = {"messages": [{"role": "user", "content": question}], **fields}
        return self.request("POST", "/v1/chat/completions", json.dumps(document).encode(), headers)


@contextlib.contextmanager
def served(app: Starlette, shutdown_seconds: int = 10) -> Iterator[Client]:
    """Serve an application over real HTTP on a free port, in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="on", timeout_graceful_shutdown=shutdown_seconds)
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            wait_until(lambda: server.started, "the server has started")
            yield Client(listener.getsockname()[1])
        finally:
            server.should_exit = True
            thread.join(DEADLINE_SECONDS)
