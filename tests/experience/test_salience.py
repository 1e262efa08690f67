"""The SNARC scores: their formulae, and that they are the ones that real writers use."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sleepd.experience.salience import ConversationalSalienceScorer

KEYS = {"surprise", "novelty", "arousal", "reward", "conflict", "total"}


def score(reply: str, *earlier: str) -> dict[str, float]:
    return ConversationalSalienceScorer(earlier).score_exchange("prompt", reply, {})


def test_the_first_reply_is_half_surprising_and_half_new() -> None:
    scores = score("Anything at all.")
    assert scores["surprise"] == scores["novelty"] == 0.5


def test_surprise_falls_with_repeated_sentences() -> None:
    assert score("One thing. Another thing. A third.", "One thing. Something else.")["surprise"] == pytest.approx(0.75)
    assert score("Quite different.", "One thing.")["surprise"] == 1.0


def test_only_the_last_five_replies_are_remembered() -> None:
    assert score("Old news", "Old news", "b", "c", "d", "e", "f")["surprise"] == 1.0
    assert score("Old news", "b", "Old news", "c", "d", "e")["surprise"] == 0.0


def test_novelty_is_three_times_the_share_of_new_words() -> None:
    assert score("a b c d e f new", "a b c d e f")["novelty"] == pytest.approx(3 / 7)
    assert score("all new words", "something else")["novelty"] == 1.0


def test_arousal_is_the_mean_of_length_questions_and_feeling() -> None:
    assert score("word")["arousal"] == pytest.approx(0.1)
    assert score("word " * 50)["arousal"] == pytest.approx(1 / 3)
    assert score("Is it? Why? I feel curious.")["arousal"] == pytest.approx((0.3 + 1 + 2 / 3) / 3)


def test_reward_rises_with_partnership_and_what_is_specific_and_falls_with_hedging() -> None:
    assert score("x")["reward"] == pytest.approx(0.3)
    assert score("Together.")["reward"] == pytest.approx(0.65)
    assert score("Our partners.")["reward"] == pytest.approx(1.0)
    assert score("In particular.")["reward"] == pytest.approx(0.45)
    assert score("Our partners might, perhaps, as an AI.")["reward"] == pytest.approx(0.1)


def test_conflict_counts_uncertainty_correction_and_reflection_over_six() -> None:
    assert score("Actually I notice that it is unclear.")["conflict"] == pytest.approx(0.5)
    assert score("Nothing of the kind.")["conflict"] == 0.0


@given(st.text(), st.lists(st.text(), max_size=7))
def test_every_score_is_a_share_and_total_is_their_mean(reply: str, earlier: list[str]) -> None:
    scores = score(reply, *earlier)
    assert scores.keys() == KEYS
    assert all(0.0 <= value <= 1.0 for value in scores.values())
    assert scores["total"] == pytest.approx(sum(v for k, v in scores.items() if k != "total") / 5)


@pytest.mark.parametrize(("name", "share"), [("sprout-2026-02-01.json", 0.97), ("sprout-2026-02-12.json", 0.97), ("nomad.json", 1.0)])
def test_real_scores_are_reproduced_where_the_writers_memory_is_known(real_data: Path, name: str, share: float) -> None:
    """A writer forgets when it starts; what it scored and did not store is missing here, so its next few differ."""
    entries = json.loads((real_data / "buffers" / name).read_text())
    scorer = ConversationalSalienceScorer()
    same = counted = 0
    stateless = 0
    before = None
    for item in entries:
        turn, last = item["metadata"].get("turn"), before["metadata"].get("turn") if before else None
        fresh = before is None or item["session"] != before["session"] or (turn is not None and last is not None and turn <= last)
        if fresh:
            scorer = ConversationalSalienceScorer()
        scores = scorer.score_exchange(item["prompt"], item["response"])
        stateless += all(scores[k] == pytest.approx(item["salience"][k]) for k in ("arousal", "reward", "conflict"))
        if not fresh:
            counted += 1
            same += all(scores[k] == pytest.approx(item["salience"][k]) for k in KEYS)
        before = item
    assert stateless >= 0.98 * len(entries)
    assert same >= share * counted
