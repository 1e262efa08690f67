"""Trains the adapter: taught items with cross-entropy, rehearsed ones with KL to the base, step by step.

What a step holds follows from the seed and the number of the step alone, so that a night that was stopped at any
step goes on from its checkpoint with the same result.
"""

from __future__ import annotations

import itertools
import json
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Generic, TypeVar

import torch
from safetensors.torch import load_file, save_file

from sleepd.durable import publish_dir, remove_dir, write_json
from sleepd.night import lora
from sleepd.night.items import Item
from sleepd.night.losses import answer_shares, each_entropy, packed_hidden_states
from sleepd.night.mining import Miner
from sleepd.night.packing import Packed, pack
from sleepd.night.positions import learned
from sleepd.night.precision import float32_attention, products
from sleepd.night.presets import FitSettings
from sleepd.night.progress import Reporter, StopRequested
from sleepd.night.rehearsal import Rehearsed, to_base

T = TypeVar("T")
BEHAVIOUR_EPOCHS = 3  # whole conversations are imitated a few times only: more would be parroting
MINING_AT = (0.3, 0.6)  # of the steps: when it is looked for what needs more of the rest
LEAST_OLD, MOST_OLD = 1 / 2, 2 / 3  # of a batch, once there are earlier items
LOOKED_AT = 2048  # contrasts a look, and items of the pool: all of them would take as long as many steps


@dataclass
class FitState:
    """What a checkpoint holds besides tensors. ``losses``: the cross-entropy of every step so far, nats a token.

    As they were when last looked at, and as indices: ``hard``, the contrasts farthest from the base, ``strayed``, the
    rehearsed items farthest from it, ``fading``, the least likely wordings of earlier cards.
    """

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    losses: list[float] = field(default_factory=list)
    hard: list[int] = field(default_factory=list)
    strayed: list[int] = field(default_factory=list)
    fading: list[int] = field(default_factory=list)


@dataclass(frozen=True)
class FitResult:
    """``epoch_losses``: mean cross-entropy of each epoch, nats a token."""

    epochs: int
    steps: int
    tokens: int
    seconds: float
    epoch_losses: tuple[float, ...]


@dataclass(frozen=True)
class Material:
    """What is trained: ``cards`` wordings of tonight's cards, ``replay`` of earlier ones, ``behaviour``, ``rehearsal``.

    ``contrast`` is held to the base like rehearsal: what tonight's cards say, asked about somebody else.
    ``earlier_contrast``: the same for the cards of earlier nights.
    """

    cards: tuple[Item, ...]
    replay: tuple[Item, ...]
    behaviour: tuple[Item, ...]
    rehearsal: tuple[Rehearsed, ...]
    contrast: tuple[Rehearsed, ...]
    earlier_contrast: tuple[Rehearsed, ...] = ()

    @property
    def contrasts(self) -> tuple[Rehearsed, ...]:
        """All of them."""
        return self.contrast + self.earlier_contrast


class Stream(Generic[T]):
    """Endless draws from ``items``: pass after pass, each shuffled anew. Position ``n`` always holds the same one."""

    def __init__(self, items: Sequence[T], seed: str) -> None:
        self._items, self._seed = items, seed
        self._order: dict[int, list[int]] = {}

    def take(self, start: int, count: int) -> list[T]:
        size = len(self._items)
        if not size:
            return []
        return [self._items[self._pass(n // size)[n % size]] for n in range(start, start + count)]

    def _pass(self, number: int) -> list[int]:
        if number not in self._order:
            order = list(range(len(self._items)))
            random.Random(f"{self._seed}-{number}").shuffle(order)
            self._order = {k: v for k, v in self._order.items() if k >= number - 1} | {number: order}
        return self._order[number]


class Fit:
    """One night's training on ``model`` (with its adapter attached)."""

    def __init__(self, model: Any, material: Material, fit: FitSettings, seed: int, pad: int, reporter: Reporter, checkpoint: Path) -> None:
        self.model, self.material, self.fit, self.pad = model, material, fit, pad
        self.reporter, self.checkpoint = reporter, checkpoint
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=fit.learning_rate, weight_decay=0.0)
        self.device = self.parameters[0].device
        self.state = FitState()
        self.epochs, self.steps = self._plan()
        self.old_a_step = self._old_a_step()
        self.new_a_step = fit.batch_size - self.old_a_step if material.cards else 0
        self.seed = seed
        self.mining = {round(share * self.steps) for share in MINING_AT}
        self.new = Stream(material.cards, f"{seed}-new")
        self.old = Stream(material.replay, f"{seed}-old")
        self.behaviour = Stream(material.behaviour, f"{seed}-behaviour")
        self.contrast = Stream(material.contrast, f"{seed}-contrast")
        self.earlier_contrast = Stream(material.earlier_contrast, f"{seed}-earlier-contrast")
        self.pool = Stream(material.rehearsal, f"{seed}-rehearsal")
        self.every_contrast = material.contrasts
        self._draw_from_mined()

    def _plan(self) -> tuple[int, int]:
        """Epochs and steps, as if half of a batch were tonight's items, be it more or less: a night's cost stays flat."""
        fit, cards = self.fit, len(self.material.cards)
        if not cards:
            epochs = min(fit.epochs, BEHAVIOUR_EPOCHS)
            least = fit.min_steps if self.material.contrast else 1  # a night may only have something to take back
            return epochs, max(least, math.ceil(epochs * len(self.material.behaviour) / fit.batch_size))
        return fit.epochs, max(1, fit.min_steps, math.ceil(fit.epochs * cards / (fit.batch_size - fit.batch_size // 2)))

    def _old_a_step(self) -> int:
        """Earlier items in a batch: half of it, and up to two thirds when they outnumber tonight's: with less, some are forgotten."""
        old, new = len(self.material.replay), len(self.material.cards)
        return int(self.fit.batch_size * min(MOST_OLD, max(LEAST_OLD, old / (old + new)))) if old else 0

    def _taught(self, step: int) -> list[Item]:
        """The items of one step: new cards, earlier ones, and conversations spread evenly over the night."""
        conversations = min(self.epochs, BEHAVIOUR_EPOCHS) * len(self.material.behaviour)
        first, end = (conversations * s // self.steps for s in (step, step + 1))
        fading = self.old_a_step // 2 if self.state.fading else 0
        return [
            *self.new.take(step * self.new_a_step, self.new_a_step),
            *self.old.take(step * self.old_a_step, self.old_a_step - fading),
            *(self.material.replay[i] for i in self.fading.take(step * fading, fading)),
            *self.behaviour.take(first, end - first),
        ]

    def _rehearsed(self, step: int) -> list[Rehearsed]:
        if not self.fit.rehearsal:
            return []
        size = self.fit.contrast_batch
        hard = size // 2 if self.state.hard else 0
        earlier = (size - hard) // 2 if self.material.earlier_contrast else 0
        new = size - hard - earlier if self.material.contrast else 0
        contrasts = [
            *self.contrast.take(step * size, new),
            *self.earlier_contrast.take(step * size, earlier),
            *(self.every_contrast[i] for i in self.hard.take(step * hard, hard)),
        ]
        weighed = [replace(r, weight=self.fit.contrast_weight, first_weight=self.fit.first_weight) for r in contrasts]
        strayed = self.fit.rehearsal_batch // 2 if self.state.strayed else 0
        return [
            *weighed,
            *self.pool.take(step * self.fit.rehearsal_batch, self.fit.rehearsal_batch - strayed),
            *(self.material.rehearsal[i] for i in self.strayed.take(step * strayed, strayed)),
        ]

    def _mine(self) -> None:
        """Look for what the next steps are worth most to."""
        self.model.eval()
        miner = Miner(self.model, self.fit, self.pad, self.device, self.reporter.checkpoint)
        if self.fit.rehearsal:
            self.state.hard = miner.strayed(self.every_contrast, self._some(self.every_contrast))
            self.state.strayed = miner.strayed(self.material.rehearsal, self._some(self.material.rehearsal))
        self.state.fading = miner.fading(self.material.replay)
        self._draw_from_mined()
        self.model.train()

    def _some(self, items: Sequence[Rehearsed]) -> list[int]:
        """Which of the items are looked at, others at every look."""
        return random.Random(f"{self.seed}-look-{self.state.step}").sample(range(len(items)), min(len(items), LOOKED_AT))

    def _draw_from_mined(self) -> None:
        """What the state names is drawn from until it is looked for again."""
        self.hard = Stream(self.state.hard, f"{self.seed}-hard")
        self.strayed = Stream(self.state.strayed, f"{self.seed}-strayed")
        self.fading = Stream(self.state.fading, f"{self.seed}-fading")

    def run(self) -> FitResult:
        """Train to the end. Raises StopRequested after writing a checkpoint."""
        self._resume()
        started = time.monotonic() - self.state.seconds
        self.model.train()
        try:
            with float32_attention(self.model, self.fit.mixed_precision):
                self._train()
        except StopRequested:
            self.state.seconds = time.monotonic() - started
            self.save_checkpoint()
            raise
        self.state.seconds = time.monotonic() - started
        return FitResult(self.epochs, self.state.step, self.state.tokens, self.state.seconds, self._epoch_losses())

    def _train(self) -> None:
        while self.state.step < self.steps:
            self.reporter.checkpoint()
            if self.state.step in self.mining:
                self._mine()
            loss = self._step(self._taught(self.state.step), self._rehearsed(self.state.step))
            self.state.losses.append(loss)
            self.state.step += 1
            self.reporter.step(self.state.step, self.steps, loss)

    def _epoch_losses(self) -> tuple[float, ...]:
        bounds = [self.steps * epoch // self.epochs for epoch in range(self.epochs + 1)]
        parts = [self.state.losses[a:b] for a, b in itertools.pairwise(bounds)]
        return tuple(sum(part) / len(part) for part in parts if part)

    def _step(self, taught: Sequence[Item], rehearsed: Sequence[Rehearsed]) -> float:
        """One optimiser step; returns the cross-entropy of ``taught`` (0 without any)."""
        for parameters in self.optimizer.param_groups:
            parameters["lr"] = self._rate()
        value = 0.0
        positions = sum(r.item.answer_tokens for r in rehearsed)
        for group in pack([*taught, *(r.item for r in rehearsed)], self.pad, self.fit.forward_tokens):
            value += self._learn(group, taught, rehearsed, positions)
            self.state.tokens += group.tokens
        torch.nn.utils.clip_grad_norm_(self.parameters, self.fit.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        lora.cap_norms(self.model, self.fit.max_norm_ratio)
        return value

    def _learn(self, group: Packed, taught: Sequence[Item], rehearsed: Sequence[Rehearsed], positions: int) -> float:
        """Backpropagate this group's share of the step's loss: a mean over items plus a mean over rehearsed tokens.

        Returns its share of the cross-entropy.
        """
        with products(self.fit.mixed_precision):
            hidden = packed_hidden_states(self.model, group, self.device)
        states = hidden[group.rows.to(self.device), group.columns.to(self.device)]
        selected = states.detach().requires_grad_()
        is_taught = torch.tensor([index < len(taught) for index in group.order])[group.owner]
        value = 0.0
        if bool(is_taught.any()):
            weights = torch.tensor([taught[i].weight if i < len(taught) else 0.0 for i in group.order])
            # the mean is over all items of the step, not of the group
            shares = answer_shares(group.owner[is_taught], weights, self.fit.first_weight, len(weights) / len(taught))
            value = learned(self.model, selected, is_taught.nonzero()[:, 0], each_entropy(group.labels[is_taught]), shares)
        kept = [rehearsed[i - len(taught)] for i in group.order if i >= len(taught)]
        if kept:
            shares = torch.ones(()) / positions * self.fit.kl_weight * torch.cat([r.token_weights for r in kept])
            learned(self.model, selected, (~is_taught).nonzero()[:, 0], to_base(kept), shares)
        states.backward(selected.grad)
        return value

    def _rate(self) -> float:
        """Linear warm-up, then a cosine down to a twentieth; the seed preset keeps its constant rate."""
        if self.fit.constant_rate:
            return self.fit.learning_rate
        warm = min(1.0, (self.state.step + 1) / max(1.0, self.fit.warmup_share * self.steps))
        return self.fit.learning_rate * warm * max(0.05, 0.5 * (1 + math.cos(math.pi * self.state.step / self.steps)))

    def save_checkpoint(self) -> None:
        """Publish adapter, optimiser and state as one directory, replacing the last one."""
        staging = self.checkpoint.with_name(".checkpoint-staging")
        remove_dir(staging)
        staging.mkdir(parents=True)
        save_file(lora.snapshot(self.model), str(staging / "adapter.safetensors"))
        torch.save(self.optimizer.state_dict(), staging / "optimizer.pt")
        write_json(staging / "state.json", vars(self.state))
        remove_dir(self.checkpoint)
        publish_dir(staging, self.checkpoint)

    def _resume(self) -> None:
        """Continue from a checkpoint of this job, if it left one."""
        if not (self.checkpoint / "state.json").exists():
            return
        self.state = FitState(**json.loads((self.checkpoint / "state.json").read_text()))
        self._draw_from_mined()
        lora.restore(self.model, load_file(str(self.checkpoint / "adapter.safetensors")))
        self.optimizer.load_state_dict(torch.load(self.checkpoint / "optimizer.pt", weights_only=True))
