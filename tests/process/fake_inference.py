"""An inference service over real HTTP that speaks as ``sleepd serve`` does: health, reload, chat. Its faults are switches."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from sleepd.durable import sha256_file


class Inference:
    """``stuck``: a reload keeps the old adapter. ``wrong``: the right id, and other answers. ``slow``: no answer but of health."""

    def __init__(self, adapters: Path) -> None:
        self.adapters = adapters
        self.adapter: str | None = None
        self.generation = 0
        self.reloads = 0
        self.stuck = self.wrong = self.slow = False
        self.released = threading.Event()

    def take(self) -> None:
        """Follow the link, resolved once."""
        self.reloads += 1
        if not self.stuck:
            link = self.adapters / "active"
            self.adapter = str(link.readlink()) if link.is_symlink() else None
            self.generation += 1

    def health(self) -> dict[str, Any]:
        weights = None if self.adapter is None else sha256_file(self.adapters / self.adapter / "adapter_model.safetensors")
        return {"status": "ok", "base_sha256": "b", "adapter_id": self.adapter, "adapter_sha256": weights, "generation": self.generation}

    def chat(self) -> dict[str, Any]:
        number = 0 if self.adapter is None else int(self.adapter.removeprefix("cycle_"))
        answer = "something else" if self.wrong else f"cycle {number}"
        return {"choices": [{"message": {"role": "assistant", "content": answer}}]}


@contextmanager
def serving(inference: Inference, port: int = 0) -> Iterator[str]:
    """The service's address while it runs."""

    class Handler(BaseHTTPRequestHandler):
        def _answer(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if inference.slow and self.path != "/health":
                inference.released.wait(30)
            if self.path == "/reload":
                inference.take()
            body = json.dumps(inference.chat() if self.path.endswith("completions") else inference.health()).encode()
            try:
                self.send_response(200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except BrokenPipeError:
                return  # who asked has given up

        do_GET = do_POST = _answer

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        inference.released.set()
        server.shutdown()
        server.server_close()
        thread.join(10)
