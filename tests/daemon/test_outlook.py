"""What the outlook reads out of a real ledger: an urgent exchange, the pace, and what is wanted out of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sleepd.config import Config
from sleepd.daemon.circadian import make_clock
from sleepd.daemon.decide import Snapshot, decide
from sleepd.daemon.outlook import Outlook, thresholds
from sleepd.experience.cards import extract
from sleepd.ledger import Ledger
from sleepd.records import CycleKind, Experience, Salience, ScreenVerdict, Verdict

NIGHT = datetime(2026, 3, 10, 23, tzinfo=UTC)
CLOCK = make_clock("06:00", "22:00", "02:00", "UTC", None, None)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db") as opened:
        yield opened


def config(**schedule: Any) -> Config:
    return Config.model_validate({"schedule": schedule, "conditions": {"require_ac": False}})


def look(ledger: Ledger, settings: Config | None = None, now: datetime = NIGHT) -> Snapshot:
    outlook = Outlook(ledger, lambda: 0.0, ledger.path.parent, Path("/nonexistent"), Path("/nonexistent"))
    return outlook.snapshot(
        now, CLOCK, settings or config(), active="cycle_001", running=None, quiet_minutes=60.0, model_problem=None, tail_problem=None
    )


def tell(ledger: Ledger, name: str, prompt: str, at: datetime, total: float = 0.5) -> None:
    experience = Experience(name, prompt, f"reply {name}", Salience(total, total, total, total, total, total))
    ledger.experiences.add(experience, ScreenVerdict(name, (), extract(experience)), "buffer", at)


def cycle(ledger: Ledger, number: int, at: datetime, verdict: Verdict = "committed", kind: CycleKind = "light", **figures: int) -> None:
    ledger.cycles.begin(number, kind, "/job", at, "schedule")
    ledger.cycles.finish(number, verdict, [], at + timedelta(minutes=10), {"report": {"figures": figures}})


def test_a_correction_of_a_card_in_the_ledger_is_urgent(ledger: Ledger) -> None:
    tell(ledger, "old", "My sister lives in Porto.", NIGHT - timedelta(days=2))
    [card] = ledger.experiences.pending()[0][1].cards
    ledger.cards.put(replace(card, status="graduated"), NIGHT)
    ledger.experiences.mark_trained(["old"], 1)
    cycle(ledger, 1, NIGHT - timedelta(hours=24))
    assert look(ledger).urgent is None
    tell(ledger, "new", "My sister lives in Graz.", NIGHT - timedelta(hours=3))
    found = look(ledger).urgent
    assert found is not None and (found.experience_id, found.why) == ("new", "corrects a known fact")


def test_what_a_night_has_had_before_it_starts_no_other_one_early(ledger: Ledger) -> None:
    tell(ledger, "important", "Remember this: my dog is called Rex.", NIGHT - timedelta(hours=5))
    assert look(ledger).urgent is not None
    cycle(ledger, 1, NIGHT - timedelta(hours=4), "rejected")
    assert look(ledger).urgent is None
    tell(ledger, "again", "Remember this: my cat is called Tom.", NIGHT - timedelta(hours=1))
    assert look(ledger).urgent is not None


def test_urgency_follows_the_configuration(ledger: Ledger) -> None:
    tell(ledger, "vivid", "Hello there.", NIGHT - timedelta(hours=1), total=0.85)
    assert look(ledger).urgent is None
    assert look(ledger, config(urgent_salience=0.8)).urgent is not None
    assert look(ledger, config(urgent_salience=0.8, early_nights=False)).urgent is None
    assert thresholds(config(early_nights=False)).early_hours is None and thresholds(config()).early_hours == 2.0


def test_the_pace_comes_from_the_last_cycles(ledger: Ledger) -> None:
    assert look(ledger).pace.factor == 1.0
    for number in (1, 2, 3):
        cycle(ledger, number, NIGHT - timedelta(days=9 - number), old_recalled_best=20, old_recalled_after=20)
    assert look(ledger).pace.factor == 0.75
    cycle(ledger, 4, NIGHT - timedelta(days=4), old_recalled_best=20, old_recalled_after=17)
    assert look(ledger).pace.factor == 1.0
    cycle(ledger, 5, NIGHT - timedelta(days=3), "rejected")
    assert look(ledger).pace.factor == 2.0
    assert look(ledger, config(adaptive=False)).pace.factor == 1.0


def test_a_preset_may_be_quickened_and_a_persons_own_number_not(ledger: Ledger) -> None:
    assert (thresholds(config()).least_new, thresholds(config()).least_hours) == (0, 0.0)
    own = thresholds(config(min_hours_between_sleep=8.0, min_new_experiences=3))
    assert (own.least_new, own.least_hours) == (3, 8.0)


def test_a_vetoed_dream_makes_a_deep_night_due_and_the_deep_night_settles_it(ledger: Ledger) -> None:
    for number in range(6):
        tell(ledger, f"e{number}", f"Hello number {number}.", NIGHT - timedelta(days=3))
    ledger.experiences.mark_trained([f"e{number}" for number in range(6)], 1)
    cycle(ledger, 1, NIGHT - timedelta(days=2), kind="deep")
    ledger.dreams.put("d1", "given", ["c1", "c2"], [("user", "q"), ("assistant", "a")], 1, NIGHT)
    assert not decide(look(ledger), thresholds(config())).should_run
    ledger.dreams.veto("d1", "ann@tty1", NIGHT)
    decision = decide(look(ledger), thresholds(config()))
    assert (decision.should_run, decision.kind) == (True, "deep")
    assert any("1 vetoed dream is still in the weights" in check.detail for check in decision.checks)
    cycle(ledger, 2, NIGHT - timedelta(hours=12), kind="deep")
    assert look(ledger).history.deep_wanted is None
