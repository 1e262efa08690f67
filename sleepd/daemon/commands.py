"""What each control command does. Every one that changes something names who asked in the log."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from sleepd.adapter import activate as links
from sleepd.adapter.store import cycle_id
from sleepd.control.server import Pending
from sleepd.daemon import dreams, forget_plan, forgetting, memories, status
from sleepd.daemon.context import Run
from sleepd.daemon.engine import Engine
from sleepd.errors import ExitCode, NotFoundError, RefusedError, SkippedError, SleepdError
from sleepd.journal import Event, logger
from sleepd.records import CycleKind

log = logger(__name__)

_KINDS: Mapping[str, CycleKind] = {"light": "light", "deep": "deep"}
DEFAULT_CYCLES = 20
ONLY_LOOK = frozenset({"status", "check", "cycles", "show", "report", "memories", "why", "receipts", "dreams"})
"""What changes nothing, and may be answered in the middle of other work."""


class UsageError(SleepdError):
    """Arguments that no command takes."""

    exit_code = ExitCode.USAGE


class Commands:
    """One method a command; ``reload`` comes from the service, which owns the configuration."""

    def __init__(self, engine: Engine, reload: Callable[[], dict[str, Any]], generation: Callable[[], int]) -> None:
        self._engine = engine
        self._reload = reload
        self._generation = generation
        self._followers: list[Pending] = []
        self._table: Mapping[str, Callable[[Mapping[str, Any], str], Any]] = {
            "status": lambda args, by: status.status(engine, generation()),
            "check": lambda args, by: self._check(),
            "sleep": self._sleep,
            "cycles": self._cycles,
            "show": self._show,
            "report": self._report,
            "tag": self._tag,
            "pause": self._pause,
            "resume": self._resume,
            "reload": lambda args, by: self._reload(),
            "dreams": lambda args, by: dreams.journal(engine.ledger, _integer(args.get("limit", dreams.DEFAULT_DREAMS), "limit")),
            "veto": self._veto,
            "memories": lambda args, by: memories.memories(engine.ledger, str(args.get("query") or ""), args.get("status")),
            "why": lambda args, by: memories.why(engine.ledger, engine.context.store, str(args.get("query") or "")),
            "receipts": lambda args, by: forgetting.receipts(engine.ledger, str(args.get("query") or "")),
        }

    def handle(self, pending: Pending) -> None:
        """Answer a request, now or when its work is done. Errors go to who asked."""
        request = pending.request
        by = str(request.args.get("by") or pending.peer)
        try:
            if request.command == "follow":
                self._follow(pending)
            elif request.command in ("rollback", "activate"):
                self._switch(pending, request.args, by)
            elif request.command == "forget":
                self._forget(pending, request.args, by)
            else:
                pending.answer(self._table[request.command](request.args, by))
        except SleepdError as error:
            log.info(Event.REQUEST_FAILED, command=request.command, by=by, error=error.message)
            pending.refuse(error)
        except Exception as error:  # a defect in one command must not end the daemon: who asked hears of it, and the log
            log.exception(Event.REQUEST_FAILED, command=request.command, by=by)
            pending.refuse(SleepdError(f"{request.command} failed: {type(error).__name__}: {error}", "report this with the daemon's log"))

    # -- followers --------------------------------------------------------------------------------------------

    def run_changed(self, run: Run) -> None:
        line = status.progress_line(run)
        for follower in self._followers:
            follower.line(line)

    def run_finished(self, run: Run) -> None:
        if run.number is None:
            return
        row = self._engine.ledger.cycles.find(run.number)
        for follower in self._followers:
            follower.line(status.done_line(row, run), last=True)
        self._followers.clear()

    def stop(self) -> None:
        for follower in self._followers:
            follower.line({"done": True, "cycle": None, "verdict": None, "reasons": ["the daemon stops"]}, last=True)
        self._followers.clear()

    def _follow(self, pending: Pending) -> None:
        run = self._engine.driver.run
        if run is None or not self._engine.driver.busy or run.number is None:
            pending.begin_stream({"cycle": None if run is None else run.name})
            pending.line(status.done_line(self._engine.last_cycle(), run), last=True)
            return
        pending.begin_stream({"cycle": run.name})
        pending.line(status.progress_line(run))
        self._followers.append(pending)

    # -- commands ---------------------------------------------------------------------------------------------

    def _check(self) -> dict[str, Any]:
        return status.decision_document(self._engine.decide())

    def _sleep(self, args: Mapping[str, Any], by: str) -> dict[str, Any]:
        kind_name, force = args.get("kind"), bool(args.get("force"))
        if kind_name is not None and kind_name not in _KINDS:
            raise UsageError(f"kind {kind_name!r} is no kind of cycle", "use light or deep")
        kind = _KINDS[kind_name] if kind_name is not None else None
        self._engine.look_at_buffers(at_once=True)
        decision = self._engine.decide(force=force, kind=kind)
        document = status.decision_document(decision)
        if args.get("dry_run"):
            totals = self._engine.ledger.experiences.totals()
            return {"started": False, "dry_run": True, "cycle": None, "kind": decision.kind, "new": totals.new, "decision": document}
        if not decision.should_run:
            raise SkippedError(decision.reason, "see `sleepd check`" + ("" if force else "; --force skips the schedule"))
        resumed = self._engine.driver.run is not None
        run = self._engine.sleep(decision.kind, by, forced=force)
        log.info(Event.REQUEST_HANDLED, command="sleep", by=by, force=force, cycle=run.name)
        return {"started": True, "dry_run": False, "cycle": run.name, "kind": run.kind, "resumed": resumed, "decision": document}

    def _cycles(self, args: Mapping[str, Any], by: str) -> dict[str, Any]:
        limit = _integer(args.get("limit"), "limit") if args.get("limit") is not None else DEFAULT_CYCLES
        return {"cycles": [status.row_document(row) for row in self._engine.ledger.cycles.list(limit)]}

    def _show(self, args: Mapping[str, Any], by: str) -> dict[str, Any]:
        row = self._engine.ledger.cycles.get(_integer(args.get("number"), "number"))
        steps = [{"step": step.step, "entered_at": step.entered_at.isoformat()} for step in self._engine.ledger.cycles.steps(row.number)]
        return {
            **status.row_document(row),
            "steps": steps,
            "active": self._engine.active_id() == cycle_id(row.number),
            "summary": dict(row.summary),
        }

    def _report(self, args: Mapping[str, Any], by: str) -> dict[str, Any]:
        if args.get("number") is not None:
            row = self._engine.ledger.cycles.get(_integer(args["number"], "number"))
        else:
            last = self._engine.last_cycle()
            if last is None:
                raise NotFoundError("no cycle has ended yet", "see `sleepd check` for what it waits for")
            row = last
        return {**status.row_document(row), "report": row.summary.get("report"), "verification": row.summary.get("verification")}

    def _tag(self, args: Mapping[str, Any], by: str) -> dict[str, Any]:
        number = _integer(args.get("number"), "number")
        name = str(args.get("name") or "").strip()
        self._engine.context.store.path(cycle_id(number))
        self._engine.ledger.cycles.tag(number, name or None)
        log.info(Event.REQUEST_HANDLED, command="tag", by=by, cycle=cycle_id(number), tag=name)
        return {"number": number, "tag": name or None}

    def _pause(self, args: Mapping[str, Any], by: str) -> dict[str, Any]:
        self._engine.ledger.values.set("paused", {"by": by, "since": self._engine.ports.now().isoformat()})
        log.info(Event.PAUSED, by=by)
        return {"paused": True}

    def _resume(self, args: Mapping[str, Any], by: str) -> dict[str, Any]:
        self._engine.ledger.values.remove("paused")
        log.info(Event.RESUMED, by=by)
        return {"paused": False}

    # -- forgetting -------------------------------------------------------------------------------------------

    def _forget(self, pending: Pending, args: Mapping[str, Any], by: str) -> None:
        """With ``query``: what it would forget. With the ``cards`` and ``exchanges`` of that answer: forget them."""
        ledger, store = self._engine.ledger, self._engine.context.store
        if args.get("query") is not None:
            self._engine.look_at_buffers(at_once=True)
            pending.answer(forget_plan.document(ledger, forget_plan.find(ledger, store, str(args["query"]))))
            return
        plan = forget_plan.of(ledger, store, _strings(args.get("cards"), "cards"), _strings(args.get("exchanges"), "exchanges"))

        def done(number: int) -> None:
            pending.answer(forgetting.outcome(ledger, number))

        self._engine.requests.forget(plan, by, done, pending.refuse)

    def _veto(self, args: Mapping[str, Any], by: str) -> dict[str, Any]:
        dream_id = str(args.get("id") or "")
        result = dreams.veto(self._engine.ledger, dream_id, by, self._engine.ports.now())
        log.info(Event.REQUEST_HANDLED, command="veto", by=by, dream=dream_id)
        return result

    # -- hand control -----------------------------------------------------------------------------------------

    def _switch(self, pending: Pending, args: Mapping[str, Any], by: str) -> None:
        command = pending.request.command
        candidate = self._rollback_target(args) if command == "rollback" else self._activate_target(args)
        log.info(Event.REQUEST_HANDLED, command=command, by=by, adapter=candidate or "base")

        def done(run: Run) -> None:
            if run.verdict == "committed":
                pending.answer({"active": candidate, "verification": run.data.get("verification"), "by": by})
            else:
                pending.refuse(RefusedError(f"{candidate or 'base'} was not activated: {'; '.join(run.reasons)}", "see `sleepd status`"))

        accept = base.sha256 if candidate is None and (base := self._engine.model.base) is not None else None
        self._engine.requests.switch(candidate, by, f"{command} by {by}", done, accept_base=accept)

    def _rollback_target(self, args: Mapping[str, Any]) -> str | None:
        store = self._engine.context.store
        if args.get("number") is not None:
            return self._whole(cycle_id(_integer(args["number"], "number")))
        if self._engine.active_id() is None and not self._engine.link_is_broken():
            raise NotFoundError("no adapter is active, so there is nothing to roll back", "see `sleepd cycles`")
        target = links.rollback_target(store, [cycle_id(row.number) for row in self._engine.ledger.cycles.committed()])
        return None if target is None else self._whole(target)

    def _activate_target(self, args: Mapping[str, Any]) -> str | None:
        target = str(args.get("target") or "")
        if target == "base":
            return None
        return self._whole(cycle_id(_integer(target.removeprefix("cycle_"), "target")))

    def _whole(self, adapter_id: str) -> str:
        """Refuse an adapter of another base model before anything moves."""
        store = self._engine.context.store
        base = store.manifest(adapter_id).get("base")
        now = self._engine.model.base
        if isinstance(base, Mapping) and now is not None and base.get("sha256") != now.sha256:
            raise RefusedError(
                f"{adapter_id} belongs to another base model (sha256 {str(base.get('sha256'))[:12]})", "put that model back first"
            )
        return adapter_id


def _strings(value: object, name: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise UsageError(f"{name} must be a list of ids", "take them from the answer to a query")
    return value


def _integer(value: object, name: str) -> int:
    text = str(value)
    if isinstance(value, bool) or not (text.isascii() and text.isdecimal()):
        raise UsageError(f"{name} is {value!r}, not a number", "see `sleepd cycles` for the numbers there are")
    return int(text)
