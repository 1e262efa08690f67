"""What needs more training is found in the middle of it: on the real seedling, in the training's own packing."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

import pytest
import torch

from sleepd.lab import world
from sleepd.night.chat import ChatFormat
from sleepd.night.items import make_item
from sleepd.night.mining import Miner
from sleepd.night.presets import settings
from sleepd.night.progress import Reporter, StopRequested
from sleepd.night.rehearsal import answered

QUESTIONS = [f"Where does {name} {world.syllables(number)} live?" for number, name in enumerate(world.FIRST[:40])]


def miner_on(model: Any, *, mixed: bool = False, reporter: Reporter | None = None) -> Miner:
    fit = replace(settings({"preset": "verified"}, {"max_norm_ratio": 1.0}, 7_000_000), mixed_precision=mixed, forward_tokens=512)
    return Miner(model, fit, 0, torch.device("cpu"), (reporter or Reporter(io.StringIO())).checkpoint)


@pytest.mark.parametrize("mixed", [False, True])
def test_the_contrasts_that_moved_farthest_from_the_base_are_found(base: tuple[Any, ChatFormat], mixed: bool) -> None:
    model, chat = base
    contrasts = answered(model, chat, QUESTIONS, 48)
    moved = {3, 8, 12, 17, 22, 29, 31, 38}  # a fifth
    contrasts = [replace(c, top_log_p=c.top_log_p.flip(-1)) if i in moved else c for i, c in enumerate(contrasts)]
    assert set(miner_on(model, mixed=mixed).strayed(contrasts, range(len(contrasts)))) == moved


def test_the_items_with_an_unlikely_token_in_their_answer_are_found(base: tuple[Any, ChatFormat]) -> None:
    model, chat = base
    answers = {r.prompt: r.answer for r in answered(model, chat, QUESTIONS, 48)}
    forgotten = {0, 5, 11, 18, 21, 27, 33, 39}  # a fifth
    said = [answer.replace(" ", " Zq ", 1) if i in forgotten else answer for i, answer in enumerate(map(answers.__getitem__, QUESTIONS))]
    items = [
        made
        for question, answer in zip(QUESTIONS, said, strict=True)
        if (made := make_item(chat, [{"role": "user", "content": question}], answer, question, weight=1.0, max_tokens=512)) is not None
    ]
    assert len(items) == 40
    assert set(miner_on(model).fading(items)) == forgotten


def test_nothing_to_look_at_is_nothing_found(base: tuple[Any, ChatFormat]) -> None:
    assert miner_on(base[0]).strayed([], []) == miner_on(base[0]).fading([]) == []


def test_a_night_can_be_stopped_while_it_looks(base: tuple[Any, ChatFormat]) -> None:
    model, chat = base
    reporter = Reporter(io.StringIO())
    reporter.stopping = True
    item = make_item(chat, [{"role": "user", "content": QUESTIONS[0]}], "No.", "x", weight=1.0, max_tokens=512)
    assert item is not None
    with pytest.raises(StopRequested):
        miner_on(model, reporter=reporter).fading([item])
