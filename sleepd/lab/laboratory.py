"""Sets up and runs the laboratory's nights over seeds: world or facts file, examiner, figures, files."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sleepd.config.schema import Config
from sleepd.lab import days as world_days
from sleepd.lab.chart import nights_svg
from sleepd.lab.figures import over_seeds, seed_figures
from sleepd.lab.measure import Examiner, probes_of, unique_values
from sleepd.lab.nights import run_nights
from sleepd.lab.recall import known_facts, mixed_wordings


@dataclass(frozen=True)
class Plan:
    """What to run. ``known`` facts asked before and after, at most; ``out`` keeps every night's job and result."""

    nights: int
    facts: int
    seeds: tuple[int, ...]
    model: Path
    out: Path
    recipe: str = "ours"
    known: int = 200


def configuration(plan: Plan) -> Config:
    """Production's defaults, with the model's own unseen text where it brings some."""
    config = Config()
    text = plan.model / "heldout.txt"
    training = {"preset": "seed" if plan.recipe == "seed" else "verified", "heldout_text": str(text) if text.exists() else ""}
    return config.model_copy(update={"training": config.training.model_copy(update=training)})


def run_seed(plan: Plan, seed: int, say: Callable[[str], None]) -> dict[str, Any]:
    """All nights of one seed, examined and drawn; its figures are also left in ``out``."""
    facts = world_days.facts_of(seed, plan.nights, plan.facts)
    known = known_facts(plan.model)
    unique = unique_values(facts, known)
    texts = (plan.model / "heldout.txt").read_text(encoding="utf-8").splitlines()
    examiner = Examiner(plan.model, [probes_of(f, f in unique) for f in facts], mixed_wordings(known, seed)[: plan.known], texts, seed)
    folder = plan.out / f"seed_{seed}"
    folder.mkdir(parents=True, exist_ok=True)
    say(f"seed {seed}: {plan.nights} nights of {plan.facts} facts, recipe {plan.recipe}")
    days = world_days.days(seed, facts, plan.nights)
    run = run_nights(days, plan.facts, examiner, configuration(plan), folder, plan.out / "cache", seed, say)
    figures = seed_figures(run, plan.facts)
    (folder / "figures.json").write_text(json.dumps(figures, indent=2) + "\n")
    (folder / "nights.svg").write_text(nights_svg(figures))
    return figures


def run(plan: Plan, say: Callable[[str], None]) -> dict[str, Any]:
    """All seeds; the document of ``sleepd lab nights --json``."""
    return over_seeds([run_seed(plan, seed, say) for seed in plan.seeds])
