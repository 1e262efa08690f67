"""Is this directory a plain LoRA adapter in safetensors? Answered from the files alone, without torch.

Owns the rules about a candidate's files. It reads headers and never the numbers: whether the weights are
finite is the child's measurement and the gate's judgement. Nothing is ever unpickled here.
"""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sleepd.durable import sha256_file
from sleepd.errors import StoreError

WEIGHTS = "adapter_model.safetensors"
CONFIG = "adapter_config.json"
ADAPTER_FILES = (CONFIG, WEIGHTS)
# Formats that run code when they are loaded. PEFT falls back to the first of them on its own.
PICKLE_SUFFIXES = frozenset({".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt"})

_MAX_HEADER_BYTES = 100_000_000  # the limit of the safetensors format itself
_DTYPE_BYTES = {
    "F64": 8, "F32": 4, "F16": 2, "BF16": 2, "F8_E4M3": 1, "F8_E5M2": 1,
    "I64": 8, "I32": 4, "I16": 2, "I8": 1, "U64": 8, "U32": 4, "U16": 2, "U8": 1, "BOOL": 1,
}  # fmt: skip
# A server that serves plain LoRA either refuses these or silently answers with something else.
_PLAIN: dict[str, tuple[object, ...]] = {
    "bias": ("none", None),
    "use_dora": (False, None),
    "use_rslora": (False, None),
    "modules_to_save": (None, []),
}
_TRAIN_AGAIN = "discard this adapter; the next cycle makes a new one"


@dataclass(frozen=True)
class Tensor:
    """One entry of a safetensors header. ``begin`` and ``end`` are byte offsets into the data section."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    begin: int
    end: int


def check_files(directory: Path) -> dict[str, str]:
    """The sha256 of both files of the adapter in ``directory``; raises StoreError unless it is a plain LoRA adapter.

    Exactly the two adapter files must be there, as regular files: a link could change after it was checked.
    """
    if not directory.is_dir():
        raise StoreError(f"candidate {directory} is not a directory", "run the cycle again")
    for entry in sorted(directory.iterdir()):
        if entry.suffix in PICKLE_SUFFIXES:
            raise StoreError(f"{entry} is a pickle: loading it could run code", "keep adapters in safetensors only")
        if entry.name not in ADAPTER_FILES:
            raise StoreError(f"{entry} does not belong to an adapter", f"an adapter directory holds {CONFIG} and {WEIGHTS} only")
    for name in ADAPTER_FILES:
        file = directory / name
        if not _is_regular(file):
            raise StoreError(f"{file} is missing or is not a regular file", _TRAIN_AGAIN)
    check_config(directory / CONFIG)
    read_header(directory / WEIGHTS)
    return {name: sha256_file(directory / name) for name in ADAPTER_FILES}


def check_config(file: Path) -> None:
    """Raise StoreError unless ``adapter_config.json`` describes plain LoRA, which every server can serve."""
    try:
        config = json.loads(file.read_bytes())
    except (OSError, ValueError) as error:
        raise StoreError(f"{file} is not JSON: {error}", _TRAIN_AGAIN) from error
    if not isinstance(config, dict) or config.get("peft_type") != "LORA":
        raise StoreError(f"{file} does not describe a LoRA adapter (peft_type must be LORA)", _TRAIN_AGAIN)
    for key, allowed in _PLAIN.items():
        if config.get(key) not in allowed:
            raise StoreError(f"{file}: {key} is {config[key]!r}; only plain LoRA serves everywhere", f"train with {key}={allowed[0]!r}")


def read_header(file: Path) -> tuple[Tensor, ...]:
    """The tensors that a safetensors file declares, in file order; raises StoreError when the file is not whole and sound."""
    size = file.stat().st_size
    with file.open("rb") as handle:
        length = int.from_bytes(handle.read(8), "little")
        if size < 8 or not 2 <= length <= min(size - 8, _MAX_HEADER_BYTES):
            raise _unsound(file, f"its header claims {length} bytes and the file has {size}")
        raw = handle.read(length)
    try:
        header = json.loads(raw, object_pairs_hook=_without_duplicates)
    except (ValueError, RecursionError) as error:
        raise _unsound(file, f"its header is not JSON ({error})") from error
    if not isinstance(header, dict):
        raise _unsound(file, "its header is not a JSON object")
    header.pop("__metadata__", None)
    if not header:
        raise _unsound(file, "it holds no tensor")
    tensors = sorted((_tensor(file, name, entry) for name, entry in header.items()), key=lambda tensor: (tensor.begin, tensor.end))
    position = 0
    for tensor in tensors:
        if tensor.begin != position:
            raise _unsound(file, f"tensor {tensor.name} starts at byte {tensor.begin} and should start at {position}")
        position = tensor.end
    if position != size - 8 - length:
        raise _unsound(file, f"its tensors need {position} bytes of data and it has {size - 8 - length}")
    return tuple(tensors)


def _tensor(file: Path, name: str, entry: object) -> Tensor:
    if not isinstance(entry, Mapping):
        raise _unsound(file, f"tensor {name} has no description")
    dtype, shape, offsets = entry.get("dtype"), entry.get("shape"), entry.get("data_offsets")
    if not isinstance(dtype, str) or dtype not in _DTYPE_BYTES:
        raise _unsound(file, f"tensor {name} has the unknown dtype {dtype!r}")
    sizes, span = _sizes(shape), _sizes(offsets)
    if sizes is None or span is None or len(span) != 2:
        raise _unsound(file, f"tensor {name} has the shape {shape!r} and the offsets {offsets!r}")
    expected = math.prod(sizes) * _DTYPE_BYTES[dtype]
    if span[1] - span[0] != expected:
        raise _unsound(file, f"tensor {name} of shape {shape} needs {expected} bytes and is given {span[1] - span[0]}")
    return Tensor(name, dtype, sizes, span[0], span[1])


def _sizes(value: object) -> tuple[int, ...] | None:
    """A list of sizes, or None when it is no such list."""
    if not isinstance(value, list) or not all(isinstance(item, int) and not isinstance(item, bool) and item >= 0 for item in value):
        return None
    return tuple(value)


def _without_duplicates(pairs: list[tuple[str, object]]) -> dict[str, object]:
    names = dict(pairs)
    if len(names) != len(pairs):
        raise ValueError("a name occurs twice")
    return names


def _is_regular(file: Path) -> bool:
    try:
        return stat.S_ISREG(file.lstat().st_mode)
    except FileNotFoundError:
        return False


def _unsound(file: Path, reason: str) -> StoreError:
    return StoreError(f"{file} is not a whole safetensors file: {reason}", _TRAIN_AGAIN)
