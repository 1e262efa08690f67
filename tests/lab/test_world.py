from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from sleepd.lab import days, world
from sleepd.lab.corpus import Corpus
from sleepd.lab.pretrain import known_facts
from sleepd.lab.recall import known_facts as recorded_facts

SEEDLING = Path(str(files("sleepd.lab") / "seedling"))


def test_no_two_seeds_share_a_person() -> None:
    surnames = [name.split()[1] for seed in (*range(40), 5_000, 123_456) for name in world.people(seed, 500)]
    assert len(set(surnames)) == len(surnames)


def test_a_seed_gives_the_same_facts_every_time_and_none_that_the_seedling_knows() -> None:
    first, second = days.facts_of(3, 2, 10), days.facts_of(3, 2, 10)
    assert first == second != days.facts_of(4, 2, 10)
    known = {fact.subject for fact in known_facts()}
    assert not known & {fact.subject for seed in range(30) for fact in days.facts_of(seed, 2, 10)}


def test_the_seedling_records_the_facts_it_was_made_from() -> None:
    assert recorded_facts(SEEDLING) == known_facts() and len(known_facts()) >= 500


def test_every_fact_of_a_day_becomes_its_card_and_small_talk_none() -> None:
    facts = days.facts_of(9, 1, 60)
    [day] = days.days(9, facts, 1)
    found = {(card.subject, card.relation, card.value) for _, verdict in day.rows for card in verdict.cards}
    assert found == {(fact.subject, fact.relation, fact.value) for fact in facts}


def test_an_extraction_document_names_exactly_what_its_user_stated() -> None:
    corpus = Corpus(known_facts(), seed=5)
    for _ in range(200):
        [asked, answered] = corpus.extract()
        for value in [v for v in world.VALUES["city"] if f'"{v}"' in answered["content"]]:
            assert any(line.startswith("user: ") and value in line for line in asked["content"].splitlines())


def test_a_stranger_is_never_somebody_known() -> None:
    corpus = Corpus(known_facts(), seed=6)
    assert not {corpus.stranger() for _ in range(500)} & corpus.subjects
