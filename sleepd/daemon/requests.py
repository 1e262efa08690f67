"""What a person asks for that needs the daemon free: another adapter in service, something forgotten.

A run under way is stopped and given up first; a second request is refused while one waits for that.
"""

from __future__ import annotations

from collections.abc import Callable

from sleepd.daemon import forget_plan
from sleepd.daemon.context import Context, Run
from sleepd.daemon.cycle import CycleDriver
from sleepd.daemon.forget_plan import Plan
from sleepd.daemon.forgetting import Forgetting
from sleepd.errors import SkippedError, SleepdError


class Requests:
    """One daemon's. Its methods belong to the main loop's thread."""

    def __init__(self, context: Context, driver: CycleDriver, forgetting: Forgetting) -> None:
        self._context = context
        self._driver = driver
        self._forgetting = forgetting
        self._waiting: Callable[[], None] | None = None
        self._switched: Callable[[Run], None] | None = None

    def switch(self, candidate: str | None, by: str, why: str, done: Callable[[Run], None], *, accept_base: str | None = None) -> None:
        """Put an adapter into service, the base model alone with None. ``done`` is called with the run that did it, or failed to.

        ``accept_base``: the sha256 of a base model that is the pinned one from then on. Raises SleepdError when nothing has begun.
        """
        self._check_free()
        sha256 = None if candidate is None else self._context.store.sha256(candidate)

        def begin() -> None:
            data = {"candidate": candidate, "candidate_sha256": sha256, "why": why, "accept_base": accept_base}
            run = Run(None, "light", None, by, self._context.now(), "", data)
            self._switched = done
            self._driver.begin(run, "ACTIVATE")

        self._when_free(begin, f"{by} chose {candidate or 'the base model'}")

    def forget(self, plan: Plan, by: str, done: Callable[[int], None], failed: Callable[[SleepdError], None]) -> None:
        """Forget what a person confirmed. A run under way holds it in its job, so the run ends first.

        ``done`` is called with the number of the request when the ledger has forgotten and what can go has gone. Where
        nothing else was ever learned, the base model alone serves from now on. Raises SleepdError when nothing has begun,
        and calls ``failed`` when that turns out while it waits.
        """
        self._check_free()

        def begin() -> None:
            ledger, store = self._context.ledger, self._context.store
            try:
                fresh = forget_plan.of(ledger, store, {card.id for card in plan.cards}, list(plan.exchanges))
                number = self._forgetting.ask(fresh, by)
            except SleepdError as error:
                failed(error)
                return

            def clear() -> None:
                self._forgetting.clear(lambda: done(number))

            if self._forgetting.nothing_left():
                self.switch(None, by, "what was forgotten was all that was learned", lambda run: clear())
            else:
                clear()

        self._when_free(begin, f"{by} asked to forget something that it holds")

    def run_finished(self, run: Run) -> None:
        """Answer who asked for a switch."""
        if run.number is None and self._switched is not None:
            done, self._switched = self._switched, None
            done(run)

    def go_on(self) -> None:
        """Begin what waited for the driver to be free."""
        if self._waiting is not None and self._driver.run is None:
            begin, self._waiting = self._waiting, None
            begin()

    def _check_free(self) -> None:
        if self._waiting is not None:
            raise SkippedError("another request waits for the running cycle to end", "try again when it is done")

    def _when_free(self, begin: Callable[[], None], reason: str) -> None:
        if self._driver.run is None:
            begin()
            return
        self._waiting = begin
        if self._driver.busy:
            self._driver.stop_child(reason, abandon=True)
        else:
            self._driver.abandon_waiting(reason)
