"""A daemon that is killed again and again at random instants while people go on talking, and one that is then left alone."""

from __future__ import annotations

import random
import time

from sleepd.adapter.store import AdapterStore
from sleepd.ledger import Ledger
from tests.process.harness import Start, Workspace, pause

SECONDS = 15.0
STEP = 4


def test_random_kills_lose_nothing_and_count_nothing_twice(workspace: Workspace, start: Start) -> None:
    chance = random.Random(7)
    workspace.set("training", grace_seconds=1.0)
    end = time.monotonic() + SECONDS
    lived = kills = 0
    while time.monotonic() < end:
        lived += STEP
        workspace.live(lived)
        daemon = start()
        pause(chance.uniform(0.3, 1.6))  # the random instant itself; nothing is expected of it
        daemon.process.kill()
        daemon.wait()
        daemon.close()
        kills += 1
    daemon = start().ready()
    daemon.until(
        lambda: (s := daemon.status())["cycle"] is None and s["totals"]["experiences"] == lived and s["totals"]["new"] < 2,
        "it has caught up",
    )
    assert daemon.status()["errors"] == []
    daemon.stop()
    store = AdapterStore(workspace.state / "adapters")
    for number in store.numbers():
        store.integrity(f"cycle_{number:03d}")
    with Ledger.open(workspace.state / "ledger.db", readonly=True) as ledger:
        assert ledger.cycles.current() is None
        committed = ledger.cycles.committed()
        assert store.active() == store.last_good() == f"cycle_{committed[0].number:03d}"
        assert sum(row.summary["num_experiences"] for row in committed) == lived - ledger.experiences.totals().new
        assert {row.verdict for row in ledger.cycles.list()} <= {"committed", "abandoned"}
    assert kills >= 4
