"""Whether the base model is there and is the one that our adapters belong to. Never writes to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sleepd.base_model import identify
from sleepd.daemon.context import Context
from sleepd.daemon.worker import Submit
from sleepd.errors import ModelError
from sleepd.journal import Event, logger
from sleepd.records import BaseModel

log = logger(__name__)

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


class ModelWatch:
    """What is known of the base model now. Its methods belong to the main loop's thread."""

    def __init__(self, context: Context, submit: Submit) -> None:
        self._context = context
        self._submit = submit
        self._state: ModelState | None = None

    @property
    def known(self) -> bool:
        """Whether it has been looked at."""
        return self._state is not None

    @property
    def base(self) -> BaseModel | None:
        """The model that is there, the pinned one or another."""
        return None if self._state is None else self._state.base

    def problem(self) -> ModelError | None:
        """What keeps a cycle from running."""
        return problem(self._state, self._context.ledger.values.get("pinned_base"))

    def usable(self) -> BaseModel:
        """The model that a cycle trains on. Raises ModelError."""
        found = self.problem()
        if found is not None:
            raise found
        assert self.base is not None  # or that would be the problem
        return self.base

    def forget(self) -> None:
        """The configuration names another model."""
        self._state = None

    def look(self, then: Callable[[], None] = lambda: None) -> None:
        """Identify the base model in the worker, since hashing a large one takes a while, and call ``then``."""

        def settle(value: object, error: Exception | None) -> None:
            before = None if self._state is None else self._state.problem
            if isinstance(value, ModelState):
                self._state = value
            elif error is not None:
                self._state = ModelState(None, ModelError(f"the base model cannot be looked at: {error}", "see the log"))
            now = self.problem()
            if now is not None and (before is None or before.message != now.message):
                log.warning(Event.MODEL_FAILED, error=now.message, remedy=now.remedy)
            then()

        loaded = self._context.loaded
        path = "" if loaded.model is None else str(loaded.model)
        cache = loaded.directories.cache / "models.json"
        self._submit(lambda: look(path, cache), settle)
