"""The library that writes a buffer: what it keeps, in which form, and that writers lose nothing to one another."""

from __future__ import annotations

import json
import multiprocessing
import stat
from pathlib import Path
from typing import Any

import pytest

from sleepd.errors import BufferError, StoreError
from sleepd.experience.collector import ExperienceCollector
from sleepd.experience.ingest import Ingestor
from sleepd.experience.reader import read_buffer
from sleepd.ledger import Ledger
from tests.experience.conftest import FORMS, NOW, entry, entry_id, many

TELLING = "I feel curious and notice how our partnership grows together: is the river by the old bridge as important to us as the town?"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "experience_buffer.json"


def read(path: Path) -> list[dict[str, Any]]:
    loaded: list[dict[str, Any]] = json.loads(path.read_text())
    return loaded


def test_a_salient_exchange_is_stored_in_the_writers_format(path: Path) -> None:
    collector = ExperienceCollector(path)
    result = collector.add_exchange("What about us?", TELLING, session_number=22, phase="relating", metadata={"turn": 1})
    assert (result["stored"], result["filtered"], result["experience_id"]) == (True, False, entry_id("What about us?", TELLING))
    (stored,) = read(path)
    assert list(stored) == ["id", "prompt", "response", "salience", "session", "phase", "timestamp", "metadata"]
    assert stored["salience"] == result["salience"]
    assert (stored["id"], stored["session"], stored["phase"], stored["metadata"]) == (result["experience_id"], 22, "relating", {"turn": 1})
    assert [e.id for e in read_buffer(path).experiences] == [stored["id"]]
    assert collector.experiences == [stored]


def test_a_dull_exchange_is_not_stored(path: Path) -> None:
    result = ExperienceCollector(path).add_exchange("Hm.", "Fine.")
    assert (result["stored"], result["filtered"]) == (False, False)
    assert result["salience"]["total"] < 0.5
    assert not path.exists()


def test_the_threshold_is_an_argument(path: Path) -> None:
    assert ExperienceCollector(path, salience_threshold=0.0).add_exchange("Hm.", "Fine.")["stored"]


def test_a_fact_is_kept_however_dull_the_reply_and_however_often_it_was_said(path: Path) -> None:
    collector = ExperienceCollector(path)
    for city in ("Porto", "Oslo", "Rome", "Graz", "Riga", "Cork"):
        assert collector.add_exchange(f"My friend Ada lives in {city}.", "Noted, thank you.")["stored"]
    assert len(read(path)) == 6


def test_a_collapsed_reply_is_filtered_and_said_so(path: Path) -> None:
    collector = ExperienceCollector(path, salience_threshold=0.0)
    result = collector.add_exchange("Why?", "We wonder together what is next? " * 10)
    assert (result["stored"], result["filtered"]) == (False, True)
    assert "distinct-3" in result["filter_reason"]
    for number in range(3):
        assert collector.add_exchange(f"Question {number}?", TELLING)["stored"]
    assert collector.add_exchange("Question 4?", TELLING)["filtered"]


def test_the_same_exchange_is_stored_once(path: Path) -> None:
    for _ in range(2):
        assert ExperienceCollector(path, salience_threshold=0.0).add_exchange("What about us?", TELLING)["stored"]
    assert len(read(path)) == 1


def test_secrets_are_blacked_out_before_anything_is_written(path: Path) -> None:
    collector = ExperienceCollector(path, 0.0)
    collector.add_exchange(
        "My wifi password is hunter2go.",
        "I will keep sk-abcdefghijklmnop1234567890 for you.",
        metadata={"note": "token=abc123def456"},
        tool_calls=[{"name": "login", "arguments": {"header": "Bearer abcdefghijklmnopqrstuv0123"}, "success": True}],
    )
    content = path.read_text()
    assert not any(secret in content for secret in ("hunter2go", "sk-abc", "abc123def456", "abcdefghijklmnopqrstuv"))
    assert read(path)[0]["tool_calls"][0]["name"] == "login"


@pytest.mark.parametrize("form", FORMS)
def test_the_form_and_fields_of_other_writers_are_kept(path: Path, form: str) -> None:
    path.parent.mkdir()
    others = [entry("Caf\u00e9?", "r\U0001f600", unknown={"a": [1]}), *many(3)]
    path.write_text(FORMS[form](others))
    path.chmod(0o604)
    assert ExperienceCollector(path).add_exchange("What about us?", TELLING)["stored"]
    content = path.read_text()
    if form == "jsonl":
        kept = [json.loads(line) for line in content.splitlines()]
    elif form == "dict":
        assert json.loads(content)["max_size"] == 1000
        kept = json.loads(content)["experiences"]
    else:
        kept = json.loads(content)
    assert kept[:-1] == others
    assert kept[-1]["prompt"] == "What about us?"
    assert stat.S_IMODE(path.stat().st_mode) == 0o604


@pytest.mark.parametrize("form", ["list", "flat", "jsonl"])
def test_what_was_in_the_buffer_stays_byte_for_byte(path: Path, form: str, ledger: Ledger, ingestor: Ingestor) -> None:
    path.parent.mkdir()
    path.write_text(FORMS[form](many(3)))
    first = ingestor.ingest(path, NOW).state
    before = path.read_bytes()[: first.offset]
    ExperienceCollector(path).add_exchange("What about us?", TELLING)
    assert path.read_bytes()[: first.offset] == before
    assert ingestor.ingest(path, NOW).added == 1


@pytest.mark.parametrize("content", ["", "  \n", "[]", '{"experiences": []}'])
def test_an_empty_buffer_takes_its_first_entry(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    collector = ExperienceCollector(path)
    assert collector.experiences == [] and collector.get_stats()["total_experiences"] == 0
    assert collector.add_exchange("What about us?", TELLING)["stored"]
    assert len(collector.experiences) == 1


def test_a_line_that_was_cut_short_stays_alone(path: Path) -> None:
    path.parent.mkdir()
    path.write_text(FORMS["jsonl"](many(2)) + '{"prompt": "half')
    ExperienceCollector(path).add_exchange("What about us?", TELLING)
    view = read_buffer(path)
    assert len(view.experiences) == 3 and len(view.errors) == 1


@pytest.mark.parametrize("content", ['[{"prompt": "p"', "no json", '{"a": 1}'])
def test_a_broken_buffer_is_an_error_and_is_left_alone(path: Path, content: str) -> None:
    path.parent.mkdir()
    path.write_text(content)
    with pytest.raises(BufferError):
        ExperienceCollector(path).add_exchange("What about us?", TELLING)
    assert path.read_text() == content


def test_a_buffer_that_breaks_later_is_an_error_and_is_left_alone(path: Path) -> None:
    collector = ExperienceCollector(path)
    collector.add_exchange("What about us?", TELLING)
    path.write_text('[{"prompt": "p"')
    with pytest.raises(BufferError):
        collector.add_exchange("And now?", TELLING + " Again!")
    assert path.read_text() == '[{"prompt": "p"'


def test_a_link_to_a_buffer_stays_a_link(path: Path, tmp_path: Path) -> None:
    path.parent.mkdir()
    real = tmp_path / "real.json"
    real.write_text("[]")
    path.symlink_to(real)
    ExperienceCollector(path).add_exchange("What about us?", TELLING)
    assert path.is_symlink() and len(read(real)) == 1


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises((StoreError, BufferError), match="file"):
        ExperienceCollector(tmp_path / "file" / "buffer.json").add_exchange("What about us?", TELLING)


def test_the_most_salient_come_first(path: Path) -> None:
    path.parent.mkdir()
    totals = (0.65, 0.9, 0.5, 0.75)
    path.write_text(
        FORMS["list"]([{**item, "salience": {**item["salience"], "total": total}} for item, total in zip(many(4), totals, strict=True)])
    )
    collector = ExperienceCollector(path)
    assert [e["salience"]["total"] for e in collector.get_high_salience_experiences()] == [0.9, 0.75]
    assert [e["salience"]["total"] for e in collector.get_high_salience_experiences(0.0, limit=1)] == [0.9]
    assert [e["salience"]["total"] for e in collector.consolidate_for_sleep()] == [0.9, 0.75, 0.65]
    stats = collector.get_stats()
    assert (stats["total_experiences"], stats["high_salience_count"]) == (4, 2)
    assert stats["avg_salience"] == pytest.approx(0.7)
    assert set(stats["dimension_averages"]) == {"surprise", "novelty", "arousal", "reward", "conflict"}
    assert stats["oldest_experience"] == stats["newest_experience"] == "2026-02-01T10:00:00"


def test_collapse_is_seen_over_the_latest_replies(path: Path) -> None:
    collector = ExperienceCollector(path)
    assert collector.get_collapse_status()["collapse_detected"] is False
    for item in many(6):
        collector.add_exchange(item["prompt"], item["response"])
    assert collector.get_collapse_status()["collapse_detected"] is False
    for number in range(20):
        collector.add_exchange(f"Question {number}?", TELLING)
    status = collector.get_collapse_status()
    assert status["collapse_detected"] and status["repetition_ratio"] > 0.5
    assert ExperienceCollector(path).get_collapse_status()["recent_responses"] > 0, "it is known again after a restart"


def _write(path: Path, writer: int, count: int) -> None:
    collector = ExperienceCollector(path, salience_threshold=0.0)
    for item in many(count, seed=100 + writer):
        collector.add_exchange(item["prompt"], item["response"], session_number=writer)


@pytest.mark.parametrize("form", ["list", "jsonl"])
def test_writers_at_once_lose_nothing_and_readers_never_see_half(path: Path, form: str) -> None:
    path.parent.mkdir()
    path.write_text(FORMS[form](many(1)))
    context = multiprocessing.get_context("fork")
    writers = [context.Process(target=_write, args=(path, number, 25)) for number in range(4)]
    for writer in writers:
        writer.start()
    while any(writer.is_alive() for writer in writers):
        if form == "list":
            assert json.loads(path.read_text())
    for writer in writers:
        writer.join(30)
        assert writer.exitcode == 0
    view = read_buffer(path)
    assert not view.errors
    assert len({e.id for e in view.experiences}) == len(view.experiences) == 1 + 4 * 25
