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
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging as transformers_logging

from sleepd.base_model import identify
from sleepd.errors import BadJobError
from sleepd.night.chat import ChatFormat, chat_format
from sleepd.night.job import Job


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
    """Load the pinned base model; BadJobError when another model lies at its path."""
    found = identify(job.model_path, job.cache_dir / "base_models.json")
    if found.sha256 != job.base_sha256:
        raise BadJobError(
            f"the model in {job.model_path} changed: its hash is {found.sha256[:12]}, the job was made for {job.base_sha256[:12]}",
            "restore the model, or accept the new one with: sleepd activate base",
        )
    if job.threads:
        torch.set_num_threads(job.threads)
    device = pick_device(job.device)
    tokenizer = AutoTokenizer.from_pretrained(job.model_path)
    chat = chat_format(tokenizer)
    model: Any = AutoModelForCausalLM.from_pretrained(job.model_path, dtype=pick_dtype(job.dtype, device, found.bytes))
    model.to(device)
    model.requires_grad_(False)
    model.eval()
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else chat.end_of_turn
    return Base(model, chat, device, sum(p.numel() for p in model.parameters()), pad)


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
