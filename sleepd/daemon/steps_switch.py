"""ACTIVATE, RELOAD, VERIFY, COMMIT and ROLLBACK: put an adapter into service, prove it, or go back.

The same for a candidate of the night and for an adapter that a person chose. What is tried is counted down
in the ledger first, so that a candidate that brings the service down is not tried for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sleepd.adapter import activate as links
from sleepd.adapter.reload import Reloader
from sleepd.adapter.store import AdapterStore
from sleepd.adapter.verify import VerifyReport, canaries
from sleepd.adapter.verify import verify as prove
from sleepd.daemon import learning
from sleepd.daemon.context import Context, Move, Run
from sleepd.errors import ReloadError, ReloadUnknownError, SleepdError, StoreError
from sleepd.records import Canary

FIRST_PAUSE_SECONDS = 0.5
COMMIT_RETRIES = 2
ROLLBACK_PAUSE_SECONDS = 30.0


def _active(store: AdapterStore) -> str | None:
    """What the link says; a broken link counts as no adapter, because replacing it is its repair."""
    try:
        return store.active()
    except StoreError:
        return None


def note_activate(context: Context, run: Run) -> Mapping[str, Any]:
    """``old`` is noted once: after a crash the link may already be the new one."""
    if "old" in run.data:
        return {}
    inference = context.loaded.config.inference
    window = inference.tries * 2 * inference.timeout_seconds
    return {
        "old": _active(context.store),
        "tries_left": inference.tries,
        "deadline": (context.now() + timedelta(seconds=window)).isoformat(),
    }


def activate(context: Context, run: Run) -> Any:
    store, candidate = context.store, run.data["candidate"]
    return lambda: links.activate(store, candidate)


def settle_activate(context: Context, run: Run, _: object) -> Move:
    return Move("RELOAD")


def failed_activate(context: Context, run: Run, error: SleepdError) -> Move:
    run.give("rolled_back", error.message, error.remedy)
    return Move("ROLLBACK")


def note_reload(context: Context, run: Run) -> Mapping[str, Any]:
    return {"tries_left": run.data["tries_left"] - 1}


def reload(context: Context, run: Run) -> Any:
    store, candidate, reloader = context.store, run.data["candidate"], context.reloader

    def task() -> str:
        try:
            reloader.reload(_resolved(store, candidate), candidate)
        except ReloadUnknownError as error:  # a timeout is unknown: VERIFY asks for the identity
            return error.message
        return ""

    return task


def settle_reload(context: Context, run: Run, _: str) -> Move:
    return Move("VERIFY")


def verify(context: Context, run: Run) -> Any:
    store, reloader, wait, monotonic = context.store, context.reloader, context.wait, context.monotonic
    candidate, seconds = run.data["candidate"], context.loaded.config.inference.timeout_seconds

    def pause(duration: float) -> None:
        wait(duration)

    return lambda: prove(reloader, candidate, *_evidence(store, candidate), seconds, monotonic, pause)


def settle_verify(context: Context, run: Run, report: VerifyReport) -> Move:
    if not report.ok:
        return _again(context, run, f"not verified: {report.detail}", "see the log of the inference service")
    run.data["verification"] = {
        "detail": report.detail,
        "identity_checked": report.identity_checked,
        "canaries_passed": report.canaries_passed,
        "canaries_total": report.canaries_total,
    }
    return Move("COMMIT")


def failed_try(context: Context, run: Run, error: SleepdError) -> Move:
    return _again(context, run, error.message, error.remedy)


def recover_try(context: Context, run: Run) -> Move:
    return _again(context, run, "sleepd stopped before the adapter was verified", "", pause=0.0)


def _again(context: Context, run: Run, reason: str, remedy: str, pause: float | None = None) -> Move:
    """Another try while there are tries and time, else back to what was active before."""
    left = run.data["tries_left"]
    in_time = context.now() < datetime.fromisoformat(run.data["deadline"])
    if left > 0 and in_time:
        tried = context.loaded.config.inference.tries - left
        return Move("RELOAD", after=FIRST_PAUSE_SECONDS * 2 ** max(0, tried) if pause is None else pause)
    run.give("rolled_back", reason, remedy, "" if in_time else "its time to be verified has passed")
    return Move("ROLLBACK")


def commit(context: Context, run: Run) -> Any:
    store, candidate = context.store, run.data["candidate"]
    by_hand = run.number is None

    def task() -> Mapping[str, Any]:
        links.commit(store, candidate)
        return store.manifest(candidate) if by_hand and candidate is not None else {}

    return task


def settle_commit(context: Context, run: Run, manifest: Mapping[str, Any]) -> Move:
    """All that the ledger learns from a night, or from a person's choice, in the transaction of this step."""
    if run.number is None:
        learning.from_choice(context, run, manifest)
    else:
        learning.from_night(context, run, run.number)
    candidate = run.data["candidate"]
    context.ledger.values.set(
        "active",
        {
            "id": candidate,
            "sha256": run.data.get("candidate_sha256"),
            "since": context.now().isoformat(),
            "why": run.data.get("why") or f"{run.kind} cycle {run.name}",
            "by": run.requested_by,
        },
    )
    verification = run.data.get("verification") or {}
    detail = str(verification.get("detail", ""))
    run.give("committed", detail if not verification.get("identity_checked") else "")
    return Move("CLEAN")


def failed_commit(context: Context, run: Run, error: SleepdError) -> Move:
    """It is active and proved, and cannot be written down: try again, then go back rather than stay in between."""
    run.data["commit_failures"] = run.data.get("commit_failures", 0) + 1
    if run.data["commit_failures"] <= COMMIT_RETRIES:
        return Move("COMMIT", after=FIRST_PAUSE_SECONDS)
    run.give("rolled_back", error.message, error.remedy)
    return Move("ROLLBACK")


@dataclass(frozen=True)
class WentBack:
    """What a rollback came to: the adapter now active, and whether the service was seen to serve it."""

    active: str | None
    detail: str
    served: bool


def roll_back(context: Context, run: Run) -> Any:
    store, reloader, old, wait, monotonic = context.store, context.reloader, run.data.get("old"), context.wait, context.monotonic
    seconds = context.loaded.config.inference.timeout_seconds

    def pause(duration: float) -> None:
        wait(duration)

    def task() -> WentBack:
        target = _point_back(store, old)
        try:
            reloader.reload(_resolved(store, target), target)
            report = prove(reloader, target, *_evidence(store, target), seconds, monotonic, pause)
        except ReloadError as error:  # the link is right; the look for drift goes on trying to reload
            return WentBack(target, f"the service did not take {target or 'the base model'} back: {error.message}", False)
        return WentBack(target, report.detail, report.ok)

    return task


def settle_roll_back(context: Context, run: Run, back: WentBack) -> Move:
    run.data["reasons"] = [*run.reasons, f"active is {back.active or 'the base model'} again ({back.detail})"]
    return Move("CLEAN")


def failed_roll_back(context: Context, run: Run, error: SleepdError) -> Move:
    """Only the link is allowed to hold this up: nothing else may happen before it is right again."""
    run.data["rollback_error"] = error.message
    return Move("ROLLBACK", after=ROLLBACK_PAUSE_SECONDS)


def _point_back(store: AdapterStore, old: str | None) -> str | None:
    """To the old adapter; if that is damaged, to the last good one, else to the base model alone."""
    for target in (old, _last_good(store)):
        if target is None:
            continue
        try:
            links.activate(store, target)
        except StoreError:
            if _damaged(store, target):
                continue
            raise
        return target
    links.activate(store, None)
    return None


def _last_good(store: AdapterStore) -> str | None:
    try:
        return store.last_good()
    except StoreError:
        return None


def _damaged(store: AdapterStore, adapter_id: str) -> bool:
    try:
        store.integrity(adapter_id)
    except SleepdError:
        return True
    return False


def _resolved(store: AdapterStore, adapter_id: str | None) -> Any:
    return None if adapter_id is None else store.path(adapter_id).resolve()


def _evidence(store: AdapterStore, adapter_id: str | None) -> tuple[str | None, tuple[Canary, ...]]:
    """The sha256 and the canaries that an adapter was published with."""
    if adapter_id is None:
        return None, ()
    manifest = store.manifest(adapter_id)
    return store.sha256(adapter_id), canaries(manifest) if manifest.get("canaries") else ()


def served_as_linked(reloader: Reloader, store: AdapterStore, adapter_id: str | None) -> Callable[[], VerifyReport]:
    """One look at the service's identity, without canaries: for the look for drift."""
    return lambda: prove(reloader, adapter_id, _evidence(store, adapter_id)[0], (), 0.0, lambda: 0.0, lambda _: None)
