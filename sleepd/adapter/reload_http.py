"""Reloaders that speak HTTP: any service with a reload URL, and sleepd's own server."""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

from sleepd.adapter.http_exchange import exchange
from sleepd.adapter.identity import BASE, HEALTH_SECONDS, Chat, Health, lookup
from sleepd.errors import ReloadError, ReloadUnknownError
from sleepd.records import Served


class HttpReloader:
    """A templated POST: ``{directory}`` and ``{adapter}`` in the URL and the body are filled in.

    Without an adapter ``{directory}`` is empty and ``{adapter}`` is ``base``.
    """

    kind = "http"

    def __init__(self, url: str, body: str, timeout: float, health: Health | None, chat: Chat | None) -> None:
        self._url, self._body, self._timeout, self._health, self._chat = url, body, timeout, health, chat

    def reload(self, directory: Path | None, adapter_id: str | None) -> None:
        values = {"{directory}": str(directory or ""), "{adapter}": adapter_id or BASE}
        url, body = self._url, self._body
        for key, value in values.items():
            url = url.replace(key, quote(value, safe=""))
            body = body.replace(key, json.dumps(value)[1:-1])  # escaped, so that a quote in a path cannot end a JSON string
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            exchange("POST", url, self._timeout, body.encode(), headers)
        except ReloadUnknownError:
            if not _serves(self.served(), adapter_id):
                raise

    def served(self) -> Served:
        return (
            self._health.served() if self._health else Served(healthy=True, detail="inference.health_url is not set; health is not known")
        )

    def ask(self, prompt: str, max_tokens: int) -> str | None:
        return self._chat.ask(prompt, max_tokens) if self._chat else None


class SleepdReloader:
    """``sleepd serve``: it follows the ``active`` link itself, resolved once a reload, and tells its identity.

    ``url`` is the server's address, as in ``http://127.0.0.1:8765``.
    """

    kind = "sleepd"

    def __init__(self, url: str, model: str, timeout: float) -> None:
        self._url, self._timeout = url.rstrip("/"), timeout
        self._chat = Chat(f"{self._url}/v1/chat/completions", model, timeout)

    def reload(self, directory: Path | None, adapter_id: str | None) -> None:
        try:
            exchange("POST", f"{self._url}/reload", self._timeout)
        except ReloadUnknownError:
            if not _serves(self.served(), adapter_id):
                raise
            return
        served = self.served()
        if served.healthy and not _serves(served, adapter_id):
            message = f"{self._url} serves {served.adapter_id} after a reload that should bring {adapter_id or BASE}"
            raise ReloadError(message, "start `sleepd serve` with the same state directory as the daemon")

    def served(self) -> Served:
        url = f"{self._url}/health"
        try:
            document = exchange("GET", url, min(self._timeout, HEALTH_SECONDS)).json()
            adapter, sha256, base, generation, status = (
                lookup(document, key) for key in ("adapter_id", "adapter_sha256", "base_sha256", "generation", "status")
            )
        except ReloadError as error:
            return Served(healthy=False, detail=error.message)
        return Served(
            healthy=status == "ok",
            adapter_id=BASE if adapter is None else str(adapter),
            adapter_sha256=None if sha256 is None else str(sha256),
            base_sha256=None if base is None else str(base),
            generation=generation if isinstance(generation, int) else None,
            detail=f"{url} says {status}",
        )

    def ask(self, prompt: str, max_tokens: int) -> str | None:
        return self._chat.ask(prompt, max_tokens)


def _serves(served: Served, adapter_id: str | None) -> bool:
    """Whether a service that did not answer in time says by its identity that it took the adapter nevertheless."""
    return served.healthy and served.adapter_id == (adapter_id or BASE)
