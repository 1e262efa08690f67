"""`sleepd lab cost`: what a night of new facts costs with few and with many earlier facts in the ledger.

Only the time is of interest: the earlier facts were never trained, so the verdict would say nothing, and none is asked for.
"""

from __future__ import annotations

import json
import os
import random
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from importlib.resources import files
from pathlib import Path
from types import MappingProxyType
from typing import Any

import click


def measure(
    model: Path,
    folder: Path,
    earlier: Sequence[int],
    facts: int,
    seed: int,
    say: Callable[[str], None],
    training: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, Any]:
    """One night for each number of earlier facts, in this process: seconds in all and by stage, ratios to the first.

    ``training``: keys over the configuration's defaults.
    """
    from sleepd.lab import days
    from sleepd.lab.laboratory import configuration
    from sleepd.lab.nights import Memory, write_job
    from sleepd.night import job as jobs
    from sleepd.night import run as night
    from sleepd.night.progress import Reporter

    config = configuration("verified", model)
    config = config.model_copy(update={"training": config.training.model_copy(update=dict(training))})
    told = days.facts_of(seed, 1, max(earlier) + facts)
    lived = days.days(seed, told[:facts], 1)[0]
    cards = [days.card_of(fact, "told earlier") for fact in told[facts:]]
    cards = [replace(card, status="graduated") for card in random.Random(seed).sample(cards, len(cards))]
    rows: list[dict[str, Any]] = []
    # the first is slept twice: its pool is made then, and is no part of what is compared
    for number, count in enumerate([earlier[0], *earlier]):
        known = {card.id: {**asdict(card), "best": True, "last": True, "probes": 1, "misses": 0} for card in cards[:count]}
        memory = Memory(cards=known, untrained=list(lived.rows))
        directory = write_job(folder / f"night_{number}", 5, memory, config, model, folder / "cache", seed)
        started = time.monotonic()
        with (directory / "progress.jsonl").open("w") as pipe:
            published = night.run(jobs.load(directory), Reporter(pipe))
        seconds = time.monotonic() - started
        result = json.loads((published / "result.json").read_text())
        if not number:
            continue
        rows.append({"earlier": count, "seconds": round(seconds, 1), "stages": result["timings"], "peak_mb": result["peak_memory_mb"]})
        say(f"{facts} new facts, {count:>5} earlier ones: {seconds:.1f} s, {seconds / rows[0]['seconds']:.2f} times the first")
    ratios = [round(row["seconds"] / rows[0]["seconds"], 3) for row in rows]
    return {"facts": facts, "seed": seed, "cores": os.cpu_count(), "nights": rows, "ratios": ratios}


@click.command()
@click.option("--earlier", default="100,1000", show_default=True, help="How many earlier facts, separated by commas.")
@click.option("--facts", type=click.IntRange(1, 500), default=20, show_default=True, help="New facts a night.")
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Which people and facts.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def cost(earlier: str, facts: int, seed: int, as_json: bool) -> None:
    """Time a night with few and with many earlier facts in the ledger."""
    from sleepd.lab.world import PEOPLE_PER_SEED
    from sleepd.night.base import quiet_libraries

    counts = [int(part) for part in earlier.split(",") if part.strip().isdecimal()]
    if not counts or len(counts) != len(earlier.split(",")) or max(counts) + facts > PEOPLE_PER_SEED:
        raise click.BadParameter(f"{earlier!r}: name numbers of at most {PEOPLE_PER_SEED - facts}, separated by commas")
    quiet_libraries()
    with tempfile.TemporaryDirectory(prefix="sleepd-lab-") as scratch:
        model = Path(str(files("sleepd.lab") / "seedling"))
        document = measure(model, Path(scratch), counts, facts, seed, lambda line: click.echo(line, err=as_json))
    if as_json:
        click.echo(json.dumps(document))
