"""Compares recipes on the same base, facts, seeds and budget of tokens: runs what is missing, pairs the rest over seeds."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

from sleepd.durable import write_json
from sleepd.lab.figures import over_seeds
from sleepd.lab.laboratory import Plan, PlanError, Say, Setting, check, finished, leave, run_seed
from sleepd.lab.pace import Pace
from sleepd.lab.paired import paired
from sleepd.lab.recipes import RECIPES

OURS = "ours"
NAME = "comparison.json"


@dataclass(frozen=True)
class Comparison:
    """``plan`` is what every recipe is run with. ``tokens``: the budget a night of other systems' recipes; 0 is what ours spent."""

    plan: Plan
    recipes: tuple[str, ...]
    tokens: int

    @property
    def reference(self) -> str:
        """Whom the others are compared with: ours, or the first one named."""
        return OURS if OURS in self.recipes else self.recipes[0]

    def ordered(self) -> list[str]:
        """The reference first, since the budget of the others is what it spent."""
        return [self.reference, *(name for name in self.recipes if name != self.reference)]

    def of(self, recipe: str, tokens: int) -> Plan:
        return replace(self.plan, recipe=recipe, out=self.plan.out / recipe, tokens=0 if RECIPES[recipe].preset else tokens)


def compare(comparison: Comparison, command: str, say: Say) -> dict[str, Any]:
    """Run every recipe on every seed, or go on with it; the document of ``sleepd lab compare --json``."""
    plan = comparison.plan
    for name in comparison.recipes:
        check(replace(plan, recipe=name))
    others = [name for name in comparison.recipes if not RECIPES[name].preset]
    if others and not comparison.tokens and OURS not in comparison.recipes:
        raise PlanError(
            f"{', '.join(others)} may spend as many tokens as ours, and ours is not among the recipes",
            "add ours to --recipes, or give a number: --tokens 100000",
        )
    plan.cache.mkdir(parents=True, exist_ok=True)
    pace = Pace(sum(plan.nights - finished(comparison.of(name, 0), seed) for name in comparison.ordered() for seed in plan.seeds))
    each: dict[str, list[dict[str, Any]]] = {name: [] for name in comparison.ordered()}
    budgets = {}
    for seed in plan.seeds:
        setting = Setting(plan, seed)
        budget = comparison.tokens
        for name in each:
            figures = run_seed(comparison.of(name, budget), setting, say, pace)
            each[name].append(figures)
            if name == OURS and not comparison.tokens:
                budget = int(figures["night_tokens"])
        budgets[str(seed)] = budget
    recipes = {name: over_seeds(rows) for name, rows in each.items()}
    document = {
        "recipes": recipes,
        "paired": {name: paired(each[comparison.reference], rows) for name, rows in each.items() if name != comparison.reference},
        "reference": comparison.reference,
        "order": comparison.ordered(),
        "tokens": budgets,
        "budget": "given" if comparison.tokens or OURS not in comparison.recipes else "ours",
        "about": {name: RECIPES[name].about for name in each},
        "plan": {"nights": plan.nights, "facts": plan.facts, "seeds": list(plan.seeds), "scenario": plan.scenario},
        "command": command,
        "machine": machine(),
    }
    for name, figures in recipes.items():
        leave(plan.out / name, figures, f"{name}, mean of {len(plan.seeds)} seeds" if len(plan.seeds) > 1 else f"{name}, one seed")
    write_json(plan.out / NAME, document)
    return document


def machine() -> dict[str, Any]:
    """What the figures were measured on: processor, cores, versions. Nothing that names the machine."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        **{name: version(name) for name in ("torch", "transformers", "peft")},
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()  # no such file elsewhere than on Linux
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


_COLUMNS = ("direct", "paraphrase", "reverse", "all_after", "bwt", "known_after", "text_loss_rise", "kl", "leak", "night_tokens")
_PAIRED = ("direct", "paraphrase", "reverse", "all_after", "bwt", "known_after", "text_loss_after", "leak")


def table(document: Mapping[str, Any]) -> list[str]:
    """The figures and the paired differences as lines of text."""
    recipes, reference = in_order(document, "recipes"), document["reference"]
    lines = [_row("recipe", [name.replace("_", " ") for name in _COLUMNS])]
    lines += [_row(name, [shown(figures.get(key), key) for key in _COLUMNS]) for name, figures in recipes.items()]
    lines += ["", f"{reference} minus the other, paired over seeds, with 95 % intervals"]
    for name, differences in in_order(document, "paired").items():
        lines += [f"  {name}"]
        lines += [f"    {key.replace('_', ' '):<16} {interval(differences[key])}" for key in _PAIRED if key in differences]
    return lines


def in_order(document: Mapping[str, Any], key: str) -> dict[str, Any]:
    """What a document says of each recipe, in the order of the comparison, which a JSON file with sorted keys does not keep."""
    return {name: document[key][name] for name in document["order"] if name in document[key]}


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:<12}" + "".join(f"{cell:>16}" for cell in cells)


def shown(value: float | None, key: str) -> str:
    """One figure as people read it."""
    if value is None:
        return "-"
    if key == "text_loss_rise":
        return f"{100 * value:+.2f} %".replace("-0.00", "+0.00")
    return f"{value:,.0f}" if key == "night_tokens" else f"{value:.4f}" if key in ("kl", "text_loss_after") else f"{value:.3f}"


def interval(found: Mapping[str, float | None]) -> str:
    """A difference with its interval."""
    if found["low"] is None or found["high"] is None:
        return f"{found['difference']:+.3f} (one seed: no interval)"
    return f"{found['difference']:+.3f} ({found['low']:+.3f} to {found['high']:+.3f})"
