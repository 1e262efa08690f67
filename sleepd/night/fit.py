"""Trains the adapter: new items with cross-entropy, rehearsal items with KL to the base, step by step.

Reads from top to bottom: plan, loop over epochs and steps, end with rehearsal.
Can stop at any step and go on later from its checkpoint with the same result.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

from sleepd.durable import publish_dir, remove_dir, write_json
from sleepd.night import lora
from sleepd.night.items import Item, collate
from sleepd.night.losses import answer_loss, hidden_states, kl_to_base, logits_at
from sleepd.night.presets import FitSettings
from sleepd.night.progress import Reporter, StopRequested
from sleepd.night.rehearsal import Rehearsed, collate_rehearsed

BEHAVIOUR_EPOCHS = 3


@dataclass
class FitState:
    """What a checkpoint holds besides tensors. ``done``: batches of the unfinished epoch (or final phase).

    ``taught_steps``: steps before the final phase, 0 until then.
    """

    step: int = 0
    epoch: int = 0
    done: int = 0
    taught_steps: int = 0
    tokens: int = 0
    seconds: float = 0.0
    epoch_losses: list[float] = field(default_factory=list)


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

    ``contrast`` is held to the base like rehearsal: the same relation asked about somebody else.
    """

    cards: tuple[Item, ...]
    replay: tuple[Item, ...]
    behaviour: tuple[Item, ...]
    rehearsal: tuple[Rehearsed, ...]
    contrast: tuple[Rehearsed, ...]


class Fit:
    """One night's training on ``model`` (with its adapter attached)."""

    def __init__(self, model: Any, material: Material, fit: FitSettings, seed: int, pad: int, reporter: Reporter, checkpoint: Path) -> None:
        self.model, self.material, self.fit, self.seed, self.pad = model, material, fit, seed, pad
        self.reporter, self.checkpoint = reporter, checkpoint
        self.parameters = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=fit.learning_rate, weight_decay=0.0)
        self.device = self.parameters[0].device
        self.state = FitState()
        self.epochs = self._epochs()
        self.planned = max(1, sum(math.ceil(len(self._items_of(epoch)) / fit.batch_size) for epoch in range(self.epochs)))
        self.final = self._final_steps(self.planned)

    def _epochs(self) -> int:
        """The configured number; a night of few facts takes more, so that it has ``min_steps`` steps to learn them."""
        facts = len(self.material.cards) + self._replayed()
        if not facts:
            return min(self.fit.epochs, BEHAVIOUR_EPOCHS)
        return max(self.fit.epochs, math.ceil(self.fit.min_steps / math.ceil(facts / self.fit.batch_size)))

    def _replayed(self) -> int:
        """Earlier items an epoch: as many as tonight's, so that a night's cost stays flat."""
        return min(len(self.material.replay), max(len(self.material.cards), self.fit.batch_size))

    def _items_of(self, epoch: int) -> list[Item]:
        """One epoch's items, shuffled. Whole conversations are imitated a few times only: more would be parroting."""
        rng = random.Random(f"{self.seed}-{epoch}")
        items = list(self.material.cards)
        items += rng.sample(self.material.replay, self._replayed())
        items += self.material.behaviour if epoch < BEHAVIOUR_EPOCHS else ()
        rng.shuffle(items)
        return items

    def run(self) -> FitResult:
        """Train to the end. Raises StopRequested after writing a checkpoint."""
        self._resume()
        started = time.monotonic() - self.state.seconds
        self.model.train()
        try:
            while self.state.taught_steps == 0 and self.state.epoch < self.epochs:
                self._epoch()
                self.state.epoch += 1
                self.state.done = 0
            self.state.taught_steps = self.state.taught_steps or self.state.step
            if self.fit.rehearsal:
                self._final_phase()
        except StopRequested:
            self.state.seconds = time.monotonic() - started
            self.save_checkpoint()
            raise
        self.state.seconds = time.monotonic() - started
        return FitResult(self.state.epoch, self.state.step, self.state.tokens, self.state.seconds, tuple(self.state.epoch_losses))

    def _epoch(self) -> None:
        """One pass, breadth first and shuffled; a resumed epoch goes on at its first batch that was not done.

        Every batch draws from a generator of its own, so that stopping and going on changes nothing.
        """
        pool = self._items_of(self.state.epoch)
        batches = [pool[start : start + self.fit.batch_size] for start in range(0, len(pool), self.fit.batch_size)]
        if len(self.state.epoch_losses) <= self.state.epoch:
            self.state.epoch_losses.append(0.0)
        for index in range(self.state.done, len(batches)):
            self.reporter.checkpoint()
            loss = self._step(batches[index], random.Random(f"{self.seed}-{self.state.epoch}-{index}"))
            self.state.done = index + 1
            self.state.epoch_losses[-1] += loss / len(batches)
            self.reporter.step(self.state.step, self.planned + self.final, loss)

    def _rehearsal_batch(self, rng: random.Random) -> list[Rehearsed]:
        contrast, pool = self.material.contrast, self.material.rehearsal
        chosen = rng.sample(contrast, min(len(contrast), self.fit.contrast_batch))
        return chosen + rng.sample(pool, min(len(pool), self.fit.rehearsal_batch - len(chosen)))

    def _step(self, items: Sequence[Item], rng: random.Random) -> float:
        """One optimiser step; returns the cross-entropy of ``items`` (0 without any)."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate()
        value = 0.0
        if items:
            batch = collate(items, self.pad)
            hidden = hidden_states(self.model, batch.ids.to(self.device), batch.mask.to(self.device))
            logits = logits_at(self.model, hidden, batch.rows, batch.columns)
            loss = answer_loss(logits, batch.labels, batch.rows, batch.row_weights)
            loss.backward()
            value = float(loss.detach())
            self.state.tokens += int(batch.mask.sum())
        if self.fit.rehearsal and self.material.rehearsal:
            rehearsed, top_ids, top_log_p = collate_rehearsed(self._rehearsal_batch(rng), self.pad)
            hidden = hidden_states(self.model, rehearsed.ids.to(self.device), rehearsed.mask.to(self.device))
            logits = logits_at(self.model, hidden, rehearsed.rows, rehearsed.columns)
            (self.fit.kl_weight * kl_to_base(logits, top_ids, top_log_p).mean()).backward()
            self.state.tokens += int(rehearsed.mask.sum())
        torch.nn.utils.clip_grad_norm_(self.parameters, self.fit.clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        lora.cap_norms(self.model, self.fit.max_norm_ratio)
        self.state.step += 1
        return value

    def _rate(self) -> float:
        """Linear warm-up, then a cosine down to a tenth; the seed preset keeps its constant rate."""
        if self.fit.constant_rate:
            return self.fit.learning_rate
        done = self.state.step / max(1, self.planned)
        warm = min(1.0, (self.state.step + 1) / max(1.0, self.fit.warmup_share * self.planned))
        return self.fit.learning_rate * warm * max(0.1, 0.5 * (1 + math.cos(math.pi * min(1.0, done))))

    def _final_steps(self, taught: int) -> int:
        share = self.fit.final_share if self.fit.rehearsal else 0.0
        return round(share / (1 - share) * taught)

    def _final_phase(self) -> None:
        """The last steps: rehearsal and earlier cards only, so that the night ends on what must stay."""
        steps = self._final_steps(self.state.taught_steps)
        replay = list(self.material.replay)
        for index in range(self.state.done, steps):
            self.reporter.checkpoint()
            rng = random.Random(f"{self.seed}-final-{index}")
            self._step(rng.sample(replay, min(len(replay), self.fit.batch_size)), rng)
            self.state.done = index + 1
            self.reporter.step(self.state.step, self.state.taught_steps + steps)

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
        lora.restore(self.model, load_file(str(self.checkpoint / "adapter.safetensors")))
        self.optimizer.load_state_dict(torch.load(self.checkpoint / "optimizer.pt", weights_only=True))
