"""The service computes LoRA itself, so it has to say exactly what PEFT would say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

from sleepd.serve.base import load_base
from sleepd.serve.engine import Engine
from sleepd.serve.settings import ServeSettings
from sleepd.serve.values import Message

from .asking import GREEDY, QUESTIONS, ask
from .conftest import ATTENTION, MLP, MakeAdapter, Store


def peft_answers(model_dir: Path, adapter: Path, dtype: torch.dtype = torch.float32) -> list[str]:
    tokenizer = AutoTokenizer.from_pretrained(model_dir)
    model = PeftModel.from_pretrained(AutoModelForCausalLM.from_pretrained(model_dir, dtype=dtype), adapter).eval()
    answers = []
    for question in QUESTIONS:
        text = tokenizer.apply_chat_template([{"role": "user", "content": question}], tokenize=False, add_generation_prompt=True)
        ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")
        made = model.generate(**ids, max_new_tokens=GREEDY.max_tokens, do_sample=False)
        answers.append(tokenizer.decode(made[0, ids["input_ids"].shape[1] :], skip_special_tokens=True))
    return answers


@pytest.mark.parametrize(
    ("targets", "options"),
    [
        (MLP, {}),
        (ATTENTION, {}),
        ((*MLP, *ATTENTION), {"use_rslora": True}),
        (MLP, {"rank_pattern": {"gate_proj": 2}, "alpha_pattern": {r"layers\.0\.mlp\.up_proj": 3}}),
    ],
    ids=["mlp", "attention", "all-rslora", "patterns"],
)
def test_answers_are_those_of_peft(
    targets: tuple[str, ...], options: dict[str, Any], model_dir: Path, store: Store, make_adapter: MakeAdapter, engine: Engine
) -> None:
    without = [ask(engine, question).text for question in QUESTIONS]
    adapter = make_adapter(store.root / "cycle_009", seed=9, targets=targets, **options)
    store.activate("cycle_009")
    engine.reload()
    with_adapter = [ask(engine, question).text for question in QUESTIONS]
    assert with_adapter == peft_answers(model_dir, adapter)
    assert with_adapter != without


def test_scores_in_bfloat16_are_those_of_peft(model_dir: Path, settings: ServeSettings, store: Store) -> None:
    """Compared as numbers: with so few digits two equal computations may rank near ties differently."""
    base = load_base(ServeSettings(**{**vars(settings), "dtype": "bfloat16"}))
    assert base.info.dtype == "bfloat16"
    engine = Engine(base, store.root, 1, 1)
    store.activate("cycle_001")
    engine.reload()
    ids = torch.tensor([engine.encode([Message("user", QUESTIONS[0])])])
    plain = AutoModelForCausalLM.from_pretrained(model_dir, dtype=torch.bfloat16)
    theirs = PeftModel.from_pretrained(plain, store.root / "cycle_001").eval()
    with torch.inference_mode(), engine._switch.using(engine._generation.layers):
        assert torch.equal(base.model(ids).logits, theirs(ids).logits)
