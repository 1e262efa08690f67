"""The training set that programs build themselves, on the seedling's own tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoTokenizer

from sleepd import RaisingTrainingDataBuilder, create_training_dataset_from_buffer
from sleepd.errors import BadDataError, ConfigError, ModelError
from tests.api.conftest import MakeBuffer, entry


@pytest.fixture(scope="module")
def tokenizer(seedling: Path) -> Any:
    return AutoTokenizer.from_pretrained(str(seedling))


@pytest.fixture
def builder(make_buffer: MakeBuffer, tokenizer: Any) -> RaisingTrainingDataBuilder:
    return RaisingTrainingDataBuilder(make_buffer([entry(0, 0.8), entry(1, 0.4), entry(2, 0.64), entry(3, 0.9)]), tokenizer)


def test_the_experiences_of_the_buffer_are_there_as_dicts(builder: RaisingTrainingDataBuilder) -> None:
    assert [row["id"] for row in builder.experiences] == [f"experience-{n}" for n in range(4)]


def test_an_example_is_chatml_by_the_model_s_own_template(builder: RaisingTrainingDataBuilder, tokenizer: Any) -> None:
    given = entry(7, 0.64)
    example = builder.build_example(given)
    messages = [{"role": "user", "content": given["prompt"]}, {"role": "assistant", "content": given["response"]}]
    whole = tokenizer.apply_chat_template(messages, tokenize=False)
    assert example["text"] == tokenizer.decode(example["input_ids"]) == whole.rstrip("\n")
    assert example["salience"] == 0.64 and example["salience_breakdown"]["novelty"] == 0.64
    assert (example["experience_id"], example["session"], example["phase"]) == (given["id"], given["session"], "relating")
    assert example["input_ids"].dtype == torch.long and example["attention_mask"].tolist() == [1] * len(example["input_ids"])


def test_only_the_reply_and_its_end_of_turn_carry_labels(builder: RaisingTrainingDataBuilder, tokenizer: Any) -> None:
    example = builder.build_example(entry(7))
    labels = example["labels"]
    assert tokenizer.decode(labels[labels != -100]) == entry(7)["response"] + "<|im_end|>"
    assert torch.equal(example["input_ids"][labels != -100], labels[labels != -100])


def test_a_system_prompt_stands_before_the_conversation_unless_it_is_not_wanted(make_buffer: MakeBuffer, tokenizer: Any) -> None:
    builder = RaisingTrainingDataBuilder(make_buffer(1), tokenizer, system_prompt="You are a partner.")
    assert builder.build_example(entry(0))["text"].startswith("<|im_start|>system\nYou are a partner.<|im_end|>")
    assert "partner.<" not in builder.build_example(entry(0), include_system=False)["text"]


def test_an_entry_without_what_it_needs_is_refused_by_name(builder: RaisingTrainingDataBuilder) -> None:
    with pytest.raises(BadDataError, match=r"'x'.*salience"):
        builder.build_example({"id": "x", "prompt": "a", "response": "b"})


def test_a_training_set_holds_what_reaches_the_salience_highest_first(builder: RaisingTrainingDataBuilder) -> None:
    chosen = builder.build_training_set(min_salience=0.6)
    assert [example["experience_id"] for example in chosen] == ["experience-3", "experience-0", "experience-2"]
    assert [example["salience"] for example in builder.build_training_set(0.6, max_examples=2)] == [0.9, 0.8]


def test_statistics_of_a_training_set(builder: RaisingTrainingDataBuilder) -> None:
    chosen = builder.build_training_set(0.6)
    stats = builder.get_stats(chosen)
    assert stats["num_examples"] == 3 and stats["avg_salience"] == pytest.approx(0.78)
    assert (stats["min_salience"], stats["max_salience"]) == (0.64, 0.9)
    assert stats["avg_length_tokens"] == pytest.approx(sum(len(e["input_ids"]) for e in chosen) / 3)
    assert stats["session_distribution"] == {1: 2, 2: 1} and stats["salience_breakdown"]["reward"] == pytest.approx(0.78)


def test_an_empty_training_set_has_statistics_too(builder: RaisingTrainingDataBuilder) -> None:
    assert builder.get_stats([]) == {"num_examples": 0, "avg_salience": 0.0, "avg_length_tokens": 0.0}


def test_batches_are_padded_on_the_right_and_padding_is_not_learned(builder: RaisingTrainingDataBuilder) -> None:
    short, long = builder.build_example(entry(0, 0.7, response="Yes.")), builder.build_example(entry(1, 0.8))
    [batch] = builder.prepare_batch([short, long], batch_size=2)
    length = len(short["input_ids"])
    assert batch["input_ids"].shape == batch["labels"].shape == batch["attention_mask"].shape == (2, len(long["input_ids"]))
    assert batch["attention_mask"][0].sum() == length and set(batch["labels"][0, length:].tolist()) == {-100}
    assert batch["salience"].tolist() == pytest.approx([0.7, 0.8])
    assert len(builder.prepare_batch([short, long])) == 2


def test_a_batch_of_nothing_at_a_time_is_refused(builder: RaisingTrainingDataBuilder) -> None:
    with pytest.raises(ConfigError, match="batch_size"):
        builder.prepare_batch([], batch_size=0)


def test_a_saved_training_set_can_be_loaded_without_running_code(builder: RaisingTrainingDataBuilder, tmp_path: Path) -> None:
    chosen = builder.build_training_set(0.6)
    builder.save_training_set(chosen, tmp_path / "sets" / "first.pt")
    loaded = torch.load(tmp_path / "sets" / "first.pt", weights_only=True)
    assert loaded["num_examples"] == 3 and loaded["system_prompt"] is None and loaded["model_name"]
    assert loaded["training_examples"][0]["labels"] == chosen[0]["labels"].tolist()


def test_a_dataset_is_made_from_a_buffer_in_one_call(make_buffer: MakeBuffer, seedling: Path, tmp_path: Path) -> None:
    made = create_training_dataset_from_buffer(make_buffer(4), min_salience=0.5, output_path=tmp_path / "set.pt", model_tokenizer=seedling)
    assert len(made["training_set"]) == made["stats"]["num_examples"] == 4
    assert isinstance(made["builder"], RaisingTrainingDataBuilder) and (tmp_path / "set.pt").is_file()


def test_a_buffer_that_does_not_exist_yet_gives_an_empty_set(tmp_path: Path, tokenizer: Any) -> None:
    assert RaisingTrainingDataBuilder(tmp_path / "later.json", tokenizer).build_training_set() == []


def test_a_directory_without_a_tokenizer_is_named(make_buffer: MakeBuffer, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no tokenizer"):
        RaisingTrainingDataBuilder(make_buffer(1), tmp_path).build_training_set()
