"""``sleepd run``: be the daemon. What sleepd.service runs."""

from __future__ import annotations

import click

from sleepd.cli.options import target_options
from sleepd.cli.target import Target


@click.command(short_help="The daemon: what systemd starts.")
@target_options
@click.pass_obj
def command(target: Target) -> int:
    """The daemon: watches, decides, trains by night, until told to stop."""
    loaded = target.load()
    from sleepd.daemon import service

    return service.run(loaded, target.load)
