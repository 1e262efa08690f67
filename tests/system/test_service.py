"""sleepd under a real systemd: what an operator does with systemctl and journalctl, and what systemd does by itself."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from tests.system.conftest import CHECKOUT
from tests.system.machine import Machine, wait_until

pytestmark = pytest.mark.system
CONFIGURATION = "/etc/sleepd/sleepd.toml.d/50-test.toml"
SEEDLING = CHECKOUT / "sleepd/lab/seedling"
ASK = """
import json, sys, urllib.request
def call(path, body=None):
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request("http://127.0.0.1:8765" + path, data, {"Content-Type": "application/json"})
    return json.load(urllib.request.urlopen(request, timeout=30))
health = call("/health")
said = call("/v1/chat/completions", {"messages": [{"role": "user", "content": "My friend Tilda works as a glazier."}]})
print(json.dumps({"health": health, "said": said}))
"""


def journal(machine: Machine, unit: str = "sleepd") -> list[dict[str, Any]]:
    """The journal entries of a unit's processes, oldest first."""
    lines = machine.run("journalctl", "--no-pager", "-u", unit, "-o", "json").stdout.splitlines()
    return [json.loads(line) for line in lines]


@pytest.fixture
def service(machine: Machine) -> Iterator[Machine]:
    """The enabled and started daemon with a valid configuration."""
    machine.write(CONFIGURATION, '[schedule]\npreset = "recommended"\n')
    machine.run("systemctl", "reset-failed", check=False)
    machine.run("systemctl", "enable", "--now", "sleepd")
    yield machine
    machine.run("rm", "-f", CONFIGURATION)


def test_enabling_starts_it_and_returns_when_it_is_ready(service: Machine) -> None:
    assert service.run("systemctl", "is-active", "sleepd").stdout.strip() == "active"
    assert service.run("systemctl", "is-enabled", "sleepd").stdout.strip() == "enabled"
    assert service.run("sleepd", "status", "--json", check=False).returncode == 0
    assert service.show("sleepd", "User") == "sleepd"


def test_its_status_line_says_what_it_does(service: Machine) -> None:
    shown = service.run("systemctl", "status", "--no-pager", "sleepd").stdout
    status = next(line for line in shown.splitlines() if line.strip().startswith("Status:"))
    phase = json.loads(service.run("sleepd", "status", "--json").stdout)["phase"]
    assert phase in status


def test_its_folders_are_closed_to_others_and_open_to_the_group(service: Machine) -> None:
    modes = service.run(
        "stat", "-c", "%U:%G %a %n", "/var/lib/sleepd", "/run/sleepd", "/var/cache/sleepd", "/run/sleepd/control.sock"
    ).stdout
    assert modes.splitlines() == [
        "sleepd:sleepd 750 /var/lib/sleepd",
        "sleepd:sleepd 750 /run/sleepd",
        "sleepd:sleepd 750 /var/cache/sleepd",
        "sleepd:sleepd 660 /run/sleepd/control.sock",
    ]


def test_the_journal_has_its_fields_and_explains_its_events(service: Machine) -> None:
    ours = [entry for entry in journal(service) if "SLEEPD_EVENT" in entry]
    assert ours
    for entry in ours:
        assert entry["SYSLOG_IDENTIFIER"] == "sleepd"
        assert entry["PRIORITY"] in "34567"
    named = next(entry for entry in ours if entry.get("SLEEPD_EVENT") == "daemon_ready")
    explained = service.run("journalctl", "--no-pager", "-x", f"MESSAGE_ID={named['MESSAGE_ID']}").stdout
    assert "sleepd is ready" in explained and "Defined-By: sleepd" in explained


def test_a_good_configuration_is_reloaded(service: Machine) -> None:
    pid, generation = service.show("sleepd", "MainPID"), generation_of(service)
    service.write(CONFIGURATION, '[schedule]\npreset = "fleet"\n')
    service.run("systemctl", "reload", "sleepd")
    assert service.show("sleepd", "MainPID") == pid
    assert generation_of(service) == generation + 1
    assert any(entry.get("SLEEPD_EVENT") == "config_reloaded" and "schedule.preset" in json.dumps(entry) for entry in journal(service))


def test_a_bad_configuration_fails_the_reload_and_the_daemon_runs_on(service: Machine) -> None:
    pid, generation = service.show("sleepd", "MainPID"), generation_of(service)
    service.write(CONFIGURATION, "[experience]\nmin_salience = 7\n")
    result = service.run("systemctl", "reload", "sleepd", check=False)
    assert result.returncode != 0
    assert service.run("systemctl", "is-active", "sleepd").stdout.strip() == "active"
    assert (service.show("sleepd", "MainPID"), generation_of(service)) == (pid, generation)
    said = [
        entry["MESSAGE"]
        for entry in journal(service)
        if entry.get("SLEEPD_EVENT") == "config_rejected" or entry["SYSLOG_IDENTIFIER"] == "sleepd"
    ]
    assert any("experience.min_salience" in str(line) for line in said)


def test_a_broken_configuration_at_the_start_is_not_tried_again(service: Machine) -> None:
    service.run("systemctl", "stop", "sleepd")
    service.write(CONFIGURATION, "[experience\n")
    assert service.run("systemctl", "start", "sleepd", check=False).returncode != 0
    assert service.show("sleepd", "Result") == "exit-code"
    assert service.show("sleepd", "ExecMainStatus") == "2"
    assert service.show("sleepd", "NRestarts") == "0"
    reported = service.run("journalctl", "--no-pager", "-t", "sleepd-failure", "-p", "err")
    wait_until(
        lambda: "sleepd.service" in service.run("journalctl", "--no-pager", "-t", "sleepd-failure").stdout, 10, "the failure is reported"
    )
    assert reported.returncode == 0


def test_a_daemon_that_hangs_is_killed_by_the_watchdog_and_started_again(service: Machine) -> None:
    pid = service.show("sleepd", "MainPID")
    service.run("kill", "-STOP", pid)
    wait_until(lambda: service.show("sleepd", "MainPID") not in (pid, "0"), 20, "systemd started it again")
    wait_until(lambda: service.run("systemctl", "is-active", "sleepd", check=False).stdout.strip() == "active", 10, "it is ready again")
    assert int(service.show("sleepd", "NRestarts")) >= 1
    assert any("watchdog" in str(entry.get("MESSAGE", "")).lower() for entry in journal(service))


def test_an_instance_has_its_own_configuration_state_and_socket(service: Machine) -> None:
    service.write("/etc/sleepd/other.toml", '[schedule]\npreset = "conservative"\n')
    service.run("systemctl", "start", "sleepd@other")
    status = json.loads(service.run("sleepd", "status", "--json", "--instance", "other").stdout)
    assert status["instance"] == "other"
    assert service.run("stat", "-c", "%U %a", "/var/lib/sleepd-other/ledger.db", "/run/sleepd-other/control.sock").returncode == 0
    service.run("systemctl", "stop", "sleepd@other")
    assert service.run("systemctl", "is-active", "sleepd").stdout.strip() == "active"


def test_stopping_is_clean_and_leaves_no_process(service: Machine) -> None:
    pid = service.show("sleepd", "MainPID")
    service.run("systemctl", "stop", "sleepd")
    assert service.show("sleepd", "Result") == "success"
    assert service.run("test", "-e", f"/proc/{pid}", check=False).returncode != 0
    assert service.run("test", "-e", "/run/sleepd/control.sock", check=False).returncode != 0
    assert service.run("sleepd", "status", check=False).returncode == 3


@pytest.mark.skipif(not (SEEDLING / "model.safetensors").exists(), reason=f"no model in {SEEDLING}")
def test_the_inference_service_answers_and_what_it_captures_reaches_the_daemon(service: Machine) -> None:
    # A copy that every user may read, as a model on a real machine is.
    service.run("sh", "-c", f"cp -r {SEEDLING} /srv/model && chmod -R a+rX /srv/model")
    service.write(CONFIGURATION, '[model]\npath = "/srv/model"\n[inference]\nkind = "sleepd"\n[serve]\ndevice = "cpu"\n')
    service.run("systemctl", "start", "sleepd-inference", timeout=120)
    service.run("systemctl", "reload", "sleepd")
    answer = json.loads(service.run(sys.executable, "-c", ASK, timeout=60).stdout)
    assert answer["health"]["status"] == "ok" and answer["health"]["adapter_id"] in (None, "base")
    assert answer["said"]["choices"][0]["message"]["content"]
    service.run("systemctl", "reload", "sleepd-inference")
    buffer = "/var/lib/sleepd-inference/experience_buffer.json"
    wait_until(lambda: service.run("test", "-e", buffer, check=False).returncode == 0, 10, "the exchange is captured")
    assert service.run("stat", "-c", "%U:%G", buffer).stdout.strip() == "sleepd-inference:sleepd"
    wait_until(lambda: status_of(service)["totals"]["experiences"] == 1, 20, "the daemon has read it")
    wait_until(lambda: status_of(service)["inference"]["healthy"] is True, 20, "the daemon finds the service healthy")
    service.run("systemctl", "stop", "sleepd-inference")
    assert service.show("sleepd-inference", "Result") == "success"


def status_of(machine: Machine) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(machine.run("sleepd", "status", "--json").stdout)
    return document


def generation_of(machine: Machine) -> int:
    return int(status_of(machine)["config_generation"])
