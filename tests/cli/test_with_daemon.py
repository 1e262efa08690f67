"""Every verb against a real daemon process, without a base model: what works without one, and what is said about the rest."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Said
from tests.system.machine import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]
START_SECONDS = 20.0
STATUS_KEYS = {
    "version", "instance", "phase", "next_phase_change", "decision", "totals", "cycle", "active", "last_cycle", "inference", "quarantine",
    "config_generation", "paused",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """State, buffer and configuration of the one daemon that the tests of this file share."""
    tmp_path = tmp_path_factory.mktemp("daemon")
    (tmp_path / "sleepd.toml").write_text(
        f'[directories]\nstate = "{tmp_path}/state"\nruntime = "{tmp_path}/run"\ncache = "{tmp_path}/cache"\n'
        "[schedule]\nidle_minutes = 0\n[conditions]\nrequire_ac = false\n"
        f'[experience]\nbuffers = ["{tmp_path}/buffer.json"]\nquiet_seconds = 0.0\n'
    )
    (tmp_path / "buffer.json").write_text(json.dumps([entry(number) for number in range(4)]))
    return tmp_path


REPLIES = [
    "Working with glass all day sounds lovely; does Tilda cut the panes herself or only set them?",
    "Then Marek must be up long before dawn, when the first loaves have to go into the oven.",
    "Ilse sees the world from above every week, which few of us can say of our own trade.",
    "A loom takes patience, and Bruno seems to be someone who has plenty of that to give.",
]


def entry(number: int) -> dict[str, Any]:
    """One of four exchanges that are good for an example and for a fact."""
    name, trade = [("Tilda", "glazier"), ("Marek", "baker"), ("Ilse", "pilot"), ("Bruno", "weaver")][number]
    return {
        "id": f"{number:016x}",
        "prompt": f"My friend {name} works as a {trade}.",
        "response": REPLIES[number],
        "salience": dict.fromkeys(["surprise", "novelty", "arousal", "reward", "conflict", "total"], 0.7),
        "session": 1,
        "phase": None,
        "timestamp": f"2026-03-01T12:0{number}:00",
        "metadata": {},
    }


@pytest.fixture(scope="module")
def sleepd(folder: Path) -> Callable[..., Said]:
    """Run one command line in a process of its own."""

    def run(*arguments: str) -> Said:
        ended = subprocess.run(
            [sys.executable, "-m", "sleepd", *arguments, "-c", str(folder / "sleepd.toml")],
            cwd=CHECKOUT,
            capture_output=True,
            text=True,
            timeout=60,
            stdin=subprocess.DEVNULL,
            check=False,
        )
        return Said(ended.returncode, ended.stdout, ended.stderr)

    return run


@pytest.fixture(scope="module")
def running(folder: Path, sleepd: Callable[..., Said]) -> Iterator[subprocess.Popen[bytes]]:
    with (folder / "log").open("wb") as log:
        daemon = subprocess.Popen(
            [sys.executable, "-m", "sleepd", "run", "-c", str(folder / "sleepd.toml")],
            cwd=CHECKOUT,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
        )
    try:
        wait_until(lambda: (folder / "run" / "control.sock").exists() or daemon.poll() is not None, START_SECONDS, "the daemon listens")
        assert daemon.poll() is None, (folder / "log").read_text()
        wait_until(lambda: json.loads(sleepd("status", "--json").out)["totals"]["experiences"] == 4, START_SECONDS, "the buffer is read")
        yield daemon
    finally:
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(30) == 0, (folder / "log").read_text()


@pytest.mark.usefixtures("running")
def test_the_documents_have_the_promised_keys(sleepd: Callable[..., Said]) -> None:
    status = json.loads(sleepd("status", "--json").out)
    assert status.keys() >= STATUS_KEYS
    assert status["totals"]["usable"] == 4 and status["cycle"] is None and status["active"] is None
    check = sleepd("check", "--json")
    assert check.code == 75
    assert json.loads(check.out).keys() >= {"should_run", "reason", "checks"}
    assert [set(row) for row in json.loads(check.out)["checks"]] == [{"name", "ok", "detail"}] * len(json.loads(check.out)["checks"])
    assert json.loads(sleepd("cycles", "--json").out) == {"cycles": []}


@pytest.mark.usefixtures("running")
def test_every_screen_for_people_can_be_shown(sleepd: Callable[..., Said]) -> None:
    assert "4, of them 4 usable" in sleepd("status").out
    assert sleepd("check").out.startswith("no cycle now: ")
    assert sleepd("cycles").out == "no cycle yet\n"


@pytest.mark.usefixtures("running")
def test_a_pause_lasts_until_it_is_ended(sleepd: Callable[..., Said]) -> None:
    assert sleepd("pause").code == 0
    assert json.loads(sleepd("status", "--json").out)["paused"] is True
    assert sleepd("resume").code == 0
    assert json.loads(sleepd("status", "--json").out)["paused"] is False


@pytest.mark.usefixtures("running")
@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["show", "3"], 4),
        (["report"], 4),
        (["report", "3"], 4),
        (["rollback"], 4),
        (["rollback", "3"], 4),
        (["activate", "3"], 4),
        (["tag", "3", "mine"], 4),
        (["sleep"], 75),
        (["sleep", "--follow"], 75),
    ],
)
def test_what_cannot_be_done_is_said_in_two_lines_with_its_exit_status(
    sleepd: Callable[..., Said], arguments: list[str], code: int
) -> None:
    said = sleepd(*arguments)
    assert (said.code, said.out) == (code, "")
    cause, remedy = said.err.splitlines()
    assert cause.startswith("sleepd: ") and remedy.startswith("remedy: ")


@pytest.mark.usefixtures("running")
def test_a_reload_takes_a_good_file_over_and_refuses_a_bad_one(sleepd: Callable[..., Said], folder: Path) -> None:
    file = folder / "sleepd.toml"
    good = file.read_text()
    try:
        file.write_text(good.replace("idle_minutes = 0", "idle_minutes = 5"))
        assert sleepd("reload").out == "reloaded: schedule.idle_minutes\n"
        file.write_text(good.replace("idle_minutes = 0", "idle_minutes = -5"))
        refused = sleepd("reload")
        assert refused.code == 2 and "schedule.idle_minutes" in refused.err
        file.write_text("[schedule\n")
        # With -c the command line itself cannot read where the socket is; what matters is that nothing is taken over.
        broken = sleepd("reload")
        assert broken.code == 2 and "not TOML" in broken.err
    finally:
        file.write_text(good)
    assert sleepd("reload").out == "reloaded: schedule.idle_minutes\n"


@pytest.mark.usefixtures("running")
def test_a_dry_run_names_what_would_be_trained_and_trains_nothing(sleepd: Callable[..., Said], folder: Path) -> None:
    said = sleepd("sleep", "--dry-run", "--force", "--json")
    document = json.loads(said.out)
    assert said.code == 75  # no base model is configured
    assert document["dry_run"] is True and document["started"] is False
    assert {row["id"] for row in document["would_train"]} == {entry(number)["id"] for number in range(4)}
    assert any("Tilda works as a glazier" in fact for row in document["would_train"] for fact in row["facts"])
    assert "nothing was trained" in sleepd("sleep", "--dry-run").out
    assert json.loads(sleepd("cycles", "--json").out) == {"cycles": []}
    assert not list((folder / "state").glob("adapters/cycle_*"))


@pytest.mark.usefixtures("running")
def test_a_second_daemon_is_refused_and_the_first_runs_on(sleepd: Callable[..., Said]) -> None:
    second = sleepd("run")
    assert second.code != 0 and "remedy: " in second.err
    assert sleepd("status").code == 0


def test_without_a_daemon_and_a_model_a_cycle_is_refused_with_a_remedy(say: Callable[..., Said], tmp_path: Path) -> None:
    said = say("sleep", "--force")
    assert said.code == 75 and said.out == ""
    cause, remedy = said.err.splitlines()[-2:]
    assert "model" in cause and remedy.startswith("remedy: ")
    assert not list((tmp_path / "state").glob("adapters/cycle_*"))


def test_a_dry_run_without_a_daemon_says_the_same_and_leaves_no_cycle(say: Callable[..., Said], tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "experience_buffer.json").write_text(json.dumps([entry(0)]))
    said = say("sleep", "--dry-run", "--json")
    document = json.loads(said.out)
    assert said.code == 75 and said.err == ""
    assert document.keys() >= {"started", "dry_run", "cycle", "kind", "decision", "would_train"}
    assert [row["id"] for row in document["would_train"]] == [entry(0)["id"]]
    assert json.loads(say("cycles", "--json").out) == {"cycles": []}


def test_status_and_version_answer_at_once(sleepd: Callable[..., Said], running: subprocess.Popen[bytes], folder: Path) -> None:
    assert running.poll() is None

    def fastest(*arguments: str) -> float:
        times = []
        for _ in range(5):
            began = time.perf_counter()
            subprocess.run([sys.executable, *arguments], cwd=CHECKOUT, capture_output=True, timeout=60, check=True, env=dict(os.environ))
            times.append(time.perf_counter() - began)
        return min(times)

    nothing = fastest("-c", "pass")
    assert fastest("-m", "sleepd", "--version") - nothing <= 0.3
    assert fastest("-m", "sleepd", "-c", str(folder / "sleepd.toml"), "status") - nothing <= 0.3
