"""What becomes of everything that was said about one thing: the newest value, additions, retractions, and unrest."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pytest

from sleepd.experience import cards
from sleepd.night import job as jobs
from sleepd.night.curate import Curated, curate
from sleepd.night.job import Job, KnownCard
from sleepd.records import Card, Experience, Salience, ScreenVerdict
from tests.night.conftest import MakeJob

NIGHT = "2026-01-10T22:00:00+00:00"


def lived(day: str, prompt: str, salience: float = 0.6) -> tuple[Experience, ScreenVerdict]:
    one = Experience(f"{day}|{prompt}", prompt, "Noted.", Salience(0.5, 0.5, 0.5, 0.5, 0.5, salience), 1, timestamp=f"2026-01-{day}:00")
    return one, ScreenVerdict(one.id, ("short",), cards.extract(one))


def known(day: str, prompt: str) -> KnownCard:
    return KnownCard(replace(lived(day, prompt)[1].cards[0], status="graduated"), True, True, 1)


@pytest.fixture
def job(make_job: MakeJob) -> Job:
    return replace(jobs.load(make_job([])), created=NIGHT)


def curated(job: Job, told: Sequence[tuple[str, str]], *living: KnownCard, said: Sequence[Card] = ()) -> Curated:
    rows = tuple(lived(day, prompt) for day, prompt in told)
    return curate(replace(job, experiences=rows, cards=living, said=tuple(said)), lambda asked: [False] * len(asked))


def outcome(made: Curated) -> list[tuple[str, str, str]]:
    return sorted((d.card.value, d.action, d.reason) for d in made.decisions)


def test_a_corrected_value_is_what_a_question_may_be_wrongly_asked_for(job: Job) -> None:
    made = curated(job, [("09T10:00", "I live in Rome."), ("10T10:00", "No, I live in Bergen.")], known("01T10:00", "I live in Oslo."))
    assert outcome(made) == [("Bergen", "CORRECT", "replaces 'Oslo'"), ("Rome", "REJECT", "corrected later to 'Bergen'")]
    assert made.negatives == {made.cards[0].id: ("Rome", "Oslo")}
    assert [c.value for c in made.superseded] == ["Oslo"] and made.living == ()


def test_what_an_earlier_night_replaced_is_a_negative_too(job: Job) -> None:
    old = replace(known("01T10:00", "I live in Oslo."), card=replace(known("01T10:00", "I live in Oslo.").card, status="superseded"))
    made = curated(job, [("10T10:00", "I live in Rome.")], old)
    assert outcome(made) == [("Rome", "STORE", "new")] and made.negatives == {made.cards[0].id: ("Oslo",)}


@pytest.mark.parametrize(("before", "after"), [("Oslo", "Oslo East"), ("Oslo East", "Oslo")])
def test_a_value_that_holds_the_other_is_a_correction_and_no_negative(job: Job, before: str, after: str) -> None:
    made = curated(job, [("10T10:00", f"I live in {after}.")], known("01T10:00", f"I live in {before}."))
    assert outcome(made) == [(after, "CORRECT", f"replaces {before!r}")] and made.negatives == {}


def test_ann_and_anna_are_two(job: Job) -> None:
    made = curated(job, [("10T10:00", "My sister is called Anna.")], known("01T10:00", "My sister is called Ann."))
    assert made.negatives == {made.cards[0].id: ("Ann",)}


def test_what_is_said_with_also_is_held_together(job: Job) -> None:
    made = curated(job, [("10T10:00", "I also play the oboe.")], known("01T10:00", "I play the cello."))
    assert outcome(made) == [("cello and oboe", "CORRECT", "adds to 'cello'")] and made.negatives == {}
    assert made.cards[0].id == cards.card_id("user", "instrument", "cello and oboe") and [c.value for c in made.superseded] == ["cello"]
    again = KnownCard(replace(made.cards[0], status="graduated"), True, True, 1)
    assert outcome(curated(job, [("10T12:00", "I play the oboe.")], again)) == [("oboe", "KNOWN", "already learned on an earlier night")]
    assert outcome(curated(job, [("10T12:00", "No, I play the oboe.")], again)) == [("oboe", "CORRECT", "replaces 'cello and oboe'")]


def test_two_pets_in_one_breath_are_both_kept(job: Job) -> None:
    made = curated(job, [("10T10:00", "I have a dog called Rex. I have a dog called Max.")])
    assert outcome(made) == [("Rex", "KNOWN", "part of 'Rex and Max'"), ("Rex and Max", "STORE", "new")]


def test_prizes_are_gathered_and_homes_are_not(job: Job) -> None:
    prizes = [("09T10:00", "I won the Nobel Prize in Physics."), ("10T10:00", "I won the Nobel Prize in Chemistry.")]
    assert [c.value for c in curated(job, prizes).cards] == ["Nobel Prize in Physics and Nobel Prize in Chemistry"]
    homes = [("09T10:00", "I live in Oslo."), ("10T10:00", "I also live in Rome.")]
    assert [c.value for c in curated(job, homes).cards] == ["Rome"]


def test_another_pet_without_also_takes_the_place(job: Job) -> None:
    made = curated(job, [("10T10:00", "My pet is called Max.")], known("01T10:00", "My pet is called Rex."))
    assert outcome(made) == [("Max", "CORRECT", "replaces 'Rex'")]


def test_what_is_taken_back_ends_without_a_successor(job: Job) -> None:
    made = curated(job, [("10T10:00", "I don't live in Oslo any more.")], known("01T10:00", "I live in Oslo."))
    assert outcome(made) == [("Oslo", "REJECT", "retracted: 'Oslo' no longer holds")]
    assert made.cards == () and made.living == () and [(c.value, c.status) for c in made.superseded] == [("Oslo", "superseded")]


def test_taking_back_what_was_said_today_stores_nothing(job: Job) -> None:
    made = curated(job, [("09T10:00", "I live in Oslo."), ("10T10:00", "I no longer live in Oslo.")])
    assert [(action, reason) for _, action, reason in outcome(made)] == [
        ("REJECT", "retracted later"),
        ("REJECT", "retracted: 'Oslo' no longer holds"),
    ]


def test_taking_back_another_value_or_before_a_new_statement_ends_nothing(job: Job) -> None:
    oslo = known("01T10:00", "I live in Oslo.")
    assert curated(job, [("10T10:00", "I no longer live in Rome.")], oslo).living == (oslo,)
    made = curated(job, [("09T10:00", "I no longer live in Oslo."), ("10T10:00", "I live in Oslo.")])
    assert ("Oslo", "STORE", "new") in outcome(made)


def test_one_of_two_values_taken_back_leaves_the_other(job: Job) -> None:
    both = curated(job, [("01T10:00", "I play the cello."), ("02T10:00", "I also play the oboe.")]).cards[0]
    made = curated(job, [("10T10:00", "I stopped playing the cello.")], KnownCard(replace(both, status="graduated"), True, True, 1))
    assert [(c.value, c.status) for c in made.cards] == [("oboe", "new")] and [c.value for c in made.superseded] == ["cello and oboe"]


def test_a_learned_value_newer_than_a_late_statement_stays(job: Job) -> None:
    made = curated(job, [("05T10:00", "I live in Rome.")], known("09T10:00", "I live in Oslo."))
    assert outcome(made) == [("Rome", "REJECT", "corrected later to 'Oslo'")] and made.superseded == ()


def opposite(days: Sequence[int], hour: int = 10) -> list[tuple[str, str]]:
    return [(f"{day:02d}T{hour}:00", f"I live in {'Oslo' if day % 2 else 'Rome'}.") for day in days]


def test_a_user_who_says_the_opposite_every_day_gets_one_correction_a_night_and_then_a_wait(job: Job) -> None:
    """Each night learns what the day said; the fourth change within a week waits, with all that was said of it."""
    living: KnownCard | None = None
    said: list[Card] = []
    actions = []
    for day in range(1, 7):
        rows = opposite([day])
        made = curated(replace(job, created=f"2026-01-{day:02d}T22:00:00+00:00"), rows, *([living] if living else []), said=said)
        actions.append([d.action for d in made.decisions])
        said += [card for d, prompt in rows for card in lived(d, prompt)[1].cards]
        living = KnownCard(replace(made.cards[0], status="graduated"), True, True, 1) if made.cards else living
    assert actions == [["STORE"], ["CORRECT"], ["CORRECT"], ["WAIT"], ["KNOWN"], ["WAIT"]]  # on the fifth day it is the old value again


def test_everything_said_of_a_restless_thing_waits_until_it_was_the_same_for_a_day(job: Job) -> None:
    told = opposite([5, 6, 7, 8, 9, 10])
    made = curated(job, told)
    assert {d.action for d in made.decisions} == {"WAIT"} and len(made.decisions) == 6
    assert "changed at least 3 times in 7 days" in made.decisions[0].reason
    later = curated(replace(job, created="2026-01-11T22:00:00+00:00"), told)
    assert [c.value for c in later.cards] == ["Rome"]


def test_two_people_may_disagree(job: Job) -> None:
    rows = (lived("09T10:00", "Ada Berger lives in Oslo."), lived("10T10:00", "Ada Berger lives in Rome."))
    other = replace(rows[1][1], cards=tuple(replace(card, speaker="tool:directory") for card in rows[1][1].cards))
    made = curate(replace(job, experiences=(rows[0], (rows[1][0], other))), lambda asked: [False] * len(asked))
    assert sorted(c.value for c in made.cards) == ["Oslo", "Rome"]
