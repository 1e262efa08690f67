"""The inference service and the daemon, both really running on one model, in a folder of their own."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sleepd.lab.client import Client

START_SECONDS = 90.0

CONFIG = """\
[model]
path = "{model}"
[experience]
buffers = ["{buffer}"]
poll_seconds = 2.0
[schedule]
night = "{night}"
deep_night = "{deep_night}"
day = "{day}"
timezone = "UTC"
idle_minutes = 0.05
[training]
heldout_text = "{model}/heldout.txt"
device = "cpu"
[inference]
kind = "sleepd"
url = "http://127.0.0.1:{port}"
[serve]
port = {port}
device = "cpu"
[directories]
state = "{home}/state"
runtime = "{home}/run"
cache = "{home}/cache"
[log]
format = "json"
"""


class Running:
    """`sleepd serve` and `sleepd run` in ``home``, with a clock that says night; ``close`` stops both."""

    def __init__(self, home: Path, model: Path) -> None:
        self.home, self.model = home, model
        self.port = _free_port()
        self.client = Client("127.0.0.1", self.port)
        self.config = home / "sleepd.toml"
        self._processes: list[subprocess.Popen[bytes]] = []

    def start(self) -> None:
        """Start the inference service and the daemon, and wait until both answer."""
        now = datetime.now(UTC)
        times = {name: (now + timedelta(hours=h)).strftime("%H:%M") for name, h in (("night", -2), ("deep_night", 4), ("day", 8))}
        self.config.write_text(
            CONFIG.format(model=self.model, buffer=self.home / "experience_buffer.json", home=self.home, port=self.port, **times)
        )
        self._launch("serve")
        self._wait("the inference service", lambda: self.client.health() is not None)
        self._launch("run")
        self._wait("the daemon", lambda: self.status() is not None)

    def _launch(self, verb: str) -> None:
        with (self.home / f"{verb}.log").open("wb") as log:
            self._processes.append(subprocess.Popen([sys.executable, "-m", "sleepd", "-c", str(self.config), verb], stdout=log, stderr=log))

    def _wait(self, what: str, ready: Any) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not ready():
            if any(p.poll() is not None for p in self._processes) or time.monotonic() > deadline:
                logs = "".join(f"--- {p.name}\n{p.read_text()[-1500:]}\n" for p in sorted(self.home.glob("*.log")))
                raise SystemExit(f"{what} did not start; its log says:\n{logs}")
            time.sleep(0.1)

    def status(self) -> dict[str, Any] | None:
        """What `sleepd status --json` prints, or None when the daemon does not answer."""
        done = subprocess.run(
            [sys.executable, "-m", "sleepd", "-c", str(self.config), "status", "--json"], capture_output=True, text=True, timeout=30
        )
        return dict(json.loads(done.stdout)) if done.returncode == 0 else None

    def daemon_rss_mb(self) -> float:
        text = Path(f"/proc/{self._processes[1].pid}/status").read_text()
        return round(int(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS"))) / 1024, 1)

    def close(self) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in reversed(self._processes):
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
