"""The output layer a few positions at a time: over a large vocabulary its numbers would outweigh everything else in memory.

Owns how many positions are computed at once, with gradients and without, and nothing of what is made of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from sleepd.night.losses import Each, output_layer

MOST_LOGITS = 2**25  # numbers at once: 128 MiB in float32, and a few times that while something is made of them


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


def learned(model: Any, selected: Tensor, where: Tensor, each: Each, shares: Tensor) -> float:
    """Add the gradient of ``(each * shares).sum()`` to ``selected.grad``; returns that sum.

    ``selected``: hidden states (positions, hidden), a leaf. ``where``: which of them are meant. ``each`` gets their float32
    logits (part, vocabulary) and which of ``where`` they are, and gives (part,), as many as ``shares`` has. The gradient
    is formed part by part, so that the logits of one part are all that is ever held.
    """
    layer = output_layer(model)
    total = 0.0
    for part in slices(model, len(where)):
        logits = layer(selected[where[part].to(selected.device)].to(layer.weight.dtype)).float()
        loss = (each(logits, part) * shares[part].to(logits.device)).sum()
        loss.backward()
        total += float(loss.detach())
    return total
