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
        for members, logits, _ in self._answers([r.item for r in some]):
            kept = [some[index] for index in members]
            top_ids, top_log_p = torch.cat([r.top_ids for r in kept]).long(), torch.cat([r.top_log_p for r in kept])
            divergence = kl_to_base(logits, top_ids, top_log_p).split([r.item.answer_tokens for r in kept])
            for index, each in zip(members, divergence, strict=True):
                moved[index] = float(each.mean())
        return [looked_at[index] for index in _highest(moved)]

    def fading(self, items: Sequence[Item]) -> list[int]:
        """Indices of the fifth of the items whose answers hold the least likely token: one such token, and another answer is given."""
        nats = [0.0] * len(items)
        for members, logits, labels in self._answers(items):
            losses = torch.nn.functional.cross_entropy(logits, labels, reduction="none").split([items[i].answer_tokens for i in members])
            for index, each in zip(members, losses, strict=True):
                nats[index] = float(each.max())
        return _highest(nats)

    @torch.inference_mode()
    def _answers(self, items: Sequence[Item]) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """Groups of items: their indices, and for their answers' tokens, in that order, the logits and the tokens."""
        for start in range(0, len(items), _ITEMS):
            for group in pack(items[start : start + _ITEMS], self.pad, self.fit.forward_tokens):
                self.pause()
                with products(self.fit.mixed_precision):
                    hidden = packed_hidden_states(self.model, group, self.device)
                    logits = logits_at(self.model, hidden, group.rows, group.columns)
                yield [start + index for index in group.order], logits, group.labels.to(logits.device)


def _highest(values: Sequence[float]) -> list[int]:
    """Where the highest values are, a fifth of them."""
    return sorted(range(len(values)), key=lambda i: -values[i])[: math.ceil(HARD_SHARE * len(values))]
