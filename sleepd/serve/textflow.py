"""Turns token ids into text piece by piece: whole characters only, and nothing past a stop text. No torch."""

from __future__ import annotations

from collections.abc import Callable, Sequence

_INCOMPLETE = "\ufffd"  # what a decoder shows for bytes that are no whole character yet


class Detokenizer:
    """Joins to exactly ``decode(all ids)``, however the characters are spread over the tokens.

    A token is decoded beside the ones just before it, because decoders treat the first token of a text
    differently, and text is held back while it ends in the middle of a character.
    """

    def __init__(self, decode: Callable[[Sequence[int]], str]) -> None:
        self._decode = decode
        self._ids: list[int] = []
        self._context = 0  # where decoding starts
        self._said = 0  # the ids before this one have been turned into text

    def add(self, token: int) -> str:
        self._ids.append(token)
        text = self._new_text()
        if not text or text.endswith(_INCOMPLETE):
            return ""
        self._context, self._said = self._said, len(self._ids)
        return text

    def flush(self) -> str:
        """What is left at the end, with replacement characters for bytes that never became whole."""
        text = self._new_text()
        self._context = self._said = len(self._ids)
        return text

    def _new_text(self) -> str:
        before = self._decode(self._ids[self._context : self._said])
        return self._decode(self._ids[self._context :])[len(before) :]


class StopFilter:
    """Lets text through up to the first stop text, holding back an end that may become one."""

    def __init__(self, stops: Sequence[str]) -> None:
        self._stops = tuple(stops)
        self._held = ""

    def add(self, text: str) -> tuple[str, bool]:
        """Text that may be shown now, and whether a stop text has been reached."""
        self._held += text
        # the one that is complete first, so that it does not matter how the text was cut into pieces
        found = [(at + len(stop), at) for stop in self._stops if (at := self._held.find(stop)) >= 0]
        if found:
            return self._release(min(found)[1]), True
        keep = max((self._overlap(stop) for stop in self._stops), default=0)
        return self._release(len(self._held) - keep), False

    def flush(self) -> str:
        return self._release(len(self._held))

    def _overlap(self, stop: str) -> int:
        """Length of the longest end of the held text that begins ``stop``."""
        longest = min(len(stop) - 1, len(self._held))
        return next((n for n in range(longest, 0, -1) if self._held.endswith(stop[:n])), 0)

    def _release(self, count: int) -> str:
        shown, self._held = self._held[:count], self._held[count:]
        return shown
