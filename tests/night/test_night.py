"""Whole nights in a real child process on the seedling."""

from __future__ import annotations

import json
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from sleepd.errors import ChildExit
from sleepd.lab import world
from sleepd.lab.measure import Examiner, Questions
from sleepd.night.evaluate import answers
from sleepd.night.job import job_id
from sleepd.night.wordings import forward
from tests.night.conftest import SEEDLING, MakeJob, rows_of

QUICK = {"epochs": 8}  # fewer steps than a real night takes: enough to see that it learns
FACTS = world.facts_about(random.Random(11), world.people(11, 6))


def night(job: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "sleepd.night", str(job)], capture_output=True, text=True, timeout=300)


def result_of(job: Path) -> dict[str, Any]:
    return dict(json.loads((job / "result" / "result.json").read_text()))


def share(rows: list[dict[str, Any]], who: str) -> float:
    flat = [ok for row in rows for ok in row[who]]
    return sum(flat) / len(flat)


@pytest.fixture(scope="module")
def learned(tmp_path_factory: pytest.TempPathFactory, cache: Path, seedling: Path) -> Path:
    """One finished night, shared by the tests that only read it."""
    make: MakeJob = make_job_in(tmp_path_factory.mktemp("learned"), seedling, cache)
    job = make(FACTS, training=QUICK)
    done = night(job)
    assert done.returncode == ChildExit.DONE, done.stderr
    (job / "stdout").write_text(done.stdout)
    return job


def make_job_in(folder: Path, seedling: Path, cache: Path) -> MakeJob:
    from tests.night import conftest

    maker: MakeJob = conftest.make_job.__wrapped__(folder, seedling, cache)  # type: ignore[attr-defined]
    return maker


def test_a_night_recalls_new_facts_in_wordings_that_were_not_trained(learned: Path) -> None:
    evaluation = result_of(learned)["evaluation"]
    assert share(evaluation["new"], "base") <= 0.1
    assert share(evaluation["new"], "candidate") >= 0.8


def test_a_night_keeps_unseen_text_and_the_base_s_manners(learned: Path) -> None:
    evaluation = result_of(learned)["evaluation"]
    text = evaluation["text"]
    before, after = (
        sum(x * n for x, n in zip(text[who], text["tokens"], strict=True)) / sum(text["tokens"]) for who in ("base", "candidate")
    )
    assert after - before <= 0.02
    assert evaluation["collapse"]["candidate"]["distinct3"] >= evaluation["collapse"]["base"]["distinct3"] - 0.05


def test_the_result_names_what_it_used_and_how_to_recognise_it(learned: Path) -> None:
    result = result_of(learned)
    assert sorted(p.name for p in (learned / "result").iterdir()) == ["adapter", "cards.jsonl", "result.json"]
    assert len(result["cards_used"]) == 6 and len(result["experiences_used"]) == 6
    assert {c["status"] for c in result["cards"]} <= {"graduated", "learning"}
    assert any(value in canary["answer"] for canary in result["canaries"] for value in (f.value for f in FACTS))
    assert result["adapter"]["changed"] and result["adapter"]["finite"] and result["adapter"]["trainable_parameters"] > 0
    assert not (learned / "checkpoint").exists()


def test_progress_rises_and_every_line_is_json(learned: Path) -> None:
    lines = [json.loads(line) for line in (learned / "stdout").read_text().splitlines()]
    percents = [line["percent"] for line in lines]
    assert percents == sorted(percents) and {line["stage"] for line in lines} == {"curate", "dataset", "train", "evaluate"}
    assert any("loss" in line and line["eta_s"] is not None for line in lines)


def test_a_second_night_keeps_the_first_one_s_facts(learned: Path, make_job: MakeJob) -> None:
    first = result_of(learned)
    known = [{**c, "best": c["recalled"], "last": c["recalled"], "probes": 1} for c in first["cards"]]
    fresh = world.facts_about(random.Random(12), world.people(12, 6))
    job = make_job(fresh, training=QUICK, known=known, living_adapter=str(learned / "result" / "adapter"), cycle=2)
    assert night(job).returncode == ChildExit.DONE
    evaluation = result_of(job)["evaluation"]
    assert share(evaluation["new"], "candidate") >= 0.7
    assert sum(row["candidate"] for row in evaluation["old"]) >= sum(row["best"] for row in evaluation["old"]) - 1


def test_a_stopped_night_goes_on_and_ends_with_the_very_same_adapter(make_job: MakeJob) -> None:
    job = make_job(FACTS, training={"epochs": 3})
    whole = make_job(FACTS, training={"epochs": 3})
    assert night(whole).returncode == ChildExit.DONE
    child = subprocess.Popen([sys.executable, "-m", "sleepd.night", str(job)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert child.stdout is not None
    for line in child.stdout:
        report = json.loads(line)
        if report["stage"] == "train" and report["step"] >= 12:
            child.send_signal(signal.SIGTERM)
            break
    child.communicate(timeout=120)
    assert child.returncode == ChildExit.CHECKPOINTED
    assert (job / "checkpoint" / "state.json").exists() and not (job / "result").exists()
    assert night(job).returncode == ChildExit.DONE
    assert result_of(job)["adapter"]["sha256"] == result_of(whole)["adapter"]["sha256"]


def test_the_documents_preset_learns_nothing_and_the_figures_say_so(make_job: MakeJob) -> None:
    job = make_job(FACTS, training={"preset": "seed"})
    assert night(job).returncode == ChildExit.DONE
    result = result_of(job)
    assert result["training"]["learning_rate"] == 1e-5 and result["training"]["epochs"] == 3
    assert share(result["evaluation"]["new"], "candidate") <= 0.1


def test_a_deep_night_learns_everything_again_from_the_base_and_dreams(learned: Path, make_job: MakeJob) -> None:
    known = [{**c, "best": c["recalled"], "last": c["recalled"], "probes": 1} for c in result_of(learned)["cards"]]
    more = world.Fact(FACTS[0].subject, "instrument", "oboe")  # a second fact of one person: something to put together
    job = make_job([more], training=QUICK, known=known, living_adapter=str(learned / "result" / "adapter"), cycle=3, kind="deep", seed=5)
    assert night(job).returncode == ChildExit.DONE
    result = result_of(job)
    recalled = [row["candidate"] for row in result["evaluation"]["old"]]
    assert len(recalled) == len(known) and sum(recalled) >= 0.8 * len(recalled)
    assert result["adapter"]["sha256"] != result_of(learned)["adapter"]["sha256"]
    told = {card["id"]: card["value"] for card in result["cards"]}
    assert result["training"]["epochs"] == QUICK["epochs"]
    assert result["dreams"]
    for dreamt in result["dreams"]:
        assert set(dreamt["card_ids"]) <= set(told) and any(told[card] in dreamt["messages"][-1][1] for card in dreamt["card_ids"])


def test_a_night_that_only_takes_a_fact_back_unlearns_it_and_keeps_the_others(learned: Path, make_job: MakeJob, seedling: Path) -> None:
    known = [{**c, "best": c["recalled"], "last": c["recalled"], "probes": 1} for c in result_of(learned)["cards"]]
    gone, wordings = FACTS[0], forward(FACTS[0].subject, FACTS[0].relation, FACTS[0].value, "test")
    [row] = rows_of([gone])
    row["experience"] |= {"id": "taken-back", "prompt": "That is not true any more.", "timestamp": "2026-01-06T10:00:00"}
    row["verdict"]["cards"][0] |= {"status": "superseded", "time": "2026-01-06T10:00:00", "experience_id": "taken-back"}
    living = learned / "result" / "adapter"
    job = make_job(rows=[row], known=known, living_adapter=str(living), cycle=2)
    done = night(job)
    assert done.returncode == ChildExit.DONE, done.stderr
    result = result_of(job)
    assert result["experiences_used"] == ["taken-back"] and result["evaluation"]["new"] == []
    assert [(c["value"], c["status"]) for c in result["cards"] if c["status"] == "superseded"] == [(gone.value, "superseded")]
    kept = [row["candidate"] for row in result["evaluation"]["old"]]
    assert len(kept) == 5 and sum(kept) >= 4
    before, after = (said_of(seedling, adapter, [w.question for w in wordings]) for adapter in (living, job / "result" / "adapter"))
    assert sum(gone.value in answer for answer in before) >= 3
    assert not any(gone.value in answer for answer in after)


def said_of(base: Path, adapter: Path, questions: list[str]) -> list[str]:
    """Greedy answers of the base with an adapter, each in a fresh context."""
    examiner = Examiner(base, Questions(known=(), unrelated=("How are you?",), texts=("It rained all day, and the streets were wet.",)))
    with examiner.wearing(adapter) as model:
        return answers(model, examiner.chat, questions, lambda: None)


def test_a_finished_job_is_not_trained_twice(learned: Path) -> None:
    started = time.monotonic()
    before = (learned / "result" / "result.json").stat().st_mtime_ns
    assert night(learned).returncode == ChildExit.DONE
    assert (learned / "result" / "result.json").stat().st_mtime_ns == before
    assert time.monotonic() - started < 60


def last_line(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    return dict(json.loads(done.stdout.splitlines()[-1]))


def test_a_model_that_changed_is_a_bad_job(make_job: MakeJob) -> None:
    done = night(make_job(FACTS, model={"path": str(SEEDLING), "sha256": "0" * 64}))
    assert done.returncode == ChildExit.BAD_JOB
    assert "changed" in last_line(done)["message"] and last_line(done)["remedy"]


def test_a_model_path_that_does_not_exist_is_a_bad_job(make_job: MakeJob, tmp_path: Path) -> None:
    done = night(make_job(FACTS, model={"path": str(tmp_path / "nowhere"), "sha256": "0" * 64}))
    assert done.returncode == ChildExit.BAD_JOB and "nowhere" in last_line(done)["message"]


def test_a_job_whose_content_was_altered_is_a_bad_job(make_job: MakeJob) -> None:
    job = make_job(FACTS)
    document = json.loads((job / "job.json").read_text()) | {"seed": 99}
    (job / "job.json").write_text(json.dumps(document))
    assert document["id"] != job_id(document)
    assert night(job).returncode == ChildExit.BAD_JOB


def test_a_damaged_job_is_a_bad_job(make_job: MakeJob) -> None:
    job = make_job(FACTS)
    (job / "experiences.jsonl").write_text('{"experience": \n')
    done = night(job)
    assert done.returncode == ChildExit.BAD_JOB and "line 1" in last_line(done)["message"]


def test_a_day_without_anything_to_learn_is_bad_data_and_says_so(make_job: MakeJob) -> None:
    rows = rows_of(FACTS)
    for row in rows:
        row["verdict"]["cards"] = []
    done = night(make_job(rows=rows))
    assert done.returncode == ChildExit.BAD_DATA and "nothing to learn" in last_line(done)["message"]
