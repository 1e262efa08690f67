"""What a job says of earlier cards and of dreams, also when there are thousands of them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from sleepd.config import Config
from sleepd.daemon import dreams, jobs
from sleepd.ledger import Ledger
from sleepd.ledger.database import stamp
from sleepd.records import BaseModel, Card

NOW = datetime(2026, 6, 1, 3, tzinfo=UTC)


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger.open(tmp_path / "ledger.db") as opened:
        yield opened


def learn(ledger: Ledger, count: int, nights: int, *, forgotten: frozenset[int] = frozenset()) -> None:
    """So many cards, each asked for on so many nights up to yesterday."""
    with ledger.transaction():
        for number in range(count):
            card = Card(
                f"card{number:06d}", f"Person {number}", "city", f"Town {number}", "q", "user", None, 1, 0.5, f"e{number}", "graduated"
            )
            ledger.cards.put(card, NOW)
        rows = [
            (f"card{number:06d}", night, number not in forgotten, stamp(NOW - timedelta(days=nights - night)))
            for number in range(count)
            for night in range(1, nights)
        ]
        ledger.database.run_many("INSERT INTO probes (card_id, cycle, recalled, at) VALUES (?, ?, ?, ?)", rows)


def order(cycle: int, tmp_path: Path) -> jobs.JobOrder:
    config = Config()
    training, gate = config.training.model_dump(mode="json"), config.gate.model_dump(mode="json")
    return jobs.JobOrder(cycle, "light", NOW, BaseModel("/m", "ab" * 32, "Qwen2", 1), None, tmp_path / "cache", training, gate, 0.6)


def lines(job: Path, name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (job / name).read_text().splitlines()]


def test_a_small_ledger_asks_for_every_card(ledger: Ledger, tmp_path: Path) -> None:
    learn(ledger, 40, 5)
    job = jobs.write(tmp_path / "jobs", order(5, tmp_path), ledger)
    assert [row["due"] for row in lines(job, "cards.jsonl")] == [True] * 40


def test_a_large_ledger_asks_for_what_is_due_and_is_written_quickly(ledger: Ledger, tmp_path: Path) -> None:
    lost = frozenset(range(100, 150))
    learn(ledger, 5000, 13, forgotten=lost)
    began = time.process_time()
    job = jobs.write(tmp_path / "jobs", order(13, tmp_path), ledger)
    assert time.process_time() - began < 4.0  # measured at a third of it on one core
    rows = lines(job, "cards.jsonl")
    asked = {row["id"] for row in rows if row["due"]}
    assert len(rows) == 5000
    assert {f"card{number:06d}" for number in lost} <= asked
    assert 500 <= len(asked) <= 560  # the others were recalled yesterday, for the twelfth time
    other = lines(jobs.write(tmp_path / "jobs", order(14, tmp_path), ledger), "cards.jsonl")
    assert {row["id"] for row in other if row["due"]} != asked


def test_vetoed_dreams_travel_with_the_job(ledger: Ledger, tmp_path: Path) -> None:
    result = {
        "dreams": [
            {"id": f"d{n}", "kind": "given", "card_ids": ["a", "b"], "messages": [["user", "Q?"], ["assistant", "A."]]} for n in (1, 2)
        ]
    }
    dreams.remember(ledger, result, 7, NOW)
    dreams.remember(ledger, {}, 8, NOW)  # a night that did not dream
    assert [row["id"] for row in dreams.journal(ledger, 5)["dreams"]] == ["d1", "d2"]
    assert dreams.veto(ledger, "d2", "ann@tty1", NOW)["dream"]["vetoed_by"] == "ann@tty1"
    job = jobs.write(tmp_path / "jobs", order(8, tmp_path), ledger)
    assert lines(job, "vetoed_dreams.jsonl") == [{"id": "d2"}]
    assert "vetoed_dreams.jsonl" in json.loads((job / "job.json").read_text())["files"]
