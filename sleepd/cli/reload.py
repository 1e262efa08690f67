"""``sleepd reload``: the daemon reads its configuration again. What ``systemctl reload`` runs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from sleepd.cli import output
from sleepd.cli.options import json_option, target_options
from sleepd.cli.target import Target


@click.command()
@target_options
@json_option
@click.pass_obj
def command(target: Target) -> None:
    """Read the configuration again. Fails, and changes nothing, when it would be rejected."""
    result = target.call("reload")
    if target.json:
        output.print_json(result)
    else:
        click.echo(_sentence(result))


def _sentence(result: Mapping[str, Any]) -> str:
    applied, restart = list(result.get("applied") or []), list(result.get("needs_restart") or [])
    said = f"reloaded: {', '.join(applied)}" if applied else "reloaded: nothing changed" if not restart else "reloaded"
    return said + (f"; takes effect after a restart: {', '.join(restart)}" if restart else "")
