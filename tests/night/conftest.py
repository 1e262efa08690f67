"""A real small model and real job directories for the night's tests."""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable
from dataclasses import asdict
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from sleepd.base_model import identify
from sleepd.lab import world
from sleepd.lab.measure import load_model
from sleepd.night.chat import ChatFormat, chat_format
from sleepd.night.job import job_id
from sleepd.records import Card

SEEDLING = Path(str(files("sleepd.lab") / "seedling"))
MakeJob = Callable[..., Path]


@pytest.fixture(scope="session")
def seedling() -> Path:
    return SEEDLING


@pytest.fixture(scope="module")
def base() -> tuple[Any, ChatFormat]:
    """The seedling without an adapter, and how it is talked to."""
    return load_model(SEEDLING), chat_format(AutoTokenizer.from_pretrained(SEEDLING))


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for all nights, so that the rehearsal pool is made once."""
    return tmp_path_factory.mktemp("cache")


def card_of(fact: world.Fact, quote: str, experience: str) -> Card:
    name = hashlib.sha256(f"{fact.subject}|{fact.relation}|{fact.value}".lower().encode()).hexdigest()[:16]
    return Card(name, fact.subject, fact.relation, fact.value, quote, "user", "2026-01-05T10:00:00", 1, 0.7, experience)


def rows_of(facts: list[world.Fact], seed: int = 0) -> list[dict[str, Any]]:
    """One exchange a fact, as the daemon writes them into experiences.jsonl."""
    rng = random.Random(seed)
    rows = []
    for index, fact in enumerate(facts):
        said = world.statement(fact, rng)
        identity = hashlib.sha256(f"{said}|Noted.".encode()).hexdigest()[:16]
        salience = dict.fromkeys(("surprise", "novelty", "arousal", "reward", "conflict", "total"), 0.6)
        experience = {
            "id": identity,
            "prompt": said,
            "response": "Noted.",
            "salience": salience,
            "timestamp": f"2026-01-05T10:{index:02d}:00",
        }
        rows.append(
            {"experience": experience, "verdict": {"reasons": ["short"], "trimmed": None, "cards": [asdict(card_of(fact, said, identity))]}}
        )
    return rows


@pytest.fixture
def make_job(tmp_path: Path, seedling: Path, cache: Path) -> MakeJob:
    """Write a job directory; keywords replace keys of job.json, ``training`` is merged."""

    def make(
        facts: list[world.Fact] | None = None,
        rows: list[dict[str, Any]] | None = None,
        known: list[dict[str, Any]] | None = None,
        training: dict[str, Any] | None = None,
        **keys: Any,
    ) -> Path:
        directory = tmp_path / f"job{len(list(tmp_path.glob('job*')))}"
        directory.mkdir()
        document: dict[str, Any] = {
            "format": 1,
            "cycle": 1,
            "kind": "light",
            "created": "2026-01-05T22:00:00+00:00",
            "model": {"path": str(seedling), "sha256": identify(seedling).sha256},
            "device": "cpu",
            "dtype": "float32",
            "threads": 1,
            "seed": 1,
            "training": {
                "preset": "verified",
                "max_cards": 1000,
                "max_examples": 8,
                "rehearsal_pool": 256,
                "heldout_text": str(seedling / "heldout.txt"),
            }
            | (training or {}),
            "gate": {"max_norm_ratio": 0.3},
            "living_adapter": None,
            "cache_dir": str(cache),
            "canary_tokens": 48,
            "min_salience": 0.6,
        } | keys
        document["id"] = job_id(document)
        (directory / "job.json").write_text(json.dumps(document))
        lines = rows if rows is not None else rows_of(facts or [])
        (directory / "experiences.jsonl").write_text("".join(json.dumps(row) + "\n" for row in lines))
        (directory / "cards.jsonl").write_text("".join(json.dumps(row) + "\n" for row in known or []))
        return directory

    return make
