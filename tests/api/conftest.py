"""Real buffers, the real seedling, and a cache that all nights of these tests share."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

Entry = dict[str, Any]
MakeBuffer = Callable[..., Path]

REPLIES = (
    "I think our partnership grows when each of us says plainly what we do not know yet.",
    "Noticing how we talk helps me to answer you with more care than I did before today.",
    "We could take the simple road first, since it is often the one that works out.",
    "What matters most to me is that you tell me when I am wrong about something.",
    "Time feels to me like a row of exchanges, and each of them leans on the last.",
    "Let us write down the question before we argue about any of the answers to it.",
    "A quiet morning is good for reading, and I would gladly hear what you have found.",
    "Your garden sounds lovely, so tell me which of the plants survived the hard frost.",
    "Honest doubt is worth more between us than an answer that merely sounds certain.",
)


def entry(number: int, salience: float = 0.7, **replaced: Any) -> Entry:
    """One entry of a buffer; its reply is sound and unlike the others'."""
    dimensions = dict.fromkeys(("surprise", "novelty", "arousal", "reward", "conflict", "total"), salience)
    document: Entry = {
        "id": f"experience-{number}",
        "prompt": f"What do you make of matter number {number}?",
        "response": REPLIES[number % len(REPLIES)],
        "salience": dimensions,
        "session": 1 + number // 3,
        "phase": "relating",
        "timestamp": f"2026-01-18T12:{number % 60:02d}:00",
        "metadata": {},
    }
    return document | replaced


@pytest.fixture
def make_buffer(tmp_path: Path) -> MakeBuffer:
    """Write a buffer of ``count`` sound entries, or of the given ones, as a list or in the form that is asked for."""

    def make(entries: int | Sequence[Entry] = 3, form: str = "list", name: str = "experience_buffer.json") -> Path:
        rows = [entry(number) for number in range(entries)] if isinstance(entries, int) else list(entries)
        path = tmp_path / name
        whole: Any = {"experiences": rows, "max_size": 1000} if form == "dict" else rows
        path.write_text("".join(json.dumps(row) + "\n" for row in rows) if form == "jsonl" else json.dumps(whole))
        return path

    return make


@pytest.fixture(scope="session")
def seedling() -> Path:
    return Path(str(files("sleepd.lab") / "seedling"))


@pytest.fixture(scope="session")
def own_environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Directories of these tests alone, and one thread a night, which is the fastest for so small a model."""
    root = tmp_path_factory.mktemp("directories")
    kinds = ("state", "runtime", "cache", "configuration")
    return {f"{kind.upper()}_DIRECTORY": str(root / kind) for kind in kinds} | {"OMP_NUM_THREADS": "1"}


@pytest.fixture(scope="module", autouse=True)
def _environment(own_environment: Mapping[str, str]) -> Any:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in own_environment.items():
            patch.setenv(name, value)
        yield


@pytest.fixture
def checkpoints(tmp_path: Path) -> Path:
    return tmp_path / "checkpoints"


def write_cycle(root: Path, number: int, state: Mapping[str, Any]) -> Path:
    """A cycle directory as an earlier program left it: no manifest."""
    directory = root / f"cycle_{number:03d}"
    directory.mkdir(parents=True)
    (directory / "training_state.json").write_text(json.dumps(state))
    return directory


def results(cycle: int, count: int = 6, loss: float = 4.03) -> Entry:
    """An entry of a training history."""
    return {
        "sleep_cycle": cycle,
        "num_experiences": count,
        "epochs": 3,
        "final_loss": loss,
        "avg_salience": 0.7,
        "epoch_losses": [loss + 0.2, loss + 0.1, loss],
        "learning_rate": 1e-5,
        "timestamp": f"2026-01-18T17:38:{cycle:02d}",
    }
