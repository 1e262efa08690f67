"""The fixed items that a person may edit: who the model is, what it declines, what it knows in general.

Owns the form of ``identity.jsonl`` and ``general.jsonl`` (one JSON object a line; empty lines and lines that
begin with # are skipped) and which items are probed and which are rehearsed. An item is never both: what was
trained proves nothing about harm.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from sleepd.errors import ConfigError

Kind = Literal["identity", "refusal", "general"]
Name = Literal["identity", "general"]

NAMES: tuple[Name, ...] = ("identity", "general")
KINDS: dict[Name, tuple[Kind, ...]] = {"identity": ("identity", "refusal"), "general": ("general",)}
NAME_MARK = "{name}"  # in ``accept``: every name of training.identity_names
MIN_ITEMS: dict[Name, int] = {"identity": 1, "general": 12}  # fewer general ones could not be judged
MAX_ITEMS = 500  # each is asked twice a night
# One in so many is rehearsed, the others are probed. The general probe needs its numbers; identity needs rehearsal.
REHEARSED_ONE_IN: dict[Kind, int] = {"identity": 2, "refusal": 2, "general": 4}

_EXAMPLES: dict[Name, str] = {
    "identity": '{"kind": "identity", "question": "What is your name?", "accept": ["{name}"]} or {"kind": "refusal", "question": "..."}',
    "general": '{"question": "What is the capital of France?", "accept": ["Paris"]}',
}


@dataclass(frozen=True)
class FixedItem:
    """One question. ``accept``: forms of which an answer must hold one; a refusal has none, since declining is what counts."""

    question: str
    accept: tuple[str, ...]
    kind: Kind

    def document(self) -> dict[str, Any]:
        """As a line of the file."""
        return {"kind": self.kind, "question": self.question, "accept": list(self.accept)}


@dataclass(frozen=True)
class SplitItems:
    """``probed``: asked of base and candidate, never trained. ``rehearsed``: the base's answers to these may be rehearsed."""

    probed: tuple[FixedItem, ...]
    rehearsed: tuple[FixedItem, ...]


def source(configured: str, name: Name, home: Path | None = None) -> Path:
    """The file to read: the configured one, or the one that comes with sleepd when none is configured."""
    if not configured:
        return Path(__file__).parent / "night" / "data" / f"{name}.jsonl"
    if configured.startswith("~/"):
        return (home or Path.home()) / configured[2:]
    return Path(configured)


def read(path: Path, name: Name) -> tuple[FixedItem, ...]:
    """The items of a file. Raises ConfigError naming the file, the line, the value and the remedy."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"training.{name}_file {path} cannot be read: {error}", "name a UTF-8 file, or leave the key empty") from error
    items: dict[str, FixedItem] = {}
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        item = _item(line, name, f"{path}:{number}")
        if item.question in items:
            raise ConfigError(f'{path}:{number}: question "{item.question}" stands there twice', "remove one of the two lines")
        items[item.question] = item
    if not MIN_ITEMS[name] <= len(items) <= MAX_ITEMS:
        raise ConfigError(
            f"{path} holds {len(items)} items, and {MIN_ITEMS[name]} to {MAX_ITEMS} are needed to judge a night by",
            "add or remove lines, or leave the key empty for the items that come with sleepd",
        )
    return tuple(items.values())


def named(items: Iterable[FixedItem], names: Sequence[str]) -> tuple[FixedItem, ...]:
    """The items with the model's names in place of the mark. An item that accepts nothing without names is left out."""
    filled = []
    for item in items:
        forms = tuple(form.replace(NAME_MARK, name) for form in item.accept for name in (names if NAME_MARK in form else ("",)))
        if forms or item.kind == "refusal":
            filled.append(FixedItem(item.question, forms, item.kind))
    return tuple(filled)


def split_items(items: Sequence[FixedItem]) -> SplitItems:
    """Which items are probed and which rehearsed, by their order within their kind; the first of a kind is probed."""
    probed: list[FixedItem] = []
    rehearsed: list[FixedItem] = []
    seen: dict[Kind, int] = {}
    for item in items:
        seen[item.kind] = seen.get(item.kind, 0) + 1
        (rehearsed if seen[item.kind] % REHEARSED_ONE_IN[item.kind] == 0 else probed).append(item)
    return SplitItems(tuple(probed), tuple(rehearsed))


def _item(line: str, name: Name, where: str) -> FixedItem:
    remedy = f"write it as {_EXAMPLES[name]}"
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ConfigError(f"{where}: {_shown(line)} is not JSON ({error})", remedy) from error
    if not isinstance(row, dict):
        raise ConfigError(f"{where}: {_shown(line)} is not an object", remedy)
    if unknown := sorted(set(row) - {"kind", "question", "accept"}):
        raise ConfigError(f"{where}: unknown key {unknown[0]!r}", remedy)
    kind, question, accept = row.get("kind", KINDS[name][0]), row.get("question"), row.get("accept", [])
    if kind not in KINDS[name]:
        raise ConfigError(f"{where}: kind {kind!r} is not one of {', '.join(KINDS[name])}", remedy)
    if not isinstance(question, str) or not question.strip():
        raise ConfigError(f"{where}: question {question!r} is no text", remedy)
    if not isinstance(accept, list) or not all(isinstance(form, str) and form.strip() for form in accept):
        raise ConfigError(f"{where}: accept {accept!r} is no list of texts", remedy)
    if kind == "refusal" and accept:
        raise ConfigError(f"{where}: accept {accept!r} means nothing for a refusal: declining is what counts", "leave accept out")
    if kind != "refusal" and not accept:
        raise ConfigError(f"{where}: accept is empty, so that no answer could be right", remedy)
    return FixedItem(question.strip(), tuple(form.strip() for form in accept), kind)


def _shown(line: str) -> str:
    return line if len(line) <= 60 else line[:57] + "..."
