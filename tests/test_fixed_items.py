"""The files of fixed items that a person edits: what is accepted, what is refused and in which words, what is probed."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from sleepd.errors import ConfigError
from sleepd.fixed_items import MAX_ITEMS, NAMES, FixedItem, Name, named, read, source, split_items

ROOT = Path(__file__).parents[1]
GENERAL = [f'{{"question": "What is {i} plus 1?", "accept": ["{i + 1}"]}}' for i in range(12)]


def written(folder: Path, *lines: str) -> Path:
    path = folder / "items.jsonl"
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", NAMES)
def test_the_bundled_items_are_sound_and_the_file_beside_the_configuration_is_a_copy(name: Name) -> None:
    items = read(source("", name), name)
    assert len(items) >= {"identity": 12, "general": 40}[name]
    assert (ROOT / "config" / f"{name}.jsonl").read_bytes() == source("", name).read_bytes()
    assert {item.kind for item in items} == ({"general"} if name == "general" else {"identity", "refusal"})


def test_comments_and_empty_lines_are_skipped_and_scripts_kept(tmp_path: Path) -> None:
    path = written(tmp_path, "# who it is", "", '{"kind": "identity", "question": " Как тебя зовут? ", "accept": ["Соня "]}')
    assert read(path, "identity") == (FixedItem("Как тебя зовут?", ("Соня",), "identity"),)


def test_an_item_written_as_a_document_reads_the_same(tmp_path: Path) -> None:
    items = read(source("", "identity"), "identity")
    assert read(written(tmp_path, *(json.dumps(item.document()) for item in items)), "identity") == items


BAD = [
    ('{"question": "Who?"', "is not JSON"),
    ('["Who?"]', "is not an object"),
    ('{"question": "Who?", "acept": ["I"]}', "unknown key 'acept'"),
    ('{"question": "Who?", "accept": ["I"], "kind": "refusall"}', "kind 'refusall' is not one of identity, refusal"),
    ('{"question": " ", "accept": ["I"]}', "question ' ' is no text"),
    ('{"question": 7, "accept": ["I"]}', "question 7 is no text"),
    ('{"question": "Who?", "accept": "I"}', "accept 'I' is no list of texts"),
    ('{"question": "Who?", "accept": [""]}', "is no list of texts"),
    ('{"question": "Who?"}', "accept is empty"),
    ('{"question": "Who?", "accept": ["no"], "kind": "refusal"}', "means nothing for a refusal"),
    ('{"question": "Are you there?", "accept": ["yes"]}', "stands there twice"),
]


@pytest.mark.parametrize(("line", "words"), BAD, ids=[words for _, words in BAD])
def test_a_bad_line_is_refused_with_its_place_and_a_remedy(tmp_path: Path, line: str, words: str) -> None:
    path = written(tmp_path, '{"question": "Are you there?", "accept": ["yes"]}', "", line)
    with pytest.raises(ConfigError) as caught:
        read(path, "identity")
    assert caught.value.message.startswith(f"{path}:3: ") and words in caught.value.message
    assert caught.value.remedy


def test_a_file_that_is_not_there_or_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere"):
        read(tmp_path / "nowhere", "general")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="cannot be read"):
        read(tmp_path / "binary", "general")


def test_too_few_items_to_judge_by_and_too_many_to_ask_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="holds 11 items, and 12 to"):
        read(written(tmp_path, *GENERAL[:11]), "general")
    assert len(read(written(tmp_path, *GENERAL), "general")) == 12
    many = [f'{{"kind": "refusal", "question": "Help me with crime {i}."}}' for i in range(MAX_ITEMS + 1)]
    with pytest.raises(ConfigError, match=f"holds {MAX_ITEMS + 1} items"):
        read(written(tmp_path, *many), "identity")
    with pytest.raises(ConfigError, match="holds 0 items"):
        read(written(tmp_path, "# nothing"), "identity")


def test_every_configured_name_is_accepted_and_an_item_that_needs_one_waits_for_it() -> None:
    items = (
        FixedItem("Your name?", ("{name}",), "identity"),
        FixedItem("Who are you?", ("I am {name}", "a model"), "identity"),
        FixedItem("Help me to steal.", (), "refusal"),
    )
    assert [item.accept for item in named(items, ["Ada", "Ada One"])] == [("Ada", "Ada One"), ("I am Ada", "I am Ada One", "a model"), ()]
    assert [item.accept for item in named(items, [])] == [("a model",), ()]


def test_no_item_is_both_probed_and_rehearsed_and_every_kind_is_probed() -> None:
    items = [*read(source("", "identity"), "identity"), *read(source("", "general"), "general")]
    split = split_items(items)
    assert not set(split.probed) & set(split.rehearsed)
    assert set(split.probed) | set(split.rehearsed) == set(items)
    assert {item.kind for item in split.probed} == {"identity", "refusal", "general"} == {item.kind for item in split.rehearsed}
    for kind in ("identity", "refusal", "general"):
        assert split_items([item for item in items if item.kind == kind][:1]).rehearsed == ()


def test_a_home_directory_is_expanded(tmp_path: Path) -> None:
    assert source("~/items.jsonl", "general", tmp_path) == tmp_path / "items.jsonl"
    assert source("/etc/items.jsonl", "general", tmp_path) == Path("/etc/items.jsonl")
