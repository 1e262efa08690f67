"""How likely a model finds the right answers to earlier cards: a fact fades in these numbers before it is gone."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch

from sleepd.night.chat import ChatFormat
from sleepd.night.items import Item, collate, make_item
from sleepd.night.losses import hidden_states, logits_at
from sleepd.night.wordings import Wording

_ROWS = 32
_NO_LIMIT = 1 << 30


def answer_losses(
    model: Any, chat: ChatFormat, sets: Mapping[str, Sequence[Wording]], pad: int, pause: Callable[[], None]
) -> dict[str, float]:
    """For every card id: nats per token of the answer to its first wording, given the question, in a fresh context."""
    made = [
        make_item(chat, [{"role": "user", "content": forms[0].question}], forms[0].answer, key, weight=1.0, max_tokens=_NO_LIMIT)
        for key, forms in sets.items()
    ]
    items = [item for item in made if item is not None]
    losses = token_losses(model, items, pad, pause)
    return {item.key: round(float(each.mean()), 5) for item, each in zip(items, losses, strict=True)}


@torch.inference_mode()
def token_losses(model: Any, items: Sequence[Item], pad: int, pause: Callable[[], None]) -> list[torch.Tensor]:
    """For every item: nats of each token of its answer, (answer_tokens,)."""
    device = next(model.parameters()).device
    found: list[torch.Tensor] = []
    for start in range(0, len(items), _ROWS):
        pause()
        group = items[start : start + _ROWS]
        batch = collate(group, pad)
        hidden = hidden_states(model, batch.ids.to(device), batch.mask.to(device))
        logits = logits_at(model, hidden, batch.rows.to(device), batch.columns.to(device)).float()
        nats = torch.nn.functional.cross_entropy(logits, batch.labels.to(device), reduction="none")
        found += nats.split([item.answer_tokens for item in group])
    return found
