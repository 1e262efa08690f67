"""Protocol, server and client over real sockets."""

from __future__ import annotations

import json
import os
import queue
import socket
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from sleepd.control import client, protocol
from sleepd.control.server import Deadlines, Pending, Server
from sleepd.errors import ExitCode, NoDaemonError, NotFoundError, SleepdError

PATIENCE = 10.0
Serve = Callable[..., Server]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "run/control.sock"


@pytest.fixture
def serve(path: Path) -> Iterator[Serve]:
    servers: list[Server] = []

    def start(on_request: Callable[[Pending], None], limit: int = 1024, deadlines: Deadlines | None = None) -> Server:
        server = Server(path, on_request, limit, deadlines=deadlines or Deadlines())
        server.start()
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


def raw(path: Path, data: bytes) -> list[dict[str, object]]:
    """Send bytes and read lines until the server closes."""
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(PATIENCE)
        connection.connect(str(path))
        connection.sendall(data)
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return [json.loads(line) for line in received.splitlines()]


def test_a_command_is_answered(serve: Serve, path: Path) -> None:
    serve(lambda pending: pending.answer({"command": pending.request.command, "args": dict(pending.request.args)}))
    assert client.call(path, "show", {"number": 7, "text": "a\nb ü"}) == {"command": "show", "args": {"number": 7, "text": "a\nb ü"}}


def test_a_refusal_keeps_its_words_and_its_exit_code(serve: Serve, path: Path) -> None:
    serve(lambda pending: pending.refuse(NotFoundError("no cycle 9", "see `sleepd cycles`")))
    with pytest.raises(SleepdError) as caught:
        client.call(path, "show", {"number": 9})
    assert (caught.value.message, caught.value.remedy, caught.value.exit_code) == ("no cycle 9", "see `sleepd cycles`", ExitCode.NOT_FOUND)


def test_an_answer_may_come_later_from_another_thread(serve: Serve, path: Path) -> None:
    waiting: queue.SimpleQueue[Pending] = queue.SimpleQueue()
    serve(waiting.put)
    thread = threading.Thread(target=lambda: waiting.get(timeout=PATIENCE).answer({"late": True}))
    thread.start()
    assert client.call(path, "rollback") == {"late": True}
    thread.join(PATIENCE)


def test_a_stream_ends_with_its_last_line_and_signs_of_life_are_not_shown(serve: Serve, path: Path) -> None:
    def stream(pending: Pending) -> None:
        pending.begin_stream({"cycle": "cycle_001"})
        pending.line({"alive": True})
        pending.line({"stage": "TRAIN", "percent": 40})
        pending.line({"done": True, "verdict": "committed"}, last=True)

    serve(stream)
    assert list(client.follow(path)) == [{"stage": "TRAIN", "percent": 40}, {"done": True, "verdict": "committed"}]


def test_the_socket_is_for_the_group_and_goes_with_the_server(serve: Serve, path: Path) -> None:
    server = serve(lambda pending: pending.answer({}))
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    server.stop()
    assert not path.exists()


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"hello\n", "not JSON"),
        (b"[1]\n", "not an object"),
        (b'{"command":"format-disk"}\n', "unknown command 'format-disk'"),
        (b'{"id":"1"}\n', "unknown command None"),
        (b'{"command":"status","args":[1]}\n', "args of status"),
        (b"[" * 900 + b"\n", "not JSON"),
        (b"\xff\xfe\n", "not JSON"),
    ],
)
def test_a_line_that_is_no_request_is_refused_with_the_reason(serve: Serve, path: Path, line: bytes, words: str) -> None:
    serve(lambda pending: pending.answer({}))
    answer = raw(path, line)[0]
    assert answer["ok"] is False and words in str(answer["error"]) and answer["exit_code"] == 2


def test_a_request_beyond_the_limit_is_refused_before_it_is_whole(serve: Serve, path: Path) -> None:
    serve(lambda pending: pending.answer({}), limit=1024)
    assert "larger than 1024 bytes" in str(raw(path, b"x" * 5000)[0]["error"])


def test_who_sends_nothing_is_hung_up_on(serve: Serve, path: Path) -> None:
    serve(lambda pending: pending.answer({}), deadlines=Deadlines(request=0.1))
    assert raw(path, b'{"comm') == []


def test_a_daemon_that_does_not_answer_in_time_says_so(serve: Serve, path: Path) -> None:
    serve(lambda pending: None, deadlines=Deadlines(answer=0.1))
    with pytest.raises(SleepdError, match="too busy"):
        client.call(path, "status")


def test_who_does_not_read_is_dropped_and_the_others_are_served(serve: Serve, path: Path) -> None:
    serve(lambda pending: pending.answer({"big": "x" * 4_000_000}), deadlines=Deadlines(write=0.2))
    with socket.socket(socket.AF_UNIX) as deaf:
        deaf.connect(str(path))
        deaf.sendall(b'{"command":"status"}\n')
        assert len(client.call(path, "status")["big"]) == 4_000_000


def test_a_caller_that_left_does_not_matter(serve: Serve, path: Path) -> None:
    waiting: queue.SimpleQueue[Pending] = queue.SimpleQueue()
    serve(waiting.put)
    with socket.socket(socket.AF_UNIX) as gone:
        gone.connect(str(path))
        gone.sendall(b'{"command":"status"}\n')
        pending = waiting.get(timeout=PATIENCE)
    pending.answer({"too": "late"})
    thread = threading.Thread(target=lambda: waiting.get(timeout=PATIENCE).answer({"ok": True}))
    thread.start()
    assert client.call(path, "status") == {"ok": True}
    thread.join(PATIENCE)


def test_fifty_callers_at_once_are_all_answered(serve: Serve, path: Path) -> None:
    serve(lambda pending: pending.answer({"n": pending.request.args["n"]}))
    answers: queue.SimpleQueue[int] = queue.SimpleQueue()
    threads = [threading.Thread(target=lambda n=n: answers.put(client.call(path, "show", {"n": n})["n"])) for n in range(50)]
    for thread in threads:
        thread.start()
    assert sorted(answers.get(timeout=PATIENCE) for _ in threads) == list(range(50))


def test_a_socket_left_behind_is_replaced_and_one_in_use_is_not(serve: Serve, path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    serve(lambda pending: pending.answer({"alive": 1}))
    assert client.call(path, "status") == {"alive": 1}
    with pytest.raises(SleepdError, match="another daemon answers"):
        Server(path, lambda pending: None, 1024).start()
    assert client.call(path, "status") == {"alive": 1}


def test_a_path_that_no_socket_can_have_is_refused_with_its_key(tmp_path: Path) -> None:
    with pytest.raises(SleepdError, match="longer than 107 bytes") as caught:
        Server(tmp_path / ("d" * 100) / "control.sock", lambda pending: None, 1024).start()
    assert "control.socket" in caught.value.remedy


def test_without_a_daemon_the_caller_hears_so(tmp_path: Path) -> None:
    with pytest.raises(NoDaemonError) as caught:
        client.call(tmp_path / "none.sock", "status")
    assert caught.value.exit_code == ExitCode.NO_DAEMON and "sleepd run" in caught.value.remedy


def test_a_daemon_that_hangs_up_or_stays_silent_is_no_daemon(path: Path) -> None:
    path.parent.mkdir()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with pytest.raises(NoDaemonError, match="does not answer in time"):
            client.call(path, "status", timeout=0.1)
        thread = threading.Thread(target=lambda: _hang_up(listener, 2))
        thread.start()
        with pytest.raises(NoDaemonError, match="hung up"):
            client.call(path, "status", timeout=PATIENCE)
        thread.join(PATIENCE)


def test_the_peer_is_known_by_the_kernel(serve: Serve, path: Path) -> None:
    serve(lambda pending: pending.answer({"peer": pending.peer}))
    assert client.call(path, "status") == {"peer": f"uid {os.geteuid()}"}


def test_a_line_holds_one_document_whatever_is_in_it() -> None:
    line = protocol.encode({"text": "one\ntwo\u2028three"})
    assert line.count(b"\n") == 1 and protocol.decode(line) == {"text": "one\ntwo\u2028three"}


def _hang_up(listener: socket.socket, times: int) -> None:
    for _ in range(times):
        listener.accept()[0].close()
