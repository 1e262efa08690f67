"""A child that crashes, hangs, prints rubbish or is killed: the night is lost, nothing else."""

from __future__ import annotations

import json
import os

import pytest

from tests.process.harness import Start, Workspace


@pytest.mark.parametrize(
    ("mode", "verdict", "words"),
    [
        ("reject", "rejected", "nothing was learned"),
        ("crash", "abandoned", "crashed (SIGSEGV)"),
        ("killed", "abandoned", "was killed (SIGKILL)"),
        ("oom", "abandoned", "ran out of memory (exit 5): out of memory at batch 1"),
        ("bad-job", "abandoned", "refused the job (exit 3): the job is not to my liking"),
        ("bad-data", "rejected", "found nothing to learn (exit 4): nothing to learn here"),
        ("empty", "abandoned", "exited 0 and left no result"),
    ],
)
def test_a_failed_night_changes_nothing_and_says_why(workspace: Workspace, start: Start, mode: str, verdict: str, words: str) -> None:
    workspace.mode(mode)
    workspace.live(6)
    workspace.set("schedule", min_hours_between_sleep=6.0)
    daemon = start().ready()
    last = daemon.verdict("cycle_001")
    assert last["verdict"] == verdict and any(words in reason for reason in last["reasons"]), last
    status = daemon.status()
    assert status["active"] is None and workspace.active() is None
    assert status["totals"]["new"] == 6  # nothing is lost, nothing is marked
    assert status["decision"]["reason"].startswith("Too soon since the last cycle")  # and not tried again every minute
    assert not list((workspace.state / "jobs").iterdir())
    assert (workspace.state / "adapters/quarantine/cycle_001/reason.json").exists() == (mode == "reject")


def test_rubbish_on_the_pipe_is_logged_and_the_night_goes_on(workspace: Workspace, start: Start) -> None:
    workspace.mode("rubbish")
    workspace.live(6)
    daemon = start().ready()
    assert daemon.verdict("cycle_001")["verdict"] == "committed"
    lines = [line["line"] for line in daemon.events("child_output")]
    assert any("not json" in line for line in lines) and any(line.endswith("(cut)") for line in lines)
    assert all(line["cycle"] == "cycle_001" for line in daemon.events("child_output"))
    assert "environment NOTIFY_SOCKET=None CUDA=''" in lines


@pytest.mark.parametrize("mode", ["hang", "stubborn"])
def test_a_child_that_hangs_is_ended_when_its_time_is_up(workspace: Workspace, start: Start, mode: str) -> None:
    workspace.mode(mode)
    workspace.live(6)
    workspace.set("schedule", min_hours_between_sleep=6.0)
    workspace.set("training", max_hours=1.0 / 3600, grace_seconds=0.5)
    daemon = start().ready()
    last = daemon.verdict("cycle_001")
    assert last["verdict"] == "abandoned" and "training.max_hours" in last["reasons"][0]
    assert daemon.status()["totals"]["new"] == 6


def test_a_stopped_daemon_takes_the_checkpoint_and_the_next_goes_on_from_it(workspace: Workspace, start: Start) -> None:
    workspace.mode("slow")
    workspace.live(6)
    daemon = start().ready()
    daemon.stage("TRAIN")
    assert daemon.stop() == 0
    assert any(m.startswith("EXTEND_TIMEOUT_USEC=") for m in daemon.messages)
    assert (workspace.state / "jobs/cycle_001/checkpoint/state").read_text() == "half way"
    daemon = start().ready()
    assert daemon.verdict("cycle_001")["verdict"] == "committed"
    steps = [step["step"] for step in daemon.call("show", number=1)["steps"]]
    assert steps.count("CURATE") == 2 and steps[-1] == "CLEAN"


def test_a_cycle_is_resumed_once_and_not_again(workspace: Workspace, start: Start) -> None:
    workspace.mode("slow")
    workspace.live(6)
    workspace.set("schedule", min_hours_between_sleep=6.0)
    daemon = start().ready()
    daemon.stage("TRAIN")
    daemon.stop()
    workspace.mode("hang")
    daemon = start().ready()
    daemon.stage("TRAIN")
    daemon.stop()
    daemon = start().ready()
    last = daemon.verdict("cycle_001")
    assert last["verdict"] == "stopped" and daemon.status()["totals"]["new"] == 6


def test_dawn_stops_the_child_at_its_checkpoint_and_the_next_night_goes_on(workspace: Workspace, start: Start) -> None:
    workspace.mode("slow")
    workspace.live(6)
    daemon = start().ready()
    daemon.stage("TRAIN")
    workspace.set("schedule", **workspace.daylight())
    daemon.call("reload")
    daemon.until(lambda: (daemon.status()["cycle"] or {}).get("waiting") == "the night is over", "it waits")
    assert daemon.status()["decision"]["should_run"] is False
    workspace.set("schedule", **workspace.night())
    daemon.call("reload")
    assert daemon.verdict("cycle_001")["verdict"] == "committed"


def test_a_buffer_that_wakes_up_stops_the_child(workspace: Workspace, start: Start) -> None:
    workspace.mode("slow")
    workspace.live(6)
    os.utime(workspace.buffer, (1, 1))  # quiet for ages
    workspace.set("schedule", idle_minutes=5.0)
    daemon = start().ready()
    daemon.stage("TRAIN")
    workspace.live(7)
    daemon.until(lambda: (daemon.status()["cycle"] or {}).get("waiting") == "the buffer woke up", "it waits")
    assert "written recently" in daemon.status()["decision"]["reason"]


def test_hand_control_during_a_night_ends_the_night_first(workspace: Workspace, start: Start) -> None:
    workspace.live(6)
    daemon = start().ready()
    daemon.verdict("cycle_001")
    workspace.mode("slow")
    workspace.live(9)
    daemon.stage("TRAIN")
    assert daemon.call("activate", target="base", by="ann@tty1")["active"] is None
    assert daemon.call("show", number=2)["verdict"] == "abandoned"
    assert workspace.active() is None


def test_a_job_holds_everything_the_child_needs(workspace: Workspace, start: Start) -> None:
    workspace.mode("slow")
    workspace.live(6)
    daemon = start().ready()
    daemon.stage("TRAIN")
    job_dir = workspace.state / "jobs/cycle_001"
    job = json.loads((job_dir / "job.json").read_text())
    asked = {"format", "id", "cycle", "kind", "created", "model", "device", "dtype", "threads", "seed", "training", "gate"}
    assert asked | {"living_adapter", "cache_dir", "canary_tokens", "min_salience"} <= job.keys()
    assert (job["cycle"], job["kind"], job["living_adapter"], job["canary_tokens"]) == (1, "light", None, 48)
    row = json.loads((job_dir / "experiences.jsonl").read_text().splitlines()[0])
    assert set(row) == {"experience", "verdict"} and set(row["verdict"]) == {"example", "reasons", "trimmed", "cards"}
    assert row["experience"]["salience"]["total"] == 0.7
