"""Everything the gate reads, measured on the trained model and on its base; the scale of the adapter; the canaries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from sleepd.night import evaluate, lora, rehearsal
from sleepd.night.base import Base, Texts
from sleepd.night.chat import ChatFormat
from sleepd.night.curate import Curated
from sleepd.night.dataset import Dataset
from sleepd.night.job import Job
from sleepd.night.progress import Reporter
from sleepd.night.rehearsal import Pool
from sleepd.records import Canary, Card

SCALES = (1.0, 0.85, 0.7, 0.55, 0.4)
KEPT_RECALL = 0.98
MAX_CANARIES = 12
MAX_OLD_PROBES = 200
GRADUATION = 0.75


def smallest_scale(model: Any, chat: ChatFormat, data: Dataset, reporter: Reporter) -> float:
    """The smallest factor that keeps 98 % of the recall on development wordings."""
    best = 1.0
    full = -1.0
    for factor in SCALES if data.dev else (1.0,):
        with lora.scaled(model, factor):
            flat = [ok for row in evaluate.probe(model, chat, data.dev, reporter.checkpoint).values() for ok in row]
        recall = sum(flat) / len(flat) if flat else 0.0
        full = recall if full < 0 else full
        if recall < KEPT_RECALL * full or full == 0.0:
            break
        best = factor
    return best


def examine(
    model: Any, base: Base, job: Job, curated: Curated, data: Dataset, pool: Pool, texts: Texts, reporter: Reporter
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Everything the gate reads, for base and candidate, and each card's new status."""
    chat, pause = base.chat, reporter.checkpoint
    new_sets = {c.id: data.test[c.id] for c in curated.cards}
    old_sets = {k.card.id: (data.test[k.card.id][job.cycle % 4],) for k in curated.living[:MAX_OLD_PROBES]}
    reverse_sets = {cid: forms for cid, forms in data.reverse_test.items() if cid in new_sets}
    encoded = evaluate.passages(chat, texts.held_out)

    def measure() -> dict[str, Any]:
        return {
            "new": evaluate.probe(model, chat, new_sets, pause),
            "old": evaluate.probe(model, chat, old_sets, pause),
            "reverse": evaluate.probe(model, chat, reverse_sets, pause),
            "text": evaluate.text_losses(model, encoded, pause),
            "collapse": evaluate.collapse(model, chat, texts.open_prompts, texts.dialogue, pause).as_dict(),
        }

    with model.disable_adapter():
        before = measure()
    reporter.step(1, 2, force=True)
    after = measure()
    agreed = evaluate.answers(model, chat, [r.prompt for r in pool.held_out], pause, rehearsal.ANSWER_TOKENS)
    kl = evaluate.divergences(model, pool.held_out, base.pad, pause)
    best = {k.card.id: k.best for k in curated.living}
    evaluation = {
        "new": [{"card_id": c, "base": before["new"][c], "candidate": after["new"][c]} for c in new_sets],
        "reverse": [{"card_id": c, "base": before["reverse"][c], "candidate": after["reverse"][c]} for c in reverse_sets],
        "old": [{"card_id": c, "best": best[c], "base": before["old"][c][0], "candidate": after["old"][c][0]} for c in old_sets],
        "rehearsal": [
            {"prompt": r.prompt, "same": r.answer == answer, "kl": round(nats, 6)}
            for r, answer, nats in zip(pool.held_out, agreed, kl, strict=True)
        ],
        "text": {"base": before["text"], "candidate": after["text"], "tokens": [int(ids.shape[1]) for ids in encoded]},
        "collapse": {"base": before["collapse"], "candidate": after["collapse"]},
    }
    return evaluation, card_rows(curated, after["new"], after["old"])


def card_rows(curated: Curated, new: Mapping[str, list[bool]], old: Mapping[str, list[bool]]) -> list[dict[str, Any]]:
    """Every card the night touched with its status after it; a card of 3 right in 4 graduates."""
    rows = []
    for decision in curated.decisions:
        if decision.card.id in new:
            passed = new[decision.card.id]
            stuck = sum(passed) >= GRADUATION * len(passed)
            rows.append(
                asdict(replace(decision.card, status="graduated" if stuck else "learning")) | {"recalled": stuck, "reason": decision.reason}
            )
    for known in curated.living:
        if known.card.id in old:
            kept = old[known.card.id][0]
            rows.append(
                asdict(replace(known.card, status="graduated" if kept else "fading")) | {"recalled": kept, "reason": "probed again"}
            )
    rows += [asdict(card) | {"recalled": False, "reason": "its value was corrected"} for card in curated.superseded]
    return rows


def canaries(
    model: Any, chat: ChatFormat, data: Dataset, cards: Sequence[Card], pool: Pool, tokens: int, reporter: Reporter
) -> list[Canary]:
    """Prompts that tell this adapter from any other: tonight's facts first, then some that the base answers too.

    A canary is ``new`` when the base answers it otherwise: those can only come from this adapter.
    """
    prompts = [data.test[c.id][0].question for c in cards[: MAX_CANARIES - 2]] + [r.prompt for r in pool.held_out[:2]]
    prompts += [r.prompt for r in pool.train if r.prompt][: max(0, 4 - len(prompts))]
    with model.disable_adapter():
        before = evaluate.answers(model, chat, prompts, reporter.checkpoint, tokens)
    after = evaluate.answers(model, chat, prompts, reporter.checkpoint, tokens)
    return [Canary(p, a, new=a != b) for p, a, b in zip(prompts, after, before, strict=True)]
