"""The loss of a night: weighted cross-entropy on answers, and a KL that holds the student to the base."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from sleepd.night.packing import Packed

Each = Callable[[Tensor, slice], Tensor]
"""Makes one number of each position's float32 logits (part, vocabulary); the slice says which positions they are."""

_CHUNK = 512  # output positions at a time: the output layer over a large vocabulary dominates memory


def hidden_states(model: Any, ids: Tensor, mask: Tensor) -> Tensor:
    """Last hidden states (rows, width, hidden) without computing any logit."""
    decoder = model.get_base_model().model if hasattr(model, "get_base_model") else model.model
    output: Tensor = decoder(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    return output


def packed_hidden_states(model: Any, group: Packed, device: torch.device) -> Tensor:
    """Last hidden states (rows, width, hidden) of packed rows; the items of a row do not see each other."""
    decoder = model.get_base_model().model if hasattr(model, "get_base_model") else model.model
    output: Tensor = decoder(
        input_ids=group.ids.to(device), attention_mask=group.mask.to(device), position_ids=group.positions.to(device), use_cache=False
    ).last_hidden_state
    return output


def output_layer(model: Any) -> Any:
    return (model.get_base_model() if hasattr(model, "get_base_model") else model).get_output_embeddings()


def logits_at(model: Any, hidden: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Logits (positions, vocabulary) in float32, only where they are needed."""
    layer = output_layer(model)
    selected = hidden[rows.to(hidden.device), columns.to(hidden.device)]
    logits: Tensor = layer(selected.to(layer.weight.dtype))
    return logits.float()


def answer_loss(logits: Tensor, labels: Tensor, rows: Tensor, row_weights: Tensor, first_weight: float = 1.0) -> Tensor:
    """Mean over each answer's tokens first, then over answers, so that long answers do not dominate.

    ``rows``: for every token its answer, an index into ``row_weights``, an answer's tokens side by side; an answer
    without tokens counts 0. ``first_weight``: what an answer's first token counts, where the others count 1.
    """
    token_loss = torch.nn.functional.cross_entropy(logits, labels.to(logits.device), reduction="none")
    return (token_loss * answer_shares(rows, row_weights, first_weight).to(logits.device)).sum()


def answer_shares(rows: Tensor, row_weights: Tensor, first_weight: float = 1.0, share: float = 1.0) -> Tensor:
    """What each token's loss counts in ``answer_loss``, times ``share``: weights (tokens,)."""
    weights = torch.where(begins(rows), first_weight, 1.0)
    norm = torch.zeros(len(row_weights)).index_add_(0, rows, weights)
    each: Tensor = torch.tensor(share) / len(row_weights) * row_weights / norm.clamp(min=1)
    return each[rows] * weights


def begins(rows: Tensor) -> Tensor:
    """Which tokens are the first of their answer; ``rows`` as for ``answer_loss``."""
    first = torch.ones_like(rows, dtype=torch.bool)
    first[1:] = rows[1:] != rows[:-1]
    return first


def kl_to_base(logits: Tensor, top_ids: Tensor, top_log_p: Tensor) -> Tensor:
    """KL(base || student) in nats at every position, from the base's top words and the mass of the rest.

    ``top_ids``, ``top_log_p``: (positions, k). The tail is one more outcome, so the sum is a lower
    bound of the full KL that is exact when the student keeps the shape of the tail.
    """
    device = logits.device
    top_ids, top_log_p = top_ids.to(device), top_log_p.to(device).float()
    log_q = torch.log_softmax(logits, -1)
    student = log_q.gather(1, top_ids)
    p = top_log_p.exp()
    p_tail = (1 - p.sum(1)).clamp(min=1e-6)
    q_tail = (1 - student.exp().sum(1)).clamp(min=1e-6)
    divergence: Tensor = (p * (top_log_p - student)).sum(1) + p_tail * (p_tail.log() - q_tail.log())
    return divergence


def each_entropy(labels: Tensor) -> Each:
    """The cross-entropy with its label, for parts of the positions of ``labels``."""
    return lambda logits, part: torch.nn.functional.cross_entropy(logits, labels[part].to(logits.device), reduction="none")


def each_divergence(top_ids: Tensor, top_log_p: Tensor) -> Each:
    """``kl_to_base`` for parts of its positions."""
    return lambda logits, part: kl_to_base(logits, top_ids[part], top_log_p[part])


@torch.inference_mode()
def top_of_base(model: Any, ids: Tensor, mask: Tensor, rows: Tensor, columns: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """The base's top ``k`` words and their log-probabilities at the given positions, on the CPU."""
    hidden = hidden_states(model, ids, mask)
    top_ids, top_log_p = [], []
    for start in range(0, len(rows), _CHUNK):
        logits = logits_at(model, hidden, rows[start : start + _CHUNK], columns[start : start + _CHUNK])
        values, indices = torch.log_softmax(logits, -1).topk(min(k, logits.shape[-1]), dim=-1)
        top_ids.append(indices.to(torch.int32).cpu())
        top_log_p.append(values.cpu())
    return torch.cat(top_ids), torch.cat(top_log_p)


@torch.inference_mode()
def text_loss(model: Any, ids: Tensor) -> float:
    """Mean loss in nats a token over one passage (1, tokens)."""
    mask = torch.ones_like(ids)
    hidden = hidden_states(model, ids, mask)
    total = 0.0
    positions = torch.arange(ids.shape[1] - 1)
    for start in range(0, len(positions), _CHUNK):
        columns = positions[start : start + _CHUNK]
        logits = logits_at(model, hidden, torch.zeros_like(columns), columns)
        total += float(torch.nn.functional.cross_entropy(logits, ids[0, columns + 1], reduction="sum"))
    return total / len(positions)
