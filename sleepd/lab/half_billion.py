"""A whole night on the shape of Qwen2.5-0.5B: what it holds in memory and how long it takes, on the CPU or a GPU.

The weights are random and made here, so nothing is downloaded and nothing is learned; memory and speed do not depend on
what weights say. The night runs in a process of its own, as in production, and its verdict is of no interest.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import click

from sleepd.errors import ModelError
from sleepd.fixed_items import NAMES, source

LIMIT_MB = 6144
SHAPE: Mapping[str, Any] = {
    "vocab_size": 151936,
    "hidden_size": 896,
    "intermediate_size": 4864,
    "num_hidden_layers": 24,
    "num_attention_heads": 14,
    "num_key_value_heads": 2,
    "max_position_embeddings": 32768,
    "rope_parameters": {"rope_type": "default", "rope_theta": 1_000_000.0},
    "tie_word_embeddings": True,
}
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja")
_RATE = 3e-4  # given, or the night would first measure one, three short trainings long
_POOL = 256  # prompts and texts to rehearse: their number costs time and no memory
_SAMPLE_SECONDS = 0.05


@dataclass(frozen=True)
class Figures:
    """One night. ``peak_mb``: the most memory that the child's process held; ``device_peak_mb``: on the GPU, None without one.

    ``stage_peak_mb``: the most that was seen during each stage, looked at twenty times a second, so a little under the peak.
    ``tokens_per_second`` counts trained tokens; ``seconds`` is the whole child from start to exit.
    """

    device: str
    dtype: str
    parameters: int
    trainable_parameters: int
    facts: int
    steps: int
    trained_tokens: int
    tokens_per_second: float
    seconds: float
    stage_seconds: Mapping[str, float]
    stage_peak_mb: Mapping[str, float]
    peak_mb: float
    device_peak_mb: float | None
    limit_mb: int
    within_limit: bool


def make_model(folder: Path, shape: Mapping[str, Any] = SHAPE, seed: int = 1) -> int:
    """A model of ``shape`` with random bfloat16 weights and the seedling's tokenizer in ``folder``; the number of its weights.

    The tokenizer is smaller than the model's vocabulary: the night computes with every word all the same.
    """
    import torch
    from transformers import Qwen2Config, Qwen2ForCausalLM

    seedling = Path(str(files("sleepd.lab") / "seedling"))
    own = json.loads((seedling / "config.json").read_text(encoding="utf-8"))
    config = Qwen2Config(**shape, eos_token_id=own["eos_token_id"], pad_token_id=own["pad_token_id"], dtype="bfloat16")
    torch.manual_seed(seed)
    model: Any = Qwen2ForCausalLM._from_config(config, dtype=torch.bfloat16)
    model.save_pretrained(folder)
    for name in _TOKENIZER:
        shutil.copyfile(seedling / name, folder / name)
    return sum(p.numel() for p in model.parameters())


def write_job(folder: Path, model: Path, device: str, facts: int, epochs: int) -> Path:
    """The job of a first night with ``facts`` new facts."""
    from sleepd.lab.days import days, facts_of
    from sleepd.lab.laboratory import configuration
    from sleepd.lab.nights import Memory
    from sleepd.lab.nights import write_job as write

    config = configuration("verified", model)
    fixed = {f"{name}_file": str(source("", name)) for name in NAMES}
    training = {"device": device, "epochs": epochs, "learning_rate": _RATE, "rehearsal_pool": _POOL, **fixed}
    config = config.model_copy(update={"training": config.training.model_copy(update=training)})
    [day] = days(0, facts_of(0, 1, facts), 1)
    return write(folder / "job", 1, Memory(untrained=list(day.rows)), config, model, folder / "cache", seed=0)


@dataclass(frozen=True)
class ChildRun:
    """How the child ended. ``peak_mb`` is the kernel's own high-water mark of that process."""

    exit_code: int
    last_words: str
    seconds: float
    peak_mb: float
    stage_peak_mb: Mapping[str, float]


def run_child(job: Path) -> ChildRun:
    """``python -m sleepd.night JOB`` from start to exit, watched."""
    started = time.monotonic()
    with (job / "stderr").open("wb") as errors:
        child = subprocess.Popen([sys.executable, "-m", "sleepd.night", str(job)], stdout=subprocess.PIPE, stderr=errors, text=True)
    assert child.stdout is not None
    stages: dict[str, float] = {}
    lines = ["{}"]
    reader = threading.Thread(target=_read, args=(child.stdout, lines), daemon=True)
    reader.start()
    while True:
        pid, status, usage = os.wait4(child.pid, os.WNOHANG)
        if pid:
            break
        stage = json.loads(lines[-1]).get("stage", "start")
        stages[stage] = max(stages.get(stage, 0.0), _resident_mb(child.pid))
        time.sleep(_SAMPLE_SECONDS)
    child.returncode = os.waitstatus_to_exitcode(status)
    reader.join()
    words = json.loads(lines[-1]).get("message", "") or (job / "stderr").read_text(encoding="utf-8", errors="replace")[-2000:]
    rounded = {name: round(mb, 1) for name, mb in stages.items()}
    return ChildRun(child.returncode, words, time.monotonic() - started, usage.ru_maxrss / 1024, rounded)


def _read(pipe: Iterable[str], lines: list[str]) -> None:
    for line in pipe:
        lines.append(line)


def _resident_mb(pid: int) -> float:
    """Memory that the process holds now; 0 when it has just ended."""
    try:
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
    except OSError:
        pass  # it ended between two looks
    return 0.0


def measure(folder: Path, device: str, facts: int, epochs: int, shape: Mapping[str, Any] = SHAPE) -> Figures:
    """Make the model in ``folder`` unless it is there, sleep one night on it and measure. Raises ModelError when the night fails."""
    model = folder / "model"
    if not (model / "config.json").exists():
        make_model(model, shape)
    run = run_child(write_job(folder, model, device, facts, epochs))
    if run.exit_code != 0:
        raise ModelError(f"the night on {model} ended with exit {run.exit_code}: {run.last_words}", "see stderr in the job's folder")
    return figures(json.loads((folder / "job" / "result" / "result.json").read_text(encoding="utf-8")), run, facts, _parameters(model))


def figures(result: Mapping[str, Any], run: ChildRun, facts: int, parameters: int) -> Figures:
    """What is reported, from the night's own result and from watching its process."""
    training, on_gpu = result["training"], result["device"].startswith("cuda")
    device_peak = float(result["peak_memory_mb"]) if on_gpu else None
    return Figures(
        device=result["device"],
        dtype="bfloat16",
        parameters=parameters,
        trainable_parameters=result["adapter"]["trainable_parameters"],
        facts=facts,
        steps=training["steps"],
        trained_tokens=training["tokens"],
        tokens_per_second=result["tokens_per_second"],
        seconds=round(run.seconds, 1),
        stage_seconds=result["timings"],
        stage_peak_mb=run.stage_peak_mb,
        peak_mb=round(run.peak_mb, 1),
        device_peak_mb=device_peak,
        limit_mb=LIMIT_MB,
        within_limit=max(run.peak_mb, device_peak or 0.0) < LIMIT_MB,
    )


def _parameters(model: Path) -> int:
    """How many weights the model's files hold, by their headers."""
    from math import prod

    from safetensors import safe_open

    count = 0
    for file in sorted(model.glob("*.safetensors")):
        with safe_open(str(file), "pt") as weights:
            count += sum(prod(weights.get_slice(name).get_shape()) for name in weights.keys())  # noqa: SIM118
    return count


@click.command("half-billion")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True, help="Where the night computes.")
@click.option("--facts", type=click.IntRange(1, 100), default=4, show_default=True, help="New facts of the night.")
@click.option("--epochs", type=click.IntRange(1, 100), default=1, show_default=True, help="Passes over them: more cost time and no memory.")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Keep the model (1 GB), the job and the figures here.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document and nothing else.")
def half_billion(device: str, facts: int, epochs: int, out: Path | None, as_json: bool) -> None:
    """Sleep one whole night on a random model of half a billion weights and measure its memory and speed."""
    with tempfile.TemporaryDirectory(prefix="sleepd-lab-") as scratch:
        folder = (out or Path(scratch)).absolute()
        folder.mkdir(parents=True, exist_ok=True)
        document = asdict(measure(folder, device, facts, epochs))
        if out is not None:
            (folder / "half-billion.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if as_json:
        click.echo(json.dumps(document))
        return
    for name, value in document.items():
        click.echo(f"{name.replace('_', ' '):<24} {value}")
