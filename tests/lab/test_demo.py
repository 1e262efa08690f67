"""The demonstration, as `scripts/demo --json` runs it."""

from __future__ import annotations

import json
import subprocess
import sys


def test_the_demonstration_reaches_its_figures() -> None:
    done = subprocess.run([sys.executable, "-m", "sleepd.lab.demo", "--json"], capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["recall_before"] <= 0.1 and figures["recall_after"] >= 0.9
    assert figures["old_recall_after"] >= figures["old_recall_before"] - 0.03
    assert figures["verdict"] == "committed" and figures["active"] == figures["served"] == "cycle_001"
    assert figures["requests"] > 50 and figures["failed_requests"] == 0
    assert figures["daemon_rss_mb"] <= 60
