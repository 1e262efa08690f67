from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from safetensors.torch import load_file, save_file

from sleepd.base_model import identify
from sleepd.errors import ConfigError, ModelError
from sleepd.serve.base import load_base
from sleepd.serve.settings import ServeSettings
from sleepd.serve.values import Message, RequestError, SamplingDefaults


@pytest.fixture
def model(settings: ServeSettings, tmp_path: Path) -> ServeSettings:
    """Settings for a copy of the model that a test may spoil."""
    return replace(settings, model_path=Path(shutil.copytree(settings.model_path, tmp_path / "spoiled")))


def edit(file: Path, **changes: object) -> None:
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def test_a_model_is_served_under_its_folders_name_and_the_hash_that_the_daemon_knows(settings: ServeSettings) -> None:
    base = load_base(settings)
    assert base.info.name == "seedling"
    assert base.info.base_sha256 == identify(settings.model_path).sha256
    assert base.info.context_tokens == 1024
    assert (base.info.device, base.info.dtype) == ("cpu", "float32")
    assert base.info.defaults == SamplingDefaults()


def test_the_sampling_that_the_models_authors_ask_for_is_the_default(model: ServeSettings) -> None:
    edit(model.model_path / "generation_config.json", do_sample=True, temperature=0.7, top_p=0.8, top_k=20)
    assert load_base(model).info.defaults == SamplingDefaults(0.7, 0.8, 20)


def test_every_token_that_may_end_an_answer_ends_it(model: ServeSettings) -> None:
    edit(model.model_path / "generation_config.json", eos_token_id=[0, 5])
    assert load_base(model).stop_ids == {0, 5, 2}


def test_the_models_hash_is_remembered_between_starts(settings: ServeSettings, tmp_path: Path) -> None:
    cache = tmp_path / "new" / "base_models.json"
    first = load_base(replace(settings, hash_cache=cache))
    assert cache.exists()
    assert load_base(replace(settings, hash_cache=cache)).info == first.info


def test_a_place_where_no_hash_can_be_remembered_is_no_obstacle(settings: ServeSettings, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    load_base(replace(settings, hash_cache=tmp_path / "file" / "base_models.json"))


def without_template(folder: Path) -> None:
    (folder / "chat_template.jinja").unlink()


def with_a_template_that_drops_messages(folder: Path) -> None:
    (folder / "chat_template.jinja").write_text("hello")


def without_weights(folder: Path) -> None:
    (folder / "model.safetensors").unlink()


def with_torn_weights(folder: Path) -> None:
    file = folder / "model.safetensors"
    file.write_bytes(file.read_bytes()[:5000])


def with_a_missing_weight(folder: Path) -> None:
    tensors = load_file(folder / "model.safetensors")
    tensors.pop("model.layers.1.mlp.up_proj.weight")
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})


def of_an_unknown_kind(folder: Path) -> None:
    edit(folder / "config.json", model_type="nonesuch")


def without_tokenizer(folder: Path) -> None:
    for file in folder.glob("tokenizer*"):
        file.unlink()


def gone(folder: Path) -> None:
    shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (without_template, "no chat template"),
        (with_a_template_that_drops_messages, "drops messages"),
        (without_weights, "no weights"),
        (with_torn_weights, "cannot load the model"),
        (with_a_missing_weight, r"lacks 1 weights, model\.layers\.1\.mlp\.up_proj\.weight"),
        (of_an_unknown_kind, "nonesuch"),
        (without_tokenizer, "cannot write what it reads"),
        (gone, "does not exist"),
    ],
)
def test_a_model_that_could_not_answer_is_refused(model: ServeSettings, spoil: Callable[[Path], None], said: str) -> None:
    spoil(model.model_path)
    with pytest.raises(ModelError, match=said) as caught:
        load_base(model)
    assert caught.value.remedy


def test_a_device_that_is_not_there_is_a_configuration_error(settings: ServeSettings) -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a CUDA device")
    with pytest.raises(ConfigError, match="no CUDA device"):
        load_base(replace(settings, device="cuda"))


def test_messages_that_the_template_refuses_are_the_callers_error(model: ServeSettings) -> None:
    template = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system prompts') }}{% endif %}"
    file = model.model_path / "chat_template.jinja"
    file.write_text(template + file.read_text())
    text = load_base(model).text
    assert text.encode([Message("user", "Hello")])
    with pytest.raises(RequestError, match="no system prompts") as caught:
        text.encode([Message("system", "Be brief."), Message("user", "Hello")])
    assert caught.value.status == 400
