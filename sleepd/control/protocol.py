"""The control protocol: one JSON line each way over a Unix stream socket. Encoding and decoding only.

Request ``{"id","command","args"}``; answer ``{"id","ok":true,"result"}`` or
``{"id","ok":false,"error","remedy","exit_code"}``. After the answer to ``follow`` come progress lines
(objects without "ok") until one with ``"done": true``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sleepd.errors import ExitCode, SleepdError

FOLLOW = "follow"
COMMANDS = frozenset(
    {"status", "check", "sleep", "cycles", "show", "report", "rollback", "activate", "tag", "pause", "resume", "reload", FOLLOW}
    | {"memories", "why", "forget", "receipts", "dreams", "veto"}
)
MAX_ANSWER_BYTES = 64 * 1024 * 1024


class ProtocolError(SleepdError):
    """A line that is no request or no answer."""

    exit_code = ExitCode.USAGE


@dataclass(frozen=True)
class Request:
    """One command with its arguments, as it came in."""

    id: str
    command: str
    args: Mapping[str, Any] = field(default_factory=dict)


def encode(document: Mapping[str, Any]) -> bytes:
    """One line of JSON. Line breaks inside strings are escaped, so the line ends where the document ends."""
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def decode_request(line: bytes) -> Request:
    """Raises ProtocolError naming what is wrong with the line."""
    document = decode(line)
    command = document.get("command")
    args = document.get("args", {})
    if not isinstance(command, str) or command not in COMMANDS:
        raise ProtocolError(f"unknown command {command!r}", f"use one of: {', '.join(sorted(COMMANDS))}")
    if not isinstance(args, dict):
        raise ProtocolError(f"args of {command} must be an object, not {type(args).__name__}", 'send {"id","command","args":{...}}')
    return Request(str(document.get("id", "")), command, args)


def decode(line: bytes) -> dict[str, Any]:
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ProtocolError(f"the line is not JSON: {error}", "send one JSON object a line") from error
    if not isinstance(document, dict):
        raise ProtocolError(f"the line is a {type(document).__name__}, not an object", "send one JSON object a line")
    return document


def answer(request_id: str, result: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": request_id, "ok": True, "result": dict(result)}


def refusal(request_id: str, error: SleepdError) -> dict[str, Any]:
    return {"id": request_id, "ok": False, "error": error.message, "remedy": error.remedy, "exit_code": int(error.exit_code)}


def raise_refusal(document: Mapping[str, Any]) -> None:
    """Turn an answer that is a refusal into the error it stands for."""
    if document.get("ok"):
        return
    error = SleepdError(str(document.get("error", "the daemon refused without a reason")), str(document.get("remedy", "")))
    code = document.get("exit_code")
    if isinstance(code, int) and code in ExitCode._value2member_map_:
        error.exit_code = ExitCode(code)
    raise error
