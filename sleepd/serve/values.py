"""What the parts of the service hand to each other. Free of torch, so that the HTTP side loads in no time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from sleepd.errors import SleepdError

FinishReason = Literal["stop", "length"]


class RequestError(SleepdError):
    """A request that gets an error instead of an answer. ``status`` is the HTTP status, ``param`` the field at fault."""

    def __init__(
        self,
        message: str,
        remedy: str = "",
        *,
        status: int = 400,
        code: str = "invalid_value",
        param: str | None = None,
        retry_after: int | None = None,
    ) -> None:
        super().__init__(message, remedy)
        self.status = status
        self.code = code
        self.param = param
        self.retry_after = retry_after


@dataclass(frozen=True)
class Message:
    """One turn of a conversation, as text."""

    role: str
    content: str


@dataclass(frozen=True)
class SamplingDefaults:
    """What the model's generation_config.json asks for when a request says nothing. Temperature 0 is greedy."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = 0


@dataclass(frozen=True)
class Sampling:
    """How one answer is chosen. ``top_k`` 0: no limit. ``seed`` None: a different answer each time."""

    temperature: float
    top_p: float
    top_k: int
    max_tokens: int
    stop: tuple[str, ...] = ()
    seed: int | None = None


@dataclass(frozen=True)
class ChatRequest:
    """A validated request for one answer."""

    messages: tuple[Message, ...]
    sampling: Sampling
    stream: bool
    include_usage: bool
    model: str | None
    user: str | None


@dataclass(frozen=True)
class Identity:
    """Which weights answer. ``generation`` counts the swaps of this process, from 1; no adapter: the base model."""

    generation: int
    adapter_id: str | None
    adapter_sha256: str | None

    @property
    def label(self) -> str:
        return self.adapter_id or "base"


@dataclass(frozen=True)
class ModelInfo:
    """The base model as served. ``context_tokens`` bounds prompt and answer together."""

    name: str
    base_sha256: str
    context_tokens: int
    device: str
    dtype: str
    created: int
    defaults: SamplingDefaults


@dataclass(frozen=True)
class QueueState:
    """How busy the service is. ``limit`` bounds ``waiting``."""

    running: int
    waiting: int
    limit: int


@dataclass(frozen=True)
class ReloadFailure:
    """Why the last reload changed nothing."""

    message: str
    remedy: str
    at: str


@dataclass(frozen=True)
class Piece:
    """Some more text of an answer."""

    text: str


@dataclass(frozen=True)
class Finished:
    """The answer is complete. ``completion_tokens`` counts its text, without the token that closes it."""

    reason: FinishReason
    completion_tokens: int


@dataclass(frozen=True)
class Failed:
    """The answer broke off."""

    error: RequestError


Event = Piece | Finished | Failed


class Ticket(Protocol):
    """An accepted request, pinned to one generation until it ends."""

    @property
    def identity(self) -> Identity: ...
    @property
    def prompt_tokens(self) -> int: ...
    def cancel(self) -> None:
        """Stop working on it; nothing more is delivered. Harmless after the end."""


class ChatEngine(Protocol):
    """What the HTTP side needs of an engine. Every method may be called from any thread."""

    @property
    def info(self) -> ModelInfo: ...
    @property
    def identity(self) -> Identity: ...
    @property
    def last_reload_error(self) -> ReloadFailure | None: ...
    def queue(self) -> QueueState: ...
    def encode(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation; RequestError when the model's chat template refuses it."""

    def submit(self, prompt: Sequence[int], sampling: Sampling, deliver: Callable[[Event], None]) -> Ticket:
        """Queue one answer. ``deliver`` gets Pieces, then one Finished or Failed, on the engine's thread."""

    def reload(self) -> Identity:
        """Follow the active link. Raises and keeps what is served when the new adapter is not usable."""
