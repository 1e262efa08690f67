"""Killed in, and an error in, every step: the rows come from the step table itself, so no step can lack one."""

from __future__ import annotations

import signal

import pytest

from sleepd.adapter.store import AdapterStore
from sleepd.daemon.steps import CHILD_STEPS, STEPS
from sleepd.ledger import Ledger
from tests.process.harness import Daemon, Start, Workspace

NAMES = [step.name for step in STEPS]
# "working": the step is written down and nothing of it is done. "leaving": it is done and that is not written down, which is
# also all that is on disk until the next step is entered. The child's steps but the last are left by no event of their own.
ROWS = [("working", name) for name in NAMES] + [("leaving", name) for name in NAMES if name not in CHILD_STEPS[:-1]]


def settled(daemon: Daemon) -> dict[str, object]:
    """The status once nothing is under way."""

    def look() -> dict[str, object] | None:
        status = daemon.status()
        return status if status["cycle"] is None and status["last_cycle"] is not None else None

    found: dict[str, object] = daemon.until(look, "a settled state")
    return found


def assert_sound(workspace: Workspace, committed: bool) -> None:
    """The promises, read from the disk after the daemon has ended: whole adapters, no experience lost or counted twice."""
    store = AdapterStore(workspace.state / "adapters")
    active = store.active()
    for adapter in (active, store.last_good()):
        if adapter is not None:
            store.integrity(adapter)
    with Ledger.open(workspace.state / "ledger.db", readonly=True) as ledger:
        assert ledger.cycles.current() is None and ledger.values.get("switch") is None
        totals = ledger.experiences.totals()
        assert totals.experiences == 6
        assert totals.new == (0 if committed else 6)
        assert (active is None) == (not committed)
        if committed:
            assert active == store.last_good()
            assert ledger.values.get("active")["id"] == active  # type: ignore[index]  # the value is an object
            assert len(ledger.cycles.committed()) == 1
            assert all(len(ledger.cards.probes(card.id)) == 1 for card in ledger.cards.all())
    assert not list((workspace.state / "jobs").iterdir())
    staging = workspace.state / "adapters/staging"
    assert not staging.is_dir() or not list(staging.iterdir())


@pytest.mark.parametrize(("moment", "step"), ROWS)
def test_killed_in(workspace: Workspace, start: Start, moment: str, step: str) -> None:
    """A power cut at any instant ends, after the next start alone, in the old state or in the new one."""
    if step == "ROLLBACK":
        workspace.set("inference", kind="http", reload_url="http://127.0.0.1:9/reload", health_url="http://127.0.0.1:9/health", tries=1)
    workspace.set("schedule", min_hours_between_sleep=6.0)
    workspace.live(6)
    assert start(kill=f"{moment}:{step}").wait() == -signal.SIGKILL
    second = start().ready()
    last = settled(second)["last_cycle"]
    assert isinstance(last, dict)
    second.stop()
    assert_sound(workspace, committed=last["verdict"] == "committed")
    if step in CHILD_STEPS:  # a child that is as good as done may end before it is stopped
        assert last["verdict"] in ("abandoned", "committed")
    else:
        assert last["verdict"] == ("rolled_back" if step == "ROLLBACK" else "committed")


def test_killed_while_a_rejected_night_is_cleared_up(workspace: Workspace, start: Start) -> None:
    workspace.mode("reject")
    workspace.set("schedule", min_hours_between_sleep=6.0)
    workspace.live(6)
    assert start(kill="leaving:CLEAN").wait() == -signal.SIGKILL
    second = start().ready()
    assert second.verdict("cycle_001")["verdict"] == "rejected"
    second.stop()
    assert_sound(workspace, committed=False)


@pytest.mark.parametrize("step", [name for name in NAMES if name not in (*CHILD_STEPS[1:], "ROLLBACK")])
def test_error_in(workspace: Workspace, start: Start, step: str) -> None:
    """A full disk in any step's work: one clear reason, nothing half done, and the daemon lives."""
    workspace.set("schedule", min_hours_between_sleep=6.0)
    workspace.live(6)
    daemon = start(fail=f"working:{step}").ready()
    last = daemon.verdict("cycle_001")
    committed = step == "CLEAN"
    assert last["verdict"] == (
        "committed" if committed else "rolled_back" if step in ("ACTIVATE", "RELOAD", "VERIFY", "COMMIT") else "abandoned"
    )
    assert any("No space left on device" in reason for reason in last["reasons"])
    daemon.stop()
    assert start().ready().stop() == 0  # what could not be cleared up then is now
    assert_sound(workspace, committed)


def test_a_rollback_that_cannot_move_the_link_holds_everything_and_says_so(workspace: Workspace, start: Start) -> None:
    workspace.set("inference", kind="http", reload_url="http://127.0.0.1:9/reload", health_url="http://127.0.0.1:9/health", tries=1)
    workspace.live(6)
    daemon = start(fail="working:ROLLBACK").ready()
    daemon.until(lambda: any("cannot be rolled back yet" in error for error in daemon.status()["errors"]), "the error is told")
    assert daemon.status()["cycle"]["stage"] == "ROLLBACK"
    daemon.stop()
    daemon = start().ready()
    assert daemon.verdict("cycle_001")["verdict"] == "rolled_back"
    assert workspace.active() is None


def test_an_earlier_adapter_survives_a_night_that_dies(workspace: Workspace, start: Start) -> None:
    workspace.live(6)
    daemon = start().ready()
    daemon.verdict("cycle_001")
    daemon.stop()
    workspace.live(9)
    assert start(kill="working:VERIFY").wait() == -signal.SIGKILL
    assert workspace.active() == "cycle_002"
    workspace.set("inference", kind="http", reload_url="http://127.0.0.1:9/reload", health_url="http://127.0.0.1:9/health")
    daemon = start().ready()
    assert daemon.verdict("cycle_002")["verdict"] == "rolled_back"  # its service is down now: not verified within its tries
    assert workspace.active() == "cycle_001"
    assert daemon.status()["totals"]["new"] == 3
