from __future__ import annotations

import time
from pathlib import Path

import pytest

from sleepd.ledger import Ledger
from sleepd.records import Totals
from tests.ledger.conftest import NOW, accepted, card, experience, refused


def test_an_experience_comes_back_as_it_went_in(ledger: Ledger) -> None:
    e = experience(
        1,
        session=22,
        phase="relating",
        timestamp="2026-01-18T00:10:43.092734",
        metadata={"machine": "nomad", "nested": {"a": [1, None]}},
        tool_calls=({"name": "search", "arguments": {"q": "ü"}, "success": True, "result": "x"},),
    )
    verdict = refused(e, "short: 3 words < 8")
    assert ledger.experiences.add(e, verdict, "/b.json", NOW)
    assert ledger.experiences.get(e.id) == e
    assert ledger.experiences.verdict(e.id) == verdict
    assert ledger.experiences.get("absent") is None
    assert ledger.experiences.verdict("absent") is None


def test_a_known_id_changes_nothing(ledger: Ledger) -> None:
    first = experience(1, total=0.7)
    again = experience(1, total=0.1, prompt="something else")
    assert ledger.experiences.add(first, accepted(first), "a", NOW)
    assert not ledger.experiences.add(again, refused(again, "collapsed"), "b", NOW)
    assert ledger.experiences.get(first.id) == first
    assert ledger.experiences.totals() == Totals(1, 1, 1, 0, 1)
    assert ledger.experiences.rejected_by_reason() == {}


def test_half_a_surrogate_pair_is_stored_as_a_replacement_and_loses_no_neighbour(ledger: Ledger) -> None:
    broken = experience(1, prompt="cut \ud83d", metadata={"title": "\ud83d"})
    whole = experience(2, prompt="whole 😀")
    assert ledger.experiences.add_many([(broken, accepted(broken)), (whole, accepted(whole))], "a", NOW) == 2
    stored = ledger.experiences.get(broken.id)
    assert stored is not None and stored.prompt == "cut ?"
    assert ledger.experiences.get(whole.id) == whole


def test_totals_tell_examples_from_sources_of_facts(ledger: Ledger) -> None:
    example, fact, both, neither = (experience(n) for n in range(4))
    ledger.experiences.add(example, accepted(example), "a", NOW)
    ledger.experiences.add(fact, type(refused(fact))(fact.id, ("short",), (card(1),)), "a", NOW)
    ledger.experiences.add(both, accepted(both, card(2)), "a", NOW)
    ledger.experiences.add(neither, refused(neither, "collapsed"), "a", NOW)
    assert ledger.experiences.totals() == Totals(experiences=4, usable=3, examples=2, with_cards=2, new=3)


def test_pending_are_usable_and_untrained_with_the_highest_salience_first(ledger: Ledger) -> None:
    low, high, trained, bad, equal = (experience(n, total=t) for n, t in enumerate((0.61, 0.9, 0.95, 0.99, 0.9)))
    judged = [(low, accepted(low, card(1))), (high, accepted(high)), (trained, accepted(trained)), (bad, refused(bad, "secret"))]
    ledger.experiences.add_many([*judged, (equal, accepted(equal))], "a", NOW)
    ledger.experiences.mark_trained([trained.id], 1)
    assert [e for e, _ in ledger.experiences.pending()] == [high, equal, low]
    assert [e for e, _ in ledger.experiences.pending(1)] == [high]
    assert ledger.experiences.pending()[2][1].cards == (card(1),)
    assert [e for e, _ in ledger.experiences.trained()] == [trained]


def test_a_trained_experience_is_no_longer_new_and_the_first_cycle_keeps_it(ledger: Ledger) -> None:
    es = [experience(n) for n in range(3)]
    ledger.experiences.add_many([(e, accepted(e)) for e in es], "a", NOW)
    ledger.experiences.mark_trained([es[0].id, es[1].id], 1)
    ledger.experiences.mark_trained([es[1].id], 2)
    assert ledger.experiences.totals().new == 1
    assert ledger.experiences.release_trained(2) == 0
    assert ledger.experiences.totals().new == 1
    assert ledger.experiences.release_trained(1) == 2
    assert ledger.experiences.totals().new == 3


def test_ids_marked_before_they_are_seen_are_trained_when_they_arrive(ledger: Ledger) -> None:
    late = experience(1)
    ledger.experiences.mark_trained([late.id], 4)
    ledger.experiences.add(late, accepted(late), "a", NOW)
    assert ledger.experiences.pending() == []
    assert ledger.experiences.totals() == Totals(1, 1, 1, 0, 0)


def test_unknown_ids_of_many_more_than_a_statement_takes(ledger: Ledger) -> None:
    es = [experience(n) for n in range(1200)]
    ledger.experiences.add_many([(e, accepted(e)) for e in es], "a", NOW)
    assert ledger.experiences.unknown_ids([e.id for e in es] + ["x", "y"]) == {"x", "y"}
    assert ledger.experiences.unknown_ids([]) == set()


def test_tail_is_oldest_first_and_recent_replies_newest_first(ledger: Ledger) -> None:
    es = [experience(n) for n in range(4)]
    ledger.experiences.add_many([(e, refused(e, "x")) for e in es], "a", NOW)
    assert ledger.experiences.tail(2) == es[2:]
    assert ledger.experiences.recent_replies(3) == ["response 3", "response 2", "response 1"]


def test_prompts_are_counted_whatever_their_case_and_spacing(ledger: Ledger) -> None:
    es = [experience(n, prompt=p) for n, p in enumerate(("How are you?", "how  are YOU?\n", "Who?"))]
    ledger.experiences.add_many([(e, accepted(e)) for e in es], "a", NOW)
    assert ledger.experiences.prompt_count("How are you?") == 2
    assert ledger.experiences.prompt_count("What?") == 0


def test_sessions_are_counted_and_those_without_one_are_not(ledger: Ledger) -> None:
    es = [experience(n, session=s) for n, s in enumerate((22, 22, 0, None))]
    ledger.experiences.add_many([(e, accepted(e)) for e in es], "a", NOW)
    assert ledger.experiences.session_counts() == {22: 2, 0: 1}
    assert (ledger.experiences.session_count(22), ledger.experiences.session_count(7)) == (2, 0)


def test_replies_of_an_adapter_of_ours_are_counted_apart_from_the_bases(ledger: Ledger) -> None:
    es = [experience(n, metadata=m) for n, m in enumerate(({"adapter": "cycle_003"}, {"adapter": "base"}, {"adapter": None}, {}))]
    ledger.experiences.add_many([(e, accepted(e)) for e in es], "a", NOW)
    assert ledger.experiences.own_count() == 1


def test_reasons_are_counted_without_their_numbers_and_once_an_entry(ledger: Ledger) -> None:
    verdicts = [("collapsed: 0.41", "short"), ("collapsed: 0.55", "collapsed: repeats"), ("short",), ()]
    es = [experience(n) for n in range(len(verdicts))]
    ledger.experiences.add_many([(e, refused(e, *reasons)) for e, reasons in zip(es, verdicts, strict=True)], "a", NOW)
    assert ledger.experiences.rejected_by_reason() == {"collapsed": 2, "short": 2}
    assert ledger.experiences.verdict(es[0].id) == refused(es[0], "collapsed: 0.41", "short")


def test_removing_a_row_takes_back_every_count(ledger: Ledger) -> None:
    keep, gone = experience(1, session=5, prompt="p"), experience(2, session=5, prompt="p", metadata={"adapter": "cycle_001"})
    ledger.experiences.add(keep, refused(keep, "short: 1"), "a", NOW)
    ledger.experiences.add(gone, refused(gone, "short: 2", "secret"), "a", NOW)
    ledger.database.run("DELETE FROM experiences WHERE id = ?", (gone.id,))
    assert ledger.experiences.totals() == Totals(1, 0, 0, 0, 0)
    assert ledger.experiences.own_count() == 0
    assert ledger.experiences.rejected_by_reason() == {"short": 1}
    assert (ledger.experiences.session_counts(), ledger.experiences.prompt_count("p")) == ({5: 1}, 1)


def test_a_bulk_that_fails_half_way_adds_nothing(ledger: Ledger) -> None:
    def judged():  # type: ignore[no-untyped-def]
        yield experience(1), accepted(experience(1))
        raise RuntimeError("the reader broke")

    with pytest.raises(RuntimeError):
        ledger.experiences.add_many(judged(), "a", NOW)
    assert ledger.experiences.totals().experiences == 0


@pytest.mark.parametrize("known", [20_000])
def test_adding_one_costs_no_more_beside_many(path: Path, known: int) -> None:
    """Counted in SQLite's own steps, which no busy machine can blur."""

    def steps(ledger: Ledger, number: int) -> int:
        counted = [0]

        def tick() -> None:
            counted[0] += 1

        e = experience(number, prompt="the same for all", session=1)
        ledger.database.connection.set_progress_handler(tick, 10)
        assert ledger.experiences.add(e, refused(e, "short"), "a", NOW)
        ledger.experiences.totals(), ledger.experiences.prompt_count("the same for all"), ledger.experiences.pending(10)
        ledger.database.connection.set_progress_handler(None, 0)
        return counted[0]

    with Ledger.open(path) as ledger:
        few = steps(ledger, -1)
        es = [experience(n, prompt="the same for all", session=1) for n in range(known)]
        began = time.monotonic()
        ledger.experiences.add_many([(e, refused(e, "short")) for e in es], "a", NOW)
        assert time.monotonic() - began < 30
        assert steps(ledger, -2) <= few + 10
