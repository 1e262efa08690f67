"""Which experiences of a buffer may be trained."""

from __future__ import annotations

from pathlib import Path

import pytest

from sleepd.api import material
from sleepd.errors import ConfigError, NotFoundError, TornBufferError
from tests.api.conftest import MakeBuffer, entry

SHARED = Path(__file__).parents[2] / "../shared/data/buffers"


def ids(path: Path, min_salience: float = 0.6) -> list[str]:
    return [row.experience.id for row in material.trainable(material.read(path), min_salience)]


@pytest.mark.parametrize("form", ["list", "dict", "jsonl"])
def test_entries_are_counted_in_every_form_of_a_buffer(make_buffer: MakeBuffer, form: str) -> None:
    assert len(material.read(make_buffer(7, form=form))) == 7


def test_an_empty_dict_form_holds_nothing_although_its_length_is_two(make_buffer: MakeBuffer) -> None:
    assert material.read(make_buffer(0, form="dict")) == []


def test_an_id_counts_once_however_often_it_stands_in_the_buffer(make_buffer: MakeBuffer) -> None:
    assert ids(make_buffer([entry(0), entry(1), entry(0), entry(0)])) == ["experience-0", "experience-1"]


def test_the_highest_salience_comes_first_and_what_is_below_the_threshold_not_at_all(make_buffer: MakeBuffer) -> None:
    buffer = make_buffer([entry(0, 0.61), entry(1, 0.9), entry(2, 0.59), entry(3, 0.75)])
    assert ids(buffer) == ["experience-1", "experience-3", "experience-0"]


def test_short_replies_and_near_duplicates_are_trained_as_the_documents_do(make_buffer: MakeBuffer) -> None:
    alike = [entry(n, response=f"I would say that we should wait for day {n}.") for n in range(3)]
    assert len(ids(make_buffer([entry(3, response="Yes."), *alike]))) == 4


@pytest.mark.parametrize(
    ("reason", "replaced"),
    [
        ("collapsed", {"response": "I am here with you now. " * 12}),
        ("secret", {"prompt": "My password is hunter2!42, please remember it."}),
        ("personal data", {"response": "You can always write to anna.berg@example.org about any of these matters."}),
        ("markup", {"response": "Certainly, here it comes now for you.<|im_end|>\n<|im_start|>user\nThank you very much."}),
        ("tool call", {"response": '{"tool": "search", "arguments": {"query": "weather in the morning"}}'}),
    ],
)
def test_what_is_unsound_by_itself_is_never_trained(make_buffer: MakeBuffer, reason: str, replaced: dict[str, str]) -> None:
    assert ids(make_buffer([entry(0, 0.99, **replaced), entry(1)])) == ["experience-1"]


def test_a_reply_that_was_cut_off_is_trained_up_to_its_last_whole_sentence(make_buffer: MakeBuffer) -> None:
    buffer = make_buffer([entry(0, response="We should begin with the roof of the old house. After that the windows need some")])
    [row] = material.trainable(material.read(buffer), 0.6)
    assert row.verdict.trimmed == "We should begin with the roof of the old house."


def test_one_prompt_never_gets_several_answers(make_buffer: MakeBuffer) -> None:
    buffer = make_buffer([entry(0, 0.7, prompt="Who are you?"), entry(1, 0.9, prompt="Who are you?"), entry(2, 0.8)])
    rows = material.one_reply_a_prompt(material.trainable(material.read(buffer), 0.6))
    assert [row.experience.id for row in rows] == ["experience-1", "experience-2"]


def test_a_prompt_of_every_session_gives_its_untrained_reply_the_turn(make_buffer: MakeBuffer) -> None:
    buffer = make_buffer([entry(0, 0.7, prompt="Who are you?"), entry(1, 0.9, prompt="Who are you?"), entry(2, 0.8)])
    rows = material.trainable(material.read(buffer), 0.6)
    chosen = material.one_reply_a_prompt(rows, trained={"experience-1", "experience-2"})
    assert [row.experience.id for row in chosen] == ["experience-2", "experience-0"]


def test_why_nothing_is_trained_is_told_with_counts(make_buffer: MakeBuffer) -> None:
    buffer = make_buffer([entry(0, 0.2), entry(1, 0.3), entry(2, response="I am here with you now. " * 12)])
    error = material.nothing_to_train(buffer, material.read(buffer), 0.6)
    assert "2 low_salience" in error.message and "1 collapsed" in error.message and str(buffer) in error.message and error.remedy


def test_a_salience_outside_its_range_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"1\.5"):
        material.trainable([], 1.5)


def test_a_buffer_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match="nowhere"):
        material.read(tmp_path / "nowhere.json")


def test_a_buffer_that_stays_torn_is_an_error_after_a_while(make_buffer: MakeBuffer, monkeypatch: pytest.MonkeyPatch) -> None:
    buffer = make_buffer(3)
    buffer.write_bytes(buffer.read_bytes()[:-20])
    monkeypatch.setattr(material, "_TORN_SECONDS", 0.0)
    with pytest.raises(TornBufferError):
        material.read(buffer)


def test_entries_that_are_none_are_left_out_and_told(make_buffer: MakeBuffer, caplog: pytest.LogCaptureFixture) -> None:
    assert ids(make_buffer([entry(0), {"prompt": 5}, entry(1)])) == ["experience-0", "experience-1"]
    assert "1 entries are no experience" in caplog.text


@pytest.mark.skipif(not SHARED.is_dir(), reason="the folder of real buffers is not beside the checkout")
def test_a_real_buffer_gives_its_sound_experiences_and_none_that_collapsed() -> None:
    experiences = material.read(SHARED / "sprout-2026-02-12.json")
    rows = material.trainable(experiences, 0.6)
    assert len(experiences) == 333
    assert 150 < len(rows) < 333
    assert all(row.experience.salience.total >= 0.6 for row in rows)
