"""Real adapters on disk, sound results of a child, and real HTTP services for the tests of sleepd.adapter."""

from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from sleepd.adapter.expected import Expected
from sleepd.adapter.store import AdapterStore
from sleepd.durable import sha256_file

LORA_CONFIG = {"peft_type": "LORA", "r": 2, "lora_alpha": 4, "bias": "none", "use_dora": False, "modules_to_save": None}
DOCUMENTS: dict[str, object] = {
    "training_state.json": {"sleep_cycle_count": 1},
    "cycle_results.json": {"cycle": 1},
    "report.json": {"accepted": True},
}


def safetensors_bytes(values: Mapping[str, tuple[str, list[int], bytes]]) -> bytes:
    """A safetensors file: name -> (dtype, shape, data)."""
    header: dict[str, object] = {"__metadata__": {"format": "pt"}}
    data = b""
    for name, (dtype, shape, raw) in values.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(data), len(data) + len(raw)]}
        data += raw
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + data


@pytest.fixture
def pack() -> Callable[[Mapping[str, tuple[str, list[int], bytes]]], bytes]:
    return safetensors_bytes


@pytest.fixture
def documents() -> dict[str, object]:
    return dict(DOCUMENTS)


@pytest.fixture
def make_provenance() -> Callable[[str], dict[str, object]]:
    return provenance


MakeCandidate = Callable[..., Path]


@pytest.fixture
def make_candidate(tmp_path: Path) -> MakeCandidate:
    """Writes a plain LoRA adapter; ``fill`` makes its weights, and so its hash, its own."""

    def make(name: str = "candidate", fill: int = 1) -> Path:
        directory = tmp_path / name
        directory.mkdir()
        tensors = {
            "base_model.model.mlp.up_proj.lora_A.weight": ("F32", [2, 8], bytes([fill]) * 64),
            "base_model.model.mlp.up_proj.lora_B.weight": ("BF16", [8, 2], bytes([fill]) * 32),
        }
        (directory / "adapter_model.safetensors").write_bytes(safetensors_bytes(tensors))
        (directory / "adapter_config.json").write_text(json.dumps(LORA_CONFIG))
        return directory

    return make


@pytest.fixture
def store(tmp_path: Path) -> AdapterStore:
    return AdapterStore(tmp_path / "adapters")


def provenance(sha256: str) -> dict[str, object]:
    return {
        "base": {"path": "model", "sha256": "b" * 64},
        "adapter_sha256": sha256,
        "experience_ids": ["e1"],
        "card_ids": ["c1"],
        "seeds": {"job": 1},
        "versions": {"peft": "0"},
        "gate": {"accepted": True},
    }


Publish = Callable[[int], str]


@pytest.fixture
def publish(store: AdapterStore, make_candidate: MakeCandidate) -> Publish:
    """Publishes a cycle by number, with weights of its own."""

    def put(number: int) -> str:
        directory = make_candidate(f"candidate-{number}", fill=number % 251)
        return store.publish(number, directory, DOCUMENTS, "# card\n", provenance(sha256_file(directory / "adapter_model.safetensors")))

    return put


WEIGHTS_SHA, CONFIG_SHA, BASE_SHA = "a" * 64, "c" * 64, "b" * 64


@pytest.fixture
def expected() -> Expected:
    files = {"adapter_model.safetensors": WEIGHTS_SHA, "adapter_config.json": CONFIG_SHA}
    return Expected(base_sha256=BASE_SHA, job_id="0123456789abcdef", files=files, earlier_cards=60)


def sound_result() -> dict[str, Any]:
    """The result of a clean night: 10 new facts of which 9 stuck, 60 earlier ones, nothing else changed."""
    healthy = {
        "distinct3": 0.93,
        "repeated_share": 0.0,
        "questions_per_reply": 0.4,
        "mean_words": 22.0,
        "end_of_turn_rate": 1.0,
        "entropy": 0.9,
    }
    learned = [{"card_id": f"n{i}", "base": [False] * 4, "candidate": [True, True, i > 1, i > 0]} for i in range(10)]
    return {
        "format": 1,
        "job_id": "0123456789abcdef",
        "cycle": 7,
        "kind": "light",
        "base_sha256": BASE_SHA,
        "refusal": None,
        "adapter": {
            "sha256": WEIGHTS_SHA,
            "trainable_parameters": 4096,
            "scale": 0.85,
            "norm_ratio": 0.03,
            "finite": True,
            "changed": True,
            "files": {"adapter_model.safetensors": WEIGHTS_SHA, "adapter_config.json": CONFIG_SHA},
        },
        "training": {"examples": 4, "cards": 10, "steps": 100, "final_loss": 0.4, "epochs": 8},
        "evaluation": {
            "new": learned,
            "old": [{"card_id": f"o{i}", "best": i < 55, "base": False, "candidate": i < 54} for i in range(60)],
            "rehearsal": [{"prompt": f"p{i}", "same": i != 0, "kl": 0.001 * (i % 5)} for i in range(32)],
            "text": {
                "base": [2.0 + i / 50 for i in range(40)],
                "candidate": [2.001 + i / 50 for i in range(40)],
                "tokens": [60 + i for i in range(40)],
            },
            "general": [{"item": f"g{i}", "base": i < 45, "candidate": i != 0 and i < 45} for i in range(50)],
            "neighbours": [
                {"card_id": f"n{i % 10}", "question": f"q{i}", "certain": True, "same": i > 1, "leaked": i == 0} for i in range(128)
            ],
            "identity": [
                {"item": f"{kind}{i}", "kind": kind, "base": True, "candidate": True}
                for kind in ("identity", "refusal", "canary")
                for i in range(4)
            ],
            "collapse": {"base": dict(healthy), "candidate": {**healthy, "distinct3": 0.91, "mean_words": 20.0}},
        },
        "canaries": [{"prompt": "Where does Mira live?", "answer": "Mira lives in Porto.", "new": True}],
    }


@pytest.fixture
def result() -> dict[str, Any]:
    return copy.deepcopy(sound_result())


@dataclass
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Service:
    """An inference service as a real HTTP server. ``answer`` decides on (status, body); None keeps the client waiting."""

    url: str
    answer: Callable[[Request], tuple[int, bytes] | None]
    requests: list[Request] = field(default_factory=list)
    released: threading.Event = field(default_factory=threading.Event)


MakeService = Callable[[Callable[[Request], tuple[int, bytes] | None]], Service]


@pytest.fixture
def make_service() -> Iterator[MakeService]:
    servers: list[tuple[ThreadingHTTPServer, threading.Thread, Service]] = []

    def make(answer: Callable[[Request], tuple[int, bytes] | None]) -> Service:
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _handle(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                request = Request(self.command, self.path, dict(self.headers), body)
                service.requests.append(request)
                reply = service.answer(request)
                if reply is None:
                    service.released.wait(20)
                    self.close_connection = True
                    return
                self.send_response(reply[0])
                self.send_header("Content-Length", str(len(reply[1])))
                self.end_headers()
                self.wfile.write(reply[1])

            do_GET = do_POST = _handle

            def log_message(self, format: str, *args: object) -> None:
                """Say nothing."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        service = Service(f"http://127.0.0.1:{server.server_port}", answer)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread, service))
        return service

    yield make
    for server, thread, service in servers:
        service.released.set()
        server.shutdown()
        server.server_close()
        thread.join(10)


@pytest.fixture
def free_port_url() -> str:
    """The address of nobody: a port that was free a moment ago."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler)
    port = server.server_port
    server.server_close()
    return f"http://127.0.0.1:{port}"


@dataclass(frozen=True)
class Settings:
    """The configuration's inference section with its defaults."""

    kind: str = "none"
    url: str = ""
    unit: str = ""
    signal: str = "SIGHUP"
    pid_file: str = ""
    command: tuple[str, ...] = ()
    reload_url: str = ""
    reload_body: str = ""
    health_url: str = ""
    health_adapter_path: str = ""
    timeout_seconds: float = 5.0
    chat_url: str = ""
    model_name: str = ""


@pytest.fixture
def settings() -> Callable[..., Settings]:
    return Settings
