"""Two short nights through the laboratory's command, and its figures."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

from sleepd.lab.figures import backward_transfer


def test_backward_transfer_is_the_mean_change_since_a_fact_s_own_night() -> None:
    assert backward_transfer([[1.0], [0.5, 1.0], [0.5, 0.75, 1.0]]) == -0.375
    assert backward_transfer([[1.0]]) == 0.0


def test_nights_of_the_documents_recipe_learn_nothing_harm_nothing_and_are_refused(tmp_path: Path) -> None:
    """Through the whole laboratory; that our own recipe learns is shown by the tests of the night and of the demonstration."""
    command = [
        sys.executable,
        "-m",
        "sleepd",
        "lab",
        "nights",
        "--nights",
        "2",
        "--facts",
        "5",
        "--recipe",
        "seed",
        "--json",
        "--out",
        str(tmp_path),
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["verdicts"] == ["rejected", "rejected"]
    assert all("nothing was learned" in reasons[0] for reasons in figures["per_seed"][0]["reasons"])
    assert figures["all_after"] <= 0.1 and figures["known_after"] == figures["known_before"] >= 0.95
    assert figures["text_loss_after"] == figures["text_loss_before"]  # a refused adapter is not lived with
    assert len(figures["per_seed"][0]["matrix"]) == 2 and len(figures["night_seconds"]) == 2
    ElementTree.parse(tmp_path / "seed_1" / "nights.svg")
