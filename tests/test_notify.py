"""What systemd hears, on a real datagram socket."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sleepd import notify
from sleepd.notify import Notifier, watchdog_interval


class Manager:
    """The service manager's end of the socket."""

    def __init__(self, address: str) -> None:
        self.env = {"NOTIFY_SOCKET": address}
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + address[1:] if address.startswith("@") else address)
        self.socket.settimeout(10)

    def hears(self) -> dict[str, str]:
        """One datagram."""
        return dict(line.split("=", 1) for line in self.socket.recv(65536).decode().splitlines())


@pytest.fixture(params=["path", "abstract"])
def manager(request: pytest.FixtureRequest) -> Iterator[Manager]:
    with tempfile.TemporaryDirectory() as directory:
        address = f"{directory}/notify" if request.param == "path" else f"@sleepd-test-{secrets.token_hex(8)}"
        listening = Manager(address)
        yield listening
        listening.socket.close()


@pytest.fixture
def notifier(manager: Manager) -> Iterator[Notifier]:
    connected = Notifier(manager.env)
    assert connected.connected
    yield connected
    connected.close()


def test_ready_brings_its_status_in_one_datagram(manager: Manager, notifier: Notifier) -> None:
    assert notifier.ready("NIGHT, waiting for 2 more experiences")
    assert manager.hears() == {"READY": "1", "STATUS": "NIGHT, waiting for 2 more experiences"}


def test_status_watchdog_stopping_and_more_time(manager: Manager, notifier: Notifier) -> None:
    assert notifier.status("cycle 7: train 40 %")
    assert notifier.watchdog()
    assert notifier.stopping("writing a checkpoint")
    assert notifier.extend_timeout(90_000_000)
    assert [manager.hears() for _ in range(4)] == [
        {"STATUS": "cycle 7: train 40 %"},
        {"WATCHDOG": "1"},
        {"STOPPING": "1", "STATUS": "writing a checkpoint"},
        {"EXTEND_TIMEOUT_USEC": "90000000"},
    ]


def test_reloading_is_one_datagram_with_the_monotonic_time(manager: Manager, notifier: Notifier) -> None:
    before = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    notifier.reloading()
    after = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
    heard = manager.hears()
    assert heard.keys() == {"RELOADING", "MONOTONIC_USEC"}
    assert heard["RELOADING"] == "1"
    assert before <= int(heard["MONOTONIC_USEC"]) <= after


def test_a_status_cannot_smuggle_in_another_message_and_may_be_in_any_script(manager: Manager, notifier: Notifier) -> None:
    notifier.status("Lučić\nSTOPPING=1\r\n 日本 \ud83d")
    assert manager.hears() == {"STATUS": "Lučić STOPPING=1 日本 ?"}


def test_without_a_service_manager_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    alone = Notifier({})
    assert not alone.connected
    assert not alone.ready("x")
    assert not alone.watchdog()
    assert alone.error is None
    alone.close()


def test_the_environment_is_the_one_that_was_given(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", manager.env["NOTIFY_SOCKET"])
    assert not Notifier({}).connected


def test_an_address_that_nobody_listens_on_is_told(tmp_path: Path) -> None:
    lost = Notifier({"NOTIFY_SOCKET": str(tmp_path / "absent")})
    assert not lost.connected
    assert lost.error is not None and str(tmp_path / "absent") in lost.error


def test_a_manager_that_went_away_is_told_and_raises_nothing(manager: Manager, notifier: Notifier) -> None:
    manager.socket.close()
    assert not notifier.status("x")
    assert notifier.error is not None and "service manager" in notifier.error


def test_a_manager_that_does_not_read_cannot_hold_up_the_daemon(manager: Manager, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "SEND_SECONDS", 0.05)
    notifier = Notifier(manager.env)
    sent = 0
    while notifier.status("fills the queue"):
        sent += 1
        assert sent < 10_000
    assert notifier.error is not None
    for _ in range(sent):
        manager.hears()
    assert notifier.status("goes on")
    assert notifier.error is None
    notifier.close()


class TestWatchdogInterval:
    def test_half_of_what_systemd_allows(self) -> None:
        assert watchdog_interval({"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": str(os.getpid())}) == 30.0
        assert watchdog_interval({"WATCHDOG_USEC": "500000"}) == 0.25

    def test_none_when_another_process_is_watched(self) -> None:
        env = {"WATCHDOG_USEC": "60000000", "WATCHDOG_PID": "77"}
        assert watchdog_interval(env) is None
        assert watchdog_interval(env, pid=77) == 30.0

    @pytest.mark.parametrize("usec", ["", "0", "-5", "soon", "1.5"])
    def test_none_when_nothing_is_watched(self, usec: str) -> None:
        assert watchdog_interval({"WATCHDOG_USEC": usec}) is None
        assert watchdog_interval({}) is None
