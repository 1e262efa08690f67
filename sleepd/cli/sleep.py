"""``sleepd sleep``: a cycle now. Through the daemon, or without one in the foreground, by the same engine."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import click

from sleepd.cli import output, plan
from sleepd.cli.options import json_option, target_options
from sleepd.cli.target import Target, asker
from sleepd.errors import ExitCode, NoDaemonError, SkippedError

if TYPE_CHECKING:
    from sleepd.records import CycleKind, Progress

EXITS = {"committed": ExitCode.OK, "rejected": ExitCode.REFUSED, "rolled_back": ExitCode.FAILED, "abandoned": ExitCode.FAILED}
START_SECONDS = 120.0
"""Reading a large buffer and writing the job come before the answer."""


@click.command()
@click.option("--force", is_flag=True, help="Skip the schedule. The conditions and the gate still decide.")
@click.option("--light", "kind", flag_value="light", type=click.Choice(["light", "deep"]), help="What is new, on top of what is active.")
@click.option("--deep", "kind", flag_value="deep", type=click.Choice(["light", "deep"]), help="Everything again, from the base model.")
@click.option("--dry-run", is_flag=True, help="Say what would be trained, and train nothing.")
@click.option("--follow", is_flag=True, help="Print progress until the cycle has ended.")
@target_options
@json_option
@click.pass_obj
def command(target: Target, force: bool, kind: CycleKind | None, dry_run: bool, follow: bool) -> int:
    """Ask for a sleep cycle now.

    Exit status 0: started (with --follow: committed), 5: the gate refused, 75: skipped or stopped for now. Without a daemon the cycle
    runs in the foreground; Ctrl-C stops it at a checkpoint.
    """
    try:
        if follow and not dry_run and _running(target):
            return _follow(target)
        args = {"force": force, "kind": kind, "dry_run": dry_run, "by": asker(os.environ)}
        result = target.call("sleep", args, START_SECONDS)
    except NoDaemonError:
        return _in_the_foreground(target, force, kind, dry_run, follow)
    if dry_run:
        return plan.tell(target, result)
    if follow:
        return _follow(target)
    if target.json:
        output.print_json(result)
    else:
        began = "goes on" if result.get("resumed") else "has started"
        click.echo(f"{result['cycle']} ({result['kind']}) {began}; `sleepd sleep --follow` shows it")
    return ExitCode.OK


def _running(target: Target) -> bool:
    cycle = target.call("status")["cycle"]
    return cycle is not None and not cycle.get("waiting")


def _follow(target: Target) -> int:
    from sleepd.control.client import follow

    for line in follow(target.socket()):
        if line.get("done"):
            return _ended(target, line)
        _progress(target, line)
    raise NoDaemonError("the daemon hung up before the cycle ended", "see `sleepd status`")


def _in_the_foreground(target: Target, force: bool, kind: CycleKind | None, dry_run: bool, follow: bool) -> int:
    from sleepd import journal
    from sleepd.daemon.foreground import run_cycle
    from sleepd.daemon.status import done_line

    loaded = target.load()
    # On a terminal the verdict is the news; who wants the whole log asks for a level.
    level = "error" if loaded.origins["log.level"] == "default" else loaded.config.log.level
    journal.configure(loaded.config.log.format, level, os.environ, sys.stderr)
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # stopped by a service manager, as by Ctrl-C

    def show(progress: Progress) -> None:
        if follow:
            _progress(target, asdict(progress))

    try:
        row = run_cycle(loaded, force, kind, dry_run, show, asker(os.environ))
    except SkippedError as error:
        if not dry_run:
            raise
        return plan.tell(target, _planned(kind, False, error.message))
    if row is None:
        return plan.tell(target, _planned(kind, True, "ready"))
    return _ended(target, done_line(row))


def _planned(kind: CycleKind | None, should_run: bool, reason: str) -> dict[str, Any]:
    """What the daemon answers to a dry run, without one."""
    return {"started": False, "dry_run": True, "cycle": None, "kind": kind, "decision": {"should_run": should_run, "reason": reason}}


def _progress(target: Target, line: Mapping[str, Any]) -> None:
    if target.json:
        output.print_json(line)
        return
    percent, eta, loss = line.get("percent"), line.get("eta_s"), line.get("loss")
    parts = [f"{line['stage'].lower():<8}", "" if percent is None else f"{percent:3.0f} %"]
    if line.get("steps"):
        parts.append(f"step {line.get('step')} of {line['steps']}")
    if loss is not None:
        parts.append(f"loss {loss:.3f}")
    if eta is not None:
        parts.append(f"about {eta:,.0f} s left")
    if line.get("message"):
        parts.append(str(line["message"]))
    click.echo("  ".join(parts).rstrip())


def _ended(target: Target, line: Mapping[str, Any]) -> int:
    verdict = line.get("verdict")
    if target.json:
        output.print_json(line)
    else:
        how = "stopped at a checkpoint" if verdict is None else output.verdict(verdict)
        click.echo(f"{line.get('cycle') or 'no cycle'}: {how}")
        for reason in line.get("reasons") or []:
            click.echo(f"  {reason}")
        if verdict is not None:
            click.echo("`sleepd report` shows what it learned")
    return EXITS.get(str(verdict), ExitCode.SKIPPED)
