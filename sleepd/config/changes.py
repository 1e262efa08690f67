"""What a reload changes, and which of it a running daemon can take over."""

from __future__ import annotations

from dataclasses import dataclass

from sleepd.config.schema import Config

# What is bound, opened or handed to another process at start.
RESTART_KEYS = ("directories.*", "serve.*", "control.socket", "log.format")


@dataclass(frozen=True)
class Changes:
    """Keys with another value, as ``section.key``, in the order of the schema."""

    applied: tuple[str, ...]
    needs_restart: tuple[str, ...]


def diff(old: Config, new: Config) -> Changes:
    before, after = old.flat(), new.flat()
    changed = [key for key, value in after.items() if value != before[key]]
    restart = tuple(key for key in changed if key in RESTART_KEYS or f"{key.partition('.')[0]}.*" in RESTART_KEYS)
    return Changes(tuple(key for key in changed if key not in restart), restart)
