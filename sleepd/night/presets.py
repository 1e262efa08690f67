"""The two training presets, resolved against the configuration and the size of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

MLP = ("gate_proj", "up_proj", "down_proj")
ATTENTION = ("q_proj", "v_proj")


@dataclass(frozen=True)
class FitSettings:
    """How one night trains. Rates are per optimiser step, ``kl_weight`` multiplies nats.

    A step holds ``batch_size`` taught items and ``rehearsal_batch`` rehearsed ones, ``contrast_batch`` of them contrasts.
    A night of few facts takes at least ``min_steps`` steps. ``final_share`` of all steps are rehearsal only.
    """

    preset: str
    rank: int
    alpha: int
    dropout: float
    target_modules: tuple[str, ...]
    learning_rate: float
    epochs: int
    batch_size: int
    kl_weight: float
    rehearsal: bool
    choose_scale: bool
    constant_rate: bool
    max_norm_ratio: float
    rehearsal_batch: int = 0
    contrast_batch: int = 0
    min_steps: int = 0
    max_tokens: int = 512
    warmup_share: float = 0.1
    final_share: float = 0.15
    clip: float = 1.0


def default_rate(parameters: int) -> float:
    """The starting learning rate by model size: 3e-4 at 0.5 B, 1e-4 from 3 B; tiny models take more."""
    if parameters < 50_000_000:
        return 2e-3
    return 3e-4 if parameters < 2_000_000_000 else 1e-4


def settings(training: Mapping[str, Any], gate: Mapping[str, Any], parameters: int) -> FitSettings:
    """The preset with every key that the configuration sets applied over it."""
    if training["preset"] == "seed":
        chosen = FitSettings(
            preset="seed",
            rank=4,
            alpha=8,
            dropout=0.05,
            target_modules=ATTENTION,
            learning_rate=1e-5,
            epochs=3,
            batch_size=1,
            kl_weight=0.0,
            rehearsal=False,
            choose_scale=False,
            constant_rate=True,
            max_norm_ratio=1.0,
        )
    else:
        chosen = FitSettings(
            preset="verified",
            rank=16,
            alpha=32,
            dropout=0.0,
            target_modules=MLP,
            learning_rate=default_rate(parameters),
            epochs=12,
            batch_size=16,
            kl_weight=3.0,
            rehearsal=True,
            choose_scale=True,
            constant_rate=False,
            max_norm_ratio=0.98 * float(gate["max_norm_ratio"]),  # a margin for rounding: the gate refuses what is over its limit
            rehearsal_batch=28,
            contrast_batch=12,
            min_steps=250,
        )
    own: dict[str, Any] = {
        key: training[key] for key in ("rank", "alpha", "learning_rate", "epochs", "batch_size") if training.get(key) is not None
    }
    if "epochs" in own:
        own["min_steps"] = 0  # who names the epochs gets them
    if training.get("target_modules"):
        own["target_modules"] = tuple(training["target_modules"])
    return replace(chosen, **own)
