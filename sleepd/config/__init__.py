"""Configuration: which files hold it, what may stand in them, and which file set each key.

Everything is resolved from arguments. The names below are imported when they are first used, because the schema
brings pydantic, and who only asks ``places`` or ``files`` for the control socket must not wait for that.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sleepd.config.changes import Changes, diff
    from sleepd.config.loading import Loaded, load
    from sleepd.config.places import Directories, SearchPath
    from sleepd.config.schema import Config, Thresholds

_HOMES = {
    "Changes": "changes",
    "Config": "schema",
    "Directories": "places",
    "Loaded": "loading",
    "SearchPath": "places",
    "Thresholds": "schema",
    "diff": "changes",
    "load": "loading",
}

__all__ = ["Changes", "Config", "Directories", "Loaded", "SearchPath", "Thresholds", "diff", "load"]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
