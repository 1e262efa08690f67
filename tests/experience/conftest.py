"""Entries and buffers as real writers make them, and the folder of real data where it lies beside the checkout."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from sleepd.experience.ingest import Ingestor
from sleepd.experience.screen import Screen, ScreenLimits
from sleepd.ledger import Ledger
from sleepd.records import Experience, Salience

SHARED = Path(__file__).parents[2] / "../shared/data"
NOW = datetime(2026, 3, 1, 22, 0, tzinfo=UTC)
Entry = dict[str, Any]


def entry_id(prompt: str, response: str) -> str:
    return hashlib.sha256(f"{prompt}|{response}".encode()).hexdigest()[:16]


def salience(total: float = 0.7) -> dict[str, float]:
    return {"surprise": 0.5, "novelty": 0.5, "arousal": 0.5, "reward": 0.5, "conflict": 0.5, "total": total}


def entry(prompt: str, response: str, /, **fields: Any) -> Entry:
    return {
        "id": entry_id(prompt, response),
        "prompt": prompt,
        "response": response,
        "salience": salience(),
        "session": 1,
        "phase": "relating",
        "timestamp": "2026-02-01T10:00:00",
        "metadata": {"turn": 1},
        **fields,
    }


def experience(prompt: str, response: str = "That is good to know.", total: float = 0.7, **fields: Any) -> Experience:
    return Experience(entry_id(prompt, response), prompt, response, Salience(0.5, 0.5, 0.5, 0.5, 0.5, total), **fields)


def healthy_reply(rng: random.Random, length: int = 30) -> str:
    """A sentence of made-up words: nothing in it repeats, nothing is like another."""
    syllables = [a + b for a in "bdfgklmnprstvz" for b in "aeiou"]
    words = ["".join(rng.choices(syllables, k=rng.randint(2, 4))) for _ in range(length)]
    return " ".join(words).capitalize() + "."


def many(count: int, seed: int = 0, session_size: int = 10) -> list[Entry]:
    rng = random.Random(seed)
    return [
        entry(
            healthy_reply(rng, 8)[:-1] + "?", healthy_reply(rng), session=number // session_size, metadata={"turn": number % session_size}
        )
        for number in range(count)
    ]


def as_list(entries: list[Entry]) -> str:
    return json.dumps(entries, indent=2)


def as_flat_list(entries: list[Entry]) -> str:
    return json.dumps(entries)


def as_object(entries: list[Entry]) -> str:
    return json.dumps({"max_size": 1000, "experiences": entries, "note": "x"}, indent=2)


def as_lines(entries: list[Entry]) -> str:
    return "".join(json.dumps(item) + "\n" for item in entries)


FORMS: dict[str, Callable[[list[Entry]], str]] = {"list": as_list, "flat": as_flat_list, "dict": as_object, "jsonl": as_lines}


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db") as opened:
        yield opened


@pytest.fixture
def ingestor(ledger: Ledger) -> Ingestor:
    return Ingestor(ledger, Screen(ScreenLimits()))


@pytest.fixture
def real_data() -> Path:
    if not SHARED.is_dir():
        pytest.skip(f"the folder of real data is not at {SHARED}")
    return SHARED
