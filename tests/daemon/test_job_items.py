"""A job directory brings its own copy of the fixed items, so that it is complete in itself."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from sleepd.config.schema import Config
from sleepd.daemon import jobs
from sleepd.errors import ConfigError
from sleepd.fixed_items import read, source
from sleepd.ledger import Ledger
from sleepd.records import BaseModel


def write(folder: Path, **training: object) -> Path:
    config = Config.model_validate({"training": training})
    order = jobs.JobOrder(
        cycle=1,
        kind="light",
        created=datetime(2026, 1, 5, 22, tzinfo=UTC),
        base=BaseModel(str(folder / "model"), "b" * 64, "Any", 1),
        living_adapter=None,
        cache_dir=folder / "cache",
        training=config.training.model_dump(mode="json"),
        gate=config.gate.model_dump(mode="json"),
        min_salience=0.6,
    )
    with Ledger.open(folder / "ledger.db") as ledger:
        return jobs.write(folder / "jobs", order, ledger)


def test_a_job_holds_the_bundled_items_and_their_hashes(tmp_path: Path) -> None:
    job = write(tmp_path)
    hashes = json.loads((job / "job.json").read_text())["files"]
    assert read(job / "identity.jsonl", "identity") == read(source("", "identity"), "identity")
    assert read(job / "general.jsonl", "general") == read(source("", "general"), "general")
    assert hashes["general.jsonl"] == hashlib.sha256((job / "general.jsonl").read_bytes()).hexdigest()


def test_a_job_holds_the_configured_items_as_they_were_when_it_was_written(tmp_path: Path) -> None:
    own = tmp_path / "who.jsonl"
    own.write_text('# mine\n{"question": "Who are you?", "accept": ["{name}"]}\n')
    job = write(tmp_path, identity_file=str(own), identity_names=["Ada"])
    own.write_text("no longer JSON")
    assert [item.question for item in read(job / "identity.jsonl", "identity")] == ["Who are you?"]
    assert json.loads((job / "job.json").read_text())["training"]["identity_names"] == ["Ada"]


def test_no_job_is_written_with_a_file_that_went_bad_since_the_start(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="gone"):
        write(tmp_path, general_file=str(tmp_path / "gone.jsonl"))
    assert not (tmp_path / "jobs" / "cycle_001").exists()
    assert (write(tmp_path) / "job.json").exists()
