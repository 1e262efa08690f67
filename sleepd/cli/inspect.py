"""``sleepd inspect FILE``: what the reader and the screen make of a buffer, without touching any state."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from sleepd.cli import output
from sleepd.cli.options import json_option, target_options
from sleepd.cli.target import Target
from sleepd.errors import NotFoundError

SHOWN = 10
BYTES_PER_MB = 1024 * 1024


@click.command(short_help="What a buffer would give, and why.")
@click.argument("file", type=click.Path(path_type=Path))
@target_options
@json_option
@click.pass_obj
def command(target: Target, file: Path) -> None:
    """What would be learned from the experience buffer FILE, and what would be rejected, with the reasons."""
    if not file.is_file():
        raise NotFoundError(f"{file} is no file", "give the path of an experience buffer")
    from sleepd.experience.inspect import inspect_buffer
    from sleepd.experience.screen import ScreenLimits

    section = target.load().config.experience
    limits = ScreenLimits(section.min_salience, section.max_prompt_share, section.max_session_share, section.max_own_share)
    document = inspect_buffer(file, limits, section.max_buffer_mb * BYTES_PER_MB)
    if target.json:
        output.print_json(document)
    else:
        _print(document)


def _print(document: Mapping[str, Any]) -> None:
    salience, errors = document["salience"], document["errors"]
    rejected = "\n".join(f"{count:>6,}  {reason.replace('_', ' ')}" for reason, count in document["rejected"].items())
    told = [f"entry {row['entry']}: {row['reason']}" for row in errors[:SHOWN]]
    if len(errors) > SHOWN:
        told.append(f"and {len(errors) - SHOWN:,} more (--json lists them all)")
    spread = "-" if salience["median"] is None else f"{salience['min']:.2f} to {salience['max']:.2f}, median {salience['median']:.2f}"
    output.pairs(
        [
            ("file", f"{document['path']} ({document['form']})"),
            ("entries", f"{document['entries']:,}"),
            ("usable", f"{document['usable']:,}: {document['examples']:,} as examples, {document['with_cards']:,} with facts"),
            ("facts", f"{document['cards']:,}"),
            ("salience", spread),
            ("no example", rejected or "none"),
            ("errors", "\n".join(told) or "none"),
        ]
    )
