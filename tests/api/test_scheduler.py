"""``SleepScheduler``: when a cycle is due, in the documents' words, and what it makes of every state it may find."""

from __future__ import annotations

import fcntl
import json
import subprocess
import sys
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sleepd import SleepScheduler
from sleepd.api.scheduler import main
from sleepd.errors import BufferError, ConfigError, ExitCode, SkippedError
from tests.api.conftest import MakeBuffer, entry, results, write_cycle

CHECKOUT = Path(__file__).resolve().parents[2]
STATUS = {
    "total_experiences",
    "experiences_since_last_sleep",
    "total_sleep_cycles",
    "last_sleep_time",
    "should_run_sleep",
    "reason",
    "sleep_history",
    "hours_since_last_sleep",
}


def ago(hours: float) -> str:
    """A local time without offset, as the documents write it."""
    return (datetime.now() - timedelta(hours=hours)).isoformat()


def write_state(root: Path, **replaced: Any) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    state = {
        "last_sleep_time": ago(8),
        "last_sleep_cycle": 1,
        "experiences_at_last_sleep": 6,
        "total_sleep_cycles": 1,
        "sleep_history": [{"cycle": 1, "timestamp": ago(8), "num_experiences": 6, "final_loss": 4.027}],
    } | replaced
    (root / "scheduler_state.json").write_text(json.dumps(state))
    return root


def test_too_few_experiences(make_buffer: MakeBuffer, checkpoints: Path) -> None:
    scheduler = SleepScheduler(experience_buffer_path=make_buffer(3), checkpoint_dir=checkpoints)
    assert scheduler.should_run_sleep_cycle() == (False, "Insufficient experiences (3 < 5)")


def test_too_few_new_experiences(make_buffer: MakeBuffer, checkpoints: Path) -> None:
    scheduler = SleepScheduler(experience_buffer_path=make_buffer(7), checkpoint_dir=write_state(checkpoints))
    assert scheduler.should_run_sleep_cycle() == (False, "Insufficient new experiences (1 < 2)")


def test_too_soon_and_never_rounded_up_to_the_limit(make_buffer: MakeBuffer, checkpoints: Path) -> None:
    write_state(checkpoints, last_sleep_time=ago(5.9999))
    scheduler = SleepScheduler(experience_buffer_path=make_buffer(9), checkpoint_dir=checkpoints)
    assert scheduler.should_run_sleep_cycle() == (False, "Too soon since last sleep (5.99h < 6.0h)")


def test_ready(make_buffer: MakeBuffer, checkpoints: Path) -> None:
    scheduler = SleepScheduler(experience_buffer_path=make_buffer(9), checkpoint_dir=write_state(checkpoints))
    assert scheduler.should_run_sleep_cycle() == (True, "Ready: 9 experiences (3 new), sufficient time elapsed")


def test_thresholds_are_the_caller_s(make_buffer: MakeBuffer, checkpoints: Path) -> None:
    write_state(checkpoints, last_sleep_time=ago(4))
    aggressive = {"min_experiences": 3, "min_new_experiences": 1, "min_hours_between_sleep": 3.0, "min_salience": 0.65}
    scheduler = SleepScheduler(None, make_buffer([entry(n, 0.6 + n / 100) for n in range(12)]), checkpoints, **aggressive)  # type: ignore[arg-type]
    assert scheduler.should_run_sleep_cycle() == (True, "Ready: 7 experiences (1 new), sufficient time elapsed")


def test_a_time_with_an_offset_is_understood_too(make_buffer: MakeBuffer, checkpoints: Path) -> None:
    write_state(checkpoints, last_sleep_time=(datetime.now().astimezone() - timedelta(hours=1)).isoformat())
    assert "Too soon since last sleep (1.0" in SleepScheduler(None, make_buffer(9), checkpoints).should_run_sleep_cycle()[1]


def test_a_last_sleep_in_the_far_future_does_not_block_for_years(make_buffer: MakeBuffer, checkpoints: Path) -> None:
    write_state(checkpoints, last_sleep_time=ago(-24 * 400))
    scheduler = SleepScheduler(None, make_buffer(9), checkpoints)
    assert scheduler.should_run_sleep_cycle()[0] and scheduler.get_status()["hours_since_last_sleep"] is None


def test_repeated_entries_and_low_salience_count_for_nothing(make_buffer: MakeBuffer, checkpoints: Path) -> None:
    buffer = make_buffer([entry(0)] * 9 + [entry(1, 0.5), entry(2), entry(3)])
    assert SleepScheduler(None, buffer, checkpoints).should_run_sleep_cycle() == (False, "Insufficient experiences (3 < 5)")


def test_a_buffer_in_dict_form_counts_its_entries(make_buffer: MakeBuffer, checkpoints: Path) -> None:
    assert SleepScheduler(None, make_buffer(6, form="dict"), checkpoints).get_status()["total_experiences"] == 6


def test_a_buffer_that_does_not_exist_holds_nothing(tmp_path: Path, checkpoints: Path, caplog: pytest.LogCaptureFixture) -> None:
    scheduler = SleepScheduler(None, tmp_path / "later.json", checkpoints)
    assert scheduler.should_run_sleep_cycle() == (False, "Insufficient experiences (0 < 5)")
    assert "later.json does not exist" in caplog.text


def test_a_buffer_that_cannot_be_read_is_an_error_and_no_zero(tmp_path: Path, checkpoints: Path) -> None:
    (tmp_path / "bad.json").write_bytes(b'["\xff\xfe"]')
    with pytest.raises(BufferError, match="bad"):
        SleepScheduler(None, tmp_path / "bad.json", checkpoints).should_run_sleep_cycle()


def test_the_status_has_the_documented_keys(make_buffer: MakeBuffer, checkpoints: Path) -> None:
    history = [{"cycle": n, "timestamp": ago(50 - n), "num_experiences": 6, "final_loss": 4.0} for n in range(1, 8)]
    write_state(checkpoints, last_sleep_time=(last := ago(0.4101)), total_sleep_cycles=7, last_sleep_cycle=7, sleep_history=history)
    assert SleepScheduler(experience_buffer_path=make_buffer(7), checkpoint_dir=checkpoints).get_status() == {
        "total_experiences": 7,
        "experiences_since_last_sleep": 1,
        "total_sleep_cycles": 7,
        "last_sleep_time": last,
        "should_run_sleep": False,
        "reason": "Insufficient new experiences (1 < 2)",
        "sleep_history": history[-5:],
        "hours_since_last_sleep": 0.41,
    }


def test_the_status_before_the_first_sleep(make_buffer: MakeBuffer, checkpoints: Path) -> None:
    status = SleepScheduler(experience_buffer_path=make_buffer(5), checkpoint_dir=checkpoints).get_status()
    assert set(status) == STATUS and status["should_run_sleep"]
    assert (status["total_sleep_cycles"], status["last_sleep_time"], status["hours_since_last_sleep"]) == (0, None, None)


def test_a_lost_state_is_made_again_from_the_cycles(make_buffer: MakeBuffer, checkpoints: Path) -> None:
    state = {"sleep_cycle_count": 1, "total_experiences_trained": 6, "training_history": [results(1)], "last_updated": (last := ago(1))}
    write_cycle(checkpoints, 1, state)
    scheduler = SleepScheduler(experience_buffer_path=make_buffer(7), checkpoint_dir=checkpoints)
    assert scheduler.state == {
        "last_sleep_time": last,
        "last_sleep_cycle": 1,
        "experiences_at_last_sleep": 6,
        "total_sleep_cycles": 1,
        "sleep_history": [{"cycle": 1, "timestamp": results(1)["timestamp"], "num_experiences": 6, "final_loss": 4.03}],
    }
    assert scheduler.should_run_sleep_cycle() == (False, "Insufficient new experiences (1 < 2)")


def test_a_cycle_that_was_run_by_hand_is_noticed(make_buffer: MakeBuffer, checkpoints: Path) -> None:
    write_state(checkpoints)
    history = [results(1), results(2, 9)]
    write_cycle(
        checkpoints, 2, {"sleep_cycle_count": 2, "total_experiences_trained": 9, "training_history": history, "last_updated": ago(1)}
    )
    state = SleepScheduler(experience_buffer_path=make_buffer(9), checkpoint_dir=checkpoints).state
    assert (state["last_sleep_cycle"], state["total_sleep_cycles"], state["experiences_at_last_sleep"]) == (2, 2, 9)


def test_a_count_that_held_repeats_does_not_block_for_ever(make_buffer: MakeBuffer, checkpoints: Path) -> None:
    write_state(checkpoints, experiences_at_last_sleep=40)
    should_run, reason = SleepScheduler(experience_buffer_path=make_buffer(9), checkpoint_dir=checkpoints).should_run_sleep_cycle()
    assert should_run and reason == "Ready: 9 experiences (9 new), sufficient time elapsed"


@pytest.mark.parametrize("content", ["", "{half", "[]", "{}", '{"last_sleep_time": 5}', '{"last_sleep_time": "yesterday"}'])
def test_a_damaged_state_is_told_and_made_again(
    make_buffer: MakeBuffer, checkpoints: Path, content: str, caplog: pytest.LogCaptureFixture
) -> None:
    checkpoints.mkdir()
    (checkpoints / "scheduler_state.json").write_text(content)
    assert SleepScheduler(experience_buffer_path=make_buffer(5), checkpoint_dir=checkpoints).should_run_sleep_cycle()[0]
    assert "scheduler_state.json cannot be used" in caplog.text


def test_a_cycle_that_is_not_due_is_skipped_with_its_reason(make_buffer: MakeBuffer, checkpoints: Path) -> None:
    answer = SleepScheduler(experience_buffer_path=make_buffer(3), checkpoint_dir=checkpoints).run_sleep_cycle()
    assert (answer["status"], answer["reason"]) == ("skipped", "Insufficient experiences (3 < 5)")
    assert datetime.fromisoformat(answer["timestamp"]) and not (checkpoints / "scheduler_state.json").exists()


def test_no_cycle_runs_beside_another_one_even_when_forced(make_buffer: MakeBuffer, checkpoints: Path, seedling: Path) -> None:
    scheduler = SleepScheduler(seedling, make_buffer(9), checkpoints)
    with (checkpoints / "cycle.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SkippedError, match="running"):
            scheduler.run_sleep_cycle(force=True)


def test_a_cycle_without_a_model_says_where_to_set_one(make_buffer: MakeBuffer, checkpoints: Path) -> None:
    with pytest.raises(ConfigError, match="model_path") as caught:
        SleepScheduler(experience_buffer_path=make_buffer(9), checkpoint_dir=checkpoints).run_sleep_cycle()
    assert "model.path" in caught.value.remedy


def test_checking_answers_in_words_and_exit_code(make_buffer: MakeBuffer, checkpoints: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = ["--check", "--checkpoint-dir", str(checkpoints), "--experience-buffer"]
    assert main([*paths, str(make_buffer(3))]) == ExitCode.SKIPPED
    assert capsys.readouterr().out == "Should run: False\nReason: Insufficient experiences (3 < 5)\n"
    assert main([*paths, str(make_buffer(6))]) == ExitCode.OK
    assert capsys.readouterr().out == "Should run: True\nReason: Ready: 6 experiences (6 new), sufficient time elapsed\n"


def test_a_failure_is_told_with_its_remedy_and_exits_with_one(make_buffer: MakeBuffer, checkpoints: Path, tmp_path: Path) -> None:
    argv = ["--experience-buffer", str(make_buffer(6)), "--checkpoint-dir", str(checkpoints), "--model-path", str(tmp_path / "nowhere")]
    done = subprocess.run([sys.executable, "-m", "sleepd.api", *argv], cwd=CHECKOUT, capture_output=True, text=True, timeout=60)
    assert done.returncode == ExitCode.FAILED and done.stdout == ""
    cause, remedy = done.stderr.splitlines()
    assert cause.startswith("sleepd: ") and "nowhere" in cause and remedy.startswith("remedy: ")
