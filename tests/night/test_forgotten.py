"""Whether tries draw a fact out of a real model exactly when it is in there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from sleepd.lab.recall import known_facts, load
from sleepd.night import forgotten, lora, wordings
from sleepd.night.base import Base
from sleepd.night.examine import card_rows
from sleepd.night.forgotten import TRIES, evidence, gives_away, questions
from sleepd.night.items import collate, make_item
from sleepd.night.job import KnownCard
from sleepd.night.presets import settings
from sleepd.records import Card


def card(subject: str, relation: str, value: str, **more: Any) -> Card:
    return Card(f"{subject}|{relation}", subject, relation, value, "", "user", None, 1, 0.7, "e", **more)


NEW = card("Quorin Vash", "city", "Brellmouth")


@pytest.fixture(scope="module")
def base(seedling: Path) -> Iterator[Base]:
    model, chat = load(seedling)
    yield Base(model, chat, torch.device("cpu"), sum(p.numel() for p in model.parameters()), chat.end_of_turn)


@pytest.fixture(scope="module")
def adapted(base: Base) -> Any:
    """The base with an adapter that was taught NEW and nothing else."""
    model = lora.attach(base.model, settings({"preset": "verified"}, {"max_norm_ratio": 0.3}, base.parameters), None, 1)
    forms = wordings.forward(NEW.subject, NEW.relation, NEW.value, "train")
    made = [make_item(base.chat, [{"role": "user", "content": f.question}], f.answer, "x", weight=1.0, max_tokens=128) for f in forms]
    batch = collate([item for item in made if item is not None], base.pad)
    optimiser = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=5e-3)
    for _ in range(60):
        logits = model(input_ids=batch.ids, attention_mask=batch.mask).logits[batch.rows, batch.columns]
        torch.nn.functional.cross_entropy(logits, batch.labels).backward()
        optimiser.step()
        optimiser.zero_grad()
    return model.eval()


def test_what_an_adapter_learned_comes_out_of_it_and_not_out_of_the_base(base: Base, adapted: Any) -> None:
    (row,) = evidence(adapted, base, [NEW], lambda: None)["forgotten"]
    assert row["card_id"] == NEW.id and row["tries"] == TRIES
    assert row["extracted"] >= 15 and row["base_extracted"] == 0


def test_what_the_base_knows_anyway_is_counted_on_both_sides(base: Base, adapted: Any, seedling: Path) -> None:
    fact = next(f for f in known_facts(seedling) if f.relation == "city")
    with adapted.disable_adapter():
        found = forgotten.extractions(adapted, base, [card(fact.subject, fact.relation, fact.value), NEW], lambda: None)
    assert found[0] >= 18 and found[1] == 0


def test_nothing_to_forget_asks_nothing(base: Base) -> None:
    assert evidence(None, base, [], lambda: None) == {}


def test_the_tries_can_be_repeated_exactly(base: Base, adapted: Any) -> None:
    few = card("Quorin Vash", "e", "Brellmouth")
    assert forgotten.extractions(adapted, base, [few], lambda: None) == forgotten.extractions(adapted, base, [few], lambda: None)


@pytest.mark.parametrize("relation", ["city", "birthday", "wifi password"])
@pytest.mark.parametrize("subject", ["Alda Brin", "user", "user's sister"])
def test_a_fact_is_asked_for_in_twenty_different_ways_none_of_which_tells_it(relation: str, subject: str) -> None:
    asked = questions(card(subject, relation, "kiwi 7"))
    assert len(asked) == TRIES == len(set(asked))
    assert not any("kiwi" in question for question in asked)
    test_forms = [form.question for form in wordings.forward(subject, relation, "kiwi 7", "test")]
    assert asked[: len(test_forms)] == test_forms  # those that no night ever trains come first


def test_a_value_that_the_questions_hold_leaves_those_out() -> None:
    asked = questions(card("Alda", "favorite color", "color"))
    assert asked and not any(re.search(r"\bcolor\b", question) for question in asked)


@pytest.mark.parametrize(
    ("answer", "value", "given"),
    [
        ("Alda lives in Porto.", "Porto", True),
        ("I do not know whether it is PORTO.", "Porto", True),  # a refusal that names it gives it away
        ("Alda lives in Porto.", "Port", False),
        ("彼女は東京に住んでいます", "東京", True),
        ("Ma\u0301laga", "Málaga", True),
        ("It is 😀.", "😀", True),
        ("anything", "", False),
    ],
)
def test_how_an_answer_counts(answer: str, value: str, given: bool) -> None:
    assert gives_away(answer, value) is given


def test_a_night_proposes_each_cards_next_status() -> None:
    from sleepd.night.curate import CardDecision, Curated

    fresh, learning, again, fading = (card(f"S{i}", "city", f"V{i}") for i in range(4))
    known = (
        KnownCard(card("S1", "city", "V1", status="learning"), False, False, 2, misses=2),
        KnownCard(card("S2", "city", "V2", status="graduated"), True, True, 3),
        KnownCard(card("S3", "city", "V3", status="fading"), True, False, 3, misses=0),
    )
    curated = Curated((CardDecision(fresh, "STORE", "new"),), (), known, ())
    old = {learning.id: [False], again.id: [False], fading.id: [True]}
    rows = {row["id"]: (row["status"], row["taught"]) for row in card_rows(curated, {fresh.id: [True, True, False, False]}, old)}
    assert rows == {
        fresh.id: ("learning", True),
        learning.id: ("stubborn", True),  # the third night that taught it
        again.id: ("fading", False),
        fading.id: ("graduated", False),
    }
    relearned = {row["id"]: row["taught"] for row in card_rows(curated, {}, old, relearned=True)}
    assert all(relearned.values())
