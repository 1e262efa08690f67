"""How likely a model finds the right answers to earlier cards: a fact fades in these numbers before it is gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from sleepd.night.chat import ChatFormat
from sleepd.night.items import collate, make_item
from sleepd.night.losses import each_entropy, hidden_states
from sleepd.night.positions import measured
from sleepd.night.wordings import Wording

_ROWS = 32
_NO_LIMIT = 1 << 30


@torch.inference_mode()
def answer_losses(
    model: Any, chat: ChatFormat, sets: Mapping[str, Sequence[Wording]], pad: int, pause: Callable[[], None]
) -> dict[str, float]:
    """For every card id: nats per token of the answer to its first wording, given the question, in a fresh context."""
    device = next(model.parameters()).device
    made = [
        make_item(chat, [{"role": "user", "content": forms[0].question}], forms[0].answer, key, weight=1.0, max_tokens=_NO_LIMIT)
        for key, forms in sets.items()
    ]
    items = [item for item in made if item is not None]
    found: dict[str, float] = {}
    for start in range(0, len(items), _ROWS):
        pause()
        group = items[start : start + _ROWS]
        batch = collate(group, pad)
        hidden = hidden_states(model, batch.ids.to(device), batch.mask.to(device))
        nats = measured(model, hidden, batch.rows, batch.columns, each_entropy(batch.labels))
        parts = nats.split([item.answer_tokens for item in group])
        found |= {item.key: round(float(part.mean()), 5) for item, part in zip(group, parts, strict=True)}
    return found
