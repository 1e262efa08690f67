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

    A step holds ``batch_size`` taught items (half of them or more of earlier nights, when there are any), ``contrast_batch``
    contrasts and ``rehearsal_batch`` items of the pool. A night of few facts takes at least ``min_steps`` steps.
    ``epochs``: passes over tonight's items if they fill half of each batch.
    ``forward_tokens``: tokens computed at once, which bounds memory and changes nothing else.
    ``first_weight``: what the first token of a taught answer or a contrast counts: with it a model decides whether it knows.
    ``upper_share`` of the layers are trained, from the top: the lower ones, which read names, are what leaks to other names.
    ``deep_epochs``: those of a deep cycle. Its batches hold no earlier items, so that an epoch is two passes.
    ``calibrated``: the rate is measured for the base model instead of taken from its size.
    ``mixed_precision``: products in bfloat16 over float32 weights, on a CPU that is faster so.
    ``replay``, ``variety``: switched off only by the laboratory, to measure what they are worth.
    """

    preset: str
    rank: int
    alpha: int
    dropout: float
    target_modules: tuple[str, ...]
    learning_rate: float
    epochs: int
    deep_epochs: int
    batch_size: int
    kl_weight: float
    rehearsal: bool
    choose_scale: bool
    constant_rate: bool
    max_norm_ratio: float
    rehearsal_batch: int = 0
    contrast_batch: int = 0
    contrast_weight: float = 1.0
    first_weight: float = 1.0
    upper_share: float = 1.0
    min_steps: int = 0
    max_tokens: int = 512
    warmup_share: float = 0.1
    clip: float = 1.0
    forward_tokens: int = 4096
    calibrated: bool = False
    mixed_precision: bool = False
    replay: bool = True
    variety: bool = True


# What the laboratory takes away, one at a time, to measure what it is worth. The configuration does not know these.
_ABLATIONS: dict[str, dict[str, Any]] = {
    "": {},
    "replay": {"replay": False},
    "kl": {"rehearsal": False},
    "variety": {"variety": False},
}


def default_rate(parameters: int) -> float:
    """The starting learning rate by model size: 3e-4 at 0.5 B, 1e-4 from 3 B; tiny models take more."""
    if parameters < 50_000_000:
        return 3e-3
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
            deep_epochs=3,
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
            rank=32,
            alpha=64,
            dropout=0.0,
            target_modules=MLP,
            learning_rate=default_rate(parameters),
            epochs=10,
            deep_epochs=7,
            batch_size=24,
            kl_weight=10.0,
            rehearsal=True,
            choose_scale=True,
            constant_rate=False,
            max_norm_ratio=0.98 * float(gate["max_norm_ratio"]),  # a margin for rounding: the gate refuses what is over its limit
            rehearsal_batch=14,
            contrast_batch=26,
            contrast_weight=0.3,
            upper_share=0.8,
            first_weight=4.0,
            min_steps=200,
            calibrated=training.get("learning_rate") is None,
            forward_tokens=4096 if parameters < 50_000_000 else 512,
        )
    own: dict[str, Any] = {
        key: training[key] for key in ("rank", "alpha", "learning_rate", "epochs", "batch_size") if training.get(key) is not None
    }
    if "epochs" in own:
        own |= {"min_steps": 0, "deep_epochs": own["epochs"]}  # who names the epochs gets them
    if training.get("target_modules"):
        own["target_modules"] = tuple(training["target_modules"])
    own |= _ABLATIONS[str(training.get("ablate") or "")]
    return replace(chosen, **own)
