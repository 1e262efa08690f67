"""Reloaders without HTTP: none, a signal, a command, systemd. Real processes and real signals."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sleepd.adapter.reload import KINDS, make
from sleepd.adapter.reload_signal import caught
from sleepd.errors import ConfigError, ReloadError, ReloadUnknownError

Make = Callable[..., Any]
DIRECTORY = Path("/adapters/cycle_007")


def test_none_tells_nobody_and_claims_nothing(settings: Make) -> None:
    reloader = make(settings(kind="none"))
    reloader.reload(DIRECTORY, "cycle_007")
    served = reloader.served()
    assert (served.healthy, served.adapter_id) == (True, None)
    assert "restart your inference service yourself" in served.detail
    assert reloader.ask("?", 8) is None


@pytest.mark.parametrize(
    ("keys", "word"),
    [
        ({"kind": "signal"}, "inference.pid_file"),
        ({"kind": "signal", "pid_file": "p", "signal": "SIGNOPE"}, "SIGNOPE"),
        ({"kind": "signal", "pid_file": "p", "signal": "SIGKILL"}, "SIGKILL"),
        ({"kind": "systemd"}, "inference.unit"),
        ({"kind": "http"}, "inference.reload_url"),
        ({"kind": "command"}, "inference.command"),
        ({"kind": "sleepd"}, "inference.url"),
        ({"kind": "carrier pigeon"}, "carrier pigeon"),
    ],
)
def test_a_kind_without_its_key_is_a_configuration_error(settings: Make, keys: dict[str, str], word: str) -> None:
    with pytest.raises(ConfigError, match=word) as caught_error:
        make(settings(**keys))
    assert caught_error.value.remedy


def test_every_kind_can_be_made(settings: Make) -> None:
    whole = {"url": "http://x", "unit": "u", "pid_file": "p", "command": ("true",), "reload_url": "http://x"}
    assert [make(settings(kind=kind, **whole)).kind for kind in KINDS] == list(KINDS)


# -- signal ---------------------------------------------------------------------------------------------------

CATCHES = """
import signal, sys
signal.signal(signal.SIGHUP, lambda *_: print("reloaded", flush=True))
print("ready", flush=True)
while True:
    signal.pause()
"""
DOES_NOT = """
import signal
signal.signal(signal.{name}, signal.{how})
print("ready", flush=True)
while True:
    signal.pause()
"""


@pytest.fixture
def start() -> Iterator[Callable[[str], subprocess.Popen[str]]]:
    """Starts a Python program and waits until it has printed its first line."""
    running: list[subprocess.Popen[str]] = []

    def begin(program: str) -> subprocess.Popen[str]:
        process = subprocess.Popen([sys.executable, "-S", "-c", program], stdout=subprocess.PIPE, text=True)
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        return process

    yield begin
    for process in running:
        process.kill()
        process.wait(10)
        if process.stdout:
            process.stdout.close()


def pid_file(tmp_path: Path, content: object) -> str:
    file = tmp_path / "service.pid"
    file.write_text(f"{content}\n")
    return str(file)


def test_a_signal_reaches_a_process_that_catches_it(start: Make, settings: Make, tmp_path: Path) -> None:
    process = start(CATCHES)
    reloader = make(settings(kind="signal", pid_file=pid_file(tmp_path, process.pid)))
    reloader.reload(DIRECTORY, "cycle_007")
    assert process.stdout.readline() == "reloaded\n"
    served = reloader.served()
    assert served.healthy
    assert served.adapter_id is None
    assert "what it serves is not known" in served.detail


@pytest.mark.parametrize("how", ["SIG_DFL", "SIG_IGN"])
def test_a_signal_that_the_process_does_not_catch_is_never_sent(start: Make, settings: Make, tmp_path: Path, how: str) -> None:
    process = start(DOES_NOT.format(name="SIGHUP", how=how))
    reloader = make(settings(kind="signal", pid_file=pid_file(tmp_path, process.pid)))
    with pytest.raises(ReloadError, match=f"process {process.pid} .* does not catch SIGHUP") as error:
        reloader.reload(DIRECTORY, "cycle_007")
    assert "another inference.kind" in error.value.remedy
    assert process.poll() is None
    assert reloader.served().healthy


def test_a_process_that_has_ended_is_named(start: Make, settings: Make, tmp_path: Path) -> None:
    process = start(CATCHES)
    reloader = make(settings(kind="signal", pid_file=pid_file(tmp_path, process.pid)))
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # ended, and not yet reaped: a zombie
    with pytest.raises(ReloadError, match="does not run"):
        reloader.reload(DIRECTORY, "cycle_007")
    process.wait(10)
    with pytest.raises(ReloadError, match="does not run"):
        reloader.reload(DIRECTORY, "cycle_007")
    assert not reloader.served().healthy


def test_a_pid_file_older_than_its_process_is_anothers(start: Make, settings: Make, tmp_path: Path) -> None:
    process = start(CATCHES)
    file = pid_file(tmp_path, process.pid)
    hour_ago = time.time() - 3600
    os.utime(file, (hour_ago, hour_ago))
    with pytest.raises(ReloadError, match=r"3[56]\d\d s older than process"):
        make(settings(kind="signal", pid_file=file)).reload(DIRECTORY, "cycle_007")


@pytest.mark.parametrize("content", ["", "abc", "-1", "0", "1", "12 13", pytest.param(str(os.getpid()), id="our own")])
def test_a_pid_file_without_a_services_pid_is_refused(settings: Make, tmp_path: Path, content: str) -> None:
    with pytest.raises(ReloadError, match="not the pid of a service"):
        make(settings(kind="signal", pid_file=pid_file(tmp_path, content))).reload(DIRECTORY, "cycle_007")


def test_a_pid_file_that_is_missing_is_named(settings: Make, tmp_path: Path) -> None:
    reloader = make(settings(kind="signal", pid_file=str(tmp_path / "none.pid")))
    with pytest.raises(ReloadError, match=r"none\.pid cannot be read"):
        reloader.reload(DIRECTORY, "cycle_007")
    assert not reloader.served().healthy


def test_the_mask_of_caught_signals_is_read_bit_by_bit() -> None:
    assert caught({"SigCgt": "0000000000000001"}, signal.SIGHUP)
    assert not caught({"SigCgt": "0000000000000002"}, signal.SIGHUP)
    assert caught({"SigCgt": "0000000000000200"}, signal.SIGUSR1)
    assert not caught({"SigCgt": "nonsense"}, signal.SIGHUP)
    assert not caught({}, signal.SIGHUP)


# -- command --------------------------------------------------------------------------------------------------


def test_a_command_gets_the_resolved_directory_and_the_id_without_a_shell(settings: Make, tmp_path: Path) -> None:
    out = tmp_path / "out"
    program = "import os, sys; open(sys.argv[1], 'a').write(repr((sys.argv[2:], 'NOTIFY_SOCKET' in os.environ)))"
    command = (sys.executable, "-S", "-c", program, str(out), "{directory}", "name={adapter}; rm -rf x")
    reloader = make(settings(kind="command", command=command), {**os.environ, "NOTIFY_SOCKET": "/run/x"})
    reloader.reload(DIRECTORY, "cycle_007")
    reloader.reload(None, None)
    expected = [(["/adapters/cycle_007", "name=cycle_007; rm -rf x"], False), (["", "name=base; rm -rf x"], False)]
    assert out.read_text() == "".join(map(repr, expected))


def test_a_failed_command_shows_the_end_of_its_stderr(settings: Make) -> None:
    program = "import sys; [print('line', i, file=sys.stderr) for i in range(500)]; sys.exit('no such model')"
    with pytest.raises(ReloadError, match=r"(?s)ended with code 1: .*line 499\nno such model") as error:
        make(settings(kind="command", command=(sys.executable, "-S", "-c", program))).reload(DIRECTORY, "cycle_007")
    assert "line 1\n" not in error.value.message
    assert not isinstance(error.value, ReloadUnknownError)


def test_a_command_that_does_not_exist_is_named(settings: Make) -> None:
    with pytest.raises(ReloadError, match="no-such-program cannot be started"):
        make(settings(kind="command", command=("no-such-program",))).reload(DIRECTORY, "cycle_007")


def test_a_hanging_command_is_killed_with_its_children_at_the_deadline(settings: Make, tmp_path: Path) -> None:
    alive = tmp_path / "pid"
    program = (
        "import subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        "open(sys.argv[1], 'w').write(str(child.pid)); print('waiting', file=sys.stderr, flush=True); time.sleep(60)\n"
    )
    start = time.monotonic()
    with pytest.raises(ReloadUnknownError, match=r"(?s)did not end within 1\.5 s .*waiting"):
        make(settings(kind="command", command=(sys.executable, "-S", "-c", program, str(alive)), timeout_seconds=1.5)).reload(None, None)
    assert time.monotonic() - start < 8
    assert wait_until(lambda: not runs(int(alive.read_text())))


def test_a_command_may_leave_a_service_running_behind_it(settings: Make, tmp_path: Path) -> None:
    alive = tmp_path / "pid"
    program = (
        "import subprocess, sys\n"
        "child = subprocess.Popen([sys.executable, '-S', '-c', 'import time; time.sleep(60)'])\n"
        "open(sys.argv[1], 'w').write(str(child.pid))\n"
    )
    start = time.monotonic()
    make(settings(kind="command", command=(sys.executable, "-S", "-c", program, str(alive)), timeout_seconds=20.0)).reload(None, None)
    assert time.monotonic() - start < 10
    pid = int(alive.read_text())
    assert runs(pid)
    os.kill(pid, signal.SIGKILL)


def runs(pid: int) -> bool:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False
    return "\nState:\tZ" not in status


def wait_until(holds: Callable[[], bool], seconds: float = 5.0) -> bool:
    """Poll a condition until it holds or the deadline passes."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.01)
    return False


# -- systemd --------------------------------------------------------------------------------------------------

SYSTEMCTL = """#!/bin/sh
# What systemctl prints for one unit, and what it does on reload.
echo "$@" >> "$STATE/calls"
case "$1" in
  show) cat "$STATE/show"; exit "$(cat "$STATE/show_code" 2>/dev/null || echo 0)" ;;
  *) [ -e "$STATE/hang" ] && exec sleep 60
     [ -e "$STATE/error" ] && { cat "$STATE/error" >&2; exit 1; }
     exit 0 ;;
esac
"""


@pytest.fixture
def systemctl(tmp_path: Path, settings: Make) -> tuple[Path, Callable[..., Any]]:
    """A systemctl on PATH that answers from files; returns their directory and a maker of reloaders."""
    state, programs = tmp_path / "state", tmp_path / "bin"
    state.mkdir()
    programs.mkdir()
    (programs / "systemctl").write_text(SYSTEMCTL)
    (programs / "systemctl").chmod(0o755)
    (state / "show").write_text("LoadState=loaded\nActiveState=active\nCanReload=yes\n")
    environment = {**os.environ, "PATH": f"{programs}:{os.environ['PATH']}", "STATE": str(state)}
    return state, lambda **keys: make(settings(kind="systemd", unit="llm.service", **keys), environment)


def test_systemd_reloads_the_unit(systemctl: tuple[Path, Make]) -> None:
    state, build = systemctl
    build().reload(DIRECTORY, "cycle_007")
    calls = (state / "calls").read_text().splitlines()
    assert calls[-1] == "--no-ask-password reload -- llm.service"
    served = build().served()
    assert (served.healthy, served.adapter_id) == (True, None)
    assert "llm.service is active" in served.detail


@pytest.mark.parametrize(
    ("show", "words", "remedy"),
    [
        ("LoadState=not-found\nActiveState=inactive\nCanReload=no\n", "unit llm.service is not-found", "inference.unit"),
        ("LoadState=loaded\nActiveState=failed\nCanReload=yes\n", "unit llm.service is failed", "systemctl start llm.service"),
        ("LoadState=loaded\nActiveState=active\nCanReload=no\n", "has no ExecReload", "ExecReload="),
        ("System has not been booted\n", "systemctl show llm.service failed", "systemd runs here"),
    ],
)
def test_systemd_says_why_a_unit_cannot_be_reloaded(systemctl: tuple[Path, Make], show: str, words: str, remedy: str) -> None:
    state, build = systemctl
    (state / "show").write_text(show)
    with pytest.raises(ReloadError, match=words) as error:
        build().reload(DIRECTORY, "cycle_007")
    assert remedy in error.value.remedy
    assert "reload" not in (state / "calls").read_text()


def test_systemd_without_systemctl_or_with_a_failing_one_is_unhealthy(systemctl: tuple[Path, Make], settings: Make) -> None:
    state, build = systemctl
    (state / "show_code").write_text("1")
    assert not build().served().healthy
    nothing = make(settings(kind="systemd", unit="llm.service"), {"PATH": "/nonexistent"})
    assert "systemctl cannot be started" in nothing.served().detail
    assert not nothing.served().healthy


def test_systemd_shows_what_systemctl_said(systemctl: tuple[Path, Make]) -> None:
    state, build = systemctl
    (state / "error").write_text("Job for llm.service failed.\n")
    with pytest.raises(ReloadError, match=r"Job for llm\.service failed") as error:
        build().reload(DIRECTORY, "cycle_007")
    assert "journalctl -u llm.service" in error.value.remedy


def test_systemd_has_a_deadline(systemctl: tuple[Path, Make]) -> None:
    state, build = systemctl
    (state / "hang").touch()
    start = time.monotonic()
    with pytest.raises(ReloadUnknownError, match="did not end within"):
        build(timeout_seconds=1.0).reload(DIRECTORY, "cycle_007")
    assert time.monotonic() - start < 6


def test_kinds_without_http_look_at_a_health_url_when_there_is_one(
    systemctl: tuple[Path, Make], make_service: Make, settings: Make, tmp_path: Path
) -> None:
    service = make_service(lambda _: (200, b'{"adapter": "cycle_007"}'))
    health = {"health_url": service.url, "health_adapter_path": "adapter"}
    _, build = systemctl
    signalled = make(settings(kind="signal", pid_file=str(tmp_path / "none"), **health))
    commanded = make(settings(kind="command", command=("true",), **health))
    assert [reloader.served().adapter_id for reloader in (build(**health), signalled, commanded)] == ["cycle_007"] * 3
