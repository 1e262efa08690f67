"""Buffers in three forms, and everything that can be wrong with one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleepd.errors import BufferError, NotFoundError, TornBufferError
from sleepd.experience.reader import read_buffer
from tests.experience.conftest import FORMS, Entry, as_lines, as_list, entry, entry_id, many


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "buffer.json"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@pytest.mark.parametrize("form", FORMS)
def test_the_same_entries_are_read_from_every_form(tmp_path: Path, form: str) -> None:
    entries = many(7)
    view = read_buffer(written(tmp_path, FORMS[form](entries)))
    assert view.form == ("list" if form == "flat" else form)
    assert [e.id for e in view.experiences] == [e["id"] for e in entries]
    assert [e.response for e in view.experiences] == [e["response"] for e in entries]
    assert not view.errors


@pytest.mark.parametrize("form", FORMS)
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, form: str) -> None:
    view = read_buffer(written(tmp_path, b"\xef\xbb\xbf" + FORMS[form](many(2)).encode()))
    assert len(view.experiences) == 2


@pytest.mark.parametrize(("content", "form"), [("[]", "list"), ('{"experiences": [], "max_size": 1000}', "dict"), (" \n[ ]\n", "list")])
def test_a_buffer_without_entries_is_a_buffer(tmp_path: Path, content: str, form: str) -> None:
    view = read_buffer(written(tmp_path, content))
    assert (view.form, view.experiences, view.errors) == (form, (), ())


@pytest.mark.parametrize("content", ["", "   \n\n", "\ufeff"])
def test_an_empty_file_is_a_writer_at_work(tmp_path: Path, content: str) -> None:
    with pytest.raises(TornBufferError, match="is empty"):
        read_buffer(written(tmp_path, content))


@pytest.mark.parametrize("form", ["list", "flat", "dict"])
def test_every_cut_through_a_document_is_torn(tmp_path: Path, form: str) -> None:
    content = FORMS[form](many(2))
    for end in range(1, len(content) - 1, 7):
        with pytest.raises(TornBufferError):
            read_buffer(written(tmp_path, content[:end]))


def test_a_cut_last_line_is_told_and_the_others_are_read(tmp_path: Path) -> None:
    path = written(tmp_path, as_lines(many(3))[:-20])
    view = read_buffer(path)
    assert len(view.experiences) == 2
    assert [e.entry for e in view.errors] == [2]
    assert "middle of a line" in view.errors[0].reason


def test_a_document_followed_by_the_rest_of_an_older_one_is_torn(tmp_path: Path) -> None:
    with pytest.raises(TornBufferError, match="follows the end"):
        read_buffer(written(tmp_path, as_list(many(1)) + ' "old"}]'))


@pytest.mark.parametrize("content", ["hello", "42", '"text"', "null", "<html></html>", "prompt,response\n1,2\n"])
def test_what_is_not_json_is_named_with_its_beginning(tmp_path: Path, content: str) -> None:
    with pytest.raises(BufferError, match="is not JSON: it begins with") as raised:
        read_buffer(written(tmp_path, content))
    assert not isinstance(raised.value, TornBufferError)
    assert "JSON list" in raised.value.remedy


@pytest.mark.parametrize(("content", "named"), [('{"a": 1}', "has: a"), ("{}", "has: nothing"), ('{"experiences": 5}', "is not a list")])
def test_an_object_of_another_kind_is_refused(tmp_path: Path, content: str, named: str) -> None:
    with pytest.raises(BufferError, match=named):
        read_buffer(written(tmp_path, content))


@pytest.mark.parametrize("offset", [0, 30_000, 400_000])
def test_bytes_that_are_not_utf8_are_named_by_their_offset(tmp_path: Path, offset: int) -> None:
    text = "[" + json.dumps(entry("p", "x" * 500_000)) + "]"
    raw = bytearray(text.encode())
    at = 40 + offset
    at = raw.index(b"x", at)
    raw[at] = 0xE9
    with pytest.raises(BufferError, match=f"invalid byte at offset {at}") as raised:
        read_buffer(written(tmp_path, bytes(raw)))
    assert "iconv" in raised.value.remedy


def test_utf16_is_named_as_not_utf8(tmp_path: Path) -> None:
    with pytest.raises(BufferError, match="not UTF-8: invalid byte at offset 0"):
        read_buffer(written(tmp_path, as_list(many(1)).encode("utf-16")))


def test_a_file_over_the_limit_is_not_opened(tmp_path: Path) -> None:
    path = written(tmp_path, as_list(many(20)))
    with pytest.raises(BufferError, match="more than the limit") as raised:
        read_buffer(path, max_bytes=1000)
    assert "max_buffer_mb" in raised.value.remedy


def test_a_missing_file_and_a_directory_are_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="there is no buffer"):
        read_buffer(tmp_path / "nothing.json")
    with pytest.raises(BufferError, match="is not a file"):
        read_buffer(tmp_path)


BAD: list[tuple[object, str]] = [
    (5, "is a number, not an object"),
    (None, "is null"),
    (["a"], "is a list"),
    ({"response": "r"}, "has no prompt"),
    ({"prompt": "p"}, "has no response"),
    (entry("p", "r", prompt=None), "prompt is null"),
    (entry("p", "r", response=["r"]), "response is a list"),
    (entry("p", "r", id=7), "id is a number"),
    (entry("p", "r", session="twelve"), "session is a text"),
    (entry("p", "r", session=True), "session is true"),
    (entry("p", "r", session=10**30), "too large"),
    (entry("p", "r", phase=3), "phase is a number"),
    (entry("p", "r", timestamp="yesterday"), '"yesterday" is not ISO 8601'),
    (entry("p", "r", timestamp=12), "timestamp is a number"),
    (entry("p", "r", metadata=[]), "metadata is a list"),
    (entry("p", "r", tool_calls=["x"]), "tool_calls is not a list of objects"),
    (entry("p", "r", salience=0.5), "salience is a number"),
    (entry("p", "r", salience={"total": "high"}), "salience has no surprise"),
    (entry("p", "r", salience={**entry("p", "r")["salience"], "total": "high"}), "salience.total is a text"),
    (entry("p", "r", salience={**entry("p", "r")["salience"], "total": 7}), "not in 0..1"),
    (entry("p", "r", salience={**entry("p", "r")["salience"], "reward": float("nan")}), "not in 0..1"),
    (entry(" ", " "), "are empty"),
]


@pytest.mark.parametrize("form", ["list", "jsonl"])
@pytest.mark.parametrize(("bad", "reason"), BAD)
def test_a_bad_entry_is_told_with_its_reason_and_the_rest_is_kept(tmp_path: Path, form: str, bad: Entry, reason: str) -> None:
    good = many(2)
    view = read_buffer(written(tmp_path, FORMS[form]([good[0], bad, good[1]])))
    assert [e.id for e in view.experiences] == [e["id"] for e in good]
    assert [e.entry for e in view.errors] == [1]
    assert reason in view.errors[0].reason


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_broken_line_is_told_and_the_rest_is_kept(tmp_path: Path, position: int) -> None:
    lines = as_lines(many(3)).splitlines()
    lines[position] = '{"prompt": oops}'
    view = read_buffer(written(tmp_path, "\n".join(lines) + "\n"))
    assert len(view.experiences) == 2
    assert view.errors[0].entry == position
    assert "is not JSON" in view.errors[0].reason


def test_a_line_that_is_not_utf8_is_told_and_the_rest_is_kept(tmp_path: Path) -> None:
    lines = as_lines(many(3)).encode().splitlines()
    lines[1] = b'{"prompt": "caf\xe9", "response": "r"}'
    view = read_buffer(written(tmp_path, b"\n".join(lines) + b"\n"))
    assert len(view.experiences) == 2
    assert f"invalid byte at offset {len(lines[0]) + 1 + 15}" in view.errors[0].reason


def test_a_secret_in_a_bad_entry_is_not_repeated(tmp_path: Path) -> None:
    view = read_buffer(written(tmp_path, as_list([entry("my password is hunter2go", "r", session="x")])))
    assert "hunter2go" not in view.errors[0].excerpt


def test_a_missing_id_is_computed_and_a_missing_salience_is_scored(tmp_path: Path) -> None:
    bare = {"prompt": "How are you?", "response": "We are curious together about what we might notice."}
    (read,) = read_buffer(written(tmp_path, as_list([bare]))).experiences
    assert read.id == entry_id(bare["prompt"], bare["response"])
    assert read.salience.surprise == read.salience.novelty == 0.5
    assert read.salience.reward == pytest.approx(0.7)
    assert (read.session, read.phase, read.timestamp, read.metadata, read.tool_calls) == (None, None, None, {}, ())


@pytest.mark.parametrize(
    ("given_time", "read_time"),
    [("2026-02-01T10:00:00+02:00", "2026-02-01T08:00:00+00:00"), ("2026-02-01T10:00:00Z", "2026-02-01T10:00:00+00:00"), (None, None)],
)
def test_times_become_utc(tmp_path: Path, given_time: str | None, read_time: str | None) -> None:
    (read,) = read_buffer(written(tmp_path, as_list([entry("p", "r", timestamp=given_time)]))).experiences
    assert read.timestamp == read_time


def test_a_naive_time_is_local_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "America/New_York")
    time.tzset()
    try:
        (read,) = read_buffer(written(tmp_path, as_list([entry("p", "r", timestamp="2026-01-15T10:00:00.5")]))).experiences
    finally:
        monkeypatch.undo()
        time.tzset()
    assert read.timestamp == "2026-01-15T15:00:00.500000+00:00"


def test_half_a_surrogate_pair_is_replaced(tmp_path: Path) -> None:
    (read,) = read_buffer(written(tmp_path, '[{"prompt": "hi \\ud83d there", "response": "r"}]')).experiences
    assert read.prompt == "hi ? there"


def test_a_very_long_number_and_very_deep_nesting_do_not_end_the_reader(tmp_path: Path) -> None:
    long_number = read_buffer(written(tmp_path, '[{"prompt": "p", "response": "r", "session": ' + "9" * 5000 + "}]"))
    assert "session is a number" in long_number.errors[0].reason
    with pytest.raises(BufferError, match="nested too deeply"):
        read_buffer(written(tmp_path, "[" * 100_000 + "]" * 100_000))
    deep_line = '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}\n"
    assert len(read_buffer(written(tmp_path, as_lines(many(1)) + deep_line)).errors) == 1


texts = st.text(max_size=60)
entries_of_any_text = st.lists(st.fixed_dictionaries({"prompt": texts.filter(str.strip), "response": texts}), max_size=6)


@settings(max_examples=60, deadline=None)
@given(entries=entries_of_any_text, form=st.sampled_from(sorted(FORMS)), ascii_only=st.booleans())
def test_any_text_is_read_as_it_was_written(
    tmp_path_factory: pytest.TempPathFactory, entries: list[Entry], form: str, ascii_only: bool
) -> None:
    dumped = FORMS[form](entries)
    if not ascii_only and form != "jsonl":
        dumped = json.dumps(json.loads(dumped), ensure_ascii=False)
    path = written(tmp_path_factory.mktemp("any"), dumped)
    if form == "jsonl" and not entries:
        return
    view = read_buffer(path)
    assert [(e.prompt, e.response) for e in view.experiences] == [(e["prompt"], e["response"]) for e in entries]


json_values: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | texts,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["id", "prompt", "response", "salience", "session", "x"]), inner)
    ),
    max_leaves=12,
)


@settings(max_examples=120, deadline=None)
@given(values=st.lists(json_values, max_size=5))
def test_any_values_are_read_or_told(tmp_path_factory: pytest.TempPathFactory, values: list[Any]) -> None:
    view = read_buffer(written(tmp_path_factory.mktemp("any"), json.dumps(values)))
    assert len(view.experiences) + len(view.errors) == len(values)


@settings(max_examples=120, deadline=None)
@given(content=st.binary(max_size=200))
def test_any_bytes_give_a_view_or_a_buffer_error(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    try:
        read_buffer(written(tmp_path_factory.mktemp("any"), content))
    except BufferError as error:
        assert error.remedy


def test_real_buffers_are_read_whole(real_data: Path) -> None:
    counts = {path.name: len(read_buffer(path).experiences) for path in (real_data / "buffers").iterdir()}
    assert counts == {"dict-form.json": 0, "nomad.json": 10, "sprout-2026-02-01.json": 180, "sprout-2026-02-12.json": 333}
