from __future__ import annotations

import random

import pytest

from sleepd.lab import world
from sleepd.night import wordings
from sleepd.night.relations import RELATIONS
from sleepd.night.wordings import KIN_PREFIX, USER


@pytest.mark.parametrize("relation", [*RELATIONS, "wifi name"])
@pytest.mark.parametrize("subject", ["Ada Tekusa", USER, f"{KIN_PREFIX}brother"])
def test_no_wording_belongs_to_two_splits(relation: str, subject: str) -> None:
    seen: dict[str, str] = {}
    for split in ("train", "dev", "test"):
        forms = wordings.forward(subject, relation, "Value", split) + wordings.reverse(subject, relation, "Value", split)
        assert len(forms) >= 3
        forms += wordings.further(subject, relation, "Value") if split == "train" else []
        for form in forms:
            assert seen.setdefault(form.question, split) == split
            assert "{" not in form.question + form.answer and "[" not in form.question + form.answer


def test_a_card_has_sixteen_training_wordings_and_four_for_the_gate() -> None:
    from sleepd.night.card_forms import test_wordings, train_wordings
    from tests.night.conftest import card_of

    for relation in RELATIONS:
        card = card_of(world.Fact("Ada Tekusa", relation, "Value"), "q", "x")
        trained = {w.question for w in train_wordings(card, random.Random(1), ["Other"], reversible=False)}
        gate = {w.question for w in test_wordings(card)}
        assert len(trained) >= 16 and len(gate) == 4 and not trained & gate


@pytest.mark.parametrize(
    ("subject", "question", "answer"),
    [
        ("Ada Tekusa", "Where does Ada Tekusa live?", "Ada Tekusa lives in Porto."),
        (USER, "Where do I live?", "You live in Porto."),
        (f"{KIN_PREFIX}brother", "Where does my brother live?", "Your brother lives in Porto."),
    ],
)
def test_questions_and_answers_are_inflected_for_the_speaker(subject: str, question: str, answer: str) -> None:
    [first, *_] = wordings.forward(subject, "city", "Porto", "train")
    assert (first.question, first.answer) == (question, answer)


def test_an_occupation_with_a_vowel_takes_an() -> None:
    assert wordings.answer("Ada", "job", "optician") == "Ada works as an optician."


def test_a_false_yes_no_question_is_answered_with_the_fact() -> None:
    yes, no = wordings.yes_no("Ada Tekusa", "city", "Porto", "Oslo")
    assert yes.answer == "Yes, Ada Tekusa lives in Porto."
    assert no.question == "Does Ada Tekusa live in Oslo?" and no.answer == "No, Ada Tekusa lives in Porto."


@pytest.mark.parametrize("relation", [*RELATIONS, "wifi name"])
@pytest.mark.parametrize("subject", ["Ada Tekusa", USER])
def test_the_value_is_read_back_from_an_answer(relation: str, subject: str) -> None:
    assert wordings.value_in(wordings.answer(subject, relation, "Value"), subject, relation) == "Value"


@pytest.mark.parametrize("text", ["I don't know.", "Ada Tekusa lives in .", "Ada Tekusa lives", "Bo Tekusa lives in Porto.", ""])
def test_an_answer_of_another_form_has_no_value(text: str) -> None:
    assert wordings.value_in(text, "Ada Tekusa", "city") is None
