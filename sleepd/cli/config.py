"""``sleepd config``: what the configuration comes to, and whether a file would be accepted. Needs no daemon."""

from __future__ import annotations

import json
import os
from pathlib import Path

import click

from sleepd.cli import output
from sleepd.cli.options import json_option, target_options
from sleepd.cli.target import Target


@click.group()
def command() -> None:
    """Show or check the configuration."""


@command.command()
@click.option("--origin", is_flag=True, help="Also say which file set each key.")
@target_options
@json_option
@click.pass_obj
def show(target: Target, origin: bool) -> None:
    """Every key with the value that counts, after all files are laid over each other."""
    loaded = target.load()
    if target.json:
        document: dict[str, object] = {"config": loaded.config.model_dump(mode="json"), "files": [str(file) for file in loaded.files]}
        if origin:
            document["origins"] = dict(loaded.origins)
        output.print_json(document)
        return
    section = ""
    for key, value in loaded.config.flat().items():
        head, _, name = key.partition(".")
        if head != section:
            click.echo(("\n" if section else "") + f"[{head}]")
            section = head
        # TOML has no word for "not set", so such a key stands there as a comment.
        line = f"# {name} is not set" if value is None else f"{name} = {json.dumps(value, ensure_ascii=False)}"
        click.echo(f"{line:<44}  # {loaded.origins[key]}" if origin else line)


@command.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@json_option
@click.pass_obj
def check(target: Target, file: Path) -> None:
    """Would FILE (with the drop-ins in FILE.d) be accepted? Exit status 0: yes, 2: no."""
    from sleepd.config import load

    loaded = load(file, None, os.environ)
    if target.json:
        output.print_json({"valid": True, "files": [str(read) for read in loaded.files]})
    else:
        changed = sum(origin != "default" for origin in loaded.origins.values())
        click.echo(f"{file} is valid: {output.plural(changed, 'key')} set, the others at their defaults")
