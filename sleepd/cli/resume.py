"""``sleepd resume``: cycles may start again."""

from __future__ import annotations

import os

import click

from sleepd.cli import output
from sleepd.cli.options import json_option, target_options
from sleepd.cli.target import Target, asker


@click.command()
@target_options
@json_option
@click.pass_obj
def command(target: Target) -> None:
    """End a pause."""
    result = target.call("resume", {"by": asker(os.environ)})
    if target.json:
        output.print_json(result)
    else:
        click.echo("resumed: cycles start again when they are due")
