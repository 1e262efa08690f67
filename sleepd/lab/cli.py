"""`sleepd lab ...`: the recall laboratory. Torch is imported inside the one command that needs it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sleepd.lab.cost import cost
from sleepd.lab.gate_command import gate
from sleepd.lab.half_billion import half_billion
from sleepd.lab.recipes import COMPARED, RECIPES
from sleepd.lab.story import SCENARIOS

if TYPE_CHECKING:
    from sleepd.lab.laboratory import Plan


def default_model() -> Path:
    """The model that comes with the project."""
    return Path(str(files("sleepd.lab") / "seedling"))


@click.group()
def lab() -> None:
    """The recall laboratory: claims that anybody can check without a GPU."""


lab.add_command(cost)
lab.add_command(gate)
lab.add_command(half_billion)


@lab.command()
@click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A model folder with known.jsonl (default: the seedling).",
)
@click.option("--seed", type=int, default=2026, show_default=True, help="Which wordings are asked.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--record", is_flag=True, help="Write the figures to recall.json in the model's folder.")
def recall(model: Path | None, seed: int, as_json: bool, record: bool) -> None:
    """Measure what the base model knows before any night."""
    from sleepd.lab.recall import measure
    from sleepd.night.base import quiet_libraries

    quiet_libraries()
    folder = model or default_model()
    figures = measure(folder, seed)
    if record:
        (folder / "recall.json").write_text(json.dumps(figures, indent=2) + "\n")
    if as_json:
        click.echo(json.dumps(figures))
        return
    for name, value in figures.items():
        click.echo(f"{name.replace('_', ' '):<32} {value}")


_NIGHTS = (
    click.option("--nights", type=click.IntRange(1, 100), default=10, show_default=True, help="Nights in a row."),
    click.option("--facts", type=click.IntRange(1, 500), default=20, show_default=True, help="New facts a day."),
    click.option("--seeds", type=click.IntRange(1, 50), default=3, show_default=True, help="How many seeds."),
    click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The first seed."),
    click.option("--scenario", type=click.Choice(SCENARIOS), default="plain", show_default=True, help="What else happens."),
    click.option(
        "--facts-file",
        type=click.Path(path_type=Path, exists=True, dir_okay=False),
        help="Tell the facts of this JSON file instead of those of the synthetic world.",
    ),
    click.option(
        "--model",
        type=click.Path(path_type=Path, exists=True, file_okay=False),
        help="A model folder with known.jsonl (default: the seedling).",
    ),
    click.option(
        "--out",
        type=click.Path(path_type=Path, file_okay=False),
        help="Keep jobs, results, figures and pictures here; an interrupted run goes on after its last night.",
    ),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else."),
)
Command = Callable[..., None]


def _night_options(command: Command) -> Command:
    """What every command that sleeps many nights can be told."""
    for option in reversed(_NIGHTS):
        command = option(command)
    return command


@contextmanager
def _plan(options: Mapping[str, Any], recipe: str = "ours") -> Iterator[Plan]:
    """The plan that the options describe, in a folder of its own when none was named."""
    import tempfile

    from sleepd.lab.laboratory import Plan
    from sleepd.night.base import quiet_libraries

    quiet_libraries()
    first = options["seed"]
    with tempfile.TemporaryDirectory(prefix="sleepd-lab-") as scratch:
        folder = (options["out"] or Path(scratch)).absolute()
        yield Plan(
            nights=options["nights"],
            facts=options["facts"],
            seeds=tuple(range(first, first + options["seeds"])),
            model=(options["model"] or default_model()).absolute(),
            out=folder,
            cache=folder / "cache",
            recipe=recipe,
            scenario=options["scenario"],
            brought=options["facts_file"],
        )


@lab.command()
@_night_options
@click.option("--recipe", type=click.Choice(list(RECIPES)), default="ours", show_default=True, help="How the nights train.")
@click.option(
    "--tokens", type=click.IntRange(0), default=0, help="At most so many trained a night by a recipe of another system (0: no limit)."
)
def nights(recipe: str, tokens: int, as_json: bool, **options: Any) -> None:
    """Sleep many nights in a row and measure what is learned, kept, leaked and disturbed."""
    from dataclasses import replace

    from sleepd.lab.laboratory import run

    with _plan(options, recipe) as plan:
        figures = run(replace(plan, tokens=tokens), lambda line: click.echo(line, err=as_json))
    if as_json:
        click.echo(json.dumps(figures))
        return
    for name, value in figures.items():
        if name not in ("per_seed", "matrix"):
            click.echo(f"{name.replace('_', ' '):<20} {value}")
    click.echo("recall of each day's facts (across) after each night (down), mean over seeds:")
    for row in figures["matrix"]:
        click.echo(" ".join(f"{value:5.2f}" for value in row))


def _recipes(_context: click.Context, _parameter: click.Parameter, value: str) -> tuple[str, ...]:
    names = tuple(dict.fromkeys(name.strip() for name in value.split(",") if name.strip()))
    unknown = [name for name in names if name not in RECIPES]
    if unknown or not names:
        raise click.BadParameter(f"{', '.join(unknown) or 'nothing'} is no recipe; there are {', '.join(RECIPES)}")
    return names


def _tokens(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    if value == "ours":
        return 0
    if not value.isdecimal() or int(value) == 0:
        raise click.BadParameter(f"{value!r} is neither ours nor a number of tokens")
    return int(value)


@lab.command()
@_night_options
@click.option("--recipes", callback=_recipes, default=",".join(COMPARED), show_default=True, help="Recipes, separated by commas.")
@click.option(
    "--tokens",
    callback=_tokens,
    default="ours",
    show_default=True,
    help="The most that a recipe of another system trains a night: a number, or as many as ours did on the same seed.",
)
@click.option("--page", type=click.Path(path_type=Path, file_okay=False), help="Also write laboratory.md and its pictures here.")
def compare(recipes: tuple[str, ...], tokens: int, page: Path | None, as_json: bool, **options: Any) -> None:
    """Run several recipes on the same base, facts, seeds and budget, and pair their figures over seeds."""
    from sleepd.lab import compare as comparing
    from sleepd.lab.page import write

    command = _repeated("compare", options, {"recipes": ",".join(recipes), "tokens": str(tokens) if tokens else None})
    with _plan(options) as plan:
        wanted = comparing.Comparison(plan, recipes, tokens)
        document = comparing.compare(wanted, command, lambda line: click.echo(line, err=as_json))
    if page is not None:
        write(document, page)
    if as_json:
        click.echo(json.dumps(document))
        return
    for line in comparing.table(document):
        click.echo(line)


def _repeated(verb: str, options: Mapping[str, Any], more: Mapping[str, str | None]) -> str:
    """The command that gives the same figures again, without the folders of this machine."""
    given = {name: str(options[name]) for name in ("nights", "facts", "seeds", "seed", "scenario")}
    named = {name.replace("_", "-"): options[name].name for name in ("facts_file", "model") if options[name]}
    told = [f"--{name} {value}" for name, value in {**given, **named, **more}.items() if value is not None]
    return f"sleepd lab {verb} {' '.join(told)} --out FOLDER"


@lab.command()
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--million-tokens", type=float, default=30.0, show_default=True, help="How much text it reads in all.")
@click.option("--threads", type=int, default=2, show_default=True, help="CPU threads.")
def seedling(folder: Path, million_tokens: float, threads: int) -> None:
    """Train the seedling from scratch into FOLDER; run again to go on after an interruption."""
    from sleepd.lab.pretrain import train
    from sleepd.night.base import quiet_libraries

    quiet_libraries()
    train(folder, million_tokens, threads)


@lab.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line with the figures and nothing else.")
@click.option("--seed", type=int, default=7, show_default=True, help="Which ten people.")
def demo(as_json: bool, seed: int) -> None:
    """Tell a small model about ten people, let it sleep, and ask again (what scripts/demo runs)."""
    from sleepd.lab.demo import main

    raise SystemExit(main([*(["--json"] if as_json else []), "--seed", str(seed)]))
