"""Gate checks on the candidate itself: was anything trained, and is it a sound adapter for the base that was asked for."""

from __future__ import annotations

from collections.abc import Mapping

from sleepd.adapter import evidence
from sleepd.adapter.artifact import ADAPTER_FILES, WEIGHTS
from sleepd.adapter.expected import Expected
from sleepd.adapter.limits import Limits
from sleepd.records import GateCheck


def check_trained(result: Mapping[str, object], limits: Limits, expected: Expected) -> GateCheck:
    """The child made an adapter, and of something."""
    refusal = evidence.value(result, "refusal")
    if refusal is not None:
        return GateCheck("trained", False, f"nothing was trained: {refusal}")
    if evidence.value(result, "adapter") is None:
        return GateCheck("trained", False, "nothing was trained: the child made no adapter")
    steps, loss = evidence.count(result, "training.steps"), evidence.number(result, "training.final_loss")
    cards, examples = evidence.count(result, "training.cards"), evidence.count(result, "training.examples")
    numbers = {"steps": float(steps), "final_loss": loss, "cards": float(cards), "examples": float(examples)}
    again = len(evidence.rows(result, "evaluation.old")) if result.get("kind") == "deep" else 0  # taught anew, from the base
    if steps == 0 or cards + examples + again == 0:
        return GateCheck("trained", False, f"nothing was trained: {steps} steps on {cards} cards and {examples} examples", numbers)
    return GateCheck("trained", True, f"{steps} steps on {cards} cards and {examples} examples, final loss {loss:.4g}", numbers)


def check_integrity(result: Mapping[str, object], limits: Limits, expected: Expected) -> GateCheck:
    """Recipe check 9: base and job as asked, files as hashed, weights finite, changed, and small beside the base's."""
    faults: list[str] = []
    base, job = evidence.text(result, "base_sha256"), evidence.text(result, "job_id")
    if base != expected.base_sha256:
        faults.append(f"trained on base {base[:16]} instead of {expected.base_sha256[:16]}")
    if job != expected.job_id:
        faults.append(f"made for job {job} instead of {expected.job_id}")
    faults += _file_faults(result, expected)
    trainable, norm = evidence.count(result, "adapter.trainable_parameters"), evidence.number(result, "adapter.norm_ratio")
    scale = evidence.number(result, "adapter.scale")
    if trainable == 0:
        faults.append("no trainable parameters: the adapter was frozen")
    if not evidence.flag(result, "adapter.finite"):
        faults.append("weights are not finite")
    if not evidence.flag(result, "adapter.changed"):
        faults.append("weights did not change in training")
    if not 0 < scale <= 1:
        faults.append(f"scale {scale:.3g} is not in 0..1")
    if not 0 <= norm <= limits.max_norm_ratio:
        faults.append(f"norm {norm:.4f} of the base's weights, limit {limits.max_norm_ratio:.4f}")
    numbers = {"trainable_parameters": float(trainable), "norm_ratio": norm, "max_norm_ratio": limits.max_norm_ratio, "scale": scale}
    sound = f"{trainable} trainable parameters, finite, changed, norm {norm:.4f} of the base's weights (limit {limits.max_norm_ratio:.4f})"
    return GateCheck("integrity", not faults, "; ".join(faults) or sound, numbers)


def _file_faults(result: Mapping[str, object], expected: Expected) -> list[str]:
    files = evidence.mapping(result, "adapter.files")
    faults = []
    if foreign := sorted(set(files) - set(ADAPTER_FILES)):
        faults.append(f"holds {', '.join(map(str, foreign))}; only {' and '.join(ADAPTER_FILES)} belong to an adapter")
    for name in ADAPTER_FILES:
        if name not in files or name not in expected.files:
            faults.append(f"{name} is missing")
        elif files[name] != expected.files[name]:
            faults.append(f"{name} on disk is not the one that was evaluated: sha256 {expected.files[name][:16]}")
    if files.get(WEIGHTS) != evidence.text(result, "adapter.sha256"):
        faults.append(f"adapter.sha256 is not the hash of {WEIGHTS}")
    return faults
