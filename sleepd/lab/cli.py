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
    from sleepd.night.run import quiet_libraries

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
@click.argument("folder", type=click.Path(path_type=Path, file_okay=False))
@click.option("--million-tokens", type=float, default=30.0, show_default=True, help="How much text it reads in all.")
@click.option("--threads", type=int, default=2, show_default=True, help="CPU threads.")
def seedling(folder: Path, million_tokens: float, threads: int) -> None:
    """Train the seedling from scratch into FOLDER; run again to go on after an interruption."""
    from sleepd.lab.pretrain import train
    from sleepd.night.run import quiet_libraries

    quiet_libraries()
    train(folder, million_tokens, threads)


@lab.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON line with the figures and nothing else.")
@click.option("--seed", type=int, default=7, show_default=True, help="Which ten people.")
def demo(as_json: bool, seed: int) -> None:
    """Tell a small model about ten people, let it sleep, and ask again (what scripts/demo runs)."""
    from sleepd.lab.demo import main

    raise SystemExit(main([*(["--json"] if as_json else []), "--seed", str(seed)]))
