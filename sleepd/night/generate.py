"""Batched answers from a model in fresh contexts: left-padded, greedy or sampled, with its own KV cache."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

MOST_LOGITS = 2**24  # numbers that one step may have over the vocabulary
MOST_ACTIVATIONS = 2**25  # numbers in a model's widest layer while prompts are read


@dataclass(frozen=True)
class Generated:
    """One answer. ``ended``: the model closed it itself. ``entropy``: mean nats a token of what it chose from.

    ``least``: the probability of its least likely token, 0 for no answer.
    """

    ids: tuple[int, ...]
    ended: bool
    entropy: float
    least: float


@torch.inference_mode()
def generate(
    model: Any,
    prompts: Sequence[Sequence[int]],
    end: int,
    max_new_tokens: int,
    *,
    pad: int = 0,
    batch_size: int = 64,
    temperature: float = 0.0,
    generator: torch.Generator | None = None,
    pause: Callable[[], None] = lambda: None,
) -> list[Generated]:
    """Answers in the order of ``prompts``. ``pause`` is called between steps and may raise to stop.

    Prompts are grouped by length so that little is padded; finished rows leave the batch. A large model gets smaller
    batches than ``batch_size``: what a batch holds beside the weights is bounded.
    """
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    results: list[Generated | None] = [None] * len(prompts)
    rows_at_once, tokens_at_once = room(model.config, batch_size)
    for rows in batches(order, [len(prompt) for prompt in prompts], rows_at_once, tokens_at_once):
        answers = _generate_batch(model, [prompts[i] for i in rows], end, max_new_tokens, pad, temperature, generator, pause)
        for row, answer in zip(rows, answers, strict=True):
            results[row] = answer
    return [r for r in results if r is not None]


def room(config: Any, batch_size: int) -> tuple[int, int]:
    """Rows and prompt tokens that a batch of this model may have: by its vocabulary and by its widest layer."""
    text = config.get_text_config()
    widest = getattr(text, "intermediate_size", None) or 4 * text.hidden_size
    return max(1, min(batch_size, MOST_LOGITS // text.vocab_size)), max(1, MOST_ACTIVATIONS // widest)


def batches(order: Sequence[int], lengths: Sequence[int], most_rows: int, most_tokens: int) -> list[list[int]]:
    """``order``, ascending by length, cut into batches of at most so many rows, and tokens with padding; one row at least."""
    cut: list[list[int]] = []
    for index in order:
        if cut and len(cut[-1]) < most_rows and (len(cut[-1]) + 1) * lengths[index] <= most_tokens:
            cut[-1].append(index)
        else:
            cut.append([index])
    return cut


def _generate_batch(
    model: Any,
    prompts: list[Sequence[int]],
    end: int,
    max_new_tokens: int,
    pad: int,
    temperature: float,
    generator: torch.Generator | None,
    pause: Callable[[], None],
) -> list[Generated]:
    device = next(model.parameters()).device
    width = max(map(len, prompts))
    ids = torch.full((len(prompts), width), pad, dtype=torch.long)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    ids, mask = ids.to(device), mask.to(device)
    positions = (mask.cumsum(1) - 1).clamp(min=0)
    count = len(prompts)
    tokens: list[list[int]] = [[] for _ in range(count)]
    entropies: list[list[float]] = [[] for _ in range(count)]
    likelihoods: list[list[float]] = [[] for _ in range(count)]
    ended = [False] * count
    alive = list(range(count))
    cache = None
    step_ids = ids
    for _ in range(max_new_tokens):
        pause()
        # by its index: the slice that a number stands for makes torch copy the whole output layer for every row
        last = torch.tensor([step_ids.shape[1] - 1], device=device)
        output = model(
            input_ids=step_ids, attention_mask=mask, position_ids=positions, past_key_values=cache, use_cache=True, logits_to_keep=last
        )
        cache = output.past_key_values
        logits = output.logits[:, -1].float()
        chosen = _choose(logits, temperature, generator)
        log_p = torch.log_softmax(logits, -1)
        entropy = (-(log_p.exp() * log_p).sum(-1)).tolist()
        likelihood = log_p.gather(1, chosen[:, None])[:, 0].exp().tolist()
        for row, (index, token) in enumerate(zip(alive, chosen.tolist(), strict=True)):
            tokens[index].append(token)
            entropies[index].append(entropy[row])
            likelihoods[index].append(likelihood[row])
            ended[index] = ended[index] or token == end
        keep = [row for row, index in enumerate(alive) if not ended[index]]
        if not keep:
            break
        if len(keep) <= 0.75 * len(alive):  # dropping rows copies the cache, so not for every one
            select = torch.tensor(keep, device=device)
            cache.batch_select_indices(select)
            alive = [alive[row] for row in keep]
            chosen, mask, positions = chosen[select], mask[select], positions[select]
        step_ids = chosen[:, None]
        mask = torch.cat([mask, torch.ones((len(alive), 1), dtype=mask.dtype, device=device)], 1)
        positions = positions[:, -1:] + 1
    return [_finished(tokens[i], entropies[i], likelihoods[i], end) for i in range(count)]


def _choose(logits: Tensor, temperature: float, generator: torch.Generator | None) -> Tensor:
    if temperature <= 0:
        return logits.argmax(-1)
    return torch.multinomial(torch.softmax(logits / temperature, -1).cpu(), 1, generator=generator)[:, 0].to(logits.device)


def _finished(tokens: list[int], entropies: list[float], likelihoods: list[float], end: int) -> Generated:
    """Cut what a row produced after its end while it waited for the others."""
    if end in tokens:
        tokens = tokens[: tokens.index(end) + 1]
    spent = entropies[: len(tokens)]
    least = min(likelihoods[: len(tokens)], default=0.0)
    return Generated(tuple(tokens), bool(tokens) and tokens[-1] == end, sum(spent) / len(spent) if spent else 0.0, least)
