from __future__ import annotations

from dataclasses import replace

from sleepd.lab.world import Fact
from sleepd.night import job as jobs
from sleepd.night.curate import curate
from sleepd.night.job import Job, KnownCard
from sleepd.records import Experience, Salience, ScreenVerdict
from tests.night.conftest import MakeJob, card_of, rows_of

PORTO = Fact("Ada Tekusa", "city", "Porto")
OSLO = Fact("Ada Tekusa", "city", "Oslo")


def decided(job: Job, base_knows: bool = False) -> dict[str, str]:
    return {d.card.value: d.action for d in curate(job, lambda cards: [base_knows] * len(cards)).decisions}


def test_a_new_fact_is_stored(make_job: MakeJob) -> None:
    assert decided(jobs.load(make_job([PORTO]))) == {"Porto": "STORE"}


def test_the_newest_value_wins_and_the_older_one_is_rejected(make_job: MakeJob) -> None:
    rows = rows_of([PORTO, OSLO])
    assert decided(jobs.load(make_job(rows=rows))) == {"Oslo": "STORE", "Porto": "REJECT"}
    assert decided(jobs.load(make_job(rows=rows[::-1]))) == {"Oslo": "STORE", "Porto": "REJECT"}


def test_a_value_learned_earlier_is_corrected_and_the_old_card_superseded(make_job: MakeJob) -> None:
    job = replace(jobs.load(make_job([OSLO])), cards=(KnownCard(replace(card_of(PORTO, "q", "x"), status="graduated"), True, True, 1),))
    curated = curate(job, lambda cards: [False] * len(cards))
    assert [(d.action, d.reason) for d in curated.decisions] == [("CORRECT", "replaces 'Porto'")]
    assert [c.status for c in curated.superseded] == ["superseded"] and curated.living == ()


def test_what_was_learned_or_the_base_knows_is_not_trained_again(make_job: MakeJob) -> None:
    job = replace(jobs.load(make_job([PORTO])), cards=(KnownCard(replace(card_of(PORTO, "q", "x"), status="graduated"), True, True, 1),))
    assert decided(job) == {"Porto": "KNOWN"}
    assert decided(jobs.load(make_job([PORTO])), base_knows=True) == {"Porto": "KNOWN"}


def test_more_cards_than_allowed_wait_for_the_next_night(make_job: MakeJob) -> None:
    job = jobs.load(make_job([PORTO, Fact("Ben Kofu", "job", "baker")], training={"max_cards": 1}))
    assert sorted(d.action for d in curate(job, lambda cards: [False] * len(cards)).decisions) == ["STORE", "WAIT"]


def test_examples_are_the_screened_replies_one_a_prompt_best_first(make_job: MakeJob) -> None:
    def row(name: str, prompt: str, total: float, reasons: tuple[str, ...] = ()) -> tuple[Experience, ScreenVerdict]:
        return Experience(name, prompt, f"reply {name}", Salience(0.5, 0.5, 0.5, 0.5, 0.5, total)), ScreenVerdict(name, reasons)

    rows = (row("a", "p", 0.7), row("b", "p", 0.9), row("c", "q", 0.5), row("d", "r", 0.9, ("collapsed",)))
    job = replace(jobs.load(make_job([])), experiences=rows)
    assert [e.experience_id for e in curate(job, lambda cards: []).examples] == ["b"]
