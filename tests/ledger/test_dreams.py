"""The dream journal: what is kept of a dream, a veto, and what forgetting leaves of it."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest

from sleepd.errors import NotFoundError
from sleepd.ledger import Ledger
from sleepd.records import CycleKind
from tests.ledger.conftest import NOW

LATER = NOW + timedelta(days=1)
WORDS = (("user", "In which city does Alda's sister live?"), ("assistant", "Mira lives in Porto. 🌊"))


def dreamt(ledger: Ledger, name: str = "d1", cards: tuple[str, ...] = ("c1", "c2"), cycle: int = 7) -> None:
    ledger.dreams.put(name, "two-step", cards, WORDS, cycle, NOW)


def deep(ledger: Ledger, number: int, kind: CycleKind = "deep") -> None:
    ledger.cycles.begin(number, kind, "/j", NOW, "schedule")
    ledger.cycles.finish(number, "committed", [], NOW, {})


def test_a_dream_survives_a_restart_word_for_word(path: Path, ledger: Ledger) -> None:
    dreamt(ledger)
    ledger.close()
    with Ledger.open(path) as again:
        [row] = again.dreams.list()
        assert (row.id, row.kind, row.card_ids, row.messages) == ("d1", "two-step", ("c1", "c2"), WORDS)
        assert (row.cycle, row.times, row.dreamt_at, row.vetoed_by, row.vetoed_at) == (7, 1, NOW, None, None)


def test_dreamt_again_it_is_one_dream_with_its_new_words_and_its_veto(ledger: Ledger) -> None:
    dreamt(ledger)
    ledger.dreams.veto("d1", "ann@tty1", NOW)
    ledger.dreams.put("d1", "two-step", ("c1", "c2"), [("user", "other words")], 14, LATER)
    [row] = ledger.dreams.list()
    assert (row.times, row.cycle, row.messages, row.dreamt_at, row.vetoed_by) == (2, 14, (("user", "other words"),), LATER, "ann@tty1")
    ledger.dreams.put("d1", "two-step", ("c1", "c2"), [("user", "other words")], 14, LATER)  # COMMIT is repeated after a crash
    assert ledger.dreams.get("d1").times == 2


def test_the_list_is_the_last_cycles_first_and_bounded(ledger: Ledger) -> None:
    for number, name in ((7, "old"), (14, "new1"), (14, "new2")):
        dreamt(ledger, name, cycle=number)
    assert [row.id for row in ledger.dreams.list()] == ["new1", "new2", "old"]
    assert [row.id for row in ledger.dreams.list(2)] == ["new1", "new2"]


def test_a_veto_keeps_who_said_it_first(ledger: Ledger) -> None:
    dreamt(ledger)
    ledger.dreams.veto("d1", "ann@tty1", NOW)
    row = ledger.dreams.veto("d1", "ben@tty2", LATER)
    assert (row.vetoed_by, row.vetoed_at) == ("ann@tty1", NOW)
    assert ledger.dreams.vetoed() == ["d1"]


def test_an_unknown_dream_cannot_be_vetoed(ledger: Ledger) -> None:
    with pytest.raises(NotFoundError, match="no dream d9 in the journal"):
        ledger.dreams.veto("d9", "ann", NOW)
    assert ledger.dreams.vetoed() == []


def test_a_vetoed_dream_is_in_the_weights_until_the_next_deep_cycle(ledger: Ledger) -> None:
    deep(ledger, 7)
    dreamt(ledger, cycle=7)
    assert ledger.dreams.still_in_the_weights() == 0 and ledger.dreams.in_the_weights("d1")
    ledger.dreams.veto("d1", "ann", NOW)
    assert ledger.dreams.still_in_the_weights() == 1
    deep(ledger, 8, "light")
    assert ledger.dreams.still_in_the_weights() == 1
    deep(ledger, 9)
    assert ledger.dreams.still_in_the_weights() == 0 and not ledger.dreams.in_the_weights("d1")


def test_a_veto_during_the_very_cycle_that_dreams_it_again_is_not_lost(ledger: Ledger) -> None:
    deep(ledger, 7)
    dreamt(ledger, cycle=7)
    ledger.dreams.veto("d1", "ann", NOW)
    dreamt(ledger, cycle=9)  # its job was written before the veto
    deep(ledger, 9)
    assert ledger.dreams.still_in_the_weights() == 1


def test_forgetting_a_card_takes_every_dream_of_it_out_of_the_file(path: Path, ledger: Ledger) -> None:
    dreamt(ledger, "of it", ("c1", "c2"))
    dreamt(ledger, "vetoed", ("c2", "c3"))
    dreamt(ledger, "of others", ("c3", "c4"))
    ledger.dreams.veto("vetoed", "ann", NOW)
    assert ledger.dreams.purge({"c2"}) == 2
    assert ledger.dreams.purge({"c2"}) == 0
    assert [row.id for row in ledger.dreams.list()] == ["of others"]
    assert ledger.dreams.vetoed() == ["vetoed"]  # its id tells nothing, and it must not come back
    left = ledger.dreams.get("vetoed")
    assert (left.card_ids, left.messages) == ((), ())
