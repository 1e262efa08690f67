"""Training items: a prompt with its answer as token ids, and how items become batches.

Every answer token weighs the same. Weighing the value's tokens more was tried and left out: what a new
fact must overcome first is the "I" of "I don't know", which is not part of the value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sleepd.night.chat import ChatFormat, Message


@dataclass(frozen=True)
class Item:
    """One prompt with its answer: ``ids[start:]`` is the answer. ``key`` groups wordings, ``weight`` is salience."""

    key: str
    ids: tuple[int, ...]
    start: int
    weight: float = 1.0

    @property
    def answer_tokens(self) -> int:
        return len(self.ids) - self.start


@dataclass(frozen=True)
class Batch:
    """Right-padded rows. ``rows``/``columns`` address the positions whose next token is ``labels``."""

    ids: Tensor
    mask: Tensor
    rows: Tensor
    columns: Tensor
    labels: Tensor
    row_weights: Tensor


def make_item(chat: ChatFormat, messages: Sequence[Message], answer: str, key: str, *, weight: float, max_tokens: int) -> Item | None:
    """An item whose loss lies on the answer and its end of turn only. None when it is longer than ``max_tokens``."""
    prompt, reply = chat.prompt(messages), chat.answer(answer)
    if len(prompt) + len(reply) > max_tokens:
        return None
    return Item(key, (*prompt, *reply), len(prompt), weight)


def collate(items: Sequence[Item], pad: int) -> Batch:
    """One batch, right-padded with ``pad``."""
    width = max(len(item.ids) for item in items)
    ids = torch.full((len(items), width), pad, dtype=torch.long)
    mask = torch.zeros((len(items), width), dtype=torch.long)
    rows: list[int] = []
    columns: list[int] = []
    labels: list[int] = []
    for row, item in enumerate(items):
        ids[row, : len(item.ids)] = torch.tensor(item.ids)
        mask[row, : len(item.ids)] = 1
        rows += [row] * item.answer_tokens
        columns += range(item.start - 1, len(item.ids) - 1)
        labels += item.ids[item.start :]
    weights = torch.tensor([item.weight for item in items])
    return Batch(ids, mask, torch.tensor(rows), torch.tensor(columns), torch.tensor(labels), weights)


def balanced(items: Sequence[Item]) -> list[Item]:
    """Salience weights clipped to 0.5..2 and with mean 1 over the night, so that they do not change the learning rate.

    Over the night and not over the batch: in batches of one they would cancel out.
    """
    clipped = [min(2.0, max(0.5, item.weight)) for item in items]
    mean = sum(clipped) / len(clipped) if clipped else 1.0
    return [replace(item, weight=weight / mean) for item, weight in zip(items, clipped, strict=True)]
