"""Loads the base model and its tokenizer, read-only, and refuses what could not answer a chat."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import torch
from safetensors import SafetensorError
from torch import nn
from transformers import AutoModelForCausalLM, AutoTokenizer, GenerationConfig
from transformers.utils import logging as transformers_logging

from sleepd.base_model import identify
from sleepd.errors import ConfigError, ModelError, StoreError
from sleepd.records import BaseModel
from sleepd.serve.settings import ServeSettings
from sleepd.serve.values import Message, ModelInfo, RequestError, SamplingDefaults

_PROBE = "sleepd"
_SMALL_MODEL_BYTES = 400_000_000


class ChatText:
    """The model's tokenizer and chat template. Safe to use from several threads."""

    def __init__(self, tokenizer: Any) -> None:
        if not tokenizer.chat_template:
            raise ModelError(
                f"the tokenizer in {tokenizer.name_or_path} has no chat template",
                "serve an instruction-tuned model, or add chat_template.jinja to its directory",
            )
        self._tokenizer = tokenizer
        self._lock = threading.Lock()
        # without its files transformers makes up an empty tokenizer rather than fail
        if self.decode(self._ids(_PROBE)).strip() != _PROBE:
            raise ModelError(f"the tokenizer in {tokenizer.name_or_path} cannot write what it reads", "download the model again, whole")

    def encode(self, messages: Sequence[Message]) -> list[int]:
        turns = [{"role": message.role, "content": message.content} for message in messages]
        try:
            with self._lock:
                text = self._tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
                return self._ids(text)
        except jinja2.TemplateError as error:
            raise RequestError(
                f"the model's chat template refuses these messages: {error}",
                "send messages in the order and roles it knows",
                param="messages",
            ) from error

    def decode(self, ids: Sequence[int]) -> str:
        with self._lock:
            return str(self._tokenizer.decode(list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False))

    def end_of_turn(self) -> int | None:
        """The special token with which the template closes an answer; None when it closes it with plain text."""
        turns = [{"role": "user", "content": _PROBE}, {"role": "assistant", "content": _PROBE}]
        rendered = str(self._tokenizer.apply_chat_template(turns, tokenize=False))
        if _PROBE not in rendered:
            raise ModelError(
                "the model's chat template drops messages", "use a template that renders user and assistant messages as they are"
            )
        tail = self._ids(rendered[rendered.rindex(_PROBE) + len(_PROBE) :])
        special = set(self._tokenizer.all_special_ids) | set(self._tokenizer.get_added_vocab().values())
        return int(tail[0]) if tail and tail[0] in special else None

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    @property
    def end_of_text(self) -> int | None:
        token = self._tokenizer.eos_token_id
        return None if token is None else int(token)


@dataclass(frozen=True)
class LoadedBase:
    """The base model in memory. ``stop_ids``: tokens that end an answer."""

    model: nn.Module
    text: ChatText
    stop_ids: frozenset[int]
    device: torch.device
    info: ModelInfo


def load_base(settings: ServeSettings) -> LoadedBase:
    """Load the model of the settings. Raises ModelError, or ConfigError for a device or type that is not there."""
    path = settings.model_path
    identity = _identify(path, settings.hash_cache)
    device = _device(settings.device)
    dtype = _dtype(settings.dtype, device, identity.bytes)
    if settings.threads:
        torch.set_num_threads(settings.threads)
    loader: Any = AutoModelForCausalLM  # its types do not know output_loading_info
    quiet: Any = transformers_logging
    quiet.disable_progress_bar()
    remedy = "set model.path to a complete causal language model in Hugging Face format"
    try:
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True)
        model, report = loader.from_pretrained(path, dtype=dtype, local_files_only=True, output_loading_info=True)
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, ImportError, SafetensorError) as error:
        raise ModelError(f"cannot load the model in {path}: {_first_line(error)}", remedy) from error
    if missing := sorted(report["missing_keys"]):
        raise ModelError(f"the model in {path} lacks {len(missing)} weights, {missing[0]} the first", remedy)
    model.eval().requires_grad_(False)
    text = ChatText(tokenizer)
    generation = model.generation_config
    stop_ids = _stop_ids(text, generation)
    if not stop_ids:
        raise ModelError(f"the model in {path} has no token that ends an answer", "set eos_token in its tokenizer_config.json")
    try:
        model.to(device)
    except RuntimeError as error:
        raise ModelError(
            f"cannot move the model in {path} to {device}: {_first_line(error)}", "free the device's memory, or set serve.device to cpu"
        ) from error
    info = ModelInfo(
        name=path.resolve().name,
        base_sha256=identity.sha256,
        context_tokens=int(model.config.get_text_config().max_position_embeddings),
        device=str(device),
        dtype=str(model.dtype).removeprefix("torch."),
        created=int((path / "config.json").stat().st_mtime),
        defaults=_defaults(generation),
    )
    return LoadedBase(model, text, stop_ids, device, info)


def _identify(path: Path, cache: Path | None) -> BaseModel:
    if cache is None:
        return identify(path)
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        return identify(path, cache)
    except (OSError, StoreError):
        return identify(path)  # a cache that cannot be written only costs hashing again


def _stop_ids(text: ChatText, generation: GenerationConfig) -> frozenset[int]:
    configured = generation.eos_token_id
    ids = configured if isinstance(configured, list) else [configured]
    return frozenset(int(token) for token in (*ids, text.end_of_text, text.end_of_turn()) if token is not None)


def _defaults(generation: GenerationConfig) -> SamplingDefaults:
    """Greedy, unless the model's authors ask for sampling."""
    if not generation.do_sample:
        return SamplingDefaults()
    return SamplingDefaults(
        temperature=1.0 if generation.temperature is None else float(generation.temperature),
        top_p=1.0 if generation.top_p is None else float(generation.top_p),
        top_k=int(generation.top_k or 0),
    )


def _device(wanted: str) -> torch.device:
    if wanted == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if wanted.startswith("cuda") and not torch.cuda.is_available():
        raise ConfigError(
            f"serve.device is {wanted!r}, but torch finds no CUDA device",
            "set serve.device to auto or cpu, or install a CUDA build of torch",
        )
    return torch.device(wanted)


def _dtype(wanted: str, device: torch.device, model_bytes: int) -> torch.dtype:
    """``auto`` chooses as the child of a cycle does, so that both give the same answer to a canary prompt."""
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}[wanted]
    return torch.float32 if device.type == "cpu" and model_bytes <= _SMALL_MODEL_BYTES else torch.bfloat16


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
