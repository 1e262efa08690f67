"""Everything the gate reads, measured on the trained model and on its base; the scale of the adapter; the prompts that tell it apart."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from sleepd import cardlife
from sleepd.night import budget, evaluate, forgotten, harm, lora, rehearsal
from sleepd.night.base import Base, Texts
from sleepd.night.budget import Trial
from sleepd.night.chat import ChatFormat
from sleepd.night.curate import Curated
from sleepd.night.dataset import Dataset
from sleepd.night.job import Job
from sleepd.night.likelihood import answer_losses
from sleepd.night.progress import Reporter
from sleepd.night.rehearsal import Pool
from sleepd.records import Canary, Card

MAX_CANARIES = 12
GRADUATION = 0.75


@dataclass(frozen=True)
class Examined:
    """What the gate reads, each card's new status, the scale that the adapter was left at, and what was tried."""

    evaluation: dict[str, Any]
    cards: list[dict[str, Any]]
    scale: float
    trials: tuple[Trial, ...]


def dev_recall(model: Any, chat: ChatFormat, data: Dataset, reporter: Reporter) -> float | None:
    flat = [ok for row in evaluate.probe(model, chat, data.dev, reporter.checkpoint).values() for ok in row]
    return sum(flat) / len(flat) if flat else None


class Examination:
    """The questions of one night and how they are put: the same to the base and to any candidate."""

    def __init__(self, base: Base, job: Job, curated: Curated, data: Dataset, pool: Pool, texts: Texts, reporter: Reporter) -> None:
        self.base, self.data, self.pool, self.texts, self.reporter = base, data, pool, texts, reporter
        self.new_sets = {c.id: data.test[c.id] for c in curated.cards}
        self.old_sets = {k.card.id: (data.test[k.card.id][job.cycle % 4],) for k in curated.living if k.due}
        self.reverse_sets = {cid: forms for cid, forms in data.reverse_test.items() if cid in self.new_sets}
        self.best = {k.card.id: k.best for k in curated.living}
        self.harm = harm.prepare(job, curated, data, pool)
        self.encoded = evaluate.passages(base.chat, texts.held_out)

    def ask(self, model: Any) -> dict[str, Any]:
        """Every measurement that base and candidate share."""
        chat, pause = self.base.chat, self.reporter.checkpoint
        return {
            "new": evaluate.probe(model, chat, self.new_sets, pause),
            "old": evaluate.probe(model, chat, self.old_sets, pause),
            "reverse": evaluate.probe(model, chat, self.reverse_sets, pause),
            "text": evaluate.text_losses(model, self.encoded, pause),
            "collapse": evaluate.collapse(model, chat, self.texts.open_prompts, self.texts.dialogue, pause).as_dict(),
            "harm": harm.ask(model, chat, self.harm, pause),
        }

    def compare(self, model: Any, before: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
        """Ask the candidate; the evaluation of result.json, and the candidate's side alone."""
        after = self.ask(model)
        after["old"] |= self._asked_again([c for c, passed in after["old"].items() if not passed[0]], model)
        agreed = evaluate.answers(
            model, self.base.chat, [r.prompt for r in self.pool.held_out], self.reporter.checkpoint, rehearsal.ANSWER_TOKENS
        )
        same_wording = {c: self.data.test[c][:1] for c in self.old_sets}  # every night, or losses could not be compared
        losses = answer_losses(model, self.base.chat, same_wording, self.base.pad, self.reporter.checkpoint)
        evaluation = {
            "new": [{"card_id": c, "base": before["new"][c], "candidate": after["new"][c]} for c in self.new_sets],
            "reverse": [{"card_id": c, "base": before["reverse"][c], "candidate": after["reverse"][c]} for c in self.reverse_sets],
            "old": [
                {"card_id": c, "best": self.best[c], "base": before["old"][c][0], "candidate": after["old"][c][0], "loss": losses.get(c)}
                for c in self.old_sets
            ],
            "rehearsal": self._unrelated(model, agreed),
            "text": self._text(before, after["text"]),
            "collapse": {"base": before["collapse"], "candidate": after["collapse"]},
            **harm.evidence(self.harm, before["harm"], after["harm"]),
        }
        return evaluation, after

    def _asked_again(self, missed: Sequence[str], model: Any) -> dict[str, list[bool]]:
        """Earlier facts that were missed, asked for in all their test wordings: they are kept while they would graduate.

        What counts as recalled is then the same on every night; one wording in forty or so fails by itself, and a gate
        that takes each of those for a loss refuses good nights. The base, which knows few of them, is asked once.
        """
        passed = evaluate.probe(model, self.base.chat, {c: self.data.test[c] for c in missed}, self.reporter.checkpoint)
        return {c: [sum(row) >= GRADUATION * len(row)] for c, row in passed.items()}

    def trial(self, model: Any, before: Mapping[str, Any], gate: Mapping[str, Any]) -> tuple[str, ...]:
        """The budgets that the model exceeds as it is. The slow ones are left out once a quick one is exceeded."""
        chat, pause = self.base.chat, self.reporter.checkpoint
        found = budget.exceeded({"rehearsal": self._unrelated(model, None)}, gate)
        found = found or budget.exceeded({"text": self._text(before, evaluate.text_losses(model, self.encoded, pause))}, gate)
        found = found or budget.exceeded({"neighbours": harm.ask_neighbours(model, chat, self.harm, before["harm"], pause)}, gate)
        if found:
            return found
        now = evaluate.collapse(model, chat, self.texts.open_prompts, self.texts.dialogue, pause).as_dict()
        return budget.exceeded({"collapse": {"base": before["collapse"], "candidate": now}}, gate)

    def _unrelated(self, model: Any, agreed: Sequence[str] | None) -> list[dict[str, Any]]:
        kl = rehearsal.divergences(model, self.pool.held_out, self.base.pad, self.reporter.checkpoint)
        same = [True] * len(kl) if agreed is None else [r.answer == a for r, a in zip(self.pool.held_out, agreed, strict=True)]
        return [{"prompt": r.prompt, "same": s, "kl": round(nats, 6)} for r, s, nats in zip(self.pool.held_out, same, kl, strict=True)]

    def _text(self, before: Mapping[str, Any], candidate: list[float]) -> dict[str, Any]:
        return {"base": before["text"], "candidate": candidate, "tokens": [int(ids.shape[1]) for ids in self.encoded]}


def examine(
    model: Any,
    base: Base,
    job: Job,
    curated: Curated,
    data: Dataset,
    pool: Pool,
    texts: Texts,
    reporter: Reporter,
    *,
    choose_scale: bool,
) -> Examined:
    """Everything the gate reads, for base and candidate, and each card's new status.

    With ``choose_scale``, an adapter that exceeds a budget is made smaller, to the largest scale that exceeds none and
    keeps its recall, and measured again. Where there is none it stays as it is. An adapter within its budgets keeps its
    whole scale: the smallest one that still answers the development wordings was tried, and answered others worse.
    """
    scale = 1.0
    examination = Examination(base, job, curated, data, pool, texts, reporter)
    with model.disable_adapter():
        before = examination.ask(model)
    reporter.step(1, 2, force=True)
    evaluation, after = examination.compare(model, before)
    beyond = budget.exceeded(evaluation, job.gate)
    tried: list[Trial] = []
    if beyond and choose_scale:
        full = Trial(scale, beyond, dev_recall(model, base.chat, data, reporter))

        def attempt(wanted: float) -> Trial:
            with lora.scaled(model, wanted):
                return Trial(wanted, examination.trial(model, before, job.gate), dev_recall(model, base.chat, data, reporter))

        min_recall = float(job.gate.get("min_new_recall", 0.0))
        tried = [full, *budget.largest_within(full, attempt, min_recall)]
        smaller = budget.chosen(tried, min_recall)
        if smaller is not None:
            scale = smaller.scale
            lora.bake_scale(model, scale)
            evaluation, after = examination.compare(model, before)
    evaluation |= forgotten.evidence(model, base, job.forget, reporter.checkpoint)
    rows = card_rows(curated, after["new"], after["old"], relearned=job.kind == "deep")
    return Examined(evaluation, rows, scale, tuple(tried))


def card_rows(
    curated: Curated, new: Mapping[str, list[bool]], old: Mapping[str, list[bool]], *, relearned: bool = False
) -> list[dict[str, Any]]:
    """Every card the night touched with its status after it; a card of 3 right in 4 is recalled.

    ``taught``: the night taught it, and did not only replay it. ``relearned``: that holds for every earlier card too.
    """
    rows = []
    for decision in curated.decisions:
        if decision.card.id in new:
            passed = new[decision.card.id]
            stuck = sum(passed) >= GRADUATION * len(passed)
            status = cardlife.after(cardlife.Life(), "taught", recalled=stuck).status
            rows.append(asdict(replace(decision.card, status=status)) | {"recalled": stuck, "taught": True, "reason": decision.reason})
    for known in curated.living:
        if known.card.id in old and known.card.id not in new:
            kept = old[known.card.id][0]
            taught = relearned or cardlife.comes_back(known.life)
            life = cardlife.after(known.life, "taught" if taught else "probed", recalled=kept)
            reason = f"taught on {life.misses} nights and not recalled" if life.status == "stubborn" else "probed again"
            rows.append(asdict(replace(known.card, status=life.status)) | {"recalled": kept, "taught": taught, "reason": reason})
    rows += [asdict(card) | {"recalled": False, "reason": "it was corrected or taken back"} for card in curated.superseded]
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
