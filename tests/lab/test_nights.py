"""Short runs of the laboratory's nights: their figures, their files, how they go on after an interruption."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from sleepd.config.schema import Config
from sleepd.daemon.decide import History
from sleepd.errors import StoreError
from sleepd.lab import days, world
from sleepd.lab.figures import backward_transfer, corrections, forgetting, next_morning, over_seeds
from sleepd.lab.forget import forget
from sleepd.lab.laboratory import Plan, PlanError, Setting, run
from sleepd.lab.measure import Standing
from sleepd.lab.nights import Memory, ProductionNights
from sleepd.lab.pace import Pace
from sleepd.lab.story import Story, world_story
from sleepd.night import job as jobs

SEEDLING = Path(str(files("sleepd.lab") / "seedling"))
TIMED = ("night_seconds", "peak_mb", "night_peak_mb")


def untimed(value: Any) -> Any:
    """Figures without what depends on the machine's mood."""
    if isinstance(value, dict):
        return {key: untimed(one) for key, one in value.items() if key not in TIMED}
    return [untimed(one) for one in value] if isinstance(value, list) else value


def quick(out: Path, **keys: Any) -> Plan:
    """Two nights of two facts by a recipe that takes a second a night."""
    return Plan(**{"nights": 2, "facts": 2, "seeds": (3,), "model": SEEDLING, "out": out, "cache": out / "cache"} | keys)


def standing(direct: tuple[bool, ...], stale: tuple[bool, ...] = (), reverse: tuple[tuple[bool, ...], ...] = ()) -> Standing:
    nothing = tuple(() for _ in direct)
    return Standing(direct, tuple((d,) for d in direct), reverse or nothing, stale or (False,) * len(direct), 1.0, 2.0, 0.0, 0.0, 1.0)


def test_backward_transfer_is_the_mean_change_since_a_fact_s_own_night() -> None:
    assert backward_transfer([[1.0], [0.5, 1.0], [0.5, 0.75, 1.0]]) == -0.375
    assert backward_transfer([[1.0]]) == 0.0


def test_forgetting_is_the_mean_drop_from_the_best_night() -> None:
    assert forgetting([[0.5], [1.0, 0.5], [0.25, 0.75, 1.0]]) == pytest.approx((0.75 - 0.25) / 2)
    assert forgetting([[0.5]]) == 0.0


def test_next_morning_counts_questions_and_facts_without_one_do_not_count() -> None:
    first = standing((True, False), reverse=((True,), ()))
    second = standing((False, False, True, True), reverse=((False,), (), (False,), (True,)))
    standings, spans = [standing((False,) * 4), first, second], [(0, 2), (2, 4)]
    assert next_morning(standings, spans, "direct") == 0.75
    assert next_morning(standings, spans, "reverse") == pytest.approx(2 / 3, abs=1e-4)
    assert next_morning([standing((False,)), standing((True,))], [(0, 1)], "reverse") is None


def test_figures_over_seeds_are_means_with_every_seed_beside_them() -> None:
    one = {
        "direct": 1.0,
        "reverse": None,
        "verdicts": ["accepted"],
        "peak_mb": 10.0,
        "matrix": [[1.0]],
        "seed": 1,
        "cards": {"given": 2},
        "curves": {},
    }
    other = one | {"direct": 0.5, "verdicts": ["rejected"], "peak_mb": 20.0, "matrix": [[0.5]], "seed": 2}
    whole = over_seeds([one, other])
    assert whole["direct"] == 0.75 and whole["reverse"] is None and whole["matrix"] == [[0.75]] and whole["cards"] == {"given": 4}
    assert whole["verdicts"] == ["accepted", "rejected"] and whole["peak_mb"] == 20.0 and whole["per_seed"] == [one, other]


def test_a_quarter_of_the_earlier_facts_is_corrected_later_and_asked_for_anew() -> None:
    story = world_story(5, 3, 8, [], "corrections")
    assert len(story.corrections) == 4  # a quarter of sixteen, for the last day's have no later day
    for correction in story.corrections:
        told_on = next(n for n, (start, end) in enumerate(story.spans(), 1) if start <= correction.fact < end)
        assert correction.day > told_on
        fact = replace(story.probes[correction.fact].fact, value=correction.value)
        cards = [card for _, verdict in story.days[correction.day - 1].rows for card in verdict.cards]
        assert (fact.subject, fact.relation, fact.value) in {(c.subject, c.relation, c.value) for c in cards}
        before, after = story.asked_after(correction.day - 1)[correction.fact], story.asked_after(correction.day)[correction.fact]
        assert before.direct.accept == (story.probes[correction.fact].fact.value,) and after.direct.accept == (correction.value,)
        assert after.stale == before.direct.accept and before.stale == ()


def test_a_corrected_fact_is_measured_on_the_morning_after_and_at_the_end() -> None:
    whole = world_story(5, 3, 8, [], "corrections")
    story = Story(5, whole.days, whole.ends, whole.probes, whole.reversible, whole.corrections[:1], {})
    [correction] = story.corrections
    known = standing(tuple(n == correction.fact for n in range(24)))
    stale = standing((False,) * 24, stale=tuple(n == correction.fact for n in range(24)))
    standings = [stale, stale, stale, stale]
    standings[correction.day] = known
    found = corrections(standings, story)
    assert (found["corrected_new"], found["corrected_old"]) == (1.0, 0.0)
    if correction.day < 3:
        assert (found["corrected_new_end"], found["corrected_old_end"]) == (0.0, 1.0)
    assert corrections(standings, world_story(5, 3, 8, [], "plain")) == {}


def test_no_two_seeds_tell_of_the_same_person_whatever_the_scenario() -> None:
    subjects = [{p.fact.subject for p in world_story(seed, 2, 10, [], s).probes} for seed in range(1, 20) for s in ("corrections",)]
    assert len(set().union(*subjects)) == sum(map(len, subjects)) == 19 * 20
    assert all({f.subject for f in days.facts_of(seed, 2, 10)} == subjects[seed - 1] for seed in range(1, 20))


def test_strangers_are_nobody_that_was_told_of() -> None:
    story = world_story(2, 4, 50, [], "plain")
    names = {p.fact.subject for p in story.probes}
    assert not [p for p in story.probes if any(name in question for question in p.neighbours for name in names)]


def test_the_pace_says_how_long_the_rest_will_take() -> None:
    moments = iter((0.0, 100.0, 200.0, 400.0))
    pace = Pace(3, clock=lambda: next(moments))
    pace.start()
    assert pace.finish() == "3 min to go"
    pace.start()
    assert pace.finish() == "2 min to go"


def test_an_interrupted_run_goes_on_after_its_last_night_with_the_same_figures(tmp_path: Path) -> None:
    def interrupt(line: str) -> None:
        if line.startswith("night  1"):
            raise KeyboardInterrupt

    plan = quick(tmp_path / "cut", recipe="qa-fuse", tokens=400)
    with pytest.raises(KeyboardInterrupt):
        run(plan, interrupt)
    told: list[str] = []
    resumed = run(plan, told.append)
    assert "1 of them finished before" in told[0] and [line[:8] for line in told[1:]] == ["night  2"]
    whole = run(quick(tmp_path / "whole", recipe="qa-fuse", tokens=400), lambda _: None)
    assert untimed(resumed) == untimed(whole)
    assert whole["known_before"] >= 0.95 and whole["all_after"] == resumed["matrix"][-1][0] / 2 + resumed["matrix"][-1][1] / 2
    assert whole["kl"] > 0 and len(whole["per_seed"][0]["curves"]["leak"]) == 3
    assert run(plan, told.append) == resumed  # a finished seed is only read
    with pytest.raises(StoreError, match="nights 2, not 3"):
        run(replace(plan, nights=3), told.append)


def test_what_cannot_be_run_is_refused_before_the_first_night(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="has nothing to forget"):
        run(quick(tmp_path, recipe="locft", scenario="forget"), lambda _: None)
    with pytest.raises(PlanError, match="one seed has"):
        run(quick(tmp_path, nights=100, facts=101), lambda _: None)


def test_memory_is_gone_on_with_as_it_was_left(tmp_path: Path) -> None:
    facts = [world.Fact("Ada Beroko", "city", "Oslo"), world.Fact("Ben Karuvi", "city", "Lyon")]
    lived = [days.day(n, [days.Told(f, (f"{f.subject} lives in {f.value}.",))], random.Random(n)) for n, f in enumerate(facts, 1)]
    first = ProductionNights(Config(), SEEDLING, tmp_path, tmp_path, 1, Memory())
    first.memory.untrained = [*lived[0].rows, *lived[1].rows[:1]]
    first.memory.cards = {"c": {"id": "c", "status": "graduated"}}
    first.memory.history = History(2, 1, 0.01)
    first.memory.living_adapter = tmp_path / "night_001" / "result" / "adapter"
    saved = json.loads(json.dumps(first.save()))
    second = ProductionNights(Config(), SEEDLING, tmp_path, tmp_path, 1, Memory())
    second.restore(saved, lived)
    assert second.memory == first.memory and saved["living_adapter"] == "night_001/result/adapter"


def test_forgetting_takes_cards_out_of_the_next_deep_night_and_counts_what_can_be_drawn_out(tmp_path: Path) -> None:
    setting = Setting(quick(tmp_path), 3)
    config = Config()
    config = config.model_copy(update={"training": config.training.model_copy(update={"preset": "seed", "rehearsal_pool": 64})})
    asleep = ProductionNights(config, SEEDLING, tmp_path / "cache", tmp_path, 3, Memory())
    told = [card for day in setting.story.days for _, verdict in day.rows for card in verdict.cards]
    asleep.memory.cards = {c.id: vars(c) | {"status": "graduated", "best": True, "last": True, "probes": 1} for c in told}
    found = forget(asleep, setting.examiner, 3, seed=1)
    assert found["forgotten"] == 1 and found["tries"] == 20 and found["extracted"] == found["extracted_by_base"] == 0
    job = jobs.load(tmp_path / "night_003")
    assert job.kind == "deep" and len(job.forget) == 1 and len(job.cards) == 3
    assert job.forget[0].id not in {known.card.id for known in job.cards}


def test_a_deep_night_comes_when_the_daemon_would_have_one(tmp_path: Path) -> None:
    setting = Setting(quick(tmp_path), 3)
    config = Config()
    config = config.model_copy(update={"training": config.training.model_copy(update={"preset": "seed", "rehearsal_pool": 64})})
    asleep = ProductionNights(config, SEEDLING, tmp_path / "cache", tmp_path, 3, Memory(history=History(lights_since_deep=6)))
    assert asleep.sleep(1, setting.story.days[0]).kind == jobs.load(tmp_path / "night_001").kind == "deep"
    asleep.memory.history = History(lights_since_deep=5)
    assert asleep.sleep(2, setting.story.days[1]).kind == jobs.load(tmp_path / "night_002").kind == "light"
    assert asleep.memory.history.rejections_in_a_row == 1


def test_a_night_of_the_documents_recipe_learns_nothing_harms_nothing_and_the_gate_says_so(tmp_path: Path) -> None:
    """Through the whole laboratory; that our own recipe learns is shown by the tests of the night and of the demonstration."""
    options = "--nights 1 --facts 3 --seeds 1 --recipe seed --json".split()
    command = [sys.executable, "-m", "sleepd", "lab", "nights", *options, "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["verdicts"] == ["accepted against the gate"]  # only ours is not lived with when the gate says no
    assert all("nothing was learned" in reasons[0] for reasons in figures["per_seed"][0]["reasons"])
    assert figures["all_after"] <= 0.1 and figures["known_after"] == figures["known_before"] >= 0.95
    assert abs(figures["text_loss_after"] / figures["text_loss_before"] - 1) <= 0.001
    assert figures["leak"] == 0 and figures["kl"] == 0 and figures["peak_mb"] > 100
    assert figures["per_seed"][0]["matrix"] == [[0.0]] and len(figures["night_seconds"]) == 1
    assert "Loading weights" not in done.stderr and "Warning" not in done.stderr
    assert json.loads((tmp_path / "figures.json").read_text()) == figures
    for picture in ("matrix.svg", "curves.svg"):
        drawn = ElementTree.parse(tmp_path / "seed_1" / picture).getroot()
        words = {text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")}
        assert "after night" in words or {"asked after night", "facts told on day", "0.00".removeprefix("0")} <= words
