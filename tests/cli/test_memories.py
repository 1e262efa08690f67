"""``memories``, ``why`` and ``forget``: from a daemon, from the ledger alone, in JSON and in words."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sleepd.errors import NotFoundError, SkippedError
from sleepd.ledger import Ledger
from sleepd.records import Card, Experience, Salience, ScreenVerdict
from tests.cli.conftest import Said, ScriptedDaemon

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
FACTS = [
    ("Alda", "city", "Porto", "Alda lives in Porto."),
    ("Alda", "pet", "Mo", "Alda has a cat called Mo."),
    ("user's sister", "city", "東京", "My sister lives in 東京."),
    ("user", "job", "weaver", "I work as a weaver."),
]


def card(number: int, **more: Any) -> Card:
    subject, relation, value, quote = FACTS[number]
    name = hashlib.sha256(f"{subject}|{relation}|{value}".lower().encode()).hexdigest()[:16]
    return Card(name, subject, relation, value, quote, "user", "2026-03-01T12:00:00", 3, 0.7, f"e{number}", **more)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Two nights: the first taught Alda's city and pet, the second asked again and was followed by a rejected one; the rest is new."""
    path = tmp_path / "state" / "ledger.db"
    path.parent.mkdir()
    with Ledger.open(path) as opened:
        for number, (_, _, _, quote) in enumerate(FACTS):
            said = Experience(f"e{number}", quote, "Good to know.", Salience(*[0.7] * 6), 3, timestamp="2026-03-01T12:00:00")
            opened.experiences.add(said, ScreenVerdict(said.id, (), (card(number),)), "/b.json", NOW)
        for number, verdict in ((1, "committed"), (2, "committed"), (3, "rejected")):
            opened.cycles.begin(number, "light", "/j", NOW, "schedule")
            rows = [{"card_id": card(1).id, "base": [False] * 4, "candidate": [True, True, True, False]}]
            summary = {"report": {"evaluation": {"new": rows}}} if number == 3 else {}
            opened.cycles.finish(number, verdict, [], NOW + timedelta(minutes=number), summary)  # type: ignore[arg-type]
        opened.cards.put(card(0, status="fading"), NOW)
        opened.cards.put(card(1, status="stubborn", origin="model"), NOW)
        for cycle, first in ((1, True), (2, False)):
            opened.cards.record_probe(card(0).id, cycle, first, NOW, taught=cycle == 1)
            opened.cards.record_probe(card(1).id, cycle, False, NOW, taught=True)
        opened.experiences.mark_trained(["e0", "e1"], 1)
    return path


def values(said: Said) -> list[str]:
    return [memory["value"] for memory in json.loads(said.out)["memories"]]


@pytest.mark.usefixtures("ledger")
def test_memories_are_listed_without_a_daemon_those_of_no_night_yet_too(say: Callable[..., Said]) -> None:
    rows = json.loads(say("memories", "--json").out)["memories"]
    assert {(row["value"], row["status"]) for row in rows} == {("Porto", "fading"), ("Mo", "stubborn"), ("東京", "new"), ("weaver", "new")}
    porto = next(row for row in rows if row["value"] == "Porto")
    assert porto["last_probe"] == {"cycle": "cycle_002", "recalled": False} and (porto["probes"], porto["misses"]) == (2, 0)
    assert next(row for row in rows if row["value"] == "Mo")["misses"] == 2
    assert porto["told_at"] == "2026-03-01T12:00:00"


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["ALDA", "porto"], ["Porto"]), (["東京"], ["東京"]), (["ald"], []), (["--status", "stubborn"], ["Mo"]), (["weaver", "Alda"], [])],
)
def test_a_query_is_matched_by_whole_words_in_any_case_and_script(
    say: Callable[..., Said], arguments: list[str], expected: list[str]
) -> None:
    assert values(say("memories", *arguments, "--json")) == expected


@pytest.mark.usefixtures("ledger")
def test_memories_in_words(say: Callable[..., Said]) -> None:
    header, *rows = say("memories").out.splitlines()
    assert header.split()[:5] == ["about", "fact", "value", "status", "told"]
    assert any("cycle_002: not recalled, 2 nights without success" in row and "stubborn" in row for row in rows)
    assert any("not asked yet" in row and "weaver" in row for row in rows)
    assert say("memories", "nobody").out == "no memory holds 'nobody'\n"


@pytest.mark.usefixtures("ledger")
def test_why_tells_the_exchange_and_every_night_also_a_rejected_one(say: Callable[..., Said]) -> None:
    document = json.loads(say("why", "What is Alda's cat called?", "--json").out)
    match = document["matches"][0]
    assert (match["card"]["value"], match["card"]["read_by"]) == ("Mo", "model")
    assert match["exchange"]["prompt"] == "Alda has a cat called Mo."
    assert (match["exchange"]["buffer"], match["exchange"]["session"]) == ("/b.json", 3)
    nights = [(night["cycle"], night["verdict"], night["taught"], night["recalled"]) for night in match["nights"]]
    assert nights == [
        ("cycle_001", "committed", True, False),
        ("cycle_002", "committed", True, False),
        ("cycle_003", "rejected", True, True),
    ]
    assert document["active"] is None and match["in_the_active_adapter"] is False
    shown = say("why", "Alda", "lives", "in", "Porto").out
    for text in (
        "Alda, city: Porto (fading)",
        "cycle_001 (light) committed: taught, recalled",
        "a pattern",
        "cycle_002 (light) committed: asked for, not recalled",
    ):
        assert text in shown
    said = say("why", "Is the moon made of cheese?")
    assert said.code == 4 and "no memory" in said.err


def test_without_daemon_and_ledger_it_is_the_daemon_that_is_missing(say: Callable[..., Said]) -> None:
    for arguments in (["memories"], ["why", "x"], ["forget", "--receipt"]):
        assert say(*arguments).code == 3


PLAN: dict[str, Any] = {
    "cards": [{"id": "c1", "subject": "Alda", "relation": "city", "value": "Porto", "status": "graduated"}],
    "exchanges": [{"id": "e1", "time": None, "prompt": "Alda lives in Porto.", "facts_kept": ["user, job: weaver"]}],
    "in_the_weights": True,
    "adapters": ["cycle_001"],
    "tagged": ["cycle_001"],
}
DONE: dict[str, Any] = {
    "forget": 1,
    "asked_at": NOW.isoformat(),
    "asked_by": "ann@tty1",
    "facts": 1,
    "exchanges": 1,
    "settled_at": None,
    "settled_by": None,
    "tries": 0,
    "extracted": 0,
    "base_extracted": 0,
    "cards": [{"sha256": "ab" * 32, "tries": None, "extracted": None, "base_extracted": None}],
    "removed": [],
    "left_in": ["/b.json"],
    "still_in_the_weights": 1,
}


def test_without_a_terminal_and_without_yes_nothing_is_forgotten(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["forget"] = PLAN
    said = say("forget", "Alda")
    assert said.code == 2 and "--yes" in said.err
    assert [args for _, args in daemon.asked] == [{"query": "Alda"}]
    assert say("forget").code == 2


def test_what_was_shown_is_what_is_forgotten_and_who_asked_is_named(configuration: Path, tmp_path: Path, say: Callable[..., Said]) -> None:
    from sleepd.control.server import Server

    asked: list[dict[str, Any]] = []

    def handle(pending: Any) -> None:
        asked.append(dict(pending.request.args))
        if pending.request.command == "sleep":
            pending.refuse(SkippedError("memory is short", "wait"))
        else:
            pending.answer(PLAN if "query" in pending.request.args else DONE)

    server = Server(tmp_path / "run" / "control.sock", handle, 65536)
    server.start()
    try:
        said = say("forget", "Alda", "Porto", "--yes", "--json")
        assert said.code == 0 and json.loads(said.out)["still_in_the_weights"] == 1
        assert asked[0] == {"query": "Alda Porto"}
        assert (asked[1]["cards"], asked[1]["exchanges"]) == (["c1"], ["e1"]) and "@" in asked[1]["by"]
        assert "still in the weights: 1 memory, until the next deep cycle" in say("forget", "Alda", "--yes").out
        now = say("forget", "Alda", "--yes", "--now")
        assert now.code == 75 and "forgotten: 1 fact and 1 exchange" in now.out and "memory is short" in now.err
    finally:
        server.stop()


def test_nothing_that_matches_is_exit_status_4(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["forget"] = NotFoundError("nothing in the ledger matches 'x'", "see `sleepd memories`")
    assert say("forget", "x", "--yes").code == 4


def test_a_receipt_in_words_tells_everything_but_the_memory(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    cards = [{"sha256": "ab" * 32, "tries": 20, "extracted": 0, "base_extracted": 1}]
    settled = {"settled_by": "cycle_009", "settled_at": NOW.isoformat(), "tries": 20, "base_extracted": 1, "removed": ["cycle_001"]}
    daemon.answers["receipts"] = {"receipts": [{**DONE, **settled, "cards": cards}]}
    rows = [" ".join(line.split()) for line in say("forget", "--receipt", "1").out.splitlines()]
    assert rows[0] == "request 1" and daemon.asked == [("receipts", {"query": "1"})]
    for row in ("what 1 fact and 1 exchange", "tried 20 times, came out 0 times (the bare base model: 1)", "removed cycle_001"):
        assert row in rows
    assert any(row.startswith("weights out of them since the deep cycle cycle_009") for row in rows)
    assert any(row.startswith(f"sha256 {'ab' * 16} 0 of 20 tries") for row in rows) and "still said by /b.json" in rows
    daemon.answers["receipts"] = {"receipts": []}
    assert "nothing was ever to be forgotten" in say("forget", "--receipt").out


@pytest.mark.usefixtures("ledger")
def test_without_a_daemon_the_ledger_forgets_under_the_daemons_lock(say: Callable[..., Said], tmp_path: Path) -> None:
    assert say("forget", "nobodyatall", "--yes").code == 4
    assert say("forget", "weaver").code == 2
    document = json.loads(say("forget", "weaver", "--yes", "--json").out)
    assert (document["facts"], document["exchanges"], document["settled_by"]) == (1, 1, "never trained")
    assert "weaver" not in say("memories").out and "東京" in say("memories").out
    assert "it was never in the weights" in say("forget", "--receipt").out
    assert b"weaver" not in b"".join(file.read_bytes() for file in (tmp_path / "state").glob("ledger.db*"))
    from sleepd.daemon.lock import StateLock

    with StateLock(tmp_path / "state", "another sleepd"):
        said = say("forget", "Alda", "--yes")
    assert said.code == 1 and "in use by another sleepd" in said.err


def test_status_tells_what_is_still_in_the_weights_and_what_does_not_stick() -> None:
    from sleepd.cli.status import rows

    document: dict[str, Any] = {
        "version": "1",
        "phase": "DAY",
        "decision": {"should_run": False, "reason": "x"},
        "cycle": None,
        "active": None,
        "last_cycle": None,
        "inference": {"kind": "none"},
        "totals": {"experiences": 1, "usable": 1, "new": 0},
        "quarantine": 0,
    }
    assert "forgotten" not in dict(rows(document))
    told = dict(rows(document | {"still_in_the_weights": [2, 1], "stubborn": 4}))
    assert told["forgotten"] == "still in the weights: 3 memories, until the next deep cycle"
    assert told["stubborn"].startswith("4 facts did not stick in three nights")
