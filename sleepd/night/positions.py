"""The output layer a few positions at a time: over a large vocabulary its numbers would outweigh everything else in memory.

Owns how many positions are computed at once, with and without gradients, and nothing of what is made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from sleepd.night.losses import output_layer

MOST_LOGITS = 2**25  # numbers at once: 128 MiB in float32, and a few times that while something is made of them

Each = Callable[[Tensor, slice], Tensor]


def at_once(model: Any) -> int:
    """How many positions of this model are computed together."""
    return max(1, MOST_LOGITS // int(output_layer(model).weight.shape[0]))


def slices(model: Any, positions: int) -> Iterator[slice]:
    """All positions in parts, in order."""
    size = at_once(model)
    for start in range(0, positions, size):
        yield slice(start, min(positions, start + size))


@torch.inference_mode()
def measured(model: Any, hidden: Tensor, rows: Tensor, columns: Tensor, each: Each) -> Tensor:
    """What ``each`` makes of the float32 logits of every position, without gradients.

    ``hidden``: (rows, width, hidden). ``each`` gets logits (part, vocabulary) and which positions they are, and gives (part,).
    """
    layer = output_layer(model)
    found = []
    for part in slices(model, len(rows)):
        selected = hidden[rows[part].to(hidden.device), columns[part].to(hidden.device)]
        found.append(each(layer(selected.to(layer.weight.dtype)).float(), part))
    return torch.cat(found)


def learned(model: Any, hidden: Tensor, rows: Tensor, columns: Tensor, each: Each) -> Tensor:
    """As ``measured``, but differentiable with respect to ``hidden``; logits live only as long as their part is computed.

    ``each`` must treat every position by itself: its slopes are taken in the forward pass, from the sum over a part.
    """
    layer = output_layer(model)
    selected = hidden[rows.to(hidden.device), columns.to(hidden.device)].to(layer.weight.dtype)
    result: Tensor = _InParts.apply(selected, layer, list(slices(model, len(rows))), each)
    return result


class _InParts(torch.autograd.Function):
    """Values (positions,) of ``each``; backward scales the slopes that forward took and needs no logits any more."""

    @staticmethod
    def forward(ctx: Any, selected: Tensor, layer: Any, parts: list[slice], each: Each) -> Tensor:
        values, slopes = [], []
        for part in parts:
            own = selected[part].detach().requires_grad_()
            with torch.enable_grad():
                value = each(layer(own).float(), part)
                slopes.append(torch.autograd.grad(value.sum(), own)[0])
            values.append(value.detach())
        ctx.save_for_backward(torch.cat(slopes))
        return torch.cat(values)

    @staticmethod
    def backward(ctx: Any, *upstream: Tensor) -> tuple[Tensor, None, None, None]:
        (slopes,) = ctx.saved_tensors
        return slopes * upstream[0][:, None].to(slopes.dtype), None, None, None
