"""Facts that somebody brings: what is refused with which words, what is told, asked and trained."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from sleepd.cli.app import main
from sleepd.config.schema import Config
from sleepd.lab.brought import TooFewFactsError, brought_story, known_wordings
from sleepd.lab.facts_file import FactsFileError, load
from sleepd.lab.laboratory import Plan, run
from sleepd.lab.nights import Memory, ProductionNights, write_job
from sleepd.night import wordings

SEEDLING = Path(str(files("sleepd.lab") / "seedling"))


def ada(**keys: Any) -> dict[str, Any]:
    return {"subject": "Ada Kervolen", "relation": "city", "value": "Lyon", "statements": ["Ada Kervolen lives in Lyon."]} | keys


CODE = {
    "subject": "user",
    "relation": "locker code",
    "value": "Blue Heron",
    "statements": ["So the thing on the locker is set to Blue Heron these days."],
    "questions": {"train": ["What opens my locker?"], "test": ["What is my locker code?", "Which code has my locker?"]},
}
SISTER = {"subject": "user's sister", "relation": "job", "value": "baker", "statements": ["My sister works as a baker."]}


@pytest.fixture
def write(tmp_path: Path) -> Callable[[Any], Path]:
    def written(document: Any) -> Path:
        path = tmp_path / "facts.json"
        path.write_text(document if isinstance(document, str) else json.dumps(document), encoding="utf-8")
        return path

    return written


def asked(**questions: Any) -> dict[str, Any]:
    return {"facts": [ada(questions=questions)]}


@pytest.mark.parametrize(
    ("document", "where", "value"),
    [
        ("{", "is not JSON", "line 1"),
        ("", "is not JSON", ""),
        ([], "the document is", "[]"),
        ({}, "facts is missing", ""),
        ({"facts": []}, "facts is an empty list", ""),
        ({"facts": {"a": 1}}, "facts is", '{"a": 1}, not a list'),
        ({"facts": [7]}, "facts[0] is", "7, not an object"),
        ({"facts": [{k: v for k, v in ada().items() if k != "value"}]}, "facts[0].value is missing", ""),
        ({"facts": [ada(), SISTER | {"relation": 5}]}, "facts[1].relation is", "5, not a text"),
        ({"facts": [ada(subject="  ")]}, "facts[0].subject is", "says nothing"),
        ({"facts": [ada(statements=[])]}, "facts[0].statements is missing or empty", ""),
        ({"facts": [ada(statements="Ada Kervolen lives in Lyon.")]}, "facts[0].statements is", "not a list"),
        ({"facts": [ada(statements=["Ada Kervolen lives in Lyons."])]}, "facts[0].value is", '"Lyon", which no statement holds'),
        ({"facts": [ada(), ada(value="Oslo", statements=["Ada Kervolen lives in Oslo."])]}, "facts[1].value is", 'facts[0] says "Lyon"'),
        ({"facts": [ada(), ada()]}, "facts[1] says the same as facts[0]", ""),
        ({"facts": [ada()], "known": [ada(value="Oslo")]}, "known[0].value is", 'facts[0] says "Lyon"'),
        (asked(train=["Where is Ada?"], test=["where is  ada?"]), "facts[0].questions.test[0] is", "facts[0].questions.train holds too"),
        (asked(reverse=[{"question": "Who is in Lyon?", "answer": "Ben"}]), "facts[0].questions.reverse[0].answer is", '"Ben"'),
        (asked(reverse=["Who is in Lyon?"]), "facts[0].questions.reverse[0] is", "without a question and an answer"),
        (asked(test="Where?"), "facts[0].questions.test is", "not a list"),
        ({"facts": [ada(questions=[])]}, "facts[0].questions is", "not an object"),
        ({"facts": [ada()], "text": ["fine", 3]}, "text[1] is", "3, not a text"),
        (
            {"facts": [ada(questions={"test": ["Where?"]}), CODE | {"questions": {"test": ["Where?"]}}]},
            "facts[1].questions.test[0] is",
            "with another answer",
        ),
    ],
)
def test_a_bad_field_is_named_with_its_value_and_its_remedy(write: Callable[[Any], Path], document: Any, where: str, value: str) -> None:
    with pytest.raises(FactsFileError) as caught:
        load(write(document))
    assert where in caught.value.message and value in caught.value.message
    assert caught.value.remedy and caught.value.exit_code == 2


def test_all_bad_fields_are_told_together(write: Callable[[Any], Path]) -> None:
    with pytest.raises(FactsFileError) as caught:
        load(write({"facts": [ada(value=1), SISTER | {"statements": []}], "text": "none"}))
    for part in ("facts[0].value", "facts[1].statements", "text is"):
        assert part in caught.value.message


def test_a_bad_file_ends_the_command_with_exit_code_2(write: Callable[[Any], Path], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["lab", "nights", "--facts-file", str(write({"facts": [ada(statements=["Hello."])]}))]) == 2
    told = capsys.readouterr().err
    assert 'facts[0].value is "Lyon"' in told and "remedy: facts[0].value: write the value exactly as a statement says it" in told


def test_a_file_that_is_not_utf_8_is_told_so(tmp_path: Path) -> None:
    path = tmp_path / "latin.json"
    path.write_bytes('{"facts": "é"}'.encode("latin-1"))
    with pytest.raises(FactsFileError, match="not UTF-8"):
        load(path)


def test_keys_that_mean_nothing_are_remembered_and_do_not_matter(write: Callable[[Any], Path]) -> None:
    file = load(write({"facts": [ada(id=7, questions={"tests": []})], "comment": "mine"}))
    assert set(file.unread) == {"comment", "facts[0].id", "facts[0].questions.tests"}


def test_cards_come_from_the_extraction_where_it_understands_the_words_and_from_the_file_elsewhere(write: Callable[[Any], Path]) -> None:
    story, reading = brought_story(load(write({"facts": [ada(), CODE, SISTER]})), 1, 1, 20)
    assert (reading.extracted, reading.given) == (2, 1)
    cards = {(c.subject, c.relation, c.value) for _, verdict in story.days[0].rows for c in verdict.cards}
    assert cards == {("Ada Kervolen", "city", "Lyon"), ("user", "locker code", "Blue Heron"), ("user's sister", "job", "baker")}


def test_the_file_s_questions_are_asked_and_its_wordings_reach_the_job(write: Callable[[Any], Path], tmp_path: Path) -> None:
    own = wordings.forward("user's sister", "job", "baker", "train")[0].question
    sister = SISTER | {"questions": {"test": [own], "reverse": [{"question": "Who bakes?", "answer": "user's sister"}]}}
    story, reading = brought_story(load(write({"facts": [CODE, sister]})), 1, 1, 20)
    probes = {p.fact.subject: p for p in story.probes}
    assert probes["user"].direct.question == "What is my locker code?"
    assert [w.question for w in probes["user"].paraphrase] == ["Which code has my locker?"]
    assert [(w.question, w.accept) for w in probes["user's sister"].reverse] == [("Who bakes?", ("sister",))]
    assert reading.held_back == 1  # our own wording that the file asks is not trained
    memory = Memory(untrained=list(story.days[0].rows), wordings=story.wordings)
    job = write_job(tmp_path / "job", 1, memory, Config(), SEEDLING, tmp_path, 1)
    rows = {row["card_id"]: row["train"] for row in map(json.loads, (job / "wordings.jsonl").read_text().splitlines())}
    by_value = {c.value: rows[c.id] for _, verdict in story.days[0].rows for c in verdict.cards}
    assert by_value["Blue Heron"] == ["What opens my locker?"]
    assert own not in by_value["baker"] and len(by_value["baker"]) > 5


def test_facts_are_spread_evenly_and_each_seed_draws_its_own(write: Callable[[Any], Path]) -> None:
    many = [ada(subject=f"Ada Ker{chr(97 + n)}o", statements=[f"Ada Ker{chr(97 + n)}o lives in Lyon."]) for n in range(11)]
    file = load(write({"facts": many}))
    assert brought_story(file, 1, 3, 20)[0].ends == (0, 4, 8, 11)
    first, second = ([p.fact for p in brought_story(file, seed, 2, 3)[0].probes] for seed in (1, 2))
    assert len(first) == len(second) == 6 and first != second
    assert not any(p.reverse for p in brought_story(file, 1, 3, 20)[0].probes)  # Lyon is home to all of them
    with pytest.raises(TooFewFactsError, match="11 facts"):
        brought_story(file, 1, 12, 1)


def test_no_night_reads_what_is_known(write: Callable[[Any], Path], tmp_path: Path) -> None:
    known = ada(subject="Zed Marolu", value="Oslo", questions={"test": ["Where is Zed Marolu at home?"]})
    file = load(write({"facts": [SISTER], "known": [known]}))
    assert [w.question for w in known_wordings(file.known, 1)] == ["Where is Zed Marolu at home?"]
    story, _ = brought_story(file, 1, 1, 20)
    asleep = ProductionNights(Config(), SEEDLING, tmp_path, tmp_path, 1, Memory(wordings=story.wordings))
    asleep.memory.untrained = list(story.days[0].rows)
    job = write_job(tmp_path / "job", 1, asleep.memory, Config(), SEEDLING, tmp_path, 1)
    assert not [path for path in job.iterdir() if "Zed" in path.read_text()]


def test_nights_run_on_a_facts_file_from_its_words_to_its_figures(write: Callable[[Any], Path], tmp_path: Path) -> None:
    known = ada(subject="Zed Marolu", value="Oslo")
    text = ["The old bridge was closed for repairs during the long winter months of that year."]
    path = write({"facts": [ada(questions={"test": ["Where is Ada Kervolen?"]}), CODE, SISTER], "known": [known], "text": text})
    plan = Plan(2, 20, (1,), SEEDLING, tmp_path / "out", tmp_path / "out" / "cache", "qa-fuse", brought=path, tokens=400)
    figures = run(plan, lambda _: None)
    assert figures["facts_told"] == 3 and figures["per_seed"][0]["cards"]["given"] == 1
    assert figures["known_before"] in (0.0, 1.0) and 0.0 <= figures["all_after"] <= 1.0
    assert figures["text_loss_before"] > 1.0 and len(figures["matrix"]) == 2
