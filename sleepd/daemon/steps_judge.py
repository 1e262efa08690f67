"""GATE, STORE and CLEAN: judge the child's result, publish the candidate, clear up. Moves no link."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, cast

from sleepd import durable
from sleepd.adapter import expected, gate
from sleepd.adapter.store import cycle_id
from sleepd.daemon import documents, jobs
from sleepd.daemon.context import Context, Move, Run
from sleepd.errors import SleepdError, StoreError
from sleepd.records import GateCheck, GateReport


@dataclass(frozen=True)
class Judged:
    result: Mapping[str, Any]
    report: GateReport


def note_gate(context: Context, run: Run) -> Mapping[str, Any]:
    assert run.job_dir is not None
    path = run.job_dir / jobs.RESULT / "result.json"
    return {"result_sha256": durable.sha256_file(path) if path.is_file() else None}


def judge(context: Context, run: Run) -> Any:
    job_dir = run.job_dir
    assert job_dir is not None
    frozen = jobs.read(job_dir)["gate"]
    limits = type(context.loaded.config.gate).model_validate(frozen)  # a reload during the night does not move the bar

    def task() -> Judged:
        result, _ = jobs.read_result(job_dir)
        candidate = job_dir / jobs.RESULT / "adapter"
        earlier, forgotten = jobs.count_lines(job_dir / "cards.jsonl"), jobs.count_lines(job_dir / jobs.FORGET)
        return Judged(result, gate.judge(result, limits, expected.expect(jobs.read(job_dir), candidate, earlier, forgotten)))

    return task


def settle_gate(context: Context, run: Run, judged: Judged) -> Move:
    run.result = judged.result
    run.data["gate"] = _document(judged.report)
    if judged.report.accepted:
        return Move("STORE")
    refusal = judged.result.get("refusal")
    run.give("rejected", *([str(refusal)] if refusal else []), *judged.report.reasons)
    return Move("CLEAN")


def note_store(context: Context, run: Run) -> Mapping[str, Any]:
    assert run.number is not None
    adapter = result_of(run).get("adapter")
    assert isinstance(adapter, Mapping)  # the gate accepts nothing else
    return {"candidate": cycle_id(run.number), "candidate_sha256": adapter["sha256"]}


def store(context: Context, run: Run) -> Any:
    job_dir, number = run.job_dir, run.number
    assert job_dir is not None and number is not None
    job, result, report, now = jobs.read(job_dir), result_of(run), report_of(run), context.now()
    results = documents.cycle_results(number, result, now)
    history = [dict(row.summary.get("cycle_results") or {}) for row in reversed(context.ledger.cycles.committed())]
    files = {
        "cycle_results.json": results,
        "training_state.json": documents.training_state([*filter(None, history), results], now),
        "report.json": documents.report(number, run.kind, run.requested_by, result, report, run.started, now),
    }
    card = documents.model_card(number, job, result, report)
    origin = documents.provenance(job, result, report, now)
    adapters = context.store
    return lambda: adapters.publish(number, job_dir / jobs.RESULT / "adapter", files, card, origin)


def settle_store(context: Context, run: Run, published: str) -> Move:
    return Move("ACTIVATE")


def failed(context: Context, run: Run, error: SleepdError) -> Move:
    """Nothing is active that was not before; the experiences stay new."""
    run.give("abandoned", error.message, error.remedy)
    return Move("CLEAN")


def note_clean(context: Context, run: Run) -> Mapping[str, Any]:
    """The summary is written down before the job directory goes, which it is made from."""
    if "summary" in run.data or run.number is None:
        return {}
    return {"summary": _summary(context, run)}


def clean(context: Context, run: Run) -> Any:
    verdict, name, adapters = run.verdict, run.name, context.store
    number, job_dir = run.number, run.job_dir
    tagged = {cycle_id(tag) for tag in context.ledger.cycles.tagged()}
    keep = context.loaded.config.adapters.keep
    reason = "; ".join(run.reasons) or str(verdict)

    def task() -> None:
        if number is not None and job_dir is not None:
            candidate = job_dir / jobs.RESULT / "adapter"
            if verdict in ("rejected", "rolled_back") and candidate.is_dir():
                adapters.quarantine(candidate, name, reason)
            jobs.clean(job_dir.parent, keep=None)
        adapters.prune(keep, tagged)

    return task


def settle_clean(context: Context, run: Run, _: object) -> Move:
    return Move(None)


def failed_clean(context: Context, run: Run, error: SleepdError) -> Move:
    """What could not be cleared up costs room and nothing else; the verdict stands."""
    run.data["reasons"] = [*run.reasons, f"not cleared up: {error.message}"]
    return Move(None)


def result_of(run: Run) -> Mapping[str, Any]:
    """The child's result, read again after a restart. Raises StoreError when it is gone or is not what was judged."""
    if run.result is None:
        assert run.job_dir is not None
        result, digest = jobs.read_result(run.job_dir)
        if digest != run.data.get("result_sha256"):
            raise StoreError(
                f"{run.job_dir} holds another result than the one that was judged", "the cycle is abandoned; the next one starts anew"
            )
        run.result = result
    return run.result


def report_of(run: Run) -> GateReport:
    """The verdict of the gate as the ledger holds it."""
    checks = cast("list[dict[str, Any]]", run.data["gate"]["checks"])
    return GateReport(tuple(GateCheck(c["name"], bool(c["ok"]), c["detail"], c["numbers"]) for c in checks))


def _document(report: GateReport) -> dict[str, Any]:
    checks = [{"name": c.name, "ok": c.ok, "detail": c.detail, "numbers": dict(c.numbers)} for c in report.checks]
    return {"accepted": report.accepted, "checks": checks}


def _summary(context: Context, run: Run) -> dict[str, Any]:
    """What is kept of a cycle whatever became of it. The first three keys are what the seeds' exports read."""
    now = context.now()
    summary: dict[str, Any] = {
        "num_experiences": 0,
        "final_loss": None,
        "timestamp": now.isoformat(),
        "verification": run.data.get("verification"),
    }
    if run.job_dir is None or not jobs.has_result(run.job_dir):
        return summary
    try:
        result = run.result or jobs.read_result(run.job_dir)[0]
    except StoreError as error:
        return {**summary, "result_error": error.message}
    assert run.number is not None
    judged = report_of(run) if "gate" in run.data else None
    results = documents.cycle_results(run.number, result, now)
    return {
        **summary,
        "num_experiences": results["num_experiences"],
        "final_loss": results["final_loss"],
        "timestamp": results["timestamp"],
        "cycle_results": results,
        "kl": documents.figures(result)["unrelated_kl"],
        "report": documents.report(run.number, run.kind, run.requested_by, result, judged, run.started, now),
    }
