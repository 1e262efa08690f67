from __future__ import annotations

import pytest

from sleepd.ledger.matching import best, card_text, holder, holds_all, plain, speaks_of
from tests.ledger.conftest import card


@pytest.mark.parametrize(
    ("phrase", "text", "found"),
    [
        ("Alda", "Alda's cat is called Mo.", True),
        ("alda", "ALDA!", True),
        ("Alda", "Aldara lives here.", False),
        ("Port", "She moved to Porto.", False),
        ("straße", "Die STRASSE ist lang", True),
        ("Málaga", "Ma\u0301laga", True),  # composed and decomposed are one letter
        ("東京", "私は東京に住んでいます", True),
        ("😀", "I 😀love it", True),
        ("", "anything", False),
        ("c++", "I write c++ all day", True),
    ],
)
def test_whole_words_in_any_case_and_script(phrase: str, text: str, found: bool) -> None:
    assert holder(phrase)(plain(text)) is found


def test_a_query_is_held_when_every_word_of_it_is_and_an_empty_one_never() -> None:
    text = card_text(card(1, subject="Alda Brin", value="Porto", quote="Alda Brin moved to Porto."))
    assert holds_all("porto alda")(text) and holds_all("“Porto”?")(text)
    assert not holds_all("porto corin")(text) and not holds_all("   ")(text)


def test_speaking_of_a_fact_needs_its_subject_too_or_for_the_users_own_its_relation() -> None:
    fact = speaks_of(card(1, subject="Alda", value="Porto", quote="Alda lives in Porto."))
    assert fact(plain("So Alda is in Porto now?")) and not fact(plain("Porto is lovely.")) and not fact(plain("Alda is lovely."))
    own = speaks_of(card(2, subject="user", relation="wifi password", value="kiwi7", quote="My wifi password is kiwi7."))
    assert own(plain("the wifi password: kiwi7")) and not own(plain("a kiwi7 is a fruit"))
    kin = speaks_of(card(3, subject="user's sister", relation="city", value="Ghent", quote="My sister lives in Ghent."))
    assert kin(plain("Your sister lives in Ghent.")) and not kin(plain("My brother lives in Ghent."))


CARDS = [
    card(1, subject="Alda", relation="city", value="Porto", quote="Alda lives in Porto."),
    card(2, subject="Alda", relation="pet", value="Mo", quote="Alda has a cat called Mo."),
    card(3, subject="user's sister", relation="city", value="Ghent", quote="My sister lives in Ghent."),
    card(4, subject="user", relation="job", value="weaver", quote="I work as a weaver."),
    card(5, subject="Aldara", relation="city", value="Turku", quote="Aldara lives in Turku."),
]


@pytest.mark.parametrize(
    ("query", "value"),
    [
        ("Where does Alda live?", "Porto"),
        ("Alda lives in Porto.", "Porto"),
        ("What is Alda's cat called?", "Mo"),
        ("Your sister lives in Ghent.", "Ghent"),
        ("What do I work as?", "weaver"),
        ("where does aldara live", "Turku"),
    ],
)
def test_an_answer_or_a_question_finds_its_fact_first(query: str, value: str) -> None:
    assert best(query, CARDS)[0].value == value


def test_what_is_about_nothing_known_finds_nothing() -> None:
    assert best("Where is the station?", CARDS) == [] and best("", CARDS) == []
