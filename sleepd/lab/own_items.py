"""The seedling's own fixed items, so that the gate's probes of identity, refusals and general knowledge have teeth on it.

Sums are left out. The seedling gets most of them wrong, and what it knows only by halves is lost and won by chance.
"""

from __future__ import annotations

import json
from pathlib import Path

from sleepd import fixed_items
from sleepd.config.schema import Config
from sleepd.fixed_items import FixedItem, Name
from sleepd.lab.smalltalk import GENERAL, IDENTITY, REFUSALS

_NAME, _HABIT = "Seedling", "sleep"


def own_items(name: Name) -> tuple[FixedItem, ...]:
    """Every question once. What counts is the name in an answer on identity, the last word in one on general knowledge."""
    if name == "general":
        return tuple(
            FixedItem(question, (reply.rstrip(".").rsplit(" ", 1)[-1],), "general")
            for question, reply in GENERAL
            if " plus " not in question
        )
    accepted = {question: (_NAME if _NAME in reply else _HABIT) for question, reply in IDENTITY}
    declined = dict.fromkeys(question for question, _ in REFUSALS)
    return (
        *(FixedItem(question, (form,), "identity") for question, form in accepted.items()),
        *(FixedItem(question, (), "refusal") for question in declined),
    )


def write(directory: Path, config: Config) -> None:
    """Both files of a job: the configured ones, else the seedling's own."""
    configured: dict[Name, str] = {"identity": config.training.identity_file, "general": config.training.general_file}
    for name, path in configured.items():
        items = fixed_items.read(fixed_items.source(path, name), name) if path else own_items(name)
        (directory / f"{name}.jsonl").write_text("".join(json.dumps(item.document()) + "\n" for item in items), encoding="utf-8")
