"""What is wrong now, for the status and the log: one line each, with its remedy, for as long as it lasts."""

from __future__ import annotations

from sleepd.daemon.buffers import Buffers
from sleepd.daemon.context import Context
from sleepd.daemon.cycle import CycleDriver
from sleepd.daemon.inference import InferenceWatch
from sleepd.daemon.model import ModelWatch
from sleepd.errors import SleepdError, StoreError
from sleepd.journal import Event, logger

log = logger(__name__)


class Problems:
    """Collects what the parts of the daemon know; ``start``, ``ledger`` and ``damage`` are set by who meets them."""

    def __init__(self, context: Context, driver: CycleDriver, model: ModelWatch, buffers: Buffers, inference: InferenceWatch) -> None:
        self.start: SleepdError | None = None
        """Why the last cycle that was due could not begin."""
        self.ledger: SleepdError | None = None
        """Why the ledger could not be written."""
        self.damage: SleepdError | None = None
        """What is wrong with the files of the adapter in service."""
        self._context, self._driver, self._model = context, driver, model
        self._buffers, self._inference = buffers, inference
        self._told: frozenset[str] = frozenset()

    def lines(self) -> list[str]:
        """All of them; none when all is well."""
        known = (self._model.problem(), self._driver.problem, self.start, self.ledger, self.damage)
        problems: list[SleepdError] = [problem for problem in known if problem is not None]
        for link in (self._context.store.active, self._context.store.last_good):
            try:
                link()
            except StoreError as error:
                problems.append(error)
        lines = [f"{p.message}; {p.remedy}" if p.remedy else p.message for p in problems]
        run = self._driver.run
        if run is not None and "rollback_error" in run.data:
            lines.append(f"{run.name} cannot be rolled back yet: {run.data['rollback_error']}")
        return lines + self._buffers.errors() + self._inference.errors()

    def tell_of_buffers(self) -> None:
        """Log what is newly wrong with a buffer, and what no longer is."""
        errors = frozenset(self._buffers.errors())
        for error in sorted(errors - self._told):
            log.warning(Event.BUFFER_FAILED, error=error)
        for error in sorted(self._told - errors):
            log.info(Event.BUFFER_RECOVERED, was=error)
        self._told = errors
