"""Loads what a night stands on: the pinned base model with its chat format, and the texts it is measured on."""

from __future__ import annotations

import json
import os
import warnings
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from sleepd.base_model import identify
from sleepd.errors import BadJobError, ModelError
from sleepd.night import lora
from sleepd.night.chat import ChatFormat, chat_format
from sleepd.night.job import Job
from sleepd.night.presets import settings

_UNLOADABLE = (OSError, ValueError, KeyError, TypeError, AttributeError, ImportError, RuntimeError, SafetensorError, StrictDataclassError)
_WHOLE = "set model.path to a complete causal language model in Hugging Face format, or download it again"
_PROBE = "sleepd"


@dataclass(frozen=True)
class Base:
    """The loaded base with its chat format. ``model`` gains the adapter later; its own weights stay frozen."""

    model: Any
    chat: ChatFormat
    device: torch.device
    parameters: int
    pad: int


@dataclass(frozen=True)
class Texts:
    """What the candidate is measured on beside cards."""

    held_out: tuple[str, ...]
    open_prompts: tuple[str, ...]
    dialogue: tuple[str, ...]


def pick_device(wanted: str) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise BadJobError(
            "training.device is cuda, but torch sees no CUDA device", "set training.device to cpu or auto, or repair the driver"
        )
    return torch.device("cuda" if wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available()) else "cpu")


def pick_dtype(wanted: str, device: torch.device, model_bytes: int) -> torch.dtype:
    """bf16 where it is fast or where the model is large; fp32 for small models on a CPU."""
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]
    if device.type == "cuda":
        return torch.bfloat16
    return torch.bfloat16 if model_bytes > 400_000_000 else torch.float32


def load_base(job: Job) -> Base:
    """Load the pinned base model, read-only.

    Raises BadJobError when another model lies at its path, and ModelError when it cannot be loaded whole, has no chat
    format to rely on, or has nothing that the job's adapter could adapt: all of that before anything is computed.
    """
    found = identify(job.model_path, job.cache_dir / "base_models.json")
    if found.sha256 != job.base_sha256:
        raise BadJobError(
            f"the model in {job.model_path} changed: its hash is {found.sha256[:12]}, the job was made for {job.base_sha256[:12]}",
            "restore the model, or accept the new one with: sleepd activate base",
        )
    if job.threads:
        torch.set_num_threads(job.threads)
    device = pick_device(job.device)
    tokenizer, chat = _load_chat(job.model_path)
    model = _load_model(job.model_path, pick_dtype(job.dtype, device, found.bytes))
    parameters = sum(p.numel() for p in model.parameters())
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else chat.end_of_turn
    _check_fit(job, model, parameters, max(pad, chat.end_of_turn))
    model.to(device)
    model.requires_grad_(False)
    model.eval()
    return Base(model, chat, device, parameters, pad)


def _load_chat(path: Path) -> tuple[Any, ChatFormat]:
    """The tokenizer and its chat format."""
    try:
        AutoConfig.from_pretrained(path)  # a tokenizer's loading reads it too, and would be blamed
    except _UNLOADABLE as error:
        raise ModelError(f"{path / 'config.json'} is not usable: {_in_short(error)}", _WHOLE) from error
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(path)
    except _UNLOADABLE as error:
        raise ModelError(f"the tokenizer in {path} cannot be loaded: {_in_short(error)}", _WHOLE) from error
    # without its files transformers makes up an empty tokenizer rather than fail
    if tokenizer.decode(tokenizer(_PROBE, add_special_tokens=False)["input_ids"]).strip() != _PROBE:
        raise ModelError(f"{path} holds no tokenizer that can write what it reads", _WHOLE)
    try:
        return tokenizer, chat_format(tokenizer)
    except ModelError as error:
        raise ModelError(f"the model in {path}: {error.message}", error.remedy) from error


def _load_model(path: Path, dtype: torch.dtype) -> Any:
    """The model with every one of its weights: transformers would fill in missing ones at random."""
    loader: Any = AutoModelForCausalLM  # its types do not know output_loading_info
    try:
        model, report = loader.from_pretrained(path, dtype=dtype, output_loading_info=True)
    except _UNLOADABLE as error:
        if "memory" in str(error):
            raise  # nothing is wrong with the model
        raise ModelError(f"the model in {path} cannot be loaded: {_in_short(error)}", _WHOLE) from error
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"the model in {path} lacks {len(missing)} weights that its config.json speaks of, {missing[0]} the first", _WHOLE)
    return model


def _check_fit(job: Job, model: Any, parameters: int, highest_token: int) -> None:
    """Whether the night can work with this model; asked here, since it would be hours before training finds out."""
    kind, rows = type(model).__name__, model.get_input_embeddings().weight.shape[0]
    if not hasattr(model, "model"):
        raise ModelError(
            f"{job.model_path} is a {kind}, whose layers are not where sleepd looks for them (in a part called model)",
            "use a model that is built like Llama, Qwen, Mistral, Gemma or Phi",
        )
    if highest_token >= rows:
        raise ModelError(
            f"the tokenizer in {job.model_path} uses token {highest_token}, and the model knows {rows}",
            "take the tokenizer and the weights from the same model",
        )
    try:
        lora.present_targets(model, settings(job.training, job.gate, parameters).target_modules)
    except ModelError as error:
        raise ModelError(f"the model in {job.model_path}: {error.message}", error.remedy) from error


def _in_short(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__


def load_texts(job: Job) -> Texts:
    """Held-out text (one passage a line) and open prompts: the configured file, or the bundled ones."""
    data = files("sleepd.night") / "data"
    configured = str(job.training.get("heldout_text") or "")
    try:
        text = (
            Path(configured).expanduser().read_text(encoding="utf-8") if configured else (data / "heldout.txt").read_text(encoding="utf-8")
        )
    except (OSError, UnicodeDecodeError) as error:
        raise BadJobError(
            f"training.heldout_text {configured} cannot be read: {error}", "name a UTF-8 text file with one passage a line"
        ) from error
    prompts = json.loads((data / "open_prompts.json").read_text(encoding="utf-8"))
    held_out = tuple(line for line in text.splitlines() if line.strip())[:200]
    return Texts(held_out, tuple(prompts["prompts"]), tuple(prompts["dialogue"]))


def quiet_libraries() -> None:
    """No downloads, no progress bars, no warnings about parallel tokenizers or about the libraries' next versions."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    transformers_logging.disable_progress_bar()
    warnings.filterwarnings("ignore", category=FutureWarning, module="transformers|peft")
