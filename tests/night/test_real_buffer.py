"""A night on a real buffer of another system, where such data lies beside the checkout."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from sleepd.adapter import gate
from sleepd.adapter.expected import expect
from sleepd.errors import ChildExit
from sleepd.experience.reader import read_buffer
from sleepd.experience.recent import Recent
from sleepd.experience.screen import Screen, ScreenLimits
from tests.night.conftest import MakeJob
from tests.night.test_night import night, result_of

BUFFER = Path(__file__).parents[2] / "../shared/data/buffers/sprout-2026-02-12.json"


@pytest.mark.skipif(not BUFFER.exists(), reason="no real buffers beside the checkout (../shared/data)")
def test_a_night_on_a_real_buffer_ends_with_a_judged_result(make_job: MakeJob) -> None:
    view = read_buffer(BUFFER, 200 * 1024 * 1024)
    screen, recent = Screen(ScreenLimits()), Recent()
    rows = []
    for experience in view.experiences:
        verdict = screen.judge(experience, recent)
        recent.add(experience)
        if verdict.usable:
            shown = {"reasons": list(verdict.reasons), "trimmed": verdict.trimmed, "cards": [asdict(c) for c in verdict.cards]}
            rows.append({"experience": asdict(experience), "verdict": shown})
    collapsed = [json.dumps(row) for row in rows if any(r.startswith("collapsed") for r in row["verdict"]["reasons"])]
    assert len(view.experiences) == 333 and not collapsed
    job = make_job(rows=rows, training={"epochs": 2})
    done = night(job)
    assert done.returncode == ChildExit.DONE, done.stderr
    result = result_of(job)
    report = gate.judge(result, gate.GateLimits(), expect(json.loads((job / "job.json").read_text()), job / "result" / "adapter", 0))
    assert result["training"]["examples"] > 0
    assert len(report.checks) == len(gate.CHECKS)
    assert report.accepted or report.reasons
