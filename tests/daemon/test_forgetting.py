"""The parts of forgetting that need no process: what still says it, what a query means, when a deep cycle is due."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sleepd.adapter.store import AdapterStore
from sleepd.daemon import forget_plan, traces
from sleepd.daemon.decide import Thresholds, decide
from sleepd.errors import NotFoundError
from sleepd.ledger import Ledger
from sleepd.records import Card, Experience, Salience, ScreenVerdict, Totals
from tests.daemon.test_decide import LIMITS, READY

NOW = datetime(2026, 3, 1, tzinfo=UTC)
PORTO = Card("c0", "Alda", "city", "Porto", "Alda lives in Porto.", "user", None, 1, 0.5, "e0")
SISTER = Card("c1", "user's sister", "city", "Málaga", "My sister lives in Málaga.", "user", None, 1, 0.5, "e1")


@pytest.mark.parametrize(
    ("text", "card", "found"),
    [
        ("- Alda lives in Porto.", PORTO, True),
        ("alda has moved, they say, to PORTO", PORTO, True),
        ("Porto is lovely." + "x " * 500 + "Alda is lovely.", PORTO, False),
        ("Aldara lives in Porto", PORTO, False),
        (json.dumps({"p": "my sister is in Málaga"}), SISTER, True),  # escaped, as JSON writers leave it
        ("x" * (traces.PIECE - 10) + " Alda lives in Porto. " + "y" * 50, PORTO, True),  # across two pieces
        ("Brin lives in Porto, Corin too", PORTO, False),
    ],
)
def test_a_file_that_still_says_it_is_found(tmp_path: Path, text: str, card: Card, found: bool) -> None:
    file = tmp_path / "sub" / "notes.json"
    file.parent.mkdir()
    file.write_text(text)
    (tmp_path / "weights.safetensors").write_text("Alda lives in Porto.")
    assert traces.left_in(traces.texts_under(tmp_path), [card]) == ([str(file)] if found else [])
    assert traces.left_in([file, tmp_path / "gone.json"], []) == []


def tell(ledger: Ledger, number: int, prompt: str, *cards: Card, reply: str = "I see.") -> str:
    said = Experience(f"e{number}", prompt, reply, Salience(*[0.7] * 6), 1)
    ledger.experiences.add(said, ScreenVerdict(said.id, (), cards), "/b.json", NOW)
    return said.id


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger.open(tmp_path / "ledger.db")


def test_a_plan_holds_every_exchange_that_states_or_mentions_a_fact_and_keeps_the_other_facts(ledger: Ledger, tmp_path: Path) -> None:
    tell(ledger, 0, "Alda lives in Porto.", PORTO)
    tell(ledger, 1, "My sister lives in Málaga, and Alda in Porto.", SISTER, replace(PORTO, experience_id="e1"))
    tell(ledger, 2, "How is the weather?", reply="In Porto, where Alda lives, it is fine.")
    tell(ledger, 3, "Porto has a harbour.")
    plan = forget_plan.find(ledger, AdapterStore(tmp_path), "porto alda")
    assert [c.id for c in plan.cards] == ["c0"] and set(plan.exchanges) == {"e0", "e1", "e2"}
    assert plan.exchanges["e1"] == (SISTER,) and plan.exchanges["e0"] == ()
    assert (plan.since, plan.seen, plan.adapters, plan.served) == (None, None, (), False)
    assert forget_plan.of(ledger, AdapterStore(tmp_path), ["c0"], list(plan.exchanges)).exchanges == plan.exchanges
    everything = forget_plan.find(ledger, AdapterStore(tmp_path), "Porto")
    assert set(everything.exchanges) == {"e0", "e1", "e2", "e3"}  # the words themselves, too
    document = forget_plan.document(ledger, plan)
    assert document["exchanges"][1]["facts_kept"] == ["user's sister, city: Málaga"]


def test_a_plan_knows_since_which_cycle_it_may_be_in_the_weights(ledger: Ledger, tmp_path: Path) -> None:
    tell(ledger, 0, "Alda lives in Porto.", PORTO)
    for number in (1, 2, 3):
        ledger.cycles.begin(number, "light", "/j", NOW, "schedule")
        ledger.cycles.finish(number, "committed", [], NOW, {})
    ledger.cards.put(replace(PORTO, status="graduated"), NOW)
    ledger.cards.record_probe("c0", 2, True, NOW, taught=True)
    plan = forget_plan.find(ledger, AdapterStore(tmp_path), "Alda")
    assert (plan.seen, plan.since) == (1, 2)


def test_what_matches_nothing_or_is_gone_is_not_found(ledger: Ledger, tmp_path: Path) -> None:
    store = AdapterStore(tmp_path)
    with pytest.raises(NotFoundError):
        forget_plan.find(ledger, store, "anything")
    with pytest.raises(NotFoundError):
        forget_plan.of(ledger, store, ["absent"], [])
    with pytest.raises(NotFoundError):
        forget_plan.of(ledger, store, [], ["absent"])


def test_a_memory_still_in_the_weights_makes_a_deep_cycle_due_without_anything_new() -> None:
    nothing_new = replace(READY, totals=Totals(9, 4, 4, 0, 0))
    assert not decide(nothing_new, LIMITS).should_run
    wanted = replace(nothing_new, history=replace(READY.history, deep_wanted="2 to be forgotten, still in the weights"))
    decision = decide(wanted, LIMITS)
    assert decision.should_run and decision.kind == "deep"
    assert not decide(replace(wanted, phase="DAY"), LIMITS).should_run
    assert decide(replace(wanted, totals=Totals(1, 0, 0, 0, 0)), LIMITS, force=True, kind="deep").should_run
    assert isinstance(LIMITS, Thresholds)
