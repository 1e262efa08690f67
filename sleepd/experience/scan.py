"""The entries of a buffer, in any of its three forms, one by one and from any entry on. Judges no entry."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

from sleepd.errors import BufferError, TornBufferError
from sleepd.experience.window import DECODER, Window, not_utf8

BOM = b"\xef\xbb\xbf"
Form = Literal["list", "dict", "jsonl"]
_KEY = "experiences"
_ENTRY_KEYS = {"prompt", "response", "text", "messages"}
_SHAPES = 'give a JSON list of entries, {"experiences": [...]}, or JSON lines'
_LOOK = 4096
_LONG_LINE = 1024 * 1024


@dataclass(frozen=True)
class RawEntry:
    """A parsed value, or why a line is none. ``end``: the byte that follows it."""

    value: object
    end: int
    error: str | None = None


class Scan:
    """One pass over a buffer. After the iteration ``torn`` says whether a last line is still being written."""

    def __init__(self, handle: BinaryIO, name: str, resume: tuple[Form, int] | None = None) -> None:
        """``resume``: the form, and the byte after the last whole entry, where an earlier pass ended.

        Raises TornBufferError when the document is empty or has no end yet, BufferError when it is no buffer.
        """
        self.torn: str | None = None
        self._handle = handle
        self._name = name
        self._first = resume is None
        self._window: Window | None = None
        if resume is not None:
            self.form, self._start = resume
            if self.form != "jsonl":
                self._require_end(self.form)
                self._window = Window(handle, name, self._start)
        else:
            self._start, first = self._first_character()
            self.form = self._list() if first == b"[" else self._object()

    def __iter__(self) -> Iterator[RawEntry]:
        if self.form == "jsonl":
            yield from self._lines()
            return
        window = self._window
        assert window is not None  # set for every form but JSONL
        yield from self._array(window)
        if self.form == "dict":
            self._rest_of_object(window)
        if window.peek():
            raise window.torn("text follows the end of the document")

    def _first_character(self) -> tuple[int, bytes]:
        """Where the text begins and with what. Raises when it cannot be a buffer."""
        self._handle.seek(0)
        at = len(BOM) if self._handle.read(len(BOM)) == BOM else 0
        self._handle.seek(at)
        while chunk := self._handle.read(_LOOK):
            if chunk.strip():
                break
            at += len(chunk)
        else:
            raise TornBufferError(f"buffer {self._name} is empty", 'wait until its writer has finished; a buffer without entries is "[]"')
        first = chunk.lstrip()[:1]
        if first not in (b"[", b"{"):
            raise self._no_buffer(chunk, at)
        return at, first

    def _no_buffer(self, chunk: bytes, at: int) -> BufferError:
        try:
            shown = chunk.decode("utf-8")
        except UnicodeDecodeError as error:
            if error.start < len(chunk) - 3 or len(chunk) < _LOOK:  # not just cut by the look
                return not_utf8(self._name, at + error.start)
            shown = chunk.decode("utf-8", "ignore")
        return BufferError(f"buffer {self._name} is not JSON: it begins with {shown.strip()[:20]!r}", _SHAPES)

    def _list(self) -> Form:
        self._require_end("list")
        self._window = Window(self._handle, self._name, self._start)
        self._window.take("[")
        return "list"

    def _object(self) -> Form:
        """An object that holds the entries, or the first of many lines."""
        if self._is_line():
            return "jsonl"
        window = Window(self._handle, self._name, self._start)
        window.take("{")
        keys: list[str] = []
        while not window.take("}"):
            key = window.value()
            if not isinstance(key, str) or not window.take(":"):
                raise window.torn("a key is missing")
            if key == _KEY:
                if not window.take("["):
                    raise BufferError(f'buffer {self._name}: "{_KEY}" is not a list', f'make "{_KEY}" a list of entries')
                self._require_end("dict")
                self._window = window
                return "dict"
            keys.append(key)
            window.value()
            if not window.take(",") and window.peek() != "}":
                raise window.torn("a comma is missing")
        if window.peek() or set(keys) & _ENTRY_KEYS:
            return "jsonl"
        raise BufferError(f'buffer {self._name} is an object without "{_KEY}" (it has: {", ".join(keys[:5]) or "nothing"})', _SHAPES)

    def _is_line(self) -> bool:
        """Whether the first line is an entry, or is broken beside others that look like entries."""
        self._handle.seek(self._start)
        line, following = self._handle.readline(_LONG_LINE).strip(), self._handle.readline(_LOOK).strip()
        try:
            value = DECODER.decode(line.decode("utf-8"))
        except (ValueError, RecursionError):
            return len(line) > 1 and following.startswith(b'{"')
        return isinstance(value, dict) and _KEY not in value and bool(following or set(value) & _ENTRY_KEYS)

    def _require_end(self, form: Form) -> None:
        """A document whose writer is at work rarely ends as it should: see that first, it costs nothing."""
        mark = b"]" if form == "list" else b"}"
        here = self._handle.tell()
        at = self._handle.seek(0, os.SEEK_END)
        tail = b""
        while at > 0 and not tail:
            at = max(0, at - _LOOK)
            self._handle.seek(at)
            tail = self._handle.read(_LOOK).rstrip()
        self._handle.seek(here)
        if not tail.endswith(mark):
            raise TornBufferError(
                f'buffer {self._name} is torn: it does not end in "{mark.decode()}"',
                "wait until its writer has finished; if it stays so, restore the file",
            )

    def _array(self, window: Window) -> Iterator[RawEntry]:
        first = self._first
        while True:
            if window.take("]"):
                return
            if not first and not window.take(","):
                raise window.torn("a comma is missing" if window.peek() else "the list has no end")
            value = window.value()
            first = False
            yield RawEntry(value, window.offset())

    def _rest_of_object(self, window: Window) -> None:
        while not window.take("}"):
            if not window.take(",") or not isinstance(window.value(), str) or not window.take(":"):
                raise window.torn("the object has no end")
            window.value()

    def _lines(self) -> Iterator[RawEntry]:
        at = self._start
        self._handle.seek(at)
        while line := self._handle.readline():
            end = at + len(line)
            if line.strip():
                whole = line.endswith(b"\n")
                entry = _line(line, at, end)
                if entry.error and not whole:
                    self.torn = f"buffer {self._name} ends in the middle of a line at byte {at}"
                    return
                yield entry
            at = end


def _line(line: bytes, at: int, end: int) -> RawEntry:
    try:
        return RawEntry(DECODER.decode(line.decode("utf-8")), end)
    except UnicodeDecodeError as error:
        return RawEntry(line.decode("utf-8", "replace"), end, f"is not UTF-8: invalid byte at offset {at + error.start}")
    except json.JSONDecodeError as error:
        return RawEntry(line.decode("utf-8"), end, f"is not JSON: {error.msg} at byte {at + len(error.doc[: error.pos].encode())}")
    except RecursionError:
        return RawEntry(line.decode("utf-8"), end, "is nested too deeply")
