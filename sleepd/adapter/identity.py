"""What an inference service says about itself, and what it answers when it is asked a canary.

Owns the reading of health documents and of OpenAI-compatible chat answers, for every kind of reloader. A served
adapter id of ``base`` means that the service says it serves no adapter; None means that it does not say.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from sleepd.adapter.http_exchange import exchange
from sleepd.errors import ReloadError
from sleepd.records import Served

BASE = "base"
HEALTH_SECONDS = 10.0  # a health document is a look, not work: a service that needs longer is not healthy

_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True)
class Health:
    """A health document at ``url``. ``path``: dotted path of the adapter in it, numbers for list positions, or empty."""

    url: str
    path: str
    timeout: float

    def served(self) -> Served:
        """Healthy when the URL answers; raises nothing, because a service that is down is an answer too."""
        try:
            answer = exchange("GET", self.url, min(self.timeout, HEALTH_SECONDS))
            if not self.path:
                return Served(healthy=True, detail=f"{self.url} answers; inference.health_adapter_path is not set")
            return _adapter(lookup(answer.json(), self.path), f"{self.url} {self.path}")
        except ReloadError as error:
            return Served(healthy=False, detail=error.message)


@dataclass(frozen=True)
class Chat:
    """An OpenAI-compatible chat endpoint. ``model``: sent when it is not empty."""

    url: str
    model: str
    timeout: float

    def ask(self, prompt: str, max_tokens: int) -> str:
        """The greedy answer to ``prompt`` alone, stripped; capture off, so that no probe enters the buffer."""
        request: dict[str, object] = {
            "messages": [{"role": "user", "content": prompt}],
            "max_tokens": max_tokens,
            "temperature": 0,
            "stream": False,
        }
        if self.model:
            request["model"] = self.model
        headers = {"Content-Type": "application/json", "X-Sleepd-Capture": "off"}
        answer = exchange("POST", self.url, self.timeout, json.dumps(request).encode(), headers)
        content = lookup(answer.json(), "choices.0.message.content")
        if not isinstance(content, str):
            raise ReloadError(f"{self.url} did not answer with a chat completion", "inference.chat_url must be OpenAI-compatible")
        return content.strip()


def lookup(document: object, path: str) -> object:
    """The value at a dotted path, positions in lists as numbers; raises ReloadError when it is not there."""
    here = document
    for key in path.split("."):
        if isinstance(here, Mapping) and key in here:
            here = here[key]
        elif isinstance(here, list) and key.isdecimal() and int(key) < len(here):
            here = here[int(key)]
        else:
            raise ReloadError(f"the answer has no {path!r} ({key!r} is missing)", "correct inference.health_adapter_path")
    return here


def _adapter(value: object, where: str) -> Served:
    """A service may name its adapter by id, by the directory it was loaded from, or by hash."""
    if value is None or value == "":
        return Served(healthy=True, adapter_id=BASE, detail=f"{where} names no adapter")
    if not isinstance(value, str):
        raise ReloadError(f"{where} is {value!r}, not a text", "correct inference.health_adapter_path")
    if _SHA256.fullmatch(value):
        return Served(healthy=True, adapter_sha256=value, detail=f"{where} is {value[:16]}")
    return Served(healthy=True, adapter_id=value.rstrip("/").rpartition("/")[2], detail=f"{where} is {value}")
