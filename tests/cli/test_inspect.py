"""``inspect``: what a buffer would give, and that looking changes nothing."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Said
from tests.cli.test_with_daemon import entry

SHARED = Path(__file__).resolve().parents[2] / "../shared/data/buffers/sprout-2026-02-12.json"
KEYS = {
    "path", "form", "entries", "usable", "examples", "with_cards", "cards", "rejected", "salience", "entries_rejected", "errors",
}  # fmt: skip


def inspect(say: Callable[..., Said], file: Path) -> dict[str, Any]:
    said = say("inspect", str(file), "--json")
    assert said.code == 0, said.err
    document: dict[str, Any] = json.loads(said.out)
    assert document.keys() == KEYS
    return document


def test_each_entry_is_counted_once_by_what_it_is_good_for(say: Callable[..., Said], tmp_path: Path) -> None:
    dull = {**entry(2), "salience": dict.fromkeys(entry(2)["salience"], 0.1)}
    file = tmp_path / "buffer.json"
    file.write_text(json.dumps([entry(0), entry(1), dull, entry(1), "not an entry"]))
    document = inspect(say, file)
    assert (document["form"], document["entries"]) == ("list", 5)
    assert (document["usable"], document["examples"], document["with_cards"]) == (4, 2, 4)
    assert document["rejected"]["low_salience"] == document["rejected"]["duplicate"] == 1
    assert [row["id"] for row in document["entries_rejected"]] == [dull["id"], entry(1)["id"]]
    assert [row["entry"] for row in document["errors"]] == [4]
    assert document["salience"] == {"min": 0.1, "median": 0.7, "max": 0.7}


def test_an_empty_list_has_no_salience(say: Callable[..., Said], tmp_path: Path) -> None:
    file = tmp_path / "buffer.json"
    file.write_text("[]")
    document = inspect(say, file)
    assert document["entries"] == 0 and document["salience"] == {"min": None, "median": None, "max": None}
    assert say("inspect", str(file)).code == 0


def test_looking_touches_no_state(say: Callable[..., Said], tmp_path: Path) -> None:
    file = tmp_path / "buffer.json"
    file.write_text(json.dumps([entry(0)]))
    before = file.stat()
    assert "1 as examples, 1 with facts" in say("inspect", str(file)).out
    assert file.stat() == before
    assert sorted(path.name for path in tmp_path.iterdir()) == ["buffer.json", "sleepd.toml"]


@pytest.mark.parametrize(
    ("content", "words"), [(b'{"experiences": [', "buffer.json"), (b"no json at all", "buffer.json"), (b"\xff\xfe\x00", "buffer.json")]
)
def test_a_file_that_is_no_buffer_is_one_error(say: Callable[..., Said], tmp_path: Path, content: bytes, words: str) -> None:
    file = tmp_path / "buffer.json"
    file.write_bytes(content)
    said = say("inspect", str(file))
    assert said.code == 1 and said.out == ""
    assert words in said.err and "remedy: " in said.err


def test_a_missing_file_is_exit_status_4(say: Callable[..., Said], tmp_path: Path) -> None:
    assert say("inspect", str(tmp_path / "none.json")).code == 4


@pytest.mark.skipif(not SHARED.exists(), reason=f"the recorded buffer is not beside this checkout: {SHARED}")
def test_a_recorded_buffer_is_read_whole_and_its_collapse_is_seen(say: Callable[..., Said]) -> None:
    document = inspect(say, SHARED)
    assert document["entries"] == 333
    collapsed = [row for row in document["entries_rejected"] if any(reason.startswith("collapsed") for reason in row["reasons"])]
    assert len(collapsed) == 6
