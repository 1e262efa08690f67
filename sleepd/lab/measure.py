"""Measures one adapter on facts that the laboratory holds: what was learned, kept, leaked and disturbed.

The laboratory knows what the model knew beforehand and uses it here alone; no night ever sees it.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from sleepd.lab import world
from sleepd.lab.world import Fact
from sleepd.night import wordings
from sleepd.night.chat import chat_format
from sleepd.night.evaluate import answers, passages, text_losses
from sleepd.night.score import recalled
from sleepd.night.wordings import Wording


@dataclass(frozen=True)
class Probes:
    """Questions about one fact: ``direct`` and ``paraphrase`` were never trained, ``reverse`` may be empty."""

    fact: Fact
    direct: Wording
    paraphrase: Wording
    reverse: Wording | None


@dataclass(frozen=True)
class Standing:
    """What one adapter answers. Shares are of facts; ``text_loss`` is in nats a token."""

    direct: tuple[bool, ...]
    paraphrase: tuple[bool, ...]
    reverse: tuple[bool, ...]
    known: float
    text_loss: float
    leak: float

    def recall(self, start: int, end: int) -> float:
        """Recall of facts ``start`` to ``end``, direct and paraphrased together."""
        both = self.direct[start:end] + self.paraphrase[start:end]
        return sum(both) / len(both) if both else 0.0


def probes_of(fact: Fact, unique: bool) -> Probes:
    """The held-out questions of a fact of the synthetic world."""
    forms = wordings.forward(fact.subject, fact.relation, fact.value, "test")
    direct = next(w for w in forms if w.kind == "direct")
    paraphrase = next(w for w in forms if w.kind == "indirect")
    backwards = wordings.reverse(fact.subject, fact.relation, fact.value, "test")[0] if unique else None
    return Probes(fact, direct, paraphrase, backwards)


def unique_values(facts: Sequence[Fact], known: Sequence[Fact]) -> set[Fact]:
    """Facts whose value belongs to their subject alone, among tonight's and what the model knew."""
    owners: dict[tuple[str, str], int] = {}
    for fact in (*facts, *known):
        owners[fact.relation, fact.value] = owners.get((fact.relation, fact.value), 0) + 1
    return {fact for fact in facts if owners[fact.relation, fact.value] == 1}


def neighbours(facts: Sequence[Fact], seed: int) -> list[tuple[str, str]]:
    """Questions about strangers with the value that must not leak into the answer."""
    rng = random.Random(f"neighbours-{seed}")
    taken = {fact.subject for fact in facts}
    asked = []
    for fact in facts:
        first, _, last = fact.subject.partition(" ")
        other = f"{rng.choice(world.FIRST)} {last}" if rng.random() < 0.5 else f"{first} {world.made_up_word(rng)}"
        if other not in taken:
            forms = wordings.forward(other, fact.relation, fact.value, "test")
            asked.append((rng.choice(forms).question, fact.value))
    return asked


class Examiner:
    """Holds the base and asks the same questions of every adapter, each in a fresh context."""

    def __init__(self, model_dir: Path, probes: Sequence[Probes], known: Sequence[Wording], texts: Sequence[str], seed: int) -> None:
        self.model_dir, self.probes, self.known = model_dir, tuple(probes), tuple(known)
        self.chat = chat_format(AutoTokenizer.from_pretrained(model_dir))
        self.encoded = passages(self.chat, texts)
        self.neighbours = neighbours([p.fact for p in probes], seed)

    def examine(self, adapter: Path | None, upto: int) -> Standing:
        """Ask about the first ``upto`` facts, everything known before, and strangers."""
        model = self._load(adapter)
        asked = self.probes[:upto]
        values = {fact.value for fact in (p.fact for p in asked)}
        leaks = [(q, v) for q, v in self.neighbours[:upto] if v in values]
        leaked = self._answers(model, [q for q, _ in leaks])
        known = self._right(model, self.known)
        return Standing(
            direct=tuple(self._right(model, [p.direct for p in asked])),
            paraphrase=tuple(self._right(model, [p.paraphrase for p in asked])),
            reverse=tuple(self._right(model, [p.reverse for p in asked if p.reverse is not None])),
            known=sum(known) / len(known) if known else 0.0,
            text_loss=self._text(model),
            leak=sum(recalled(a, (v,)) for a, (_, v) in zip(leaked, leaks, strict=True)) / len(leaks) if leaks else 0.0,
        )

    def _load(self, adapter: Path | None) -> Any:
        model: Any = AutoModelForCausalLM.from_pretrained(self.model_dir)
        if adapter is not None:
            model = PeftModel.from_pretrained(model, str(adapter))
        model.eval()
        return model

    def _answers(self, model: Any, questions: Sequence[str]) -> list[str]:
        return answers(model, self.chat, questions, lambda: None)

    def _right(self, model: Any, forms: Sequence[Wording]) -> list[bool]:
        return [recalled(a, w.accept) for a, w in zip(self._answers(model, [w.question for w in forms]), forms, strict=True)]

    def _text(self, model: Any) -> float:
        losses = text_losses(model, self.encoded, lambda: None)
        lengths = [ids.shape[1] - 1 for ids in self.encoded]
        return sum(loss * n for loss, n in zip(losses, lengths, strict=True)) / sum(lengths)
