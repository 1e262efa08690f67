"""One night from job to result, read from top to bottom: curate, build the data, train, evaluate, publish."""

from __future__ import annotations

import json
import resource
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from sleepd.durable import publish_dir, remove_dir, sha256_file, write_atomic, write_json
from sleepd.errors import BadDataError
from sleepd.night import calibrate, card_forms, dataset, evaluate, lora, rehearsal
from sleepd.night.base import Base, load_base, load_texts
from sleepd.night.curate import Curated, curate
from sleepd.night.dataset import Dataset
from sleepd.night.examine import GRADUATION, Examined, canaries, examine
from sleepd.night.extract import extract
from sleepd.night.fit import Fit, FitResult
from sleepd.night.fixed import rehearsal_items
from sleepd.night.job import Job
from sleepd.night.pool import load_or_build
from sleepd.night.precision import bfloat16_is_fast
from sleepd.night.presets import FitSettings, settings
from sleepd.night.progress import Reporter
from sleepd.night.rehearsal import Pool
from sleepd.records import Canary, Card

CONTINUED_SHARE = 2 / 3  # of the calibrated rate, to go on from an adapter that holds something: it should shake that less
POOL_PERCENT = 65  # of the time that the material takes, on a night that makes a part of the pool


def run(job: Job, reporter: Reporter) -> Path:
    """Run the night and publish its result directory. Raises StopRequested at a resumable point."""
    if job.result_dir.exists():
        return job.result_dir  # the job finished, but its exit was not seen
    with reporter.stage("curate"):
        base = load_base(job)
        texts = load_texts(job)
        fit = settings(job.training, job.gate, base.parameters)
        fit = replace(fit, mixed_precision=fit.preset == "verified" and mixed_precision(job.dtype, base))
        fit = replace(fit, epochs=fit.deep_epochs) if job.kind == "deep" else fit
        read = extract(base.model, base.chat, job, reporter.checkpoint)
        if read.failure:
            reporter.step(1, 2, message=read.failure, force=True)
        curated = curate(replace(job, experiences=read.rows), lambda cards: _base_recalls(base, cards, reporter))
        curated = replace(curated, waiting=(*curated.waiting, *read.waiting), quarantined=read.quarantined)
        if not (curated.cards or curated.examples or curated.superseded or (job.kind == "deep" and curated.living)):
            raise BadDataError(
                "nothing to learn: no new card and no reply that may serve as an example",
                "see `sleepd inspect` on the buffer for the reasons",
            )
    with reporter.stage("dataset"):
        pool = _pool(job, base, fit, reporter)
        if fit.calibrated:
            rate = calibrate.learning_rate(base, pool, fit, job.cache_dir, job.base_sha256, job.gate, reporter)
            fit = replace(fit, learning_rate=rate * (CONTINUED_SHARE if _living_adapter(job) else 1.0))
        data = dataset.build(
            base.model,
            base.chat,
            curated,
            pool,
            fit,
            job.seed,
            reporter,
            relearn=job.kind == "deep",
            brought=job.wordings,
            vetoed=job.vetoed_dreams,
            told=lambda done: reporter.step(
                POOL_PERCENT + round((100 - POOL_PERCENT) * done), 100, message="wordings, and the same questions about others", force=True
            ),
        )
    with reporter.stage("train"):
        model = lora.attach(base.model, fit, _living_adapter(job), job.seed)
        start = lora.snapshot(model)

        trained = Fit(model, data.material, fit, job.seed, base.pad, reporter, job.checkpoint_dir).run()
    with reporter.stage("evaluate"):
        model.eval()
        examined = examine(model, base, job, curated, data, pool, texts, reporter, choose_scale=fit.choose_scale)
        adapter_facts = lora.facts(model, start, examined.scale)
        recorded = canaries(model, base.chat, data, curated.cards, pool, job.canary_tokens, reporter)
    document = _document(job, base, fit, curated, data, trained, adapter_facts, examined, recorded, reporter)
    document["extraction"] = read.as_dict()
    return _publish(job, model, document)


def _living_adapter(job: Job) -> Path | None:
    """What a light cycle goes on from; a deep one begins anew."""
    return job.living_adapter if job.kind == "light" else None


def mixed_precision(wanted: str, base: Base) -> bool:
    """Whether a float32 base on a CPU is trained with bfloat16 products: where that is fast, unless the configuration says float32."""
    return wanted == "auto" and base.device.type == "cpu" and base.model.dtype == torch.float32 and bfloat16_is_fast()


def _base_recalls(base: Base, cards: Sequence[Card], reporter: Reporter) -> list[bool]:
    """Whether the base answers a card on at least three of its four test wordings, before any training."""
    passed = evaluate.probe(base.model, base.chat, {c.id: card_forms.test_wordings(c) for c in cards}, reporter.checkpoint)
    return [sum(passed[c.id]) >= GRADUATION * len(passed[c.id]) for c in cards]


def _pool(job: Job, base: Base, fit: FitSettings, reporter: Reporter) -> Pool:
    """What the base made up itself, and the fixed items that may be rehearsed."""
    count, pause = int(job.training["rehearsal_pool"]), reporter.checkpoint

    def told(done: float) -> None:
        reporter.step(round(POOL_PERCENT * done), 100, message="the base model makes up what is rehearsed", force=True)

    pool = load_or_build(base.model, base.chat, job.cache_dir, job.base_sha256, count, fit.max_tokens, pause, cycle=job.cycle, told=told)
    return rehearsal.with_questions(base.model, base.chat, pool, rehearsal_items(job), fit.max_tokens, pause)


def _document(
    job: Job,
    base: Base,
    fit: FitSettings,
    curated: Curated,
    data: Dataset,
    trained: FitResult,
    adapter_facts: lora.AdapterFacts,
    examined: Examined,
    recorded: list[Canary],
    reporter: Reporter,
) -> dict[str, Any]:
    """result.json, without the hashes of the adapter's files."""
    used = {c.experience_id for c in curated.cards} | {e.experience_id for e in curated.examples}
    salience = [row[0].salience.total for row in job.experiences if row[0].id in used]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "format": 1,
        "job_id": job.id,
        "cycle": job.cycle,
        "kind": job.kind,
        "base_sha256": job.base_sha256,
        "adapter": {
            **asdict(adapter_facts),
            "rank": fit.rank,
            "alpha": fit.alpha,
            "target_modules": list(fit.target_modules),
            "scale_trials": [asdict(trial) for trial in examined.trials],
        },
        "training": {
            "preset": fit.preset,
            "examples": len(data.material.behaviour),
            "cards": len(curated.cards),
            "epochs": trained.epochs,
            "steps": trained.steps,
            "epoch_losses": [round(x, 5) for x in trained.epoch_losses],
            "final_loss": round(trained.epoch_losses[-1], 5) if trained.epoch_losses else None,
            "avg_salience": round(sum(salience) / len(salience), 5) if salience else 0.0,
            "learning_rate": fit.learning_rate,
            "batch_size": fit.batch_size,
            "tokens": trained.tokens,
            "seconds": round(trained.seconds, 3),
        },
        "evaluation": examined.evaluation,
        "canaries": [asdict(c) for c in recorded],
        "cards": examined.cards,
        "dreams": [made.as_dict() for made in data.dreams],
        "decisions": [{"card_id": d.card.id, "action": d.action, "reason": d.reason} for d in curated.decisions],
        "quarantined": [{"id": experience, "reason": reason} for experience, reason in curated.quarantined],
        "experiences_used": sorted(_consumed(job, curated)),
        "cards_used": [c.id for c in curated.cards],
        "timings": {name: round(seconds, 3) for name, seconds in reporter.timings.items()},
        "peak_memory_mb": round(torch.cuda.max_memory_allocated() / 2**20 if base.device.type == "cuda" else peak, 1),
        "tokens_per_second": round(trained.tokens / trained.seconds, 1) if trained.seconds else 0.0,
        "versions": {name: version(name) for name in ("torch", "transformers", "peft")},
        "device": str(base.device),
        "refusal": None,
    }


def _consumed(job: Job, curated: Curated) -> set[str]:
    """Experiences this night has dealt with: all of the job's but those that had to wait for room.

    What was looked at and left out (said again later, a second reply to one prompt) must not count as new for ever.
    """
    waiting = {d.card.experience_id for d in curated.decisions if d.action == "WAIT"} | set(curated.waiting)
    return {experience.id for experience, _ in job.experiences} - waiting


def _publish(job: Job, model: Any, document: dict[str, Any]) -> Path:
    """The result directory is complete or absent."""
    staging = job.directory / ".result-staging"
    remove_dir(staging)
    lora.save(model, staging / "adapter", job.model_path)
    hashes = {f.name: sha256_file(f) for f in sorted((staging / "adapter").iterdir())}
    document["adapter"] |= {"sha256": hashes[lora.ADAPTER_FILE], "files": hashes}
    write_atomic(staging / "cards.jsonl", "".join(json.dumps(row) + "\n" for row in document["cards"]))
    write_json(staging / "result.json", document)
    publish_dir(staging, job.result_dir)
    shutil.rmtree(job.checkpoint_dir, ignore_errors=True)  # the result replaces it; a leftover is harmless
    return job.result_dir
