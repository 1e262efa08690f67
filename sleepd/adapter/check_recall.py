"""Gate checks on memory: what the night was to teach, what earlier nights taught, and what the base says anyway."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sleepd.adapter import evidence
from sleepd.adapter.evidence import EvidenceError
from sleepd.adapter.expected import Expected
from sleepd.adapter.limits import Limits
from sleepd.records import GateCheck
from sleepd.statistics import all_but_one_in_twenty, mcnemar

TEST_WORDINGS = 4
GRADUATES_WITH = 3  # of the four test wordings, none of which was trained
MIN_UNRELATED_ITEMS = 8  # fewer say nothing about the worst one in twenty


def graduates(answers: Sequence[bool]) -> bool:
    """Whether a card is recalled on enough of its test wordings."""
    return sum(answers) >= GRADUATES_WITH


def check_new_facts(result: Mapping[str, object], limits: Limits, expected: Expected) -> GateCheck:
    """Recipe check 1. What the base knew before is not counted as learned; a card that fails does not block, half of them do."""
    cards = evidence.rows(result, "evaluation.new")
    evidence.distinct([evidence.text(card, "card_id") for card in cards], "evaluation.new")
    base, candidate = ([_answers(card, key) for card in cards] for key in ("base", "candidate"))
    unknown = [now for before, now in zip(base, candidate, strict=True) if not graduates(before)]
    if not unknown:
        return _without_new_facts(result, len(cards))
    learned = sum(graduates(now) for now in unknown)
    recall = learned / len(unknown)
    right = sum(sum(now) for now in unknown) / (TEST_WORDINGS * len(unknown))
    numbers = {
        "new_cards": float(len(unknown)),
        "graduated": float(learned),
        "recall": recall,
        "min_new_recall": limits.min_new_recall,
        "wordings_right": right,
    }
    measured = f"{learned} of {len(unknown)} new facts recalled in untrained words ({recall:.0%}, at least {limits.min_new_recall:.0%})"
    if learned == 0:
        return GateCheck("new_facts", False, f"nothing was learned: {measured}", numbers)
    stuck = f"; {len(unknown) - learned} did not stick" if learned < len(unknown) else ""
    return GateCheck("new_facts", recall >= limits.min_new_recall, measured + stuck, numbers)


def _without_new_facts(result: Mapping[str, object], known: int) -> GateCheck:
    """A night of examples, or of earlier facts trained again, is judged by the other checks."""
    examples, earlier = evidence.count(result, "training.examples"), len(evidence.rows(result, "evaluation.old"))
    numbers = {"new_cards": 0.0, "known_to_base": float(known), "examples": float(examples), "earlier_cards": float(earlier)}
    if examples + earlier == 0:
        return GateCheck(
            "new_facts", False, f"nothing was learned: no new facts ({known} known to the base already) and no examples", numbers
        )
    detail = f"no new facts; {examples} examples and {earlier} earlier facts are judged by the other checks"
    return GateCheck("new_facts", True, detail, numbers)


def check_old_facts(result: Mapping[str, object], limits: Limits, expected: Expected) -> GateCheck:
    """Recipe check 2, against the base and against each fact's best so far, so that damage cannot creep."""
    facts = evidence.rows(result, "evaluation.old")
    evidence.distinct([evidence.text(fact, "card_id") for fact in facts], "evaluation.old")
    if not facts:
        if expected.earlier_cards:
            raise EvidenceError(f"evaluation.old is empty although {expected.earlier_cards} facts were trained in earlier nights")
        return GateCheck("old_facts", True, "no fact was trained in an earlier night", {"old_cards": 0.0})
    allowed = 1 + limits.max_old_regressions_share * len(facts)
    now = [evidence.flag(fact, "candidate") for fact in facts]
    numbers = {"old_cards": float(len(facts)), "recalled": float(sum(now)), "allowed": allowed, "old_alpha": limits.old_alpha}
    faults, measured = [], []
    for reference in ("best", "base"):
        before = [evidence.flag(fact, reference) for fact in facts]
        lost = sum(b and not n for b, n in zip(before, now, strict=True))
        gained = sum(n and not b for b, n in zip(before, now, strict=True))
        p = mcnemar(lost, gained)
        numbers |= {f"lost_{reference}": float(lost), f"gained_{reference}": float(gained), f"p_{reference}": p}
        against = f"against the {reference}: {lost} lost, {gained} gained of {len(facts)} earlier facts, p {p:.3g}"
        measured.append(against)
        if lost > allowed or p < limits.old_alpha:
            faults.append(f"{against} (at most {allowed:.1f} lost, p at least {limits.old_alpha:g})")
    return GateCheck("old_facts", not faults, "; ".join(faults or measured), numbers)


def check_unrelated(result: Mapping[str, object], limits: Limits, expected: Expected) -> GateCheck:
    """Recipe check 5: held-out prompts that the base made up, by divergence from what the base would say there.

    The share of identical answers is reported but does not judge: where the base itself wavers between two
    words, a hair's breadth decides which of them comes first.
    """
    items = evidence.rows(result, "evaluation.rehearsal")
    if len(items) < MIN_UNRELATED_ITEMS:
        raise EvidenceError(f"evaluation.rehearsal has {len(items)} items and at least {MIN_UNRELATED_ITEMS} are needed")
    nats = [evidence.number(item, "kl") for item in items]
    if min(nats) < 0:
        raise EvidenceError(f"evaluation.rehearsal holds a divergence below zero ({min(nats):g})")
    same = sum(evidence.flag(item, "same") for item in items)
    mean = sum(nats) / len(nats)
    high = all_but_one_in_twenty(nats)
    numbers = {
        "items": float(len(nats)),
        "kl": mean,
        "kl_p95": high,
        "same": float(same),
        "max_kl": limits.max_kl,
        "max_kl_p95": limits.max_kl_p95,
    }
    detail = (
        f"{mean:.4f} nat per token from the base on {len(nats)} unrelated prompts (limit {limits.max_kl:g}), "
        f"95 % of them under {high:.3f} (limit {limits.max_kl_p95:g}); {same} answers are the same"
    )
    return GateCheck("unrelated", mean <= limits.max_kl and high <= limits.max_kl_p95, detail, numbers)


def _answers(card: Mapping[str, object], key: str) -> list[bool]:
    answers = evidence.flags(card, key)
    if len(answers) != TEST_WORDINGS:
        raise EvidenceError(f"card {evidence.text(card, 'card_id')} has {len(answers)} {key} answers instead of {TEST_WORDINGS}")
    return answers
