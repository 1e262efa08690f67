"""What a night costs with few and with many earlier facts."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest
from click.testing import CliRunner

from sleepd.lab.cli import lab
from sleepd.lab.cost import measure

QUICK = {"epochs": 1, "rehearsal_pool": 128, "learning_rate": 1e-3, "threads": 1}


def test_nights_are_timed_and_compared_with_the_first(tmp_path: Path) -> None:
    said: list[str] = []
    document = measure(Path(str(files("sleepd.lab") / "seedling")), tmp_path, [2, 6], 2, 1, said.append, QUICK)
    assert [row["earlier"] for row in document["nights"]] == [2, 6] and len(said) == 2
    assert document["ratios"][0] == 1.0
    for row in document["nights"]:
        assert row["seconds"] >= sum(row["stages"].values()) * 0.5 > 0 and row["peak_mb"] > 100


@pytest.mark.parametrize("earlier", ["", "many", "1,,2", "10,99999"])
def test_numbers_that_mean_nothing_are_refused(earlier: str) -> None:
    done = CliRunner().invoke(lab, ["cost", "--earlier", earlier])
    assert done.exit_code == 2 and "separated by commas" in done.output
