"""The walls between the packages, seen from a running interpreter: what is loaded, not what is written."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
HEAVY = {"torch", "transformers", "peft", "numpy", "safetensors", "scipy", "tokenizers"}
VERBS = sorted(file.stem for file in (CHECKOUT / "sleepd/cli").glob("[!_]*.py"))


def loaded_after(statement: str) -> set[str]:
    """The top-level modules in a fresh interpreter after ``statement``."""
    shown = subprocess.run(
        [sys.executable, "-c", f"{statement}\nimport sys\nprint(*{{name.partition('.')[0] for name in sys.modules}})"],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return set(shown.stdout.split())


@pytest.mark.parametrize(
    "package", ["sleepd", "sleepd.daemon.service", "sleepd.experience", "sleepd.adapter", "sleepd.ledger", "sleepd.control.server"]
)
def test_what_the_resident_daemon_imports_is_light(package: str) -> None:
    assert loaded_after(f"import {package}") & HEAVY == set()


def test_no_verb_loads_anything_heavy_when_it_is_imported() -> None:
    statement = "\n".join(f"import sleepd.cli.{verb}" for verb in VERBS)
    assert loaded_after(statement) & (HEAVY | {"pydantic", "structlog", "apscheduler", "starlette", "uvicorn", "sqlite3"}) == set()


def test_asking_for_the_status_needs_click_and_nothing_else_from_outside() -> None:
    loaded = loaded_after("from sleepd.cli.app import main\nmain(['status', '--instance', 'no-such-instance'])")
    assert loaded & (HEAVY | {"pydantic", "structlog", "rich", "apscheduler", "watchdog", "sqlite3", "asyncio"}) == set()


def test_importing_the_inference_service_is_light() -> None:
    assert loaded_after("import sleepd.serve") & HEAVY == set()


def test_the_contracts_between_the_packages_hold() -> None:
    result = subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--no-cache"], cwd=CHECKOUT, capture_output=True, text=True, timeout=120, check=False
    )
    assert result.returncode == 0, result.stdout[-3000:]
