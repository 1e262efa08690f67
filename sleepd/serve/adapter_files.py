"""Reads a LoRA adapter directory in PEFT's format, and accepts it only when it fits the base model exactly.

Reads only; the link is resolved once and every file then comes from the resolved directory.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from torch import Tensor

from sleepd.errors import StoreError
from sleepd.serve.lora import Layers, LoraWeights

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
MANIFEST = "manifest.json"

_TENSOR = re.compile(r"^(?:base_model\.model\.)?(?P<module>.+)\.lora_(?P<side>[AB])\.(?:default\.)?weight$")

# Options that change what is computed beyond "base + scaling * B A". Any of them set means another kind of adapter.
_REFUSED = (
    "use_dora",
    "use_qalora",
    "use_bdlora",
    "lora_bias",
    "modules_to_save",
    "trainable_token_indices",
    "target_parameters",
    "layer_replication",
    "alora_invocation_tokens",
    "arrow_config",
    "kasa_config",
    "monteclora_config",
    "megatron_config",
    "fan_in_fan_out",
)
_PLAIN_INITS = (None, True, False, "gaussian", "orthogonal", "eva")  # the others also change the base's weights


@dataclass(frozen=True)
class Adapter:
    """A validated adapter. ``id`` is the name of its directory, ``sha256`` that of its weights file as read."""

    id: str
    sha256: str
    layers: Layers


@dataclass(frozen=True)
class _Config:
    rank: int
    alpha: float
    root_scaling: bool
    rank_pattern: Mapping[str, int]
    alpha_pattern: Mapping[str, float]
    targets: tuple[str, ...] | None  # None: chosen by a pattern or by layer, so what is missing cannot be told


def resolve_active(adapters: Path) -> Path | None:
    """The directory that ``adapters/active`` points to; None when there is no link, which means the base model."""
    link = adapters / "active"
    if not link.is_symlink():
        if link.exists():
            raise StoreError(f"{link} is not a symbolic link", "let sleepd set it: sleepd activate N")
        return None
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError) as error:
        raise StoreError(
            f"{link} points to {link.readlink()}, which does not exist", "point it at a complete cycle: sleepd activate N"
        ) from error
    if not target.is_dir():
        raise StoreError(f"{link} points to {target}, which is not a directory", "point it at a complete cycle: sleepd activate N")
    return target


def read_adapter(directory: Path, shapes: Mapping[str, tuple[int, int]], base_sha256: str) -> Adapter:
    """Read and validate an adapter for a base model with these linear layers. Raises StoreError."""
    config = _config(directory, _document(directory / CONFIG))
    data = _bytes(directory / WEIGHTS)
    digest = hashlib.sha256(data).hexdigest()
    _check_manifest(directory, digest, base_sha256)
    try:
        tensors = load_tensors(data)
    except (SafetensorError, ValueError, KeyError) as error:
        raise StoreError(f"{directory / WEIGHTS} is cut short or is no safetensors file: {error}", _again(directory)) from error
    return Adapter(directory.name, digest, _layers(directory, config, tensors, shapes))


def _again(directory: Path) -> str:
    return f"roll back to a complete adapter, or publish {directory.name} again"


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise StoreError(f"{path} is missing", _again(path.parent)) from error
    except OSError as error:
        raise StoreError(f"cannot read {path}: {error.strerror or error}", f"give this user read access to {path.parent}") from error


def _document(path: Path) -> Mapping[str, Any]:
    try:
        document = json.loads(_bytes(path))
    except ValueError as error:
        raise StoreError(f"{path} is not JSON: {error}", _again(path.parent)) from error
    if not isinstance(document, dict):
        raise StoreError(f"{path} is not a JSON object", _again(path.parent))
    return document


def _check_manifest(directory: Path, digest: str, base_sha256: str) -> None:
    """What the manifest says must hold; an adapter without one (made elsewhere) is taken as it is."""
    path = directory / MANIFEST
    if not path.exists():
        return
    manifest = _document(path)
    recorded = _nested(manifest, "files", WEIGHTS, "sha256")
    if recorded is not None and recorded != digest:
        raise StoreError(f"{directory / WEIGHTS} has sha256 {digest[:12]}, its manifest says {recorded[:12]}", _again(directory))
    base = _nested(manifest, "base", "sha256")
    if base is not None and base != base_sha256:
        raise StoreError(
            f"{directory.name} was trained on base model {base[:12]}, but {base_sha256[:12]} is served",
            "set model.path to the model it was trained on, or activate an adapter of this one",
        )


def _nested(document: object, *keys: str) -> str | None:
    for key in keys:
        document = document.get(key) if isinstance(document, dict) else None
    return document if isinstance(document, str) else None


def _config(directory: Path, document: Mapping[str, Any]) -> _Config:
    where = directory / CONFIG
    if document.get("peft_type") != "LORA":
        raise StoreError(f"{where}: peft_type is {document.get('peft_type')!r}, only LORA is served", "train a plain LoRA adapter")
    for option in _REFUSED:
        if document.get(option):
            raise StoreError(f"{where}: {option} is {document[option]!r}, which is not plain LoRA", f"train without {option}")
    if document.get("bias", "none") not in ("none", None):
        raise StoreError(f"{where}: bias is {document['bias']!r}, only none is served", 'train with bias="none"')
    init = document.get("init_lora_weights")
    if init not in _PLAIN_INITS:
        raise StoreError(
            f"{where}: init_lora_weights is {init!r}, which changes the base model's weights", "convert it to plain LoRA when saving"
        )
    rank, alpha = document.get("r"), document.get("lora_alpha")
    if isinstance(rank, bool) or not isinstance(rank, int) or rank < 1:
        raise StoreError(f"{where}: r is {rank!r}, not a rank", _again(directory))
    if isinstance(alpha, bool) or not isinstance(alpha, int | float):
        raise StoreError(f"{where}: lora_alpha is {alpha!r}, not a number", _again(directory))
    targets = document.get("target_modules")
    listed = isinstance(targets, list) and all(isinstance(target, str) for target in targets)
    chosen = any(document.get(option) not in (None, [], "") for option in ("layers_to_transform", "layers_pattern", "exclude_modules"))
    return _Config(
        rank=rank,
        alpha=float(alpha),
        root_scaling=bool(document.get("use_rslora")),
        rank_pattern=document.get("rank_pattern") or {},
        alpha_pattern=document.get("alpha_pattern") or {},
        targets=tuple(targets) if isinstance(targets, list) and listed and not chosen else None,
    )


def _layers(directory: Path, config: _Config, tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, int]]) -> Layers:
    pairs: dict[str, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        match = _TENSOR.match(key)
        if match is None:
            raise StoreError(f"{directory / WEIGHTS}: {key} is no tensor of plain LoRA", "train a plain LoRA adapter of linear layers")
        pairs.setdefault(match["module"], {})[match["side"]] = tensor
    if not pairs:
        raise StoreError(f"{directory / WEIGHTS} holds no tensors", _again(directory))
    if config.targets is not None:
        _check_complete(directory, config.targets, pairs.keys(), shapes.keys())
    return {module: _weights(f"{directory.name}: {module}", module, config, pair, shapes) for module, pair in sorted(pairs.items())}


def _check_complete(directory: Path, targets: tuple[str, ...], found: Any, names: Any) -> None:
    wanted = {name for name in names if any(name == target or name.endswith(f".{target}") for target in targets)}
    if missing := sorted(wanted - set(found)):
        raise StoreError(f"{directory.name} is incomplete: no tensors for {missing[0]} and {len(missing) - 1} more", _again(directory))
    if extra := sorted(set(found) - wanted):
        raise StoreError(
            f"{directory.name} holds tensors for {extra[0]}, which its target_modules {list(targets)} do not name in this base model",
            "set model.path to the model it was trained on",
        )


def _weights(where: str, module: str, config: _Config, pair: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, int]]) -> LoraWeights:
    if module not in shapes:
        raise StoreError(f"{where} is no linear layer of the base model", "set model.path to the model it was trained on")
    if missing := {"A", "B"} - pair.keys():
        raise StoreError(f"{where} has no lora_{missing.pop()}", "publish the adapter again, whole")
    rank = int(_by_pattern(config.rank_pattern, module, config.rank))
    alpha = float(_by_pattern(config.alpha_pattern, module, config.alpha))
    out_features, in_features = shapes[module]
    for side, wanted in (("A", (rank, in_features)), ("B", (out_features, rank))):
        tensor = pair[side]
        if tuple(tensor.shape) != wanted:
            raise StoreError(
                f"{where}: lora_{side} has shape {tuple(tensor.shape)}, the base model and rank {rank} need {wanted}",
                "set model.path to the model it was trained on",
            )
        if not tensor.is_floating_point() or not bool(torch.isfinite(tensor).all()):
            raise StoreError(f"{where}: lora_{side} holds values that are not finite numbers", "roll back; that training diverged")
    scaling = alpha / rank**0.5 if config.root_scaling else alpha / rank
    return LoraWeights(pair["A"].to(torch.float32).contiguous(), pair["B"].to(torch.float32).contiguous(), scaling)


def _by_pattern(pattern: Mapping[str, float], module: str, default: float) -> float:
    """A per-module value; keys are matched as PEFT matches them: as the end of the module's name."""
    for key, value in pattern.items():
        if re.match(rf"(.*\.)?({key})$", module):
            return value
    return default
