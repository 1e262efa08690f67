"""``SleepTrainingLoop`` before and around a night: what it reads, refuses and remembers. Nights are in test_nights."""

from __future__ import annotations

import fcntl
from pathlib import Path
from typing import Any

import pytest
import torch

from sleepd import SleepTrainingLoop
from sleepd.errors import BadDataError, BufferError, ConfigError, ModelError, NotFoundError, SkippedError, StoreError
from tests.api.conftest import MakeBuffer, entry, results, write_cycle


@pytest.fixture
def loop(make_buffer: MakeBuffer, seedling: Path, checkpoints: Path) -> SleepTrainingLoop:
    return SleepTrainingLoop(
        str(seedling), str(make_buffer([entry(0, 0.74), entry(1, 0.72), entry(2, 0.62)])), str(checkpoints), device="cpu"
    )


def test_a_new_loop_has_loaded_nothing_and_counted_nothing(loop: SleepTrainingLoop, checkpoints: Path) -> None:
    assert loop.model is None and loop.device == "cpu"
    assert loop.checkpoint_dir == checkpoints and checkpoints.is_dir()
    assert (loop.sleep_cycle_count, loop.total_experiences_trained, loop.training_history) == (0, 0, [])
    assert loop.experience_buffer_path.name == "experience_buffer.json" and loop._find_latest_checkpoint() is None


def test_the_device_is_chosen_when_none_is_given(seedling: Path, checkpoints: Path) -> None:
    chosen = SleepTrainingLoop(seedling, checkpoint_dir=checkpoints).device
    assert chosen == ("cuda" if torch.cuda.is_available() else "cpu")


def test_an_unknown_device_is_refused_with_the_ones_there_are(seedling: Path, checkpoints: Path) -> None:
    with pytest.raises(ConfigError, match="tpu") as caught:
        SleepTrainingLoop(seedling, checkpoint_dir=checkpoints, device="tpu")
    assert "cuda" in caught.value.remedy


def test_paths_may_begin_with_the_home_directory(checkpoints: Path) -> None:
    loop = SleepTrainingLoop("~/models/seedling", "~/state/buffer.json", checkpoints)
    assert (loop.model_path, loop.experience_buffer_path) == (Path.home() / "models/seedling", Path.home() / "state/buffer.json")


def test_paths_that_are_not_given_are_the_daemon_s(seedling: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_DIRECTORY", str(tmp_path / "state"))
    loop = SleepTrainingLoop(seedling)
    assert loop.experience_buffer_path == tmp_path / "state" / "experience_buffer.json"
    assert loop.checkpoint_dir == tmp_path / "state" / "checkpoints" / "sleep"


def test_a_checkpoint_directory_that_cannot_be_made_is_named(seedling: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match="file"):
        SleepTrainingLoop(seedling, checkpoint_dir=tmp_path / "file" / "cycles")


def test_the_latest_cycle_is_the_one_with_the_highest_number(loop: SleepTrainingLoop, checkpoints: Path) -> None:
    for name in ("cycle_002", "cycle_999", "cycle_1000", "cycle_notes", "other"):
        (checkpoints / name).mkdir()
    (checkpoints / "cycle_2000").write_text("a file")
    assert loop._find_latest_checkpoint() == checkpoints / "cycle_1000"


def test_training_data_is_the_loop_s_own_choice_highest_salience_first(loop: SleepTrainingLoop) -> None:
    assert [example["salience"] for example in loop._prepare_training_data(0.6)] == [0.74, 0.72, 0.62]
    assert [example["salience"] for example in loop._prepare_training_data(min_salience=0.7, max_experiences=None)] == [0.74, 0.72]
    [only] = loop._prepare_training_data(min_salience=0.6, max_experiences=1)
    assert only["experience_id"] == "experience-0" and {"input_ids", "labels"} <= set(only)


def test_a_summary_before_the_first_cycle_says_that_there_was_none(loop: SleepTrainingLoop, checkpoints: Path) -> None:
    assert loop.get_training_summary() == {
        "total_cycles": 0,
        "total_experiences": 0,
        "latest_loss": None,
        "latest_cycle": None,
        "training_history": [],
        "checkpoint_dir": str(checkpoints),
        "status": "No training cycles completed",
    }


def test_a_loop_takes_up_the_cycles_of_an_earlier_program(make_buffer: MakeBuffer, seedling: Path, checkpoints: Path) -> None:
    history = [results(1, 6), results(2, 7, loss=3.97)]
    write_cycle(checkpoints, 1, {"sleep_cycle_count": 1, "total_experiences_trained": 6, "training_history": history[:1]})
    write_cycle(checkpoints, 2, {"sleep_cycle_count": 2, "total_experiences_trained": 13, "training_history": history})
    loop = SleepTrainingLoop(seedling, make_buffer(), checkpoints)
    assert (loop.sleep_cycle_count, loop.total_experiences_trained, loop.training_history) == (2, 13, history)
    summary = loop.get_training_summary()
    assert set(summary) == {"total_cycles", "total_experiences", "latest_loss", "latest_cycle", "training_history", "checkpoint_dir"}
    assert (summary["total_cycles"], summary["latest_loss"], summary["latest_cycle"]) == (2, 3.97, 2)


def test_a_damaged_record_hides_only_itself(seedling: Path, checkpoints: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_cycle(checkpoints, 1, {"sleep_cycle_count": 1, "total_experiences_trained": 6, "training_history": [results(1)]})
    (write_cycle(checkpoints, 2, {}) / "training_state.json").write_text("{half")
    assert SleepTrainingLoop(seedling, checkpoint_dir=checkpoints).sleep_cycle_count == 1
    assert "cycle_002" in caplog.text


def test_the_model_is_loaded_once_with_a_new_adapter_that_can_be_trained(loop: SleepTrainingLoop) -> None:
    model, tokenizer = loop._load_model()
    assert loop.model is model and loop.tokenizer is tokenizer and loop._load_model()[0] is model
    config = model.peft_config["default"]
    assert (config.r, config.lora_alpha, set(config.target_modules)) == (4, 8, {"q_proj", "v_proj"})
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert 0 < trainable < 0.05 * model.num_parameters()


def test_loading_the_model_leaves_the_caller_s_random_numbers_alone(loop: SleepTrainingLoop) -> None:
    torch.manual_seed(7)
    expected = torch.rand(3)
    torch.manual_seed(7)
    loop._load_model()
    assert torch.equal(torch.rand(3), expected)


def test_a_model_that_does_not_exist_is_named_and_nothing_is_left_behind(
    make_buffer: MakeBuffer, checkpoints: Path, tmp_path: Path
) -> None:
    loop = SleepTrainingLoop(tmp_path / "nowhere", make_buffer(), checkpoints)
    for call in (loop.run_sleep_cycle, loop._load_model):
        with pytest.raises(ModelError, match="nowhere"):
            call()
    assert [path.name for path in checkpoints.iterdir()] == ["cycle.lock"]


@pytest.mark.parametrize(
    "wrong",
    [{"epochs": 0}, {"batch_size": 0}, {"learning_rate": 0.0}, {"learning_rate": 2.0}, {"min_salience": 6.0}, {"max_experiences": 0}],
)
def test_a_value_that_makes_no_sense_is_refused_by_name(loop: SleepTrainingLoop, wrong: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(wrong))):
        loop.run_sleep_cycle(**wrong)


def test_a_cycle_without_anything_to_train_says_why(loop: SleepTrainingLoop) -> None:
    with pytest.raises(BadDataError, match="3 low_salience") as caught:
        loop.run_sleep_cycle(min_salience=0.95)
    assert "min_salience" in caught.value.remedy and loop.sleep_cycle_count == 0


def test_a_buffer_that_is_missing_or_unreadable_is_named(seedling: Path, checkpoints: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="missing"):
        SleepTrainingLoop(seedling, tmp_path / "missing.json", checkpoints).run_sleep_cycle()
    (tmp_path / "number.json").write_text("17")
    with pytest.raises(BufferError, match="number"):
        SleepTrainingLoop(seedling, tmp_path / "number.json", checkpoints).run_sleep_cycle()


def test_two_cycles_at_a_time_are_refused(loop: SleepTrainingLoop, checkpoints: Path) -> None:
    with (checkpoints / "cycle.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(SkippedError, match="running"):
            loop.run_sleep_cycle()


def test_the_adapters_of_a_daemon_are_not_written_to(loop: SleepTrainingLoop, checkpoints: Path) -> None:
    (checkpoints / "cycle_001").mkdir()
    (checkpoints / "active").symlink_to("cycle_001")
    with pytest.raises(ConfigError, match="daemon"):
        loop.run_sleep_cycle()


def test_a_half_written_cycle_of_an_earlier_program_is_not_continued_in_silence(loop: SleepTrainingLoop, checkpoints: Path) -> None:
    (checkpoints / "cycle_001").mkdir()
    with pytest.raises(StoreError, match="cycle_001 is no complete cycle"):
        loop.run_sleep_cycle()


def test_what_a_killed_process_left_is_cleared_and_nothing_else(loop: SleepTrainingLoop, checkpoints: Path) -> None:
    (checkpoints / ".sleepd-job-gone").mkdir()
    (checkpoints / ".git").mkdir()
    with pytest.raises(BadDataError):
        loop.run_sleep_cycle(min_salience=0.99)
    assert sorted(path.name for path in checkpoints.iterdir()) == [".git", "cycle.lock"]
