"""Generates one answer token by token with its own KV cache. One row at a time, so that an answer never
depends on what else is being answered."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache

from sleepd.serve.textflow import Detokenizer, StopFilter
from sleepd.serve.values import FinishReason, RequestError, Sampling


class Answer:
    """An answer in the making. ``step`` is called, on one thread, until ``reason`` is set."""

    def __init__(self, prompt: Sequence[int], sampling: Sampling, stop_ids: frozenset[int], decode: Callable[[Sequence[int]], str]) -> None:
        self.reason: FinishReason | None = None
        self.tokens = 0
        self._next: Sequence[int] = prompt
        self._sampling = sampling
        self._stop_ids = stop_ids
        self._detokenizer = Detokenizer(decode)
        self._stops = StopFilter(sampling.stop)
        self._cache: DynamicCache | None = None
        self._random: torch.Generator | None = None

    def step(self, model: Any) -> str:
        """One forward pass; returns the text that may be shown because of it, possibly none."""
        if self._cache is None:
            self._cache = DynamicCache(config=model.config)
        ids = torch.tensor([list(self._next)], device=model.device)
        logits = model(input_ids=ids, past_key_values=self._cache, use_cache=True, logits_to_keep=1).logits[0, -1]
        token = self._choose(logits)
        if token in self._stop_ids:
            self.reason = "stop"
            return self._rest()
        self._next = [token]
        self.tokens += 1
        text, stopped = self._stops.add(self._detokenizer.add(token))
        if stopped:
            self.reason = "stop"
        elif self.tokens >= self._sampling.max_tokens:
            self.reason = "length"
            text += self._rest()
        return text

    def _rest(self) -> str:
        """The end of the answer, which was held back; it can still complete a stop text."""
        text, stopped = self._stops.add(self._detokenizer.flush())
        if stopped:
            self.reason = "stop"
            return text
        return text + self._stops.flush()

    def _choose(self, logits: Tensor) -> int:
        best = logits.argmax()
        if not bool(torch.isfinite(logits[best])):
            raise RequestError(
                "the model computed no finite score for the next token",
                "roll back the adapter: sleepd rollback",
                status=500,
                code="not_finite",
            )
        if self._sampling.temperature <= 0:
            return int(best)
        # on the CPU and in float32, so that a seed gives the same answer on every device
        scores = logits.float().cpu() / self._sampling.temperature
        return self._draw(keep_likely(scores, self._sampling.top_k, self._sampling.top_p))

    def _draw(self, scores: Tensor) -> int:
        if self._random is None:
            self._random = torch.Generator()
            if self._sampling.seed is None:
                self._random.seed()
            else:
                self._random.manual_seed(self._sampling.seed)
        return int(torch.multinomial(torch.softmax(scores, -1), 1, generator=self._random))


def keep_likely(scores: Tensor, top_k: int, top_p: float) -> Tensor:
    """Scores with everything outside the k best, and outside the smallest set of probability ``top_p``, ruled out."""
    if 0 < top_k < scores.numel():
        scores = scores.masked_fill(scores < scores.topk(top_k).values[-1], -torch.inf)
    if top_p < 1:
        ordered, order = scores.sort(descending=True)
        probabilities = torch.softmax(ordered, -1)
        outside = probabilities.cumsum(-1) - probabilities >= top_p
        outside[0] = False  # the best token always stays, also for top_p 0
        scores = scores.index_fill(0, order[outside], -torch.inf)
    return scores
