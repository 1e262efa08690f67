"""The two training presets, resolved against the configuration and the size of the model."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

MLP = ("gate_proj", "up_proj", "down_proj")
ATTENTION = ("q_proj", "v_proj")


@dataclass(frozen=True)
class FitSettings:
    """How one night trains. Rates are per optimiser step, ``kl_weight`` multiplies nats."""

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
    leave_when_known: bool
    choose_scale: bool
    constant_rate: bool
    max_norm_ratio: float
    rehearsal_batch: int = 16
    contrast_batch: int = 4
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
        chosen = FitSettings("seed", 4, 8, 0.05, ATTENTION, 1e-5, 3, 1, 0.0, False, False, False, True, 1.0)
    else:
        limit = 0.98 * float(gate["max_norm_ratio"])  # a margin for rounding: the gate refuses what is over its limit
        chosen = FitSettings(
            "verified", 16, 32, 0.0, MLP, default_rate(parameters), 12, 16, 3.0, True, False, True, False, limit, 24, 8, 250
        )
    own = {key: training[key] for key in ("rank", "alpha", "learning_rate", "epochs", "batch_size") if training.get(key) is not None}
    if training.get("target_modules"):
        own["target_modules"] = tuple(training["target_modules"])
    return replace(chosen, **own)
