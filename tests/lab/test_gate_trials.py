"""A short form of `sleepd lab gate`: some planted bad adapters are refused, each for its own reason, and one real night is judged."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from sleepd.adapter.gate import CHECKS
from sleepd.lab.faults import FAULTS, FILES
from sleepd.lab.gate_trials import SOUND, Plan, run

SHORT = {
    "shuffled labels",
    "one answer for everything",
    "identity swapped",
    "weights that are not finite",
    "truncated file",
    "evidence missing",
}


@pytest.fixture(scope="module")
def document(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("gate")
    plan = Plan(
        model=Path(str(files("sleepd.lab") / "seedling")),
        out=folder,
        cache=folder / "cache",
        clean=0,
        facts=2,
        faults=[fault for fault in FAULTS if fault.name in SHORT],
        training={"threads": 1, "learning_rate": 2e-3, "epochs": 6, "rehearsal_pool": 128},
    )
    told: list[str] = []
    found = run(plan, told.append)
    assert len(told) == 1 + len(SHORT)
    return found


def test_there_are_twenty_faults_and_every_kind_of_harm_has_one() -> None:
    assert len(FAULTS) == len({fault.name for fault in FAULTS}) == 20
    harms = {name for name, _ in CHECKS} - {"trained", "forgotten"}
    assert {fault.expected for fault in FAULTS} == harms | {FILES}
    assert all((fault.make is None) != (fault.damage is None) for fault in FAULTS)


def test_each_planted_adapter_is_refused_for_its_own_reason(document: dict[str, Any]) -> None:
    rows = {row["name"]: row for row in document["rows"]}
    assert rows[SOUND]["kind"] == "control"
    for fault in FAULTS:
        if fault.name in SHORT:
            row = rows[fault.name]
            assert row["accepted"] is False and fault.expected in row["refused_by"], row
            assert fault.expected not in rows[SOUND]["refused_by"], rows[SOUND]
    assert document["bad_refused"] == document["bad_total"] == len(SHORT)
    json.dumps(document)
