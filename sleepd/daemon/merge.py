"""A reloaded configuration as a running daemon can take it. Reads nothing."""

from __future__ import annotations

import dataclasses

from sleepd.config import Loaded


def merged(old: Loaded, new: Loaded) -> Loaded:
    """The new configuration with the old values of what only a restart can change."""
    kept = new.config.model_copy(
        update={
            "directories": old.config.directories,
            "serve": old.config.serve,
            "control": new.config.control.model_copy(update={"socket": old.config.control.socket}),
            "log": new.config.log.model_copy(update={"format": old.config.log.format}),
        }
    )
    return dataclasses.replace(new, config=kept, directories=old.directories)
