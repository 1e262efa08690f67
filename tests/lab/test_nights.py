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


def test_two_nights_learn_keep_and_report(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sleepd", "lab", "nights", "--nights", "2", "--facts", "5", "--json", "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=400, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["verdicts"] == ["accepted", "accepted"], figures["per_seed"][0]["reasons"]
    assert figures["direct"] >= 0.8 and figures["all_after"] >= 0.8
    assert figures["known_after"] >= figures["known_before"] - 0.03
    assert figures["text_loss_after"] <= figures["text_loss_before"] * 1.01
    assert len(figures["per_seed"][0]["matrix"]) == 2 and len(figures["night_seconds"]) == 2
    ElementTree.parse(tmp_path / "seed_1" / "nights.svg")
