"""A model with the protocol that the night's generation uses, whose answers a test writes itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import torch
from transformers import Qwen2Config

from sleepd.night.chat import ChatFormat


class Queue:
    """What each row still has to say; rows that are done leave it."""

    def __init__(self, rows: list[list[int]]) -> None:
        self.rows = rows

    def batch_select_indices(self, kept: torch.Tensor) -> None:
        self.rows = [self.rows[index] for index in kept.tolist()]


class Scripted:
    """Answers every prompt with what ``reply`` makes of its text, one token a step."""

    def __init__(self, chat: ChatFormat, reply: Callable[[str], str]) -> None:
        self.chat, self.reply = chat, reply
        self.config = Qwen2Config(vocab_size=len(chat.tokenizer), hidden_size=1, intermediate_size=1)
        self.asked: list[str] = []

    def parameters(self) -> Iterator[torch.Tensor]:
        yield torch.zeros(1)

    def __call__(
        self, *, input_ids: torch.Tensor, attention_mask: torch.Tensor, past_key_values: Queue | None, **_: Any
    ) -> SimpleNamespace:
        if past_key_values is None:
            prompts = [self.chat.tokenizer.decode(row[mask.bool()]) for row, mask in zip(input_ids, attention_mask, strict=True)]
            self.asked += prompts
            past_key_values = Queue([self.chat.answer(self.reply(prompt)) for prompt in prompts])
        logits = torch.zeros((len(past_key_values.rows), 1, len(self.chat.tokenizer)))
        for row, tokens in enumerate(past_key_values.rows):
            logits[row, 0, tokens.pop(0) if tokens else self.chat.end_of_turn] = 50.0
        return SimpleNamespace(logits=logits, past_key_values=past_key_values)
