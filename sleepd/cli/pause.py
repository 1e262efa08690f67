"""``sleepd pause``: no more cycles until somebody says so."""

from __future__ import annotations

import os

import click

from sleepd.cli import output
from sleepd.cli.options import json_option, target_options
from sleepd.cli.target import Target, asker


@click.command(short_help="Start no more cycles until `resume`.")
@target_options
@json_option
@click.pass_obj
def command(target: Target) -> None:
    """Start no more cycles until `sleepd resume`. A running one goes on."""
    result = target.call("pause", {"by": asker(os.environ)})
    if target.json:
        output.print_json(result)
    else:
        click.echo("paused: no cycle starts until `sleepd resume`")
