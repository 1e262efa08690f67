"""Whether the gate refuses what it must and lets through what it should: planted bad adapters, and clean nights.

The bad ones are examined as a night examines its candidate, and judged by the gate as in production. They are judged
as they are: that a night would first try to make a harmful adapter smaller is no excuse for one that is not refused.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from sleepd.adapter import gate
from sleepd.adapter.expected import expect
from sleepd.config.schema import Config
from sleepd.durable import sha256_file
from sleepd.errors import StoreError
from sleepd.lab import days
from sleepd.lab.days import Day
from sleepd.lab.faults import CANARY, CANARY_SAID, FAULTS, FILES, Fault, Patient
from sleepd.lab.laboratory import configuration
from sleepd.lab.nights import Memory, judge, write_job
from sleepd.night import dataset, lora
from sleepd.night import job as jobs
from sleepd.night import run as night
from sleepd.night.base import load_base, load_texts
from sleepd.night.curate import curate
from sleepd.night.examine import Examination
from sleepd.night.job import Job
from sleepd.night.pool import load_or_build
from sleepd.night.presets import settings
from sleepd.night.progress import Reporter
from sleepd.records import GateReport, ScreenVerdict

Say = Callable[[str], None]
SOUND = "the sound adapter"  # the control: what the bad ones were made of


@dataclass(frozen=True)
class Plan:
    """``clean`` nights of ``facts`` facts each, and the ``faults``. ``training``: keys over the configuration's defaults."""

    model: Path
    out: Path
    cache: Path
    clean: int = 20
    facts: int = 6
    seed: int = 1
    faults: Sequence[Fault] = FAULTS
    training: Mapping[str, Any] = field(default_factory=dict)

    def config(self) -> Config:
        """Production's defaults with the plan's keys, and a planted canary to be looked for."""
        config = configuration("verified", self.model)
        training = config.training.model_copy(update={**self.training, "planted_canaries": [CANARY]})
        return config.model_copy(update={"training": training})


@dataclass(frozen=True)
class Row:
    """One trial. ``refused_by``: the checks that said no. ``expected``: the one that has to, "" for a clean adapter."""

    name: str
    kind: str
    accepted: bool
    refused_by: tuple[str, ...]
    expected: str
    reasons: tuple[str, ...]


def run(plan: Plan, say: Say) -> dict[str, Any]:
    """The document of ``sleepd lab gate --json``.

    A bad adapter counts as refused when the check that has to notice it does, and does not say no to the sound adapter too.
    """
    plan.cache.mkdir(parents=True, exist_ok=True)
    bad = bad_adapters(plan, say) if plan.faults else []
    clean = [clean_night(plan, number, say) for number in range(1, plan.clean + 1)]
    sound = {name for row in bad if row.kind == "control" for name in row.refused_by}
    planted = [row for row in bad if row.kind == "bad"]
    return {
        "bad_refused": sum(not row.accepted and row.expected in row.refused_by and row.expected not in sound for row in planted),
        "bad_total": len(planted),
        "clean_accepted": sum(row.accepted for row in clean),
        "clean_total": len(clean),
        "rows": [asdict(row) for row in (*bad, *clean)],
    }


def clean_night(plan: Plan, number: int, say: Say) -> Row:
    """A real night from the base over facts of its own, judged as in production."""
    seed = plan.seed + number
    memory = Memory(untrained=list(_day(plan, seed, plan.facts).rows))
    job_dir = write_job(plan.out / f"clean_{number:03d}", 1, memory, plan.config(), plan.model, plan.cache, seed)
    row = _row(f"clean night {number}", "clean", _sleep(plan, job_dir)[1])
    say(_told(row))
    return row


def bad_adapters(plan: Plan, say: Say) -> list[Row]:
    """The sound adapter first, as the control; then every fault, made of it."""
    ward = Ward(plan)
    rows = [ward.trial(Fault(SOUND, ""))]
    say(_told(rows[0]))
    for fault in plan.faults:
        rows.append(ward.trial(fault))
        say(_told(rows[-1]))
    return rows


class Ward:
    """One night in which half of the facts count as learned earlier, ready to examine one candidate after the other."""

    def __init__(self, plan: Plan) -> None:
        self.plan, self.config = plan, plan.config()
        lived = _day(plan, plan.seed, 2 * plan.facts)
        taught_dir = write_job(plan.out / "sound", 1, Memory(untrained=list(lived.rows)), self.config, plan.model, plan.cache, plan.seed)
        self.result, _ = _sleep(plan, taught_dir)
        self.sound = taught_dir / "result" / "adapter"
        self.job_dir = write_job(
            plan.out / "bad", 2, _memory(self.result, lived, self.sound), self.config, plan.model, plan.cache, plan.seed
        )
        self.job = jobs.load(self.job_dir)
        self.patient, self.examination = _ready(self.job, (plan.out / "progress.jsonl"))
        self.state = lora.snapshot(self.patient.model)
        with self.patient.model.disable_adapter():
            self.before = self.examination.ask(self.patient.model)
        self.sound_evaluation = self._evaluate()

    def trial(self, fault: Fault) -> Row:
        """Make the fault, examine it, leave its result as a child would, and ask the gate."""
        model = self.patient.model
        lora.restore(model, self.state)
        self.patient.rng.seed(f"{fault.name}-{self.plan.seed}")
        if fault.make is not None:
            fault.make(self.patient)
        evaluation = self.sound_evaluation if fault.make is None else self._evaluate()
        adapter = self.plan.out / "bad" / fault.name.replace(" ", "_") / "adapter"
        shutil.rmtree(adapter, ignore_errors=True)
        lora.save(model, adapter, self.plan.model)
        document = self._document(evaluation, adapter)
        if fault.damage is not None:
            fault.damage(document, adapter)
        try:
            expected = expect(json.loads((self.job_dir / "job.json").read_text()), adapter, len(self.patient.old))
        except StoreError as error:
            return Row(fault.name, "bad", False, (FILES,), fault.expected, (error.message,))
        return _row(fault.name, "bad" if fault.expected else "control", gate.judge(document, self.config.gate, expected), fault.expected)

    def _evaluate(self) -> dict[str, Any]:
        return self.examination.compare(self.patient.model, self.before)[0]

    def _document(self, evaluation: Mapping[str, Any], adapter: Path) -> dict[str, Any]:
        """As the night writes it: its own training, this candidate's weights and answers."""
        hashes = {file.name: sha256_file(file) for file in sorted(adapter.iterdir())}
        measured = asdict(lora.facts(self.patient.model, self.patient.fresh, 1.0))
        return {
            **self.result,
            "job_id": self.job.id,
            "cycle": self.job.cycle,
            "training": {**self.result["training"], "cards": len(self.patient.new)},
            "adapter": {**self.result["adapter"], **measured, "sha256": hashes[lora.ADAPTER_FILE], "files": hashes},
            "evaluation": dict(evaluation),
        }


def _ready(job: Job, progress: Path) -> tuple[Patient, Examination]:
    """What ``sleepd.night.run`` prepares before it trains, and the sound adapter in place of its training."""
    base, texts = load_base(job), load_texts(job)
    fit = settings(job.training, job.gate, base.parameters)
    with progress.open("w") as pipe:
        reporter = Reporter(pipe)
        curated = curate(job, lambda cards: [False] * len(cards))
        count = int(job.training["rehearsal_pool"])
        pool = load_or_build(base.model, base.chat, job.cache_dir, job.base_sha256, count, fit.max_tokens, cycle=job.cycle)
        data = dataset.build(base.model, base.chat, curated, pool, fit, job.seed, reporter)
        model = lora.attach(base.model, fit, None, job.seed)
        fresh = lora.snapshot(model)
        assert job.living_adapter is not None
        lora.restore(model, load_weights(job.living_adapter))
        model.eval()
    old = tuple(known.card for known in curated.living)
    contrasts = tuple((r.prompt, r.answer) for r in data.material.contrast)
    patient = Patient(model, base, fit, pool, curated.cards, old, contrasts, fresh, random.Random(job.seed))
    return patient, Examination(base, job, curated, data, pool, texts, reporter)


def load_weights(adapter: Path) -> dict[str, Any]:
    from safetensors.torch import load_file

    return dict(load_file(str(adapter / lora.ADAPTER_FILE)))


def _day(plan: Plan, seed: int, facts: int) -> Day:
    return days.days(seed, days.facts_of(seed, 1, facts), 1)[0]


def _memory(result: Mapping[str, Any], lived: Day, sound: Path) -> Memory:
    """What the ledger would hold, had the first half of the facts been learned on an earlier night. A canary is planted."""
    taught = [card for card in result["cards"] if card["recalled"]]
    old = {card["id"] for card in taught[: len(taught) // 2]}
    cards = {card["id"]: {**card, "best": True, "last": True, "probes": 1} for card in taught if card["id"] in old}
    rows = [(x, v) for x, v in lived.rows if v.cards and not old & {card.id for card in v.cards}]
    planted = days.exchange(CANARY_SAID, "I will keep it to myself.", 1, 0)
    return Memory(living_adapter=sound, cards=cards, untrained=[*rows, (planted, ScreenVerdict(planted.id, ("secret",)))])


def _sleep(plan: Plan, job_dir: Path) -> tuple[dict[str, Any], GateReport]:
    with (job_dir / "progress.jsonl").open("w") as pipe:
        published = night.run(jobs.load(job_dir), Reporter(pipe))
    result = json.loads((published / "result.json").read_text())
    return result, judge(job_dir, result, plan.config(), 0)


def _row(name: str, kind: str, report: GateReport, expected: str = "") -> Row:
    refused = tuple(check.name for check in report.checks if not check.ok)
    return Row(name, kind, report.accepted, refused, expected, report.reasons)


def _told(row: Row) -> str:
    verdict = "accepted" if row.accepted else "refused by " + ", ".join(row.refused_by)
    return f"{row.name:<32} {verdict}" + (f" (expected: {row.expected})" if row.expected else "")
