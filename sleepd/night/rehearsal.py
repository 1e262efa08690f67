"""The rehearsal pool: prompts that the base model makes up itself, with what it would answer.

Made once per base model and cached; the night is never told what the base knows. Users' questions are
sampled from the base by letting it write the user's side of a chat, the idea of self-synthesis
(Magpie, arXiv 2406.08464); its answers and their top probabilities are what the student is held to.
A part of the pool is plain text: the base continues ordinary sentence openings, and the student is
held to it at every token, so that more than chat stays as it was.

A base that hardly ever closes a user's turn makes up no prompts. It gets sentence openings for prompts as well, and is
held to the first tokens of what it says to them: a smaller pool and poorer evidence, but never an empty one.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib.resources import files
from typing import Any

import torch
from torch import Tensor

from sleepd.night.chat import ChatFormat
from sleepd.night.generate import generate
from sleepd.night.items import Batch, Item, collate, make_item
from sleepd.night.losses import Each, each_divergence, hidden_states, top_of_base
from sleepd.night.positions import measured

TOP = 32
PROMPT_TOKENS = 48
ANSWER_TOKENS = 64
TEXT_TOKENS = 48
TEXT_SHARE = 0.2
CHOSEN_TIMES = 12
NO_LIMIT = 2**31  # tokens
_BATCH = 64
_LEAST_A_DRAW = 4  # prompts of 128 tries: a base that makes up fewer hardly ever ends a user's turn
_FEW = 16  # so many prompts of its own are no pool

Pause = Callable[[], None]
Told = Callable[[float], None]  # called now and then with the share that is done, 0 to 1


@dataclass(frozen=True)
class Rehearsed:
    """One item with the base's top words at every predicted position (positions, k). Plain text has no ``prompt``."""

    item: Item
    prompt: str
    answer: str
    top_ids: Tensor
    top_log_p: Tensor
    weight: float = 1.0
    first_weight: float = 1.0

    @property
    def token_weights(self) -> Tensor:
        """What each predicted position counts: ``weight``, the first ``first_weight`` times that."""
        weights = torch.full((self.item.answer_tokens,), self.weight)
        weights[:1] *= self.first_weight
        return weights


@dataclass(frozen=True)
class Pool:
    """``train`` holds the student to the base; ``held_out`` is never trained and measures whether it stayed."""

    train: tuple[Rehearsed, ...]
    held_out: tuple[Rehearsed, ...]


def rehearse(
    model: Any, chat: ChatFormat, pairs: Sequence[tuple[str, str]], max_tokens: int, pause: Pause = lambda: None
) -> list[Rehearsed]:
    """Attach the base's probabilities to prompts and answers. ``model`` must be the base, without an adapter."""
    made = [
        (p, a, make_item(chat, [{"role": "user", "content": p}], a, f"rehearsal:{i}", weight=1.0, max_tokens=max_tokens))
        for i, (p, a) in enumerate(pairs)
    ]
    return _with_top(model, [(p, a, item) for p, a, item in made if item is not None], pause)


def _with_top(model: Any, rows: list[tuple[str, str, Item]], pause: Pause) -> list[Rehearsed]:
    """The base's top words at every predicted position of each item."""
    rows = sorted(rows, key=lambda row: len(row[2].ids))
    device = next(model.parameters()).device
    result = []
    for start in range(0, len(rows), _BATCH):
        pause()
        group = rows[start : start + _BATCH]
        batch = collate([item for _, _, item in group], 0)
        top_ids, top_log_p = top_of_base(model, batch.ids.to(device), batch.mask.to(device), batch.rows, batch.columns, TOP)
        counts = [item.answer_tokens for _, _, item in group]
        for (prompt, answer, item), ids, log_p in zip(group, top_ids.split(counts), top_log_p.split(counts), strict=True):
            result.append(Rehearsed(item, prompt, answer, ids.clone(), log_p.clone()))
    return result


def answered(
    model: Any, chat: ChatFormat, questions: Sequence[str], new_tokens: int, max_tokens: int = NO_LIMIT, pause: Pause = lambda: None
) -> list[Rehearsed]:
    """Many questions of one kind, most of which the base answers alike, with its greedy answers and their top words.

    It answers a few first; the most common of these answers is then proposed to all the others and kept where it
    is what the base would say word for word, which one forward pass tells. Only the rest is generated. A question that
    is answered with nothing, or too long for ``max_tokens``, is left out.
    """
    first, rest = list(questions[:_BATCH]), list(questions[_BATCH:])
    pairs = _said(model, chat, first, new_tokens, pause)
    agreed: list[Rehearsed] = []
    if rest:
        likely = Counter(answer for _, answer in pairs).most_common(1)[0][0]
        proposed = rehearse(model, chat, [(q, likely) for q in rest] if likely else [], max_tokens, pause)
        agreed = [r for r in proposed if bool((r.top_ids[:, 0] == torch.tensor(r.item.ids[r.item.start :])).all())]
        settled = {r.prompt for r in agreed}
        pairs += _said(model, chat, [q for q in rest if q not in settled], new_tokens, pause)
    return agreed + rehearse(model, chat, [(q, a) for q, a in pairs if a], max_tokens, pause)


def _said(model: Any, chat: ChatFormat, questions: Sequence[str], new_tokens: int, pause: Pause) -> list[tuple[str, str]]:
    """Each question with the base's greedy answer."""
    made = generate(model, [chat.question(q) for q in questions], chat.end_of_turn, new_tokens, pause=pause)
    return [(q, chat.decode(a.ids)) for q, a in zip(questions, made, strict=True)]


def self_made_prompts(model: Any, chat: ChatFormat, count: int, seed: int, pause: Pause, temperature: float = 1.0) -> list[str]:
    """Distinct user messages that the base writes; few or none when it hardly ever ends one."""
    generator = torch.Generator().manual_seed(seed)
    prefix = chat.tokenizer(chat.user_prefix, add_special_tokens=False)["input_ids"]
    found: dict[str, None] = {}
    for draw in range(8 * count // _BATCH + 8):  # a base that repeats itself ends with a smaller pool, not a hang
        drawn = generate(
            model,
            [prefix] * (2 * _BATCH),
            chat.end_of_turn,
            PROMPT_TOKENS,
            batch_size=2 * _BATCH,
            temperature=temperature,
            generator=generator,
            pause=pause,
        )
        for one in drawn:
            text = chat.decode(one.ids)
            if one.ended and len(text) > 3:
                found[text] = None
        if len(found) >= count or (draw and len(found) < _LEAST_A_DRAW * (draw + 1)):
            break
    return list(found)[:count]


def openings() -> list[str]:
    """Ordinary beginnings of sentences."""
    return list(json.loads((files("sleepd.night") / "data" / "openers.json").read_text(encoding="utf-8")))


def self_made_texts(model: Any, chat: ChatFormat, count: int, seed: int, pause: Pause) -> list[tuple[str, str, Item]]:
    """Plain text that the base writes after ordinary sentence openings, at temperature 1."""
    openers = openings()
    rng = random.Random(seed)
    prefixes = [chat.tokenizer(rng.choice(openers), add_special_tokens=False)["input_ids"] for _ in range(count)]
    generator = torch.Generator().manual_seed(seed)
    drawn = generate(
        model, prefixes, chat.end_of_turn, TEXT_TOKENS, batch_size=2 * _BATCH, temperature=1.0, generator=generator, pause=pause
    )
    made = []
    for index, (prefix, one) in enumerate(zip(prefixes, drawn, strict=True)):
        ids = (*prefix, *one.ids)
        if len(ids) > 8:
            made.append(("", chat.decode(ids), Item(f"text:{index}", ids, 1)))
    return made


def build(
    model: Any,
    chat: ChatFormat,
    count: int,
    seed: int,
    max_tokens: int,
    pause: Pause,
    told: Told = lambda done: None,
    *,
    temperature: float = 1.0,
) -> list[Rehearsed]:
    """A new pool: prompts by the base, greedy answers by the base, text by the base, its probabilities.

    ``temperature``: of the prompts. At 1 every kind comes up, with the names that the base would invent; what it knows by
    heart comes up far more often at a lower one.
    """
    texts = self_made_texts(model, chat, round(TEXT_SHARE * count), seed, pause)
    told(0.1)
    prompts = self_made_prompts(model, chat, count - len(texts), seed, pause, temperature)
    told(0.45)
    answers = generate(model, [chat.question(p) for p in prompts], chat.end_of_turn, ANSWER_TOKENS, batch_size=2 * _BATCH, pause=pause)
    told(0.75)
    pairs = [(p, chat.decode(a.ids)) for p, a in zip(prompts, answers, strict=True)]
    made = rehearse(model, chat, [(p, a) for p, a in pairs if a], max_tokens, pause)
    if len(made) < min(_FEW, count // 4):
        made += _with_top(model, unfinished(model, chat, openings()[:count], pause), pause)
    return made + _with_top(model, texts, pause)


def unfinished(model: Any, chat: ChatFormat, prompts: Sequence[str], pause: Pause) -> list[tuple[str, str, Item]]:
    """The first tokens of the base's greedy answers, whether they end, and mean anything, or not."""
    asked = [chat.question(prompt) for prompt in prompts]
    said = generate(model, asked, chat.end_of_turn, ANSWER_TOKENS, pause=pause)
    return [
        (prompt, chat.decode(answer.ids), Item(f"unfinished:{index}", (*question, *answer.ids), len(question)))
        for index, (prompt, question, answer) in enumerate(zip(prompts, asked, said, strict=True))
    ]


def with_questions(
    model: Any, chat: ChatFormat, pool: Pool, questions: Sequence[str], max_tokens: int, pause: Pause = lambda: None
) -> Pool:
    """The pool with some questions of the user's choice in it; what is rehearsed is the base's own answer to them.

    Each stands in the pool ``CHOSEN_TIMES``: a few dozen among thousands would hardly ever have their turn.
    """
    asked = list(dict.fromkeys(questions))
    pairs = [(q, a) for q, a in _said(model, chat, asked, ANSWER_TOKENS, pause) if a]
    return replace(pool, train=(*pool.train, *rehearse(model, chat, pairs, max_tokens, pause) * CHOSEN_TIMES))


def to_base(items: Sequence[Rehearsed]) -> Each:
    """How far a model is from the base at every predicted position of the items, in their order: KL(base || model) in nats."""
    return each_divergence(torch.cat([r.top_ids for r in items]).long(), torch.cat([r.top_log_p for r in items]))


def collate_rehearsed(items: Sequence[Rehearsed], pad: int) -> tuple[Batch, Tensor, Tensor]:
    """A batch with the base's top words, in the order of its positions."""
    return collate([r.item for r in items], pad), torch.cat([r.top_ids for r in items]).long(), torch.cat([r.top_log_p for r in items])


@torch.inference_mode()
def divergences(model: Any, items: Sequence[Rehearsed], pad: int, pause: Pause) -> list[float]:
    """KL(base || model) in nats a token over each item's answer, at the positions where the base's words are kept."""
    device = next(model.parameters()).device
    found: list[float] = []
    for start in range(0, len(items), 32):
        pause()
        group = items[start : start + 32]
        batch, top_ids, top_log_p = collate_rehearsed(group, pad)
        hidden = hidden_states(model, batch.ids.to(device), batch.mask.to(device))
        each = measured(model, hidden, batch.rows, batch.columns, each_divergence(top_ids, top_log_p))
        # in this order, or max() would hide what is not a number
        found += [max(float(part.mean()), 0.0) for part in each.split([r.item.answer_tokens for r in group])]
    return found
