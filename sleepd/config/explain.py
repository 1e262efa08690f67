"""Turns pydantic's findings into one error that an operator can act on: file, key, value, reason."""

from __future__ import annotations

import difflib
import json
from collections.abc import Mapping, Sequence

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from sleepd.config.schema import Config
from sleepd.errors import ConfigError

_LONGEST_VALUE = 60


def explained(error: ValidationError, origins: Mapping[str, str], files: Sequence[str]) -> ConfigError:
    """One line a problem, ``FILE: section.key = value: reason``, in the order of ``files``."""
    problems = error.errors(include_url=False)
    told = sorted((files.index(file), f"{file}: {line}") for file, line in (_told(problem, origins) for problem in problems))
    remedy = "correct it there; sleepd.toml explains every key"
    if any(problem["type"] == "extra_forbidden" for problem in problems):
        remedy = "correct it there; `sleepd config show` lists every key with its value"
    return ConfigError("\n".join(line for _, line in told), remedy)


def _told(problem: ErrorDetails, origins: Mapping[str, str]) -> tuple[str, str]:
    """The file that is to blame, and what is wrong."""
    section, *rest = problem["loc"]
    value = problem["input"]
    culprit = problem.get("ctx", {}).get("key", "")
    if culprit:  # the section was judged as a whole
        rest, value = [culprit], dict(value)[culprit]
    name = ".".join(str(part) for part in (section, *rest[:1]))
    file = origins.get(name) or origins[str(section)]
    shown = name + "".join(f"[{part}]" for part in rest[1:] if isinstance(part, int))
    if problem["type"] == "extra_forbidden":
        unknown = f"unknown {'key' if rest else 'section'}"
        return file, f"{shown} = {_shown(value)}: {unknown}{_suggestion(str(section), str(rest[0]) if rest else '')}"
    return file, f"{shown} = {_shown(value)}: {_reason(problem)}"


def _reason(problem: ErrorDetails) -> str:
    """pydantic's sentence as a clause: "must be ..."."""
    if problem["type"] == "model_type":
        return f"must be a section: write [{problem['loc'][0]}] on a line of its own"
    text = problem["msg"].replace("Input should be a valid i", "must be an i").replace("Input should be a valid", "must be a")
    text = text.replace("Input should be", "must be").replace("List should have", "must have").removesuffix(" after validation, not 0")
    return text[:1].lower() + text[1:]


def _suggestion(section: str, key: str) -> str:
    fields = Config.model_fields
    if not key:
        near = difflib.get_close_matches(section, list(fields), n=1)
        return f"; did you mean [{near[0]}]?" if near else f"; there are {', '.join(fields)}"
    keys = {name: list(content) for name, content in Config().model_dump().items()}
    near = difflib.get_close_matches(key, keys.get(section, []), n=1)
    if near:
        return f"; did you mean {near[0]}?"
    elsewhere = [f"{name}.{key}" for name in keys if key in keys[name]]
    return f"; did you mean {' or '.join(elsewhere)}?" if elsewhere else f"; [{section}] has {', '.join(keys.get(section, []))}"


def _shown(value: object) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = str(value)
    return text if len(text) <= _LONGEST_VALUE else text[: _LONGEST_VALUE - 3] + "..."
