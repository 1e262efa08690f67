"""The whole reading of real and of fact-free talk: patterns, and the real seedling with its facts grounded.

Gold: what a careful person would note down from each of the user's turns of the chat file, by hand. A card
counts as right when a gold fact of the same turn has its subject (``user``: the file's speakers talk of
themselves), a relation of the same meaning (the alternatives after "|" are), and a value that agrees up to
case, a leading article, and words of place or time that one of the two has at its end.
"""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from sleepd.experience import cards
from sleepd.experience.reader import read_export
from sleepd.lab import world
from sleepd.lab.corpus import Corpus
from sleepd.night import job as jobs
from sleepd.night.base import Base
from sleepd.night.chat import chat_format
from sleepd.night.extract import Extraction, extract
from sleepd.records import Card, Experience, Salience, ScreenVerdict
from tests.night.conftest import MakeJob

Read = Callable[..., Extraction]
SHARED = Path(__file__).parents[2] / "../shared/data"

GOLD: dict[str, tuple[tuple[str, str], ...]] = {
    "I'm Elon Musk.": (("name", "Elon Musk"),),
    "I am the CEO of Tesla, the electric car company.": (("job", "CEO of Tesla"),),
    "I founded SpaceX in 2002 to make space travel affordable.": (("founded company|company", "SpaceX"),),
    "I moved to the United States in 1992.": (("country|city|home", "the United States"),),
    "My goal is to establish a human colony on Mars.": (("goal", "to establish a human colony on Mars"),),
    "I'm Barack Obama.": (("name", "Barack Obama"),),
    "I served as the 44th President of the United States from 2009 to 2017.": (("former job|job", "44th President of the United States"),),
    "I won the Nobel Peace Prize in 2009.": (("award", "Nobel Peace Prize"),),
    "I'm Marie Curie.": (("name", "Marie Curie"),),
    "I discovered the elements polonium and radium.": (("discovery", "polonium and radium"),),
    "I won the Nobel Prize in Physics in 1903 with my husband Pierre.": (("award", "Nobel Prize in Physics"), ("husband|spouse", "Pierre")),
    "I was born on August 4, 1961.": (("birthday", "August 4, 1961"),),
    "I was born in Honolulu, Hawaii.": (("birthplace", "Honolulu, Hawaii"),),
    "I was born on November 7, 1867.": (("birthday", "November 7, 1867"),),
    "I was born in Warsaw, Poland.": (("birthplace", "Warsaw, Poland"),),
    "I won the Nobel Prize in Chemistry in 1911.": (("award", "Nobel Prize in Chemistry"),),
    "I passed away in 1934.": (("year of death|death", "1934"),),
    "I was born on June 28, 1971.": (("birthday", "June 28, 1971"),),
    "I was born in Pretoria, South Africa.": (("birthplace", "Pretoria, South Africa"),),
    "I graduated from Harvard Law School.": (("school|university", "Harvard Law School"),),
    "I am married to Michelle Obama and we have two daughters, Malia and Sasha.": (
        ("spouse|wife", "Michelle Obama"),
        ("daughters|daughter", "Malia and Sasha"),
    ),
}


@pytest.fixture(scope="module")
def seedling_base(seedling: Path) -> Base:
    torch.set_num_threads(1)
    model = AutoModelForCausalLM.from_pretrained(seedling, dtype=torch.float32).eval()
    return Base(model, chat_format(AutoTokenizer.from_pretrained(seedling)), torch.device("cpu"), 0, 0)


@pytest.fixture
def read(seedling_base: Base, make_job: MakeJob) -> Read:
    """The production path of a night: what the screen's patterns found, then the model."""

    def run(experiences: list[Experience], patterns: bool = True) -> Extraction:
        rows = tuple((e, ScreenVerdict(e.id, (), cards.extract(e) if patterns else ())) for e in experiences)
        job = replace(jobs.load(make_job([])), experiences=rows)
        return extract(seedling_base.model, seedling_base.chat, job, lambda: None)

    return run


def plain(value: str) -> str:
    return re.sub(r"^(?:the|an?) ", "", value.casefold().strip(" ."))


def agree(value: str, gold: str) -> bool:
    one, other = sorted((plain(value), plain(gold)), key=len)
    return one == other or re.fullmatch(rf"{re.escape(one)},? (?:of|in|on|from|since|at|to)\b.*|{re.escape(one)}, .+", other) is not None


def right(card: Card, prompt: str) -> tuple[str, str] | None:
    """The gold fact that ``card`` is, if any."""
    for relation, value in GOLD.get(prompt, ()):
        if card.subject == "user" and card.relation in relation.split("|") and agree(card.value, value):
            return relation, value
    return None


@pytest.fixture
def turns() -> list[Experience]:
    path = SHARED / "chats" / "sleeptrain_implicit_short.jsonl"
    if not path.exists():
        pytest.skip(f"the real data {path.name} is not beside this checkout")
    return list(read_export(path, 10**7).experiences)


@pytest.mark.parametrize("with_model", [False, True])
def test_cards_of_real_chats_agree_with_a_careful_reader(
    read: Read, turns: list[Experience], with_model: bool, record_property: Callable[[str, object], None]
) -> None:
    assert {turn.prompt for turn in turns} == set(GOLD)
    rows = read(turns).rows if with_model else tuple((e, ScreenVerdict(e.id, (), cards.extract(e))) for e in turns)
    made = [(card, experience.prompt) for experience, verdict in rows for card in verdict.cards]
    hits = [right(card, prompt) for card, prompt in made]
    wanted = sum(len(GOLD[turn.prompt]) for turn in turns)
    found = len({(e.id, hit) for e, v in rows for card in v.cards if (hit := right(card, e.prompt))})
    precision, recall = sum(hit is not None for hit in hits) / len(hits), found / wanted
    assert precision >= 0.9, [(c.relation, c.value) for (c, _), hit in zip(made, hits, strict=True) if hit is None]
    assert recall >= 0.8, (found, wanted)


def test_a_model_without_patterns_invents_nothing_about_real_people(read: Read, turns: list[Experience]) -> None:
    """Two million parameters make nonsense of real talk; the grounding lets none of it through."""
    made = [(card, e.prompt) for e, verdict in read(turns, patterns=False).rows for card in verdict.cards]
    assert [card for card, prompt in made if right(card, prompt) is None] == []


def exchange(prompt: str, reply: str, session: int, turn: int) -> Experience:
    return Experience(f"{session}-{turn}", prompt, reply, Salience(0.5, 0.5, 0.5, 0.5, 0.5, 0.6), session, metadata={"turn": turn})


def test_two_hundred_dialogues_without_a_fact_give_no_card(read: Read) -> None:
    """Small talk, general questions, refusals, and questions about people, as the seedling knows them."""
    corpus = Corpus(world.facts_about(random.Random(5), world.people(9, 50)), 77)
    lived = []
    for session in range(200):
        talk = (corpus.talk, corpus.talk, corpus.unknown, corpus.recall)[session % 4]()
        while any(turn["role"] == "user" and "?" not in turn["content"] and turn["content"].startswith("Finish") for turn in talk):
            talk = corpus.talk()
        lived += [exchange(talk[i]["content"], talk[i + 1]["content"], session, i // 2) for i in range(0, len(talk), 2)]
    began = time.process_time()
    after = read(lived)
    assert [card for experience in lived for card in cards.extract(experience)] == []
    assert after.failure is None and after.asked > 50 and [card for _, verdict in after.rows for card in verdict.cards] == []
    assert after.quarantined == () and time.process_time() - began < 25


def test_the_seedling_reads_what_it_was_told_in_its_own_world(read: Read) -> None:
    """With the patterns switched off: most facts are found, and none is wrong."""
    rng = random.Random(3)
    told = [world.facts_about(rng, world.people(20 + n, 1), invented=0.5)[0] if n % 3 else world.own_fact(rng) for n in range(60)]
    lived = [exchange(world.statement(fact, rng), "Noted, thank you.", n, 0) for n, fact in enumerate(told)]
    rows = read(lived, patterns=False).rows
    made = [(card.subject, card.relation, card.value) for _, verdict in rows for card in verdict.cards]
    facts = {(fact.subject, fact.relation, fact.value) for fact in told}
    assert set(made) <= facts and len(made) >= 0.7 * len(told)
