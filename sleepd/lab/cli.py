"""`sleepd lab ...`: the recall laboratory. Torch is imported inside the one command that needs it."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

import click


def default_model() -> Path:
    """The model that comes with the project."""
    return Path(str(files("sleepd.lab") / "seedling"))


@click.group()
def lab() -> None:
    """The recall laboratory: claims that anybody can check without a GPU."""


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


@lab.command()
@click.option("--nights", type=click.IntRange(1, 100), default=10, show_default=True, help="Nights in a row.")
@click.option("--facts", type=click.IntRange(1, 500), default=20, show_default=True, help="New facts a day.")
@click.option("--seeds", type=click.IntRange(1, 50), default=1, show_default=True, help="How many seeds.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="The first seed.")
@click.option("--recipe", type=click.Choice(["ours", "seed"]), default="ours", show_default=True, help="How the nights train.")
@click.option(
    "--model",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    help="A model folder with known.jsonl (default: the seedling).",
)
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep jobs, results, figures and pictures here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def nights(nights: int, facts: int, seeds: int, seed: int, recipe: str, model: Path | None, out: Path | None, as_json: bool) -> None:
    """Sleep many nights in a row and measure what is learned, kept, leaked and disturbed."""
    import tempfile

    from sleepd.lab.laboratory import Plan, run
    from sleepd.night.base import quiet_libraries

    quiet_libraries()
    with tempfile.TemporaryDirectory(prefix="sleepd-lab-") as scratch:
        plan = Plan(nights, facts, tuple(range(seed, seed + seeds)), model or default_model(), out or Path(scratch), recipe)
        figures = run(plan, lambda line: click.echo(line, err=as_json))
    if as_json:
        click.echo(json.dumps(figures))
        return
    for name, value in figures.items():
        if name != "per_seed":
            click.echo(f"{name.replace('_', ' '):<20} {value}")


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
