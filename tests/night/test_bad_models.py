"""Base models that a night cannot work with: each is refused before anything is computed, by name and with what to do."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file
from transformers import GPT2Config, GPT2LMHeadModel, OPTConfig, OPTForCausalLM

from sleepd.base_model import identify
from sleepd.errors import ChildExit, ModelError
from sleepd.lab import world
from sleepd.night import __main__ as child
from tests.night.conftest import SEEDLING, MakeJob

FACTS = world.facts_about(random.Random(3), world.people(3, 1))
PLAIN_TEMPLATE = "{% for message in messages %}{{ message['role'] }}: {{ message['content'] }}\n{% endfor %}"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the seedling whose files are links: what a test spoils it writes anew."""
    folder = tmp_path / "model"
    folder.mkdir()
    for file in SEEDLING.iterdir():
        (folder / file.name).symlink_to(file)
    return folder


def rewrite(file: Path, content: str | bytes) -> None:
    file.unlink(missing_ok=True)
    file.write_bytes(content.encode() if isinstance(content, str) else content)


def edit(file: Path, **keys: Any) -> None:
    rewrite(file, json.dumps(json.loads(file.read_text()) | keys))


def without_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def with_a_template_that_drops_messages(folder: Path) -> None:
    rewrite(folder / "chat_template.jinja", "hello")


def without_end_of_turn(folder: Path) -> None:
    rewrite(folder / "chat_template.jinja", PLAIN_TEMPLATE)
    edit(folder / "tokenizer_config.json", eos_token=None)


def without_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


def with_a_broken_tokenizer(folder: Path) -> None:
    rewrite(folder / "tokenizer.json", "{")


def with_a_tokenizer_of_another_model(folder: Path) -> None:
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    for token in tokenizer["added_tokens"]:
        if token["content"] == "<|im_end|>":
            token["id"] = 9999
    tokenizer["model"]["vocab"]["<|im_end|>"] = 9999
    rewrite(folder / "tokenizer.json", json.dumps(tokenizer))


def with_a_torn_config(folder: Path) -> None:
    rewrite(folder / "config.json", (folder / "config.json").read_text()[:200])


def of_an_unknown_kind(folder: Path) -> None:
    edit(folder / "config.json", model_type="nonesuch")


def with_a_config_of_other_sizes(folder: Path) -> None:
    edit(folder / "config.json", hidden_size=320)


def with_a_config_of_no_number(folder: Path) -> None:
    edit(folder / "config.json", hidden_size="large")


def with_a_config_of_more_layers(folder: Path) -> None:
    edit(folder / "config.json", num_hidden_layers=6, layer_types=None)


def with_truncated_weights(folder: Path) -> None:
    whole = (folder / "model.safetensors").read_bytes()
    rewrite(folder / "model.safetensors", whole[: len(whole) // 2])


def with_empty_weights(folder: Path) -> None:
    rewrite(folder / "model.safetensors", b"")


def with_a_missing_weight(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("model.layers.1.mlp.up_proj.weight")
    (folder / "model.safetensors").unlink()
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def replaced_by(folder: Path, other: Any) -> None:
    for name in ("config.json", "generation_config.json", "model.safetensors"):
        (folder / name).unlink()
    other.save_pretrained(folder)


def whose_modules_have_other_names(folder: Path) -> None:
    config = OPTConfig(vocab_size=2048, hidden_size=16, ffn_dim=32, num_hidden_layers=1, num_attention_heads=2, word_embed_proj_dim=16)
    replaced_by(folder, OPTForCausalLM(config))


def that_is_built_otherwise(folder: Path) -> None:
    replaced_by(folder, GPT2LMHeadModel(GPT2Config(vocab_size=2048, n_embd=16, n_layer=1, n_head=2)))


Spoil = Callable[[Path], None]


def refused(job: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the child says last, run in this process."""
    pipe = io.StringIO()
    monkeypatch.setattr(sys, "stdout", pipe)
    assert child.main([str(job)]) == ChildExit.BAD_JOB
    lines = [json.loads(line) for line in pipe.getvalue().splitlines()]
    assert [line["stage"] for line in lines].count("error") == 1
    assert {line["stage"] for line in lines} == {"curate", "error"}  # refused before anything is computed
    return dict(lines[-1])


def job_for(model: Path, make_job: MakeJob) -> Path:
    """A job that was made for this very model, in whatever state it is; where it has no identity any more, before it lost it."""
    try:
        identity = identify(model).sha256
    except ModelError:
        identity = identify(SEEDLING).sha256
    return make_job(FACTS, model={"path": str(model), "sha256": identity})


@pytest.mark.parametrize(
    ("spoil", "said", "remedy"),
    [
        (without_template, "no chat template", "chat_template.jinja"),
        (with_a_template_that_drops_messages, "drops or rewrites messages", "as they are"),
        (without_end_of_turn, "no end-of-turn token", "set eos_token in tokenizer_config.json"),
        (without_tokenizer, "no tokenizer that can write what it reads", "model.path"),
        (with_a_broken_tokenizer, "the tokenizer in", "model.path"),
        (with_a_tokenizer_of_another_model, "uses token 9999, and the model knows 2048", "from the same model"),
        (with_a_torn_config, "config.json is missing or names no architecture", "model.path"),
        (of_an_unknown_kind, "`nonesuch`", "model.path"),
        (with_a_config_of_other_sizes, "cannot be loaded", "model.path"),
        (with_a_config_of_no_number, "config.json is not usable: Validation error for field 'hidden_size'", "model.path"),
        (with_a_config_of_more_layers, "lacks 12 weights that its config.json speaks of, model.layers.5.", "download it again"),
        (with_truncated_weights, "file not fully covered", "download it again"),
        (with_empty_weights, "header too small", "download it again"),
        (with_a_missing_weight, "lacks 1 weights that its config.json speaks of, model.layers.1.mlp.up_proj.weight", "download it again"),
        (without_weights, "holds no weights", "download the model again"),
        (whose_modules_have_other_names, "no module of the model is called gate_proj, up_proj, down_proj", "set training.target_modules"),
        (that_is_built_otherwise, "is a GPT2LMHeadModel", "use a model that is built like"),
    ],
)
def test_a_model_that_no_night_can_work_with_is_a_bad_job_that_names_it(
    model: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch, spoil: Spoil, said: str, remedy: str
) -> None:
    spoil(model)
    line = refused(job_for(model, make_job), monkeypatch)
    assert said in line["message"] and str(model) in line["message"], line
    assert remedy in line["remedy"], line


def test_the_refusal_lists_the_layers_that_could_be_adapted(model: Path, make_job: MakeJob, monkeypatch: pytest.MonkeyPatch) -> None:
    whose_modules_have_other_names(model)
    line = refused(job_for(model, make_job), monkeypatch)
    assert {"fc1", "fc2", "q_proj"} <= set(line["remedy"].split(": ")[1].split(", "))


def test_the_process_ends_with_three_and_leaves_no_result(model: Path, make_job: MakeJob) -> None:
    with_truncated_weights(model)
    job = job_for(model, make_job)
    done = subprocess.run([sys.executable, "-m", "sleepd.night", str(job)], capture_output=True, text=True, timeout=120)
    assert done.returncode == ChildExit.BAD_JOB, done.stderr
    last = json.loads(done.stdout.splitlines()[-1])
    assert set(last) == {"stage", "message", "remedy"} and last["stage"] == "error"
    assert "Traceback" not in done.stderr
    assert not (job / "result").exists() and not (job / "checkpoint").exists()
