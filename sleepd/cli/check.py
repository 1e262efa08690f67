"""``sleepd check``: would a cycle run now, and why not."""

from __future__ import annotations

import click

from sleepd.cli import output
from sleepd.cli.options import json_option, target_options
from sleepd.cli.target import Target
from sleepd.errors import ExitCode


@click.command()
@target_options
@json_option
@click.pass_obj
def command(target: Target) -> int:
    """Would a cycle run now? Exit status 0: yes, 75: no."""
    decision = target.call("check")
    if target.json:
        output.print_json(decision)
    else:
        click.echo(f"{'a cycle would run now' if decision['should_run'] else 'no cycle now'}: {decision['reason']}")
        output.table(["", "check", "numbers"], [[output.yes_no(row["ok"]), row["name"], row["detail"]] for row in decision["checks"]])
    return ExitCode.OK if decision["should_run"] else ExitCode.SKIPPED
