"""The four steps that one child runs: launch it, and make sense of how it ended. Trains nothing itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sleepd.daemon import jobs
from sleepd.daemon.context import ChildOutcome, Context, Move, Run
from sleepd.daemon.supervisor import ChildSettings, describe_exit
from sleepd.errors import ChildExit, SleepdError

RESUMES = 1
TIME_LIMIT = "it reached training.max_hours"


def note(context: Context, run: Run) -> Mapping[str, Any]:
    """A launch after the first is a resume, and is counted down before it is tried."""
    if "resumes_left" not in run.data:
        return {"resumes_left": RESUMES, "stopped": None}
    return {"resumes_left": run.data["resumes_left"] - 1, "stopped": None}


def launch(context: Context, run: Run) -> None:
    assert run.job_dir is not None and run.number is not None
    training = jobs.read(run.job_dir)["training"]
    assert isinstance(training, Mapping)
    settings = ChildSettings(
        str(training["python"]), str(training["device"]), int(training["threads"]), int(training["nice"]), int(training["memory_max_mb"])
    )
    try:
        run.child = context.supervisor.launch(run.job_dir, run.number, settings)
    except OSError as error:
        raise SleepdError(f"cannot start the trainer: {error}", "check free memory and the limit on processes") from error
    run.child_since = context.monotonic()


def settle(context: Context, run: Run, outcome: ChildOutcome) -> Move:
    assert run.job_dir is not None
    if outcome.status == ChildExit.DONE:
        if jobs.has_result(run.job_dir):
            return Move("GATE")
        run.give("abandoned", "the trainer exited 0 and left no result")
        return Move("CLEAN")
    if outcome.stop_reason is not None and outcome.stop_reason != TIME_LIMIT:
        return _stopped(run, outcome.stop_reason)
    if outcome.status == ChildExit.CHECKPOINTED and outcome.stop_reason is None:
        return _stopped(run, "it was stopped from outside")
    what, remedy = describe_exit(outcome.status)
    own_words = f": {outcome.error[0]}" if outcome.error else ""
    if outcome.stop_reason == TIME_LIMIT:
        run.give("abandoned", f"the trainer was stopped because {TIME_LIMIT}", "raise training.max_hours, or lower training.max_cards")
        return Move("CLEAN")
    hint = (outcome.error[1] if outcome.error else "") or remedy
    run.give("rejected" if outcome.status == ChildExit.BAD_DATA else "abandoned", f"the trainer {what}{own_words}", hint)
    return Move("CLEAN")


def _stopped(run: Run, reason: str) -> Move:
    """Keep it for the next night, if it left a checkpoint and was not resumed before."""
    assert run.job_dir is not None
    if run.data.get("abandon"):
        run.give("abandoned", reason)
    elif run.data["resumes_left"] > 0 and jobs.has_checkpoint(run.job_dir):
        run.data["stopped"] = reason
        return Move(run.step, wait=True)
    else:
        run.give(
            "stopped",
            f"stopped because {reason}",
            "it left no checkpoint" if run.data["resumes_left"] > 0 else "it had been resumed once already",
        )
    return Move("CLEAN")


def failed(context: Context, run: Run, error: SleepdError) -> Move:
    run.give("abandoned", error.message, error.remedy)
    return Move("CLEAN")


def recover(context: Context, run: Run) -> Move:
    """The child is gone (start-up has made sure): its result counts, its checkpoint is resumed once."""
    assert run.job_dir is not None
    if jobs.has_result(run.job_dir):
        return Move("GATE")
    if "resumes_left" not in run.data:
        return Move("CURATE")  # its row was begun, and nothing after it
    reason = run.waiting or "sleepd stopped while it ran"
    if run.data.get("resumes_left", 0) > 0 and jobs.has_checkpoint(run.job_dir):
        run.data["stopped"] = reason
        return Move("CURATE") if run.data.get("forced") else Move(run.step, wait=True)
    run.give("abandoned", f"{reason}, and there is no checkpoint left to resume from")
    return Move("CLEAN")
