"""``sleepd inspect FILE``: what the reader and the screen make of a buffer, without touching any state."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sleepd.cli import output
from sleepd.cli.options import json_option, target_options
from sleepd.cli.target import Target
from sleepd.errors import NotFoundError

SHOWN = 10

if TYPE_CHECKING:
    from sleepd.config import Config


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@target_options
@json_option
@click.pass_obj
def command(target: Target, file: Path) -> None:
    """What would be learned from the experience buffer FILE, and what would be rejected, with the reasons."""
    if not file.is_file():
        raise NotFoundError(f"{file} is no file", "give the path of an experience buffer")
    document = judge(file, target.load().config)
    if target.json:
        output.print_json(document)
        return
    _print(document)


def _print(document: Mapping[str, Any]) -> None:
    salience = document["salience"]
    rejected = sorted(document["rejected"].items(), key=lambda row: -row[1])
    errors = document["errors"]
    output.pairs(
        [
            ("file", f"{document['path']} ({document['form']})"),
            ("entries", f"{document['entries']:,}"),
            ("usable", f"{document['usable']:,}: {document['examples']:,} as examples, {document['with_cards']:,} with facts"),
            ("facts", output.plural(document["cards"], "card")),
            ("salience", "-" if salience["median"] is None else f"{salience['min']} to {salience['max']}, median {salience['median']}"),
            ("no example", "\n".join(f"{count:>6,}  {reason}" for reason, count in rejected) or "none rejected"),
            ("errors", "\n".join(f"entry {row['entry']}: {row['reason']}" for row in errors[:SHOWN]) or "none"),
        ]
    )
    if len(errors) > SHOWN:
        click.echo(f"({len(errors) - SHOWN:,} more errors: see --json)")
