"""One entry of a buffer to one experience, or to the reason why it is none. Knows the entry's format, no file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sleepd.experience.privacy import scrub
from sleepd.experience.salience import ConversationalSalienceScorer
from sleepd.records import EntryError, Experience, Salience

DIMENSIONS = ("surprise", "novelty", "arousal", "reward", "conflict")
EXCERPT = 120  # characters of a bad entry that are kept
_LONGEST_ID = 200


class Malformed(ValueError):
    """Why a value is no entry. Never leaves the reader and the ingestor, who quarantine the entry."""


def experience_id(prompt: str, response: str) -> str:
    """The id that writers give an exchange: 16 hex digits of sha256("prompt|response")."""
    return hashlib.sha256(f"{prompt}|{response}".encode("utf-8", "replace")).hexdigest()[:16]


def known_as(value: object) -> str | None:
    """The id that an entry would have, told without judging the rest; None when it has none."""
    if not isinstance(value, dict):
        return None
    given = value.get("id")
    if isinstance(given, str) and given:
        return given
    prompt, response = value.get("prompt"), value.get("response")
    return experience_id(prompt, response) if given is None and isinstance(prompt, str) and isinstance(response, str) else None


def parse_entry(value: object, scorer: ConversationalSalienceScorer) -> Experience:
    """The experience that a parsed JSON value is. ``scorer`` scores it when its writer did not, and sees every reply.

    Naive timestamps are read as local time of this machine and become UTC. Raises Malformed.
    """
    if not isinstance(value, dict):
        raise Malformed(f"is {_kind(value)}, not an object")
    prompt, response = _text(value, "prompt"), _text(value, "response")
    if not prompt.strip() and not response.strip():
        raise Malformed("prompt and response are empty")
    given = value.get("id")
    if given is not None and (not isinstance(given, str) or not 0 < len(given) <= _LONGEST_ID):
        raise Malformed(f"id is {_kind(given)}, not a short text")
    phase = value.get("phase")
    if phase is not None and not isinstance(phase, str):
        raise Malformed(f"phase is {_kind(phase)}, not a text")
    fields = (
        _session(value.get("session")),
        phase,
        _timestamp(value.get("timestamp")),
        _metadata(value.get("metadata")),
        _tool_calls(value.get("tool_calls")),
    )
    if value.get("salience") is None:
        salience = scorer.score(prompt, response)
    else:
        salience = _salience(value["salience"])
        scorer.observe(response)
    return Experience(given or experience_id(prompt, response), prompt, response, salience, *fields)


def quarantined(position: int, value: object, reason: str) -> EntryError:
    """The record of a bad entry, without the secrets it may hold."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    excerpt = scrub(text)[0]
    return EntryError(position, reason, excerpt if len(excerpt) <= EXCERPT else excerpt[: EXCERPT - 1] + "…")


def _text(value: Mapping[str, Any], name: str) -> str:
    if name not in value:
        raise Malformed(f"has no {name}")
    text = value[name]
    if not isinstance(text, str):
        raise Malformed(f"{name} is {_kind(text)}, not a text")
    # half a surrogate pair can be written in JSON and nowhere else
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def _salience(value: object) -> Salience:
    if not isinstance(value, dict):
        raise Malformed(f"salience is {_kind(value)}, not an object")
    scores: dict[str, float] = {}
    for name in (*DIMENSIONS, "total"):
        if name not in value and name == "total" and len(scores) == len(DIMENSIONS):
            scores[name] = sum(scores.values()) / len(scores)
            continue
        score = value.get(name)
        if isinstance(score, bool) or not isinstance(score, int | float):
            raise Malformed(f"salience.{name} is {_kind(score)}, not a number" if name in value else f"salience has no {name}")
        if not math.isfinite(score) or not 0 <= score <= 1:
            raise Malformed(f"salience.{name} is {score}, not in 0..1")
        scores[name] = float(score)
    return Salience(**scores)


def _session(value: object) -> int | None:
    if value is None or (isinstance(value, int) and not isinstance(value, bool)):
        number = value
    elif (isinstance(value, float) and value.is_integer()) or (isinstance(value, str) and value.strip().isdecimal() and len(value) < 18):
        number = int(value)
    else:
        raise Malformed(f"session is {_kind(value)}, not a whole number")
    if number is not None and abs(number) >= 2**63:
        raise Malformed(f"session is {number}, too large")
    return number


def _timestamp(value: object) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise Malformed(f"timestamp is {_kind(value)}, not a text")
    try:
        return datetime.fromisoformat(value.strip()).astimezone(UTC).isoformat()
    except (ValueError, OverflowError) as error:
        raise Malformed(f'timestamp "{value[:40]}" is not ISO 8601') from error


def _metadata(value: object) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"metadata is {_kind(value)}, not an object")
    return value


def _tool_calls(value: object) -> tuple[Mapping[str, Any], ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(isinstance(call, dict) for call in value):
        raise Malformed("tool_calls is not a list of objects")
    return tuple(value)


def _kind(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    names = {str: "a text", int: "a number", float: "a number", list: "a list", dict: "an object"}
    return names.get(type(value), type(value).__name__)
