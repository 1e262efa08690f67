"""The service as a real process: signals, systemd's protocol, and how it ends."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from sleepd.serve.server import serve
from sleepd.serve.settings import ServeSettings

from .client import Client, wait_until
from .conftest import Store

PROGRAM = """
import json, os, sys
from pathlib import Path
from sleepd import config, journal, serve
from sleepd.errors import SleepdError
journal.configure("json", "info", {}, sys.stderr)
try:
    code = serve.run(config.load(Path(sys.argv[1]), None, os.environ), ready=lambda url: print(url, flush=True))
except SleepdError as error:
    print(error.message, error.remedy, sep="\\n", file=sys.stderr)
    code = error.exit_code
sys.exit(code)
"""


def write_config(tmp_path: Path, model: Path, **serve_keys: object) -> Path:
    keys = {"port": 0, "device": "cpu", "threads": 1, "capture": False, **serve_keys}
    lines = [f"{key} = {json.dumps(value)}" for key, value in keys.items()]
    directories = [f"{name} = {json.dumps(str(tmp_path / ('.' if name == 'state' else name)))}" for name in ("state", "runtime", "cache")]
    file = tmp_path / "sleepd.toml"
    file.write_text("\n".join([f"[model]\npath = {json.dumps(str(model))}\n[serve]", *lines, "[directories]", *directories]))
    return file


class ServiceManager:
    """systemd's end of NOTIFY_SOCKET: what the process said, in order."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        with contextlib.suppress(OSError):
            while message := self._socket.recv(4096):
                self.said.append(message.decode())

    def count(self, word: str) -> int:
        return sum(word in message for message in self.said)


@dataclass
class Process:
    process: subprocess.Popen[str]
    log: Path
    manager: ServiceManager

    @property
    def client(self) -> Client:
        assert self.process.stdout is not None
        return Client(int(self.process.stdout.readline().rsplit(":", 1)[1]))


Start = Callable[..., Process]


@pytest.fixture
def start(tmp_path: Path, model_dir: Path, store: Store) -> Iterator[Start]:
    with contextlib.ExitStack() as stack:

        def start(**serve_keys: object) -> Process:
            manager = ServiceManager(tmp_path / "notify")
            log = tmp_path / "log"
            environment = {**os.environ, "NOTIFY_SOCKET": str(manager.path), "WATCHDOG_USEC": "200000", "PYTHONPATH": str(Path.cwd())}
            process = stack.enter_context(
                subprocess.Popen(
                    [sys.executable, "-c", PROGRAM, str(write_config(tmp_path, model_dir, **serve_keys))],
                    stdout=subprocess.PIPE,
                    stderr=log.open("w"),
                    text=True,
                    env=environment,
                )
            )
            stack.callback(process.kill)
            return Process(process, log, manager)

        yield start


def test_a_service_lives_reloads_and_ends_as_systemd_expects(start: Start, store: Store) -> None:
    service = start(max_new_tokens=900)
    client = service.client
    assert client.chat(max_tokens=5).headers["x-sleepd-adapter"] == "base"
    wait_until(lambda: service.manager.count("READY=1") == 1, "systemd hears that it is ready")
    wait_until(lambda: service.manager.count("WATCHDOG=1") > 2, "the watchdog is fed")

    store.activate("cycle_001")
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: client.health()["adapter_id"] == "cycle_001", "SIGHUP brings the active adapter")
    assert client.chat(max_tokens=5).headers["x-sleepd-adapter"] == "cycle_001"
    wait_until(lambda: service.manager.count("READY=1") == 2, "systemd hears that the reload is over")
    assert service.manager.count("RELOADING=1") == 1
    assert "adapter cycle_001" in service.manager.said[-1] or service.manager.count("with adapter cycle_001") == 1

    (store.root / "cycle_002" / "adapter_model.safetensors").unlink()
    store.activate("cycle_002")
    service.process.send_signal(signal.SIGHUP)
    wait_until(lambda: client.health()["last_reload_error"], "the refused reload shows")
    assert client.health()["adapter_id"] == "cycle_001"
    wait_until(lambda: service.manager.count("last reload refused") == 1, "systemd hears why")

    with contextlib.closing(client.connect()) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps({"messages": [{"role": "user", "content": "Hi"}], "stream": True}))
        response = connection.getresponse()
        service.process.send_signal(signal.SIGTERM)
        body = response.read()
    assert body.endswith(b"data: [DONE]\n\n"), "SIGTERM cut a running answer"
    assert service.process.wait(30) == 0
    assert service.manager.count("STOPPING=1") == 1
    events = [json.loads(line)["event"] for line in service.log.read_text().splitlines() if line.startswith("{")]
    assert [e for e in events if e.startswith("serve_")] == ["serve_started", "serve_reloaded", "serve_reload_failed", "serve_stopped"]
    with pytest.raises(OSError):
        client.health()


def test_captured_exchanges_are_in_the_buffer_when_the_service_has_ended(start: Start, tmp_path: Path) -> None:
    service = start(capture=True, buffer=str(tmp_path / "buffer.json"))
    client = service.client
    told = "My sister Zelda moved to Porto last summer and works as a baker there, which she loves."
    answer = client.chat(told).text.strip()
    client.chat("Who is a probe?", headers={"X-Sleepd-Capture": "off"})
    service.process.send_signal(signal.SIGINT)
    assert service.process.wait(30) == 0
    content = json.loads((tmp_path / "buffer.json").read_text())
    entries = content["experiences"] if isinstance(content, dict) else content
    assert [(e["prompt"], e["response"].strip()) for e in entries] == ([(told, answer)] if answer else [])
    for entry in entries:
        assert (entry["metadata"]["source"], entry["metadata"]["adapter"]) == ("sleepd-serve", "base")


def test_a_port_that_is_taken_is_one_clear_error_before_the_model_is_loaded(settings: ServeSettings, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        run = subprocess.run(
            [sys.executable, "-c", PROGRAM, str(write_config(tmp_path, settings.model_path, port=port))],
            capture_output=True,
            text=True,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(Path.cwd())},
            check=False,
        )
    assert run.returncode == 2
    assert run.stderr.splitlines() == [
        f"cannot listen on 127.0.0.1 port {port}: Address already in use",
        "stop what uses it, or set serve.host and serve.port",
    ]


def test_without_a_model_there_is_nothing_to_serve(tmp_path: Path) -> None:
    from sleepd import config
    from sleepd.errors import ConfigError
    from sleepd.serve import run

    file = tmp_path / "sleepd.toml"
    file.write_text("")
    with pytest.raises(ConfigError, match=r"model\.path is not set"):
        run(config.load(file, None, {"HOME": str(tmp_path)}))


def test_an_address_that_is_not_one_is_named(settings: ServeSettings) -> None:
    from dataclasses import replace

    from sleepd.errors import ConfigError

    previous = signal.getsignal(signal.SIGHUP)
    try:
        with pytest.raises(ConfigError, match=r"no\.such\.host\.invalid"):
            serve(replace(settings, host="no.such.host.invalid"), {})
    finally:
        signal.signal(signal.SIGHUP, previous)


def test_the_http_side_and_the_package_load_without_torch() -> None:
    code = (
        "import sys, sleepd.serve, sleepd.serve.app, sleepd.serve.server\n"
        "print([m for m in ('torch', 'transformers', 'peft') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert run.stdout.strip() == "[]"
