"""Looks, in the middle of a training, for what needs more of it: what strayed from the base, earlier cards that fade."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from sleepd.night.items import Item
from sleepd.night.losses import kl_to_base, logits_at, packed_hidden_states
from sleepd.night.packing import pack
from sleepd.night.precision import products
from sleepd.night.presets import FitSettings
from sleepd.night.rehearsal import Rehearsed

HARD_SHARE = 0.1
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
        """The tenth of those ``looked_at`` (indices) whose answers have moved farthest from the base's, in nats a token."""
        some = [rehearsed[index] for index in looked_at]
        moved = [0.0] * len(some)
        for index, logits, _ in self._answers([r.item for r in some]):
            moved[index] = float(kl_to_base(logits, some[index].top_ids.long(), some[index].top_log_p).mean())
        return [looked_at[index] for index in _highest(moved)]

    def fading(self, items: Sequence[Item]) -> list[int]:
        """Indices of the tenth of the items whose answers hold the least likely token: one such token, and another answer is given."""
        nats = [0.0] * len(items)
        for index, logits, labels in self._answers(items):
            nats[index] = float(torch.nn.functional.cross_entropy(logits, labels, reduction="none").max())
        return _highest(nats)

    def _answers(self, items: Sequence[Item]) -> Iterator[tuple[int, Tensor, Tensor]]:
        """For every item its index, the logits of its answer's tokens (answer_tokens, vocabulary) and those tokens."""
        for start in range(0, len(items), _ITEMS):
            for group in pack(items[start : start + _ITEMS], self.pad, self.fit.forward_tokens):
                self.pause()
                with torch.no_grad(), products(self.fit.mixed_precision):
                    hidden = packed_hidden_states(self.model, group, self.device)
                    logits = logits_at(self.model, hidden, group.rows, group.columns)
                counts = [items[start + index].answer_tokens for index in group.order]
                parts = zip(group.order, logits.split(counts), group.labels.to(logits.device).split(counts), strict=True)
                yield from ((start + index, each, labels) for index, each, labels in parts)


def _highest(values: Sequence[float]) -> list[int]:
    """Where the highest values are, a tenth of them."""
    return sorted(range(len(values)), key=lambda i: -values[i])[: math.ceil(HARD_SHARE * len(values))]
