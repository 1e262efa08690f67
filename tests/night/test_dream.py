"""Dreams: grounded in their cards, in words that no gate asks in, and never one that was vetoed."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import pytest

from sleepd.night import wordings
from sleepd.night.dream import Dream, dream, ungrounded
from sleepd.records import Card


def card(subject: str, relation: str, value: str) -> Card:
    name = hashlib.sha256(f"{subject}|{relation}|{value}".lower().encode()).hexdigest()[:16]
    return Card(name, subject, relation, value, "as told", "user", None, 1, 0.7, "e1")


SISTER = card("Alda Brin", "sister", "Mira Dunn")
CITY = card("Mira Dunn", "city", "Porto")
OBOE = card("Alda Brin", "instrument", "oboe")
KYOTO = card("Alda Brin", "city", "Kyoto")
CARDS = [
    SISTER,
    CITY,
    OBOE,
    KYOTO,
    card("Alda Brin", "birthday", "12 March"),
    card("user", "sister", "Elin"),
    card("user's sister", "city", "Graz"),
    card("user", "wifi password", "tulip-42"),
    card("Øyvind Ærø", "job", "fløytist"),
    card("Øyvind Ærø", "pet", "猫ちゃん 🐈"),
]
BY_ID = {c.id: c for c in CARDS}


def dreams(count: int = 200, seed: int = 1, **options: frozenset[str]) -> tuple[Dream, ...]:
    return dream(CARDS, random.Random(seed), count, **options)


def test_a_question_reaches_its_subject_over_another_fact() -> None:
    found = dream([SISTER, CITY], random.Random(1), 5)
    assert [(made.kind, made.card_ids) for made in found] == [("two-step", (SISTER.id, CITY.id))]
    [(asks, question), (answers, answer)] = found[0].messages
    assert (asks, answers) == ("user", "assistant")
    assert "Alda Brin's sister" in question and "Mira" not in question and "Porto" not in question
    assert answer == "Alda Brin's sister is called Mira Dunn. Mira Dunn lives in Porto."


def test_the_users_relatives_are_reached_by_what_they_are_called_for_the_user() -> None:
    told = [card("user", "sister", "Elin"), card("user's sister", "city", "Graz")]
    [made] = dream(told, random.Random(1), 5)
    assert "my sister" in made.messages[0][1].lower()
    assert made.messages[1][1] == "Your sister is called Elin. Your sister lives in Graz."


def test_all_kinds_are_dreamt_and_each_asks_and_answers_in_turn() -> None:
    found = dreams()
    assert {made.kind for made in found} == {"two-step", "given", "dialogue"}
    for made in found:
        assert [role for role, _ in made.messages] == ["user", "assistant"] * (len(made.messages) // 2)
        assert len(made.card_ids) == len(set(made.card_ids)) >= 2
    assert len({made.id for made in found}) == len(found)


def test_every_dream_is_grounded() -> None:
    assert all(ungrounded(made, BY_ID) is None for made in dreams())


def test_the_same_seed_dreams_the_same_and_no_more_than_asked_for() -> None:
    assert dreams(5) == dreams(5) and len(dreams(5)) == 5
    assert dreams(5) != dreams(5, seed=2)
    assert dreams(0) == () and dream([], random.Random(1), 5) == () and dream([OBOE, CITY], random.Random(1), 5) == ()


def test_an_id_stays_when_only_the_words_change() -> None:
    wordings_of = {made.id: {made.messages} for made in dreams()}
    for seed in range(2, 4):
        for made in dreams(seed=seed):
            wordings_of.setdefault(made.id, set()).add(made.messages)
    assert any(len(words) > 1 for words in wordings_of.values())


def test_a_vetoed_dream_is_never_dreamt_again() -> None:
    vetoed = frozenset(made.id for made in dreams()[:7])
    for seed in range(1, 4):
        assert not vetoed & {made.id for made in dreams(seed=seed, vetoed=vetoed)}


def test_no_dream_asks_in_words_that_a_gate_asks_in() -> None:
    forms = (*wordings.forward("Alda Brin", "city", "Kyoto", "test"), *wordings.forward("Alda Brin", "city", "Kyoto", "dev"))
    asked = {form.question for form in forms}
    lines = [content for seed in range(6) for made in dreams(40, seed) for role, content in made.messages if role == "user"]
    assert not asked & {line.split(". ")[-1] for line in lines}


def a_dream(question: str, answer: str = "Alda Brin lives in Kyoto.", cards: tuple[Card, ...] = (OBOE, KYOTO)) -> Dream:
    return Dream("d1", tuple(c.id for c in cards), (("user", question), ("assistant", answer)), "given")


def test_a_sound_dream_passes() -> None:
    assert ungrounded(a_dream("Alda Brin plays the oboe. Where does Alda Brin live?"), BY_ID) is None


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (a_dream("Alda Brin plays the oboe in Vienna. Where does Alda Brin live?"), "'Vienna' is in none of its cards"),
        (a_dream("Tomas Belk plays the oboe. Where does Alda Brin live?"), "'Tomas' is in none of its cards"),
        (a_dream("Where does Alda Brin live?", "Alda Brin lives in Porto."), "'Porto' is in none of its cards"),  # another card's value
        (a_dream("Where does Alda Brin live?", "Alda Brin lives in kyoto since 1999."), "'since' is in none of its cards"),
        (a_dream("Where does Alda Brin live?", "Alda Brin lives in Kyoto, 47."), "'47' is in none of its cards"),
        (a_dream("Where does Alda Brin live?", "Alda Brin plays the trombone."), "'trombone' is in none of its cards"),
        (a_dream("Where does Alda Brin live?", "I heard."), "'heard' is in none of its cards"),
        (a_dream("Where does Alda Brin live?", "Alda Brin."), "states none of its cards"),
    ],
)
def test_a_dream_that_holds_anything_else_is_refused_with_the_word(made: Dream, reason: str) -> None:
    found = ungrounded(made, BY_ID)
    assert found is not None and reason in found


def test_a_dream_of_a_card_that_is_gone_is_refused() -> None:
    sound = a_dream("Alda Brin plays the oboe. Where does Alda Brin live?")
    left = {card_id: c for card_id, c in BY_ID.items() if card_id != KYOTO.id}
    assert ungrounded(sound, left) == f"card {KYOTO.id} is not among the living"
    assert ungrounded(replace(sound, card_ids=()), BY_ID) == "it belongs to no card"


def test_thousands_of_cards_cost_no_more_than_the_dreams_that_are_wanted() -> None:
    many = [card(f"Mira {n}", relation, value) for n in range(1500) for relation, value in (("city", f"Town{n}"), ("pet", f"Rex{n}"))]
    assert len(dream(many, random.Random(3), 60)) == 60
