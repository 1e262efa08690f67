"""The recipes of other systems, with a training loop of their own: what they train, and how they go on the next night.

Each is the published procedure on the same base, facts and days, with its published number of passes unless the budget
of tokens ends it before. They have no gate: what a night made is what the next one goes on from.

- ``qa-fuse``: sleeping-llm (github.com/vbario/sleeping-llm, ``src/sleep/trainer.py``): one question and answer a fact, LoRA
  rank 16 and alpha 32, Adam, batches of one, ten iterations a fact and at least twenty, then fused into the model.
- ``seal-sft``: the inner loop of SEAL (arXiv 2506.10943, ``continual_self_edits``): fine-tuning on statements and questions
  that follow from what was told, LoRA rank 32 and alpha 64 on all linear layers, AdamW with a linear decay, rate 1e-3,
  batches of one, ten epochs, then merged.
- ``locft``: LocFT-BF (arXiv 2509.22072, github.com/ICT-STAR/LocFT): full fine-tuning of one down projection, Adam,
  breadth first in shuffled batches of up to 100, at most 25 epochs, over once an epoch's mean loss is under 0.01.

Published rates are for models of three to eight billion parameters, and a model of two million needs more: our own
default is twenty times higher for it. Recall of a first night's 20 facts, one seed a figure and not always the same one:
``qa-fuse`` .17 at the published 1e-4 and 1.00 at 2e-3; ``locft`` .07 at the published 5e-4 and .88 at 2e-3; both are given
2e-3. Rates above that were not tried for them, so neither is known to be at its best. ``seal-sft`` recalls 1.00 at its
own 1e-3; at 3e-3 the loss on unseen text more than doubled, so it keeps its own.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model

from sleepd.durable import publish_dir, remove_dir
from sleepd.errors import ModelError
from sleepd.lab.days import Day
from sleepd.lab.diary import Night
from sleepd.lab.measure import Examiner, Standing, load_model
from sleepd.lab.nights import peak_mb, reset_peak
from sleepd.lab.probes import Probes
from sleepd.night import wordings
from sleepd.night.chat import ChatFormat
from sleepd.night.items import Item, collate, make_item
from sleepd.night.losses import answer_loss, hidden_states, logits_at
from sleepd.records import Card

MAX_TOKENS = 512
Wordings = Mapping[str, Sequence[str]]  # card id -> questions that were brought for training


@dataclass(frozen=True)
class Method:
    """One published procedure. ``rank`` 0: the weights of one down projection are trained themselves.

    ``passes`` gives the number of epochs for a number of items. ``enough``: an epoch's mean loss that ends the training.
    """

    items: Callable[[Sequence[Card], ChatFormat, Wordings], list[Item]]
    rank: int
    alpha: int
    rate: float
    batch_size: int
    passes: Callable[[int], int]
    decays: bool
    enough: float = 0.0


def _questions(card: Card, brought: Wordings) -> list[str]:
    own = [w.question for w in wordings.forward(card.subject, card.relation, card.value, "train")]
    return list(brought.get(card.id, own))


def _asked(card: Card, question: str, chat: ChatFormat) -> Item | None:
    answer = wordings.answer(card.subject, card.relation, card.value)
    return make_item(chat, [{"role": "user", "content": question}], answer, card.id, weight=1.0, max_tokens=MAX_TOKENS)


def one_pair(cards: Sequence[Card], chat: ChatFormat, brought: Wordings) -> list[Item]:
    """One question and answer a fact."""
    return _whole(_asked(card, _questions(card, brought)[0], chat) for card in cards)


def implications(cards: Sequence[Card], chat: ChatFormat, brought: Wordings) -> list[Item]:
    """A statement as plain text, as it was said and as an answer, and three questions a fact."""
    items: list[Item | None] = []
    for card in cards:
        for text in dict.fromkeys((card.quote, wordings.answer(card.subject, card.relation, card.value))):
            ids = chat.answer(text)
            items.append(Item(card.id, tuple(ids), 1) if 1 < len(ids) <= MAX_TOKENS else None)
        items += [_asked(card, question, chat) for question in _questions(card, brought)[:3]]
    return _whole(items)


def all_wordings(cards: Sequence[Card], chat: ChatFormat, brought: Wordings) -> list[Item]:
    """Every trained wording of every fact."""
    return _whole(_asked(card, question, chat) for card in cards for question in _questions(card, brought))


def _whole(items: Any) -> list[Item]:
    return [item for item in items if item is not None]


METHODS: dict[str, Method] = {
    "qa-fuse": Method(one_pair, 16, 32, 2e-3, 1, lambda items: max(10, -(-20 // max(1, items))), decays=False),
    "seal-sft": Method(implications, 32, 64, 1e-3, 1, lambda _: 10, decays=True),
    "locft": Method(all_wordings, 0, 0, 2e-3, 100, lambda _: 25, decays=False, enough=0.01),
}


@dataclass(frozen=True)
class Spent:
    """What a training took. ``losses``: the mean of every epoch, nats a token."""

    tokens: int
    steps: int
    losses: tuple[float, ...]


class OtherNights:
    """Sleeps by another system's recipe. The model changes for good: every night goes on from what the last one made."""

    def __init__(self, name: str, model: Path, out: Path, seed: int, brought: Wordings, chat: ChatFormat, pad: int, tokens: int) -> None:
        self.method, self.out, self.seed, self.brought, self.chat, self.pad, self.tokens = (
            METHODS[name],
            out,
            seed,
            brought,
            chat,
            pad,
            tokens,
        )
        self.model = load_model(model)
        self.folder: Path | None = None

    def sleep(self, number: int, day: Day) -> Night:
        """One night: today's facts are trained, and the result replaces the model."""
        reset_peak()
        started = time.monotonic()
        cards = {card.id: card for _, verdict in day.rows for card in verdict.cards}
        items = self.method.items(list(cards.values()), self.chat, self.brought)
        trainable = adapt(self.model, self.method, self.seed * 1000 + number)
        spent = fit(trainable, items, self.method, self.seed * 1000 + number, self.pad, self.tokens)
        self.model = trainable.merge_and_unload() if self.method.rank else trainable
        self.model.requires_grad_(False)
        self.model.eval()
        seconds = time.monotonic() - started
        self._keep(number)
        return Night(number, "no gate" if items else "skipped", (), seconds, peak_mb(), spent.tokens)

    def _keep(self, number: int) -> None:
        """Write the model; the one before last is not needed any more, since the diary speaks of the last."""
        folder = self.out / f"night_{number:03d}"
        remove_dir(folder)
        staging = self.out / ".staging"
        remove_dir(staging)
        self.model.save_pretrained(str(staging), safe_serialization=True)
        publish_dir(staging, folder)
        remove_dir(self.out / f"night_{number - 2:03d}")
        self.folder = folder

    def examine(self, examiner: Examiner, asked: Sequence[Probes]) -> Standing:
        return examiner.examine_model(self.model, asked)

    def save(self) -> dict[str, Any]:
        return {"model": self.folder.name if self.folder else None}

    def restore(self, saved: Mapping[str, Any], lived: Sequence[Day]) -> None:
        if saved["model"]:
            self.folder = self.out / saved["model"]
            self.model = load_model(self.folder)


def adapt(model: Any, method: Method, seed: int) -> Any:
    """The model with what the method trains made trainable: LoRA on every linear layer, or one down projection."""
    torch.manual_seed(seed)
    if method.rank:
        config = LoraConfig(r=method.rank, lora_alpha=method.alpha, lora_dropout=0.0, target_modules="all-linear", task_type="CAUSAL_LM")
        return get_peft_model(model, config)
    found = [(name, p) for name, p in model.named_parameters() if name.endswith("down_proj.weight")]
    if not found:
        raise ModelError("no module of the model is called down_proj", "leave locft out of --recipes for this model")
    found[len(found) // 2][1].requires_grad_(True)
    return model


def fit(model: Any, items: Sequence[Item], method: Method, seed: int, pad: int, tokens: int) -> Spent:
    """Train until the method's own end, or until the next step would take more than ``tokens`` in all."""
    parameters = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=method.rate, weight_decay=0.0)
    epochs = method.passes(len(items)) if items else 0
    planned = epochs * -(-len(items) // method.batch_size)
    spent, steps = 0, 0
    losses: list[float] = []
    model.train()
    for epoch in range(epochs):
        order = random.Random(f"{seed}-{epoch}").sample(list(items), len(items))
        batches = [order[start : start + method.batch_size] for start in range(0, len(order), method.batch_size)]
        seen = []
        for chosen in batches:
            batch = collate(chosen, pad)
            if spent + int(batch.mask.sum()) > tokens:
                return Spent(spent, steps, tuple(losses))
            if method.decays:
                for group in optimizer.param_groups:
                    group["lr"] = method.rate * (1 - steps / planned)
            logits = logits_at(model, hidden_states(model, batch.ids, batch.mask), batch.rows, batch.columns)
            loss = answer_loss(logits, batch.labels, batch.rows, batch.row_weights)
            seen.append(float(loss.detach()))
            spent += int(batch.mask.sum())
            if seen[-1] >= method.enough:
                loss.backward()
                optimizer.step()
                optimizer.zero_grad(set_to_none=True)
                steps += 1
        losses.append(sum(seen) / len(seen))
        if losses[-1] < method.enough:
            break
    return Spent(spent, steps, tuple(losses))
