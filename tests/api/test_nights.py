"""Real nights of the API on the seedling: what they publish, and that nothing else ever lies there."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from sleepd import SleepScheduler, SleepTrainingLoop
from sleepd.adapter.store import AdapterStore
from sleepd.api.scheduler import main
from sleepd.durable import sha256_file
from sleepd.errors import ExitCode, ModelError, RefusedError, SleepdError
from tests.api.conftest import MakeBuffer, entry

KEYS = {"sleep_cycle", "num_experiences", "epochs", "final_loss", "avg_salience", "epoch_losses", "learning_rate", "timestamp"}


@dataclass(frozen=True)
class Slept:
    """A directory with one cycle in it, shared by the tests that change nothing in it."""

    root: Path
    buffer: Path
    results: dict[str, Any]
    summary: dict[str, Any]
    model_was_loaded: bool


@pytest.fixture(scope="module")
def slept(tmp_path_factory: pytest.TempPathFactory, seedling: Path) -> Iterator[Slept]:
    root = tmp_path_factory.mktemp("slept")
    buffer = root / "experience_buffer.json"
    rows = [entry(0, 0.7), entry(1, 0.9), entry(2, 0.3), entry(3, 0.8, response="Yes."), entry(0, 0.7)]
    buffer.write_text(json.dumps({"experiences": rows, "max_size": 1000}))
    loop = SleepTrainingLoop(str(seedling), str(buffer), str(root / "checkpoints"), device="cpu")
    results = loop.run_sleep_cycle(min_salience=0.6, epochs=2)
    yield Slept(root, buffer, results, loop.get_training_summary(), loop.model is not None)


def copied(slept: Slept, target: Path) -> Path:
    """The one cycle under ``target``, to sleep on after it."""
    source = slept.root / "checkpoints" / "cycle_001"
    directory = target / "cycle_001"
    directory.mkdir(parents=True)
    for file in source.iterdir():
        (directory / file.name).write_bytes(file.read_bytes())
    return target


def listing(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def test_the_results_have_the_documented_keys_and_honest_figures(slept: Slept) -> None:
    results = slept.results
    assert set(results) == KEYS
    assert (results["sleep_cycle"], results["num_experiences"], results["epochs"], results["learning_rate"]) == (1, 3, 2, 1e-5)
    assert results["avg_salience"] == pytest.approx(0.8) and len(results["epoch_losses"]) == 2
    assert results["final_loss"] == results["epoch_losses"][-1] < results["epoch_losses"][0]
    assert slept.summary["total_cycles"] == 1 and slept.summary["total_experiences"] == 3
    assert slept.summary["training_history"] == [results]


def test_training_loads_no_model_into_the_calling_process(slept: Slept) -> None:
    assert not slept.model_was_loaded


def test_the_cycle_directory_has_the_documented_files_and_no_leftovers_beside_it(slept: Slept) -> None:
    root = slept.root / "checkpoints"
    assert {"adapter_model.safetensors", "adapter_config.json", "training_state.json", "cycle_results.json"} <= set(
        listing(root / "cycle_001")
    )
    assert listing(root) == ["cycle.lock", "cycle_001", "staging"] and listing(root / "staging") == []
    assert json.loads((root / "cycle_001" / "cycle_results.json").read_text()) == slept.results
    state = json.loads((root / "cycle_001" / "training_state.json").read_text())
    assert (state["sleep_cycle_count"], state["total_experiences_trained"], state["training_history"]) == (1, 3, [slept.results])
    assert state["last_updated"] == slept.results["timestamp"]


def test_the_published_cycle_proves_itself(slept: Slept) -> None:
    store = AdapterStore(slept.root / "checkpoints")
    store.integrity("cycle_001")
    manifest = store.manifest("cycle_001")
    assert manifest["experience_ids"] == ["experience-0", "experience-1", "experience-3"]
    gate = manifest["gate"]
    assert isinstance(gate, dict) and gate["accepted"] and {check["name"] for check in gate["checks"]} >= {"integrity", "text", "collapse"}


def test_programs_of_the_documents_can_load_the_adapter(slept: Slept, seedling: Path) -> None:
    base = AutoModelForCausalLM.from_pretrained(str(seedling))
    model = PeftModel.from_pretrained(base, str(slept.root / "checkpoints" / "cycle_001"))
    assert model.peft_config["default"].r == 4
    weights = [p for name, p in model.named_parameters() if "lora_B" in name]
    assert weights and any(bool(torch.any(p != 0)) for p in weights)


def test_a_second_object_goes_on_from_the_first_one_s_adapter(
    slept: Slept, seedling: Path, checkpoints: Path, make_buffer: MakeBuffer
) -> None:
    copied(slept, checkpoints)
    buffer = make_buffer([entry(0, 0.7), entry(4, 0.8), entry(5, 0.7)])
    loop = SleepTrainingLoop(seedling, buffer, checkpoints, device="cpu")
    assert (loop.sleep_cycle_count, loop.total_experiences_trained) == (1, 3)
    results = loop.run_sleep_cycle(epochs=1, batch_size=2)
    assert (results["sleep_cycle"], results["num_experiences"]) == (2, 3)
    assert loop.total_experiences_trained == 5, "an experience that was trained twice counts once"
    assert [row["sleep_cycle"] for row in loop.training_history] == [1, 2]
    first, second = (load_file(str(checkpoints / name / "adapter_model.safetensors")) for name in ("cycle_001", "cycle_002"))
    for name, tensor in first.items():
        assert torch.allclose(tensor, second[name], atol=1e-3), "a few gentle steps away from the first, not from a new start"
    assert any(not torch.equal(tensor, second[name]) for name, tensor in first.items())
    assert SleepTrainingLoop(seedling, buffer, checkpoints).total_experiences_trained == 5


def test_a_cycle_that_is_not_saved_leaves_nothing_and_is_gone_on_from_by_this_object_alone(
    slept: Slept, seedling: Path, checkpoints: Path
) -> None:
    loop = SleepTrainingLoop(seedling, slept.buffer, checkpoints, device="cpu")
    before, _ = loop._load_model()
    results = loop.run_sleep_cycle(epochs=1, learning_rate=1e-4, save_checkpoint=False)
    assert results["sleep_cycle"] == 1 and loop.sleep_cycle_count == 1 and loop.total_experiences_trained == 3
    assert listing(checkpoints) == ["cycle.lock"]
    assert loop.model is not None and loop.model is not before
    assert any(bool(torch.any(p != 0)) for name, p in loop.model.named_parameters() if "lora_B" in name)
    assert SleepTrainingLoop(seedling, slept.buffer, checkpoints).sleep_cycle_count == 0


def test_an_adapter_that_does_harm_is_refused_and_the_directory_is_as_it_was(slept: Slept, seedling: Path, checkpoints: Path) -> None:
    copied(slept, checkpoints)
    sha256 = sha256_file(checkpoints / "cycle_001" / "adapter_model.safetensors")
    loop = SleepTrainingLoop(seedling, slept.buffer, checkpoints, device="cpu")
    with pytest.raises(RefusedError, match="cycle_002 was refused by the gate") as caught:
        loop.run_sleep_cycle(epochs=3, learning_rate=0.5)
    assert "learning_rate" in caught.value.remedy
    assert listing(checkpoints) == ["cycle.lock", "cycle_001"] and loop.sleep_cycle_count == 1
    assert sha256_file(checkpoints / "cycle_001" / "adapter_model.safetensors") == sha256


def test_an_adapter_is_never_continued_on_another_base_model(slept: Slept, seedling: Path, checkpoints: Path, tmp_path: Path) -> None:
    copied(slept, checkpoints)
    other = tmp_path / "other"
    other.mkdir()
    for file in seedling.iterdir():
        (other / file.name).write_bytes(file.read_bytes())
    (other / "tokenizer_config.json").write_text((seedling / "tokenizer_config.json").read_text() + "\n")
    with pytest.raises(ModelError, match="trained on a base model"):
        SleepTrainingLoop(other, slept.buffer, checkpoints).run_sleep_cycle()


def test_a_night_that_is_killed_is_one_clear_error_and_leaves_nothing(slept: Slept, seedling: Path, checkpoints: Path) -> None:
    loop = SleepTrainingLoop(seedling, slept.buffer, checkpoints, device="cpu")
    killer = threading.Thread(target=kill_night)
    killer.start()
    with pytest.raises(SleepdError, match="killed") as caught:
        loop.run_sleep_cycle(epochs=500)
    killer.join()
    assert caught.value.remedy and listing(checkpoints) == ["cycle.lock"] and loop.sleep_cycle_count == 0


def kill_night() -> None:
    """Kill this process's child that is a night, as the kernel does when memory ends."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for task in Path("/proc/self/task").iterdir():
            for child in (task / "children").read_text().split():
                if b"sleepd.night" in Path("/proc", child, "cmdline").read_bytes():
                    os.kill(int(child), signal.SIGKILL)
                    return
        time.sleep(0.05)


def test_a_forced_cycle_is_remembered_by_ids_and_then_the_scheduler_waits(
    seedling: Path, checkpoints: Path, make_buffer: MakeBuffer, capsys: pytest.CaptureFixture[str]
) -> None:
    buffer = make_buffer(4)
    paths = ["--model-path", str(seedling), "--experience-buffer", str(buffer), "--checkpoint-dir", str(checkpoints)]
    assert main(paths) == ExitCode.SKIPPED
    assert json.loads(capsys.readouterr().out)["reason"] == "Insufficient experiences (4 < 5)"
    assert main(["--force", *paths]) == ExitCode.OK
    results = json.loads(capsys.readouterr().out)
    assert set(results) == KEYS and results["num_experiences"] == 4
    state = json.loads((checkpoints / "scheduler_state.json").read_text())
    assert set(state) == {"last_sleep_time", "last_sleep_cycle", "experiences_at_last_sleep", "total_sleep_cycles", "sleep_history"}
    assert (state["last_sleep_cycle"], state["experiences_at_last_sleep"], state["total_sleep_cycles"]) == (1, 4, 1)
    assert state["sleep_history"] == [{"cycle": 1, **{key: results[key] for key in ("timestamp", "num_experiences", "final_loss")}}]

    make_buffer([entry(n) for n in (1, 2, 3, 20, 21, 22)])  # it shrank by one and grew by three
    should_run, reason = SleepScheduler(seedling, buffer, checkpoints).should_run_sleep_cycle()
    assert not should_run and reason.startswith("Too soon since last sleep (0.0")
    make_buffer([entry(n) for n in (1, 2, 3, 0, 20)])
    assert SleepScheduler(seedling, buffer, checkpoints).should_run_sleep_cycle() == (False, "Insufficient new experiences (1 < 2)")
    (checkpoints / "scheduler_state.json").unlink()
    make_buffer([entry(n) for n in (1, 2, 3, 20, 21, 22)])
    ready = SleepScheduler(seedling, buffer, checkpoints, min_hours_between_sleep=0.0).should_run_sleep_cycle()
    assert ready == (True, "Ready: 6 experiences (3 new), sufficient time elapsed")
