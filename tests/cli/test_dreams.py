"""``sleepd dreams`` and ``sleepd dreams veto``: the journal in words, as JSON, with a daemon and without one."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sleepd.errors import NotFoundError
from sleepd.ledger import Ledger
from tests.cli.conftest import Said, ScriptedDaemon

DREAM: dict[str, Any] = {
    "id": "ab12cd34ab12cd34",
    "kind": "two-step",
    "cycle": "cycle_007",
    "times": 1,
    "dreamt_at": "2026-03-01T03:00:00+00:00",
    "card_ids": ["c1", "c2"],
    "messages": [{"role": "user", "content": "Where does Alda's sister live?"}, {"role": "assistant", "content": "Mira lives in Porto."}],
    "vetoed_by": None,
    "vetoed_at": None,
}


def test_the_journal_shows_every_word_and_who_vetoed(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["dreams"] = {"dreams": [DREAM, DREAM | {"id": "ff", "vetoed_by": "ann@tty1"}]}
    shown = say("dreams").out
    for words in ("ab12cd34ab12cd34", "two-step, cycle_007", "user: Where does Alda's sister live?", "Mira lives in Porto.", "by ann@tty1"):
        assert words in shown
    assert daemon.asked == [("dreams", {"limit": 20})]


def test_json_is_the_daemons_own_document(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["dreams"] = {"dreams": [DREAM]}
    said = say("dreams", "3", "--json")
    assert said.code == 0 and json.loads(said.out) == {"dreams": [DREAM]}
    assert daemon.asked == [("dreams", {"limit": 3})]


def test_an_empty_journal_says_when_dreams_come(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["dreams"] = {"dreams": []}
    assert "only deep cycles dream" in say("dreams").out


def test_a_veto_names_who_asked_and_what_follows(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["veto"] = {"dream": DREAM, "still_in_the_weights": True}
    said = say("dreams", "veto", "ab12cd34ab12cd34")
    assert said.code == 0 and "will not be dreamt again; it is still in the weights, so a deep cycle is due" in said.out
    [(command, args)] = daemon.asked
    assert command == "veto" and args["id"] == "ab12cd34ab12cd34" and "@" in args["by"]
    daemon.answers["veto"] = {"dream": DREAM, "still_in_the_weights": False}
    assert "deep cycle" not in say("dreams", "veto", "ab12cd34ab12cd34").out


def test_an_unknown_dream_is_not_found(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["veto"] = NotFoundError("no dream d9 in the journal", "see `sleepd dreams` for those there are")
    said = say("dreams", "veto", "d9")
    assert said.code == 4 and "no dream d9" in said.err


@pytest.mark.parametrize("words", [("veto",), ("veto", "a", "b"), ("many",), ("1", "2"), ("0",), ("-3",)])
def test_anything_else_is_a_usage_error(say: Callable[..., Said], daemon: ScriptedDaemon, words: tuple[str, ...]) -> None:
    assert say("dreams", *words).code == 2
    assert daemon.asked == []


def test_without_a_daemon_the_ledger_is_read_and_nothing_can_be_vetoed(say: Callable[..., Said], tmp_path: Path) -> None:
    assert say("dreams").code == 3  # no ledger either
    (tmp_path / "state").mkdir()
    with Ledger.open(tmp_path / "state" / "ledger.db") as ledger:
        ledger.dreams.put("d1", "given", ["c1"], [("user", "Q?"), ("assistant", "A.")], 7, datetime(2026, 3, 1, tzinfo=UTC))
    [dream] = json.loads(say("dreams", "--json").out)["dreams"]
    assert (dream["id"], dream["cycle"], dream["messages"][1]) == ("d1", "cycle_007", {"role": "assistant", "content": "A."})
    assert say("dreams", "veto", "d1").code == 3
