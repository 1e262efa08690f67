"""``sleep`` through a daemon: what it asks for, how it follows, and how the end becomes an exit status."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from sleepd.errors import SkippedError
from tests.cli.conftest import Said, ScriptedDaemon

STARTED = {"started": True, "dry_run": False, "cycle": "cycle_007", "kind": "light", "resumed": False, "decision": {}}
PROGRESS = [
    {
        "cycle": "cycle_007",
        "kind": "light",
        "stage": "CURATE",
        "percent": 2.0,
        "step": 0,
        "steps": 0,
        "loss": None,
        "eta_s": None,
        "message": "",
    },
    {
        "cycle": "cycle_007",
        "kind": "light",
        "stage": "TRAIN",
        "percent": 43.2,
        "step": 12,
        "steps": 40,
        "loss": 1.25,
        "eta_s": 31.0,
        "message": "",
    },
]
IDLE = {"cycle": None}


def ended(verdict: str | None, *reasons: str) -> dict[str, object]:
    return {"done": True, "cycle": "cycle_007", "verdict": verdict, "reasons": list(reasons)}


@pytest.mark.parametrize(
    ("options", "force", "kind"),
    [([], False, None), (["--force"], True, None), (["--light"], False, "light"), (["--force", "--deep"], True, "deep")],
)
def test_the_options_reach_the_daemon(
    say: Callable[..., Said], daemon: ScriptedDaemon, options: list[str], force: bool, kind: str | None
) -> None:
    daemon.answers["sleep"] = STARTED
    said = say("sleep", *options)
    assert said.code == 0 and "cycle_007 (light) has started" in said.out
    (_, args), *_ = daemon.asked
    assert (args["force"], args["kind"], args["dry_run"]) == (force, kind, False)


def test_what_is_not_due_is_skipped_with_75(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers["sleep"] = SkippedError("3 of 5 usable experiences", "see `sleepd check`; --force skips the schedule")
    said = say("sleep")
    assert said.code == 75
    assert said.err == "sleepd: 3 of 5 usable experiences\nremedy: see `sleepd check`; --force skips the schedule\n"


@pytest.mark.parametrize(
    ("verdict", "code"), [("committed", 0), ("rejected", 5), ("rolled_back", 1), ("abandoned", 1), ("stopped", 75), (None, 75)]
)
def test_following_prints_progress_and_ends_with_the_verdict(
    say: Callable[..., Said], daemon: ScriptedDaemon, verdict: str | None, code: int
) -> None:
    daemon.answers.update({"status": IDLE, "sleep": STARTED, "follow": [*PROGRESS, ended(verdict, "because of this")]})
    said = say("sleep", "--follow")
    assert said.code == code
    lines = said.out.splitlines()
    assert lines[0].split() == ["curate", "2", "%"]
    assert lines[1].split() == "train 43 % step 12 of 40 loss 1.250 about 31 s left".split()
    assert lines[2].startswith("cycle_007: ") and lines[3] == "  because of this"


def test_following_as_json_is_one_document_a_line(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers.update({"status": IDLE, "sleep": STARTED, "follow": [*PROGRESS, ended("committed")]})
    documents = [json.loads(line) for line in say("sleep", "--follow", "--json").out.splitlines()]
    assert documents == [*PROGRESS, ended("committed")]


def test_a_running_cycle_is_followed_and_not_asked_for_again(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers.update({"status": {"cycle": {"id": "cycle_007", "waiting": None}}, "follow": [ended("committed")]})
    assert say("sleep", "--follow").code == 0
    assert [command for command, _ in daemon.asked] == ["status", "follow"]


def test_a_cycle_that_waits_is_asked_to_go_on(say: Callable[..., Said], daemon: ScriptedDaemon) -> None:
    daemon.answers.update(
        {"status": {"cycle": {"id": "cycle_007", "waiting": "dawn"}}, "sleep": {**STARTED, "resumed": True}, "follow": [ended("committed")]}
    )
    assert say("sleep", "--follow").code == 0
    assert [command for command, _ in daemon.asked] == ["status", "sleep", "follow"]
    assert "goes on" in say("sleep").out
