"""One night from job to result, read from top to bottom: curate, build the data, train, evaluate, publish."""

from __future__ import annotations

import json
import os
import resource
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sleepd.base_model import identify
from sleepd.durable import publish_dir, remove_dir, sha256_file, write_atomic, write_json
from sleepd.errors import BadDataError, BadJobError
from sleepd.night import dataset, evaluate, lora, rehearsal
from sleepd.night.chat import ChatFormat, chat_format
from sleepd.night.curate import Curated, curate
from sleepd.night.dataset import Dataset
from sleepd.night.fit import Fit, FitResult
from sleepd.night.job import Job
from sleepd.night.presets import FitSettings, settings
from sleepd.night.progress import Reporter
from sleepd.night.rehearsal import Pool
from sleepd.records import Canary, Card

SCALES = (1.0, 0.85, 0.7, 0.55, 0.4)
KEPT_RECALL = 0.98
MAX_CANARIES = 12
MAX_OLD_PROBES = 200
GRADUATION = 0.75


@dataclass(frozen=True)
class Base:
    """The loaded base with its chat format. ``model`` gains the adapter later; its own weights stay frozen."""

    model: Any
    chat: ChatFormat
    device: torch.device
    parameters: int
    pad: int


@dataclass(frozen=True)
class Texts:
    """What the candidate is measured on beside cards."""

    held_out: tuple[str, ...]
    open_prompts: tuple[str, ...]
    dialogue: tuple[str, ...]


def pick_device(wanted: str) -> torch.device:
    if wanted == "cuda" and not torch.cuda.is_available():
        raise BadJobError(
            "training.device is cuda, but torch sees no CUDA device", "set training.device to cpu or auto, or repair the driver"
        )
    return torch.device("cuda" if wanted == "cuda" or (wanted == "auto" and torch.cuda.is_available()) else "cpu")


def pick_dtype(wanted: str, device: torch.device, model_bytes: int) -> torch.dtype:
    """bf16 where it is fast or where the model is large; fp32 for small models on a CPU."""
    if wanted != "auto":
        return {"float32": torch.float32, "bfloat16": torch.bfloat16}[wanted]
    if device.type == "cuda":
        return torch.bfloat16
    return torch.bfloat16 if model_bytes > 400_000_000 else torch.float32


def load_base(job: Job) -> Base:
    """Load the pinned base model; BadJobError when another model lies at its path."""
    found = identify(job.model_path, job.cache_dir / "base_models.json")
    if found.sha256 != job.base_sha256:
        raise BadJobError(
            f"the model in {job.model_path} changed: its hash is {found.sha256[:12]}, the job was made for {job.base_sha256[:12]}",
            "restore the model, or accept the new one with: sleepd activate base",
        )
    if job.threads:
        torch.set_num_threads(job.threads)
    device = pick_device(job.device)
    tokenizer = AutoTokenizer.from_pretrained(job.model_path)
    chat = chat_format(tokenizer)
    model: Any = AutoModelForCausalLM.from_pretrained(job.model_path, dtype=pick_dtype(job.dtype, device, found.bytes))
    model.to(device)
    model.requires_grad_(False)
    model.eval()
    pad = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else chat.end_of_turn
    return Base(model, chat, device, sum(p.numel() for p in model.parameters()), pad)


def load_texts(job: Job) -> Texts:
    """Held-out text (one passage a line) and open prompts: the configured file, or the bundled ones."""
    data = files("sleepd.night") / "data"
    configured = str(job.training.get("heldout_text") or "")
    try:
        text = (
            Path(configured).expanduser().read_text(encoding="utf-8") if configured else (data / "heldout.txt").read_text(encoding="utf-8")
        )
    except (OSError, UnicodeDecodeError) as error:
        raise BadJobError(
            f"training.heldout_text {configured} cannot be read: {error}", "name a UTF-8 text file with one passage a line"
        ) from error
    prompts = json.loads((data / "open_prompts.json").read_text(encoding="utf-8"))
    held_out = tuple(line for line in text.splitlines() if line.strip())[:200]
    return Texts(held_out, tuple(prompts["prompts"]), tuple(prompts["dialogue"]))


def run(job: Job, reporter: Reporter) -> Path:
    """Run the night and publish its result directory. Raises StopRequested at a resumable point."""
    if job.result_dir.exists():
        return job.result_dir  # the job finished, but its exit was not seen
    with reporter.stage("curate"):
        base = load_base(job)
        texts = load_texts(job)
        fit = settings(job.training, job.gate, base.parameters)
        curated = curate(job, lambda cards: _base_recalls(base, cards, reporter))
        if not (curated.cards or curated.examples or (job.kind == "deep" and curated.living)):
            raise BadDataError(
                "nothing to learn: no new card and no reply that may serve as an example",
                "see `sleepd inspect` on the buffer for the reasons",
            )
    with reporter.stage("dataset"):
        pool = _pool(job, base, fit, reporter)
        data = dataset.build(base.model, base.chat, curated, pool, fit, job.seed, reporter, relearn=job.kind == "deep")
    with reporter.stage("train"):
        model = lora.attach(base.model, fit, job.living_adapter if job.kind == "light" else None, job.seed)
        start = lora.snapshot(model)

        trained = Fit(model, data.material, fit, job.seed, base.pad, reporter, job.checkpoint_dir).run()
    with reporter.stage("evaluate"):
        model.eval()
        scale = _smallest_scale(model, base.chat, data, reporter) if fit.choose_scale else 1.0
        lora.bake_scale(model, scale)
        adapter_facts = lora.facts(model, start, scale)
        evaluation, statuses = _evaluate(model, base, job, curated, data, pool, texts, reporter)
        canaries = _canaries(model, base.chat, data, curated.cards, pool, job.canary_tokens, reporter)
    document = _document(job, base, fit, curated, data, trained, adapter_facts, evaluation, canaries, statuses, reporter)
    return _publish(job, model, document)


def _base_recalls(base: Base, cards: Sequence[Card], reporter: Reporter) -> list[bool]:
    """Whether the base answers a card on at least three of its four test wordings, before any training."""
    passed = evaluate.probe(base.model, base.chat, {c.id: dataset.test_wordings(c) for c in cards}, reporter.checkpoint)
    return [sum(passed[c.id]) >= GRADUATION * len(passed[c.id]) for c in cards]


def _pool(job: Job, base: Base, fit: FitSettings, reporter: Reporter) -> Pool:
    count = int(job.training["rehearsal_pool"])
    return rehearsal.load_or_build(base.model, base.chat, job.cache_dir, job.base_sha256, count, fit.max_tokens, reporter.checkpoint)


def _smallest_scale(model: Any, chat: ChatFormat, data: Dataset, reporter: Reporter) -> float:
    """The smallest factor that keeps 98 % of the recall on development wordings."""
    best = 1.0
    full = -1.0
    for factor in SCALES if data.dev else (1.0,):
        with lora.scaled(model, factor):
            flat = [ok for row in evaluate.probe(model, chat, data.dev, reporter.checkpoint).values() for ok in row]
        recall = sum(flat) / len(flat) if flat else 0.0
        full = recall if full < 0 else full
        if recall < KEPT_RECALL * full or full == 0.0:
            break
        best = factor
    return best


def _evaluate(
    model: Any, base: Base, job: Job, curated: Curated, data: Dataset, pool: Pool, texts: Texts, reporter: Reporter
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Everything the gate reads, for base and candidate, and each card's new status."""
    chat, pause = base.chat, reporter.checkpoint
    new_sets = {c.id: data.test[c.id] for c in curated.cards}
    old_sets = {k.card.id: (data.test[k.card.id][job.cycle % 4],) for k in curated.living[:MAX_OLD_PROBES]}
    reverse_sets = {cid: forms for cid, forms in data.reverse_test.items() if cid in new_sets}
    encoded = evaluate.passages(chat, texts.held_out)

    def measure() -> dict[str, Any]:
        return {
            "new": evaluate.probe(model, chat, new_sets, pause),
            "old": evaluate.probe(model, chat, old_sets, pause),
            "reverse": evaluate.probe(model, chat, reverse_sets, pause),
            "text": evaluate.text_losses(model, encoded, pause),
            "collapse": evaluate.collapse(model, chat, texts.open_prompts, texts.dialogue, pause).as_dict(),
        }

    with model.disable_adapter():
        before = measure()
    reporter.step(1, 2, force=True)
    after = measure()
    agreed = evaluate.answers(model, chat, [r.prompt for r in pool.held_out], pause, rehearsal.ANSWER_TOKENS)
    kl = evaluate.divergences(model, pool.held_out, base.pad, pause)
    best = {k.card.id: k.best for k in curated.living}
    evaluation = {
        "new": [{"card_id": c, "base": before["new"][c], "candidate": after["new"][c]} for c in new_sets],
        "reverse": [{"card_id": c, "base": before["reverse"][c], "candidate": after["reverse"][c]} for c in reverse_sets],
        "old": [{"card_id": c, "best": best[c], "base": before["old"][c][0], "candidate": after["old"][c][0]} for c in old_sets],
        "rehearsal": [
            {"prompt": r.prompt, "same": r.answer == answer, "kl": round(nats, 6)}
            for r, answer, nats in zip(pool.held_out, agreed, kl, strict=True)
        ],
        "text": {"base": before["text"], "candidate": after["text"], "tokens": [int(ids.shape[1]) for ids in encoded]},
        "collapse": {"base": before["collapse"], "candidate": after["collapse"]},
    }
    return evaluation, _card_rows(curated, after["new"], after["old"])


def _card_rows(curated: Curated, new: Mapping[str, list[bool]], old: Mapping[str, list[bool]]) -> list[dict[str, Any]]:
    """Every card the night touched with its status after it; a card of 3 right in 4 graduates."""
    rows = []
    for decision in curated.decisions:
        if decision.card.id in new:
            passed = new[decision.card.id]
            stuck = sum(passed) >= GRADUATION * len(passed)
            rows.append(
                asdict(replace(decision.card, status="graduated" if stuck else "learning")) | {"recalled": stuck, "reason": decision.reason}
            )
    for known in curated.living:
        if known.card.id in old:
            kept = old[known.card.id][0]
            rows.append(
                asdict(replace(known.card, status="graduated" if kept else "fading")) | {"recalled": kept, "reason": "probed again"}
            )
    rows += [asdict(card) | {"recalled": False, "reason": "its value was corrected"} for card in curated.superseded]
    return rows


def _canaries(
    model: Any, chat: ChatFormat, data: Dataset, cards: Sequence[Card], pool: Pool, tokens: int, reporter: Reporter
) -> list[Canary]:
    """Prompts that tell this adapter from any other: tonight's facts first, then some that the base answers too.

    A canary is ``new`` when the base answers it otherwise: those can only come from this adapter.
    """
    prompts = [data.test[c.id][0].question for c in cards[: MAX_CANARIES - 2]] + [r.prompt for r in pool.held_out[:2]]
    prompts += [r.prompt for r in pool.train if r.prompt][: max(0, 4 - len(prompts))]
    with model.disable_adapter():
        before = evaluate.answers(model, chat, prompts, reporter.checkpoint, tokens)
    after = evaluate.answers(model, chat, prompts, reporter.checkpoint, tokens)
    return [Canary(p, a, new=a != b) for p, a, b in zip(prompts, after, before, strict=True)]


def _document(
    job: Job,
    base: Base,
    fit: FitSettings,
    curated: Curated,
    data: Dataset,
    trained: FitResult,
    adapter_facts: lora.AdapterFacts,
    evaluation: dict[str, Any],
    canaries: list[Canary],
    cards: list[dict[str, Any]],
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
        "adapter": {**asdict(adapter_facts), "rank": fit.rank, "alpha": fit.alpha, "target_modules": list(fit.target_modules)},
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
        "evaluation": evaluation,
        "canaries": [asdict(c) for c in canaries],
        "cards": cards,
        "decisions": [{"card_id": d.card.id, "action": d.action, "reason": d.reason} for d in curated.decisions],
        "quarantined": [],
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


def quiet_libraries() -> None:
    """No downloads, no progress bars, no warnings about parallel tokenizers."""
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("HF_HUB_DISABLE_PROGRESS_BARS", "1")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
