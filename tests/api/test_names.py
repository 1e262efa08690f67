"""The documented names, and that asking for them costs nothing until they are used."""

from __future__ import annotations

import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import sleepd
from sleepd import errors

CHECKOUT = Path(__file__).resolve().parents[2]
HEAVY = {"torch", "transformers", "peft", "numpy"}
NAMES = (
    "SleepTrainingLoop",
    "SleepScheduler",
    "RaisingTrainingDataBuilder",
    "create_training_dataset_from_buffer",
    "ExperienceCollector",
    "ConversationalSalienceScorer",
)


@pytest.mark.parametrize("name", NAMES)
def test_every_documented_name_can_be_imported_from_the_package(name: str) -> None:
    assert getattr(sleepd, name).__name__ == name
    assert name in dir(sleepd)


@pytest.mark.parametrize("statement", ["import sleepd", f"from sleepd import {', '.join(NAMES)}"])
def test_importing_the_names_loads_nothing_heavy(statement: str) -> None:
    shown = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys\nprint(*sys.modules)"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert set(shown.stdout.split()) & HEAVY == set()


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="SleepWalker"):
        _ = sleepd.SleepWalker  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("callable_", "expected"),
    [
        (
            sleepd.SleepTrainingLoop.__init__,
            {"experience_buffer_path": None, "checkpoint_dir": None, "dropbox_sync": False, "device": None},
        ),
        (
            sleepd.SleepTrainingLoop.run_sleep_cycle,
            {"min_salience": 0.6, "max_experiences": None, "epochs": 3, "learning_rate": 1e-5, "batch_size": 1, "save_checkpoint": True},
        ),
        (
            sleepd.SleepScheduler.__init__,
            {
                "model_path": None,
                "experience_buffer_path": None,
                "checkpoint_dir": None,
                "min_experiences": 5,
                "min_new_experiences": 2,
                "min_hours_between_sleep": 6.0,
                "min_salience": 0.6,
                "device": None,
            },
        ),
        (sleepd.SleepScheduler.run_sleep_cycle, {"epochs": 3, "learning_rate": 1e-5, "max_experiences": None, "force": False}),
    ],
)
def test_parameters_and_defaults_are_the_documented_ones(callable_: object, expected: dict[str, object]) -> None:
    parameters = inspect.signature(callable_).parameters.values()  # type: ignore[arg-type]
    assert {p.name: p.default for p in parameters if p.default is not p.empty} == expected


def test_every_error_of_the_api_carries_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(errors.ConfigError) as caught:
        sleepd.SleepTrainingLoop(tmp_path, tmp_path / "buffer.json", tmp_path / "cycles", dropbox_sync=True)
    assert "dropbox_sync" in caught.value.message and "rclone" in caught.value.remedy
    assert not (tmp_path / "cycles").exists()
