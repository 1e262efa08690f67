"""Answers requests from one model and swaps its adapter while it does.

One thread runs the model. It works on up to ``parallel`` answers in turns, one token each, so that a long
answer does not hold up a short one. Every request keeps the adapter that was in service when it was
accepted; a reload prepares the new one beside it and changes a single reference.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import torch

from sleepd.errors import ReloadError, SleepdError
from sleepd.journal import Event as LogEvent
from sleepd.journal import logger
from sleepd.serve.adapter_files import read_adapter, resolve_active
from sleepd.serve.base import LoadedBase
from sleepd.serve.decoding import Answer
from sleepd.serve.lora import Layers, LoraSwitch, linear_shapes, to_device
from sleepd.serve.values import (
    Event,
    Failed,
    Finished,
    Identity,
    Message,
    ModelInfo,
    Piece,
    QueueState,
    ReloadFailure,
    RequestError,
    Sampling,
)

log = logger(__name__)

_RETRY_AFTER_SECONDS = 2


@dataclass(frozen=True)
class Generation:
    """Weights in service and what they are called. Lives as long as a request that was accepted under it."""

    identity: Identity
    layers: Layers


class _Request:
    """An accepted request. ``cancelled`` may be set from any thread; the rest belongs to the engine's."""

    def __init__(self, generation: Generation, answer: Answer, prompt_tokens: int, deliver: Callable[[Event], None]) -> None:
        self.generation = generation
        self.answer = answer
        self.deliver = deliver
        self.cancelled = False
        self.identity = generation.identity
        self.prompt_tokens = prompt_tokens

    def cancel(self) -> None:
        self.cancelled = True


class Engine:
    """See the module. ``adapters``: the directory with the ``active`` link."""

    def __init__(self, base: LoadedBase, adapters: Path, parallel: int, max_waiting: int) -> None:
        self._base = base
        self._adapters = adapters
        self._parallel = parallel
        self._max_waiting = max_waiting
        self._shapes = linear_shapes(base.model)
        self._switch = LoraSwitch(base.model)
        self._reload_lock = threading.Lock()
        self._generation = Generation(Identity(1, None, None), {})
        self._last_reload_error: ReloadFailure | None = None
        self._changed = threading.Condition()
        self._waiting: deque[_Request] = deque()
        self._running: list[_Request] = []
        self._stopping = False
        self._step_began: float | None = None
        self._thread = threading.Thread(target=self._run, name="sleepd-generate", daemon=True)

    @property
    def info(self) -> ModelInfo:
        return self._base.info

    @property
    def identity(self) -> Identity:
        return self._generation.identity

    @property
    def last_reload_error(self) -> ReloadFailure | None:
        return self._last_reload_error

    def start(self) -> None:
        """Take up what is active and begin to answer. With an unusable adapter the base model answers, and says so."""
        try:
            self._generation = Generation(*self._read(1))
        except SleepdError as error:
            self._refused(error)
        self._thread.start()

    def stop(self, deadline_seconds: float) -> None:
        """End the thread; whatever is unfinished fails with 503."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        self._thread.join(deadline_seconds)

    def queue(self) -> QueueState:
        with self._changed:
            return QueueState(len(self._running), len(self._waiting), self._max_waiting)

    def stalled_seconds(self) -> float:
        """How long the forward pass in progress has taken; infinite when the thread has died."""
        began = self._step_began
        if not self._thread.is_alive():
            return float("inf")
        return 0.0 if began is None else time.monotonic() - began

    def encode(self, messages: Sequence[Message]) -> list[int]:
        return self._base.text.encode(messages)

    def submit(self, prompt: Sequence[int], sampling: Sampling, deliver: Callable[[Event], None]) -> _Request:
        sampling = self._fit(len(prompt), sampling)
        answer = Answer(prompt, sampling, self._base.stop_ids, self._base.text.decode)
        with self._changed:
            if self._stopping:
                raise _stopping()
            if len(self._waiting) >= self._max_waiting:
                self._waiting = deque(request for request in self._waiting if not request.cancelled)
            if len(self._waiting) >= self._max_waiting:
                raise RequestError(
                    f"{len(self._waiting)} requests are waiting, the limit is {self._max_waiting}",
                    "try again in a moment",
                    status=503,
                    code="overloaded",
                    retry_after=_RETRY_AFTER_SECONDS,
                )
            request = _Request(self._generation, answer, len(prompt), deliver)
            self._waiting.append(request)
            self._changed.notify()
        return request

    def reload(self) -> Identity:
        """Follow the active link. One reload at a time; the same adapter again changes nothing."""
        with self._reload_lock:
            served = self._generation.identity
            try:
                identity, layers = self._read(served.generation + 1)
            except SleepdError as error:
                self._refused(error)
                raise
            self._last_reload_error = None
            if (identity.adapter_id, identity.adapter_sha256) == (served.adapter_id, served.adapter_sha256):
                log.info(LogEvent.SERVE_RELOADED, adapter=served.label, generation=served.generation, changed=False)
                return served
            self._generation = Generation(identity, layers)
            log.info(LogEvent.SERVE_RELOADED, adapter=identity.label, generation=identity.generation, changed=True, before=served.label)
            return identity

    def _read(self, number: int) -> tuple[Identity, Layers]:
        directory = resolve_active(self._adapters)
        if directory is None:
            return Identity(number, None, None), {}
        adapter = read_adapter(directory, self._shapes, self._base.info.base_sha256)
        try:
            layers = to_device(adapter.layers, self._base.device)
        except RuntimeError as error:
            raise ReloadError(
                f"{adapter.id} does not fit on {self._base.device}: {error}", "free the device's memory, then reload again"
            ) from error
        return Identity(number, adapter.id, adapter.sha256), layers

    def _refused(self, error: SleepdError) -> None:
        """What was served before goes on; the reason is kept for /health and logged."""
        self._last_reload_error = ReloadFailure(error.message, error.remedy, datetime.now(UTC).isoformat(timespec="seconds"))
        log.error(LogEvent.SERVE_RELOAD_FAILED, serves=self._generation.identity.label, error=error.message, remedy=error.remedy)

    def _fit(self, prompt_tokens: int, sampling: Sampling) -> Sampling:
        """The answer's length, cut to what the context leaves."""
        context = self._base.info.context_tokens
        room = context - prompt_tokens
        if room < 1:
            raise RequestError(
                f"the messages are {prompt_tokens} tokens, the model's context is {context} with the answer",
                f"shorten them by at least {1 - room} tokens",
                code="context_length_exceeded",
                param="messages",
            )
        return sampling if sampling.max_tokens <= room else replace(sampling, max_tokens=room)

    # -- the engine's own thread ---------------------------------------------------------------------------

    @torch.inference_mode()
    def _run(self) -> None:
        while self._admit():
            self._round()
        with self._changed:
            left = [*self._running, *self._waiting]
            self._running.clear()
            self._waiting.clear()
        for request in left:
            request.deliver(Failed(_stopping()))

    def _round(self) -> None:
        """One token for everyone. In a function of its own: an idle loop must not hold on to its last request."""
        for request in list(self._running):
            if request.cancelled or self._step(request):
                with self._changed:
                    self._running.remove(request)

    def _admit(self) -> bool:
        """Wait for work and move what may start into the round; False when the engine stops."""
        with self._changed:
            while not (self._waiting or self._running or self._stopping):
                self._changed.wait()
            while self._waiting and len(self._running) < self._parallel:
                request = self._waiting.popleft()
                if not request.cancelled:
                    self._running.append(request)
            return not self._stopping

    def _step(self, request: _Request) -> bool:
        """One token for one request; True when it has ended. A fault ends this request and no other."""
        self._step_began = time.monotonic()
        try:
            with self._switch.using(request.generation.layers):
                text = request.answer.step(self._base.model)
        except RequestError as error:
            request.deliver(Failed(error))
            return True
        except Exception as error:  # whatever torch raises for this request must not end the service for all others
            log.exception(LogEvent.REQUEST_FAILED, adapter=request.identity.label, prompt_tokens=request.prompt_tokens)
            failure = RequestError(
                f"generation failed: {type(error).__name__}: {error}", "see the service's log", status=500, code="generation_failed"
            )
            request.deliver(Failed(failure))
            return True
        finally:
            self._step_began = None
        if text:
            request.deliver(Piece(text))
        if request.answer.reason is not None:
            request.deliver(Finished(request.answer.reason, request.answer.tokens))
            return True
        return False


def _stopping() -> RequestError:
    return RequestError(
        "the service is stopping", "try again when it is back", status=503, code="stopping", retry_after=_RETRY_AFTER_SECONDS
    )
