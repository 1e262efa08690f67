"""Packing computes what single rows compute, for any way of grouping."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM

from sleepd.night.items import Item
from sleepd.night.losses import logits_at, packed_hidden_states
from sleepd.night.packing import pack


def some_items(count: int, seed: int = 0, longest: int = 70) -> list[Item]:
    rng = random.Random(seed)
    return [
        Item(str(n), tuple(rng.randrange(3, 2000) for _ in range(length)), rng.randrange(1, length))
        for n in range(count)
        for length in [rng.randrange(2, longest)]
    ]


def test_every_item_is_packed_once_with_its_own_labels() -> None:
    items = some_items(40)
    groups = list(pack(items, 0, 512))
    assert sorted(index for group in groups for index in group.order) == list(range(40))
    assert sum(group.tokens for group in groups) == sum(len(item.ids) for item in items)
    for group in groups:
        for place, index in enumerate(group.order):
            assert tuple(group.labels[group.owner == place].tolist()) == items[index].ids[items[index].start :]


def test_most_of_a_packed_row_is_no_padding() -> None:
    [group] = pack(some_items(60, longest=40), 0, 10**6)
    assert group.tokens > 0.9 * group.ids.numel()


def test_an_item_longer_than_a_row_still_fits() -> None:
    [group] = pack([Item("long", tuple(range(3, 303)), 5), Item("short", (3, 4, 5), 1)], 0, 10**6)
    assert group.ids.shape[1] == 300


@pytest.mark.parametrize("most_tokens", [128, 512, 10**6])
def test_items_of_a_row_do_not_see_each_other(seedling: Path, most_tokens: int) -> None:
    model = AutoModelForCausalLM.from_pretrained(seedling, dtype=torch.float32).eval()
    items = some_items(12)
    with torch.inference_mode():
        for group in pack(items, 0, most_tokens):
            hidden = packed_hidden_states(model, group, torch.device("cpu"))
            logits = logits_at(model, hidden, group.rows, group.columns)
            for place, index in enumerate(group.order):
                alone = model(torch.tensor([items[index].ids])).logits[0, items[index].start - 1 : -1]
                assert torch.allclose(logits[group.owner == place], alone, atol=1e-3)
