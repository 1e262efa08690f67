"""Recipes compared over seeds, in a short form: what is paired with what, what each may spend, and the page."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from scipy import stats

from sleepd.cli.app import main
from sleepd.lab import paired
from sleepd.lab.baselines import METHODS, OtherNights, all_wordings, implications, one_pair
from sleepd.lab.compare import Comparison, compare
from sleepd.lab.laboratory import Plan, PlanError
from sleepd.lab.measure import Examiner, Questions
from sleepd.lab.page import write
from sleepd.lab.story import world_story

SEEDLING = Path(str(files("sleepd.lab") / "seedling"))
KEYS = {"direct", "paraphrase", "reverse", "all_after", "bwt", "known_before", "known_after", "text_loss_before", "text_loss_after", "leak"}


@pytest.fixture(scope="module")
def examiner() -> Examiner:
    return Examiner(SEEDLING, Questions((), ("Tell me a joke.",), ("The bridge was closed for repairs during the long winter months.",)))


@pytest.fixture(scope="module")
def compared(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path, str]:
    """The command itself, with two recipes of other systems."""
    folder = tmp_path_factory.mktemp("compared")
    options = "--recipes qa-fuse,locft --nights 2 --facts 2 --seeds 2 --tokens 1500 --json".split()
    with pytest.MonkeyPatch.context() as patch:
        told: list[str] = []
        patch.setattr("click.echo", lambda text, err=False: told.append(text) if not err else None)
        assert main(["lab", "compare", *options, "--out", str(folder / "runs"), "--page", str(folder / "docs")]) == 0
    return json.loads(told[-1]), folder, told[-1]


def test_every_quantile_is_students() -> None:
    for degrees in range(1, 31):
        assert paired.t_quantile(degrees) == pytest.approx(stats.t.ppf(0.975, degrees), abs=1e-4)
    assert paired.t_quantile(49) >= stats.t.ppf(0.975, 49)


def test_a_paired_interval_is_that_of_the_differences() -> None:
    ours, other = [0.9, 0.8, 1.0], [0.5, 0.6, 0.4]
    found = paired.difference(ours, other)
    low, high = stats.t.interval(0.95, 2, loc=0.4, scale=stats.sem([0.4, 0.2, 0.6]))
    assert (found.difference, found.low, found.high) == (0.4, pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
    assert paired.difference([1.0], [0.5]) == paired.Difference(0.5, None, None)


def test_a_figure_that_a_seed_lacks_is_not_paired() -> None:
    assert set(paired.paired([{"direct": 1.0, "reverse": None}], [{"direct": 0.5, "reverse": 0.5}])) == {"direct"}


def test_the_document_has_every_recipe_and_its_difference_from_the_first(compared: tuple[dict[str, Any], Path, str]) -> None:
    document, _, _ = compared
    assert list(document["recipes"]) == ["qa-fuse", "locft"] and document["reference"] == "qa-fuse"
    for figures in document["recipes"].values():
        assert set(figures) >= KEYS and [one["seed"] for one in figures["per_seed"]] == [1, 2]
        assert 0 < figures["night_tokens"] <= 1500 and len(figures["verdicts"]) == 4
    assert set(document["paired"]) == {"locft"}
    difference = document["paired"]["locft"]["known_after"]
    first, second = document["recipes"]["qa-fuse"], document["recipes"]["locft"]
    assert difference["difference"] == pytest.approx(first["known_after"] - second["known_after"], abs=1e-4)
    assert difference["low"] <= difference["difference"] <= difference["high"]


def test_seeds_share_nothing_and_recipes_share_everything(compared: tuple[dict[str, Any], Path, str]) -> None:
    document, _, _ = compared
    first, second = (document["recipes"][name]["per_seed"] for name in ("qa-fuse", "locft"))
    assert [one["text_loss_before"] for one in first] == [one["text_loss_before"] for one in second]
    assert [one["known_before"] for one in first] == [one["known_before"] for one in second]


def test_the_page_has_the_numbers_the_command_and_the_machine_but_no_folder(compared: tuple[dict[str, Any], Path, str]) -> None:
    document, folder, printed = compared
    page = (folder / "docs" / "laboratory.md").read_text()
    assert "sleepd lab compare --nights 2 --facts 2 --seeds 2 --seed 1" in page and "--recipes qa-fuse,locft --tokens 1500" in page
    assert document["machine"]["processor"] in page and f"torch {document['machine']['torch']}" in page
    assert f"| locft | {document['recipes']['locft']['direct']:.3f}" in page and " to " in page
    assert str(folder) not in page + printed
    for name in ("recipes.svg", "matrix.svg", "curves.svg"):
        assert f"laboratory/{name}" in page
        ElementTree.parse(folder / "docs" / "laboratory" / name)
    assert json.loads((folder / "docs" / "laboratory" / "comparison.json").read_text()) == document


def test_the_page_can_be_written_again_from_the_data_alone(compared: tuple[dict[str, Any], Path, str], tmp_path: Path) -> None:
    _, folder, _ = compared
    write(json.loads((folder / "runs" / "comparison.json").read_text()), tmp_path)
    assert (tmp_path / "laboratory.md").read_text() == (folder / "docs" / "laboratory.md").read_text()


def test_a_finished_comparison_is_only_read_again(compared: tuple[dict[str, Any], Path, str]) -> None:
    document, folder, _ = compared
    plan = Plan(2, 2, (1, 2), SEEDLING, folder / "runs", folder / "runs" / "cache")
    told: list[str] = []
    again = compare(Comparison(plan, ("qa-fuse", "locft"), 1500), document["command"], told.append)
    assert again == document and not [line for line in told if line.startswith("night")]


def test_a_budget_that_nobody_set_is_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plan = Plan(2, 2, (1,), SEEDLING, tmp_path, tmp_path / "cache")
    with pytest.raises(PlanError, match="ours is not among the recipes"):
        compare(Comparison(plan, ("locft",), 0), "", lambda _: None)
    assert main(["lab", "compare", "--recipes", "ours,theirs"]) == 2
    assert "theirs is no recipe" in capsys.readouterr().err


def test_each_recipe_trains_what_it_publishes(examiner: Examiner) -> None:
    story = world_story(4, 1, 3, [], "plain")
    cards = [card for _, verdict in story.days[0].rows for card in verdict.cards]
    assert len(cards) == 3
    assert len(one_pair(cards, examiner.chat, {})) == 3
    texts = [item for item in implications(cards, examiner.chat, {}) if item.start == 1]
    assert len(texts) in (5, 6) and len(implications(cards, examiner.chat, {})) == len(texts) + 9
    assert len(all_wordings(cards, examiner.chat, {})) >= 3 * 12
    brought = {cards[0].id: ["Where then?"]}
    assert len(one_pair(cards[:1], examiner.chat, brought)) == len(all_wordings(cards[:1], examiner.chat, brought)) == 1


@pytest.mark.parametrize("name", sorted(METHODS))
def test_a_recipe_changes_what_it_says_and_goes_on_from_its_last_night(name: str, examiner: Examiner, tmp_path: Path) -> None:
    story = world_story(4, 3, 2, [], "plain")

    def asleep() -> OtherNights:
        return OtherNights(name, SEEDLING, tmp_path, 4, {}, examiner.chat, examiner.pad, 1000)

    first = asleep()
    nights = [first.sleep(number, day) for number, day in enumerate(story.days, 1)]
    assert all(0 < night.tokens <= 1000 for night in nights)
    base = dict(examiner.base.named_parameters())
    changed = {key for key, value in first.model.named_parameters() if not value.equal(base[key])}
    assert changed and changed <= {key for key in base if "norm" not in key and "embed" not in key}
    assert name != "locft" or changed == {"model.layers.2.mlp.down_proj.weight"}
    second = asleep()
    second.restore(first.save(), story.days)
    after = dict(second.model.named_parameters())
    assert all(after[key].equal(value) for key, value in first.model.named_parameters())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["night_002", "night_003"]
