"""Training items: token ids with a weight for every answer token, and how they become batches."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from sleepd.night.chat import ChatFormat, Message

VALUE_WEIGHT = 1.0
OTHER_WEIGHT = 0.3


@dataclass(frozen=True)
class Item:
    """One prompt with its answer. ``ids[start:]`` are answer tokens with ``token_weights``; ``key`` groups wordings."""

    key: str
    ids: tuple[int, ...]
    start: int
    token_weights: tuple[float, ...]
    weight: float = 1.0


@dataclass(frozen=True)
class Batch:
    """Right-padded rows. ``rows``/``columns`` address the positions whose next token is ``labels``."""

    ids: Tensor
    mask: Tensor
    rows: Tensor
    columns: Tensor
    labels: Tensor
    token_weights: Tensor
    row_weights: Tensor


def make_item(
    chat: ChatFormat, messages: Sequence[Message], answer: str, key: str, *, value: str | None, weight: float, max_tokens: int
) -> Item | None:
    """An item whose loss lies on the answer only; tokens of ``value`` weigh more. None when it is too long.

    Without ``value`` (behaviour) all answer tokens weigh the same.
    """
    prompt = chat.prompt(messages)
    ids, spans = chat.answer(answer)
    if len(prompt) + len(ids) > max_tokens:
        return None
    if value is None:
        weights = [VALUE_WEIGHT] * len(ids)
    else:
        at = answer.lower().rfind(value.lower())
        end = at + len(value)
        weights = [VALUE_WEIGHT if at >= 0 and a < end and b > at else OTHER_WEIGHT for a, b in spans]
    return Item(key, (*prompt, *ids), len(prompt), tuple(weights), weight)


def collate(items: Sequence[Item], pad: int) -> Batch:
    """One batch, right-padded with ``pad``."""
    width = max(len(item.ids) for item in items)
    ids = torch.full((len(items), width), pad, dtype=torch.long)
    mask = torch.zeros((len(items), width), dtype=torch.long)
    rows: list[int] = []
    columns: list[int] = []
    labels: list[int] = []
    weights: list[float] = []
    for row, item in enumerate(items):
        ids[row, : len(item.ids)] = torch.tensor(item.ids)
        mask[row, : len(item.ids)] = 1
        for offset, weight in enumerate(item.token_weights):
            rows.append(row)
            columns.append(item.start + offset - 1)
            labels.append(item.ids[item.start + offset])
            weights.append(weight)
    row_weights = torch.tensor([item.weight for item in items])
    return Batch(ids, mask, torch.tensor(rows), torch.tensor(columns), torch.tensor(labels), torch.tensor(weights), row_weights)


def balanced(items: Sequence[Item]) -> list[Item]:
    """Salience weights clipped to 0.5..2 and with mean 1 over the night, so that they do not change the learning rate.

    Over the night and not over the batch: in batches of one they would cancel out.
    """
    clipped = [min(2.0, max(0.5, item.weight)) for item in items]
    mean = sum(clipped) / len(clipped) if clipped else 1.0
    return [replace(item, weight=weight / mean) for item, weight in zip(items, clipped, strict=True)]
