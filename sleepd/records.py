"""Frozen values handed between the stages of a cycle. No behaviour, no input or output."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

CycleKind = Literal["light", "deep"]
Phase = Literal["DAY", "NIGHT", "DEEP_NIGHT"]
CardStatus = Literal["new", "learning", "graduated", "fading", "stubborn", "superseded", "forgotten", "quarantined"]
Verdict = Literal["committed", "rejected", "rolled_back", "abandoned", "stopped"]


@dataclass(frozen=True)
class Salience:
    """SNARC scores, each in 0..1; ``total`` is their mean unless a writer says otherwise."""

    surprise: float
    novelty: float
    arousal: float
    reward: float
    conflict: float
    total: float


@dataclass(frozen=True)
class Experience:
    """One exchange from a buffer. ``id`` is sha256(prompt|response)[:16]; ``timestamp`` ISO 8601 or None."""

    id: str
    prompt: str
    response: str
    salience: Salience
    session: int | None = None
    phase: str | None = None
    timestamp: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    tool_calls: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class EntryError:
    """An entry that is no experience. ``entry`` is its position in the file, from 0."""

    entry: int
    reason: str
    excerpt: str = ""


@dataclass(frozen=True)
class Card:
    """One fact in the user's own words.

    ``subject``: a name, ``user``, or ``user's sister``. ``importance`` is in 0..1. ``quote`` is the
    sentence of the speaker that holds ``value``. ``id`` is sha256(subject|relation|value)[:16], lower case.
    ``origin``: "pattern" or "model", whichever read it first. Among the cards of one exchange ``status``
    "superseded" marks what the speaker took back: it was so, and is no longer.
    """

    id: str
    subject: str
    relation: str
    value: str
    quote: str
    speaker: str
    time: str | None
    session: int | None
    importance: float
    experience_id: str
    status: CardStatus = "new"
    origin: str = "pattern"


@dataclass(frozen=True)
class ScreenVerdict:
    """What the screen made of one experience. No ``reasons``: its reply may serve as an example.

    ``trimmed``: the reply up to its last whole sentence, when the original was cut off.
    """

    experience_id: str
    reasons: tuple[str, ...] = ()
    cards: tuple[Card, ...] = ()
    trimmed: str | None = None

    @property
    def example(self) -> bool:
        return not self.reasons

    @property
    def usable(self) -> bool:
        return self.example or bool(self.cards)


@dataclass(frozen=True)
class Totals:
    """Distinct experiences in the ledger. ``new``: usable ones that no committed cycle has trained."""

    experiences: int
    usable: int
    examples: int
    with_cards: int
    new: int


@dataclass(frozen=True)
class Check:
    """One condition of a decision, with its numbers in ``detail``."""

    name: str
    ok: bool
    detail: str


@dataclass(frozen=True)
class Decision:
    """Whether a cycle runs now. ``reason`` is the first failed check's detail, or why it is ready."""

    should_run: bool
    reason: str
    checks: tuple[Check, ...]
    kind: CycleKind = "light"


@dataclass(frozen=True)
class BaseModel:
    """A base model on disk. ``sha256`` covers weights, configuration and tokenizer."""

    path: str
    sha256: str
    architecture: str
    bytes: int


@dataclass(frozen=True)
class Canary:
    """A prompt and the exact greedy answer that the child recorded from the candidate in a fresh context.

    ``new``: it asks for a fact that was learned tonight, so the adapter before answers otherwise.
    """

    prompt: str
    answer: str
    new: bool = False


@dataclass(frozen=True)
class Served:
    """What an inference service says it serves. Unknown fields are None."""

    healthy: bool
    adapter_id: str | None = None
    adapter_sha256: str | None = None
    base_sha256: str | None = None
    generation: int | None = None
    detail: str = ""


@dataclass(frozen=True)
class GateCheck:
    """One check of the gate. ``numbers`` are what it measured and its limits."""

    name: str
    ok: bool
    detail: str
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class GateReport:
    """All checks of one candidate. It is accepted when every check is ok."""

    checks: tuple[GateCheck, ...]

    @property
    def accepted(self) -> bool:
        return bool(self.checks) and all(check.ok for check in self.checks)

    @property
    def reasons(self) -> tuple[str, ...]:
        return tuple(f"{check.name}: {check.detail}" for check in self.checks if not check.ok)


@dataclass(frozen=True)
class Progress:
    """One line of the child's progress pipe. ``percent`` is of the whole cycle, ``eta_s`` seconds or None."""

    stage: str
    percent: float
    step: int = 0
    steps: int = 0
    loss: float | None = None
    eta_s: float | None = None
    message: str = ""
