from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sleepd.night.chat import chat_format
from sleepd.night.generate import generate
from sleepd.night.progress import StopRequested

QUESTIONS = [
    "Hello!",
    "What is the opposite of hot?",
    "Where does Ada Tekusa live?",
    "Tell me a joke.",
    "What is 3 plus 4?",
    "Who are you?",
    "It is raining again.",
]


def test_batched_answers_are_those_of_the_library_one_by_one(seedling: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(seedling).eval()
    chat = chat_format(AutoTokenizer.from_pretrained(seedling))
    prompts = [chat.question(q) for q in QUESTIONS]
    mine = generate(model, prompts, chat.end_of_turn, 32, batch_size=4)
    for prompt, made in zip(prompts, mine, strict=True):
        settings = {"max_new_tokens": 32, "do_sample": False, "eos_token_id": chat.end_of_turn, "pad_token_id": 0}
        theirs = model.generate(torch.tensor([prompt]), return_dict_in_generate=True, output_scores=True, **settings)
        assert list(made.ids) == theirs.sequences[0, len(prompt) :].tolist()
        assert made.ended == (made.ids[-1] == chat.end_of_turn) and made.entropy >= 0
        assert made.least == pytest.approx(min(float(scores.softmax(-1).max()) for scores in theirs.scores), abs=1e-4)


def test_sampling_is_repeatable_from_its_seed_and_stoppable(seedling: Path) -> None:
    model = AutoModelForCausalLM.from_pretrained(seedling).eval()
    chat = chat_format(AutoTokenizer.from_pretrained(seedling))

    def draw(seed: int) -> list[tuple[int, ...]]:
        made = generate(
            model,
            [chat.question("Tell me a joke.")] * 8,
            chat.end_of_turn,
            24,
            temperature=1.5,
            generator=torch.Generator().manual_seed(seed),
        )
        return [m.ids for m in made]

    assert draw(1) == draw(1) != draw(2)

    def stop() -> None:
        raise StopRequested

    with pytest.raises(StopRequested):
        generate(model, [chat.question("Hello!")], chat.end_of_turn, 4, pause=stop)
