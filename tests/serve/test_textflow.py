from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from sleepd.serve.textflow import Detokenizer, StopFilter


def decode_bytes(ids: list[int] | tuple[int, ...]) -> str:
    """A tokenizer whose tokens are single bytes: the hardest case for whole characters."""
    return bytes(ids).decode(errors="replace")


@given(st.text())
def test_text_of_many_byte_characters_comes_out_whole_and_in_whole_characters(text: str) -> None:
    detokenizer = Detokenizer(decode_bytes)
    pieces = [detokenizer.add(byte) for byte in text.encode()]
    assert "".join(pieces) + detokenizer.flush() == text
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


@given(st.lists(st.integers(0, 255)))
def test_pieces_of_any_bytes_join_to_the_decoded_whole(ids: list[int]) -> None:
    detokenizer = Detokenizer(decode_bytes)
    assert "".join(detokenizer.add(i) for i in ids) + detokenizer.flush() == decode_bytes(ids)


def test_a_decoder_that_drops_a_leading_space_does_not_lose_spaces_between_words() -> None:
    words = [" the", " house", " sleeps"]
    detokenizer = Detokenizer(lambda ids: "".join(words[i] for i in ids).removeprefix(" "))
    assert "".join(detokenizer.add(i) for i in (0, 1, 2)) == "the house sleeps"


def test_text_ends_before_a_stop_text_that_is_spread_over_pieces() -> None:
    stops = StopFilter(["\nUser:"])
    shown = []
    for piece in ("Hello", ".\n", "Us", "er", ": more"):
        text, stopped = stops.add(piece)
        shown.append(text)
    assert stopped
    assert "".join(shown) == "Hello."


def test_text_that_only_began_like_a_stop_text_is_shown_in_the_end() -> None:
    stops = StopFilter(["STOP"])
    assert stops.add("ST") == ("", False)
    assert stops.add("ART") == ("START", False)
    assert stops.add("S") == ("", False)
    assert stops.flush() == "S"


def test_of_several_stop_texts_the_one_that_is_complete_first_wins() -> None:
    assert StopFilter(["three", "two"]).add("one two three") == ("one ", True)


@given(st.text("ab"), st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=3), st.integers())
def test_however_text_is_cut_the_same_is_shown(text: str, stops: list[str], seed: int) -> None:
    cuts = random.Random(seed)
    filtered, shown, at, stopped = StopFilter(stops), "", 0, False
    while at < len(text) and not stopped:
        size = cuts.randint(1, 3)
        piece, stopped = filtered.add(text[at : at + size])
        shown, at = shown + piece, at + size
    if not stopped:
        shown += filtered.flush()
    ends = [(text.index(stop) + len(stop), text.index(stop)) for stop in stops if stop in text]
    assert shown == (text[: min(ends)[1]] if ends else text)
