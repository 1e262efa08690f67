"""The options that many verbs share. Each fills in the Target of the command line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click

from sleepd.cli.target import Target

Function = TypeVar("Function", bound=Callable[..., Any])


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    if value is not None:
        setattr(ctx.ensure_object(Target), str(parameter.name), value)


def target_options(function: Function) -> Function:
    """``-c`` and ``--instance``: which daemon is meant. They may stand before the verb or after it."""
    chosen = click.option(
        "-c",
        "--config",
        "config_file",
        type=click.Path(dir_okay=False, path_type=Path),
        metavar="FILE",
        expose_value=False,
        callback=_remember,
        help="The configuration file, instead of the search path.",
    )
    instance = click.option(
        "--instance", metavar="NAME", expose_value=False, callback=_remember, help="A further instance, as sleepd@NAME.service runs it."
    )
    return chosen(instance(function))


def json_option(function: Function) -> Function:
    """``--json``: one JSON document on stdout, for an error too."""
    return click.option(
        "--json", "json", is_flag=True, default=None, expose_value=False, callback=_remember, help="Print one JSON document."
    )(function)
