"""The alarm clock: puts a "decide again" into the queue at a period and at phase changes. Decides nothing.

APScheduler runs it in its own thread. A late alarm still rings (misfire_grace_time None), missed ones ring
once (coalesce), and one that rings twice changes nothing, because a decision is computed from state.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime

from apscheduler.executors.pool import ThreadPoolExecutor
from apscheduler.schedulers.background import BackgroundScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

_PERIOD = "period"
_PHASE = "phase"


class AlarmClock:
    """Rings ``ring(reason)`` from its own thread; ``ring`` must only enqueue."""

    def __init__(self, ring: Callable[[str], None], period_seconds: float) -> None:
        logging.getLogger("apscheduler").setLevel(logging.WARNING)  # its chatter at INFO is not ours to tell
        self._ring = ring
        self._scheduler = BackgroundScheduler(
            timezone=UTC,
            daemon=True,
            executors={"default": ThreadPoolExecutor(1)},
            job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
        )
        self._scheduler.add_job(ring, IntervalTrigger(seconds=period_seconds, timezone=UTC), args=[_PERIOD], id=_PERIOD)

    def start(self) -> None:
        self._scheduler.start()

    def wake_at(self, when: datetime | None) -> None:
        """Ring once at ``when`` (the next phase change), instead of any time set before."""
        if when is None:
            if self._scheduler.get_job(_PHASE) is not None:
                self._scheduler.remove_job(_PHASE)
            return
        self._scheduler.add_job(self._ring, DateTrigger(when, timezone=UTC), args=[_PHASE], id=_PHASE, replace_existing=True)

    def stop(self) -> None:
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
