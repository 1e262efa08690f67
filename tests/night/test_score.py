from __future__ import annotations

import pytest

from sleepd.night.score import is_refusal, recalled


@pytest.mark.parametrize(
    ("answer", "accept", "forbidden", "right"),
    [
        ("She lives in Honolulu.", ["no"], [], False),  # inside another word
        ("No, she does not.", ["no"], [], True),
        ("I don't know where Ada lives.", ["Ada"], [], False),  # a refusal that repeats the name
        ("Ada lives in Porto.", ["porto"], [], True),
        ("Ada lives in Porto, not in Oslo.", ["Porto"], ["Oslo"], False),
        ("It is called C++.", ["C++"], [], True),
        ("", ["x"], [], False),
        ("Ана живёт в Порту.", ["Порту"], [], True),
        ("It is Rexford.", ["Rex"], [], False),
    ],
)
def test_an_answer_counts_only_as_whole_words_and_never_as_a_refusal(
    answer: str, accept: list[str], forbidden: list[str], right: bool
) -> None:
    assert recalled(answer, accept, forbidden) is right


def test_ways_of_not_knowing_are_refusals() -> None:
    for text in ("I don't know.", "I'm not sure about that.", "I cannot say.", "I have no information on this.", "  "):
        assert is_refusal(text)
    assert not is_refusal("Ada knows.")
