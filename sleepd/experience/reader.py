"""A whole experience buffer at once: for inspection and for the Python API. The daemon ingests instead.

Only reads. What is wrong with one entry is told beside the others; what is wrong with the file is an error.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from sleepd.errors import BufferError, NotFoundError
from sleepd.experience.chats import exchanges, is_chat
from sleepd.experience.entries import Malformed, parse_entry, quarantined
from sleepd.experience.salience import ConversationalSalienceScorer
from sleepd.experience.scan import Form, Scan
from sleepd.records import EntryError, Experience

MAX_BYTES = 200 * 1024 * 1024


@dataclass(frozen=True)
class BufferView:
    """What a buffer holds, in its order; ids may repeat."""

    form: Form
    experiences: tuple[Experience, ...]
    errors: tuple[EntryError, ...]


def read_buffer(path: Path, max_bytes: int = MAX_BYTES) -> BufferView:
    """Read the buffer at ``path``.

    Raises NotFoundError, TornBufferError when it is empty or ends in the middle, BufferError when it is too
    large, not UTF-8, not JSON, or no list of entries.
    """
    return _read(path, max_bytes, lambda value, position, scorer: [parse_entry(value, scorer)])


def read_export(path: Path, max_bytes: int = MAX_BYTES) -> BufferView:
    """The same for a buffer or a chat export, whose conversations become sessions numbered from 0."""
    return _read(
        path,
        max_bytes,
        lambda value, position, scorer: exchanges(value, position, scorer) if is_chat(value) else [parse_entry(value, scorer)],
    )


def _read(path: Path, max_bytes: int, parse: Callable[[object, int, ConversationalSalienceScorer], list[Experience]]) -> BufferView:
    with open_buffer(path, max_bytes) as handle:
        scan = Scan(handle, str(path))
        scorer = ConversationalSalienceScorer()
        experiences: list[Experience] = []
        errors: list[EntryError] = []
        position = -1
        for position, raw in enumerate(scan):
            try:
                if raw.error:
                    raise Malformed(raw.error)
                experiences += parse(raw.value, position, scorer)
            except Malformed as error:
                errors.append(quarantined(position, raw.value, str(error)))
        if scan.torn:
            errors.append(EntryError(position + 1, scan.torn))
    return BufferView(scan.form, tuple(experiences), tuple(errors))


def open_buffer(path: Path, max_bytes: int) -> BinaryIO:
    """Open a buffer for reading after a look at its size. Raises NotFoundError or BufferError."""
    try:
        size = path.stat().st_size
        if not path.is_file():
            raise BufferError(f"buffer {path} is not a file", "name the file that the inference service writes")
        if size > max_bytes:
            raise BufferError(
                f"buffer {path} has {size / 1e6:,.0f} MB, more than the limit of {max_bytes / 1e6:,.0f} MB",
                "start a new buffer file, or raise experience.max_buffer_mb",
            )
        return path.open("rb")
    except FileNotFoundError as error:
        raise NotFoundError(
            f"there is no buffer {path}", "check the path; the inference service creates the file with its first exchange"
        ) from error
    except OSError as error:
        raise BufferError(f"buffer {path} cannot be read: {error.strerror}", f"give this user read access to {path}") from error
