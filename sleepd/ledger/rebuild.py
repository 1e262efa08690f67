"""Makes a lost ledger again from what lies beside it: the exported state and the cycles' own records.

Also the way in from earlier programs, which left ``scheduler_state.json`` and ``cycle_NNN/training_state.json``.
A cycle directory alone is no proof that its adapter was ever served, so a cycle counts as committed only where
something later says so. What was trained is taken from the manifests, experience by experience; a cycle without
one is remembered, and its experiences count as new: training one again does less harm than losing it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from sleepd.ledger.ledger import Ledger
from sleepd.ledger.tombstones import FILE as TOMBSTONES
from sleepd.ledger.tombstones import restore_tombstones
from sleepd.records import CycleKind

SCHEDULER_STATE = "scheduler_state.json"
LINKS = ("active", "last_good")
BY = "rebuild"
_CYCLE = re.compile(r"cycle_(\d{3,})")

Document = dict[str, object]


@dataclass(frozen=True)
class RebuildReport:
    """How many cycles and requests to forget were restored, and which files could not be used, with the reason."""

    cycles: int
    forgets: int = 0
    problems: tuple[str, ...] = ()


@dataclass
class _Found:
    """Everything that the files say, by cycle number."""

    state_dir: Path
    history: dict[int, Document] = field(default_factory=dict)
    directories: dict[int, Path] = field(default_factory=dict)
    manifests: dict[int, Document] = field(default_factory=dict)
    named: set[int] = field(default_factory=set)
    links: dict[str, int] = field(default_factory=dict)
    last_sleep: datetime | None = None
    problems: list[str] = field(default_factory=list)


def rebuild(ledger: Ledger, state_dir: Path) -> RebuildReport:
    """Restore cycles, trained experiences, what was forgotten and the active adapter of a ledger that has no cycle yet; else do nothing.

    Raises LedgerError when the file of what was forgotten cannot be used.
    """
    if ledger.cycles.highest() > 0:
        return RebuildReport(0)
    found = _look(state_dir)
    with ledger.transaction():
        forgets = restore_tombstones(ledger, state_dir / TOMBSTONES)
        for number in sorted(set(found.history) | set(found.directories)):
            _restore(ledger, found, number)
        _restore_active(ledger, found)
    return RebuildReport(len(set(found.history) | set(found.directories)), forgets, tuple(found.problems))


def _look(state_dir: Path) -> _Found:
    found = _Found(state_dir)
    for root in (state_dir, state_dir / "adapters"):  # earlier programs had no directory between
        if not root.is_dir():
            continue
        for entry in root.iterdir():
            match = _CYCLE.fullmatch(entry.name)
            if match and entry.is_dir() and not entry.is_symlink():
                found.directories[int(match[1])] = entry
        for name in LINKS:
            match = _CYCLE.fullmatch((root / name).readlink().name) if (root / name).is_symlink() else None
            if match:
                found.links[name] = int(match[1])
                found.named.add(int(match[1]))
    for number in sorted(found.directories):
        _look_into(found, number)
    state = _read(state_dir / SCHEDULER_STATE, found)
    if state is not None:
        found.last_sleep = _moment(state.get("last_sleep_time"))
        _remember(found, state.get("sleep_history"), own=None)
    return found


def _look_into(found: _Found, number: int) -> None:
    """One cycle directory. The history of a later cycle names the ones before it that were committed."""
    directory = found.directories[number]
    state = _read(directory / "training_state.json", found) or {}
    _remember(found, state.get("training_history"), own=number)
    results = _read(directory / "cycle_results.json", found)
    if results is not None:
        found.history[number] = {**found.history.get(number, {}), **results}
    manifest = _read(directory / "manifest.json", found)
    if manifest is not None:
        found.manifests[number] = manifest


def _remember(found: _Found, history: object, own: int | None) -> None:
    for entry in history if isinstance(history, list) else []:
        number = (entry.get("cycle") or entry.get("sleep_cycle")) if isinstance(entry, dict) else None
        if isinstance(number, int) and number > 0:
            found.history[number] = {**found.history.get(number, {}), **entry}
            if number != own:
                found.named.add(number)


def _restore(ledger: Ledger, found: _Found, number: int) -> None:
    entry, manifest = found.history.get(number, {}), found.manifests.get(number, {})
    directory = found.directories.get(number)
    # a directory without a manifest is an earlier program's, and those served whatever they trained
    committed = number in found.named or number not in found.manifests
    at = _moment(entry.get("timestamp")) or _moment(manifest.get("created")) or _modified(directory or found.state_dir)
    kind: CycleKind = "deep" if manifest.get("kind") == "deep" else "light"
    summary = {"num_experiences": entry.get("num_experiences", 0), **{key: entry.get(key) for key in ("final_loss", "timestamp")}}
    if "sleep_cycle" in entry:
        summary["cycle_results"] = {key: value for key, value in entry.items() if key != "cycle"}
    ledger.cycles.begin(number, kind, "", at, BY)
    newest = number == max(found.named, default=0)
    finished = found.last_sleep if newest and found.last_sleep else at
    reasons = ["rebuilt from its records"] if committed else ["rebuilt from its records: nothing says that it was committed"]
    ledger.cycles.finish(number, "committed" if committed else "rolled_back", reasons, finished, summary)
    if committed and number <= found.links.get("active", 0):
        ids = manifest.get("experience_ids")
        ledger.experiences.mark_trained([str(i) for i in ids] if isinstance(ids, list) else [], number)


def _restore_active(ledger: Ledger, found: _Found) -> None:
    number = found.links.get("active")
    if number is None or number not in found.manifests:
        return
    manifest, row = found.manifests[number], ledger.cycles.find(number)
    base = manifest.get("base")
    if isinstance(base, dict) and isinstance(base.get("sha256"), str):
        ledger.values.set("pinned_base", base["sha256"])
    since = None if row is None or row.finished_at is None else row.finished_at.isoformat()
    adapter = {"id": manifest.get("id"), "sha256": manifest.get("adapter_sha256"), "since": since}
    ledger.values.set("active", {**adapter, "why": "found in service when the ledger was rebuilt", "by": BY})


def _read(file: Path, found: _Found) -> Document | None:
    """A JSON object, or None with a problem noted. A ledger is rebuilt after an accident: what is left must do."""
    try:
        value = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except OSError as error:
        found.problems.append(f"{file}: {error.strerror}")
        return None
    except ValueError as error:
        found.problems.append(f"{file}: not JSON: {error}")
        return None
    if not isinstance(value, dict):
        found.problems.append(f"{file}: not a JSON object")
        return None
    return value


def _moment(value: object) -> datetime | None:
    """A time as the documents have it; one without offset is local."""
    try:
        return datetime.fromisoformat(value).astimezone(UTC) if isinstance(value, str) else None
    except ValueError:
        return None


def _modified(directory: Path) -> datetime:
    return datetime.fromtimestamp(directory.stat().st_mtime, UTC)
