"""Many nights in a row through the same code as production, on simulated days.

Each day tells a few facts in chat; each night is a real job directory, the real child's code and the
real gate. What a rejected night did not learn is told to the next one again, as the daemon does.
"""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sleepd import cardlife
from sleepd.adapter import gate
from sleepd.adapter.expected import expect
from sleepd.base_model import identify
from sleepd.config.schema import Config
from sleepd.daemon.decide import History, deep_is_due
from sleepd.errors import BadDataError
from sleepd.lab import own_items
from sleepd.lab.days import Day
from sleepd.lab.diary import Night
from sleepd.lab.measure import Examiner, Standing
from sleepd.lab.probes import Probes
from sleepd.night import job as jobs
from sleepd.night import run as night
from sleepd.night.progress import Reporter
from sleepd.records import Experience, GateReport, ScreenVerdict

LIVING = ("learning", "graduated", "fading", "stubborn")


@dataclass
class Memory:
    """What the ledger would hold between nights. ``wordings``: card id -> questions that somebody brought to train it with.

    ``forgetting``: cards that a deep night must end unable to say. ``history`` says when a deep night is due.
    """

    living_adapter: Path | None = None
    cards: dict[str, dict[str, Any]] = field(default_factory=dict)
    untrained: list[tuple[Experience, ScreenVerdict]] = field(default_factory=list)
    wordings: Mapping[str, Sequence[str]] = field(default_factory=dict)
    forgetting: list[dict[str, Any]] = field(default_factory=list)
    history: History = field(default_factory=History)


def write_job(
    directory: Path,
    number: int,
    memory: Memory,
    config: Config,
    model: Path,
    cache: Path,
    seed: int,
    kind: str = "light",
    ablate: str = "",
) -> Path:
    """A job directory as the daemon writes it, from the laboratory's memory. ``ablate``: a part of the night to leave out."""
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
        "training": config.training.model_dump() | ({"ablate": ablate} if ablate else {}),
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
    own_items.write(directory, config)
    if memory.wordings:
        brought = [{"card_id": card, "train": list(questions)} for card, questions in memory.wordings.items()]
        (directory / "wordings.jsonl").write_text("".join(json.dumps(row) + "\n" for row in brought))
    if kind == "deep" and memory.forgetting:
        (directory / "forget.jsonl").write_text("".join(json.dumps(card) + "\n" for card in memory.forgetting))
    return directory


def judge(job_dir: Path, result: Mapping[str, Any], config: Config, earlier: int) -> GateReport:
    document = json.loads((job_dir / "job.json").read_text())
    return gate.judge(result, config.gate, expect(document, job_dir / "result" / "adapter", earlier))


def remember(memory: Memory, job_dir: Path, result: Mapping[str, Any]) -> None:
    """An accepted night: its adapter lives on, its cards and probes are kept, its experiences are done."""
    memory.living_adapter = job_dir / "result" / "adapter"
    for card in result["cards"]:
        before = memory.cards.get(card["id"], {"best": False, "probes": 0, "status": "new", "misses": 0})
        recalled = bool(card["recalled"])
        lived = cardlife.Life(before["status"], before.get("misses", 0))
        taught = card.get("taught", card["id"] not in memory.cards)
        happening: cardlife.Happening = "corrected" if card["status"] == "superseded" else "taught" if taught else "probed"
        life = cardlife.after(lived, happening, recalled=recalled)
        counted = {"best": before["best"] or recalled, "last": recalled, "probes": before["probes"] + 1, **vars(life)}
        memory.cards[card["id"]] = {**card, **counted}
    used = set(result["experiences_used"])
    memory.untrained = [row for row in memory.untrained if row[0].id not in used]


class ProductionNights:
    """Sleeps as the daemon lets a model sleep. ``gated`` False lives with every candidate, whatever the gate says of it."""

    def __init__(
        self, config: Config, model: Path, cache: Path, out: Path, seed: int, memory: Memory, ablate: str = "", gated: bool = True
    ) -> None:
        self.config, self.model, self.cache, self.out, self.seed = config, model, cache, out, seed
        self.memory, self.ablate, self.gated = memory, ablate, gated

    def sleep(self, number: int, day: Day, kind: str | None = None) -> Night:
        """One night after ``day``: job, child, gate, and what is remembered of it. ``kind``: None leaves it to the daemon's rule."""
        kind = kind or self._kind()
        self.memory.untrained += day.rows
        earlier = sum(card["status"] in LIVING for card in self.memory.cards.values())
        directory = self.out / f"night_{number:03d}"
        write_job(directory, number, self.memory, self.config, self.model, self.cache, self.seed, kind, self.ablate)
        reset_peak()
        started = time.monotonic()
        try:
            with (directory / "progress.jsonl").open("w") as pipe:
                published = night.run(jobs.load(directory), Reporter(pipe))
        except BadDataError as error:
            return Night(number, "skipped", (error.message,), time.monotonic() - started, 0.0, 0)
        result = json.loads((published / "result.json").read_text())
        report = judge(directory, result, self.config, earlier)
        seconds = time.monotonic() - started
        if report.accepted or not self.gated:
            remember(self.memory, directory, result)
            nats = [row["kl"] for row in result["evaluation"]["rehearsal"]]
            lights = 0 if kind == "deep" else self.memory.history.lights_since_deep + 1
            self.memory.history = History(lights, 0, sum(nats) / len(nats) if nats else None)
        else:
            self.memory.history = replace(self.memory.history, rejections_in_a_row=self.memory.history.rejections_in_a_row + 1)
        verdict = "accepted" if report.accepted else "rejected" if self.gated else "accepted against the gate"
        return Night(number, verdict, tuple(report.reasons), seconds, result["peak_memory_mb"], result["training"]["tokens"], kind)

    def _kind(self) -> str:
        return "deep" if deep_is_due(self.memory.history, self.config.schedule.deep_every, self.config.gate.max_kl) else "light"

    def forget(self, card_ids: Collection[str]) -> None:
        """Take cards, and what is still to be told of them, out of memory; the next deep night takes them out of the weights."""
        gone = [self.memory.cards.pop(card_id) for card_id in card_ids]
        self.memory.forgetting += [{**card, "status": "forgotten"} for card in gone]
        self.memory.untrained = [row for row in self.memory.untrained if not {card.id for card in row[1].cards} & set(card_ids)]

    def examine(self, examiner: Examiner, asked: Sequence[Probes]) -> Standing:
        return examiner.examine(self.memory.living_adapter, asked)

    def save(self) -> dict[str, Any]:
        """What the next night needs to know, as JSON; the adapter by its path inside ``out``."""
        living = self.memory.living_adapter
        return {
            "living_adapter": str(living.relative_to(self.out)) if living else None,
            "cards": self.memory.cards,
            "untrained": [experience.id for experience, _ in self.memory.untrained],
            "history": asdict(self.memory.history),
        }

    def restore(self, saved: Mapping[str, Any], lived: Sequence[Day]) -> None:
        """Go on from what ``save`` gave after the days ``lived``."""
        living, waiting = saved["living_adapter"], set(saved["untrained"])
        self.memory.living_adapter = self.out / living if living else None
        self.memory.cards = dict(saved["cards"])
        self.memory.history = History(**saved["history"])
        self.memory.untrained = [row for day in lived for row in day.rows if row[0].id in waiting]


def peak_mb() -> float:
    """The most memory this process held since ``reset_peak``, in MB."""
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024, 1)


def reset_peak() -> None:
    """Start the kernel's high-water mark of this process anew, so that each night reports its own peak.

    Where the kernel has no such switch the mark stays that of the whole process: never too low.
    """
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
