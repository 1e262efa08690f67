"""Proof that the inference service answers from the adapter it was given: by identity, and by what it says.

A service that returns 200 has proved nothing. Pure except through the reloader; clock and wait are arguments. It
decides nothing: the cycle commits or rolls back on the report.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from sleepd.adapter import evidence
from sleepd.adapter.identity import BASE
from sleepd.adapter.reload import Reloader
from sleepd.errors import ReloadError, StoreError
from sleepd.records import Canary, Served

CANARY_TOKENS = 48  # the length of the answers that the child records
# One canary in so many may differ when the identity is proved: another kernel or precision can turn a token.
TOLERATED_SHARE = 8

_FIRST_WAIT, _LONGEST_WAIT = 0.1, 2.0  # seconds between two looks at a service that is still loading


@dataclass(frozen=True)
class VerifyReport:
    """What was proved. ``identity_checked`` is False for a service that does not say what it serves.

    ``canaries_total`` is 0 when none could be asked; ``detail`` then says so.
    """

    ok: bool
    detail: str
    identity_checked: bool
    canaries_passed: int
    canaries_total: int


def canaries(document: Mapping[str, object]) -> tuple[Canary, ...]:
    """The canaries recorded in a child's result or in a manifest; raises StoreError when they cannot be read."""
    try:
        return tuple(
            Canary(evidence.text(row, "prompt"), evidence.line(row, "answer"), "new" in row and evidence.flag(row, "new"))
            for row in evidence.rows(document, "canaries")
        )
    except evidence.EvidenceError as error:
        raise StoreError(f"the recorded canaries are damaged: {error}", "roll back to another cycle with `sleepd rollback`") from error


def verify(
    reloader: Reloader,
    expected_id: str | None,
    expected_sha256: str | None,
    canaries: Sequence[Canary],
    deadline_seconds: float,
    clock: Callable[[], float],
    wait: Callable[[float], None],
) -> VerifyReport:
    """Look until the service proves that it serves ``expected_id`` (None: the base model alone), or the deadline passes.

    ``clock`` is monotonic seconds. A call under way when the deadline passes is let end within the reloader's own timeout.
    """
    deadline = clock() + deadline_seconds
    pause = _FIRST_WAIT
    while True:
        report = _look(reloader, expected_id or BASE, expected_sha256, canaries, deadline, clock)
        left = deadline - clock()
        if report.ok:
            return report
        if left <= 0:
            return replace(report, detail=f"{report.detail} (after {deadline_seconds:g} s)")
        wait(min(pause, left))
        pause = min(2 * pause, _LONGEST_WAIT)


def _look(
    reloader: Reloader,
    expected_id: str,
    expected_sha256: str | None,
    canaries: Sequence[Canary],
    deadline: float,
    clock: Callable[[], float],
) -> VerifyReport:
    served = reloader.served()
    if not served.healthy:
        return VerifyReport(False, f"the inference service is not healthy: {served.detail}", False, 0, 0)
    known, difference = _identity(served, expected_id, expected_sha256)
    if difference:
        return VerifyReport(False, difference, True, 0, 0)
    passed, failed = 0, []
    for asked, canary in enumerate(canaries):
        if asked and clock() > deadline:
            return VerifyReport(False, f"only {asked} of {len(canaries)} canaries were answered in time", known, passed, len(canaries))
        try:
            answer = reloader.ask(canary.prompt, CANARY_TOKENS)
        except ReloadError as error:
            return VerifyReport(False, f"a canary was not answered: {error.message}", known, passed, len(canaries))
        if answer is None:
            return VerifyReport(True, _unproved(reloader.kind, known, served), known, 0, 0)
        if answer.strip() == canary.answer.strip():
            passed += 1
        else:
            failed.append((canary, answer.strip()))
    return _weighed(served, known, passed, failed, len(canaries))


def _identity(served: Served, expected_id: str, expected_sha256: str | None) -> tuple[bool, str]:
    """Whether the service tells its identity, and in which words it is the wrong one."""
    if served.adapter_id is not None and served.adapter_id != expected_id:
        return True, f"the inference service serves {served.adapter_id} instead of {expected_id}: {served.detail}"
    if served.adapter_sha256 is not None and expected_sha256 is not None and served.adapter_sha256 != expected_sha256:
        return True, f"the inference service serves weights {served.adapter_sha256[:16]} instead of {expected_sha256[:16]}: {served.detail}"
    if served.adapter_sha256 is not None and expected_id == BASE:
        return True, f"the inference service serves weights {served.adapter_sha256[:16]} instead of no adapter: {served.detail}"
    told = served.adapter_id is not None or (served.adapter_sha256 is not None and expected_sha256 is not None)
    return told, ""


def _weighed(served: Served, known: bool, passed: int, failed: Sequence[tuple[Canary, str]], total: int) -> VerifyReport:
    """Judge the canaries.

    With the identity proved, one in TOLERATED_SHARE may differ, but none of a fact that was new tonight: those are what
    the old adapter would get wrong. Without identity the canaries are the only proof, and all must match.
    """
    tolerated = total // TOLERATED_SHARE if known else 0
    if len(failed) > tolerated or any(canary.new for canary, _ in failed):
        canary, answer = next((pair for pair in failed if pair[0].new), failed[0])
        example = f"{canary.prompt!r} was answered {answer[:80]!r} instead of {canary.answer.strip()[:80]!r}"
        return VerifyReport(False, f"{len(failed)} of {total} canaries differ: {example}", known, passed, total)
    if not known and total == 0:
        return VerifyReport(
            True, f"not verified: the service does not tell its adapter and no canary was recorded ({served.detail})", False, 0, 0
        )
    identity = f"identity {served.adapter_id or str(served.adapter_sha256)[:16]}" if known else "identity not told"
    return VerifyReport(True, f"{identity}, {passed} of {total} canaries as recorded", known, passed, total)


def _unproved(kind: str, known: bool, served: Served) -> str:
    if known:
        return f"identity {served.adapter_id or str(served.adapter_sha256)[:16]}; canaries not asked: set inference.chat_url"
    return f"not verified: kind {kind} tells no identity and cannot be asked ({served.detail})"
