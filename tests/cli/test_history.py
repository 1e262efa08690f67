"""``cycles``, ``show``, ``report``: the same documents from a daemon and from the ledger, and in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sleepd.ledger import Ledger
from tests.cli.conftest import Said, ScriptedDaemon

NOW = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)
REPORT: dict[str, Any] = {
    "cycle": 1,
    "kind": "light",
    "requested_by": "schedule",
    "started_at": NOW.isoformat(),
    "judged_at": (NOW + timedelta(seconds=90)).isoformat(),
    "seconds": 90.0,
    "gate": {
        "accepted": True,
        "reasons": [],
        "checks": [
            {"name": "new_facts", "ok": True, "detail": "9 of 10 new facts recalled", "numbers": {}},
            {"name": "text", "ok": False, "detail": "unseen text +0.2 nat a token", "numbers": {}},
        ],
    },
    "figures": {
        "new_cards": 10,
        "new_recalled_before": 0,
        "new_recalled_after": 9,
        "old_cards": 4,
        "old_recalled_best": 4,
        "old_recalled_after": 3,
        "unrelated_prompts": 32,
        "unrelated_same": 31,
    },
    "training": {"examples": 2, "cards": 10, "epochs": 6, "final_loss": 0.0421},
    "evaluation": {
        "text": {"base": [2.0, 4.0], "candidate": [2.5, 4.5], "tokens": [30, 10]},
        "collapse": {"base": {"distinct3": 0.9, "mean_words": 12.0}, "candidate": {"distinct3": 0.88, "mean_words": 11.0}},
    },
    "cards": [
        {
            "quote": "Dana works as a glazier.",
            "subject": "Dana",
            "relation": "occupation",
            "status": "stubborn",
            "reason": "1 of 4 wordings",
        },
        {"quote": "My sister moved to Porto.", "subject": "user's sister", "relation": "city", "status": "graduated", "reason": ""},
    ],
    "quarantined": [{"id": "abc", "reason": "the quote does not hold the value"}],
    "timings": {"train": 60.5, "evaluate": 20.0},
    "peak_memory_mb": 812.0,
    "refusal": None,
}


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A ledger with a committed cycle that has a report, and one that was abandoned."""
    path = tmp_path / "state" / "ledger.db"
    path.parent.mkdir()
    with Ledger.open(path) as opened:
        opened.cycles.begin(1, "light", "/jobs/1", NOW, "schedule")
        opened.cycles.enter(1, "CURATE", {}, NOW)
        opened.cycles.enter(1, "GATE", {}, NOW + timedelta(seconds=80))
        summary = {"report": REPORT, "num_experiences": 12, "verification": {"detail": "serves cycle_001; 5 of 5 canaries"}}
        opened.cycles.finish(1, "committed", [], NOW + timedelta(seconds=90), summary)
        opened.cycles.tag(1, "first")
        opened.cycles.begin(2, "deep", "/jobs/2", NOW + timedelta(days=1), "alice@pts/1")
        opened.cycles.finish(2, "abandoned", ["the child was killed by signal 9"], NOW + timedelta(days=1, seconds=5), {})
    return path


@pytest.mark.usefixtures("ledger")
def test_without_a_daemon_the_ledger_tells_the_history(say: Callable[..., Said]) -> None:
    cycles = json.loads(say("cycles", "--json").out)["cycles"]
    assert [(cycle["id"], cycle["verdict"]) for cycle in cycles] == [("cycle_002", "abandoned"), ("cycle_001", "committed")]
    assert [cycle["id"] for cycle in json.loads(say("cycles", "-n", "1", "--json").out)["cycles"]] == ["cycle_002"]
    shown = json.loads(say("show", "1", "--json").out)
    assert [step["step"] for step in shown["steps"]] == ["CURATE", "GATE"]
    assert shown["active"] is False and shown["tag"] == "first"
    assert json.loads(say("report", "1", "--json").out)["report"] == REPORT


@pytest.mark.usefixtures("ledger")
def test_a_running_daemon_is_asked_first(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["cycles"] = {"cycles": []}
    assert say("cycles").out == "no cycle yet\n"
    assert daemon.asked == [("cycles", {"limit": 20})]


@pytest.mark.usefixtures("ledger")
def test_the_history_in_words(say: Callable[..., Said]) -> None:
    header, second, first = say("cycles").out.splitlines()
    assert header.split() == ["cycle", "kind", "started", "experiences", "new", "facts", "verdict", "tag"]
    assert first.split()[-6:] == ["12", "9", "of", "10", "committed", "first"]
    assert second.split()[-1] == "abandoned"
    shown = say("show", "2").out
    assert "cycle_002 (deep)" in shown and "alice@pts/1" in shown and "killed by signal 9" in shown


@pytest.mark.usefixtures("ledger")
def test_a_report_tells_what_stuck_and_what_did_not(say: Callable[..., Said]) -> None:
    shown = say("report", "1").out
    rows = [" ".join(line.split()) for line in shown.splitlines()]
    for row in (
        "cycle_001 (light): committed",
        "training 2 examples and 10 facts, 6 epochs, final loss 0.0421",
        "in service serves cycle_001; 5 of 5 canaries",
        "new facts recalled 0 of 10 9 of 10",
        "earlier facts recalled 4 of 4 at best 3 of 4",
        "unseen text, nat a token 2.5 3",
        "different three-word runs 90 % 88 %",
        "ok new_facts 9 of 10 new facts recalled",
        "no text unseen text +0.2 nat a token",
        "abc the quote does not hold the value",
        "Dana works as a glazier. Dana, occupation stubborn 1 of 4 wordings",
    ):
        assert row in rows
    assert shown.index("moved to Porto") < shown.index("glazier")


@pytest.mark.usefixtures("ledger")
def test_the_last_cycles_report_is_the_default_and_may_be_empty(say: Callable[..., Said]) -> None:
    shown = say("report").out
    assert shown.startswith("cycle_002 (deep): abandoned\n  the child was killed by signal 9\n")
    assert "nothing to report" in shown


@pytest.mark.usefixtures("ledger")
@pytest.mark.parametrize("verb", ["show", "report"])
def test_a_cycle_that_does_not_exist_is_exit_status_4(say: Callable[..., Said], verb: str) -> None:
    said = say(verb, "99")
    assert said.code == 4 and "99" in said.err and "remedy: " in said.err


def test_without_daemon_and_ledger_it_is_the_daemon_that_is_missing(say: Callable[..., Said]) -> None:
    assert say("cycles").code == 3
