"""``sleepd run`` itself, from its own command line: nothing of the tests is loaded in it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sleepd.control import client
from sleepd.errors import ExitCode
from tests.process.harness import ROOT, Workspace, answers, eventually

HEAVY = ("libtorch", "numpy", "transformers", "safetensors", "scipy")
MAX_RSS_MB = 60


@contextmanager
def running(workspace: Workspace) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "sleepd", "-c", str(workspace.config), "run"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stderr=(workspace.root / "log").open("ab"),
    )
    try:
        eventually(lambda: answers(workspace), "it answers")
        yield process
    finally:
        process.kill()
        process.wait(30)


def rss_mb(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return int(line.split()[1]) / 1024


def test_idle_with_a_thousand_experiences_it_is_small_and_has_no_heavy_module(workspace: Workspace) -> None:
    workspace.set("schedule", **workspace.daylight())
    workspace.live(1000)
    with running(workspace) as process:
        eventually(lambda: client.call(workspace.socket, "status")["totals"]["experiences"] == 1000, "ingested")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    with running(workspace) as process:
        eventually(lambda: client.call(workspace.socket, "status")["decision"]["reason"].startswith("Phase is DAY"), "idle")
        maps = Path(f"/proc/{process.pid}/maps").read_text()
        assert not [name for name in HEAVY if name in maps]
        assert rss_mb(process.pid) <= MAX_RSS_MB, f"{rss_mb(process.pid):.1f} MB"
    log = [json.loads(line)["event"] for line in (workspace.root / "log").read_text().splitlines()]
    assert log.count("daemon_ready") == 2 and log.count("daemon_stopped") == 1


def test_the_command_says_once_who_holds_the_state_directory(workspace: Workspace) -> None:
    with running(workspace) as process:
        second = subprocess.run(
            [sys.executable, "-m", "sleepd", "-c", str(workspace.config), "run"],
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert second.returncode == ExitCode.FAILED
        assert second.stderr.splitlines()[0] == f"sleepd: state directory {workspace.state} is in use by sleepd run (pid {process.pid})"
        assert len(second.stderr.splitlines()) == 2
