"""``sleepd dreams [N]`` and ``sleepd dreams veto ID``: what deep cycles made up out of what was told, and a no to it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import click

from sleepd.cli import output
from sleepd.cli.history import LEDGER_FILE
from sleepd.cli.options import json_option, target_options
from sleepd.cli.target import Target, asker
from sleepd.errors import NoDaemonError

DEFAULT_DREAMS = 20


@click.command(short_help="The dream journal, and a veto.")
@click.argument("words", metavar="[N | veto ID]", nargs=-1)
@target_options
@json_option
@click.pass_obj
def command(target: Target, words: tuple[str, ...]) -> None:
    """The last N dreams (20), newest first: questions and answers that deep cycles put together from several facts.

    "sleepd dreams veto ID" forbids one: it is never dreamt again, and where it was trained a deep cycle is due that goes
    without it.
    """
    if words[:1] == ("veto",):
        if len(words) != 2:
            raise click.UsageError("veto needs the id of one dream")
        _veto(target, words[1])
        return
    if len(words) > 1 or not all(word.isascii() and word.isdecimal() and int(word) for word in words):
        raise click.UsageError(f"{' '.join(words)!r} is neither a number of dreams nor veto and an id")
    document = _journal(target, int(words[0]) if words else DEFAULT_DREAMS)
    if target.json:
        output.print_json(document)
        return
    if not document["dreams"]:
        click.echo("no dream yet: only deep cycles dream, of facts that share a subject")
    for dream in document["dreams"]:
        _show(dream)


def _veto(target: Target, dream_id: str) -> None:
    result = target.call("veto", {"id": dream_id, "by": asker(os.environ)})
    if target.json:
        output.print_json(result)
        return
    due = "; it is still in the weights, so a deep cycle is due" if result["still_in_the_weights"] else ""
    click.echo(f"dream {dream_id} is vetoed and will not be dreamt again{due}")


def _journal(target: Target, limit: int) -> dict[str, Any]:
    """From the daemon, or without one from the ledger. Raises NoDaemonError when there is none either."""
    try:
        return target.call("dreams", {"limit": limit})
    except NoDaemonError:
        loaded = target.load()
        if not (loaded.directories.state / LEDGER_FILE).exists():
            raise
    from sleepd.daemon.dreams import journal
    from sleepd.ledger import Ledger

    with Ledger.open(loaded.directories.state / LEDGER_FILE, readonly=True) as ledger:
        return journal(ledger, limit)


def _show(dream: Mapping[str, Any]) -> None:
    vetoed = click.style(f", vetoed by {dream['vetoed_by']}", fg="red") if dream.get("vetoed_by") else ""
    click.echo(f"{click.style(dream['id'], bold=True)}  {dream['kind']}, {dream['cycle']}, {output.local(dream['dreamt_at'])}{vetoed}")
    for message in dream["messages"]:
        click.echo(f"    {message['role']}: {message['content']}")
