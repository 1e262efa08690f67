"""Questions in other words: what the real seedling makes of them, and which ones may be trained."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sleepd.lab.world import Fact
from sleepd.night import card_forms
from sleepd.night.chat import chat_format
from sleepd.night.paraphrase import accepted, paraphrases
from sleepd.night.wordings import Wording, forward
from sleepd.records import Card
from tests.night.conftest import card_of

ADA = card_of(Fact("Ada Tekusa", "city", "Porto"), "q", "x")
MINE = card_of(Fact("user", "job", "baker"), "q", "x")
KIN = card_of(Fact("user's brother", "pet", "Rex"), "q", "x")
CODE = card_of(Fact("user", "locker number", "17"), "q", "x")


def held_out(card: Card) -> tuple[Wording, ...]:
    return (*card_forms.dev_wordings(card), *card_forms.test_wordings(card))


@pytest.mark.parametrize(
    ("card", "original", "paraphrase"),
    [
        (ADA, "Where does Ada Tekusa live?", "Which town is home to Ada Tekusa?"),
        (ADA, "Does Ada Tekusa live in Porto?", "Is Porto the city that Ada Tekusa lives in?"),
        (MINE, "What do I do for a living?", "Do you remember what my job is?"),
        (MINE, "What is my job?", "Could you tell me how I earn my living?"),
        (KIN, "What is my brother's pet called?", "How is my brother's pet called?"),
        (CODE, "What is my locker number?", "Which locker number is mine?"),
    ],
)
def test_the_same_question_in_other_words_is_accepted(card: Card, original: str, paraphrase: str) -> None:
    assert accepted(original, paraphrase, card, ()) is None


@pytest.mark.parametrize(
    ("card", "original", "paraphrase", "reason"),
    [
        (ADA, "Where does Ada Tekusa live?", "where does Ada Tekusa live ?", "it is the same wording"),
        (ADA, "Where does Ada Tekusa live?", "Ada Tekusa lives somewhere.", "it is no question"),
        (ADA, "Where does Ada Tekusa live?", "In what town does Ada live?", "it does not name 'Ada Tekusa'"),
        (ADA, "Where does Ada Tekusa live?", "Does Ada Tekusa live in Porto?", "it gives away the value 'Porto'"),
        (ADA, "Does Ada Tekusa live in Porto?", "In which city does Ada Tekusa live?", "it drops the value 'Porto'"),
        (ADA, "Where does Ada Tekusa live?", "What is Ada Tekusa's job?", "it asks for 'job'"),
        (ADA, "Where does Ada Tekusa live?", "Who is Ada Tekusa?", "it does not ask for 'city'"),
        (MINE, "What is my job?", "What is your job?", "it no longer asks about the user"),
        (MINE, "What is my job?", "Do you remember what the job is?", "it no longer asks about the user"),
        (MINE, "What is my job?", "Is my job like your job?", "it asks about the model instead"),
        (KIN, "What is my brother's pet called?", "What is my sister's pet called?", "it does not name 'brother'"),
        (CODE, "What is my locker number?", "What is my number?", "it does not name 'locker number'"),
        (ADA, "Where does Ada Tekusa live?", "Where does Ada Tekusa live now, " + "really " * 40 + "?", "it is no single short line"),
        (ADA, "Where does Ada Tekusa live?", "Where does Ada Tekusa live now?\nThanks?", "it is no single short line"),
    ],
)
def test_a_drifted_one_is_refused_with_its_reason(card: Card, original: str, paraphrase: str, reason: str) -> None:
    assert accepted(original, paraphrase, card, ()) == reason


def test_a_wording_that_is_kept_for_examining_is_never_trained() -> None:
    kept = [w.question for w in held_out(ADA)]
    for wording in kept:
        assert accepted("Where does Ada Tekusa live?", wording, ADA, kept) is not None
        assert accepted("Where does Ada Tekusa live?", wording.upper().replace("ADA TEKUSA", "Ada Tekusa"), ADA, kept) is not None


def test_the_seedling_asks_the_same_in_other_words(seedling: Path) -> None:
    torch.set_num_threads(1)
    chat = chat_format(AutoTokenizer.from_pretrained(seedling))
    model = AutoModelForCausalLM.from_pretrained(seedling, dtype=torch.float32).eval()
    cards = (ADA, MINE, KIN)
    asked = [(card, w.question) for card in cards for w in forward(card.subject, card.relation, card.value, "train")]
    made = paraphrases(model, chat, [question for _, question in asked], lambda: None)
    kept = {w.question for card in cards for w in held_out(card)}
    judged = [(q, p, accepted(q, p, card, kept)) for (card, q), p in zip(asked, made, strict=True) if p]
    good = [p for _, p, reason in judged if reason is None]
    assert len(made) == len(asked) and len(good) >= 0.3 * len(asked), judged
    assert not set(good) & kept
