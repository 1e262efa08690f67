"""``sleepd forget QUERY``: take memories out of the ledger and the weights, with proof. Through the daemon, or without one."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import Any

import click

from sleepd.cli import history, output
from sleepd.cli.options import json_option, target_options
from sleepd.cli.receipt import told
from sleepd.cli.switched import SWITCH_SECONDS
from sleepd.cli.target import Target, asker
from sleepd.errors import ExitCode, NoDaemonError, SkippedError, SleepdError

SHOWN = 20
LOOK_SECONDS = 120.0
"""Reading a large buffer comes before the answer."""


class UnconfirmedError(SleepdError):
    """Nobody was there to confirm, or what they confirmed with is missing."""

    exit_code = ExitCode.USAGE


@click.command(short_help="Remove a memory from ledger and weights, with proof.")
@click.argument("query", metavar="QUERY", nargs=-1)
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@click.option("--now", is_flag=True, help="Do not wait for the night: start the deep cycle that takes it out of the weights.")
@click.option("--receipt", is_flag=True, help="Forget nothing: print the receipts (QUERY: a number, who asked, or a hash).")
@target_options
@json_option
@click.pass_obj
def command(target: Target, query: tuple[str, ...], yes: bool, now: bool, receipt: bool) -> int:
    """Forget the facts that hold all words of QUERY, with the exchanges that they came from.

    The ledger forgets at once. What is in the weights goes with the next deep cycle, which makes the adapter anew from the base model
    and is committed only when twenty tries a fact draw nothing out of it. Exit status 4: nothing matches, 75: --now cannot start yet.
    """
    asked = " ".join(query)
    if receipt:
        _receipts(target, asked)
        return ExitCode.OK
    if not asked.strip():
        raise UnconfirmedError("forget needs a QUERY", "name what is to be forgotten; `sleepd memories` lists what there is")
    try:
        answer = _through_the_daemon(target, asked, yes)
    except NoDaemonError:
        answer = _without_a_daemon(target, asked, yes)
    if answer is None:
        click.echo("nothing was forgotten")
        return ExitCode.OK
    cycle, problem = _deep_cycle(target) if now and answer["still_in_the_weights"] else (None, None)
    if target.json:
        output.print_json({**answer, "deep_cycle": cycle, "problem": None if problem is None else problem.message})
    else:
        _tell(answer, cycle)
    if problem is not None and not target.json:
        raise problem
    return ExitCode.OK if problem is None else int(problem.exit_code)


def _through_the_daemon(target: Target, query: str, yes: bool) -> dict[str, Any] | None:
    plan = target.call("forget", {"query": query}, LOOK_SECONDS)
    if not _confirmed(target, plan, yes):
        return None
    args = {"cards": [card["id"] for card in plan["cards"]], "exchanges": [exchange["id"] for exchange in plan["exchanges"]]}
    return target.call("forget", {**args, "by": asker(os.environ)}, SWITCH_SECONDS)


def _without_a_daemon(target: Target, query: str, yes: bool) -> dict[str, Any] | None:
    from sleepd import journal
    from sleepd.daemon.foreground import forget

    loaded = target.load()
    level = "error" if loaded.origins["log.level"] == "default" else loaded.config.log.level
    journal.configure(loaded.config.log.format, level, os.environ, sys.stderr)
    return forget(loaded, query, lambda plan: _confirmed(target, plan, yes), asker(os.environ))


def _deep_cycle(target: Target) -> tuple[str | None, SleepdError | None]:
    """Start the deep cycle, in the foreground where no daemon runs: a line about it, or why not. Neither undoes the forgetting."""
    try:
        try:
            started = target.call("sleep", {"force": True, "kind": "deep", "by": asker(os.environ)}, LOOK_SECONDS)
            return f"{started['cycle']} (deep) has started; `sleepd sleep --follow` shows it, `sleepd forget --receipt` proves it", None
        except NoDaemonError:
            from sleepd.daemon.foreground import run_cycle

            row = run_cycle(target.load(), force=True, kind="deep", by=asker(os.environ))
    except SleepdError as error:
        return None, error
    if row is None or row.verdict != "committed":
        why = "; ".join(row.reasons) if row is not None else ""
        return None, SkippedError(f"the deep cycle was not committed: {why}", "the next night tries again; see `sleepd report`")
    return f"cycle_{row.number:03d} (deep) has taken it out of the weights; `sleepd forget --receipt` proves it", None


def _confirmed(target: Target, plan: Mapping[str, Any], yes: bool) -> bool:
    if yes:
        return True
    if target.json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise UnconfirmedError("nothing was forgotten: nobody can confirm it here", "look at `sleepd memories QUERY`, then add --yes")
    _show(plan)
    return click.confirm("Forget this?", default=False)


def _show(plan: Mapping[str, Any]) -> None:
    if plan["cards"]:
        click.echo(click.style("facts", bold=True))
        output.table(
            ["about", "fact", "value", "status"],
            [[card[key] for key in ("subject", "relation", "value", "status")] for card in plan["cards"][:SHOWN]],
        )
        _more(len(plan["cards"]))
    if plan["exchanges"]:
        click.echo(click.style("exchanges", bold=True))
        for exchange in plan["exchanges"][:SHOWN]:
            click.echo(f"  {output.local(exchange['time'])}  {' '.join(exchange['prompt'].split())}")
            for fact in exchange["facts_kept"]:
                click.echo(f"    kept: {fact}")
        _more(len(plan["exchanges"]))
    if plan["in_the_weights"]:
        click.echo("It may be in the weights in service: the next deep cycle makes them anew without it.")
    if plan["adapters"]:
        click.echo(f"Then these adapters go, and cannot be gone back to: {', '.join(plan['adapters'])}")
    if plan["tagged"]:
        click.echo(click.style(f"Among them are tagged ones: {', '.join(plan['tagged'])}", fg="yellow"))


def _more(count: int) -> None:
    if count > SHOWN:
        click.echo(f"  and {count - SHOWN:,} more")


def _tell(answer: Mapping[str, Any], cycle: str | None) -> None:
    what = f"{output.plural(answer['facts'], 'fact')} and {output.plural(answer['exchanges'], 'exchange')}"
    click.echo(f"forgotten: {what} (request {answer['forget']})")
    if answer["still_in_the_weights"]:
        still = output.plural(answer["still_in_the_weights"], "memory", "memories")
        click.echo(f"still in the weights: {still}, until the next deep cycle")
        if cycle:
            click.echo(cycle)
        if answer["removed"]:
            click.echo(f"removed: {', '.join(answer['removed'])}")
        return
    told(answer)


def _receipts(target: Target, query: str) -> None:
    def read(ledger: Any, loaded: Any) -> dict[str, Any]:
        from sleepd.daemon.forgetting import receipts

        return receipts(ledger, query)

    document = history.ask_or_read(target, "receipts", {"query": query}, read)
    if target.json:
        output.print_json(document)
    elif not document["receipts"]:
        click.echo("no receipt" + (f" for {query!r}" if query else ": nothing was ever to be forgotten"))
    for index, row in enumerate(() if target.json else document["receipts"]):
        if index:
            click.echo()
        told(row)
