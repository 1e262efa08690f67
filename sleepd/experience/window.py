"""JSON values, one after another, from a file that is too large to hold: a sliding window of decoded text.

The file is read, never mapped: a writer that truncates a mapped file would kill its reader with SIGBUS.
"""

from __future__ import annotations

import codecs
import json
from typing import BinaryIO

from sleepd.errors import BufferError, TornBufferError

CHUNK = 256 * 1024
_NEAR_END = 64  # a syntax error this close to the end of the window may only mean that more text is needed
_SPACE = " \t\n\r"
_LONGEST_NUMBER = 400


def _number(text: str) -> int | float:
    return int(text) if len(text) < _LONGEST_NUMBER else float("inf")


DECODER = json.JSONDecoder(parse_int=_number)


class Window:
    """Text of ``handle`` from byte ``offset`` on. ``name`` is for messages."""

    def __init__(self, handle: BinaryIO, name: str, offset: int) -> None:
        handle.seek(offset)
        self._handle = handle
        self._name = name
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._read = offset  # bytes read so far
        self._text = ""
        self._at = 0
        self._counted = 0  # characters of the window whose bytes ``_offset`` covers
        self._offset = offset
        self._ended = False

    def offset(self) -> int:
        """The byte that follows what has been consumed."""
        self._offset += len(self._text[self._counted : self._at].encode())
        self._counted = self._at
        return self._offset

    def peek(self) -> str:
        """The next character that is no space; empty at the end of the file."""
        while True:
            while self._at < len(self._text):
                if self._text[self._at] not in _SPACE:
                    return self._text[self._at]
                self._at += 1
            if not self._more(CHUNK):
                return ""

    def take(self, character: str) -> bool:
        """Consume ``character`` when it comes next."""
        if self.peek() != character:
            return False
        self._at += 1
        return True

    def value(self) -> object:
        """The next JSON value. Raises TornBufferError when the file ends in it or it is no JSON."""
        self.peek()
        wanted = CHUNK
        while True:
            try:
                value, end = DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError as error:
                started = error.msg.startswith("Unterminated") or error.pos >= len(self._text) - _NEAR_END
                if not started or not self._more(wanted):
                    raise self.torn(f"{error.msg[:1].lower()}{error.msg[1:]}", min(error.pos, len(self._text))) from error
                wanted *= 2  # so that a very long value is not parsed again for every chunk
                continue
            except RecursionError as error:
                raise BufferError(f"buffer {self._name} is nested too deeply at byte {self.offset()}", "remove that entry") from error
            if end == len(self._text) and isinstance(value, int | float) and self._more(wanted):
                continue  # a number may go on
            self._at = end
            return value

    def torn(self, why: str, at: int | None = None) -> TornBufferError:
        """The error of a document that stops making sense here."""
        byte = self.offset() if at is None else self.offset() + len(self._text[self._at : at].encode())
        return TornBufferError(
            f"buffer {self._name} is torn or damaged at byte {byte}: {why}",
            "wait until its writer has finished; if it stays so, restore the file or repair it at that byte",
        )

    def _more(self, count: int) -> bool:
        """Read on; False at the end of the file."""
        if self._ended:
            return False
        raw = self._handle.read(count)
        self._ended = not raw
        try:
            text = self._decoder.decode(raw, final=self._ended)
        except UnicodeDecodeError as error:
            at = self._read - (len(error.object) - len(raw)) + error.start
            if self._ended:
                raise TornBufferError(
                    f"buffer {self._name} ends in the middle of a character at byte {at}", "wait until its writer has finished"
                ) from error
            raise not_utf8(self._name, at) from error
        self._read += len(raw)
        self.offset()
        self._text = self._text[self._at :] + text
        self._at = self._counted = 0
        return bool(text) or self._more(count)


def not_utf8(name: str, at: int) -> BufferError:
    return BufferError(
        f"buffer {name} is not UTF-8: invalid byte at offset {at}",
        f"convert it, for example: iconv -f LATIN1 -t UTF-8 {name} > converted.json",
    )
