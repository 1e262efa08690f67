"""``sleepd status``: everything about the daemon on one screen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from sleepd.cli import output
from sleepd.cli.options import json_option, target_options
from sleepd.cli.target import Target


@click.command(short_help="What the daemon does and serves now.")
@target_options
@json_option
@click.pass_obj
def command(target: Target) -> None:
    """Phase, decision, running cycle, active adapter, inference health."""
    document = target.call("status")
    if target.json:
        output.print_json(document)
        return
    output.pairs(rows(document))


def rows(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The status document as labels and values."""
    instance = f", instance {document['instance']}" if document.get("instance") else ""
    return [
        ("sleepd", f"{document['version']}{instance}"),
        ("phase", _phase(document)),
        ("decision", _decision(document)),
        ("cycle", _cycle(document["cycle"])),
        ("active", _active(document["active"])),
        ("last cycle", _last(document["last_cycle"])),
        ("inference", _inference(document["inference"])),
        ("experiences", _totals(document["totals"])),
        ("sleep debt", _debt(document.get("sleep_debt") or {})),
        ("pace", _pace(document.get("pace") or {})),
        ("quarantine", output.plural(document["quarantine"], "entry", "entries") if document["quarantine"] else "empty"),
        *_learning(document),
        ("problems", "\n".join(click.style(line, fg="red") for line in document.get("errors") or []) or "none"),
    ]


def _phase(document: Mapping[str, Any]) -> str:
    change = document.get("next_phase_change")
    return f"{document['phase']}, until {output.local(change)}" if change else str(document["phase"])


def _decision(document: Mapping[str, Any]) -> str:
    decision = document["decision"]
    if document.get("paused"):
        return click.style("paused", fg="yellow") + f": {decision['reason']}"
    answer = click.style("sleep now", fg="green") if decision["should_run"] else "not now"
    return f"{answer}: {decision['reason']}"


def _cycle(cycle: Mapping[str, Any] | None) -> str:
    if cycle is None:
        return "none running"
    if cycle.get("waiting"):
        return f"{cycle['id']} ({cycle['kind']}) waits to be resumed: {cycle['waiting']}"
    progress = cycle.get("progress") or {}
    percent = f", {progress['percent']:.0f} %" if progress.get("percent") is not None else ""
    return click.style(f"{cycle['id']} ({cycle['kind']}): {cycle['stage'].lower()}{percent}", fg="cyan")


def _active(active: Mapping[str, Any] | None) -> str:
    if active is None:
        return "base (no adapter)"
    return f"{active['id']}, since {output.local(active.get('since'))}, sha256 {str(active.get('sha256') or '-')[:12]}"


def _last(cycle: Mapping[str, Any] | None) -> str:
    if cycle is None:
        return "none yet"
    return "\n".join([f"{cycle['id']} {output.verdict(cycle['verdict'])}", *map(str, cycle.get("reasons") or [])])


def _inference(inference: Mapping[str, Any]) -> str:
    if inference["kind"] == "none":
        return "none: nobody is told about a new adapter (inference.kind)"
    if inference["healthy"] is None:
        return f"{inference['kind']}: not asked yet"
    served = inference.get("served") or {}
    health = click.style("healthy", fg="green") if inference["healthy"] else click.style("not healthy", fg="red")
    named = f", serves {served['adapter_id']}" if served.get("adapter_id") else ""
    detail = f": {served['detail']}" if served.get("detail") else ""
    return f"{inference['kind']}: {health}{named}{detail}"


def _learning(document: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What a person should know of single memories; no line when there is nothing to know."""
    lines = []
    if still := sum(document.get("still_in_the_weights") or []):
        lines.append(("forgotten", f"still in the weights: {output.plural(still, 'memory', 'memories')}, until the next deep cycle"))
    if stubborn := document.get("stubborn"):
        told = f"{output.plural(stubborn, 'fact')} did not stick in three nights; `sleepd memories --status stubborn` lists them"
        lines.append(("stubborn", told))
    return lines


def _totals(totals: Mapping[str, Any]) -> str:
    return f"{totals['experiences']:,}, of them {totals['usable']:,} usable, {totals['new']:,} new since the last cycle"


def _debt(debt: Mapping[str, Any]) -> str:
    if not debt.get("experiences"):
        return "none"
    since = f"{debt['hours']:.1f} h" if debt["hours"] < 72 else f"{debt['hours'] / 24:.1f} days"
    waiting = f"{output.plural(debt['experiences'], 'new experience')} waiting for {since}"
    if not debt["nights_missed"]:
        return waiting
    missed = click.style(f"{output.plural(debt['nights_missed'], 'night')} missed", fg="yellow")
    return "\n".join([f"{waiting}, {missed}", *map(str, debt["reasons"])])


def _pace(pace: Mapping[str, Any]) -> str:
    factor = pace.get("factor", 1.0)
    if factor == 1.0:
        return "as scheduled"
    speed = "slower" if factor > 1 else "quicker"
    return f"{speed}: new experiences and hours x {factor:.3g} ({pace['reason']})"
