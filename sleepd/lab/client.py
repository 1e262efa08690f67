"""A small HTTP client for an OpenAI-compatible service, as a user's program would have one."""

from __future__ import annotations

import http.client
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reply:
    """An answer and the adapter that gave it, as the service's headers name it."""

    text: str
    adapter: str
    generation: int


class Client:
    """Opens a connection a request, as most programs do; a broken one is an error, never retried."""

    def __init__(self, host: str, port: int, timeout: float = 60.0) -> None:
        self._host, self._port, self._timeout = host, port, timeout

    def chat(self, messages: Sequence[dict[str, str]], *, capture: bool, max_tokens: int = 48) -> Reply:
        """Ask for a greedy answer. Raises OSError or ValueError when the service fails."""
        body = json.dumps({"messages": list(messages), "temperature": 0, "max_tokens": max_tokens})
        headers = {"Content-Type": "application/json", **({} if capture else {"X-Sleepd-Capture": "off"})}
        response, document = self._request("POST", "/v1/chat/completions", body, headers)
        return Reply(
            str(document["choices"][0]["message"]["content"]).strip(),
            response.headers.get("X-Sleepd-Adapter", ""),
            int(response.headers.get("X-Sleepd-Generation", -1)),
        )

    def ask(self, question: str, *, capture: bool) -> Reply:
        return self.chat([{"role": "user", "content": question}], capture=capture)

    def health(self) -> dict[str, Any] | None:
        """The service's /health document, or None while it does not answer."""
        try:
            _, document = self._request("GET", "/health", None, {})
        except (OSError, ValueError, http.client.HTTPException):
            return None
        return document

    def _request(
        self, method: str, path: str, body: str | None, headers: dict[str, str]
    ) -> tuple[http.client.HTTPResponse, dict[str, Any]]:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=self._timeout)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            payload = response.read()
        finally:
            connection.close()
        if response.status != 200:
            raise ValueError(f"{method} {path} answered {response.status}: {payload[:200].decode(errors='replace')}")
        return response, dict(json.loads(payload))
