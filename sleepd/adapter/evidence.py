"""Reading a child's result without trusting it: what is missing or of the wrong type is an EvidenceError.

The checks of the gate read only through this module, so a damaged result refuses the candidate and never
raises out of the gate. Every message names the path of the value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

_MISSING = object()


class EvidenceError(ValueError):
    """A value that a check needs is missing or cannot be one."""


def value(document: Mapping[str, object], path: str) -> object:
    """The value at a dotted path."""
    here: object = document
    for key in path.split("."):
        here = here.get(key, _MISSING) if isinstance(here, Mapping) else _MISSING
        if here is _MISSING:
            raise EvidenceError(f"{path} is missing from the result")
    return here


def number(document: Mapping[str, object], path: str) -> float:
    """A finite number."""
    return _finite(value(document, path), path)


def count(document: Mapping[str, object], path: str) -> int:
    """A whole number, not negative."""
    found = value(document, path)
    if not isinstance(found, int) or isinstance(found, bool) or found < 0:
        raise EvidenceError(f"{path} is {_shown(found)}, not a count")
    return found


def line(document: Mapping[str, object], path: str) -> str:
    """A string, perhaps empty."""
    found = value(document, path)
    if not isinstance(found, str):
        raise EvidenceError(f"{path} is {_shown(found)}, not a text")
    return found


def text(document: Mapping[str, object], path: str) -> str:
    """A string that is not empty."""
    found = line(document, path)
    if not found:
        raise EvidenceError(f"{path} is empty")
    return found


def flag(document: Mapping[str, object], path: str) -> bool:
    return _bool(value(document, path), path)


def mapping(document: Mapping[str, object], path: str) -> Mapping[str, object]:
    found = value(document, path)
    if not isinstance(found, Mapping):
        raise EvidenceError(f"{path} is {_shown(found)}, not an object")
    return found


def rows(document: Mapping[str, object], path: str) -> list[Mapping[str, object]]:
    """A list of objects, perhaps empty."""
    return [_mapping(item, f"{path}[{i}]") for i, item in enumerate(_sequence(value(document, path), path))]


def numbers(document: Mapping[str, object], path: str) -> list[float]:
    """A list of finite numbers, perhaps empty."""
    return [_finite(item, f"{path}[{i}]") for i, item in enumerate(_sequence(value(document, path), path))]


def flags(document: Mapping[str, object], path: str) -> list[bool]:
    """A list of booleans, perhaps empty."""
    return [_bool(item, f"{path}[{i}]") for i, item in enumerate(_sequence(value(document, path), path))]


def distinct(items: Sequence[str], what: str) -> None:
    """Raise EvidenceError when one occurs twice: it would count twice."""
    if len(set(items)) != len(items):
        raise EvidenceError(f"{what} holds an item twice")


def _sequence(found: object, path: str) -> Sequence[object]:
    if not isinstance(found, (list, tuple)):
        raise EvidenceError(f"{path} is {_shown(found)}, not a list")
    return found


def _mapping(found: object, path: str) -> Mapping[str, object]:
    if not isinstance(found, Mapping):
        raise EvidenceError(f"{path} is {_shown(found)}, not an object")
    return found


def _bool(found: object, path: str) -> bool:
    if not isinstance(found, bool):
        raise EvidenceError(f"{path} is {_shown(found)}, not true or false")
    return found


def _finite(found: object, path: str) -> float:
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        raise EvidenceError(f"{path} is {_shown(found)}, not a number")
    try:
        converted = float(found)
    except OverflowError as error:
        raise EvidenceError(f"{path} is too large to be a measurement") from error
    if not math.isfinite(converted):
        raise EvidenceError(f"{path} is {converted}, not a finite number")
    return converted


def _shown(found: object) -> str:
    return "null" if found is None else f"of type {type(found).__name__}"
