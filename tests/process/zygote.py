"""Starts daemons by forking one process that has imported everything already: half of a test's time would be imports.

Each daemon is a real process of its own, with its own environment, standard streams, signals and exit status.
Run as a script it is that one process; ``Zygote`` is the handle of the tests.
"""

from __future__ import annotations

import array
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

MAX_BYTES = 1 << 20


class Process:
    """As much of subprocess.Popen as the tests use."""

    def __init__(self, zygote: Zygote, pid: int) -> None:
        self._zygote = zygote
        self.pid = pid
        self._descriptor = os.pidfd_open(pid)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        return self._finished(0.0)

    def wait(self, seconds: float) -> int:
        code = self._finished(seconds)
        if code is None:
            raise TimeoutError(f"process {self.pid} has not ended within {seconds:g} s")
        return code

    def send_signal(self, number: int) -> None:
        if self.returncode is None:
            signal.pidfd_send_signal(self._descriptor, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def _finished(self, seconds: float) -> int | None:
        if self.returncode is None and select.select([self._descriptor], [], [], seconds)[0]:
            self.returncode = int(self._zygote.ask({"reap": self.pid})["status"])
            os.close(self._descriptor)
        return self.returncode


class Zygote:
    """The process that forks. Its calls may come from any thread."""

    def __init__(self, root: Path) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._socket = ours
        self._lock = threading.Lock()
        with theirs:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.process.zygote", str(theirs.fileno())],
                cwd=root,
                env={**os.environ, "PYTHONPATH": str(root)},
                pass_fds=[theirs.fileno()],
            )

    def start(self, config: Path, options: dict[str, Any], environment: dict[str, str], stderr: int) -> Process:
        return Process(self, int(self.ask({"config": str(config), "options": options, "environment": environment}, stderr)["pid"]))

    def ask(self, request: dict[str, Any], descriptor: int | None = None) -> dict[str, Any]:
        rights = [] if descriptor is None else [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [descriptor]))]
        with self._lock:
            self._socket.sendmsg([json.dumps(request).encode()], rights)
            answer: dict[str, Any] = json.loads(self._socket.recv(MAX_BYTES))
        return answer

    def close(self) -> None:
        self._socket.close()
        self._process.wait(30)


def serve(connection: socket.socket) -> None:
    """Fork for each request until the tests hang up."""
    from tests.process import runner

    while True:
        data, descriptors, _, _ = socket.recv_fds(connection, MAX_BYTES, 1)
        if not data:
            return
        request = json.loads(data)
        if "reap" in request:
            answer = {"status": os.waitstatus_to_exitcode(os.waitpid(request["reap"], 0)[1])}
        else:
            pid = os.fork()
            if pid == 0:
                connection.close()
                be(runner.main, request, descriptors[0])
            os.close(descriptors[0])
            answer = {"pid": pid}
        connection.send(json.dumps(answer).encode())


def be(main: Any, request: dict[str, Any], stderr: int) -> None:
    """Become the daemon; never returns."""
    code = 1
    try:
        os.environ.clear()
        os.environ.update(request["environment"])
        null = os.open(os.devnull, os.O_RDWR)
        for descriptor, source in ((0, null), (1, null), (2, stderr)):
            os.dup2(source, descriptor)
        os.close(stderr)
        code = main(Path(request["config"]), request["options"])
    except BaseException:  # noqa: BLE001  (the end of a process: whatever it is, it is told and becomes the exit status)
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(code)


if __name__ == "__main__":
    with socket.socket(fileno=int(sys.argv[1])) as handed_over:
        serve(handed_over)
