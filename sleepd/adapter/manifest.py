"""The manifest of a cycle directory: what is in it, what it was made from, and whether that is still so.

Owns ``manifest.json``. It is the last file written in staging, so a directory with a manifest whose files
all match is complete, and one without is not a cycle.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

from sleepd.adapter.artifact import PICKLE_SUFFIXES, WEIGHTS
from sleepd.durable import sha256_file
from sleepd.errors import StoreError
from sleepd.records import GateReport

NAME = "manifest.json"
FORMAT = 1
# What a person needs years later to say where an adapter came from. The store adds id, number and files.
REQUIRED = ("base", "adapter_sha256", "experience_ids", "card_ids", "seeds", "versions", "gate")
_ROLL_BACK = "roll back to another cycle with `sleepd rollback`"


def compose(job: Mapping[str, object], result: Mapping[str, object], report: GateReport, created: str) -> dict[str, object]:
    """The part of a manifest that comes from a job, its result and the gate's verdict. ``created``: ISO 8601."""
    adapter = result["adapter"]
    return {
        "created": created,
        "job_id": job["id"],
        "kind": job["kind"],
        "base": job["model"],
        "adapter_sha256": adapter["sha256"] if isinstance(adapter, Mapping) else None,
        "experience_ids": result["experiences_used"],
        "card_ids": result["cards_used"],
        "seeds": {"job": job["seed"]},
        "versions": result["versions"],
        "gate": gate_document(report),
    }


def gate_document(report: GateReport) -> dict[str, object]:
    """The gate's verdict as JSON, every check with its numbers."""
    checks = [{"name": c.name, "ok": c.ok, "detail": c.detail, "numbers": dict(c.numbers)} for c in report.checks]
    return {"accepted": report.accepted, "reasons": list(report.reasons), "checks": checks}


def describe(directory: Path) -> dict[str, dict[str, object]]:
    """Size and sha256 of every file in ``directory``, by name."""
    files = sorted(file for file in directory.iterdir() if file.name != NAME)
    return {file.name: {"bytes": file.stat().st_size, "sha256": sha256_file(file)} for file in files}


def read(directory: Path) -> dict[str, object]:
    """The manifest of a published directory; raises StoreError when there is none that can be read."""
    file = directory / NAME
    try:
        value = json.loads(file.read_bytes())
    except OSError as error:
        raise StoreError(f"{directory} is incomplete: {NAME} cannot be read ({error.strerror})", _ROLL_BACK) from error
    except ValueError as error:
        raise StoreError(f"{file} is damaged: {error}", _ROLL_BACK) from error
    files = value.get("files") if isinstance(value, dict) else None
    if not isinstance(value, dict) or not isinstance(files, dict) or WEIGHTS not in files or value.get("id") != directory.name:
        raise StoreError(f"{file} is not the manifest of {directory.name}", _ROLL_BACK)
    return value


def recorded_files(directory: Path) -> dict[str, tuple[int, str]]:
    """Size and sha256 of every file as the manifest recorded them."""
    recorded: dict[str, tuple[int, str]] = {}
    files = read(directory)["files"]
    assert isinstance(files, dict)  # read() has checked it
    for name, entry in files.items():
        size, digest = (entry.get("bytes"), entry.get("sha256")) if isinstance(entry, dict) else (None, None)
        if not isinstance(size, int) or not isinstance(digest, str) or Path(name).name != name:
            raise StoreError(f"{directory / NAME} is damaged: its entry for {name!r} is unusable", _ROLL_BACK)
        recorded[name] = (size, digest)
    return recorded


def check_complete(directory: Path) -> None:
    """Raise StoreError unless every recorded file is there with its size. Costs no reading of weights."""
    for name, (size, _) in recorded_files(directory).items():
        file = directory / name
        if file.is_symlink() or not file.is_file():
            raise StoreError(f"{file} is missing", _ROLL_BACK)
        if (actual := file.stat().st_size) != size:
            raise StoreError(f"{file} has {actual} bytes and was published with {size}", _ROLL_BACK)


def check_hashes(directory: Path) -> None:
    """Raise StoreError unless every recorded file has its recorded sha256 and no pickle was put beside them."""
    check_complete(directory)
    for name, (_, digest) in recorded_files(directory).items():
        if (actual := sha256_file(directory / name)) != digest:
            raise StoreError(f"{directory / name} has changed: sha256 {actual[:16]} instead of {digest[:16]}", _ROLL_BACK)
    for file in directory.iterdir():
        if file.suffix in PICKLE_SUFFIXES:
            raise StoreError(f"{file} was added after publishing and could run code when loaded", f"remove {file}")
