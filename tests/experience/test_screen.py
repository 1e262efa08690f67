"""What the screen rejects, with which reason, and what it leaves alone."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sleepd.experience.inspect import inspect_buffer
from sleepd.experience.recent import Recent
from sleepd.experience.screen import CODES, Screen, ScreenLimits, collapsed, collapsed_tail
from sleepd.experience.similar import ReplyWindow, near_identical
from sleepd.records import Experience, ScreenVerdict
from tests.experience.conftest import experience, healthy_reply

HEALTHY = "I walked along the river this morning and thought about what you had said to me yesterday."
COLLAPSED = {  # index: what a person recognises as collapse in the real buffer
    306: "one opening in every sentence",
    321: "question after question",
    322: "an exercise instead of an answer, in the middle of the collapse",
    323: "question after question",
    324: "question after question",
    325: "one question without end",
}


def judge(*experiences: Experience, limits: ScreenLimits = ScreenLimits()) -> list[ScreenVerdict]:  # noqa: B008 - frozen
    screen, recent = Screen(limits), Recent()
    verdicts = []
    for one in experiences:
        verdicts.append(screen.judge(one, recent))
        recent.add(one)
    return verdicts


def codes(verdict: ScreenVerdict) -> list[str]:
    return [reason.split(":")[0] for reason in verdict.reasons]


def reasons_for(reply: str, prompt: str = "What did you do this morning at the river?") -> list[str]:
    (verdict,) = judge(experience(prompt, reply))
    return codes(verdict)


def test_a_healthy_reply_is_an_example() -> None:
    (verdict,) = judge(experience("How was your day?", HEALTHY))
    assert verdict.example and verdict.trimmed is None


def test_every_reason_is_a_known_code_with_its_numbers() -> None:
    bad = experience("my password is hunter2go", "No no no no no no no no no no no no no", total=0.1)
    (verdict,) = judge(bad)
    assert {"collapsed", "secret", "low_salience"} <= set(codes(verdict)) <= set(CODES)
    assert any(reason.startswith("collapsed: distinct-3 ") and "<= 0.70" in reason for reason in verdict.reasons)
    assert "low_salience: 0.10 < 0.60" in verdict.reasons


@pytest.mark.parametrize(
    "reply",
    [
        "What is your next step? " * 12,
        "I can not say what it is. " * 6,
        "yes yes yes yes yes yes yes yes yes",
        "Is it? Was it? Who knows? Why not? Can it? Must it? Shall we? Do we? Did they? Are you? Am I the one? Is that so?",
        "I notice that these patterns help me grow. Then I notice that these patterns help others too. "
        "Later I notice that these patterns fade, and something quite new begins in the quiet of an early morning.",
        "好的我们走吧" * 8,
    ],
)
def test_collapsed_replies_are_named(reply: str) -> None:
    assert collapsed(reply)
    assert "collapsed" in reasons_for(reply)


@pytest.mark.parametrize(
    "reply",
    [
        HEALTHY,
        "1. **Reading**: every evening.\n2. **Walking**: in the park.\n3. **Cooking**: with friends on weekends.\n4. **Sleep**: early.",
        "What a day! Did you see the rain? I was out with the dog, and then? Then the sun came back, would you believe it?",
        "def add(a, b):\n    return a + b\n\nThis adds two numbers and returns what comes out of it.",
        "Jingle bells, jingle bells, jingle all the way! Oh what fun it is to ride in a one-horse open sleigh today.",
        "今天早上我沿着河边散步，想起了你昨天对我说的话，觉得很有道理。",
    ],
)
def test_healthy_replies_are_not_collapsed(reply: str) -> None:
    assert collapsed(reply) is None


def test_short_replies_are_no_examples() -> None:
    assert reasons_for("Noted, thank you.") == ["short"]


@pytest.mark.parametrize(
    "reply",
    [
        '{"name": "search", "arguments": {"query": "weather in Porto today please"}}',
        '```json\n{"a": 1, "b": [1, 2, 3], "c": "some words that are long enough"}\n```',
        '<tool_call>{"name": "search", "arguments": {"query": "weather in Porto"}}</tool_call>',
        '{"name": "search", "arguments": {"query": broken and not valid at all}}',
    ],
)
def test_raw_tool_json_is_no_reply(reply: str) -> None:
    assert "tool_json" in reasons_for(reply)


def test_talk_about_json_is_a_reply() -> None:
    assert reasons_for('A small example of the river log is {"river": "Douro"}, which names a river and nothing more.') == []


def test_chat_markup_in_a_reply_is_named() -> None:
    assert "role_tokens" in reasons_for("I walked along the river this morning.<|im_end|>\n<|im_start|>user\nAnd then what?")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("My key is sk-abcdefghijklmnop1234567890 if you need it for the river.", "secret"),
        ("Use ghp_abcdefghijklmnopqrstuvwxyz0123456789 to push the river photos.", "secret"),
        ("The river card is 4111 1111 1111 1111, please keep it to yourself today.", "secret"),
        ("-----BEGIN RSA PRIVATE KEY-----\nabc\n-----END RSA PRIVATE KEY----- is what I found at the river.", "secret"),
        ("Write to ada.berger@example.org about the river walk whenever you like to.", "personal_data"),
        ("Call me at +351 912 345 678 about the river walk whenever you like to.", "personal_data"),
    ],
)
@pytest.mark.parametrize("side", ["prompt", "response"])
def test_secrets_and_personal_data_are_no_examples(text: str, code: str, side: str) -> None:
    one = experience(text, HEALTHY) if side == "prompt" else experience("What about the river?", text)
    (verdict,) = judge(one)
    assert code in codes(verdict)
    assert not any(word in " ".join(verdict.reasons) for word in ("4111", "ada.berger", "sk-", "912"))


@pytest.mark.parametrize(
    "text", ["On 2026-02-01 we met 12 people in room 4, at 10:30.", "The river is 1,234,567 metres long, says page 555 of the book."]
)
def test_ordinary_numbers_are_no_personal_data(text: str) -> None:
    assert reasons_for(text) == []


CUT = "We saw the river and the old bridge. Then we had lunch. Afterwards we went on to the little"


def test_a_reply_that_is_cut_off_is_trimmed_to_its_last_sentence() -> None:
    (verdict,) = judge(experience("What did you see at the river?", CUT))
    assert verdict.trimmed == "We saw the river and the old bridge. Then we had lunch."
    assert verdict.example


@pytest.mark.parametrize(
    "reply",
    [
        'She said: "We went to the river, and it was lovely."',
        "We went to the river and it was so lovely 😊",
        "We went to the river with Dr. Berger and saw e.g. the old bridge!",
        "**We went to the river, and it was lovely.**",
        "we went to the river and it was lovely i think",
        "我们昨天去了河边，天气非常好。",
    ],
)
def test_a_whole_reply_is_not_trimmed(reply: str) -> None:
    (verdict,) = judge(experience("What about the river?", reply))
    assert verdict.trimmed is None
    assert "cut" not in codes(verdict)


def test_trimming_stops_at_no_abbreviation_and_no_list_number() -> None:
    (verdict,) = judge(
        experience("List what you saw.", "We saw many things at the river today. First of all:\n1. The bridge of Dr. Berger, which\n2. The")
    )
    assert verdict.trimmed == "We saw many things at the river today."


def test_a_long_reply_without_a_whole_sentence_is_cut() -> None:
    assert "cut" in reasons_for(healthy_reply(random.Random(3), 80).rstrip("."))


def test_the_same_reply_again_is_a_duplicate_and_nearly_the_same_a_near_one() -> None:
    again = HEALTHY.replace("morning", "evening").upper()
    first, same, near = judge(experience("One?", HEALTHY), experience("Two?", HEALTHY.upper()), experience("Three?", again))
    assert first.example
    assert codes(same) == ["duplicate"]
    assert codes(near) == ["near_duplicate"]


def test_many_near_identical_answers_to_questions_are_a_collapse() -> None:
    verdicts = judge(*(experience(f"Question {word}?", HEALTHY) for word in ("one", "two", "three", "four", "five")))
    assert [("collapsed" in codes(verdict)) for verdict in verdicts] == [False, False, False, True, True]


def test_brief_acknowledgements_are_alike_and_not_collapsed() -> None:
    verdicts = judge(
        *(
            experience(f"My friend lives in {city}.", "Good to hear, I will keep it in mind.")
            for city in ("Oslo", "Porto", "Rome", "Graz", "Riga")
        )
    )
    assert not any("collapsed" in codes(verdict) for verdict in verdicts)
    assert all(verdict.cards and verdict.usable for verdict in verdicts)


def test_salience_ranks_but_saves_nobody() -> None:
    (verdict,) = judge(experience("Why?", "What is next? " * 20, total=1.0))
    assert "collapsed" in codes(verdict) and "low_salience" not in codes(verdict)


def test_one_prompt_cannot_fill_the_buffer() -> None:
    rng = random.Random(1)
    others = [experience(healthy_reply(rng, 6), healthy_reply(rng)) for _ in range(40)]
    same = [experience("How are you?", healthy_reply(rng)) for _ in range(15)]
    verdicts = judge(*others, *same)
    assert [("prompt_share" in codes(verdict)) for verdict in verdicts[40:]] == [False] * 10 + [True] * 5
    assert "11 of 51 have this prompt, limit 10%" in verdicts[50].reasons[0]


def test_one_session_cannot_fill_the_buffer() -> None:
    rng = random.Random(1)
    verdicts = judge(*(experience(healthy_reply(rng, 6), healthy_reply(rng), session=7) for _ in range(55)))
    assert ["session_share" in codes(verdict) for verdict in verdicts] == [False] * 50 + [True] * 5


@pytest.mark.parametrize("mark", [{"adapter": "cycle_003"}, {"using_lora": True}])
def test_replies_of_adapters_cannot_fill_the_buffer(mark: dict[str, object]) -> None:
    rng = random.Random(1)
    verdicts = judge(*(experience(healthy_reply(rng, 6), healthy_reply(rng), metadata=mark) for _ in range(25)))
    assert ["own_adapter" in codes(verdict) for verdict in verdicts] == [False] * 20 + [True] * 5
    base = judge(*(experience(healthy_reply(rng, 6), healthy_reply(rng), metadata={"adapter": "base"}) for _ in range(25)))
    assert all(verdict.example for verdict in base)


def test_the_answer_after_a_collapsed_one_is_part_of_it_only_when_it_answers_nothing() -> None:
    broken = experience("What do you dream of?", "What is next? " * 20, session=3)
    off = experience(
        "What would you like to build?",
        "Write a short program that takes a list of numbers as its input and returns their sum. Handle an empty list as well, with care.",
        session=3,
    )
    good = experience(
        "What would you like to build?",
        "I would like to build a small house by the sea, with a garden and a workshop where friends can repair their old bicycles.",
        session=3,
    )
    assert "collapsed" in codes(judge(broken, off)[1])
    assert judge(broken, good)[1].example
    assert judge(off)[0].example


def test_a_tail_of_collapsed_replies_forbids_the_night() -> None:
    rng = random.Random(2)
    good = [experience(healthy_reply(rng, 6), healthy_reply(rng)) for _ in range(20)]
    loops = [
        experience(f"Question {n}?", f"What is your next {word}? " * 8)
        for n, word in enumerate(("step", "plan", "goal", "idea", "move", "word"))
    ]
    assert collapsed_tail(good) is None
    assert collapsed_tail([*loops, *good]) is None
    reason = collapsed_tail([*good[:3], *loops])
    assert reason and "6 of the last 9 replies are collapsed" in reason


def test_a_tail_of_one_hedging_sentence_forbids_the_night() -> None:
    hedge = "Whether this is about {} or something else entirely, I cannot verify it from my own internal state, so I would rather not say."
    tail = [experience(f"Question {word}?", hedge.format(word)) for word in ("learning", "memory", "growth", "dreams", "music", "sleep")]
    reason = collapsed_tail(tail)
    assert reason and "repeat one another" in reason


def test_a_tail_of_acknowledged_facts_forbids_nothing() -> None:
    assert collapsed_tail([experience(f"Person {n} lives in Porto.", "Good to hear, I will keep it in mind.") for n in range(30)]) is None
    assert collapsed_tail([]) is None


@settings(max_examples=80, deadline=None)
@given(prompt=st.text(max_size=200), reply=st.text(max_size=400))
def test_any_exchange_gets_a_verdict_with_known_codes(prompt: str, reply: str) -> None:
    (verdict,) = judge(experience(prompt, reply))
    assert set(codes(verdict)) <= set(CODES)
    assert verdict.trimmed is None or reply.startswith(verdict.trimmed)


HOSTILE = [
    " \n",
    "\n",
    "“",
    '"',
    "(",
    "!",
    "## ",
    "<a",
    "a.b@",
    "AB12 ",
    "my password is ",
    "1 ",
    "-----BEGIN RSA PRIVATE KEY-----",
    "eyJaaaaaaaa.",
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_hostile_exchange_is_judged_in_time(piece: str) -> None:
    text = piece * (200_000 // len(piece))
    began = time.process_time()
    judge(experience(text, text))
    assert time.process_time() - began < 4.0


words = st.lists(st.sampled_from([a + b + c for a in "bdk" for b in "aeiou" for c in ("", "n", "rta")]), min_size=1, max_size=30)


@settings(max_examples=300, deadline=None)
@given(one=words, two=words, edits=st.integers(0, 3), data=st.data())
def test_the_window_finds_every_near_identical_reply(one: list[str], two: list[str], edits: int, data: st.DataObject) -> None:
    """The index must lose none that comparing everything would find."""
    other = list(one)
    for _ in range(edits):
        other[data.draw(st.integers(0, len(other) - 1))] = data.draw(st.sampled_from(two))
    window = ReplyWindow(10)
    window.add("filler", " ".join(two))
    window.add("wanted", " ".join(other))
    expected = near_identical(frozenset(one), " ".join(one), frozenset(other), " ".join(other))
    assert ("wanted" in [reply.experience_id for reply in window.alike(" ".join(one))]) == expected


def test_the_window_forgets_what_is_old() -> None:
    window = ReplyWindow(3)
    for number in range(10):
        window.add(str(number), f"{HEALTHY} {'abcdefghij'[number] * 4}")
    assert [reply.experience_id for reply in window.alike(HEALTHY)] == ["9", "8", "7"]


def test_judging_does_not_get_slower_with_what_came_before() -> None:
    """Ten times as many experiences take about ten times as long, not a hundred times."""
    rng = random.Random(5)
    replies = [experience(healthy_reply(rng, 8), healthy_reply(rng)) for _ in range(1500)]
    began = time.process_time()
    judge(*replies[:150])
    few = time.process_time() - began
    began = time.process_time()
    judge(*replies)
    assert time.process_time() - began < 10 * 3 * few


def test_the_six_collapsed_replies_of_a_real_buffer_are_rejected_as_collapsed_and_no_other(real_data: Path) -> None:
    path = real_data / "buffers" / "sprout-2026-02-12.json"
    document = inspect_buffer(path, ScreenLimits())
    assert document["entries"] == 333 and document["errors"] == []
    ids = [item["id"] for item in json.loads(path.read_text())]
    rejected = document["entries_rejected"]
    assert isinstance(rejected, list)
    found = {ids.index(row["id"]) for row in rejected if any(reason.startswith("collapsed:") for reason in row["reasons"])}
    assert found == set(COLLAPSED)


def test_healthy_real_buffers_hold_nothing_collapsed(real_data: Path) -> None:
    for name in ("sprout-2026-02-01.json", "nomad.json"):
        rejected = inspect_buffer(real_data / "buffers" / name, ScreenLimits())["rejected"]
        assert isinstance(rejected, dict) and "collapsed" not in rejected
