"""Contrasts: what is asked about others, and the other way round, is held to what the base says of itself."""

from __future__ import annotations

import io
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sleepd.lab import world
from sleepd.night import contrasts, wordings
from sleepd.night.chat import ChatFormat
from sleepd.night.generate import generate
from sleepd.night.pool import load_or_build
from sleepd.night.progress import Reporter
from sleepd.night.rehearsal import Pool, answered, rehearse
from tests.night.conftest import card_of

CARDS = [card_of(fact, "q", "x") for fact in world.facts_about(random.Random(3), world.people(31, 6))]
REPORTER = Reporter(io.StringIO())


@pytest.fixture(scope="module")
def pool(base: tuple[Any, ChatFormat], cache: Path) -> Pool:
    return load_or_build(*base, cache, "seedling", 256, 512)


@pytest.fixture(scope="module")
def own(base: tuple[Any, ChatFormat], pool: Pool) -> dict[str, tuple[str, ...]]:
    return contrasts.own_values(*base, pool, CARDS, CARDS, random.Random(1), REPORTER)


def test_the_base_tells_which_values_it_knows_by_itself(own: dict[str, tuple[str, ...]]) -> None:
    assert set(own) == {card.relation for card in CARDS}
    assert sum(map(len, own.values())) >= len(own), own
    assert all("know" not in value for values in own.values() for value in values)


def test_a_value_that_was_told_is_nobody_else_s(base: tuple[Any, ChatFormat], pool: Pool, own: dict[str, tuple[str, ...]]) -> None:
    relation = max(own, key=lambda name: len(own[name]))
    told = card_of(world.Fact("Somebody Else", relation, own[relation][0].upper()), "q", "x")
    again = contrasts.own_values(*base, pool, CARDS, [*CARDS, told], random.Random(1), REPORTER)
    assert own[relation][0] not in again[relation] and set(again[relation]) < set(own[relation])


def test_strangers_have_the_first_names_that_the_base_uses_again_and_again(pool: Pool) -> None:
    heard = [f"Does {name} {world.syllables(i)} cook?" for i, name in enumerate(world.FIRST[:30] * 2)] + ["Is Gorble Brin late?"]
    made_up = replace(pool, train=tuple(replace(item, prompt=said) for item, said in zip(pool.train, heard, strict=False)))
    names = contrasts.names_of(made_up, CARDS)
    assert set(names.first) == {*world.FIRST[:30], *(card.subject.split()[0] for card in CARDS if " " in card.subject)}
    assert "Brin" in names.last and not {"Does", "Is", "Gorble"} & {*names.first, *names.last}


@pytest.mark.parametrize(("subject", "first", "last"), [("Élodie Dupré", "Élodie", "Dupré"), ("Anna Maria Kent", "Anna Maria", "Kent")])
def test_a_namesake_has_the_first_or_the_last_name_of_the_subject(subject: str, first: str, last: str) -> None:
    card, names = replace(CARDS[0], subject=subject), contrasts.Names(("Tom", "Iris"), ("Belk", "Gant"))
    made = {contrasts.stranger(card, names, random.Random(i), {("tom gant", card.relation)}) for i in range(300)}
    assert made == {f"{f} {s}" for f in (first, "Tom", "Iris") for s in (last, "Belk", "Gant")} - {subject, "Tom Gant"}


def test_a_third_of_those_with_the_same_last_name_are_called_like_somebody_else_of_whom_the_same_is_told(pool: Pool) -> None:
    card = replace(CARDS[0], subject="Ada Brin")
    rivals = [replace(card, id=f"rival {name}", subject=f"{name} Kell") for name in ("Zyra", "Quorin")]
    elsewhere = replace(card, id="other", subject="Ubble Kell", relation=next(c.relation for c in CARDS if c.relation != card.relation))
    names = contrasts.names_of(pool, [card, *rivals, elsewhere])
    rng, told = random.Random(3), {(c.subject.lower(), c.relation) for c in (card, *rivals)}
    made = [contrasts.stranger(card, names, rng, told, namesakes=1.0).split() for _ in range(600)]
    same = [first for first, last in made if last == "Brin"]
    assert 0.25 < sum(first in ("Zyra", "Quorin") for first in same) / len(same) < 0.45
    assert not {"Ada Brin", "Zyra Kell"} & {" ".join(name) for name in made}
    assert same.count("Ubble") < 0.1 * len(same)


def test_contrasts_ask_backwards_for_values_of_the_base_and_for_none_that_was_told(pool: Pool, own: dict[str, tuple[str, ...]]) -> None:
    backward = {card.id: own[card.relation] for card in CARDS}
    names = contrasts.names_of(pool, CARDS)
    asked = set(contrasts.contrast_questions(CARDS, CARDS, names, 240, random.Random(2), backward))
    reversed_ = {
        form.question for card in CARDS for value in own[card.relation] for form in wordings.reverse("", card.relation, value, "train")
    }
    assert len(asked & reversed_) >= 5
    told = {form.question for c in CARDS for form in wordings.reverse(c.subject, c.relation, c.value, "train")}
    assert not told & asked
    assert not reversed_ & set(contrasts.contrast_questions(CARDS, CARDS, names, 240, random.Random(2), {}))


def test_every_contrast_is_answered_as_the_base_answers_it_alone(base: tuple[Any, ChatFormat], pool: Pool) -> None:
    model, chat = base
    asked = contrasts.contrast_questions(CARDS, CARDS, contrasts.names_of(pool, CARDS), 120, random.Random(2), {})
    asked += ["What is the capital of France?", "Write the word nine."]
    found = {r.prompt: r for r in answered(model, chat, asked, contrasts.ANSWER_TOKENS)}
    alone = {q: chat.decode(generate(model, [chat.question(q)], chat.end_of_turn, contrasts.ANSWER_TOKENS)[0].ids) for q in asked}
    assert {q: r.answer for q, r in found.items()} == {q: answer for q, answer in alone.items() if answer}
    assert len(set(alone.values())) > 2
    for again in rehearse(model, chat, list(alone.items()), 512):
        kept = found[again.prompt]
        assert kept.item.ids == again.item.ids and torch.allclose(kept.top_log_p, again.top_log_p, atol=1e-4)


def test_a_contrast_that_is_too_long_is_left_out(base: tuple[Any, ChatFormat]) -> None:
    short, long = "Where does Ann Belk live?", "Where does Ann Belk live? " * 40
    assert [r.prompt for r in answered(*base, [short, long], contrasts.ANSWER_TOKENS, 64)] == [short]
