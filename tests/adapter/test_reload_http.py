"""Reloaders that speak HTTP, against real servers: sound, refusing, slow, dripping, gone, or serving something else."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sleepd.adapter.http_exchange import MAX_ANSWER_BYTES, exchange
from sleepd.adapter.reload import Reloader, make
from sleepd.errors import ReloadError, ReloadUnknownError

Make = Callable[..., Any]
DIRECTORY = Path("/adapters/cycle_007")


def health(adapter: str | None, **more: object) -> bytes:
    document = {
        "status": "ok",
        "base_sha256": "b" * 64,
        "adapter_id": adapter,
        "adapter_sha256": "a" * 64 if adapter else None,
        "generation": 3,
    }
    return json.dumps({**document, **more}).encode()


def sleepd(settings: Make, url: str, timeout: float = 5.0) -> Reloader:
    return make(settings(kind="sleepd", url=url, timeout_seconds=timeout))


def test_sleepd_is_asked_to_reload_and_then_for_its_health(make_service: Make, settings: Make) -> None:
    service = make_service(lambda _: (200, health("cycle_007")))
    reloader = sleepd(settings, service.url + "/")
    reloader.reload(DIRECTORY, "cycle_007")
    assert [(r.method, r.path) for r in service.requests] == [("POST", "/reload"), ("GET", "/health")]
    served = reloader.served()
    assert (served.healthy, served.adapter_id, served.adapter_sha256, served.generation) == (True, "cycle_007", "a" * 64, 3)
    assert served.base_sha256 == "b" * 64


def test_a_service_without_an_adapter_says_base(make_service: Make, settings: Make) -> None:
    reloader = sleepd(settings, make_service(lambda _: (200, health(None))).url)
    reloader.reload(None, None)
    assert reloader.served().adapter_id == "base"


def test_a_service_that_keeps_the_old_adapter_is_an_error_that_names_both(make_service: Make, settings: Make) -> None:
    service = make_service(lambda _: (200, health("cycle_006")))
    with pytest.raises(ReloadError, match="serves cycle_006 after a reload that should bring cycle_007") as caught:
        sleepd(settings, service.url).reload(DIRECTORY, "cycle_007")
    assert "state directory" in caught.value.remedy


def test_a_refused_reload_carries_the_services_words(make_service: Make, settings: Make) -> None:
    service = make_service(lambda _: (409, b'{"error": "rank 64 is too large"}'))
    with pytest.raises(ReloadError, match=r"409 .*rank 64 is too large"):
        sleepd(settings, service.url).reload(DIRECTORY, "cycle_007")


def test_a_service_that_is_down_is_an_error_to_reload_and_unhealthy_to_look_at(free_port_url: str, settings: Make) -> None:
    reloader = sleepd(settings, free_port_url)
    with pytest.raises(ReloadError, match="does not answer") as caught:
        reloader.reload(DIRECTORY, "cycle_007")
    assert "start the inference service" in caught.value.remedy
    assert not isinstance(caught.value, ReloadUnknownError)
    assert not reloader.served().healthy
    assert "does not answer" in reloader.served().detail


def test_a_timeout_is_unknown_until_the_identity_tells(make_service: Make, settings: Make) -> None:
    taken = make_service(lambda r: None if r.method == "POST" else (200, health("cycle_007")))
    sleepd(settings, taken.url, timeout=0.2).reload(DIRECTORY, "cycle_007")
    assert [r.method for r in taken.requests] == ["POST", "GET"]
    old = make_service(lambda r: None if r.method == "POST" else (200, health("cycle_006")))
    with pytest.raises(ReloadUnknownError, match=r"not answered within 0\.2 s"):
        sleepd(settings, old.url, timeout=0.2).reload(DIRECTORY, "cycle_007")


@pytest.mark.parametrize("body", [b"not json", b"[]", b"{}", b'{"status": "ok"}', b"\xff\xfe"])
def test_a_health_document_that_is_none_is_unhealthy(make_service: Make, settings: Make, body: bytes) -> None:
    assert not sleepd(settings, make_service(lambda _: (200, body)).url).served().healthy


def test_a_service_that_says_it_is_not_ok_is_unhealthy(make_service: Make, settings: Make) -> None:
    served = sleepd(settings, make_service(lambda _: (200, health("cycle_007", status="loading"))).url).served()
    assert (served.healthy, served.adapter_id) == (False, "cycle_007")


def test_a_canary_is_asked_alone_greedily_and_without_capture(make_service: Make, settings: Make) -> None:
    service = make_service(lambda _: (200, b'{"choices": [{"message": {"content": "  In Porto.\\n"}}]}'))
    assert sleepd(settings, service.url).ask("Where?", 48) == "In Porto."
    [request] = service.requests
    assert request.path == "/v1/chat/completions"
    assert request.headers["X-Sleepd-Capture"] == "off"
    assert json.loads(request.body) == {
        "messages": [{"role": "user", "content": "Where?"}],
        "max_tokens": 48,
        "temperature": 0,
        "stream": False,
    }


@pytest.mark.parametrize("body", [b"{}", b'{"choices": []}', b'{"choices": [{"message": {"content": null}}]}', b"<html>"])
def test_an_answer_that_is_no_chat_completion_is_an_error(make_service: Make, settings: Make, body: bytes) -> None:
    with pytest.raises(ReloadError):
        sleepd(settings, make_service(lambda _: (200, body)).url).ask("Where?", 48)


def test_http_fills_the_resolved_directory_into_url_and_body(make_service: Make, settings: Make) -> None:
    service = make_service(lambda _: (200, b""))
    url = f"{service.url}/load/{{adapter}}?path={{directory}}"
    reloader = make(settings(kind="http", reload_url=url, reload_body='{"lora_name": "{adapter}", "lora_path": "{directory}"}'))
    reloader.reload(Path('/a "b"/cycle_007'), "cycle_007")
    reloader.reload(None, None)
    first, second = service.requests
    assert first.path == "/load/cycle_007?path=%2Fa%20%22b%22%2Fcycle_007"
    assert json.loads(first.body) == {"lora_name": "cycle_007", "lora_path": '/a "b"/cycle_007'}
    assert first.headers["Content-Type"] == "application/json"
    assert (second.path, json.loads(second.body)) == ("/load/base?path=", {"lora_name": "base", "lora_path": ""})


@pytest.mark.parametrize(
    ("value", "adapter_id", "sha256"),
    [("cycle_007", "cycle_007", None), ("/adapters/cycle_007/", "cycle_007", None), (None, "base", None), ("a" * 64, None, "a" * 64)],
)
def test_http_reads_the_adapter_at_a_dotted_path(
    make_service: Make, settings: Make, value: object, adapter_id: str | None, sha256: str | None
) -> None:
    service = make_service(lambda _: (200, json.dumps({"data": [{"id": "model"}, {"root": value}]}).encode()))
    reloader = make(settings(kind="http", reload_url=service.url, health_url=f"{service.url}/v1/models", health_adapter_path="data.1.root"))
    served = reloader.served()
    assert (served.healthy, served.adapter_id, served.adapter_sha256) == (True, adapter_id, sha256)


@pytest.mark.parametrize("path", ["data.2.root", "data.x", "nothing", "data.1.root.deeper", "number"])
def test_a_path_that_leads_nowhere_is_said(make_service: Make, settings: Make, path: str) -> None:
    service = make_service(lambda _: (200, b'{"data": [{}, {"root": "cycle_007"}], "number": 7}'))
    served = make(settings(kind="http", reload_url=service.url, health_url=service.url, health_adapter_path=path)).served()
    assert not served.healthy
    assert path in served.detail


def test_http_without_health_or_chat_says_that_it_does_not_know(make_service: Make, settings: Make) -> None:
    reloader = make(settings(kind="http", reload_url=make_service(lambda _: (200, b"")).url))
    served = reloader.served()
    assert (served.healthy, served.adapter_id) == (True, None)
    assert "health_url is not set" in served.detail
    assert reloader.ask("Where?", 48) is None


def test_http_asks_canaries_where_a_chat_url_is_set(make_service: Make, settings: Make) -> None:
    service = make_service(lambda _: (200, b'{"choices": [{"message": {"content": "yes"}}]}'))
    reloader = make(settings(kind="http", reload_url=service.url, chat_url=f"{service.url}/chat", model_name="mine"))
    assert reloader.ask("?", 8) == "yes"
    assert json.loads(service.requests[0].body)["model"] == "mine"


@pytest.mark.parametrize("status", [301, 404, 500])
def test_only_a_status_under_300_is_taken(make_service: Make, settings: Make, status: int) -> None:
    service = make_service(lambda _: (status, b"no"))
    with pytest.raises(ReloadError, match=str(status)):
        make(settings(kind="http", reload_url=service.url)).reload(DIRECTORY, "cycle_007")


@pytest.mark.parametrize("url", ["", "file:///etc/passwd", "127.0.0.1:80", "http://", "http://[::1", "http://host:port/"])
def test_what_is_no_http_url_is_refused(url: str) -> None:
    with pytest.raises(ReloadError, match="URL"):
        exchange("GET", url, 1.0)


def test_an_endless_answer_is_cut_off(make_service: Make) -> None:
    service = make_service(lambda _: (200, b"x" * (MAX_ANSWER_BYTES + 1)))
    with pytest.raises(ReloadError, match="more than"):
        exchange("GET", service.url, 10.0)


@pytest.fixture
def dripping() -> Iterator[Callable[[bytes], str]]:
    """A server that sends a start and then one byte at a time, quicker than any socket timeout, for ever."""
    stop, threads, listeners = threading.Event(), [], []

    def start(beginning: bytes) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        listeners.append(listener)

        def drip() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(65536)
                try:
                    connection.sendall(beginning)
                    while not stop.wait(0.05):
                        connection.sendall(b"x")
                except OSError:
                    return  # the client gave up, as it should

        thread = threading.Thread(target=drip)
        thread.start()
        threads.append(thread)
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    stop.set()
    for thread in threads:
        thread.join(10)
    for listener in listeners:
        listener.close()


@pytest.mark.parametrize(
    "beginning", [b"HTTP/1.1 200 OK\r\nX-Header: ", b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n", b"HTTP/1.1 200 OK\r\n\r\n"]
)
def test_the_deadline_holds_against_a_server_that_drips(dripping: Callable[[bytes], str], beginning: bytes) -> None:
    start = time.monotonic()
    with pytest.raises(ReloadUnknownError, match="within"):
        exchange("GET", dripping(beginning), 0.4)
    assert time.monotonic() - start < 3


def test_a_connection_that_breaks_leaves_the_outcome_unknown(make_service: Make) -> None:
    service = make_service(lambda _: None)
    service.released.set()
    with pytest.raises(ReloadUnknownError):
        exchange("POST", service.url, 5.0)
