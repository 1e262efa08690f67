"""The real daemon as a process: life, signals, systemd, the socket, and a whole night."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from sleepd.control import client
from sleepd.errors import ExitCode, SleepdError
from tests.process.harness import Start, Workspace, answers, entries, eventually


def test_a_whole_night_from_the_buffer_to_the_commit(workspace: Workspace, start: Start) -> None:
    workspace.live(8)
    daemon = start().ready()
    assert daemon.verdict("cycle_001")["verdict"] == "committed"
    status = daemon.status()
    assert status["active"]["id"] == "cycle_001" and len(status["active"]["sha256"]) == 64
    assert status["totals"] == {"experiences": 8, "usable": 8, "new": 0}
    assert status["cycle"] is None and status["errors"] == []
    assert status["last_cycle"]["reasons"][0].startswith("not verified: ")  # inference.kind is none, and nothing is claimed
    assert status["decision"]["reason"] == "Insufficient new experiences (0 < 2)"
    directory = workspace.state / "adapters/cycle_001"
    documents = {"README.md", "manifest.json", "report.json", "training_state.json", "cycle_results.json"}
    assert {p.name for p in directory.iterdir()} == {"adapter_model.safetensors", "adapter_config.json", *documents}
    results = json.loads((directory / "cycle_results.json").read_text())
    assert set(results) == {
        "sleep_cycle",
        "num_experiences",
        "epochs",
        "final_loss",
        "avg_salience",
        "epoch_losses",
        "learning_rate",
        "timestamp",
    }
    assert (results["sleep_cycle"], results["num_experiences"], results["epoch_losses"]) == (1, 8, [2.0, 1.0, 0.5])
    assert str((workspace.state / "adapters/last_good").readlink()) == "cycle_001"
    state = json.loads((workspace.state / "scheduler_state.json").read_text())
    assert (state["last_sleep_cycle"], state["total_sleep_cycles"], state["experiences_at_last_sleep"]) == (1, 1, 8)
    assert not list((workspace.state / "jobs").iterdir())
    steps = [step["step"] for step in daemon.call("show", number=1)["steps"]]
    assert steps == ["CURATE", "DATASET", "TRAIN", "EVALUATE", "GATE", "STORE", "ACTIVATE", "RELOAD", "VERIFY", "COMMIT", "CLEAN"]
    assert "# Cycle 001" in (directory / "README.md").read_text()


def test_a_second_night_learns_what_came_after_the_first(workspace: Workspace, start: Start) -> None:
    workspace.live(6)
    daemon = start().ready()
    daemon.verdict("cycle_001")
    workspace.live(9)
    assert daemon.verdict("cycle_002")["verdict"] == "committed"
    report = daemon.call("report")["report"]
    assert report["training"]["examples"] == 3  # the six of the first night are not trained again
    assert report["figures"]["new_cards"] > 0 and report["figures"]["old_cards"] > 0
    state = json.loads((workspace.state / "adapters/cycle_002/training_state.json").read_text())
    assert (state["sleep_cycle_count"], state["total_experiences_trained"]) == (2, 9)
    assert [entry["sleep_cycle"] for entry in state["training_history"]] == [1, 2]


def test_systemd_hears_ready_status_and_stopping_in_order(workspace: Workspace, start: Start) -> None:
    workspace.live(2)
    daemon = start(environment={"WATCHDOG_USEC": "400000"}).ready()
    daemon.until(lambda: daemon.messages.count("WATCHDOG=1") >= 3, "three watchdog messages")
    assert daemon.stop() == 0
    kinds = [message.split("=")[0] for message in daemon.messages]
    assert kinds.index("READY") < kinds.index("STOPPING") and "STATUS" in "".join(daemon.messages)
    assert any("STATUS=NIGHT: base model active" in message for message in daemon.messages)
    assert not workspace.socket.exists()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_when_nothing_runs(workspace: Workspace, start: Start, number: int) -> None:
    daemon = start().ready()
    assert daemon.stop(number) == 0
    assert daemon.events("daemon_stopped")


def test_a_second_daemon_on_the_same_state_is_refused_by_name(workspace: Workspace, start: Start) -> None:
    first = start().ready()
    second = start()
    assert second.wait() == ExitCode.FAILED
    said = [line["line"] for line in second.events("text")]
    assert said[0] == f"sleepd: state directory {workspace.state} is in use by sleepd run (pid {first.process.pid})"
    assert said[1].startswith("remedy: ") and len(said) == 2
    assert answers(workspace)


def test_a_foreground_cycle_does_not_run_beside_a_daemon_and_runs_without_one(workspace: Workspace, start: Start) -> None:
    workspace.live(8)
    workspace.set("schedule", **workspace.daylight())
    daemon = start().ready()
    assert start(foreground=True).wait() == ExitCode.FAILED
    assert daemon.stop() == 0
    assert start(foreground=True).wait() == 0
    assert workspace.active() == "cycle_001"


def test_sigusr1_decides_now_and_the_decision_is_recorded(workspace: Workspace, start: Start) -> None:
    workspace.live(8)
    workspace.set("schedule", **workspace.daylight())
    daemon = start().ready()
    daemon.until(lambda: daemon.status()["totals"]["experiences"] == 8, "ingested")
    assert daemon.status()["decision"]["reason"].startswith("Phase is DAY")
    workspace.set("schedule", **workspace.night())
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until(lambda: daemon.status()["config_generation"] == 2, "reloaded")
    daemon.process.send_signal(signal.SIGUSR1)
    assert daemon.verdict("cycle_001")["verdict"] == "committed"


def test_it_waits_for_its_conditions_and_names_the_first_that_fails(workspace: Workspace, start: Start) -> None:
    workspace.live(3)
    workspace.set("schedule", idle_minutes=30.0)
    daemon = start().ready()
    daemon.until(lambda: daemon.status()["totals"]["experiences"] == 3, "ingested")
    check = daemon.call("check")
    assert check["should_run"] is False and check["reason"] == "Insufficient experiences (3 < 5)"
    assert [c["name"] for c in check["checks"] if not c["ok"]] == ["experiences", "quiet"]
    with pytest.raises(SleepdError, match="Insufficient experiences") as caught:
        daemon.call("sleep")
    assert caught.value.exit_code == ExitCode.SKIPPED
    assert daemon.call("sleep", dry_run=True, force=True)["started"] is False
    assert daemon.call("cycles") == {"cycles": []}
    assert daemon.call("sleep", force=True, by="ann@tty1")["cycle"] == "cycle_001"
    assert daemon.verdict("cycle_001")["verdict"] == "committed"
    assert daemon.call("show", number=1)["requested_by"] == "ann@tty1"


def test_a_cycle_can_be_followed_to_its_end(workspace: Workspace, start: Start) -> None:
    workspace.live(6)
    workspace.set("schedule", **workspace.daylight())
    daemon = start().ready()
    daemon.until(lambda: daemon.status()["totals"]["experiences"] == 6, "ingested")
    daemon.call("sleep", force=True)
    lines = list(client.follow(workspace.socket, "follow", {}))
    assert lines[-1] == {"done": True, "cycle": "cycle_001", "verdict": "committed", "reasons": lines[-1]["reasons"]}
    assert any(line.get("percent") is not None for line in lines[:-1])
    assert list(client.follow(workspace.socket, "follow", {}))[-1]["verdict"] == "committed"


def test_pause_holds_the_nights_until_resume_and_survives_a_restart(workspace: Workspace, start: Start) -> None:
    daemon = start().ready()
    daemon.call("pause", by="ann@tty1")
    workspace.live(6)
    daemon.until(lambda: daemon.status()["totals"]["experiences"] == 6, "ingested")
    daemon.stop()
    daemon = start().ready()
    status = daemon.status()
    assert status["paused"] is True and status["decision"]["reason"] == "Paused by ann@tty1" and status["cycle"] is None
    daemon.call("resume", by="ann@tty1")
    assert daemon.verdict("cycle_001")["verdict"] == "committed"


def test_unknown_commands_numbers_and_targets_have_their_exit_codes(workspace: Workspace, start: Start) -> None:
    daemon = start().ready()
    for command, args, code in (
        ("show", {"number": 7}, ExitCode.NOT_FOUND),
        ("show", {"number": "x"}, ExitCode.USAGE),
        ("report", {}, ExitCode.NOT_FOUND),
        ("rollback", {}, ExitCode.NOT_FOUND),
        ("activate", {"target": "9"}, ExitCode.NOT_FOUND),
        ("activate", {"target": "nonsense"}, ExitCode.USAGE),
        ("tag", {"number": 1, "name": "x"}, ExitCode.NOT_FOUND),
        ("sleep", {"kind": "heavy"}, ExitCode.USAGE),
    ):
        with pytest.raises(SleepdError) as caught:
            daemon.call(command, **args)
        assert caught.value.exit_code == code, (command, args, caught.value.message)
    assert daemon.stop() == 0


def test_hand_control_switches_and_names_who_asked(workspace: Workspace, start: Start) -> None:
    workspace.live(6)
    daemon = start().ready()
    daemon.verdict("cycle_001")
    workspace.live(9)
    daemon.verdict("cycle_002")
    daemon.call("pause", by="ann@tty1")
    assert daemon.call("rollback", by="ann@tty1")["active"] == "cycle_001"
    status = daemon.status()
    assert (status["active"]["id"], status["active"]["by"], status["totals"]["new"]) == ("cycle_001", "ann@tty1", 3)
    assert daemon.call("activate", target="2", by="bob@tty2")["active"] == "cycle_002"
    assert daemon.status()["totals"]["new"] == 0
    assert daemon.call("activate", target="base", by="bob@tty2")["active"] is None
    assert workspace.active() is None and daemon.status()["totals"]["new"] == 9
    assert [e["by"] for e in daemon.events("request_handled") if e["command"] in ("rollback", "activate")] == [
        "ann@tty1",
        "bob@tty2",
        "bob@tty2",
    ]
    assert daemon.call("tag", number=1, name="the good one", by="ann@tty1")["tag"] == "the good one"


def test_idle_it_does_not_spin(workspace: Workspace, start: Start) -> None:
    daemon = start().ready()
    daemon.until(lambda: daemon.events("decision_changed"), "a first decision")

    def cpu() -> float:
        fields = Path(f"/proc/{daemon.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    before = cpu()
    end = len(daemon.messages)
    daemon.process.send_signal(signal.SIGUSR1)
    daemon.until(lambda: len(daemon.messages) > end, "a status line")
    assert cpu() - before < 0.5


def test_a_buffer_that_appears_later_is_found(workspace: Workspace, start: Start) -> None:
    daemon = start().ready()
    assert daemon.status()["totals"]["experiences"] == 0
    workspace.live(2)
    daemon.until(lambda: daemon.status()["totals"]["experiences"] == 2, "ingested")
    workspace.buffer.write_text(json.dumps(entries(1, first=1)))  # shrunk: what was lived stays
    workspace.live(3, first=1)
    daemon.until(lambda: daemon.status()["totals"]["experiences"] == 4, "ingested by id")


def test_the_buffer_is_never_written_and_the_model_neither(workspace: Workspace, start: Start) -> None:
    workspace.live(6)
    files = [workspace.buffer, *workspace.model.iterdir()]
    before = [(f.read_bytes(), f.stat().st_mtime_ns) for f in files]
    daemon = start().ready()
    daemon.verdict("cycle_001")
    daemon.stop()
    assert [(f.read_bytes(), f.stat().st_mtime_ns) for f in files] == before
    assert eventually(lambda: not answers(workspace), "gone")
