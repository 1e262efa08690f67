"""``status`` and ``check``: the document as it is, and the same in words."""

from __future__ import annotations

import json
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from tests.cli.conftest import Said, ScriptedDaemon

IDLE: dict[str, Any] = {
    "version": "0.1.0",
    "instance": None,
    "phase": "NIGHT",
    "next_phase_change": "2026-03-01T06:00:00+00:00",
    "decision": {
        "should_run": False,
        "reason": "3 of 5 usable experiences",
        "checks": [
            {"name": "phase", "ok": True, "detail": "NIGHT"},
            {"name": "experiences", "ok": False, "detail": "3 of 5 usable experiences"},
        ],
    },
    "totals": {"experiences": 1200, "usable": 3, "new": 1},
    "cycle": None,
    "active": None,
    "last_cycle": None,
    "inference": {"kind": "none", "healthy": None, "served": None},
    "quarantine": 0,
    "config_generation": 1,
    "paused": False,
}


def busy() -> dict[str, Any]:
    document = deepcopy(IDLE)
    document["instance"] = "alice"
    document["cycle"] = {"id": "cycle_007", "kind": "deep", "stage": "TRAIN", "progress": {"percent": 43.4}, "waiting": None}
    document["active"] = {"id": "cycle_006", "sha256": "ab" * 32, "since": "2026-02-28T03:00:00+00:00"}
    document["last_cycle"] = {"id": "cycle_006", "verdict": "rejected", "reasons": ["new recall: 2 of 9, at least half is needed"]}
    document["inference"] = {"kind": "sleepd", "healthy": True, "served": {"adapter_id": "cycle_006", "detail": ""}}
    document["quarantine"] = 4
    document["errors"] = ["buffer.json: permission denied; let the group sleepd read it"]
    return document


@pytest.mark.parametrize("document", [IDLE, busy()])
def test_json_is_the_daemons_own_document(say: Callable[..., Said], daemon: ScriptedDaemon, document: dict[str, Any]) -> None:
    daemon.answers["status"] = document
    said = say("status", "--json")
    assert said.code == 0 and said.err == ""
    assert json.loads(said.out) == document


def test_an_idle_daemon_in_words(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["status"] = IDLE
    shown = say("status").out
    for words in (
        "NIGHT, until 2026-",
        "not now: 3 of 5 usable experiences",
        "none running",
        "base (no adapter)",
        "1,200, of them 3 usable",
        "empty",
    ):
        assert words in shown
    assert (
        len({line.index("  ") for line in shown.splitlines() if not line.startswith(" ")} | {len("experiences")}) > 1
    )  # labels of different length
    starts = {
        len(line) - len(line[line.index(" ") :].lstrip())
        for line in shown.splitlines()
        if line.split()[0] in ("phase", "decision", "cycle")
    }
    assert len(starts) == 1  # the values are one column


def test_a_busy_daemon_in_words(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["status"] = busy()
    shown = say("status").out
    for words in (
        "instance alice",
        "cycle_007 (deep): train, 43 %",
        "cycle_006, since",
        "sha256 abababababab",
        "cycle_006 rejected",
        "2 of 9",
        "serves cycle_006",
        "4 entries",
        "let the group sleepd read it",
    ):
        assert words in shown


def test_a_paused_daemon_says_so(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["status"] = IDLE | {"paused": True}
    assert "paused:" in say("status").out


@pytest.mark.parametrize(("should_run", "code"), [(True, 0), (False, 75)])
def test_check_answers_with_its_exit_status(say: Callable[..., Said], daemon: ScriptedDaemon, should_run: bool, code: int) -> None:
    daemon.answers["check"] = IDLE["decision"] | {"should_run": should_run}
    said = say("check", "--json")
    assert said.code == code
    assert set(json.loads(said.out)) == {"should_run", "reason", "checks"}
    assert say("check").code == code


def test_check_names_every_condition_with_its_numbers(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["check"] = IDLE["decision"]
    first, header, *rows = say("check").out.splitlines()
    assert first == "no cycle now: 3 of 5 usable experiences"
    assert header.split() == ["check", "numbers"]
    assert [row.split()[:2] for row in rows] == [["ok", "phase"], ["no", "experiences"]]


def test_a_reload_says_what_it_took_over_and_what_needs_a_restart(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["reload"] = {"applied": ["schedule.preset"], "needs_restart": ["log.format"]}
    assert say("reload").out == "reloaded: schedule.preset; takes effect after a restart: log.format\n"
    daemon.answers["reload"] = {"applied": [], "needs_restart": []}
    assert say("reload").out == "reloaded: nothing changed\n"


@pytest.mark.parametrize(
    ("debt", "words"),
    [
        ({"experiences": 0, "hours": 0.0, "nights_missed": 0, "reasons": []}, ["sleep debt   none"]),
        ({"experiences": 1, "hours": 5.5, "nights_missed": 0, "reasons": []}, ["1 new experience waiting for 5.5 h\n"]),
        (
            {"experiences": 40, "hours": 96.0, "nights_missed": 4, "reasons": ["Running on battery", "Paused by ann@tty1"]},
            ["40 new experiences waiting for 4.0 days, 4 nights missed\n", "Running on battery\n", "Paused by ann@tty1\n"],
        ),
    ],
)
def test_sleep_debt_in_words(say: Callable[..., Said], daemon: ScriptedDaemon, debt: dict[str, Any], words: list[str]) -> None:
    daemon.answers["status"] = IDLE | {"sleep_debt": debt}
    shown = say("status").out
    assert all(line in shown for line in words)


def test_a_changed_pace_is_told_with_its_reason(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["status"] = IDLE | {"pace": {"factor": 2.0, "reason": "the last night was rejected"}}
    assert "slower: new experiences and hours x 2 (the last night was rejected)" in say("status").out
    daemon.answers["status"] = IDLE | {"pace": {"factor": 0.75, "reason": "3 nights in a row passed"}}
    assert "quicker: new experiences and hours x 0.75 (3 nights in a row passed)" in say("status").out
    daemon.answers["status"] = IDLE
    assert "as scheduled" in say("status").out
