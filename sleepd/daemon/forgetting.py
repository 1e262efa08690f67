"""Forgets: changes the ledger at once, then clears what lies outside it, and repeats that until it is done.

Owns no decision about what is meant (``forget_plan``) and trains nothing: a deep cycle takes a memory out of the
weights, its COMMIT settles the request. What clears up runs in the worker, where adapters are activated too, so that
none is removed while it is put into service.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from typing import Any

from sleepd.daemon import jobs, traces
from sleepd.daemon.context import Context
from sleepd.daemon.exports import export
from sleepd.daemon.forget_plan import Plan
from sleepd.daemon.timers import Timers
from sleepd.daemon.worker import Submit
from sleepd.journal import Event, logger
from sleepd.ledger import Forget, Ledger
from sleepd.ledger.forgetting import NEVER_TRAINED, NOT_SERVED
from sleepd.ledger.tombstones import FILE as TOMBSTONES

log = logger(__name__)

RETRY_SECONDS = 60.0


class Forgetting:
    """One daemon's. Its methods belong to the main loop's thread."""

    def __init__(self, context: Context, submit: Submit, timers: Timers) -> None:
        self._context = context
        self._submit = submit
        self._timers = timers
        self._at_work = 0

    @property
    def busy(self) -> bool:
        """Whether the worker is clearing up."""
        return self._at_work > 0

    def ask(self, plan: Plan, by: str) -> int:
        """Forget in the ledger; returns the request's number. No run may be under way: its job would hold the memory."""
        context = self._context
        settled_by = None if plan.served else NEVER_TRAINED if plan.since is None else NOT_SERVED
        number = context.ledger.forgetting.ask(
            plan.cards,
            plan.exchanges,
            by,
            context.now(),
            seen=plan.seen,
            since=plan.since,
            settled_by=settled_by,
            until=None if settled_by is None else context.store.next_number(context.ledger.cycles.highest()),
        )
        log.info(Event.FORGET_ASKED, forget=number, by=by, facts=len(plan.cards), exchanges=len(plan.exchanges), in_the_weights=plan.served)
        jobs.clean(context.jobs, keep=None)
        export(self._context.ledger, self._context.loaded.directories.state)
        return number

    def nothing_left(self) -> bool:
        """Whether a memory is in the weights and nothing is left that a deep cycle could learn instead."""
        ledger = self._context.ledger
        return bool(ledger.forgetting.pending()) and ledger.experiences.totals().usable == 0 and not ledger.cards.living()

    def clear(self, then: Callable[[], None] = lambda: None, *, settled_only: bool = False) -> None:
        """Remove adapters that may hold what was forgotten, look for what still says it, rewrite the ledger's file."""
        waiting = [forget for forget in self._context.ledger.forgetting.uncleared() if forget.settled_at is not None or not settled_only]
        if not waiting:
            self._compact()
            then()
            return
        tasks = [(forget, self._task(forget)) for forget in waiting]

        def work() -> list[tuple[Forget, list[str], list[str]]]:
            return [(forget, *task()) for forget, task in tasks]

        def settle(value: object, error: Exception | None) -> None:
            self._at_work -= 1
            if error is not None:
                log.error(Event.FORGET_FAILED, error=str(error), remedy="it is tried again")
                self._again()
            elif isinstance(value, list):
                for forget, removed, left_in in value:
                    self._cleared(forget, removed, left_in)
                self._compact()
            then()

        self._at_work += 1
        self._submit(work, settle)

    def _task(self, forget: Forget) -> Callable[[], tuple[list[str], list[str]]]:
        """What the worker does for one request. An adapter in service, or kept to go back to, stays until a later one is."""
        store, directories, buffers = self._context.store, self._context.loaded.directories, self._context.loaded.buffers
        cards = [item.card for item in forget.cards if item.card is not None]
        settled = forget.settled_at is not None

        def task() -> tuple[list[str], list[str]]:
            removed = store.remove(
                [number for number in store.numbers() if settled and _within(number, forget.since, forget.until)],
                [number for number in store.quarantined() if _within(number, forget.seen, forget.until)],
            )
            texts = traces.texts_under(directories.state, directories.cache)
            others = [file for file in texts if file != directories.state / TOMBSTONES]  # holds the fact until this is done
            return removed, traces.left_in([*buffers, *others], cards)

        return task

    def _cleared(self, forget: Forget, removed: Sequence[str], left_in: Sequence[str]) -> None:
        ledger = self._context.ledger
        before = ledger.forgetting.get(forget.number)
        if before is None or before.cleared_at is not None or before.settled_at != forget.settled_at:
            return  # cleared already, or settled while the worker was busy: then it is cleared once more
        ledger.forgetting.cleared(forget.number, removed, left_in, self._context.now())
        export(self._context.ledger, self._context.loaded.directories.state)
        if forget.settled_at is not None and (done := ledger.forgetting.get(forget.number)) is not None:
            log.info(Event.FORGOTTEN, **receipt(done))

    def _compact(self) -> None:
        if not self._context.ledger.forgetting.compact():
            self._again()

    def _again(self) -> None:
        self._timers.after("forgetting", RETRY_SECONDS, self.clear)


def _within(number: int, first: int | None, until: int | None) -> bool:
    return first is not None and number >= first and (until is None or number < until)


def receipt(forget: Forget) -> dict[str, Any]:
    """What ``forget --receipt`` prints and the log keeps: everything about it but the memory itself."""
    asked = [item for item in forget.cards if item.tries is not None]
    return {
        "forget": forget.number,
        "asked_at": forget.asked_at.isoformat(),
        "asked_by": forget.asked_by,
        "facts": len(forget.cards),
        "exchanges": forget.exchanges,
        "settled_at": None if forget.settled_at is None else forget.settled_at.isoformat(),
        "settled_by": forget.settled_by,
        "tries": sum(item.tries or 0 for item in asked),
        "extracted": sum(item.extracted or 0 for item in asked),
        "base_extracted": sum(item.base_extracted or 0 for item in asked),
        "cards": [
            {
                "sha256": hashlib.sha256(item.card_id.encode()).hexdigest(),
                "tries": item.tries,
                "extracted": item.extracted,
                "base_extracted": item.base_extracted,
            }
            for item in forget.cards
        ],
        "removed": list(forget.removed),
        "left_in": list(forget.left_in),
    }


def outcome(ledger: Ledger, number: int) -> dict[str, Any]:
    """The answer to who asked: the receipt as it stands, and how much is still in the weights until a deep cycle."""
    forget = ledger.forgetting.get(number)
    assert forget is not None
    still = forget.memories if forget.settled_at is None else 0
    return {**receipt(forget), "still_in_the_weights": still}


def receipts(ledger: Ledger, query: str) -> dict[str, Any]:
    """All receipts, newest first; those whose number, asker or hash ``query`` names when it names any."""
    found = [receipt(forget) for forget in ledger.forgetting.all()]
    wanted = query.strip().casefold()
    if wanted:
        found = [row for row in found if _named(row, wanted)]
    return {"receipts": found}


def _named(row: dict[str, Any], wanted: str) -> bool:
    hashes = [card["sha256"] for card in row["cards"]]
    ids = hashlib.sha256(wanted.encode()).hexdigest()
    return wanted in (str(row["forget"]), row["asked_by"].casefold()) or any(h.startswith(wanted) or h == ids for h in hashes)
