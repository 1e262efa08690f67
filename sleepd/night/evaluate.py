"""Measures a model in fresh contexts: recall of cards, agreement with the base, unseen text, collapse.

The same functions measure the base (adapter off) and the candidate; nothing here knows which it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from sleepd.night.chat import ChatFormat, Message
from sleepd.night.generate import Generated, generate
from sleepd.night.losses import text_loss
from sleepd.night.score import recalled
from sleepd.night.wordings import Wording

ANSWER_TOKENS = 48
CERTAIN = 2 / 3
OPEN_TOKENS = 96
_PASSAGE_TOKENS = 256

Pause = Callable[[], None]


@dataclass(frozen=True)
class Collapse:
    """How lively open answers are. ``entropy``: nats a token; ``questions_per_reply`` counts question marks."""

    distinct3: float
    repeated_share: float
    questions_per_reply: float
    mean_words: float
    end_of_turn_rate: float
    entropy: float

    def as_dict(self) -> dict[str, float]:
        return {name: round(value, 5) for name, value in asdict(self).items()}


@dataclass(frozen=True)
class Said:
    """An answer. ``certain``: every token of it was more than twice as likely as all others together."""

    text: str
    certain: bool


def said(model: Any, chat: ChatFormat, questions: Sequence[str], pause: Pause, max_new_tokens: int = ANSWER_TOKENS) -> list[Said]:
    """Greedy answers, each question alone in a fresh context."""
    made = generate(model, [chat.question(q) for q in questions], chat.end_of_turn, max_new_tokens, pause=pause)
    return [Said(chat.decode(m.ids), m.least > CERTAIN) for m in made]


def answers(model: Any, chat: ChatFormat, questions: Sequence[str], pause: Pause, max_new_tokens: int = ANSWER_TOKENS) -> list[str]:
    """The texts of the answers alone."""
    return [answer.text for answer in said(model, chat, questions, pause, max_new_tokens)]


def probe(model: Any, chat: ChatFormat, sets: Mapping[str, Sequence[Wording]], pause: Pause) -> dict[str, list[bool]]:
    """For every card id: whether each of its wordings was answered right."""
    flat = [(key, wording) for key, forms in sets.items() for wording in forms]
    given = answers(model, chat, [w.question for _, w in flat], pause)
    result: dict[str, list[bool]] = {key: [] for key in sets}
    for (key, wording), answer in zip(flat, given, strict=True):
        result[key].append(recalled(answer, wording.accept))
    return result


def passages(chat: ChatFormat, texts: Sequence[str]) -> list[torch.Tensor]:
    """Token ids (1, n) of each text that has at least eight tokens."""
    encoded = [torch.tensor([chat.tokenizer(t, add_special_tokens=False)["input_ids"][:_PASSAGE_TOKENS]]) for t in texts]
    return [ids for ids in encoded if ids.shape[1] >= 8]


def text_losses(model: Any, encoded: Sequence[torch.Tensor], pause: Pause) -> list[float]:
    """Nats a token of every passage."""
    device = next(model.parameters()).device
    losses = []
    for ids in encoded:
        pause()
        losses.append(text_loss(model, ids.to(device)))
    return losses


def distinct_ngrams(replies: Sequence[str], n: int = 3) -> float:
    """Share of distinct word n-grams over all replies together; 1.0 when there are too few words to tell."""
    grams: list[tuple[str, ...]] = []
    for reply in replies:
        words = re.findall(r"\w+", reply.lower())
        grams += [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    return len(set(grams)) / len(grams) if grams else 1.0


def collapse(model: Any, chat: ChatFormat, prompts: Sequence[str], dialogue: Sequence[str], pause: Pause) -> Collapse:
    """Greedy answers to open prompts, and one dialogue whose context is the model's own replies.

    Repetition is counted over replies of more than three words, since short thanks may well be the same.
    """
    made = generate(model, [chat.question(p) for p in prompts], chat.end_of_turn, OPEN_TOKENS, pause=pause)
    messages: list[Message] = []
    turns: list[Generated] = []
    for line in dialogue:
        messages.append({"role": "user", "content": line})
        [turn] = generate(model, [chat.prompt(messages)], chat.end_of_turn, OPEN_TOKENS, pause=pause)
        turns.append(turn)
        messages.append({"role": "assistant", "content": chat.decode(turn.ids)})
    everything = [*made, *turns]
    replies = [chat.decode(g.ids) for g in everything]
    longer = [r.lower() for r in replies if len(r.split()) > 3]
    return Collapse(
        distinct3=distinct_ngrams(replies),
        repeated_share=1 - len(set(longer)) / len(longer) if longer else 0.0,
        questions_per_reply=sum(r.count("?") for r in replies) / len(replies),
        mean_words=sum(len(r.split()) for r in replies) / len(replies),
        end_of_turn_rate=sum(g.ended for g in everything) / len(everything),
        entropy=sum(g.entropy for g in everything) / len(everything),
    )
