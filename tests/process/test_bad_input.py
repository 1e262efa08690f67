"""Bad buffers, models and configurations: one clear error each, visible in the status, and nothing lost."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from typing import Any

import pytest

from sleepd.errors import ExitCode, SleepdError
from tests.process.harness import Start, Workspace, entries


def wrong_types() -> str:
    rows: list[Any] = entries(3)
    rows[1]["salience"] = "high"
    return json.dumps([rows[0], rows[1], 7, rows[2]])


BAD_BUFFERS: dict[str, tuple[bytes, str]] = {
    "no JSON": (b"hello, I am no buffer", "buffer"),
    "another document": (b'{"weather": "fine"}', "buffer"),
    "not UTF-8": (b'[{"prompt": "\xff\xfe"}]', "UTF-8"),
}


@pytest.mark.parametrize("name", BAD_BUFFERS)
def test_a_buffer_that_cannot_be_read_is_named_and_what_was_lived_stays(workspace: Workspace, start: Start, name: str) -> None:
    content, words = BAD_BUFFERS[name]
    workspace.set("schedule", **workspace.daylight())
    workspace.live(3)
    daemon = start().ready()
    daemon.until(lambda: daemon.status()["totals"]["experiences"] == 3, "ingested")
    workspace.buffer.write_bytes(content)
    errors = daemon.until(lambda: daemon.status()["errors"], "an error")
    assert len(errors) == 1 and str(workspace.buffer) in errors[0] and words in errors[0]
    assert daemon.status()["totals"]["experiences"] == 3
    workspace.live(4)
    daemon.until(lambda: not daemon.status()["errors"] and daemon.status()["totals"]["experiences"] == 4, "recovered")


def test_a_torn_buffer_is_no_error_until_it_persists(workspace: Workspace, start: Start) -> None:
    workspace.set("schedule", **workspace.daylight())
    whole = json.dumps(entries(5))
    workspace.buffer.write_text(whole[: len(whole) // 2])
    daemon = start().ready()
    errors = daemon.until(lambda: daemon.status()["errors"], "an error after some looks")
    assert len(errors) == 1 and str(workspace.buffer) in errors[0]
    assert not daemon.events("buffer_failed")[1:]  # told once
    workspace.buffer.write_text(whole)
    daemon.until(lambda: not daemon.status()["errors"] and daemon.status()["totals"]["experiences"] == 5, "whole again")


def test_empty_and_half_bad_buffers_cost_only_what_is_bad(workspace: Workspace, start: Start) -> None:
    workspace.set("schedule", **workspace.daylight())
    workspace.buffer.write_text("[]")
    daemon = start().ready()
    assert daemon.status()["errors"] == []
    workspace.buffer.write_text(wrong_types())
    daemon.until(
        lambda: daemon.status()["totals"]["experiences"] >= 2 and daemon.status()["quarantine"] >= 1,
        "the good ones are in, the bad set aside",
    )


def test_a_buffer_that_vanishes_and_returns(workspace: Workspace, start: Start) -> None:
    workspace.set("schedule", **workspace.daylight())
    workspace.live(3)
    daemon = start().ready()
    daemon.until(lambda: daemon.status()["totals"]["experiences"] == 3, "ingested")
    workspace.buffer.unlink()
    daemon.until(lambda: daemon.status()["errors"] == [f"buffer {workspace.buffer} has vanished"], "told")
    assert daemon.status()["totals"]["experiences"] == 3
    workspace.live(4)
    daemon.until(lambda: daemon.status()["totals"]["experiences"] == 4 and not daemon.status()["errors"], "back")


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda w: w.set("model", path=""), "model.path is not configured"),
        (lambda w: w.set("model", path=str(w.root / "nowhere")), "does not exist"),
        (lambda w: (w.model / "config.json").write_text("{}"), "is not a model"),
        (lambda w: (w.model / "model.safetensors").unlink(), "holds no weights"),
    ],
)
def test_a_model_that_is_none_keeps_the_night_away_and_says_why(
    workspace: Workspace, start: Start, spoil: Callable[[Workspace], object], words: str
) -> None:
    spoil(workspace)
    workspace.live(6)
    daemon = start().ready()
    daemon.until(lambda: daemon.status()["totals"]["experiences"] == 6, "ingested")
    found = daemon.until(lambda: (s := daemon.status()) and any(words in e for e in s["errors"]) and s, "the error is told")
    assert found["decision"]["should_run"] is False and words in found["decision"]["reason"]
    assert found["last_cycle"] is None
    with pytest.raises(SleepdError, match=words):
        daemon.call("sleep", force=True)


def test_a_model_that_changed_waits_for_a_person(workspace: Workspace, start: Start) -> None:
    workspace.live(6)
    daemon = start().ready()
    daemon.verdict("cycle_001")
    daemon.stop()
    (workspace.model / "model.safetensors").write_bytes(b"other weights")
    workspace.live(9)
    daemon = start().ready()
    daemon.until(lambda: daemon.status()["totals"]["new"] == 3, "ingested")
    error = daemon.until(lambda: daemon.status()["errors"], "told")[0]
    assert "changed" in error and "sleepd activate base" in error
    assert daemon.status()["active"]["id"] == "cycle_001" and len(daemon.call("cycles")["cycles"]) == 1
    daemon.call("activate", target="base", by="ann@tty1")
    assert daemon.verdict("cycle_002")["verdict"] == "committed"
    with pytest.raises(SleepdError, match="belongs to another base model"):
        daemon.call("activate", target="1", by="ann@tty1")


BAD_CONFIGURATIONS = {
    "unknown key": ('[schedule]\nnihgt = "22:00"\n', "nihgt"),
    "wrong type": ('[experience]\nmin_salience = "much"\n', "min_salience"),
    "out of range": ("[experience]\nmin_salience = 7\n", "min_salience"),
    "no TOML": ("[schedule\n", "not TOML"),
}


@pytest.mark.parametrize("name", BAD_CONFIGURATIONS)
def test_a_bad_configuration_is_refused_at_start_with_file_and_key(workspace: Workspace, start: Start, name: str) -> None:
    text, words = BAD_CONFIGURATIONS[name]
    workspace.config.write_text(text)
    daemon = start()
    assert daemon.wait() == ExitCode.USAGE
    said = " ".join(line["line"] for line in daemon.events("text"))
    assert str(workspace.config) in said and words in said and "Traceback" not in said


def test_a_bad_configuration_never_changes_a_running_daemon(workspace: Workspace, start: Start) -> None:
    workspace.set("schedule", **workspace.daylight())
    daemon = start().ready()
    good = workspace.config.read_text()
    before = daemon.status()
    for text, words in BAD_CONFIGURATIONS.values():
        workspace.config.write_text(text)
        with pytest.raises(SleepdError, match=words) as caught:
            daemon.call("reload")
        assert caught.value.exit_code == ExitCode.USAGE
    seen = len(daemon.messages)
    daemon.process.send_signal(signal.SIGHUP)
    daemon.until(lambda: any("configuration rejected" in m for m in daemon.messages[seen:]), "told to systemd")
    told = [m for m in daemon.messages[seen:] if not m.startswith("STATUS=")]
    assert told[0].startswith("RELOADING=1\nMONOTONIC_USEC=") and told[1].startswith("READY=1\nSTATUS=configuration rejected")
    after = daemon.status()
    assert {k: after[k] for k in ("phase", "config_generation", "totals", "active")} == {
        k: before[k] for k in ("phase", "config_generation", "totals", "active")
    }
    workspace.config.write_text(good)
    assert daemon.call("reload")["applied"] == []


def test_a_reload_names_what_it_applied_and_what_needs_a_restart(workspace: Workspace, start: Start) -> None:
    daemon = start().ready()
    workspace.set("schedule", min_experiences=3)
    workspace.set("serve", port=9999)
    workspace.set("directories", state=str(workspace.root / "elsewhere"))
    answer = daemon.call("reload")
    assert answer == {"applied": ["schedule.min_experiences"], "needs_restart": ["serve.port", "directories.state"], "generation": 2}
    assert daemon.status()["config_generation"] == 2
    assert not (workspace.root / "elsewhere").exists()


def test_a_state_directory_that_cannot_be_made_is_one_error(workspace: Workspace, start: Start) -> None:
    (workspace.root / "state").write_text("I am in the way")
    daemon = start()
    assert daemon.wait() == ExitCode.FAILED
    said = [line["line"] for line in daemon.events("text")]
    assert str(workspace.state) in said[0] and said[1].startswith("remedy: ") and len(said) == 2


def test_a_damaged_ledger_is_one_error(workspace: Workspace, start: Start) -> None:
    workspace.state.mkdir()
    (workspace.state / "ledger.db").write_bytes(b"this is no database" * 100)
    daemon = start()
    assert daemon.wait() == ExitCode.FAILED
    said = [line["line"] for line in daemon.events("text")]
    assert "ledger" in said[0] and said[1].startswith("remedy: ") and len(said) == 2


def test_a_buffer_of_fifty_megabytes_is_taken_in_and_the_daemon_answers(workspace: Workspace, start: Start) -> None:
    workspace.set("schedule", **workspace.daylight())
    rows = entries(50)
    for row in rows:
        row["metadata"] = {"trace": "x" * 1_000_000}
    workspace.buffer.write_text(json.dumps(rows))
    daemon = start(environment={"WATCHDOG_USEC": "4000000"}).ready()
    daemon.until(lambda: daemon.status()["totals"]["experiences"] == 50, "ingested")
    assert daemon.status()["errors"] == []


def test_a_buffer_beyond_the_limit_is_named_with_the_key(workspace: Workspace, start: Start) -> None:
    workspace.set("schedule", **workspace.daylight())
    workspace.set("experience", max_buffer_mb=1)
    workspace.buffer.write_text(json.dumps(entries(2)) + " " * 2_000_000)
    daemon = start().ready()
    errors = daemon.until(lambda: daemon.status()["errors"], "told")
    assert "max_buffer_mb" in errors[0]
