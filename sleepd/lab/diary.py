"""The record of one seed's nights, written whole after every night, so that an interrupted run goes on after the last one."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sleepd.durable import write_json
from sleepd.errors import StoreError
from sleepd.lab.measure import Standing, standing_from

FORMAT = 1
NAME = "diary.json"


@dataclass(frozen=True)
class Night:
    """One night's outcome. ``seconds`` is the night's work alone, not the laboratory's examination; ``peak_mb`` its memory.

    ``kind``: light, or deep, which begins from the base model again. ``verdict``: accepted, rejected, skipped (nothing to
    learn), or what a recipe without a gate says instead.
    """

    number: int
    verdict: str
    reasons: tuple[str, ...]
    seconds: float
    peak_mb: float
    tokens: int
    kind: str = "light"


@dataclass
class Diary:
    """``standings[0]`` is the bare base, ``standings[i]`` after night i. ``memory``: what the next night needs to know.

    ``extra``: figures of what happened after the last night, None until then.
    """

    plan: Mapping[str, Any]
    nights: list[Night] = field(default_factory=list)
    standings: list[Standing] = field(default_factory=list)
    memory: Mapping[str, Any] = field(default_factory=dict)
    extra: Mapping[str, Any] | None = None


def load(folder: Path, plan: Mapping[str, Any]) -> Diary:
    """The diary that ``folder`` holds, or a new one. StoreError when it is of another plan."""
    path = folder / NAME
    if not path.exists():
        return Diary(plan)
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        found = document["plan"]
        nights = [Night(**{**row, "reasons": tuple(row["reasons"])}) for row in document["nights"]]
        diary = Diary(found, nights, [standing_from(row) for row in document["standings"]], document["memory"], document["extra"])
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(f"{path} is no diary of the laboratory: {error}", "name another --out, or remove the folder") from error
    differing = [key for key in plan if found.get(key) != plan[key]]
    if differing:
        key = differing[0]
        raise StoreError(
            f"{folder} holds a run with {key} {found.get(key)!r}, not {plan[key]!r}",
            "name another --out, or repeat the command that the folder was made with to go on with it",
        )
    return diary


def save(folder: Path, diary: Diary) -> None:
    """Write the diary so that a reader sees the last night's or this one's, whole."""
    write_json(folder / NAME, {"format": FORMAT, **asdict(diary)})
