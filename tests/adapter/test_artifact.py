"""What counts as an adapter's files, and what is refused before anything is loaded."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from sleepd.adapter import artifact
from sleepd.durable import sha256_file
from sleepd.errors import StoreError


def test_a_plain_adapter_is_accepted_and_hashed(make_candidate: Callable[..., Path]) -> None:
    directory = make_candidate()
    assert artifact.check_files(directory) == {name: sha256_file(directory / name) for name in artifact.ADAPTER_FILES}
    names = [tensor.name.rsplit(".", 2)[-2] for tensor in artifact.read_header(directory / artifact.WEIGHTS)]
    assert names == ["lora_A", "lora_B"]


def test_a_file_of_the_real_library_is_accepted(tmp_path: Path) -> None:
    numpy = pytest.importorskip("numpy")
    library = pytest.importorskip("safetensors.numpy")
    file = tmp_path / "real.safetensors"
    library.save_file({"a": numpy.zeros((3, 4), "float32"), "b": numpy.ones((2,), "float16")}, str(file), metadata={"format": "pt"})
    assert {(t.name, t.dtype, t.shape) for t in artifact.read_header(file)} == {("a", "F32", (3, 4)), ("b", "F16", (2,))}


@pytest.mark.parametrize("name", ["adapter_model.bin", "weights.pt", "x.pkl", "y.ckpt"])
def test_a_pickle_beside_the_adapter_is_refused(make_candidate: Callable[..., Path], name: str) -> None:
    directory = make_candidate()
    (directory / name).write_bytes(b"\x80\x04.")
    with pytest.raises(StoreError, match="pickle"):
        artifact.check_files(directory)


def test_a_foreign_file_a_missing_one_and_a_link_are_refused(make_candidate: Callable[..., Path], tmp_path: Path) -> None:
    foreign = make_candidate("foreign")
    (foreign / "notes.txt").write_text("x")
    with pytest.raises(StoreError, match=r"notes\.txt does not belong"):
        artifact.check_files(foreign)
    missing = make_candidate("missing")
    (missing / artifact.CONFIG).unlink()
    with pytest.raises(StoreError, match="missing"):
        artifact.check_files(missing)
    linked = make_candidate("linked")
    (linked / artifact.WEIGHTS).rename(tmp_path / "elsewhere.safetensors")
    (linked / artifact.WEIGHTS).symlink_to(tmp_path / "elsewhere.safetensors")
    with pytest.raises(StoreError, match="not a regular file"):
        artifact.check_files(linked)
    with pytest.raises(StoreError, match="not a directory"):
        artifact.check_files(tmp_path / "absent")


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"use_dora": True}, "use_dora"),
        ({"bias": "all"}, "bias"),
        ({"modules_to_save": ["lm_head"]}, "modules_to_save"),
        ({"use_rslora": True}, "use_rslora"),
        ({"peft_type": "IA3"}, "LoRA"),
    ],
)
def test_anything_but_plain_lora_is_refused(make_candidate: Callable[..., Path], change: dict[str, object], word: str) -> None:
    file = make_candidate() / artifact.CONFIG
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(StoreError, match=word):
        artifact.check_config(file)


def test_a_configuration_that_is_not_json_is_refused(make_candidate: Callable[..., Path]) -> None:
    file = make_candidate() / artifact.CONFIG
    file.write_bytes(b"\xff{")
    with pytest.raises(StoreError, match="not JSON"):
        artifact.check_config(file)


def _header(text: str, data: bytes = b"") -> bytes:
    return len(text).to_bytes(8, "little") + text.encode() + data


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "0"),
        (b"\x04", "1"),
        (_header("{}"), "no tensor"),
        (_header('{"__metadata__": {}}'), "no tensor"),
        (_header("[1]"), "not a JSON object"),
        (_header("nope"), "not JSON"),
        ((2**40).to_bytes(8, "little") + b"{}", "claims"),
        (_header('{"a": 3}'), "no description"),
        (_header('{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'), "need 4 bytes"),
        (_header('{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}', b"12345"), "has 5"),
        (_header('{"a": {"dtype": "F32", "shape": [2], "data_offsets": [0, 4]}}', b"1234"), "needs 8"),
        (_header('{"a": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 4]}}', b"1234"), "shape"),
        (_header('{"a": {"dtype": "F32", "shape": [true], "data_offsets": [0, 4]}}', b"1234"), "shape"),
        (_header('{"a": {"dtype": "PICKLE", "shape": [1], "data_offsets": [0, 4]}}', b"1234"), "dtype"),
        (_header('{"a": {"dtype": "U8", "shape": [2], "data_offsets": [2, 4]}}', b"1234"), "should start at 0"),
        (
            _header(
                '{"a": {"dtype": "U8", "shape": [3], "data_offsets": [0, 3]}, "b": {"dtype": "U8", "shape": [3], "data_offsets": [1, 4]}}',
                b"1234",
            ),
            "should start at 3",
        ),
        (_header('{"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]}, "a": {}}', b"1234"), "twice"),
    ],
)
def test_a_damaged_weights_file_is_refused_with_its_reason(tmp_path: Path, content: bytes, reason: str) -> None:
    file = tmp_path / "adapter_model.safetensors"
    file.write_bytes(content)
    with pytest.raises(StoreError, match=reason):
        artifact.read_header(file)


@given(cut=st.integers(min_value=1, max_value=400))
@hypothesis_settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_file_cut_short_anywhere_is_refused(tmp_path: Path, pack: Callable[..., bytes], cut: int) -> None:
    whole = pack({"a": ("F32", [4, 4], os.urandom(64)), "b": ("BF16", [16], os.urandom(32))})
    file = tmp_path / "cut.safetensors"
    file.write_bytes(whole[: max(0, len(whole) - cut)])
    with pytest.raises(StoreError):
        artifact.read_header(file)
