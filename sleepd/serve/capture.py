"""Writes exchanges to the experience buffer behind the requests: never in their way, never their failure.

Only what a person said and what was answered is kept; system prompts are dropped, and the collector blacks
out secrets. A full queue or an unwritable buffer loses exchanges, visibly.
"""

from __future__ import annotations

import hashlib
import json
import queue
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from sleepd.errors import SleepdError
from sleepd.journal import Event, logger
from sleepd.serve.values import FinishReason, Identity, Message

log = logger(__name__)


class Collector(Protocol):
    """The part of ExperienceCollector that capture uses."""

    def add_exchange(
        self,
        prompt: str,
        response: str,
        session_number: int | None = None,
        phase: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        tool_calls: Sequence[Mapping[str, Any]] | None = None,
    ) -> Mapping[str, Any]: ...


class BufferCollector:
    """Opens the experience buffer with the first exchange, so that a bad buffer cannot keep the service from starting."""

    def __init__(self, buffer: Path) -> None:
        self._buffer = buffer
        self._collector: Collector | None = None

    def add_exchange(
        self,
        prompt: str,
        response: str,
        session_number: int | None = None,
        phase: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        tool_calls: Sequence[Mapping[str, Any]] | None = None,
    ) -> Mapping[str, Any]:
        if self._collector is None:
            from sleepd.experience.collector import ExperienceCollector

            self._collector = ExperienceCollector(self._buffer)
        return self._collector.add_exchange(prompt, response, session_number, phase, metadata, tool_calls)


@dataclass(frozen=True)
class Exchange:
    """One answered request."""

    messages: tuple[Message, ...]
    answer: str
    identity: Identity
    model: str
    reason: FinishReason
    session: int | None
    user: str | None


@dataclass(frozen=True)
class CaptureState:
    """What happened to the exchanges. ``filtered``: the collector chose not to store them."""

    enabled: bool
    stored: int
    filtered: int
    dropped: int
    failed: int
    last_error: str | None


class Capture:
    """A bounded queue and the thread behind it. ``collector`` None: nothing is captured."""

    def __init__(self, collector: Collector | None, limit: int = 256) -> None:
        self._collector = collector
        self._queue: queue.Queue[Exchange | None] = queue.Queue(limit)
        self._stored = self._filtered = self._dropped = self._failed = 0
        self._last_error: str | None = None
        self._thread = threading.Thread(target=self._run, name="sleepd-capture", daemon=True)

    def start(self) -> None:
        if self._collector is not None:
            self._thread.start()

    def stop(self, deadline_seconds: float) -> None:
        """Write what is queued, within the deadline."""
        if not self._thread.is_alive():
            return
        try:
            self._queue.put(None, timeout=deadline_seconds)
        except queue.Full:
            log.error(Event.CAPTURE_FAILED, error="the experience buffer took too long", lost=self._queue.qsize() + 1)
            return
        self._thread.join(deadline_seconds)
        if self._thread.is_alive():
            log.error(Event.CAPTURE_FAILED, error="the experience buffer took too long", lost_at_most=self._queue.qsize() + 1)

    def offer(self, exchange: Exchange) -> None:
        """Take an exchange if there is room. Never waits, never raises."""
        if self._collector is None:
            return
        try:
            self._queue.put_nowait(exchange)
        except queue.Full:
            self._dropped += 1
            self._note("the capture queue is full: the experience buffer is written too slowly")

    def state(self) -> CaptureState:
        return CaptureState(self._collector is not None, self._stored, self._filtered, self._dropped, self._failed, self._last_error)

    def _run(self) -> None:
        while (exchange := self._queue.get()) is not None:
            self._write(exchange)

    def _write(self, exchange: Exchange) -> None:
        assert self._collector is not None  # the thread is started only with one
        prompt, answer = exchange.messages[-1], exchange.answer.strip()
        if prompt.role != "user" or not prompt.content.strip() or not answer:
            self._filtered += 1
            return
        try:
            result = self._collector.add_exchange(prompt.content, answer, exchange.session, None, metadata(exchange), None)
        except Exception as error:  # noqa: BLE001 - a collector's fault must end neither this thread nor the service
            self._note(f"{error.message} ({error.remedy})" if isinstance(error, SleepdError) else f"{type(error).__name__}: {error}")
            self._failed += 1  # last: whoever sees the count sees its reason too
            return
        self._last_error = None
        if result.get("stored"):
            self._stored += 1
        else:
            self._filtered += 1

    def _note(self, problem: str) -> None:
        """Log a problem when it appears, not for each exchange that it costs."""
        if problem != self._last_error:
            log.error(Event.CAPTURE_FAILED, error=problem)
        self._last_error = problem


def metadata(exchange: Exchange) -> dict[str, Any]:
    """What the night has to know about an exchange: above all whether an adapter of ours wrote the reply."""
    earlier = [message for message in exchange.messages[:-1] if message.role != "system"]
    return {
        "source": "sleepd-serve",
        "model": exchange.model,
        "adapter": exchange.identity.label,
        "generation": exchange.identity.generation,
        "conversation": conversation(earlier),
        "turn": 1 + sum(message.role == "user" for message in earlier),
        "finish_reason": exchange.reason,
        "user": exchange.user,
    }


def conversation(earlier: Sequence[Message]) -> str | None:
    """A hash of the messages before this one; None at the start of a conversation."""
    if not earlier:
        return None
    return hashlib.sha256(json.dumps([[m.role, m.content] for m in earlier]).encode()).hexdigest()[:16]
