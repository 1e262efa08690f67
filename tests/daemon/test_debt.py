"""Sleep debt: what waits, which nights did not happen and why, and one warning a day."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from sleepd import journal
from sleepd.daemon.circadian import Clock, make_clock, phase_at
from sleepd.daemon.debt import Debt, DebtWatch, nights
from sleepd.ledger import Ledger
from sleepd.records import Check, Decision, Experience, Salience, ScreenVerdict, Verdict

CLOCK = make_clock("06:00", "22:00", "02:00", "UTC", None, None)
NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db") as opened:
        yield opened


def live(ledger: Ledger, name: str, at: datetime, *, usable: bool = True) -> None:
    experience = Experience(name, f"prompt {name}", f"reply {name}", Salience(0.7, 0.7, 0.7, 0.7, 0.7, 0.7))
    ledger.experiences.add(experience, ScreenVerdict(name, () if usable else ("short: 1",)), "buffer", at)


def decided(ledger: Ledger, at: datetime, name: str, detail: str) -> None:
    ledger.decisions.record(Decision(False, detail, (Check("phase", name != "phase", detail), Check(name, False, detail))), at)


def cycle(ledger: Ledger, number: int, at: datetime, verdict: Verdict, *reasons: str) -> None:
    ledger.cycles.begin(number, "light", "/job", at, "schedule")
    ledger.cycles.finish(number, verdict, reasons, at + timedelta(minutes=10), {})


def test_who_has_nothing_new_has_no_debt(ledger: Ledger) -> None:
    live(ledger, "unusable", NOON - timedelta(days=9), usable=False)
    assert DebtWatch(ledger).look(NOON, CLOCK) == Debt()


def test_it_counts_hours_since_the_oldest_that_waits_and_the_whole_nights_in_between(ledger: Ledger) -> None:
    live(ledger, "a", NOON - timedelta(hours=50))
    live(ledger, "b", NOON - timedelta(hours=1))
    debt = DebtWatch(ledger).look(NOON, CLOCK)
    assert (debt.experiences, debt.hours, debt.nights_missed) == (2, 50.0, 2)


def test_a_committed_night_pays_for_what_came_before_it(ledger: Ledger) -> None:
    live(ledger, "had to wait for room", NOON - timedelta(days=9))
    cycle(ledger, 1, NOON - timedelta(hours=9), "committed")
    debt = DebtWatch(ledger).look(NOON, CLOCK)
    assert (debt.experiences, debt.nights_missed) == (1, 0) and debt.hours == pytest.approx(8.8, abs=0.1)


def test_each_missed_night_has_its_reason_the_last_nights_first(ledger: Ledger) -> None:
    live(ledger, "a", NOON - timedelta(days=4))
    cycle(ledger, 7, NOON - timedelta(days=3, hours=10), "rejected", "old_facts: 4 lost")
    two_nights_ago, last_night = NOON - timedelta(days=1, hours=11), NOON - timedelta(hours=11)
    decided(ledger, two_nights_ago, "power", "Running on battery")
    decided(ledger, two_nights_ago + timedelta(hours=9), "phase", "Phase is DAY")
    decided(ledger, last_night, "new_experiences", "Insufficient new experiences (1 < 2)")
    debt = DebtWatch(ledger).look(NOON, CLOCK)
    assert debt.nights_missed == 4
    assert debt.reasons == (
        "Insufficient new experiences (1 < 2)",
        "Running on battery",
        "sleepd was not running in the night to 2026-03-08",
        "cycle_007 was rejected: old_facts: 4 lost",
    )


def test_the_same_reason_night_after_night_is_told_once(ledger: Ledger) -> None:
    live(ledger, "a", NOON - timedelta(days=6))
    for day in range(6):
        decided(ledger, NOON - timedelta(days=day, hours=10), "paused", f"Paused by ann@tty{day}")
    assert len(DebtWatch(ledger).look(NOON, CLOCK).reasons) == 1


def test_a_night_begins_at_dusk_ends_at_dawn_and_must_be_whole() -> None:
    dusk, dawn = datetime(2026, 3, 9, 22, tzinfo=UTC), datetime(2026, 3, 10, 6, tzinfo=UTC)
    assert nights(dusk - timedelta(minutes=1), dawn, CLOCK) == [(dusk, dawn)]
    assert nights(dusk + timedelta(minutes=1), dawn, CLOCK) == []
    assert nights(dusk - timedelta(minutes=1), dawn - timedelta(minutes=1), CLOCK) == []


@settings(max_examples=60, deadline=None)
@example(0, 4608, "UTC")
@given(st.integers(0, 60 * 24 * 20), st.integers(0, 60 * 24 * 20), st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]))
def test_nights_are_in_order_within_bounds_and_dark(before: int, length: int, zone: str) -> None:
    clock = make_clock("06:00", "22:00", "02:00", zone, None, None)
    since = datetime(2026, 3, 20, tzinfo=UTC) + timedelta(minutes=before)  # over the change of the clocks
    now = since + timedelta(minutes=length)
    found = nights(since, now, clock)
    moments = [since, *(moment for night in found for moment in night), now]
    assert moments == sorted(moments)
    assert all(phase_at(began, clock).phase == "NIGHT" and phase_at(ended, clock).phase == "DAY" for began, ended in found)
    hours_more = length / 60 - 24 * len(found)  # than so many days have
    # at least a night without the day before it, at most a night, a day and a night less a minute at both ends; an hour for the clocks
    assert -(16 + 1) <= hours_more <= 8 + 16 + 8 + 1


@pytest.mark.parametrize(
    "clock",
    [
        pytest.param(make_clock("12:00", "12:01", "12:00", "UTC", None, None), id="a minute of day"),
        pytest.param(make_clock("06:00", "06:00", "02:00", "UTC", None, None), id="never day"),
        pytest.param(make_clock("06:00", "06:00", "06:00", "UTC", None, None), id="one phase for ever"),
    ],
)
def test_where_it_is_hardly_ever_day_a_night_is_as_long_as_a_day(clock: Clock) -> None:
    assert len(nights(NOON + timedelta(minutes=5), NOON + timedelta(days=5, minutes=5), clock)) in (4, 5)


def test_the_warning_comes_once_a_day_and_survives_a_restart(ledger: Ledger) -> None:
    journal.configure("json", "info", {}, log := io.StringIO())
    live(ledger, "a", NOON - timedelta(days=3, hours=1))
    said: list[datetime] = []
    for hour in range(0, 49, 6):
        now = NOON + timedelta(hours=hour)
        if DebtWatch(ledger).warn(now, CLOCK, 3.0, lambda: ["model.path is not configured"]):
            said.append(now)
    assert said == [NOON, NOON + timedelta(days=1), NOON + timedelta(days=2)]
    lines = [json.loads(line) for line in log.getvalue().splitlines()]
    assert [(line["event"], line["level"]) for line in lines] == [("nothing_for_long", "warning")] * 3
    assert lines[0]["experiences"] == 1 and lines[0]["nights_missed"] == 3 and lines[0]["problems"] == ["model.path is not configured"]


def test_there_is_no_warning_before_its_time_nor_without_anything_to_learn(ledger: Ledger) -> None:
    watch = DebtWatch(ledger)
    assert not watch.warn(NOON, CLOCK, 3.0, list)
    live(ledger, "a", NOON - timedelta(days=2, hours=23))
    assert not watch.warn(NOON, CLOCK, 3.0, list)
    assert watch.warn(NOON + timedelta(hours=1), CLOCK, 3.0, list)


def test_a_clock_that_was_set_back_makes_no_debt_out_of_nothing(ledger: Ledger) -> None:
    live(ledger, "a", NOON + timedelta(days=30))
    assert DebtWatch(ledger).look(NOON, CLOCK) == Debt(1)


def test_the_debt_is_reckoned_anew_when_something_came_in(ledger: Ledger) -> None:
    live(ledger, "a", NOON - timedelta(hours=5))
    watch = DebtWatch(ledger)
    assert watch.look(NOON, CLOCK).experiences == 1
    live(ledger, "b", NOON)
    assert watch.look(NOON, CLOCK).experiences == 2
    ledger.experiences.mark_trained(["a", "b"], 1)
    assert watch.look(NOON, CLOCK) == Debt()
