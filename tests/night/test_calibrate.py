"""The learning rate is measured once for a base model, and pinned to its hash."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from sleepd.base_model import identify
from sleepd.night import calibrate
from sleepd.night.base import Base, load_base
from sleepd.night.calibrate import Trial, choose
from sleepd.night.job import load
from sleepd.night.pool import load_or_build
from sleepd.night.presets import settings
from sleepd.night.progress import Reporter
from tests.night.conftest import MakeJob

GATE = {"max_norm_ratio": 0.6, "max_kl": 0.02}


def test_the_gentlest_rate_that_learns_nearly_as_well_as_the_best_is_taken() -> None:
    assert choose([Trial(1e-4, 0.2, 0.001), Trial(3e-4, 0.92, 0.004), Trial(1e-3, 1.0, 0.01)], 5e-4, 0.02) == 3e-4


def test_a_rate_that_disturbs_the_base_is_not_taken_however_well_it_learns() -> None:
    assert choose([Trial(1e-4, 0.6, 0.001), Trial(3e-4, 1.0, 0.03)], 5e-4, 0.02) == 1e-4


def test_where_no_rate_learns_the_default_stays() -> None:
    assert choose([Trial(1e-4, 0.0, 0.0), Trial(3e-4, 0.1, 0.0)], 5e-4, 0.02) == 5e-4


def test_the_invented_people_are_the_same_every_time_and_nobody_twice() -> None:
    cards = calibrate.invented_cards(0)
    assert cards == calibrate.invented_cards(0)
    assert len({card.subject for card in cards}) == len(cards) == calibrate.FACTS


def test_the_model_that_comes_with_the_project_has_its_rate(seedling: Path, tmp_path: Path) -> None:
    assert calibrate.pinned(tmp_path, identify(seedling).sha256) is not None


def test_a_measured_rate_is_pinned_and_not_measured_again(make_job: MakeJob, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calibrate, "STEPS", 2)
    monkeypatch.setattr(calibrate, "FACTORS", (1.0,))
    job = load(make_job([]))
    base: Base = load_base(job)
    fit = replace(settings({"preset": "verified"}, GATE, base.parameters), contrast_batch=2, rehearsal_batch=2, batch_size=2)
    reporter = Reporter(io.StringIO())
    pool = load_or_build(base.model, base.chat, job.cache_dir, job.base_sha256, 256, fit.max_tokens)
    measured = calibrate.learning_rate(base, pool, fit, tmp_path, "f" * 64, GATE, reporter)
    [written] = tmp_path.glob("calibration-*.json")
    assert json.loads(written.read_text())["learning_rate"] == measured == fit.learning_rate
    written.write_text(json.dumps({"learning_rate": 0.123}))
    assert calibrate.learning_rate(base, pool, fit, tmp_path, "f" * 64, GATE, reporter) == 0.123
    assert not [name for name, _ in base.model.named_parameters() if "lora" in name]
