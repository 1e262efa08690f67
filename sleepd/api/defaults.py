"""Where the API looks when a path is not given: the same configuration and directories as the daemon.

Without arguments a program and the daemon read the same buffer and the same base model. Their adapters stay apart:
the API's lie under ``checkpoints/sleep`` of the state directory, and no daemon puts them into service.
"""

from __future__ import annotations

import os
from pathlib import Path

from sleepd import config
from sleepd.config import Loaded
from sleepd.config.places import standard_directories
from sleepd.errors import ConfigError

CHECKPOINTS = Path("checkpoints") / "sleep"


def given(path: str | Path | None) -> Path | None:
    """An argument as an absolute path; None stays None."""
    return None if path is None else Path(path).expanduser().absolute()


def model_path(path: str | Path | None) -> Path:
    """The base model's directory. Raises ConfigError when none is given and none is configured."""
    found = given(path) or _loaded().model
    if found is None:
        raise ConfigError(
            "no base model: model_path is not given and model.path is not configured", "pass model_path, or set model.path in sleepd.toml"
        )
    return found


def buffer_path(path: str | Path | None) -> Path:
    """The experience buffer: the given one, else the first that the daemon watches."""
    return given(path) or _loaded().buffers[0]


def checkpoint_dir(path: str | Path | None) -> Path:
    """Where cycles are kept: the given directory, else ``checkpoints/sleep`` of the state directory."""
    return given(path) or _loaded().directories.state / CHECKPOINTS


def cache_dir(checkpoints: Path) -> Path:
    """What a base model made once for all nights. Beside the cycles where the user's cache cannot be written."""
    cache = standard_directories(os.environ, os.geteuid(), None).cache
    try:
        cache.mkdir(parents=True, exist_ok=True)
    except OSError:
        return checkpoints / "cache"
    return cache if os.access(cache, os.W_OK | os.X_OK) else checkpoints / "cache"


def _loaded() -> Loaded:
    return config.load(None, None, os.environ)


def device(name: str | None) -> str:
    """The device as a job names it: cuda, cpu, or auto for None."""
    if name not in (None, "auto", "cpu", "cuda"):
        raise ConfigError(f"device is {name!r}", "device is 'cuda', 'cpu' or None; choose one of several GPUs with CUDA_VISIBLE_DEVICES")
    return name or "auto"
