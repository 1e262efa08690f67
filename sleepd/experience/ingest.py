"""From a buffer file into the ledger, at the cost of what is new. The buffer is only ever read.

What was read is remembered as a byte offset, just after the last whole entry, and the hash of all bytes before
it. Where a rewritten file still begins with those bytes, only the rest is parsed; otherwise everything is
parsed again, and entries whose id the ledger knows cost no more than that.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, cast

from sleepd.errors import BufferError, NotFoundError, TornBufferError
from sleepd.experience.entries import Malformed, known_as, parse_entry, quarantined
from sleepd.experience.reader import MAX_BYTES, open_buffer
from sleepd.experience.recent import WINDOW, Recent
from sleepd.experience.salience import MEMORY, ConversationalSalienceScorer
from sleepd.experience.scan import Form, RawEntry, Scan
from sleepd.experience.screen import Screen
from sleepd.ledger import Ledger, SourceState
from sleepd.records import EntryError

if TYPE_CHECKING:
    from hashlib import _Hash as Hash

BATCH = 200  # entries that become durable together
NEVER = -1  # a modification time that no file has: look again whatever the file says
_BLOCK = 1024 * 1024


@dataclass(frozen=True)
class IngestReport:
    """What one look at a buffer brought. ``torn``: look again soon; ``error``: why the rest cannot be read.

    ``quarantined`` counts the bad entries that this look met, ``added`` the experiences new to the ledger.
    """

    path: Path
    added: int
    usable_added: int
    quarantined: int
    torn: bool
    error: str | None
    state: SourceState


class Ingestor:
    """Brings buffers into one ledger through one screen. ``between``: called after every batch, so that a watchdog sees life."""

    def __init__(self, ledger: Ledger, screen: Screen, max_bytes: int = MAX_BYTES, between: Callable[[], None] = lambda: None) -> None:
        self._ledger = ledger
        self._screen = screen
        self._max_bytes = max_bytes
        self._between = between

    def ingest(self, path: Path, now: datetime) -> IngestReport:
        """Read what is new in the buffer at ``path``. Trouble with the file is told in the report, not raised."""
        before = self._ledger.sources.get(str(path)) or _unread(path)
        try:
            handle = open_buffer(path, self._max_bytes)
        except NotFoundError as error:
            return self._failed(path, before, _shown(error) if before.form else None, None, now)  # one that never was may still come
        except BufferError as error:
            return self._failed(path, before, _shown(error), None, now)
        with handle:
            stamp = _stamp(handle)
            if stamp == (before.size, before.mtime_ns, before.inode):
                return IngestReport(path, 0, 0, 0, False, before.error, before)
            try:
                return _Pass(self._ledger, self._screen, self._between, path, handle, before, now).run()
            except TornBufferError as error:
                return IngestReport(path, 0, 0, 0, True, _shown(error), before)
            except BufferError as error:
                return self._failed(path, before, _shown(error), stamp, now)
            except OSError as error:
                return self._failed(path, before, f"buffer {path} cannot be read: {error.strerror}; check its file system", None, now)

    def _failed(
        self, path: Path, before: SourceState, error: str | None, stamp: tuple[int, int, int] | None, now: datetime
    ) -> IngestReport:
        """Remember the trouble and keep the place. With a ``stamp`` the same bytes are not tried again."""
        size, mtime_ns, inode = stamp or (before.size, NEVER, before.inode)
        after = replace(
            before, size=size, mtime_ns=mtime_ns, inode=inode, error=error, changed_at=_iso(now) if stamp else before.changed_at
        )
        if error != before.error or stamp:
            self._ledger.sources.put(after)
        return IngestReport(path, 0, 0, 0, False, error, after)


class _Pass:
    """One pass over one open buffer."""

    def __init__(
        self, ledger: Ledger, screen: Screen, between: Callable[[], None], path: Path, handle: BinaryIO, before: SourceState, now: datetime
    ) -> None:
        self._ledger = ledger
        self._screen = screen
        self._between = between
        self._path = path
        self._handle = handle
        self._before = before
        self._now = now
        self._recent: Recent | None = None
        self._scorer: ConversationalSalienceScorer | None = None
        self._position = 0
        self._added = self._usable = self._bad = 0

    def run(self) -> IngestReport:
        stamp = _stamp(self._handle)
        hasher = hashlib.sha256()
        start = self._kept_prefix(hasher)
        if start is None:
            hasher, offset = hashlib.sha256(), 0
            scan = Scan(self._handle, str(self._path))
        else:
            offset, self._position = start, self._before.entries
            scan = Scan(self._handle, str(self._path), (cast(Form, self._before.form), start))
        torn: str | None = None
        end = offset
        try:
            for batch in _batches(scan):
                self._record(batch)
                end = batch[-1].end
                self._between()
            torn = scan.torn
        except TornBufferError as error:
            torn = _shown(error)
            if scan.form != "jsonl":  # whole entries stay known by their ids, the place is not moved
                return self._report(torn, self._before)
        with self._path.open("rb") as again:
            _hash(again, offset, end, hasher)
            if _stamp(again) != stamp:
                return self._report("it changed while it was read", self._before)
        state = SourceState(
            path=str(self._path),
            size=stamp[0],
            mtime_ns=stamp[1] if torn is None else NEVER,  # so that the next look reads the rest of the line
            inode=stamp[2],
            form=scan.form,
            offset=end,
            entries=self._position,
            prefix_sha256=hasher.hexdigest(),
            changed_at=_iso(self._now),
            error=None,
        )
        self._ledger.sources.put(state)
        return self._report(torn, state)

    def _kept_prefix(self, hasher: Hash) -> int | None:
        """The offset to go on from, when the file still begins with what was read before."""
        before = self._before
        if not before.entries or not before.offset or os.fstat(self._handle.fileno()).st_size < before.offset:
            return None
        _hash(self._handle, 0, before.offset, hasher)
        return before.offset if hasher.hexdigest() == before.prefix_sha256 else None

    def _record(self, batch: list[RawEntry]) -> None:
        """Judge and store those of a batch that the ledger does not know, all or none."""
        ids = [None if raw.error else known_as(raw.value) for raw in batch]
        unknown = self._ledger.experiences.unknown_ids({found for found in ids if found})
        first = self._position
        self._position += len(batch)
        fresh = [(first + i, raw) for i, (raw, found) in enumerate(zip(batch, ids, strict=True)) if found is None or found in unknown]
        if not fresh:
            return
        with self._ledger.transaction():
            for position, raw in fresh:
                self._one(position, raw)

    def _one(self, position: int, raw: RawEntry) -> None:
        if self._scorer is None:
            self._scorer = ConversationalSalienceScorer(reversed(self._ledger.experiences.recent_replies(MEMORY)))
        try:
            if raw.error:
                raise Malformed(raw.error)
            experience = parse_entry(raw.value, self._scorer)
        except Malformed as error:
            self._set_aside(quarantined(position, raw.value, str(error)))
            return
        recent = self._context()
        verdict = self._screen.judge(experience, recent)
        if self._ledger.experiences.add(experience, verdict, str(self._path), self._now):
            recent.add(experience)
            self._added += 1
            self._usable += verdict.usable

    def _set_aside(self, error: EntryError) -> None:
        self._bad += 1
        key = hashlib.sha256(f"{self._path}|{error.reason}|{error.excerpt}".encode("utf-8", "replace")).hexdigest()[:16]
        self._ledger.quarantine.add("entry", key, f"{self._path}: entry {error.entry} {error.reason}", error.excerpt, self._now)

    def _context(self) -> Recent:
        """What came before, looked up only when there is something new to judge."""
        if self._recent is None:
            known = self._ledger.experiences
            self._recent = Recent(
                total=known.totals().experiences,
                sessions=known.session_counts(),
                prompts=known.prompt_count,
                tail=known.tail(WINDOW),
            )
        return self._recent

    def _report(self, torn: str | None, state: SourceState) -> IngestReport:
        return IngestReport(self._path, self._added, self._usable, self._bad, torn is not None, torn, state)


def _batches(entries: Iterable[RawEntry]) -> Iterator[list[RawEntry]]:
    iterator = iter(entries)
    while batch := list(islice(iterator, BATCH)):
        yield batch


def _hash(handle: BinaryIO, start: int, end: int, hasher: Hash) -> None:
    handle.seek(start)
    left = end - start
    while left > 0 and (block := handle.read(min(_BLOCK, left))):
        hasher.update(block)
        left -= len(block)


def _stamp(handle: BinaryIO) -> tuple[int, int, int]:
    status = os.fstat(handle.fileno())
    return status.st_size, status.st_mtime_ns, status.st_ino


def _unread(path: Path) -> SourceState:
    return SourceState(str(path), 0, 0, 0, "", 0, 0, "", None, None)


def _shown(error: BufferError | NotFoundError) -> str:
    return f"{error.message}; {error.remedy}" if error.remedy else error.message


def _iso(now: datetime) -> str:
    return now.astimezone(UTC).isoformat()
