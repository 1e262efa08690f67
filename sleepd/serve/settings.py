"""The settings of the service, resolved from the configuration. No input or output."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sleepd.errors import ConfigError

if TYPE_CHECKING:
    from sleepd.config import Loaded


@dataclass(frozen=True)
class ServeSettings:
    """Everything the service needs to know.

    ``adapters`` is the directory that holds the ``active`` link; ``buffer`` the experience buffer that
    captured exchanges go to, or None; ``hash_cache`` spares hashing an unchanged model at each start.
    ``max_new_tokens`` is both the default and the limit of an answer's length. ``parallel`` answers are
    worked on in turns and at most ``max_waiting`` more wait. Times are in seconds.
    """

    model_path: Path
    adapters: Path
    host: str = "127.0.0.1"
    port: int = 8765
    buffer: Path | None = None
    hash_cache: Path | None = None
    max_new_tokens: int = 256
    device: str = "auto"
    dtype: str = "auto"
    threads: int = 0
    parallel: int = 4
    max_waiting: int = 64
    max_body_bytes: int = 2 * 1024 * 1024
    shutdown_seconds: int = 30


def from_loaded(loaded: Loaded) -> ServeSettings:
    """Raises ConfigError when no model is configured."""
    model = loaded.model
    if model is None:
        raise ConfigError(
            "model.path is not set, so there is nothing to serve", "set model.path in sleepd.toml to the base model's directory"
        )
    serve = loaded.config.serve
    return ServeSettings(
        model_path=model,
        adapters=loaded.directories.state / "adapters",
        buffer=loaded.capture_buffer if serve.capture else None,
        hash_cache=loaded.directories.cache / "base_models.json",
        host=serve.host,
        port=serve.port,
        max_new_tokens=serve.max_new_tokens,
        device=serve.device,
        dtype=serve.dtype,
        threads=serve.threads,
    )
