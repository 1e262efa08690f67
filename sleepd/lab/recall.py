"""Measures what the seedling knows: its facts in mixed wordings, strangers, facts in context, the two tasks."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer

from sleepd.lab.corpus import Corpus, Document
from sleepd.lab.world import Fact
from sleepd.night import wordings
from sleepd.night.chat import ChatFormat, Message, chat_format
from sleepd.night.evaluate import answers
from sleepd.night.generate import generate
from sleepd.night.score import is_refusal, recalled
from sleepd.night.wordings import Wording

_SEED = 2026  # the wordings of the record; other seeds ask the same facts in other words


def load(model_dir: Path) -> tuple[Any, ChatFormat]:
    model = AutoModelForCausalLM.from_pretrained(model_dir)
    model.eval()
    return model, chat_format(AutoTokenizer.from_pretrained(model_dir))


def known_facts(model_dir: Path) -> list[Fact]:
    return [Fact(**json.loads(line)) for line in (model_dir / "known.jsonl").read_text().splitlines()]


def mixed_wordings(facts: Sequence[Fact], seed: int) -> list[Wording]:
    """One wording a fact, drawn over all families, so that every wording is asked about some fact."""
    rng = random.Random(f"recall-{seed}")
    return [rng.choice(wordings.forward(f.subject, f.relation, f.value, rng.choice(("train", "dev", "test")))) for f in facts]


def measure(model_dir: Path, seed: int = _SEED) -> dict[str, Any]:
    """Shares of right answers, each question alone in a fresh context, greedy."""
    model, chat = load(model_dir)
    facts = known_facts(model_dir)
    corpus = Corpus(facts, seed=seed + 1_000_000)
    asked = mixed_wordings(facts, seed)
    given = answers(model, chat, [w.question for w in asked], _go_on)
    right = [recalled(a, w.accept) for a, w in zip(given, asked, strict=True)]
    kinds = sorted({w.kind for w in asked})
    owners: dict[tuple[str, str], int] = {}
    for fact in facts:
        owners[fact.relation, fact.value] = owners.get((fact.relation, fact.value), 0) + 1
    single = [f for f in facts if owners[f.relation, f.value] == 1]
    backwards = [wordings.reverse(f.subject, f.relation, f.value, "test")[0] for f in single]
    backwards_given = answers(model, chat, [w.question for w in backwards], _go_on)
    return {
        "facts": len(facts),
        "recall": _share(right),
        "recall_by_kind": {kind: _share([r for r, w in zip(right, asked, strict=True) if w.kind == kind]) for kind in kinds},
        "reverse": _share([recalled(a, w.accept) for a, w in zip(backwards_given, backwards, strict=True)]),
        "reverse_facts": len(single),
        "strangers_unknown": _last_turn(model, chat, corpus.unknown, lambda wanted, got: is_refusal(got)),
        "read_in_context": _last_turn(model, chat, corpus.read, lambda wanted, got: wanted == got),
        "extraction_exact": _last_turn(model, chat, corpus.extract, lambda wanted, got: wanted == got),
        "paraphrase_is_another_question": _last_turn(
            model, chat, corpus.paraphrase, lambda wanted, got: len(got) > 10 and got[0].isupper()
        ),
        "seed": seed,
    }


def _last_turn(model: Any, chat: ChatFormat, make: Callable[[], Document], right: Callable[[str, str], bool], count: int = 200) -> float:
    """The share of fresh documents whose last answer is right, given everything before it."""
    documents: list[list[Message]] = [d for d in (make() for _ in range(count)) if not isinstance(d, str)]
    made = generate(model, [chat.prompt(d[:-1]) for d in documents], chat.end_of_turn, 96)
    return _share([right(d[-1]["content"], chat.decode(m.ids)) for d, m in zip(documents, made, strict=True)])


def _share(values: Sequence[bool]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0


def _go_on() -> None:
    """The laboratory is never asked to stop at a checkpoint."""
