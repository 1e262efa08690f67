"""Reads OpenAI-style chat requests. Whatever would change the answer and is not supported is refused, never ignored."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from sleepd.serve.values import ChatRequest, Message, RequestError, Sampling, SamplingDefaults

_ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant"}
_MAX_STOPS = 16
_MAX_STOP_LENGTH = 200
_SEED_LIMIT = 2**63

# Fields that change an answer, with the values that mean "not used".
_UNSUPPORTED: Mapping[str, tuple[object, ...]] = {
    "tools": (None, []),
    "functions": (None, []),
    "tool_choice": (None, "none", "auto"),
    "function_call": (None, "none", "auto"),
    "response_format": (None, {"type": "text"}),
    "logprobs": (None, False),
    "top_logprobs": (None, 0),
    "logit_bias": (None, {}),
    "presence_penalty": (None, 0),
    "frequency_penalty": (None, 0),
    "audio": (None,),
    "modalities": (None, ["text"]),
}


def parse_json(body: bytes) -> Mapping[str, Any]:
    """The request body as a JSON object."""
    try:
        document = json.loads(body)
    except UnicodeDecodeError as error:
        raise RequestError("the request body is not UTF-8", "send JSON in UTF-8", code="invalid_json") from error
    except ValueError as error:
        raise RequestError(f"the request body is not JSON: {error}", "send a JSON object", code="invalid_json") from error
    except RecursionError as error:
        raise RequestError("the request body is nested too deeply", "send a flat JSON object", code="invalid_json") from error
    if not isinstance(document, dict):
        raise RequestError(f"the request body is a JSON {_kind(document)}, not an object", "send a JSON object", code="invalid_json")
    return document


def parse_chat(document: Mapping[str, Any], defaults: SamplingDefaults, max_new_tokens: int) -> ChatRequest:
    """Validate a chat request. ``defaults`` fill what it leaves out; longer answers are cut at ``max_new_tokens``."""
    for name, harmless in _UNSUPPORTED.items():
        if name in document and document[name] not in harmless:
            raise RequestError(f"{name} is not supported", f"leave {name} out", code="unsupported_parameter", param=name)
    n = document.get("n")
    if n is not None and (isinstance(n, bool) or n != 1):
        raise RequestError(
            f"n is {n!r}; one answer a request is supported", "send n=1 and repeat the request", code="unsupported_parameter", param="n"
        )
    options = document.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise _wrong("stream_options", options, "an object")
    return ChatRequest(
        messages=_messages(document.get("messages")),
        sampling=_sampling(document, defaults, max_new_tokens),
        stream=_flag(document, "stream"),
        include_usage=_flag(options or {}, "include_usage"),
        model=_text(document, "model"),
        user=_text(document, "user"),
    )


def _sampling(document: Mapping[str, Any], defaults: SamplingDefaults, max_new_tokens: int) -> Sampling:
    name = "max_completion_tokens" if document.get("max_completion_tokens") is not None else "max_tokens"
    return Sampling(
        temperature=_number(document, "temperature", defaults.temperature, 0.0, 2.0),
        top_p=_number(document, "top_p", defaults.top_p, 0.0, 1.0),
        top_k=_integer(document, "top_k", defaults.top_k, 0, _SEED_LIMIT) or 0,
        max_tokens=min(_integer(document, name, max_new_tokens, 1, _SEED_LIMIT) or max_new_tokens, max_new_tokens),
        stop=_stops(document.get("stop")),
        seed=_integer(document, "seed", None, -_SEED_LIMIT, _SEED_LIMIT),
    )


def _messages(value: object) -> tuple[Message, ...]:
    if not isinstance(value, list) or not value:
        raise _wrong("messages", value, "a list with at least one message")
    return tuple(_message(f"messages[{index}]", entry) for index, entry in enumerate(value))


def _message(where: str, entry: object) -> Message:
    if not isinstance(entry, dict):
        raise _wrong(where, entry, 'an object with "role" and "content"')
    role = entry.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise _wrong(f"{where}.role", role, f"one of {', '.join(_ROLES)}")
    if entry.get("tool_calls"):
        raise RequestError(
            f"{where}.tool_calls is not supported", "send text messages only", code="unsupported_parameter", param=f"{where}.tool_calls"
        )
    content = entry.get("content")
    if isinstance(content, list):
        content = "".join(_part(f"{where}.content[{index}]", part) for index, part in enumerate(content))
    if not isinstance(content, str):
        raise _wrong(f"{where}.content", content, "text")
    _check_unicode(f"{where}.content", content)
    return Message(_ROLES[role], content)


def _part(where: str, part: object) -> str:
    if not isinstance(part, dict) or part.get("type") != "text" or not isinstance(part.get("text"), str):
        raise _wrong(
            where, part.get("type") if isinstance(part, dict) else part, 'a part {"type": "text", "text": ...}; this model reads text only'
        )
    return str(part["text"])


def _stops(value: object) -> tuple[str, ...]:
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or len(stops) > _MAX_STOPS:
        raise _wrong("stop", value, f"a text or a list of at most {_MAX_STOPS} texts")
    for stop in stops:
        if not isinstance(stop, str) or not 0 < len(stop) <= _MAX_STOP_LENGTH:
            raise _wrong("stop", stop, f"texts of 1 to {_MAX_STOP_LENGTH} characters")
        _check_unicode("stop", stop)
    return tuple(stops)


def _number(document: Mapping[str, Any], name: str, default: float, low: float, high: float) -> float:
    value = document.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or not low <= value <= high:
        raise _wrong(name, value, f"a number from {low:g} to {high:g}")
    return float(value)


def _integer(document: Mapping[str, Any], name: str, default: int | None, low: int, high: int) -> int | None:
    value = document.get(name)
    if value is None:
        return default
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value < high:
        raise _wrong(name, value, f"a whole number of at least {low}" if low >= 0 else "a whole number of 64 bits")
    return value


def _flag(document: Mapping[str, Any], name: str) -> bool:
    value = document.get(name)
    if value is None:
        return False
    if not isinstance(value, bool):
        raise _wrong(name, value, "true or false")
    return value


def _text(document: Mapping[str, Any], name: str) -> str | None:
    value = document.get(name)
    if value is not None and not isinstance(value, str):
        raise _wrong(name, value, "text")
    return value


def _check_unicode(where: str, text: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise RequestError(
            f"{where} holds half of a surrogate pair at character {error.start}", "send valid Unicode", param=where
        ) from error


def _wrong(where: str, value: object, wanted: str) -> RequestError:
    shown = "missing" if value is None else repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return RequestError(f"{where} must be {wanted}; it is {shown}", f"correct {where}", param=where)


def _kind(value: object) -> str:
    return {list: "list", str: "text", bool: "boolean", int: "number", float: "number"}.get(type(value), "null")
