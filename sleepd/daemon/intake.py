"""From a buffer into the ledger: reads it through the screen, logs what came of it once. Owns no state of its own."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from sleepd.config import Loaded
from sleepd.experience.ingest import Ingestor, IngestReport
from sleepd.experience.screen import Screen, ScreenLimits, collapsed_tail
from sleepd.journal import Event, logger
from sleepd.ledger import Ledger

log = logger(__name__)

_MEGABYTE = 1024 * 1024
TAIL = 30
"""So many of the latest replies are looked at for collapse before a night."""


MANY = 200
"""After so many new entries at once, what reading them took is given back to the system."""


def give_memory_back() -> None:
    """Return freed memory to the system: a daemon that once read a large buffer must not stay that large.

    The C library keeps freed memory for later; glibc has a call to part with it, other libraries have not and need none.
    """
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


class Intake:
    """Reads buffers with the limits of one configuration."""

    def __init__(self, ledger: Ledger, loaded: Loaded, between: Callable[[], None]) -> None:
        """``between`` is called after every batch of entries: the first reading of a large buffer takes a while."""
        section = loaded.config.experience
        limits = ScreenLimits(
            min_salience=section.min_salience,
            max_prompt_share=section.max_prompt_share,
            max_session_share=section.max_session_share,
            max_own_share=section.max_own_share,
        )
        self._ledger = ledger
        self._ingestor = Ingestor(ledger, Screen(limits), section.max_buffer_mb * _MEGABYTE, between)
        self._tail: tuple[int, str | None] | None = None

    def read(self, path: Path, now: datetime) -> IngestReport:
        """Bring what is new into the ledger. Trouble with the file is in the report."""
        report = self._ingestor.ingest(path, now)
        if report.added >= MANY:
            give_memory_back()
        if report.added or report.quarantined:
            log.info(
                Event.BUFFER_INGESTED, buffer=str(path), added=report.added, usable=report.usable_added, quarantined=report.quarantined
            )
        return report

    def tail_problem(self) -> str | None:
        """Why the latest replies are no material, or None; looked at again when something was added."""
        count = self._ledger.experiences.totals().experiences
        if self._tail is None or self._tail[0] != count:
            self._tail = (count, collapsed_tail(self._ledger.experiences.tail(TAIL)))
        return self._tail[1]
