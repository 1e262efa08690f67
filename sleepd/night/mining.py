"""Looks, in the middle of a training, for what needs more of it: what strayed from the base, earlier cards that fade."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sleepd.night.items import Item
from sleepd.night.losses import Each, each_entropy, packed_hidden_states
from sleepd.night.packing import pack
from sleepd.night.positions import measured
from sleepd.night.precision import products
from sleepd.night.presets import FitSettings
from sleepd.night.rehearsal import Rehearsed, to_base

HARD_SHARE = 0.2
_ITEMS = 1024  # packed at once


@dataclass(frozen=True)
class Miner:
    """Measures as the training computes: the same packing, the same precision. ``pause`` may end the night."""

    model: Any
    fit: FitSettings
    pad: int
    device: torch.device
    pause: Callable[[], None]

    def strayed(self, rehearsed: Sequence[Rehearsed], looked_at: Sequence[int]) -> list[int]:
        """The fifth of those ``looked_at`` (indices) whose answers have moved farthest from the base's, in nats a token."""
        some = [rehearsed[index] for index in looked_at]
        moved = [0.0] * len(some)
        for index, nats in self._measured([r.item for r in some], lambda members, _: to_base([some[i] for i in members])):
            moved[index] = float(nats.mean())
        return [looked_at[index] for index in _highest(moved)]

    def fading(self, items: Sequence[Item]) -> list[int]:
        """Indices of the fifth of the items whose answers hold the least likely token: one such token, and another answer is given."""
        worst = [0.0] * len(items)
        for index, nats in self._measured(items, lambda _, labels: each_entropy(labels)):
            worst[index] = float(nats.max())
        return _highest(worst)

    @torch.inference_mode()
    def _measured(self, items: Sequence[Item], measure: Callable[[list[int], Tensor], Each]) -> Iterator[tuple[int, Tensor]]:
        """Every item's index with what ``measure`` says of its answer's tokens, given the items of a group and their tokens."""
        for start in range(0, len(items), _ITEMS):
            for group in pack(items[start : start + _ITEMS], self.pad, self.fit.forward_tokens):
                self.pause()
                with products(self.fit.mixed_precision):
                    hidden = packed_hidden_states(self.model, group, self.device)
                    members = [start + index for index in group.order]
                    found = measured(self.model, hidden, group.rows, group.columns, measure(members, group.labels))
                yield from zip(members, found.split([items[i].answer_tokens for i in members]), strict=True)


def _highest(values: Sequence[float]) -> list[int]:
    """Where the highest values are, a fifth of them."""
    return sorted(range(len(values)), key=lambda i: -values[i])[: math.ceil(HARD_SHARE * len(values))]
