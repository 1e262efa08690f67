"""What the project claims about the model that it brings along."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path

from sleepd.lab.recall import measure

SEEDLING = Path(str(files("sleepd.lab") / "seedling"))


def test_it_is_small_enough_to_be_committed() -> None:
    assert (SEEDLING / "model.safetensors").stat().st_size <= 8_000_000


def test_it_knows_its_facts_in_mixed_wordings_as_recorded() -> None:
    recorded = json.loads((SEEDLING / "recall.json").read_text())
    assert recorded["facts"] >= 500 and recorded["recall"] >= 0.95
    figures = measure(SEEDLING, seed=99)  # other wordings than the record's
    assert figures["recall"] >= 0.95
    assert figures["strangers_unknown"] >= 0.75 and figures["read_in_context"] >= 0.75 and figures["extraction_exact"] >= 0.8
