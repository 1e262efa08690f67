"""Many nights in a row through the same code as production, on simulated days.

Each day tells a few facts in chat; each night is a real job directory, the real child's code and the
real gate. What a rejected night did not learn is told to the next one again, as the daemon does.
"""

from __future__ import annotations

import json
import resource
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sleepd.adapter import gate
from sleepd.adapter.expected import expect
from sleepd.base_model import identify
from sleepd.config.schema import Config
from sleepd.lab.measure import Examiner, Standing
from sleepd.night import job as jobs
from sleepd.night import run as night
from sleepd.night.progress import Reporter
from sleepd.records import Experience, GateReport, ScreenVerdict

LIVING = ("learning", "graduated", "fading", "stubborn")


@dataclass(frozen=True)
class Day:
    """What was lived through on one day: exchanges with what the screen made of them."""

    rows: tuple[tuple[Experience, ScreenVerdict], ...]


@dataclass
class Memory:
    """What the ledger would hold between nights."""

    living_adapter: Path | None = None
    cards: dict[str, dict[str, Any]] = field(default_factory=dict)
    untrained: list[tuple[Experience, ScreenVerdict]] = field(default_factory=list)


@dataclass(frozen=True)
class Night:
    """One night's outcome. ``seconds`` is the child's work alone, not the laboratory's examination."""

    number: int
    report: GateReport
    seconds: float
    result: Mapping[str, Any]


@dataclass(frozen=True)
class Run:
    """All nights of one seed. ``standings[0]`` is the bare base, ``standings[i]`` after night i."""

    seed: int
    nights: tuple[Night, ...]
    standings: tuple[Standing, ...]
    peak_mb: float


def write_job(
    directory: Path, number: int, memory: Memory, config: Config, model: Path, cache: Path, seed: int, kind: str = "light"
) -> Path:
    """A job directory as the daemon writes it, from the laboratory's memory."""
    shutil.rmtree(directory, ignore_errors=True)  # a leftover of an interrupted run is made anew
    directory.mkdir(parents=True)
    document: dict[str, Any] = {
        "format": jobs.FORMAT,
        "cycle": number,
        "kind": kind,
        "created": (datetime(2026, 1, 1, 22, tzinfo=UTC) + timedelta(days=number)).isoformat(),
        "model": {"path": str(model), "sha256": identify(model, cache / "base_models.json").sha256},
        "device": config.training.device,
        "dtype": config.training.dtype,
        "threads": config.training.threads,
        "seed": seed * 1000 + number,
        "training": config.training.model_dump(),
        "gate": config.gate.model_dump(),
        "living_adapter": str(memory.living_adapter) if memory.living_adapter else None,
        "cache_dir": str(cache),
        "canary_tokens": 48,
        "min_salience": config.experience.min_salience,
    }
    document["id"] = jobs.job_id(document)
    (directory / "job.json").write_text(json.dumps(document))
    rows = [
        {"experience": asdict(x), "verdict": {"reasons": list(v.reasons), "trimmed": v.trimmed, "cards": [asdict(c) for c in v.cards]}}
        for x, v in memory.untrained
    ]
    (directory / "experiences.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    known = [card for card in memory.cards.values() if card["status"] in LIVING]
    (directory / "cards.jsonl").write_text("".join(json.dumps(card) + "\n" for card in known))
    return directory


def judge(job_dir: Path, result: Mapping[str, Any], config: Config, earlier: int) -> GateReport:
    document = json.loads((job_dir / "job.json").read_text())
    return gate.judge(result, config.gate, expect(document, job_dir / "result" / "adapter", earlier))


def remember(memory: Memory, job_dir: Path, result: Mapping[str, Any]) -> None:
    """An accepted night: its adapter lives on, its cards and probes are kept, its experiences are done."""
    memory.living_adapter = job_dir / "result" / "adapter"
    for card in result["cards"]:
        before = memory.cards.get(card["id"], {"best": False, "probes": 0})
        recalled = bool(card["recalled"])
        memory.cards[card["id"]] = {**card, "best": before["best"] or recalled, "last": recalled, "probes": before["probes"] + 1}
    used = set(result["experiences_used"])
    memory.untrained = [row for row in memory.untrained if row[0].id not in used]


def run_nights(
    days: Sequence[Day], facts_a_day: int, examiner: Examiner, config: Config, out: Path, cache: Path, seed: int, say: Callable[[str], None]
) -> Run:
    """Live the days and sleep the nights; after each, examine everything told so far."""
    memory = Memory()
    standings = [examiner.examine(None, len(examiner.probes))]
    nights = []
    for number, day in enumerate(days, 1):
        memory.untrained += day.rows
        earlier = sum(card["status"] in LIVING for card in memory.cards.values())
        directory = write_job(out / f"night_{number:03d}", number, memory, config, examiner.model_dir, cache, seed)
        started = time.monotonic()
        with (directory / "progress.jsonl").open("w") as pipe:
            published = night.run(jobs.load(directory), Reporter(pipe))
        result = json.loads((published / "result.json").read_text())
        report = judge(directory, result, config, earlier)
        seconds = time.monotonic() - started
        if report.accepted:
            remember(memory, directory, result)
        nights.append(Night(number, report, seconds, result))
        standing = examiner.examine(memory.living_adapter, number * facts_a_day)
        standings.append(standing)
        verdict = "accepted" if report.accepted else "rejected: " + "; ".join(report.reasons)
        last = standing.recall((number - 1) * facts_a_day, number * facts_a_day)
        say(
            f"night {number:2d}  last {last:.2f}  all {standing.recall(0, number * facts_a_day):.2f}  known {standing.known:.3f}"
            f"  text {standing.text_loss / standings[0].text_loss - 1:+.2%}  leak {standing.leak:.3f}  {seconds:.0f} s  {verdict}"
        )
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Run(seed, tuple(nights), tuple(standings), round(peak, 1))
