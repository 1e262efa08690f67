"""The documents of one cycle: the seeds' two JSON files, the report, the manifest's provenance, the model card.

Pure: job, result and verdict in, documents out. The store writes them, the ledger keeps the summary.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sleepd.adapter import manifest
from sleepd.records import GateReport

GRADUATION = 3
"""A card graduates when this many of its test wordings are answered (recipe: 3 of 4)."""


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = document.get(name)
    return value if isinstance(value, Mapping) else {}


def _rows(document: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    value = document.get(name)
    return [row for row in value if isinstance(row, Mapping)] if isinstance(value, Sequence) and not isinstance(value, str) else []


def recalled(row: Mapping[str, Any], side: str) -> bool:
    """Whether a row of the evaluation counts as recalled: a bool, or enough of its wordings."""
    answer = row.get(side)
    if isinstance(answer, Sequence) and not isinstance(answer, str):
        return sum(bool(item) for item in answer) >= min(GRADUATION, len(answer)) and bool(answer)
    return bool(answer)


def cycle_results(number: int, result: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """``cycle_results.json`` in the seeds' exact fields. ``timestamp`` is local and naive, as theirs is."""
    training = _section(result, "training")
    used = result.get("experiences_used")
    return {
        "sleep_cycle": number,
        "num_experiences": len(used) if isinstance(used, Sequence) else 0,
        "epochs": training.get("epochs"),
        "final_loss": training.get("final_loss"),
        "avg_salience": training.get("avg_salience"),
        "epoch_losses": training.get("epoch_losses", []),
        "learning_rate": training.get("learning_rate"),
        "timestamp": now.astimezone().replace(tzinfo=None).isoformat(),
    }


def training_state(history: Sequence[Mapping[str, Any]], now: datetime) -> dict[str, Any]:
    """``training_state.json``: the seeds' history of all cycles up to this one, oldest first."""
    return {
        "sleep_cycle_count": len(history),
        "total_experiences_trained": sum(int(entry.get("num_experiences") or 0) for entry in history),
        "training_history": [dict(entry) for entry in history],
        "last_updated": now.astimezone().replace(tzinfo=None).isoformat(),
    }


def figures(result: Mapping[str, Any]) -> dict[str, Any]:
    """The evaluation in numbers that fit on a line: recall of new and old facts, base against candidate."""
    evaluation = _section(result, "evaluation")
    new, old, rehearsal = _rows(evaluation, "new"), _rows(evaluation, "old"), _rows(evaluation, "rehearsal")
    return {
        "new_cards": len(new),
        "new_recalled_before": sum(recalled(row, "base") for row in new),
        "new_recalled_after": sum(recalled(row, "candidate") for row in new),
        "old_cards": len(old),
        "old_recalled_best": sum(bool(row.get("best")) for row in old),
        "old_recalled_after": sum(recalled(row, "candidate") for row in old),
        "unrelated_prompts": len(rehearsal),
        "unrelated_same": sum(bool(row.get("same")) for row in rehearsal),
        "unrelated_kl": _mean([row.get("kl") for row in rehearsal]),
    }


def _mean(values: list[Any]) -> float | None:
    numbers = [value for value in values if isinstance(value, int | float)]
    return sum(numbers) / len(numbers) if numbers else None


def report(
    number: int, kind: str, requested_by: str, result: Mapping[str, Any], gate: GateReport | None, started: datetime, now: datetime
) -> dict[str, Any]:
    """``report.json``, and what ``sleepd report`` prints."""
    return {
        "cycle": number,
        "kind": kind,
        "requested_by": requested_by,
        "started_at": started.isoformat(),
        "judged_at": now.isoformat(),
        "seconds": round((now - started).total_seconds(), 1),
        "gate": None if gate is None else manifest.gate_document(gate),
        "figures": figures(result),
        "training": dict(_section(result, "training")),
        "evaluation": dict(_section(result, "evaluation")),
        "cards": [dict(card) for card in _rows(result, "cards")],
        "quarantined": [dict(row) for row in _rows(result, "quarantined")],
        "timings": dict(_section(result, "timings")),
        "peak_memory_mb": result.get("peak_memory_mb"),
        "tokens_per_second": result.get("tokens_per_second"),
        "refusal": result.get("refusal"),
    }


def provenance(job: Mapping[str, Any], result: Mapping[str, Any], gate: GateReport, now: datetime) -> dict[str, Any]:
    """The manifest without its file hashes. The canaries are in it, so that any later activation can be verified."""
    canaries = [dict(row) for row in _rows(result, "canaries")]
    return {**manifest.compose(job, result, gate, now.isoformat()), "living_adapter": job.get("living_adapter"), "canaries": canaries}


def model_card(number: int, job: Mapping[str, Any], result: Mapping[str, Any], gate: GateReport) -> str:
    """README.md of a cycle directory, for people and for tools that read model cards."""
    adapter, training, numbers = _section(result, "adapter"), _section(result, "training"), figures(result)
    model = _section(job, "model")
    before, after = numbers["new_recalled_before"], numbers["new_recalled_after"]
    best, now = numbers["old_recalled_best"], numbers["old_recalled_after"]
    new, old = numbers["new_cards"], numbers["old_cards"]
    checks = "\n".join(f"| {check.name} | {'yes' if check.ok else 'no'} | {_cell(check.detail)} |" for check in gate.checks)
    facts = "\n".join(f"- {_cell(str(card.get('quote', '')))} ({card.get('status', '')})" for card in _rows(result, "cards"))
    return f"""---
base_model: {model.get("path")}
library_name: peft
tags: [lora, sleepd]
---

# Cycle {number:03d}

A LoRA adapter that a {job.get("kind")} sleep cycle trained on {len(_rows_ids(result))} experiences. It belongs to exactly one
base model: `{model.get("path")}`, sha256 `{model.get("sha256")}`. Do not load it on another.

| | before | after |
|---|---|---|
| new facts recalled (wordings that were not trained) | {before} of {new} | {after} of {new} |
| earlier facts recalled | {best} of {old} at best | {now} of {old} |

Rank {adapter.get("rank")}, alpha {adapter.get("alpha")}, modules {adapter.get("target_modules")}, learning rate \
{training.get("learning_rate")}, {training.get("epochs")} epochs, final loss {training.get("final_loss")}.

## Gate

| check | passed | numbers |
|---|---|---|
{checks}

## What it learned

{facts or "- behaviour only, no facts"}
"""


def _rows_ids(result: Mapping[str, Any]) -> list[Any]:
    used = result.get("experiences_used")
    return list(used) if isinstance(used, Sequence) and not isinstance(used, str) else []


def _cell(text: str) -> str:
    """Text from outside must not break the table it stands in."""
    return " ".join(text.replace("|", "/").split())
