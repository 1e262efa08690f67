"""Which base model lies in a directory: one hash over weights, configuration and tokenizer.

Torch-free and read-only. Hashing a large model takes seconds, so the result is cached by size, inode
and modification time of every file.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from sleepd.durable import sha256_file, write_json
from sleepd.errors import ModelError
from sleepd.records import BaseModel

_SUFFIXES = (".safetensors", ".bin")
_NAMES = ("config.json", "tokenizer.json", "tokenizer_config.json", "chat_template.jinja", "vocab.json", "merges.txt", "tokenizer.model")


def model_files(path: Path) -> list[Path]:
    """The files that make a model what it is, sorted by name."""
    return sorted(f for f in path.iterdir() if f.is_file() and (f.suffix in _SUFFIXES or f.name in _NAMES))


def identify(path: Path, cache: Path | None = None) -> BaseModel:
    """Identify the model in ``path``. ``cache``: a JSON file that spares hashing an unchanged model again.

    Raises ModelError when the directory is missing or unreadable, holds no weights, or its config.json is no model's.
    """
    root = path.expanduser()
    if not _is_directory(root):
        raise ModelError(f"model path {root} does not exist", "set model.path to a directory with config.json and *.safetensors")
    config_file = root / "config.json"
    try:
        config = json.loads(config_file.read_text())
        architecture = str(config["architectures"][0])
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise ModelError(
            f"{root} is not a model: config.json is missing or names no architecture ({type(error).__name__})",
            "set model.path to a directory written by save_pretrained or downloaded whole",
        ) from error
    try:
        files = model_files(root)
        stamp = {f.name: [(s := f.stat()).st_size, s.st_mtime_ns, s.st_ino] for f in files}
    except OSError as error:
        raise _unreadable(root, error) from error
    if not any(f.suffix in _SUFFIXES for f in files):
        raise ModelError(f"{root} holds no weights (*.safetensors)", "download the model again, whole")
    size = sum(entry[0] for entry in stamp.values())
    key = str(root.resolve())
    cached = _read_cache(cache)
    entry = cached.get(key)
    if isinstance(entry, dict) and entry.get("stamp") == stamp:
        digest = str(entry["sha256"])
    else:
        whole = hashlib.sha256()
        try:
            for file in files:
                whole.update(f"{file.name}\0{sha256_file(file)}\n".encode())
        except OSError as error:
            raise _unreadable(root, error) from error
        digest = whole.hexdigest()
        if cache is not None:
            cached[key] = {"stamp": stamp, "sha256": digest}
            cache.parent.mkdir(parents=True, exist_ok=True)
            write_json(cache, cached)
    return BaseModel(key, digest, architecture, size)


def _is_directory(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError as error:
        raise _unreadable(path, error) from error


def _unreadable(root: Path, error: OSError) -> ModelError:
    return ModelError(f"model path {root} cannot be read: {error}", "give this user read access to the directory and every file in it")


def _read_cache(cache: Path | None) -> dict[str, object]:
    if cache is None or not cache.exists():
        return {}
    try:
        value = json.loads(cache.read_text())
    except ValueError:
        return {}  # a cache that cannot be read is only a cache: hash again
    return value if isinstance(value, dict) else {}
