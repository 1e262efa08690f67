"""Owns the table of verbs, and how an error reaches the shell.

A verb's module is imported only when that verb is called, so ``sleepd status`` costs what status needs and nothing else. A module of a
verb must not import the daemon, torch or pydantic at its top.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from collections.abc import Mapping, Sequence

import click

from sleepd.cli.options import target_options
from sleepd.cli.target import Target
from sleepd.errors import ExitCode, SleepdError

VERBS: Mapping[str, str] = {
    "run": "sleepd.cli.run:command",
    "status": "sleepd.cli.status:command",
    "check": "sleepd.cli.check:command",
    "sleep": "sleepd.cli.sleep:command",
    "cycles": "sleepd.cli.cycles:command",
    "show": "sleepd.cli.show:command",
    "report": "sleepd.cli.report:command",
    "rollback": "sleepd.cli.rollback:command",
    "activate": "sleepd.cli.activate:command",
    "tag": "sleepd.cli.tag:command",
    "pause": "sleepd.cli.pause:command",
    "resume": "sleepd.cli.resume:command",
    "reload": "sleepd.cli.reload:command",
    "memories": "sleepd.cli.memories:command",
    "why": "sleepd.cli.why:command",
    "forget": "sleepd.cli.forget:command",
    "dreams": "sleepd.cli.dreams:command",
    "inspect": "sleepd.cli.inspect:command",
    "serve": "sleepd.cli.serve:command",
    "config": "sleepd.cli.config:command",
    "lab": "sleepd.lab.cli:lab",
}


class VerbGroup(click.Group):
    """Finds a verb in the table and imports it then."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(VERBS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        module, _, attribute = VERBS.get(cmd_name, "").partition(":")
        if not module:
            return None
        command = getattr(importlib.import_module(module), attribute)
        if not isinstance(command, click.Command):
            raise TypeError(f"{VERBS[cmd_name]} is a {type(command).__name__}, not a click command")
        return command


def _print_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    if value:
        from sleepd import __version__

        click.echo(f"sleepd {__version__}")
        ctx.exit()


@click.group(cls=VerbGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version, help="Print the version.")
@target_options
@click.pass_context
def app(ctx: click.Context) -> None:
    """Turns what a local model lived through by day into a LoRA adapter by night, and proves that it helped."""
    ctx.ensure_object(Target)
    if os.environ.get("NO_COLOR"):
        ctx.color = False


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit code. Errors end here, and are told here, once."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    target = Target()
    try:
        result = app.main(given, prog_name="sleepd", obj=target, standalone_mode=False)
    except SleepdError as error:
        return _tell(error.message, error.remedy, error.exit_code, target.json)
    except click.UsageError as error:
        remedy = f"see {error.ctx.command_path} --help" if error.ctx else "see sleepd --help"
        return _tell(error.format_message(), remedy, ExitCode.USAGE, "--json" in given)
    except click.ClickException as error:
        return _tell(error.format_message(), "", ExitCode.FAILED, "--json" in given)
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:
        # The reader (head, less) has gone. Python would complain again when it flushes stdout at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return ExitCode.FAILED
    return int(result) if isinstance(result, int) else ExitCode.OK


def _tell(message: str, remedy: str, exit_code: int, as_json: bool) -> int:
    if as_json:
        click.echo(json.dumps({"error": message, "remedy": remedy, "exit_code": int(exit_code)}, ensure_ascii=False))
    click.echo(f"sleepd: {_one_line(message)}", err=True)
    if remedy:
        click.echo(f"remedy: {_one_line(remedy)}", err=True)
    return int(exit_code)


def _one_line(text: str) -> str:
    return "; ".join(" ".join(line.split()) for line in text.splitlines() if line.strip())
