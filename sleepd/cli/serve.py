"""``sleepd serve``: the reference inference service. What sleepd-inference.service runs."""

from __future__ import annotations

import os
import sys

import click

from sleepd.cli.options import target_options
from sleepd.cli.target import Target
from sleepd.errors import SleepdError


@click.command(short_help="The reference inference service.")
@target_options
@click.pass_obj
def command(target: Target) -> int:
    """Serve the base model with the active adapter, OpenAI-compatible, until told to stop."""
    loaded = target.load()
    from sleepd import journal, serve

    journal.configure(loaded.config.log.format, loaded.config.log.level, os.environ, sys.stderr)
    try:
        return serve.run(loaded)
    except ModuleNotFoundError as error:
        raise SleepdError(f"the inference service needs {error.name}, which is not installed", "pip install 'sleepd[serve]'") from error
