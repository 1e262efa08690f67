"""Puts many short items into few full rows, so that a step computes tokens and not padding.

Items of a row cannot see each other: positions begin at 0 for each, and the attention mask is one causal
block an item. On short questions and answers this is about twice as fast as padding each to the longest.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from sleepd.night.items import Item

WIDTH = 128


@dataclass(frozen=True)
class Packed:
    """Rows of whole items. ``rows``/``columns`` address the positions whose next token is ``labels``.

    ``ids``, ``positions``: (rows, width). ``mask``: (rows, 1, width, width), True where a token may look.
    ``owner``: for every label, the index of its item in ``order``, which holds indices into the packed sequence.
    """

    ids: Tensor
    positions: Tensor
    mask: Tensor
    rows: Tensor
    columns: Tensor
    labels: Tensor
    owner: Tensor
    order: tuple[int, ...]
    tokens: int


def _first_fit(lengths: Sequence[int], width: int) -> list[list[int]]:
    """Indices of the items of each row: longest first, each into the first row that has room."""
    rows: list[list[int]] = []
    room: list[int] = []
    for index in sorted(range(len(lengths)), key=lambda i: -lengths[i]):
        for row, free in enumerate(room):
            if lengths[index] <= free:
                rows[row].append(index)
                room[row] -= lengths[index]
                break
        else:
            rows.append([index])
            room.append(width - lengths[index])
    return rows


def pack(items: Sequence[Item], pad: int, most_tokens: int) -> Iterator[Packed]:
    """All ``items`` in groups of rows of at most ``most_tokens`` tokens with padding (one row at least).

    Every item is in exactly one group, and what a group computes does not depend on the others.
    """
    lengths = [len(item.ids) for item in items]
    width = max(WIDTH, max(lengths))
    rows = _first_fit(lengths, width)
    height = max(1, most_tokens // width)
    for start in range(0, len(rows), height):
        yield _group(items, rows[start : start + height], width, pad)


def _group(items: Sequence[Item], rows: list[list[int]], width: int, pad: int) -> Packed:
    ids = torch.full((len(rows), width), pad, dtype=torch.long)
    positions = torch.zeros((len(rows), width), dtype=torch.long)
    block = torch.full((len(rows), width), -1, dtype=torch.long)
    at_row: list[int] = []
    at_column: list[int] = []
    labels: list[int] = []
    owner: list[int] = []
    order: list[int] = []
    tokens = 0
    for row, members in enumerate(rows):
        begin = 0
        for index in members:
            item = items[index]
            end = begin + len(item.ids)
            ids[row, begin:end] = torch.tensor(item.ids)
            positions[row, begin:end] = torch.arange(len(item.ids))
            block[row, begin:end] = index
            at_row += [row] * item.answer_tokens
            at_column += range(begin + item.start - 1, end - 1)
            labels += item.ids[item.start :]
            owner += [len(order)] * item.answer_tokens
            order.append(index)
            tokens += len(item.ids)
            begin = end
    # padding looks at itself, or its softmax would be over nothing
    same = (block[:, :, None] == block[:, None, :]) & (block[:, :, None] >= 0)
    mask = (same & torch.ones(width, width, dtype=torch.bool).tril()) | torch.eye(width, dtype=torch.bool)
    return Packed(
        ids,
        positions,
        mask[:, None],
        torch.tensor(at_row),
        torch.tensor(at_column),
        torch.tensor(labels),
        torch.tensor(owner),
        tuple(order),
        tokens,
    )
