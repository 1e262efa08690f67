"""The night's LoRA through peft: made, continued from the living one, measured, scaled and saved."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from torch import Tensor

from sleepd.errors import BadDataError, BadJobError, ModelError
from sleepd.night.presets import FitSettings

ADAPTER_FILE = "adapter_model.safetensors"
_LAYER = re.compile(r"\.(\d+)\.")


@dataclass(frozen=True)
class AdapterFacts:
    """What the gate must know of the weights. ``norm_ratio``: the largest ||BA|| / ||W|| of any module."""

    trainable_parameters: int
    norm_ratio: float
    finite: bool
    changed: bool
    scale: float


def attach(model: Any, fit: FitSettings, living: Path | None, seed: int) -> Any:
    """Wrap ``model``; with ``living``, continue from a copy of that adapter. Trainable parameters are fp32.

    Raises ModelError when no module matches, BadJobError when the living adapter does not fit.
    """
    torch.manual_seed(seed)
    targets = present_targets(model, fit.target_modules)
    config = LoraConfig(
        r=fit.rank,
        lora_alpha=fit.alpha,
        lora_dropout=fit.dropout,
        target_modules=targets,
        bias="none",
        task_type="CAUSAL_LM",
    )
    wrapped = get_peft_model(model, config)
    if living is not None:
        _load_into(wrapped, living, fit)
    _freeze_lower(wrapped, fit.upper_share)
    trainable = sum(p.numel() for p in wrapped.parameters() if p.requires_grad)
    if trainable == 0:
        raise BadDataError("the adapter has no trainable parameter", "check training.target_modules")
    return wrapped


def present_targets(model: Any, wanted: Sequence[str]) -> list[str]:
    """Those of ``wanted`` that some module of the model is called. Raises ModelError when there is none."""
    present = {name.rsplit(".", 1)[-1] for name, _ in model.named_modules()}
    targets = [name for name in wanted if name in present]
    if not targets:
        raise ModelError(
            f"no module of the model is called {', '.join(wanted)}",
            f"set training.target_modules; this model's linear layers are: {', '.join(sorted(_linear_names(model))) or 'none'}",
        )
    return targets


def _freeze_lower(wrapped: Any, upper_share: float) -> None:
    """Leave the adapter of the lower layers as it is; it stays in the file, as zeros, since not every server takes a part of the layers."""
    adapted = {name: int(found[1]) for name, _ in wrapped.named_parameters() if "lora_" in name and (found := _LAYER.search(name))}
    first = round((1 - upper_share) * (max(adapted.values(), default=-1) + 1))
    for name, parameter in wrapped.named_parameters():
        if adapted.get(name, first) < first:
            parameter.requires_grad_(False)


def _linear_names(model: Any) -> set[str]:
    return {name.rsplit(".", 1)[-1] for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)}


def _load_into(wrapped: Any, living: Path, fit: FitSettings) -> None:
    """Copy the living adapter's tensors; a different rank or target set cannot be continued."""
    config = json.loads((living / "adapter_config.json").read_text())
    if config.get("r") != fit.rank or config.get("lora_alpha") != fit.alpha:
        raise BadJobError(
            f"the living adapter has rank {config.get('r')} and alpha {config.get('lora_alpha')},"
            f" the configuration {fit.rank} and {fit.alpha}",
            "a changed rank needs a deep cycle: sleepd sleep --deep",
        )
    saved = load_file(str(living / ADAPTER_FILE))
    own = adapter_tensors(wrapped)
    if set(saved) != set(own) or any(saved[k].shape != own[k].shape for k in saved):
        raise BadJobError(
            "the living adapter adapts other modules than the configuration",
            "changed target modules need a deep cycle: sleepd sleep --deep",
        )
    with torch.no_grad():
        for key, tensor in own.items():
            tensor.copy_(saved[key])


def adapter_tensors(wrapped: Any) -> dict[str, Tensor]:
    """The LoRA tensors under the names of PEFT's own file format (live, not copies)."""
    return {
        name.replace(".default.weight", ".weight"): parameter.data
        for name, parameter in wrapped.named_parameters()
        if "lora_A" in name or "lora_B" in name
    }


def snapshot(wrapped: Any) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().clone() for name, tensor in adapter_tensors(wrapped).items()}


def restore(wrapped: Any, saved: dict[str, Tensor]) -> None:
    with torch.no_grad():
        for name, tensor in adapter_tensors(wrapped).items():
            tensor.copy_(saved[name])


def lora_layers(wrapped: Any) -> Iterator[tuple[str, Any]]:
    for name, module in wrapped.named_modules():
        if hasattr(module, "lora_A") and "default" in getattr(module, "lora_A", {}):
            yield name, module


@contextmanager
def scaled(wrapped: Any, factor: float) -> Iterator[None]:
    """Try a smaller adapter: the direction is kept, its size multiplied."""
    layers = [module for _, module in lora_layers(wrapped)]
    before = [module.scaling["default"] for module in layers]
    try:
        for module, scale in zip(layers, before, strict=True):
            module.scaling["default"] = scale * factor
        yield
    finally:
        for module, scale in zip(layers, before, strict=True):
            module.scaling["default"] = scale


def bake_scale(wrapped: Any, factor: float) -> None:
    """Make a chosen factor part of the weights, so that any server reads a plain LoRA."""
    with torch.no_grad():
        for _, module in lora_layers(wrapped):
            module.lora_B["default"].weight.mul_(factor)


@torch.no_grad()
def norm_ratio(module: Any) -> float:
    """||scaling * BA||_F / ||W||_F of one layer, without forming BA."""
    a = module.lora_A["default"].weight.float()
    b = module.lora_B["default"].weight.float()
    squared = torch.trace((b.T @ b) @ (a @ a.T)).clamp(min=0)
    base = module.get_base_layer().weight.float().norm()
    return float(module.scaling["default"] * squared.sqrt() / base)


@torch.no_grad()
def cap_norms(wrapped: Any, limit: float) -> None:
    """Shrink every layer whose update outgrew ``limit`` times its weight."""
    for _, module in lora_layers(wrapped):
        ratio = norm_ratio(module)
        if ratio > limit:
            module.lora_B["default"].weight.mul_(limit / ratio)


def facts(wrapped: Any, start: dict[str, Tensor], scale: float) -> AdapterFacts:
    """Measure the adapter against how it began tonight (``start``)."""
    tensors = adapter_tensors(wrapped)
    finite = all(bool(torch.isfinite(t).all()) for t in tensors.values())
    changed = any(not torch.equal(t.cpu(), start[name]) for name, t in tensors.items())
    ratio = max(norm_ratio(module) for _, module in lora_layers(wrapped))
    trainable = sum(p.numel() for p in wrapped.parameters() if p.requires_grad)
    return AdapterFacts(trainable, ratio if finite else float("inf"), finite, changed, scale)


def save(wrapped: Any, directory: Path, base_path: Path) -> None:
    """Write adapter_model.safetensors and adapter_config.json, and nothing else, into ``directory``."""
    directory.mkdir(parents=True, exist_ok=True)
    wrapped.peft_config["default"].base_model_name_or_path = str(base_path)
    wrapped.save_pretrained(str(directory), safe_serialization=True)
    for stray in directory.iterdir():
        if stray.name not in (ADAPTER_FILE, "adapter_config.json"):
            stray.unlink()
