from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from sleepd.base_model import identify, model_files
from sleepd.errors import ModelError


@pytest.fixture
def model(tmp_path: Path) -> Path:
    root = tmp_path / "model"
    root.mkdir()
    (root / "config.json").write_text(json.dumps({"architectures": ["Qwen2ForCausalLM"]}))
    (root / "tokenizer.json").write_text("{}")
    (root / "model-00001-of-00002.safetensors").write_bytes(b"a" * 100)
    (root / "model-00002-of-00002.safetensors").write_bytes(b"b" * 50)
    (root / "README.md").write_text("not part of the model")
    return root


def test_a_model_is_identified_by_weights_configuration_and_tokenizer(model: Path) -> None:
    found = identify(model)
    assert (found.path, found.architecture, len(found.sha256)) == (str(model.resolve()), "Qwen2ForCausalLM", 64)
    assert found.bytes == sum(f.stat().st_size for f in model_files(model))
    assert "README.md" not in [f.name for f in model_files(model)]


@pytest.mark.parametrize("name", ["config.json", "tokenizer.json", "model-00002-of-00002.safetensors"])
def test_a_change_of_any_file_is_another_model(model: Path, name: str) -> None:
    before = identify(model).sha256
    with (model / name).open("ab") as file:
        file.write(b" ")
    assert identify(model).sha256 != before


def test_a_renamed_or_added_file_is_another_model(model: Path) -> None:
    before = identify(model).sha256
    (model / "README.md").write_text("other words")
    assert identify(model).sha256 == before
    (model / "chat_template.jinja").write_text("{{ x }}")
    assert identify(model).sha256 != before


def test_the_same_model_elsewhere_or_through_a_link_is_the_same(model: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(model)
    assert identify(tmp_path / "link") == identify(model)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in model.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    assert identify(copy).sha256 == identify(model).sha256


def test_a_model_path_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"{tmp_path}/absent does not exist") as caught:
        identify(tmp_path / "absent")
    assert "model.path" in caught.value.remedy


@pytest.mark.parametrize("config", [None, "not json", "[]", "{}", '{"architectures": []}', '{"architectures": null}'])
def test_a_directory_that_is_no_model_is_refused(model: Path, config: str | None) -> None:
    if config is None:
        (model / "config.json").unlink()
    else:
        (model / "config.json").write_text(config)
    with pytest.raises(ModelError, match=f"{model} is not a model"):
        identify(model)


def test_a_model_without_weights_is_refused(model: Path) -> None:
    for file in model.glob("*.safetensors"):
        file.unlink()
    with pytest.raises(ModelError, match="no weights"):
        identify(model)


def test_an_unchanged_model_is_not_hashed_again(model: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    first = identify(model, cache)
    document = json.loads(cache.read_text())
    document[str(model.resolve())]["sha256"] = "f" * 64
    cache.write_text(json.dumps(document))
    assert identify(model, cache).sha256 == "f" * 64
    assert identify(model).sha256 == first.sha256


def test_the_cache_notices_a_change_that_keeps_the_size(model: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache.json"
    before = identify(model, cache)
    weights = model / "model-00001-of-00002.safetensors"
    weights.write_bytes(b"c" * 100)
    os.utime(weights, ns=(1, 1))
    after = identify(model, cache)
    assert after.sha256 != before.sha256
    assert identify(model, cache) == after == identify(model)


@pytest.mark.parametrize("rubbish", ["", "{ torn", "[]", '{"%s": 3}', '{"%s": {"stamp": {}}}'])
def test_a_cache_that_cannot_be_used_is_ignored_and_replaced(model: Path, tmp_path: Path, rubbish: str) -> None:
    cache = tmp_path / "cache.json"
    cache.write_text(rubbish.replace("%s", str(model.resolve())))
    assert identify(model, cache) == identify(model)
    assert json.loads(cache.read_text())[str(model.resolve())]["sha256"] == identify(model).sha256


def test_the_model_is_never_written(model: Path, tmp_path: Path) -> None:
    before = {f.name: (f.stat().st_mtime_ns, f.read_bytes()) for f in model.iterdir()}
    identify(model, tmp_path / "cache.json")
    assert {f.name: (f.stat().st_mtime_ns, f.read_bytes()) for f in model.iterdir()} == before
