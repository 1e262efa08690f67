"""What a step holds: earlier items beside new ones, and what the training moved, on the real seedling."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sleepd.lab import world
from sleepd.lab.measure import load_model
from sleepd.night import lora
from sleepd.night.chat import ChatFormat
from sleepd.night.fit import Fit, Material
from sleepd.night.items import make_item
from sleepd.night.presets import FitSettings, settings
from sleepd.night.progress import Reporter
from sleepd.night.rehearsal import Rehearsed, answered
from tests.night.conftest import SEEDLING

QUESTIONS = [f"Where does {name} {world.syllables(number)} live?" for number, name in enumerate(world.FIRST[:40])]
FAR = {3, 8, 12, 17, 22, 29, 31, 38}  # a fifth


@pytest.fixture(scope="module")
def pool(base: tuple[Any, ChatFormat]) -> tuple[Rehearsed, ...]:
    """Forty items, ``FAR`` of which the base itself is far from: their top words' probabilities are the wrong way round."""
    model, chat = base
    at = {r.prompt: r for r in answered(model, chat, QUESTIONS, 48)}
    ordered = [at[question] for question in QUESTIONS]
    return tuple(replace(r, top_log_p=r.top_log_p.flip(-1)) if i in FAR else r for i, r in enumerate(ordered))


def fitted(base: tuple[Any, ChatFormat], pool: tuple[Rehearsed, ...], folder: Path, *, new: int = 1, old: int = 0, **own: Any) -> Fit:
    chat = base[1]
    fit: FitSettings = replace(settings({"preset": "verified"}, {"max_norm_ratio": 1.0}, 7_000_000), min_steps=4, epochs=1, **own)
    card = make_item(
        chat, [{"role": "user", "content": "Where does Ada Quill live?"}], "Ada Quill lives in Oslo.", "x", weight=1.0, max_tokens=512
    )
    assert card is not None
    worn = lora.attach(load_model(SEEDLING), replace(fit, learning_rate=1e-6), None, 1)
    material = Material((card,) * new, (card,) * old, (), pool, ())
    return Fit(worn, material, replace(fit, learning_rate=1e-6), 1, 0, Reporter(io.StringIO()), folder / "checkpoint")


def test_rehearsed_items_that_strayed_from_the_base_come_back_in_the_rest_of_the_steps(
    base: tuple[Any, ChatFormat], pool: tuple[Rehearsed, ...], tmp_path: Path
) -> None:
    torch.manual_seed(1)
    fit = fitted(base, pool, tmp_path)
    fit.run()
    assert set(fit.state.strayed) == FAR


def test_without_rehearsal_nothing_is_looked_for_in_the_pool(
    base: tuple[Any, ChatFormat], pool: tuple[Rehearsed, ...], tmp_path: Path
) -> None:
    fit = fitted(base, pool, tmp_path, rehearsal=False)
    fit.run()
    assert fit.state.strayed == []


@pytest.mark.parametrize(("new", "old", "earlier"), [(60, 0, 0), (60, 3, 12), (60, 60, 12), (60, 90, 14), (60, 120, 16), (60, 2400, 16)])
def test_earlier_items_get_half_of_a_step_and_up_to_two_thirds_when_they_outnumber_the_new(
    base: tuple[Any, ChatFormat], pool: tuple[Rehearsed, ...], tmp_path: Path, new: int, old: int, earlier: int
) -> None:
    fit = fitted(base, pool, tmp_path, new=new, old=old)
    assert (fit.new_a_step, fit.old_a_step) == (24 - earlier, earlier)
    assert fit.steps == fitted(base, pool, tmp_path, new=new).steps
