"""scripts/post_session_sleep.sh: asks the scheduler, and says what it decided with its exit status."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.test_with_daemon import entry

CHECKOUT = Path(__file__).resolve().parents[2]
Script = Callable[..., subprocess.CompletedProcess[str]]

pytestmark = pytest.mark.skipif(
    not (CHECKOUT / ".venv/made-from").exists(), reason="this checkout has no environment of its own yet: scripts/test makes it"
)


@pytest.fixture
def script(tmp_path: Path) -> Script:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        given = ["--experience-buffer", str(tmp_path / "buffer.json"), "--checkpoint-dir", str(tmp_path / "checkpoints")]
        command = ["bash", str(CHECKOUT / "scripts/post_session_sleep.sh"), *given, *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL, check=False)

    return run


def test_what_is_not_due_is_skipped_with_the_numbers(script: Script, tmp_path: Path) -> None:
    (tmp_path / "buffer.json").write_text(json.dumps([entry(0), entry(1)]))
    result = script()
    assert result.returncode == 75
    assert "Insufficient experiences (2 < 5)" in result.stdout and "Skipped" in result.stdout
    assert not list((tmp_path / "checkpoints").glob("cycle_*"))


def test_force_runs_and_a_model_that_does_not_exist_fails_it(script: Script, tmp_path: Path) -> None:
    (tmp_path / "buffer.json").write_text(json.dumps([entry(0), entry(1)]))
    result = script("--force", "--model-path", str(tmp_path / "no-model"))
    assert result.returncode == 1
    assert "no-model" in result.stderr and "remedy: " in result.stderr
    assert not list((tmp_path / "checkpoints").glob("cycle_*"))


def test_a_broken_buffer_is_a_failure_and_not_a_skip(script: Script, tmp_path: Path) -> None:
    (tmp_path / "buffer.json").write_text("no buffer at all")
    result = script()
    assert result.returncode == 1 and "buffer.json" in result.stderr


def test_a_wrong_argument_is_exit_status_2(script: Script) -> None:
    assert script("--what").returncode == 2
