"""The throw-away machine that the tests of this folder share, with sleepd installed in it by scripts/install."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.system.machine import Machine, NotPermitted

CHECKOUT = Path(__file__).resolve().parents[2]
PROGRAM = Path(sys.executable).parent / "sleepd"


@pytest.fixture(scope="session")
def booted() -> Iterator[Machine]:
    machine: Machine | None = None
    try:
        machine = Machine([CHECKOUT, Path(sys.base_prefix).resolve()])
        machine.start()
        yield machine
    except NotPermitted as error:
        pytest.skip(f"no throw-away systemd here: {error}")
    finally:
        if machine is not None:
            machine.stop()


@pytest.fixture(scope="session")
def machine(booted: Machine) -> Machine:
    if not PROGRAM.exists():
        pytest.skip(f"no {PROGRAM}: the package is not installed in this environment (scripts/test does that)")
    booted.run("bash", str(CHECKOUT / "scripts/install"), "--program", str(PROGRAM), timeout=60)
    # Seen by the services although it may lie under /tmp, which is private to each of them.
    visible = f"[Service]\nBindReadOnlyPaths={CHECKOUT} {Path(sys.base_prefix).resolve()}\n"
    booted.write("/etc/systemd/system/sleepd-inference.service.d/test.conf", visible)
    for unit in ("sleepd", "sleepd@"):
        booted.write(f"/etc/systemd/system/{unit}.service.d/test.conf", f"{visible}WatchdogSec=4\nTimeoutAbortSec=3\nRestartSec=1\n")
    booted.run("systemctl", "daemon-reload")
    return booted
