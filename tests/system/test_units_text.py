"""The units, the catalog and the small files beside them, as text: what must hold without a systemd."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from sleepd.errors import ExitCode
from sleepd.journal import Event

SYSTEMD = Path(__file__).resolve().parents[2] / "systemd"


def settings(name: str) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for line in (SYSTEMD / name).read_text().splitlines():
        if line and not line.startswith(("#", "[")):
            key, _, value = line.partition("=")
            found.setdefault(key, []).append(value)
    return found


def test_every_event_has_an_entry_in_the_catalog_that_says_something() -> None:
    entries = dict(re.findall(r"^-- ([0-9a-f]{32})\n(.*?)(?=^# |\Z)", (SYSTEMD / "sleepd.catalog").read_text(), re.M | re.S))
    assert {event.message_id for event in Event} == set(entries)
    for entry in entries.values():
        head, _, body = entry.partition("\n\n")
        assert head.startswith("Subject: ") and "Defined-By: sleepd" in head
        assert len(body.split()) >= 4


@pytest.mark.skipif(shutil.which("journalctl") is None, reason="journalctl is not installed")
def test_journalctl_accepts_the_catalog(tmp_path: Path) -> None:
    for folder in ("usr/lib/systemd/catalog", "var/lib/systemd/catalog"):
        (tmp_path / folder).mkdir(parents=True)
    shutil.copy(SYSTEMD / "sleepd.catalog", tmp_path / "usr/lib/systemd/catalog")
    made = subprocess.run(["journalctl", f"--root={tmp_path}", "--update-catalog"], capture_output=True, text=True, timeout=30, check=False)
    assert made.returncode == 0 and made.stderr == ""
    listed = subprocess.run(["journalctl", f"--root={tmp_path}", "--list-catalog"], capture_output=True, text=True, timeout=30, check=True)
    assert len(listed.stdout.splitlines()) == len(Event)


def test_an_instance_differs_from_the_daemon_only_in_its_name_and_directories() -> None:
    daemon, instance = settings("sleepd.service"), settings("sleepd@.service")
    assert instance.pop("LogExtraFields") == ["SLEEPD_INSTANCE=%i"]
    for key, values in instance.items():
        # The configuration directory and the user are shared; an instance's own file lies beside the others.
        plain = [value.replace(" --instance %i", "").replace("-%i", "").replace(" for %i", "") for value in values]
        assert plain == daemon[key], key
    assert daemon.keys() == instance.keys()


def test_a_restart_is_not_tried_where_it_cannot_help() -> None:
    for unit in ("sleepd.service", "sleepd@.service", "sleepd-inference.service"):
        assert str(int(ExitCode.USAGE)) in settings(unit)["RestartPreventExitStatus"][0].split()
        assert settings(unit)["Restart"] == ["on-failure"]


def test_the_daemon_may_train_on_a_gpu() -> None:
    for unit in ("sleepd.service", "sleepd@.service", "sleepd-inference.service"):
        assert not settings(unit).keys() & {"MemoryDenyWriteExecute", "PrivateDevices", "ProtectClock", "DeviceAllow", "DevicePolicy"}


def test_the_inference_service_reads_the_adapters_and_writes_only_beside_the_buffer() -> None:
    service = settings("sleepd-inference.service")
    assert service["Group"] == settings("sleepd.service")["Group"] == ["sleepd"]
    assert service["User"] != settings("sleepd.service")["User"]
    assert service["ReadWritePaths"] == ["/var/lib/sleepd-inference"]
    assert "StateDirectory" not in service


def test_every_unit_that_another_one_names_exists() -> None:
    names = {path.name for path in SYSTEMD.glob("*.service")}
    for unit in names:
        for value in settings(unit).get("OnFailure", []) + settings(unit).get("After", []):
            for named in value.split():
                plain = re.sub(r"@.*\.service$", "@.service", named)
                assert plain in names or plain.endswith(".target"), named


def test_every_example_belongs_to_a_unit_and_says_what_it_is_for() -> None:
    examples = list((SYSTEMD / "examples").glob("*.service.d/*.conf"))
    assert examples
    for example in examples:
        assert (SYSTEMD / example.parent.name.removesuffix(".d")).exists()
        assert example.read_text().startswith("# ")
