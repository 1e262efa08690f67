"""What the log says of a run: one line for how it ended with everything that matters, one for a step that failed."""

from __future__ import annotations

from datetime import datetime

from sleepd.daemon.context import Run
from sleepd.errors import SleepdError
from sleepd.journal import Event, logger

log = logger(__name__)

_VERDICT_EVENTS = {
    "committed": Event.CYCLE_COMMITTED,
    "rejected": Event.CYCLE_REJECTED,
    "rolled_back": Event.CYCLE_ROLLED_BACK,
    "abandoned": Event.CYCLE_ABANDONED,
    "stopped": Event.CYCLE_STOPPED,
}


def tell_end(run: Run, now: datetime) -> None:
    """The canonical line of a cycle, or of a switch by hand."""
    seconds = round((now - run.started).total_seconds(), 1)
    event = _VERDICT_EVENTS[run.verdict or "abandoned"] if run.number is not None else Event.ADAPTER_ACTIVATED
    summary = run.data.get("summary") or {}
    figures = (summary.get("report") or {}).get("figures") or {}
    say = log.info if run.verdict == "committed" else log.warning
    say(
        event,
        cycle=run.name,
        kind=run.kind,
        by=run.requested_by,
        verdict=run.verdict,
        reasons=run.reasons,
        adapter=run.data.get("candidate"),
        seconds=seconds,
        final_loss=summary.get("final_loss"),
        experiences=summary.get("num_experiences"),
        **figures,
    )


def as_error(error: Exception, step: str) -> SleepdError:
    """Any error as one with a message and a remedy."""
    if isinstance(error, SleepdError):
        return error
    if isinstance(error, OSError):
        return SleepdError(f"{step}: {error}", "see the remedy in the log; the next cycle tries again")
    return SleepdError(f"{step} failed: {type(error).__name__}: {error}", "report this with the log; the next cycle tries again")


def tell_failure(run: Run, step: str, error: Exception) -> None:
    """An expected error is one line; anything else is a defect and needs its trace."""
    problem = as_error(error, step)
    expected = isinstance(error, SleepdError | OSError)
    log.error(
        Event.CYCLE_STEP, cycle=run.name, stage=step, error=problem.message, remedy=problem.remedy, exc_info=None if expected else error
    )
