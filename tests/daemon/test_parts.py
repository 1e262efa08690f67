"""The small parts: timers, worker, heartbeats, lock, alarm clock, cgroup leaf, model guard, documents."""

from __future__ import annotations

import queue
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from sleepd.base_model import identify
from sleepd.daemon import cgroup, documents, model
from sleepd.daemon.events import WorkDone
from sleepd.daemon.health import Heartbeats
from sleepd.daemon.lock import StateLock
from sleepd.daemon.scheduler import AlarmClock
from sleepd.daemon.timers import Timers
from sleepd.daemon.worker import Worker
from sleepd.errors import SleepdError

PATIENCE = 10.0


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_timers_run_in_order_once_and_a_name_moves_its_deadline() -> None:
    clock, ran = Clock(), list[str]()
    timers = Timers(clock)
    timers.after("late", 5, lambda: ran.append("late"))
    timers.after("early", 1, lambda: ran.append("early"))
    timers.after("moved", 2, lambda: ran.append("never"))
    timers.after("moved", 50, lambda: ran.append("moved"))
    timers.after("gone", 1, lambda: ran.append("gone"))
    timers.cancel("gone")
    assert timers.wait_seconds(30) == 1 and timers.wait_seconds(0.5) == 0.5
    clock.now += 6
    timers.run_due()
    timers.run_due()
    assert ran == ["early", "late"] and timers.pending("moved")


def test_an_action_may_set_its_own_timer_again_without_running_twice() -> None:
    clock, ran = Clock(), list[float]()
    timers = Timers(clock)

    def tick() -> None:
        ran.append(clock.now)
        timers.after("tick", 0, tick)

    timers.after("tick", 0, tick)
    timers.run_due()
    assert ran == [100.0]


def test_the_worker_brings_back_values_and_errors_and_goes_on() -> None:
    done: queue.SimpleQueue[WorkDone] = queue.SimpleQueue()
    worker = Worker(done.put)
    worker.start()

    def fail() -> object:
        raise ValueError("no")

    worker.submit(fail, lambda value, error: None)
    worker.submit(lambda: 7, lambda value, error: None)
    first, second = done.get(timeout=PATIENCE), done.get(timeout=PATIENCE)
    assert isinstance(first.error, ValueError) and (second.value, second.error) == (7, None)
    assert worker.busy_seconds() == 0 and worker.alive
    worker.stop()


def test_a_component_that_stops_beating_is_named() -> None:
    clock = Clock()
    beats = Heartbeats(clock)
    beat = beats.expect("control", 10)
    dead = [False]
    beats.probe("worker", lambda: not dead[0])
    clock.now += 9
    assert beats.stale() == []
    clock.now += 2
    dead[0] = True
    assert beats.stale() == ["control", "worker"]
    beat()
    assert beats.stale() == ["worker"]


def test_the_lock_names_its_holder_and_ends_with_the_process(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from sleepd.daemon.lock import StateLock\n"
        "lock = StateLock(Path(sys.argv[1]), 'sleepd run'); print('held', flush=True); input()"
    )
    holder = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert holder.stdout is not None and holder.stdin is not None
    holder.stdout.readline()
    with pytest.raises(SleepdError, match=rf"in use by sleepd run \(pid {holder.pid}\)"):
        StateLock(tmp_path, "sleepd sleep")
    holder.kill()
    holder.wait(PATIENCE)
    with StateLock(tmp_path, "sleepd sleep"):
        pass
    for pipe in (holder.stdout, holder.stdin):
        pipe.close()


def test_the_alarm_rings_at_its_period_and_at_a_moment_also_when_that_has_passed() -> None:
    rung: queue.SimpleQueue[str] = queue.SimpleQueue()
    alarm = AlarmClock(rung.put, 0.05)
    alarm.start()
    alarm.wake_at(datetime.now(UTC) - timedelta(days=400))
    heard = {rung.get(timeout=PATIENCE) for _ in range(6)}
    assert heard == {"period", "phase"}
    alarm.wake_at(None)
    alarm.stop()
    alarm.stop()


def fake_cgroup(tmp_path: Path) -> tuple[Path, Path]:
    root, proc = tmp_path / "cgroup", tmp_path / "proc"
    own = root / "system.slice/sleepd.service"
    own.mkdir(parents=True)
    (proc / "self").mkdir(parents=True)
    (proc / "self/cgroup").write_text("0::/system.slice/sleepd.service\n")
    return root, proc


def test_a_delegated_cgroup_gets_a_leaf_with_the_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, proc = fake_cgroup(tmp_path)
    monkeypatch.setattr("sleepd.daemon.cgroup._delegated", lambda path: True)
    leaf = cgroup.prepare_leaf(300, root, proc)
    assert leaf == root / "system.slice/sleepd.service/night"
    assert leaf is not None and (leaf / "memory.max").read_text() == str(300 * 1024 * 1024)
    assert (leaf.parent / "cgroup.subtree_control").read_text() == "+memory"
    (proc / "self/cgroup").write_text("0::/system.slice/sleepd.service/daemon\n")  # where the daemon itself now is
    assert cgroup.prepare_leaf(300, root, proc) == leaf


def test_a_cgroup_that_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    root, proc = fake_cgroup(tmp_path)
    (root / "system.slice/sleepd.service").chmod(0o500)
    assert cgroup.prepare_leaf(300, root, proc) is None
    assert cgroup.prepare_leaf(300, root, tmp_path / "nowhere") is None
    assert not list((root / "system.slice/sleepd.service").iterdir())


def test_the_model_guard_knows_missing_wrong_and_changed(tmp_path: Path) -> None:
    cache = tmp_path / "cache/models.json"
    assert model.problem(None, None) is model.UNKNOWN
    assert model.problem(model.look("", cache), None) is model.NOT_CONFIGURED
    (tmp_path / "config.json").write_text('{"architectures": ["Qwen2ForCausalLM"]}')
    (tmp_path / "model.safetensors").write_bytes(b"w")
    state = model.look(str(tmp_path), cache)
    assert model.problem(state, None) is None and model.problem(state, identify(tmp_path).sha256) is None
    changed = model.problem(state, "f" * 64)
    assert changed is not None and "adapters belong to ffffffffffff" in changed.message and "activate base" in changed.remedy


def test_figures_count_a_card_as_recalled_from_three_of_four_wordings() -> None:
    evaluation = {
        "new": [
            {"base": [False] * 4, "candidate": [True, True, True, False]},
            {"base": [True] * 4, "candidate": [True, True, False, False]},
        ],
        "old": [{"best": True, "candidate": False}],
        "rehearsal": [{"same": True}],
    }
    found = documents.figures({"evaluation": evaluation})
    assert (found["new_cards"], found["new_recalled_before"], found["new_recalled_after"]) == (2, 1, 1)
    assert (found["old_cards"], found["old_recalled_best"], found["old_recalled_after"], found["unrelated_same"]) == (1, 1, 0, 1)


def test_documents_of_a_night_that_made_nothing_are_still_documents() -> None:
    now = datetime(2026, 1, 18, 12, tzinfo=UTC)
    assert documents.cycle_results(3, {}, now)["num_experiences"] == 0
    assert documents.figures({"evaluation": None})["new_cards"] == 0
    assert documents.report(3, "light", "schedule", {"refusal": "nothing new"}, None, now, now)["refusal"] == "nothing new"


def test_history_counts_cycles_and_experiences() -> None:
    state = documents.training_state(
        [{"sleep_cycle": 1, "num_experiences": 6}, {"sleep_cycle": 2, "num_experiences": 3}], datetime(2026, 1, 18, tzinfo=UTC)
    )
    assert (state["sleep_cycle_count"], state["total_experiences_trained"], len(state["training_history"])) == (2, 9, 2)
