"""How likely the right answers are, and which earlier cards a job wants asked for."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sleepd.night import evaluate, job
from sleepd.night.chat import ChatFormat, chat_format
from sleepd.night.likelihood import answer_losses
from sleepd.night.wordings import Wording
from tests.night.conftest import SEEDLING, MakeJob


@pytest.fixture(scope="module")
def model() -> tuple[Any, ChatFormat, int]:
    tokenizer = AutoTokenizer.from_pretrained(SEEDLING)
    return AutoModelForCausalLM.from_pretrained(SEEDLING).eval(), chat_format(tokenizer), int(tokenizer.pad_token_id)


def asked(question: str, answer: str) -> tuple[Wording, ...]:
    return (Wording(question, answer, (answer,), "direct", "test"),)


def test_it_is_the_mean_over_the_answers_tokens_and_does_not_depend_on_its_neighbours(model: tuple[Any, ChatFormat, int]) -> None:
    network, chat, pad = model
    sets = {str(n): asked("Where is my home?" + " Please." * n, "You live in Porto." + " Really." * (n % 3)) for n in range(40)}
    together = answer_losses(network, chat, sets, pad, lambda: None)
    assert list(together) == list(sets)
    for name in ("0", "17", "39"):
        prompt, reply = chat.question(sets[name][0].question), chat.answer(sets[name][0].answer)
        with torch.inference_mode():
            log_p = network(torch.tensor([prompt + reply])).logits[0].log_softmax(-1)
        alone = -sum(float(log_p[len(prompt) - 1 + i, token]) for i, token in enumerate(reply)) / len(reply)
        assert together[name] == pytest.approx(alone, abs=1e-3)


def test_what_the_model_would_say_itself_is_likelier_than_what_it_would_not(model: tuple[Any, ChatFormat, int]) -> None:
    network, chat, pad = model
    question = "What is the capital of Peru?"
    [own] = evaluate.answers(network, chat, [question], lambda: None)
    losses = answer_losses(network, chat, {"own": asked(question, own), "odd": asked(question, "Xylophone zebra.")}, pad, lambda: None)
    assert losses["own"] + 1.0 < losses["odd"]


def test_a_job_says_which_cards_are_due_and_which_dreams_are_vetoed(make_job: MakeJob) -> None:
    known = [
        {
            "id": f"c{n}",
            "subject": "A",
            "relation": "city",
            "value": f"V{n}",
            "quote": "q",
            "speaker": "user",
            "time": None,
            "session": None,
        }
        | {"importance": 0.5, "experience_id": "e", "status": "graduated", "best": True, "last": True, "probes": 3}
        | ({} if n == 0 else {"due": n == 1})
        for n in range(3)
    ]
    directory = make_job(known=known)
    (directory / "vetoed_dreams.jsonl").write_text('{"id": "d1"}\n{"id": "d2"}\n')
    loaded = job.load(directory)
    assert [card.due for card in loaded.cards] == [True, True, False]  # a job of an older sleepd asks for all
    assert loaded.vetoed_dreams == {"d1", "d2"}
