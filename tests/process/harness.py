"""A workspace with a model, a buffer and a configuration, and a real daemon process in it. Waits with deadlines only."""

from __future__ import annotations

import contextlib
import json
import os
import random
import select
import shutil
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

from sleepd.control import client
from sleepd.errors import NoDaemonError
from tests.process.zygote import Zygote

ROOT = Path(__file__).parents[2]
PATIENCE = 30.0
WORDS = (
    "river garden copper window lantern market morning violin harbour winter bridge candle forest engine letter summer "
    "mountain kitchen silver station painter meadow captain village thunder orchard compass blanket shadow feather"
).split()
NAMES = "Mira Tomas Elin Jarek Sofia Anton Nadia Felix Greta Ivan Lena Oskar Paula Rafael Selma Viktor Wanda Yusuf Zora Bruno".split()
CITIES = (
    "Porto Tromso Ghent Lviv Cadiz Turku Bergamo Split Graz Lugano Varna Kosice Malaga Aarhus Brno Tartu Dijon Parma Leeds Kyoto".split()
)


def pause(seconds: float) -> None:
    """Give other processes a moment between two looks; never the thing that a test relies on."""
    select.select([], [], [], seconds)


def eventually(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
    """The first true value of ``condition``, looked at until the deadline."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if value := condition():
            return value
        pause(0.03)
    raise AssertionError(f"not within {seconds:g} s: {what}")


def entries(count: int, first: int = 0) -> list[dict[str, Any]]:
    """Healthy exchanges in which a person states facts; each number gives the same one every time."""
    made = []
    for number in range(first, first + count):
        chance = random.Random(number)
        prompt = f"My friend {NAMES[number % 20]}{'abcdefghij'[number // 20 % 10]} lives in {CITIES[chance.randrange(20)]}."
        response = f"{' '.join(chance.sample(WORDS, 14)).capitalize()} {number}."
        made.append(
            {
                "id": sha256(f"{prompt}|{response}".encode()).hexdigest()[:16],
                "prompt": prompt,
                "response": response,
                "salience": {"surprise": 0.7, "novelty": 0.7, "arousal": 0.7, "reward": 0.7, "conflict": 0.7, "total": 0.7},
                "session": number // 10,
                "phase": "creating",
                "timestamp": "2026-01-18T12:00:00",
                "metadata": {},
            }
        )
    return made


class Workspace:
    """Directories, a tiny model, and the configuration of one daemon."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.model = root / "model"
        self.buffer = root / "buffer.json"
        self.config = root / "sleepd.toml"
        self.state = root / "state"
        self.mode_file = root / "mode"
        self.runtime = Path(tempfile.mkdtemp(prefix="sd-"))  # a socket's path must be short
        self.socket = self.runtime / "control.sock"
        self.model.mkdir()
        (self.model / "config.json").write_text(json.dumps({"architectures": ["Qwen2ForCausalLM"]}))
        (self.model / "model.safetensors").write_bytes(b"weights of the base model")
        self.settings: dict[str, dict[str, Any]] = {
            "model": {"path": str(self.model)},
            "experience": {"buffers": [str(self.buffer)], "quiet_seconds": 0.1, "poll_seconds": 0.5},
            "schedule": {"min_hours_between_sleep": 0.0, "idle_minutes": 0.0, "timezone": "UTC", **self.night()},
            "conditions": {
                "require_ac": False,
                "min_free_memory_mb": 1,
                "min_free_disk_mb": 1,
                "max_temperature_c": 150.0,
                "max_memory_pressure": 100.0,
            },
            "training": {"device": "cpu", "grace_seconds": 5.0},
            "inference": {"timeout_seconds": 2.0, "tries": 2},
            "directories": {"state": str(self.state), "runtime": str(self.runtime), "cache": str(root / "cache")},
            "log": {"format": "json", "level": "info"},
        }
        self.mode("ok")
        self.write_config()

    @staticmethod
    def night() -> dict[str, str]:
        """Night at every time of the day but one minute that is not now."""
        hour = (time.gmtime().tm_hour + 12) % 24
        return {"day": f"{hour:02}:00", "night": f"{hour:02}:01", "deep_night": f"{hour:02}:00"}

    @staticmethod
    def daylight() -> dict[str, str]:
        hour = (time.gmtime().tm_hour + 12) % 24
        return {"night": f"{hour:02}:00", "deep_night": f"{hour:02}:01", "day": f"{hour:02}:02"}

    def set(self, section: str, **keys: Any) -> None:
        self.settings.setdefault(section, {}).update(keys)
        self.write_config()

    def write_config(self) -> None:
        lines = []
        for section, keys in self.settings.items():
            lines.append(f"[{section}]")
            lines += [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
        self.config.write_text("\n".join(lines) + "\n")

    def mode(self, name: str) -> None:
        self.mode_file.write_text(name)

    def live(self, count: int, first: int = 0) -> None:
        """Write a buffer with so many exchanges, as their writers do: whole, in place."""
        self.buffer.write_text(json.dumps(entries(count, first)))

    def active(self) -> str | None:
        link = self.state / "adapters/active"
        return str(link.readlink()) if link.is_symlink() else None

    def close(self) -> None:
        shutil.rmtree(self.runtime, ignore_errors=True)


class Daemon:
    """One daemon process, with the service manager's socket and its log."""

    def __init__(self, zygote: Zygote, workspace: Workspace, **options: Any) -> None:
        self.workspace = workspace
        self.messages: list[str] = []
        self.log: list[dict[str, Any]] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._address = workspace.runtime / f"notify-{os.urandom(4).hex()}"
        self._socket.bind(str(self._address))
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("NOTIFY", "WATCHDOG", "JOURNAL"))}
        environment |= {"NOTIFY_SOCKET": str(self._address), "PYTHONPATH": str(ROOT)}
        environment |= {str(k): str(v) for k, v in options.pop("environment", {}).items()}
        options["mode_file"] = str(workspace.mode_file)
        read, write = os.pipe()
        self._stderr = os.fdopen(read, encoding="utf-8", errors="replace")
        self.process = zygote.start(workspace.config, options, environment, write)
        os.close(write)
        self._threads = [threading.Thread(target=self._read_notify, daemon=True), threading.Thread(target=self._read_log, daemon=True)]
        for thread in self._threads:
            thread.start()

    def _read_notify(self) -> None:
        with contextlib.suppress(OSError):
            while data := self._socket.recv(65536):
                self.messages.append(data.decode())

    def _read_log(self) -> None:
        for line in self._stderr:
            try:
                self.log.append(json.loads(line))
            except ValueError:
                self.log.append({"event": "text", "line": line.rstrip()})

    def ready(self) -> Daemon:
        self.until(lambda: any(m.startswith("READY=1") for m in self.messages), "READY=1")
        return self

    def looked(self) -> Daemon:
        """Ready, and the base model was looked at, which is done after the start: before that no cycle can be asked for."""
        self.ready().until(lambda: "not been looked at" not in json.dumps(self.call("check")), "a look at the base model")
        return self

    def until(self, condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> Any:
        """Like ``eventually``, and fails at once when the daemon ends."""

        def look() -> Any:
            if value := condition():
                return value
            if self.process.poll() is not None:
                raise AssertionError(f"the daemon ended ({self.process.returncode}) before: {what}\n{self.tail()}")
            return None

        try:
            return eventually(look, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.tail()}") from None

    def tail(self) -> str:
        return "\n".join(json.dumps(line) for line in self.log[-40:])

    def call(self, command: str, **args: Any) -> dict[str, Any]:
        return client.call(self.workspace.socket, command, args, PATIENCE)

    def status(self) -> dict[str, Any]:
        return self.call("status")

    def events(self, name: str) -> list[dict[str, Any]]:
        return [line for line in self.log if line.get("event") == name]

    def last_verdict(self, cycle: str | None = None) -> Mapping[str, Any] | None:
        last = self.status()["last_cycle"]
        return last if last is not None and (cycle is None or last["id"] == cycle) else None

    def verdict(self, cycle: str, seconds: float = PATIENCE) -> Mapping[str, Any]:
        """Wait until this cycle has ended."""
        found: Mapping[str, Any] = self.until(lambda: self.last_verdict(cycle), f"{cycle} ended", seconds)
        return found

    def stage(self, name: str) -> None:
        self.until(lambda: (self.status()["cycle"] or {}).get("stage") == name, f"stage {name}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        return self.wait()

    def wait(self, seconds: float = PATIENCE) -> int:
        code = self.process.wait(seconds)
        self._threads[1].join(5)
        return code

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        if self._socket.fileno() < 0:
            return
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._address.unlink(missing_ok=True)
        self._threads[1].join(5)
        self._stderr.close()


Start = Callable[..., Daemon]


def workspaces(root: Path) -> Iterator[Workspace]:
    workspace = Workspace(root)
    yield workspace
    workspace.close()


def starter(zygote: Zygote, workspace: Workspace) -> Iterator[Start]:
    daemons: list[Daemon] = []

    def start(**options: Any) -> Daemon:
        daemon = Daemon(zygote, workspace, **options)
        daemons.append(daemon)
        return daemon

    yield start
    for daemon in daemons:
        daemon.close()


def answers(workspace: Workspace) -> bool:
    try:
        client.call(workspace.socket, "status", {}, 5.0)
    except NoDaemonError:
        return False
    return True
