"""The daemon while it reads a large buffer for the first time: it can be asked, and what would change something waits."""

from __future__ import annotations

import signal

from tests.process.harness import PATIENCE, Start, Workspace

MANY = 1600


def test_status_is_answered_while_a_large_buffer_is_read(workspace: Workspace, start: Start) -> None:
    workspace.set("schedule", **workspace.daylight())
    daemon = start().ready()
    workspace.live(MANY)
    seen = set[int]()

    def done() -> bool:
        seen.add(daemon.status()["totals"]["experiences"])
        return MANY in seen

    daemon.until(done, "the whole buffer was read", 3 * PATIENCE)
    assert len(seen - {0, MANY}) >= 2  # answers from the middle of the reading


def test_what_changes_something_waits_for_the_reading_and_is_done_then(workspace: Workspace, start: Start) -> None:
    workspace.set("schedule", **workspace.daylight())
    daemon = start().ready()
    workspace.live(MANY)
    daemon.until(lambda: 0 < daemon.status()["totals"]["experiences"] < MANY, "the reading has begun", 3 * PATIENCE)
    daemon.process.send_signal(signal.SIGHUP)
    assert daemon.call("pause", by="ann@tty1") == {"paused": True}
    status = daemon.status()
    assert status["totals"]["experiences"] == MANY and status["paused"]
    daemon.until(lambda: daemon.status()["config_generation"] == 2, "the configuration was read again")
