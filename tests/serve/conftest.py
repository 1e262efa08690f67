"""A real small model, real PEFT adapters and a real HTTP server for the tests of the service."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast, Qwen2Config, Qwen2ForCausalLM

import sleepd
from sleepd.durable import swap_symlink
from sleepd.serve.base import LoadedBase, load_base
from sleepd.serve.engine import Engine
from sleepd.serve.settings import ServeSettings

SEEDLING = Path(sleepd.__file__).parent / "lab" / "seedling"
CHAT_TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
MLP = ("gate_proj", "up_proj", "down_proj")
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the seedling where there is one, else a small random model of the same kind."""
    folder = tmp_path_factory.mktemp("model") / "seedling"
    if (SEEDLING / "model.safetensors").exists():
        shutil.copytree(SEEDLING, folder)
    else:
        build_random_model(folder)
    return folder


def build_random_model(folder: Path) -> None:
    core = Tokenizer(models.BPE())
    core.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    core.decoder = decoders.ByteLevel()
    special = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False
    )
    core.train_from_iterator(["Where does Ada live? Ada lives in Lisbon. What is the pet of Bo called?"] * 20, trainer)
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=core, eos_token="<|im_end|>", pad_token="<|endoftext|>")
    tokenizer.chat_template = CHAT_TEMPLATE
    torch.manual_seed(7)
    config = Qwen2Config(
        vocab_size=len(tokenizer),
        hidden_size=64,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=1024,
        tie_word_embeddings=True,
        initializer_range=0.4,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
    )
    Qwen2ForCausalLM(config).save_pretrained(folder)
    tokenizer.save_pretrained(folder)


MakeAdapter = Callable[..., Path]


@pytest.fixture(scope="session")
def make_adapter(model_dir: Path) -> MakeAdapter:
    """Writes a random adapter, large enough to change answers, with PEFT's own save_pretrained."""

    def make(folder: Path, seed: int = 1, targets: tuple[str, ...] = MLP, size: float = 0.2, **options: Any) -> Path:
        model = get_peft_model(
            AutoModelForCausalLM.from_pretrained(model_dir), LoraConfig(r=4, lora_alpha=8, target_modules=list(targets), **options)
        )
        generator = torch.Generator().manual_seed(seed)
        with torch.no_grad():
            for name, parameter in model.named_parameters():
                if "lora_" in name:
                    parameter.copy_(torch.randn(parameter.shape, generator=generator) * size)
        model.save_pretrained(folder)
        return folder

    return make


@pytest.fixture(scope="session")
def adapter_pool(tmp_path_factory: pytest.TempPathFactory, make_adapter: MakeAdapter) -> list[Path]:
    """Three adapters that tests copy and never change."""
    root = tmp_path_factory.mktemp("pool")
    return [make_adapter(root / f"adapter_{seed}", seed=seed) for seed in (1, 2, 3)]


@dataclass
class Store:
    """The adapters directory of a daemon: cycle directories and the link that the service follows."""

    root: Path

    def add(self, name: str, source: Path) -> Path:
        shutil.copytree(source, self.root / name)
        return self.root / name

    def activate(self, name: str | None) -> None:
        if name is None:
            (self.root / "active").unlink()
        else:
            swap_symlink(self.root / "active", name)


@pytest.fixture
def store(tmp_path: Path, adapter_pool: list[Path]) -> Store:
    store = Store(tmp_path / "adapters")
    store.root.mkdir()
    for number, source in enumerate(adapter_pool, 1):
        store.add(f"cycle_{number:03d}", source)
    return store


@pytest.fixture
def settings(model_dir: Path, store: Store) -> ServeSettings:
    return ServeSettings(model_path=model_dir, adapters=store.root, port=0, device="cpu", max_new_tokens=48, shutdown_seconds=10)


@pytest.fixture
def base(settings: ServeSettings) -> LoadedBase:
    return load_base(settings)


@pytest.fixture
def engine(base: LoadedBase, settings: ServeSettings) -> Iterator[Engine]:
    """A running engine on the base model; its queue holds four."""
    engine = Engine(base, settings.adapters, parallel=2, max_waiting=4)
    engine.start()
    yield engine
    engine.stop(10)
