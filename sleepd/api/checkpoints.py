"""The directory of cycles that the API writes: what its cycles say, its lock, and how a new cycle is published.

Cycles of earlier programs are read too; they have no manifest, so the experiences in them are known by number only.
Nothing here follows or moves an ``active`` link: whoever serves takes the highest cycle, as the documents do.
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sleepd import durable
from sleepd.adapter import manifest
from sleepd.adapter.artifact import ADAPTER_FILES, CONFIG
from sleepd.adapter.store import ACTIVE, LAST_GOOD, AdapterStore
from sleepd.errors import ConfigError, ModelError, SkippedError, StoreError
from sleepd.night.presets import settings

log = logging.getLogger(__name__)

LOCK = "cycle.lock"
JOB_PREFIX = ".sleepd-job-"
TRAINING_STATE = "training_state.json"
SEEN = "seen_ids"
PRESET = "seed"  # the documents' settings: rank 4, alpha 8 on q_proj and v_proj
_CYCLE = re.compile(r"cycle_(\d+)")

Document = dict[str, Any]


@dataclass(frozen=True)
class Record:
    """What the cycles on disk say together.

    ``number``: the highest cycle that left a state, 0 without one. ``trained``: experience ids of cycles with a
    manifest; ``claimed``: how many earlier programs say they trained, repeats included. ``seen``: ids that were
    there to be trained when some cycle ran. ``updated``: ISO 8601, local.
    """

    number: int = 0
    history: tuple[Document, ...] = ()
    trained: frozenset[str] = frozenset()
    claimed: int = 0
    seen: frozenset[str] = frozenset()
    updated: str | None = None

    @property
    def total_trained(self) -> int:
        return len(self.trained) + self.claimed


class Checkpoints:
    """One directory of ``cycle_NNN`` directories. Made when the object is. Raises StoreError when it cannot be."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.store = AdapterStore(root)
        try:
            root.mkdir(mode=durable.DIRECTORY_MODE, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(
                f"checkpoint directory {root} cannot be made: {error.strerror}", "pass a checkpoint_dir that this user may write"
            ) from error

    def cycles(self) -> list[tuple[int, Path]]:
        """Cycle directories by number, ascending: cycle_1000 comes after cycle_999."""
        found = [
            (int(match[1]), entry)
            for entry in self.root.iterdir()
            if (match := _CYCLE.fullmatch(entry.name)) and entry.is_dir() and not entry.is_symlink()
        ]
        return sorted(found)

    def latest(self) -> Path | None:
        cycles = self.cycles()
        return cycles[-1][1] if cycles else None

    def living(self, base_sha256: str) -> Path | None:
        """The adapter that the next cycle continues: that of the highest cycle, None before the first.

        Raises StoreError when it is not whole, ModelError when it belongs to another base model.
        """
        directory = self.latest()
        if directory is None:
            return None
        missing = [name for name in ADAPTER_FILES if not (directory / name).is_file()]
        if missing:
            raise StoreError(f"{directory} is no complete cycle: {', '.join(missing)} is missing", f"restore it, or move {directory} away")
        _check_shape(directory)
        if (directory / manifest.NAME).is_file():
            manifest.check_hashes(directory)
            base = manifest.read(directory).get("base")
            trained_on = base.get("sha256") if isinstance(base, Mapping) else None
            if trained_on != base_sha256:
                raise ModelError(
                    f"{directory} was trained on a base model with sha256 {str(trained_on)[:12]}, the one given has {base_sha256[:12]}",
                    "pass the model that it was trained on, or another checkpoint_dir for this one",
                )
        return directory

    def look(self) -> Record:
        """Read every cycle. What cannot be read is logged and counts as not there."""
        state: Document = {}
        number = 0
        trained: set[str] = set()
        seen: set[str] = set()
        claimed = 0
        for cycle, directory in self.cycles():
            own = _read(directory / manifest.NAME)
            found = _read(directory / TRAINING_STATE)
            trained.update(_strings(own, "experience_ids"))
            seen.update(_strings(own, SEEN))
            if found is not None:
                state, number = found, cycle
                claimed = _count(found, "total_experiences_trained") if own is None else claimed
        history = state.get("training_history")
        updated = state.get("last_updated")
        return Record(
            max(number, _count(state, "sleep_cycle_count")),
            tuple(entry for entry in history if isinstance(entry, dict)) if isinstance(history, list) else (),
            frozenset(trained),
            claimed,
            frozenset(seen | trained),
            updated if isinstance(updated, str) else None,
        )

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the directory for one cycle; it ends with the process, however it ends.

        Raises SkippedError while another process holds it, ConfigError when a daemon keeps its adapters here.
        """
        for link in (ACTIVE, LAST_GOOD):
            if (self.root / link).is_symlink():
                raise ConfigError(
                    f"{self.root} holds the adapters of a sleepd daemon (it has a link {link})",
                    "pass a checkpoint_dir of its own, or ask the daemon: sleepd sleep",
                )
        try:
            descriptor = os.open(self.root / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, durable.FILE_MODE)
        except OSError as error:
            raise StoreError(
                f"checkpoint directory {self.root} cannot be written: {error.strerror}", "pass a checkpoint_dir that this user may write"
            ) from error
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise SkippedError(f"a sleep cycle is running in {self.root} already", "wait until it has ended") from error
            self._remove_leftovers()
            yield
        finally:
            os.close(descriptor)

    def _remove_leftovers(self) -> None:
        """Jobs of a process that was killed. Nothing else: people keep such directories under git."""
        for entry in self.root.glob(f"{JOB_PREFIX}*"):
            shutil.rmtree(entry, ignore_errors=True)


def _check_shape(directory: Path) -> None:
    """An adapter of another rank cannot be continued with the documents' settings."""
    wanted = settings({"preset": PRESET}, {}, 0)
    config = _read(directory / CONFIG) or {}
    rank, alpha = config.get("r"), config.get("lora_alpha")
    if (rank, alpha) != (wanted.rank, wanted.alpha):
        raise StoreError(
            f"the adapter in {directory} has rank {rank} and alpha {alpha}, the documents' loop trains {wanted.rank} and {wanted.alpha}",
            "pass another checkpoint_dir; adapters of other settings are the daemon's",
        )


def _read(file: Path) -> Document | None:
    """A JSON object, or None where there is none. One damaged record must not hide all the others."""
    try:
        value = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        log.warning("%s cannot be read and counts as missing: %s", file, error)
        return None
    return value if isinstance(value, dict) else None


def _strings(document: Document | None, key: str) -> list[str]:
    value = (document or {}).get(key)
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _count(document: Document, key: str) -> int:
    value = document.get(key)
    return value if isinstance(value, int) and value > 0 else 0
