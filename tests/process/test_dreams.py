"""Dreams and sleep debt through a real daemon: the journal, a veto, the deep night that follows it, and what status says."""

from __future__ import annotations

import pytest

from sleepd.errors import NotFoundError, SleepdError
from tests.process.harness import Start, Workspace


def test_a_vetoed_dream_is_out_of_the_weights_after_the_next_deep_night_which_comes_by_itself(workspace: Workspace, start: Start) -> None:
    workspace.live(6)
    daemon = start().ready()
    assert daemon.verdict("cycle_001")["verdict"] == "committed"
    assert daemon.call("dreams")["dreams"] == []  # a light night does not dream
    assert daemon.call("sleep", kind="deep", force=True)["started"]
    assert daemon.verdict("cycle_002")["verdict"] == "committed"
    first, *others = daemon.call("dreams")["dreams"]
    assert first["cycle"] == "cycle_002" and first["messages"][1] == {"role": "assistant", "content": "Your friend lives there."}
    with pytest.raises(SleepdError) as unknown:
        daemon.call("veto", id="no such dream", by="ann@tty1")
    assert unknown.value.exit_code == NotFoundError.exit_code
    assert daemon.call("veto", id=first["id"], by="ann@tty1")["still_in_the_weights"]
    assert daemon.verdict("cycle_003")["verdict"] == "committed"
    row = daemon.call("cycles", limit=1)["cycles"][0]
    assert (row["kind"], row["requested_by"]) == ("deep", "schedule")
    journal = {dream["id"]: dream for dream in daemon.call("dreams")["dreams"]}
    assert journal[first["id"]]["cycle"] == "cycle_002" and journal[first["id"]]["vetoed_by"] == "ann@tty1"
    assert all(journal[dream["id"]]["cycle"] == "cycle_003" for dream in others)
    assert not daemon.call("check")["should_run"]
    assert any(line.get("command") == "veto" and line.get("by") == "ann@tty1" for line in daemon.events("request_handled"))


def test_status_tells_what_waits_and_how_the_last_nights_changed_the_schedule(workspace: Workspace, start: Start) -> None:
    workspace.mode("reject")
    workspace.live(3)
    daemon = start().ready()
    daemon.until(lambda: daemon.status()["totals"]["new"] == 3, "three new experiences")
    debt = daemon.status()["sleep_debt"]
    assert (debt["experiences"], debt["nights_missed"], debt["reasons"]) == (3, 0, []) and 0 <= debt["hours"] < 0.1
    assert daemon.status()["pace"] == {"factor": 1.0, "reason": ""}
    workspace.live(6)
    assert daemon.verdict("cycle_001")["verdict"] == "rejected"
    daemon.until(lambda: daemon.status()["pace"]["factor"] >= 2.0, "a slower pace after a rejected night")
    assert "rejected" in daemon.status()["pace"]["reason"]
