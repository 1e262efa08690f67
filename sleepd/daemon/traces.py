"""Where a forgotten fact is still written: reads the files that lie around, and says which of them speak of it.

Changes nothing. A file is read in pieces, because a buffer may be larger than the resident daemon may be.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from sleepd.ledger.matching import USER, holder, plain
from sleepd.records import Card

PIECE = 256 * 1024
OVERLAP = 4 * 1024
NEAR = 200
"""Value and subject this many characters apart, or closer, are one statement."""
SUFFIXES = frozenset((".json", ".jsonl", ".md", ".txt", ".toml", ".log", ".svg", ".csv", ".yaml", ".yml"))
_ESCAPE = re.compile(r"\\u([0-9a-fA-F]{4})")


def texts_under(*roots: Path) -> Iterator[Path]:
    """Every file of text below these directories, by its suffix; links are not followed."""
    for root in roots:
        if root.is_dir():
            yield from (file for file in sorted(root.rglob("*")) if file.suffix in SUFFIXES and file.is_file() and not file.is_symlink())


def left_in(files: Iterable[Path], cards: Sequence[Card]) -> list[str]:
    """Those of ``files`` that still say one of the facts; a file that cannot be read is named with that."""
    found = []
    for file in dict.fromkeys(files) if cards else ():
        try:
            if _speaks(file, cards):
                found.append(str(file))
        except FileNotFoundError:
            continue
        except OSError as error:
            found.append(f"{file} (not looked at: {error.strerror})")
    return found


def _speaks(file: Path, cards: Sequence[Card]) -> bool:
    with file.open(encoding="utf-8", errors="replace") as handle:
        tail = ""
        while piece := handle.read(PIECE):
            text = plain(_ESCAPE.sub(lambda match: _character(match[1]), tail + piece))
            if any(_near(card, text) for card in cards):
                return True
            tail = piece[-OVERLAP:]
    return False


def _near(card: Card, text: str) -> bool:
    """Whether a text has the value beside its subject, or for the user's own facts beside its relation, or the quote."""
    if holder(card.quote)(text):
        return True
    value, has_value = plain(card.value), holder(card.value)
    about = holder(card.relation if card.subject == USER else card.subject.removeprefix(f"{USER}'s "))
    start = text.find(value) if value else -1
    while start >= 0:
        window = text[max(0, start - NEAR) : start + len(value) + NEAR]
        if has_value(window) and about(window):
            return True
        start = text.find(value, start + len(value))
    return False


def _character(digits: str) -> str:
    code = int(digits, 16)
    return "\ufffd" if 0xD800 <= code <= 0xDFFF else chr(code)
