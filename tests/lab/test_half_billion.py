"""The night on large vocabularies: what it computes at once is bounded, and a base that never ends a turn has its night too."""

from __future__ import annotations

import copy
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner
from transformers import AutoTokenizer, Qwen2Config, Qwen2ForCausalLM

from sleepd.lab.cli import lab
from sleepd.lab.half_billion import SHAPE, Figures, make_model, measure
from sleepd.night import generate, lora, positions, rehearsal
from sleepd.night.chat import ChatFormat, chat_format
from sleepd.night.fit import Fit, Material
from sleepd.night.losses import hidden_states, kl_to_base, logits_at
from sleepd.night.pool import load_or_build
from sleepd.night.presets import settings
from sleepd.night.progress import Reporter
from sleepd.night.rehearsal import Rehearsed
from tests.night.conftest import SEEDLING

TINY = {**SHAPE, "vocab_size": 3000, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 1}
TINY |= {"num_attention_heads": 2, "num_key_value_heads": 1}
WIDE = {**TINY, "vocab_size": SHAPE["vocab_size"], "hidden_size": 8}


def pause() -> None:
    """Nobody asks these to stop."""


@pytest.fixture(scope="module")
def wide() -> Any:
    """A model of hardly any layers and the vocabulary of a real one."""
    torch.manual_seed(3)
    return Qwen2ForCausalLM(Qwen2Config(**WIDE, eos_token_id=2, pad_token_id=0)).eval().requires_grad_(False)


@pytest.fixture(scope="module")
def chat() -> ChatFormat:
    return chat_format(AutoTokenizer.from_pretrained(SEEDLING))


@contextmanager
def watched(model: Any) -> Iterator[list[int]]:
    """How many numbers the output layer gave at each of its calls."""
    sizes: list[int] = []
    handle = model.get_output_embeddings().register_forward_hook(lambda _module, _inputs, output: sizes.append(output.numel()))
    try:
        yield sizes
    finally:
        handle.remove()


def rehearsed(count: int, tokens: int, vocabulary: int) -> list[Rehearsed]:
    generator = torch.Generator().manual_seed(5)
    made = []
    for index in range(count):
        ids = tuple(torch.randint(3, 2000, (tokens + 4,), generator=generator).tolist())
        top_ids = torch.randint(0, vocabulary, (tokens, 8), generator=generator)
        made.append(Rehearsed(rehearsal.Item(f"r:{index}", ids, 4), "p", "a", top_ids, torch.full((tokens, 8), -4.0)))
    return made


def test_the_shape_is_that_of_half_a_billion_weights() -> None:
    with torch.device("meta"):
        model = Qwen2ForCausalLM(Qwen2Config(**SHAPE))
    assert sum(p.numel() for p in model.parameters()) == 494_032_768


def test_answers_are_generated_in_batches_that_fit_the_vocabulary(wide: Any, chat: ChatFormat) -> None:
    prompts = [chat.question("Tell me a joke.")] * 150
    with watched(wide) as sizes:
        made = generate.generate(wide, prompts, chat.end_of_turn, 2, batch_size=150)
    assert len(made) == 150 and 0 < max(sizes) <= generate.MOST_LOGITS


def test_long_prompts_are_read_in_batches_that_fit_the_widest_layer() -> None:
    config = Qwen2Config(**SHAPE)
    rows, tokens = generate.room(config, 64)
    assert rows == 64 and tokens * SHAPE["intermediate_size"] <= generate.MOST_ACTIVATIONS
    lengths = sorted([700] * 30 + [9] * 100)
    cut = generate.batches(list(range(130)), lengths, rows, tokens)
    assert [index for batch in cut for index in batch] == list(range(130))
    assert all(len(batch) <= rows and len(batch) * max(lengths[i] for i in batch) <= tokens for batch in cut)


def test_a_prompt_that_is_too_long_for_any_batch_is_read_alone() -> None:
    assert generate.batches([0, 1, 2], [5, 50, 60], 8, 20) == [[0], [1], [2]]


def test_the_small_model_s_batches_are_what_they_were() -> None:
    config = Qwen2Config.from_pretrained(SEEDLING)
    rows, tokens = generate.room(config, 256)
    assert rows == 256 and tokens >= 64 * config.max_position_embeddings


def test_measuring_never_holds_more_logits_than_a_part(wide: Any, chat: ChatFormat) -> None:
    items = rehearsed(32, 10, wide.config.vocab_size)
    with watched(wide) as sizes:
        rehearsal.divergences(wide, items, 0, pause)
        rehearsal.answered(wide, chat, [f"What is {n} plus 1?" for n in range(70)], 4, pause=pause)
    assert len(sizes) > 2 and max(sizes) <= positions.MOST_LOGITS


def test_parts_give_the_divergences_of_the_whole(wide: Any) -> None:
    items = rehearsed(32, 10, wide.config.vocab_size)
    batch, top_ids, top_log_p = rehearsal.collate_rehearsed(items, 0)
    assert len(batch.rows) > positions.at_once(wide)
    with torch.inference_mode():
        whole = kl_to_base(logits_at(wide, hidden_states(wide, batch.ids, batch.mask), batch.rows, batch.columns), top_ids, top_log_p)
    assert rehearsal.divergences(wide, items, 0, pause) == pytest.approx(whole.view(32, 10).mean(1).tolist(), abs=1e-5)


def test_training_never_holds_more_logits_than_a_part(wide: Any, tmp_path: Path) -> None:
    fit = replace(settings({"preset": "verified"}, {"max_norm_ratio": 1.0}, 494_032_768), min_steps=4, epochs=1, mixed_precision=False)
    worn = lora.attach(copy.deepcopy(wide), fit, None, 1)
    kept = tuple(rehearsed(64, 12, wide.config.vocab_size))
    taught = tuple(r.item for r in kept[:8])
    training = Fit(worn, Material(taught, taught, (), kept, kept), fit, 1, 0, Reporter(io.StringIO()), tmp_path / "checkpoint")
    with watched(worn.get_base_model()) as sizes:
        training.run()
    assert training.state.strayed and training.state.fading, "it was looked for what needs more"
    assert len(sizes) > 3 * training.steps and max(sizes) <= positions.MOST_LOGITS


def test_parts_give_the_gradient_of_the_whole(wide: Any) -> None:
    count, vocabulary = 2 * positions.at_once(wide) + 5, wide.config.vocab_size
    kept = rehearsed(count, 1, vocabulary)
    top_ids, top_log_p = torch.cat([r.top_ids for r in kept]).long(), torch.cat([r.top_log_p for r in kept])
    shares = torch.rand(count, generator=torch.Generator().manual_seed(6))
    states = torch.randn(count + 3, wide.config.hidden_size, generator=torch.Generator().manual_seed(7))
    where = torch.randperm(count + 3, generator=torch.Generator().manual_seed(8))[:count]
    in_parts, whole = states.clone().requires_grad_(), states.clone().requires_grad_()
    value = positions.learned(wide, in_parts, where, rehearsal.to_base(kept), shares)
    loss = (kl_to_base(wide.lm_head(whole[where]), top_ids, top_log_p) * shares).sum()
    loss.backward()
    assert value == pytest.approx(float(loss.detach()), rel=1e-5)
    assert torch.allclose(in_parts.grad, whole.grad, atol=1e-7) and float(whole.grad.abs().max()) > 1e-3


def test_a_base_that_hardly_ever_ends_a_turn_is_not_asked_for_ever_and_gets_a_pool(chat: ChatFormat, tmp_path: Path) -> None:
    torch.manual_seed(4)
    model = Qwen2ForCausalLM(Qwen2Config(**TINY, eos_token_id=2, pad_token_id=0)).eval().requires_grad_(False)
    with watched(model) as sizes:
        assert len(rehearsal.self_made_prompts(model, chat, 100_000, 1, pause)) < 16
    assert len(sizes) <= 4 * rehearsal.PROMPT_TOKENS
    pool = load_or_build(model, chat, tmp_path, "f" * 64, 200, 512)
    again = load_or_build(model, chat, tmp_path, "f" * 64, 200, 512)
    prompts = {r.prompt for r in (*pool.train, *pool.held_out)}
    assert pool.held_out and set(rehearsal.openings()) <= prompts
    assert [r.item.ids for r in pool.train] == [r.item.ids for r in again.train]
    assert rehearsal.divergences(model, pool.held_out, 0, pause) == pytest.approx([0.0] * len(pool.held_out), abs=1e-4)


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Figures]:
    """One real child on a random model that says nothing anybody could read."""
    folder = tmp_path_factory.mktemp("night")
    return folder, measure(folder, "cpu", 1, 1, TINY)


def test_a_random_model_has_a_whole_night_and_its_figures(night: tuple[Path, Figures]) -> None:
    folder, figures = night
    assert figures.device == "cpu" and figures.steps > 0 and figures.trained_tokens > 0 and figures.tokens_per_second > 0
    assert figures.seconds >= sum(figures.stage_seconds.values()) and set(figures.stage_seconds) == {
        "curate",
        "dataset",
        "train",
        "evaluate",
    }
    assert 100 < max(figures.stage_peak_mb.values()) <= figures.peak_mb < figures.limit_mb and figures.within_limit
    assert figures.device_peak_mb is None and json.loads(json.dumps(asdict(figures)))
    result = json.loads((folder / "job/result/result.json").read_text())
    assert result["evaluation"]["rehearsal"] and result["evaluation"]["text"]["base"]
    assert figures.trainable_parameters == result["adapter"]["trainable_parameters"]


def test_the_made_model_holds_what_its_shape_says(tmp_path: Path) -> None:
    count = make_model(tmp_path, TINY)
    model = Qwen2ForCausalLM.from_pretrained(tmp_path)
    assert count == sum(p.numel() for p in model.parameters()) and model.dtype == torch.bfloat16
    assert chat_format(AutoTokenizer.from_pretrained(tmp_path)).end_of_turn == model.config.eos_token_id


def test_the_laboratory_offers_it() -> None:
    shown = CliRunner().invoke(lab, ["half-billion", "--help"])
    assert shown.exit_code == 0 and {"--device", "--facts", "--epochs", "--out", "--json"} <= set(shown.output.split())
