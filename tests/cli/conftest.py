"""A daemon's control socket with scripted answers, and a way to run a command line in this process."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from sleepd.cli.app import main
from sleepd.control.server import Pending, Server
from sleepd.errors import SleepdError

Answer = Mapping[str, Any] | SleepdError | list[Mapping[str, Any]]


@dataclass
class ScriptedDaemon:
    """Answers each command as told; a list is a stream of progress lines. ``asked`` is what came in."""

    socket: Path
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def handle(self, pending: Pending) -> None:
        request = pending.request
        self.asked.append((request.command, dict(request.args)))
        answer = self.answers.get(request.command, SleepdError(f"not scripted: {request.command}"))
        if isinstance(answer, SleepdError):
            pending.refuse(answer)
        elif isinstance(answer, list):
            pending.begin_stream({"following": True})
            for line in answer:
                pending.line(line, last=bool(line.get("done")))
        else:
            pending.answer(answer)


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    """A configuration file whose directories lie in the test's own folder."""
    file = tmp_path / "sleepd.toml"
    file.write_text(f'[directories]\nstate = "{tmp_path}/state"\nruntime = "{tmp_path}/run"\ncache = "{tmp_path}/cache"\n')
    return file


@pytest.fixture
def daemon(configuration: Path, tmp_path: Path) -> Iterator[ScriptedDaemon]:
    scripted = ScriptedDaemon(tmp_path / "run" / "control.sock")
    server = Server(scripted.socket, scripted.handle, 65536)
    server.start()
    yield scripted
    server.stop()
    assert threading.active_count() < 20


@dataclass(frozen=True)
class Said:
    """What one command line printed, and its exit status."""

    code: int
    out: str
    err: str


@pytest.fixture
def say(configuration: Path, capsys: pytest.CaptureFixture[str]) -> Callable[..., Said]:
    """Run ``sleepd -c CONFIGURATION ARGUMENTS...``."""

    def run(*arguments: str) -> Said:
        code = main(["-c", str(configuration), *arguments])
        captured = capsys.readouterr()
        return Said(code, captured.out, captured.err)

    return run
