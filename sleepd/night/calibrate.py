"""The calibration night: the learning rate is the one knob that depends on the model, so it is measured once a base model.

A few invented facts about invented people are taught at several rates, each from the bare base and for a short
while; the gentlest rate that learns them is pinned to the base's hash, in the cache. No night's own data is used.
"""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.resources import files
from pathlib import Path
from typing import Any

from sleepd.durable import write_json
from sleepd.night import contrasts, dataset, evaluate, lora, rehearsal
from sleepd.night.base import Base
from sleepd.night.curate import CardDecision, Curated
from sleepd.night.fit import Fit
from sleepd.night.presets import FitSettings
from sleepd.night.progress import Reporter
from sleepd.night.rehearsal import Pool
from sleepd.records import Card

FACTS = 6
STEPS = 100
FACTORS = (1 / 3, 1.0, 3.0)
LEARNED = 0.5  # less recall than this teaches nothing about the rate
ENOUGH = 0.9  # of the best recall
_VALUES: Mapping[str, Sequence[str]] = {
    "city": ("Calgary", "Nairobi", "Osaka", "Bogota"),
    "job": ("glazier", "midwife", "cartographer", "locksmith"),
    "color": ("ochre", "teal", "maroon", "ivory"),
    "instrument": ("zither", "bassoon", "marimba", "lute"),
    "pet": ("Biscuit", "Pepper", "Domino", "Clover"),
    "food": ("gnocchi", "ramen", "falafel", "ceviche"),
}


@dataclass(frozen=True)
class Trial:
    """One rate: recall of the invented facts on test wordings, and nats a token from the base on its own pool."""

    rate: float
    recall: float
    kl: float


def invented_cards(seed: int) -> list[Card]:
    """Facts about people who do not exist, one a relation."""
    rng = random.Random(f"calibration-{seed}")
    cards = []
    for number, (relation, values) in enumerate(_VALUES.items()):
        subject = f"{rng.choice(contrasts.FIRST)} {rng.choice(contrasts.LAST)}"
        value = rng.choice(values)
        card = Card(f"calibration-{number}", subject, relation, value, "", "user", None, None, 0.6, "")
        cards.append(card)
    return cards[:FACTS]


def choose(trials: Sequence[Trial], default: float, max_kl: float) -> float:
    """The gentlest rate that learns nearly as well as the best and stays near the base; ``default`` when none learns."""
    near = [t for t in trials if t.kl <= max_kl and t.recall >= LEARNED]
    if not near:
        return default
    best = max(t.recall for t in near)
    return min(t.rate for t in near if t.recall >= ENOUGH * best)


def pinned(folder: Path, base_sha256: str) -> float | None:
    """The rate that was measured for this base model before, here or with the project."""
    own = folder / f"calibration-{base_sha256[:16]}.json"
    if own.exists():
        return float(json.loads(own.read_text(encoding="utf-8"))["learning_rate"])
    known = json.loads((files("sleepd.night") / "data" / "calibrated.json").read_text(encoding="utf-8"))
    return float(known[base_sha256]["learning_rate"]) if base_sha256 in known else None


def learning_rate(
    base: Base, pool: Pool, fit: FitSettings, cache: Path, base_sha256: str, gate: Mapping[str, Any], reporter: Reporter
) -> float:
    """The pinned rate; measured and pinned first when this base model has none."""
    known = pinned(cache, base_sha256)
    if known is not None:
        return known
    trials = [_try(base, pool, replace(fit, learning_rate=factor * fit.learning_rate), reporter) for factor in FACTORS]
    rate = choose(trials, fit.learning_rate, float(gate["max_kl"]))
    cache.mkdir(parents=True, exist_ok=True)
    write_json(cache / f"calibration-{base_sha256[:16]}.json", {"learning_rate": rate, "trials": [asdict(t) for t in trials]})
    return rate


def _try(base: Base, pool: Pool, fit: FitSettings, reporter: Reporter) -> Trial:
    """Teach the invented facts at one rate and take the adapter off again."""
    cards = invented_cards(0)
    curated = Curated(tuple(CardDecision(card, "STORE", "calibration") for card in cards), (), (), ())
    short = replace(fit, epochs=1, min_steps=STEPS)
    data = dataset.build(base.model, base.chat, curated, pool, short, 0, reporter)
    model = lora.attach(base.model, short, None, 0)
    try:
        with tempfile.TemporaryDirectory(prefix="sleepd-calibration-") as scratch:
            Fit(model, data.material, short, 0, base.pad, reporter, Path(scratch) / "checkpoint").run()
        model.eval()
        passed = evaluate.probe(model, base.chat, data.test, reporter.checkpoint)
        recalled = [ok for row in passed.values() for ok in row]
        nats = rehearsal.divergences(model, pool.held_out, base.pad, reporter.checkpoint)
    finally:
        model.unload()
        base.model.eval()
    return Trial(fit.learning_rate, sum(recalled) / len(recalled), sum(nats) / len(nats))
