"""Gate checks on harm: is unseen text less likely than it was, and have the replies collapsed."""

from __future__ import annotations

from collections.abc import Mapping

from sleepd.adapter import evidence
from sleepd.adapter.evidence import EvidenceError
from sleepd.adapter.expected import Expected
from sleepd.adapter.limits import Limits
from sleepd.records import GateCheck
from sleepd.statistics import distinct3_floor, increase, text_bound

MIN_PASSAGES = 8  # a bootstrap of fewer passages knows nothing of how passages differ


def check_text(result: Mapping[str, object], limits: Limits, expected: Expected) -> GateCheck:
    """Recipe check 3: held-out text that is never trained, in nat per token over all passages."""
    base, candidate, tokens = (evidence.numbers(result, f"evaluation.text.{key}") for key in ("base", "candidate", "tokens"))
    if not len(base) == len(candidate) == len(tokens):
        raise EvidenceError(f"evaluation.text has {len(base)} base, {len(candidate)} candidate and {len(tokens)} token entries")
    if len(base) < MIN_PASSAGES:
        raise EvidenceError(f"evaluation.text has {len(base)} passages and at least {MIN_PASSAGES} are needed")
    if min(tokens) <= 0 or min(*base, *candidate) < 0:
        raise EvidenceError("evaluation.text holds a passage without tokens or a loss below zero")
    rise, bound = increase(base, candidate, tokens), text_bound(base, candidate, tokens)
    numbers = {
        "passages": float(len(base)),
        "tokens": sum(tokens),
        "rise": rise,
        "upper_bound": bound,
        "max_text_loss": limits.max_text_loss,
    }
    detail = f"unseen text {rise:+.4f} nat a token over the base, at most {bound:+.4f} (95 % bound; limit {limits.max_text_loss:+.4f})"
    return GateCheck("text", bound <= limits.max_text_loss, detail, numbers)


def check_collapse(result: Mapping[str, object], limits: Limits, expected: Expected) -> GateCheck:
    """Recipe check 7: open prompts and a dialogue. No single measure sees every collapse, so each of them refuses alone."""
    keys = ("distinct3", "repeated_share", "questions_per_reply", "mean_words", "end_of_turn_rate", "entropy")
    base, now = ({key: _measure(result, who, key) for key in keys} for who in ("base", "candidate"))
    if base["mean_words"] == 0:
        raise EvidenceError("evaluation.collapse.base.mean_words is 0: the base answered nothing to compare with")
    entropy = base["entropy"]
    bounds: dict[str, tuple[float | None, float | None]] = {
        "distinct3": (distinct3_floor(base["distinct3"], limits.min_distinct3, limits.max_distinct3_drop), None),
        "repeated_share": (None, base["repeated_share"] + limits.max_repeated_share_rise),
        "questions_per_reply": (None, base["questions_per_reply"] + limits.max_questions_rise),
        "mean_words": (limits.min_length_ratio * base["mean_words"], limits.max_length_ratio * base["mean_words"]),
        "end_of_turn_rate": (limits.min_end_of_turn_rate_ratio * base["end_of_turn_rate"], None),
        "entropy": (
            min(limits.min_entropy_ratio * entropy, entropy - limits.entropy_slack),
            max(limits.max_entropy_ratio * entropy, entropy + limits.entropy_slack),
        ),
    }
    faults = [fault for key in keys if (fault := _outside(key, now[key], base[key], *bounds[key]))]
    numbers = {f"{who}_{key}": values[key] for who, values in (("base", base), ("candidate", now)) for key in keys}
    shown = ", ".join(f"{key} {now[key]:.3g} (base {base[key]:.3g})" for key in keys)
    return GateCheck("collapse", not faults, "; ".join(faults) or shown, numbers)


def _measure(result: Mapping[str, object], who: str, key: str) -> float:
    path = f"evaluation.collapse.{who}.{key}"
    found = evidence.number(result, path)
    if found < 0:
        raise EvidenceError(f"{path} is {found:g}, below zero")
    return found


def _outside(key: str, now: float, base: float, low: float | None, high: float | None) -> str:
    if low is not None and now < low:
        return f"{key} {now:.3g} is under {low:.3g} (base {base:.3g})"
    if high is not None and now > high:
        return f"{key} {now:.3g} is over {high:.3g} (base {base:.3g})"
    return ""
