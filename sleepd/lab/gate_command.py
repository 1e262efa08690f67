"""`sleepd lab gate`: bad adapters that must be refused, and clean nights that should be accepted."""

from __future__ import annotations

import json
import tempfile
from importlib.resources import files
from pathlib import Path

import click


@click.command()
@click.option("--clean", type=click.IntRange(0, 1000), default=20, show_default=True, help="How many clean nights.")
@click.option("--facts", type=click.IntRange(2, 500), default=6, show_default=True, help="New facts a clean night.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Which people and facts.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep jobs, adapters and results here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def gate(clean: int, facts: int, seed: int, out: Path | None, as_json: bool) -> None:
    """Plant twenty bad adapters, sleep clean nights, and see what the gate says of each."""
    from sleepd.lab.gate_trials import Plan, run
    from sleepd.night.base import quiet_libraries

    quiet_libraries()
    with tempfile.TemporaryDirectory(prefix="sleepd-lab-") as scratch:
        folder = out or Path(scratch)
        folder.mkdir(parents=True, exist_ok=True)
        plan = Plan(Path(str(files("sleepd.lab") / "seedling")), folder, folder / "cache", clean, facts, seed)
        document = run(plan, lambda line: click.echo(line, err=as_json))
        if out is not None:
            (folder / "gate.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if as_json:
        click.echo(json.dumps(document))
        return
    click.echo(f"bad adapters refused, each for its own reason: {document['bad_refused']} of {document['bad_total']}")
    click.echo(f"clean nights accepted: {document['clean_accepted']} of {document['clean_total']}")
