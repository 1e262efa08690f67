"""Whether the base model is there and is the one that our adapters belong to. Never writes to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sleepd.base_model import identify
from sleepd.errors import ModelError
from sleepd.records import BaseModel

NOT_CONFIGURED = ModelError("model.path is not configured", "set model.path in sleepd.toml to the directory of the base model")
UNKNOWN = ModelError("the base model has not been looked at yet", "wait a moment")


@dataclass(frozen=True)
class ModelState:
    """What was found in model.path: a model, or what is wrong."""

    base: BaseModel | None
    problem: ModelError | None


def look(path: str, cache: Path) -> ModelState:
    """Identify the model; hashes it only when its files changed. Reads large files: for the worker, not the loop."""
    if not path:
        return ModelState(None, NOT_CONFIGURED)
    try:
        cache.parent.mkdir(parents=True, exist_ok=True)
        return ModelState(identify(Path(path), cache), None)
    except ModelError as error:
        return ModelState(None, error)
    except OSError as error:
        return ModelState(None, ModelError(f"model path {path} cannot be read: {error.strerror}", "give this user read access to it"))


def task(path: str, cache: Path) -> Callable[[], ModelState]:
    return lambda: look(path, cache)


def problem(state: ModelState | None, pinned: object) -> ModelError | None:
    """What keeps a cycle from running. ``pinned``: the sha256 that our adapters were trained on, or None."""
    if state is None:
        return UNKNOWN
    if state.base is None:
        return state.problem
    if isinstance(pinned, str) and pinned != state.base.sha256:
        return ModelError(
            f"base model {state.base.path} changed (sha256 {state.base.sha256[:12]}, adapters belong to {pinned[:12]})",
            "put the old model back, or accept the new one with `sleepd activate base`",
        )
    return None
