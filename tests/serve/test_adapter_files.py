from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from sleepd.errors import StoreError
from sleepd.serve.adapter_files import read_adapter, resolve_active
from sleepd.serve.base import LoadedBase
from sleepd.serve.lora import linear_shapes

from .conftest import ATTENTION, MLP, MakeAdapter, Store

Tensors = dict[str, torch.Tensor]


@pytest.fixture
def directory(tmp_path: Path, adapter_pool: list[Path]) -> Path:
    return Path(shutil.copytree(adapter_pool[0], tmp_path / "cycle_007"))


@pytest.fixture
def read(base: LoadedBase) -> Callable[[Path], Any]:
    shapes = linear_shapes(base.model)
    return lambda folder: read_adapter(folder, shapes, base.info.base_sha256)


def configure(directory: Path, **changes: Any) -> None:
    file = directory / "adapter_config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def rewrite(directory: Path, change: Callable[[Tensors], None]) -> None:
    file = directory / "adapter_model.safetensors"
    tensors = load_file(file)
    change(tensors)
    save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, file)


def test_what_peft_saves_is_read_whole(directory: Path, read: Callable[[Path], Any], base: LoadedBase) -> None:
    adapter = read(directory)
    assert adapter.id == "cycle_007"
    assert adapter.sha256 == hashlib.sha256((directory / "adapter_model.safetensors").read_bytes()).hexdigest()
    wanted = {name for name in linear_shapes(base.model) if name.endswith(MLP)}
    assert adapter.layers.keys() == wanted
    assert {weights.scaling for weights in adapter.layers.values()} == {2.0}


def test_half_precision_adapters_are_computed_in_float32(directory: Path, read: Callable[[Path], Any]) -> None:
    rewrite(directory, lambda tensors: tensors.update({k: v.to(torch.bfloat16) for k, v in tensors.items()}))
    assert {weights.a.dtype for weights in read(directory).layers.values()} == {torch.float32}


@pytest.mark.parametrize(
    "options",
    [
        {"peft_type": "IA3"},
        {"use_dora": True},
        {"modules_to_save": ["lm_head"]},
        {"lora_bias": True},
        {"bias": "all"},
        {"trainable_token_indices": [1]},
        {"init_lora_weights": "pissa"},
        {"fan_in_fan_out": True},
    ],
)
def test_anything_but_plain_lora_is_refused_by_the_name_of_its_option(
    directory: Path, read: Callable[[Path], Any], options: dict[str, Any]
) -> None:
    configure(directory, **options)
    with pytest.raises(StoreError, match=next(iter(options))) as caught:
        read(directory)
    assert caught.value.remedy


def first(tensors: Tensors, side: str) -> str:
    return next(name for name in sorted(tensors) if f"lora_{side}" in name)


def spoil(value: float) -> Callable[[Tensors], None]:
    def change(tensors: Tensors) -> None:
        tensors[first(tensors, "B")][0, 0] = value

    return change


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (spoil(float("nan")), "not finite"),
        (spoil(float("inf")), "not finite"),
        (lambda tensors: tensors.pop(first(tensors, "A")), "no lora_A"),
        (lambda tensors: [tensors.pop(first(tensors, side)) for side in "AB"], "incomplete"),
        (lambda tensors: tensors.update({first(tensors, "A"): torch.zeros(4, 3)}), "shape"),
        (lambda tensors: tensors.update({first(tensors, "B"): torch.zeros(3, 4)}), "shape"),
        (lambda tensors: tensors.update({"base_model.model.lm_head.weight": torch.zeros(2)}), "no tensor of plain LoRA"),
        (lambda tensors: tensors.clear(), "no tensors"),
    ],
)
def test_tensors_that_do_not_fit_the_base_are_refused(
    directory: Path, read: Callable[[Path], Any], change: Callable[[Tensors], None], said: str
) -> None:
    rewrite(directory, change)
    with pytest.raises(StoreError, match=said):
        read(directory)


def test_a_rank_that_differs_from_the_tensors_is_refused(directory: Path, read: Callable[[Path], Any]) -> None:
    configure(directory, r=8)
    with pytest.raises(StoreError, match="rank 8"):
        read(directory)


def test_an_adapter_for_other_layers_than_it_says_is_refused(directory: Path, read: Callable[[Path], Any]) -> None:
    configure(directory, target_modules=["gate_proj"])
    with pytest.raises(StoreError, match="target_modules"):
        read(directory)


@pytest.mark.parametrize("size", [0, 7, 100, -1])
def test_weights_that_were_cut_short_are_refused(directory: Path, read: Callable[[Path], Any], size: int) -> None:
    file = directory / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(StoreError, match="cut short"):
        read(directory)


@pytest.mark.parametrize("name", ["adapter_model.safetensors", "adapter_config.json"])
def test_a_missing_file_is_named(directory: Path, read: Callable[[Path], Any], name: str) -> None:
    (directory / name).unlink()
    with pytest.raises(StoreError, match=f"{name} is missing"):
        read(directory)


@pytest.mark.parametrize("content", ["{", "[]", '{"peft_type": "LORA", "r": "4"}', '{"peft_type": "LORA", "r": 4, "lora_alpha": null}'])
def test_a_configuration_that_makes_no_sense_is_refused(directory: Path, read: Callable[[Path], Any], content: str) -> None:
    (directory / "adapter_config.json").write_text(content)
    with pytest.raises(StoreError, match=r"adapter_config\.json"):
        read(directory)


def test_weights_that_differ_from_the_manifest_are_refused(directory: Path, read: Callable[[Path], Any]) -> None:
    (directory / "manifest.json").write_text(json.dumps({"files": {"adapter_model.safetensors": {"bytes": 1, "sha256": "0" * 64}}}))
    with pytest.raises(StoreError, match="its manifest says 000000000000"):
        read(directory)


def test_an_adapter_of_another_base_model_is_refused(directory: Path, read: Callable[[Path], Any]) -> None:
    (directory / "manifest.json").write_text(json.dumps({"base": {"sha256": "f" * 64}}))
    with pytest.raises(StoreError, match="trained on base model ffffffffffff"):
        read(directory)


def test_attention_and_all_other_linear_layers_are_accepted(tmp_path: Path, make_adapter: MakeAdapter, read: Callable[[Path], Any]) -> None:
    adapter = read(make_adapter(tmp_path / "cycle_001", targets=(*MLP, *ATTENTION)))
    assert {name.rsplit(".", 1)[1] for name in adapter.layers} == {*MLP, *ATTENTION}


def test_no_link_means_the_base_model(store: Store) -> None:
    assert resolve_active(store.root) is None
    assert resolve_active(store.root / "not" / "there") is None


def test_the_link_is_resolved_to_the_directory_itself(store: Store) -> None:
    store.activate("cycle_002")
    assert resolve_active(store.root) == (store.root / "cycle_002").resolve()


@pytest.mark.parametrize("target", ["cycle_999", "active", "file"])
def test_a_link_that_leads_nowhere_is_an_error_and_not_the_base_model(store: Store, target: str) -> None:
    (store.root / "file").touch()
    (store.root / "active").symlink_to(target)
    with pytest.raises(StoreError, match="points to"):
        resolve_active(store.root)


def test_a_directory_in_the_place_of_the_link_is_an_error(store: Store) -> None:
    (store.root / "active").mkdir()
    with pytest.raises(StoreError, match="not a symbolic link"):
        resolve_active(store.root)
