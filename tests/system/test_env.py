"""scripts/_env: when it makes the environment, when it does not, and what it says when it cannot. pip is a stand-in that keeps a list."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
STAND_IN = """#!/bin/sh
case "$*" in
  "-m pip "*) echo "$*" >>"$PIP_LOG"; exit "${PIP_EXIT:-0}" ;;
  "-m venv "*) mkdir -p "$4/bin"; cp "$0" "$4/bin/python"; echo "VIRTUAL_ENV=$4" >"$4/bin/activate" ;;
  -c*) exit "${PYTHON_EXIT:-0}" ;;
esac
"""
Source = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout without an environment, and a folder with a stand-in for python3."""
    checkout = tmp_path / "checkout"
    (checkout / "scripts").mkdir(parents=True)
    for name in ("scripts/_env", "pyproject.toml", "constraints.txt"):
        shutil.copy(CHECKOUT / name, checkout / name)
    (tmp_path / "bin").mkdir()
    for name in ("python3", "python3.11", "python3.12", "python3.13", "python3.14", "python"):
        (tmp_path / "bin" / name).write_text(STAND_IN)
        (tmp_path / "bin" / name).chmod(0o755)
    return checkout


@pytest.fixture
def source(checkout: Path, tmp_path: Path) -> Source:
    def run(**environment: str) -> subprocess.CompletedProcess[str]:
        env = {"PATH": f"{tmp_path}/bin:{os.environ['PATH']}", "PIP_LOG": str(tmp_path / "pip"), **environment}
        command = ["bash", "-euc", f'. {checkout}/scripts/_env; echo "$python"']
        return subprocess.run(command, capture_output=True, text=True, timeout=30, env=env, stdin=subprocess.DEVNULL, check=False)

    return run


def installs(tmp_path: Path) -> list[str]:
    log = tmp_path / "pip"
    return [line.partition(" install ")[2] for line in log.read_text().splitlines()] if log.exists() else []


def test_the_first_run_installs_torch_alone_and_then_the_rest_pinned(source: Source, checkout: Path, tmp_path: Path) -> None:
    result = source()
    assert result.returncode == 0, result.stderr
    assert result.stdout == f"{checkout}/.venv/bin/python\n"
    assert installs(tmp_path) == ["torch==2.13.0", f"-c {checkout}/constraints.txt -e {checkout}[train,serve,dev]"]


def test_the_second_run_starts_at_once(source: Source, tmp_path: Path) -> None:
    source()
    began = time.perf_counter()
    result = source()
    assert time.perf_counter() - began < 1.0
    assert result.returncode == 0 and result.stderr == ""
    assert len(installs(tmp_path)) == 2


@pytest.mark.parametrize("name", ["pyproject.toml", "constraints.txt"])
def test_changed_pins_are_installed(source: Source, checkout: Path, tmp_path: Path, name: str) -> None:
    source()
    with (checkout / name).open("a") as file:
        file.write("# changed\n")
    assert source().returncode == 0
    assert len(installs(tmp_path)) == 4


def test_a_failed_set_up_says_why_and_is_tried_again(source: Source, checkout: Path, tmp_path: Path) -> None:
    failed = source(PIP_EXIT="1")
    assert failed.returncode == 1 and failed.stdout == ""
    assert str(checkout / ".venv/setup.log") in failed.stderr and "remedy: " in failed.stderr
    assert source().returncode == 0
    assert len(installs(tmp_path)) == 3


def test_an_environment_that_was_moved_is_made_again(source: Source, checkout: Path, tmp_path: Path) -> None:
    source()
    (checkout / ".venv/bin/activate").write_text("VIRTUAL_ENV=/elsewhere/.venv\n")
    (checkout / ".venv/made-from").unlink()
    (checkout / ".venv/left-over").touch()
    assert source().returncode == 0
    assert not (checkout / ".venv/left-over").exists() and len(installs(tmp_path)) == 4


def test_without_a_new_enough_python_it_says_which_is_needed(source: Source, checkout: Path) -> None:
    result = source(PYTHON_EXIT="1")
    assert result.returncode == 1
    assert "3.11" in result.stderr and "remedy: " in result.stderr
    assert not (checkout / ".venv").exists()
