"""``sleepd why QUERY``: from an answer or a question to the fact, the exchange that told it, and the nights that taught it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from sleepd.cli import history, output
from sleepd.cli.memories import status_of
from sleepd.cli.options import json_option, target_options
from sleepd.cli.target import Target

EXCERPT = 300
READERS = {"pattern": "a pattern", "model": "the model, in the user's own words"}


@click.command(short_help="Where an answer comes from.")
@click.argument("query", metavar="QUERY", nargs=-1, required=True)
@target_options
@json_option
@click.pass_obj
def command(target: Target, query: tuple[str, ...]) -> None:
    """Which facts an answer of the model, or a question to it, is about: who told them, and which nights taught them."""
    asked = " ".join(query)
    document = history.ask_or_read(target, "why", {"query": asked}, lambda ledger, loaded: _read(ledger, loaded.directories.state, asked))
    if target.json:
        output.print_json(document)
        return
    for index, match in enumerate(document["matches"]):
        if index:
            click.echo()
        card = match["card"]
        click.echo(click.style(f"{card['subject']}, {card['relation']}: {card['value']}", bold=True) + f" ({status_of(card['status'])})")
        output.pairs(_rows(match, document["active"]))


def _read(ledger: Any, state: Path, query: str) -> dict[str, Any]:
    from sleepd.adapter.store import AdapterStore
    from sleepd.daemon.memories import why

    return why(ledger, AdapterStore(state / "adapters"), query)


def _rows(match: Mapping[str, Any], active: str | None) -> list[tuple[str, str]]:
    return [
        *_told(match["exchange"]),
        ("read by", READERS[match["card"]["read_by"]]),
        ("nights", "\n".join(_night(night) for night in match["nights"]) or "none has seen it yet"),
        ("in service", _in_service(bool(match["in_the_active_adapter"]), active)),
    ]


def _told(exchange: Mapping[str, Any] | None) -> list[tuple[str, str]]:
    if exchange is None:
        return [("told", "the exchange is not in the ledger any more")]
    session = "" if exchange["session"] is None else f", session {exchange['session']}"
    return [
        ("told", f"{output.local(exchange['time'] or exchange['added_at'])}{session}, in {exchange['buffer']}"),
        ("user", _short(exchange["prompt"])),
        ("reply", _short(exchange["response"])),
    ]


def _night(night: Mapping[str, Any]) -> str:
    did = "taught" if night["taught"] else "asked for"
    found = "recalled" if night["recalled"] else "not recalled"
    kind = f" ({night['kind']})" if night["kind"] else ""
    return f"{night['cycle']}{kind} {output.verdict(night['verdict'])}: {did}, {found}"


def _in_service(held: bool, active: str | None) -> str:
    if active is None:
        return "the base model alone, which no night taught"
    return f"{active} learned it" if held else f"{active} did not learn it"


def _short(text: str) -> str:
    joined = " ".join(text.split())
    return joined if len(joined) <= EXCERPT else joined[:EXCERPT] + "…"
