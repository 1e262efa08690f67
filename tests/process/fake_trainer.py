"""A trainer that trains nothing and speaks the child's contract: fake_trainer.py MODE JOB_DIR. Standard library only.

Modes: ok, reject, crash, hang, rubbish, killed, oom, bad-job, bad-data, slow (works until SIGTERM, then writes a
checkpoint; goes on from it to the end), stubborn (ignores SIGTERM), empty (exits 0 without a result), leaks (what was to be
forgotten comes out), no-tries (what was to be forgotten is not asked for), unrecalled (new cards but one do not stick).
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

LORA = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none", "use_dora": False, "modules_to_save": None}
FINISH_SECONDS = 60.0


def say(stage: str, percent: float, **more: Any) -> None:
    print(json.dumps({"stage": stage, "percent": percent, "step": 1, "steps": 2, "loss": 0.5, "eta_s": 1.0, **more}), flush=True)


def fail(code: int, message: str) -> None:
    print(json.dumps({"stage": "error", "message": message, "remedy": "ask the fake trainer"}), flush=True)
    sys.exit(code)


def safetensors(cycle: int) -> bytes:
    header: dict[str, Any] = {}
    data = b""
    for name, fill in (("base_model.model.mlp.up_proj.lora_A.weight", cycle), ("base_model.model.mlp.up_proj.lora_B.weight", cycle + 1)):
        raw = bytes([fill % 251]) * 64
        header[name] = {"dtype": "F32", "shape": [2, 8], "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines() if line]


def dreams_of(job: dict[str, Any], job_dir: Path, cards: list[str]) -> list[dict[str, Any]]:
    """A deep cycle dreams of each two neighbouring cards, but not what was vetoed."""
    vetoed = {row["id"] for row in lines(job_dir / "vetoed_dreams.jsonl")}
    words = [["user", "Where does my friend live?"], ["assistant", "Your friend lives there."]]
    pairs = list(zip(cards[::2], cards[1::2], strict=False)) if job["kind"] == "deep" else []
    made = [{"id": f"dream-{a[:8]}", "kind": "given", "card_ids": [a, b], "messages": words} for a, b in pairs]
    return [dream for dream in made if dream["id"] not in vetoed]


def write_result(job_dir: Path, *, learned: bool, mode: str = "ok") -> None:
    job = json.loads((job_dir / "job.json").read_text())
    experiences = lines(job_dir / "experiences.jsonl")
    rows = {card["id"]: card for card in lines(job_dir / "cards.jsonl")}
    known = set(rows)
    cards = {card["id"]: card for row in experiences for card in row["verdict"]["cards"] if card["id"] not in known}
    missed = {min(cards, default=""), *(card for card in known if not rows[card]["best"])} if mode == "unrecalled" else set()
    tries = {"tries": 20, "extracted": 3 if mode == "leaks" else 0, "base_extracted": 0}
    to_forget = job_dir / "forget.jsonl"
    forgotten = [{"card_id": card["id"], **tries} for card in (lines(to_forget) if to_forget.exists() else [])]
    staging = job_dir / ".result"
    (staging / "adapter").mkdir(parents=True)
    weights = staging / "adapter/adapter_model.safetensors"
    weights.write_bytes(safetensors(job["cycle"]))
    config = staging / "adapter/adapter_config.json"
    config.write_text(json.dumps(LORA))
    files = {path.name: sha256(path) for path in (weights, config)}
    healthy = {
        "distinct3": 0.9,
        "repeated_share": 0.0,
        "questions_per_reply": 0.3,
        "mean_words": 20.0,
        "end_of_turn_rate": 1.0,
        "entropy": 1.0,
    }
    document = {
        "format": 1,
        "job_id": job["id"],
        "cycle": job["cycle"],
        "kind": job["kind"],
        "base_sha256": job["model"]["sha256"],
        "refusal": None,
        "adapter": {
            "sha256": files["adapter_model.safetensors"],
            "trainable_parameters": 32,
            "rank": 2,
            "alpha": 4,
            "target_modules": ["up_proj"],
            "scale": 1.0,
            "norm_ratio": 0.02,
            "finite": True,
            "changed": True,
            "files": files,
        },
        "training": {
            "examples": len(experiences),
            "cards": len(cards),
            "items": 10,
            "epochs": 3,
            "steps": 30,
            "epoch_losses": [2.0, 1.0, 0.5],
            "final_loss": 0.5,
            "avg_salience": 0.7,
            "learning_rate": 0.001,
            "tokens": 1000,
            "seconds": 0.1,
        },
        "evaluation": {
            "new": [{"card_id": card, "base": [False] * 4, "candidate": [learned and card not in missed] * 4} for card in sorted(cards)],
            "old": [
                {"card_id": card, "best": rows[card]["best"], "base": False, "candidate": card not in missed} for card in sorted(known)
            ],
            **({"forgotten": forgotten} if forgotten and mode != "no-tries" else {}),
            "rehearsal": [{"prompt": f"p{i}", "same": True, "kl": 0.001} for i in range(10)],
            "text": {"base": [2.0] * 10, "candidate": [2.0 if learned else 2.5] * 10, "tokens": [50] * 10},
            "general": [{"item": f"g{i}", "base": True, "candidate": True} for i in range(10)],
            "neighbours": [{"card_id": "any", "question": f"q{i}", "certain": True, "same": True, "leaked": False} for i in range(100)],
            "identity": [{"item": "Who are you?", "kind": "identity", "base": True, "candidate": True}],
            "collapse": {"base": healthy, "candidate": healthy},
        },
        "canaries": [{"prompt": "Who are you?", "answer": f"cycle {job['cycle']}"}],
        "cards": [
            *({**card, "status": "graduated", "reason": "recalled"} for card in cards.values()),
            *({**card, "taught": card["status"] == "learning" or job["kind"] == "deep", "reason": "again"} for card in rows.values()),
        ],
        "dreams": dreams_of(job, job_dir, sorted({*known, *cards})),
        "quarantined": [],
        "experiences_used": [row["experience"]["id"] for row in experiences],
        "cards_used": sorted(cards),
        "timings": {"curate": 0.01, "train": 0.05},
        "peak_memory_mb": 10.0,
        "tokens_per_second": 100.0,
        "versions": {"fake": "1"},
    }
    (staging / "result.json").write_text(json.dumps(document))
    staging.rename(job_dir / "result")


def main(mode: str, job_dir: Path) -> None:
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, frame: stopping.append(number))
    say("curate", 5)
    print(
        f"environment NOTIFY_SOCKET={os.environ.get('NOTIFY_SOCKET')} CUDA={os.environ.get('CUDA_VISIBLE_DEVICES')!r}",
        file=sys.stderr,
        flush=True,
    )
    resumed = (job_dir / "checkpoint/state").exists()
    if mode == "bad-job":
        fail(3, "the job is not to my liking")
    if mode == "bad-data":
        fail(4, "nothing to learn here")
    say("dataset", 20)
    if mode == "crash":
        os.kill(os.getpid(), signal.SIGSEGV)
    if mode == "killed":
        os.kill(os.getpid(), signal.SIGKILL)
    if mode == "oom":
        fail(5, "out of memory at batch 1")
    if mode == "rubbish":
        os.write(1, b'\xff\xfe not json \n{"stage": 3}\n[1,2]\nnull\n' + b"x" * 100_000 + b'\n{"stage":"train","percent":NaN}\n')
    say("train", 40)
    if mode in ("hang", "stubborn"):
        while True:
            time.sleep(1.0)
            if stopping and mode == "hang":
                signal.signal(signal.SIGTERM, signal.SIG_DFL)
                os.kill(os.getpid(), signal.SIGTERM)
    if mode == "slow" and not resumed:
        end = time.monotonic() + FINISH_SECONDS
        while time.monotonic() < end:
            say("train", 50)
            time.sleep(0.05)
            if stopping:
                (job_dir / "checkpoint").mkdir()
                (job_dir / "checkpoint/state").write_text("half way")
                sys.exit(75)
    say("evaluate", 90)
    if mode != "empty":
        write_result(job_dir, learned=mode != "reject", mode=mode)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
