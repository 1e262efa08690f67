"""What the ledger's tests share: a ledger on a real file, and experiences to put into it."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sleepd.ledger import Ledger
from sleepd.records import Card, Experience, Salience, ScreenVerdict

NOW = datetime(2026, 1, 18, 17, 38, 31, 944333, tzinfo=UTC)


def experience(number: int, *, total: float = 0.7, prompt: str | None = None, session: int | None = None, **more: object) -> Experience:
    salience = Salience(0.5, 0.6, 0.7, 0.8, 0.9, total)
    prompt = f"prompt {number}" if prompt is None else prompt
    key = hashlib.sha256(f"{number}".encode()).hexdigest()[:16]
    return Experience(key, prompt, f"response {number}", salience, session, **more)  # type: ignore[arg-type]


def card(number: int, **more: object) -> Card:
    values: dict[str, object] = {
        "id": f"card{number:012d}",
        "subject": "Ada",
        "relation": "city",
        "value": f"City {number}",
        "quote": f"Ada lives in City {number}.",
        "speaker": "user",
        "time": None,
        "session": 3,
        "importance": 0.5,
        "experience_id": "e",
    }
    return Card(**{**values, **more})  # type: ignore[arg-type]


def accepted(e: Experience, *cards: Card) -> ScreenVerdict:
    return ScreenVerdict(e.id, (), cards)


def refused(e: Experience, *reasons: str) -> ScreenVerdict:
    return ScreenVerdict(e.id, reasons)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ledger.db"


@pytest.fixture
def ledger(path: Path) -> Iterator[Ledger]:
    with Ledger.open(path) as opened:
        yield opened
