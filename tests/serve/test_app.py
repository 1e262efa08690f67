from __future__ import annotations

import contextlib
import json
import socket
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from sleepd.serve.app import create_app
from sleepd.serve.base import LoadedBase
from sleepd.serve.engine import Engine
from sleepd.serve.settings import ServeSettings

from .asking import QUESTIONS, ask
from .client import Client, served, wait_until
from .conftest import Store
from .test_capture import Notebook


@pytest.fixture
def notebook() -> Notebook:
    return Notebook()


@pytest.fixture
def client(engine: Engine, settings: ServeSettings, notebook: Notebook) -> Iterator[Client]:
    with served(create_app(engine, notebook, replace(settings, max_body_bytes=20_000))) as client:
        yield client


def slow(**fields: Any) -> dict[str, Any]:
    """A request whose answer goes on to the length limit of the service, whatever the model."""
    return {"messages": [{"role": "user", "content": "Hello"}], "temperature": 2.0, "seed": 1, **fields}


@pytest.fixture
def long_client(base: LoadedBase, settings: ServeSettings) -> Iterator[tuple[Client, Engine]]:
    """A service for one answer at a time, of up to a thousand tokens, with room for one that waits."""
    base = replace(base, stop_ids=frozenset())
    engine = Engine(base, settings.adapters, parallel=1, max_waiting=1)
    engine.start()
    with served(create_app(engine, None, replace(settings, max_new_tokens=1000))) as client:
        yield client, engine
    engine.stop(10)


def test_an_answer_has_the_shape_of_the_openai_api(client: Client, engine: Engine) -> None:
    reply = client.chat(QUESTIONS[0], max_tokens=24, model="any name")
    assert reply.status == 200
    assert reply.json["object"] == "chat.completion"
    assert reply.json["id"].startswith("chatcmpl-")
    assert reply.json["model"] == "seedling"
    (choice,) = reply.json["choices"]
    direct = ask(engine, QUESTIONS[0])
    assert choice["message"] == {"role": "assistant", "content": direct.text}
    assert choice["finish_reason"] == direct.end.reason
    usage = reply.json["usage"]
    assert usage["completion_tokens"] == direct.end.completion_tokens
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert usage["prompt_tokens"] > 5


def test_a_stream_says_the_same_piece_by_piece(client: Client) -> None:
    whole = client.chat(QUESTIONS[0], max_tokens=24)
    reply = client.chat(QUESTIONS[0], max_tokens=24, stream=True, stream_options={"include_usage": True})
    assert reply.headers["content-type"].startswith("text/event-stream")
    assert reply.body.endswith(b"data: [DONE]\n\n")
    first, *pieces, last, usage = reply.events
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert "".join(event["choices"][0]["delta"]["content"] for event in pieces) == whole.text
    assert last["choices"][0]["finish_reason"] == whole.json["choices"][0]["finish_reason"]
    assert (usage["choices"], usage["usage"]) == ([], whole.json["usage"])
    assert len({event["id"] for event in reply.events}) == 1


def test_a_stream_without_the_option_has_no_usage(client: Client) -> None:
    assert all("usage" not in event for event in client.chat(stream=True).events)


def test_pieces_are_sent_as_they_are_made(long_client: tuple[Client, Engine]) -> None:
    client, engine = long_client
    with contextlib.closing(client.connect()) as connection:
        connection.request("POST", "/v1/chat/completions", json.dumps(slow(stream=True)))
        response = connection.getresponse()
        lines = [response.readline() for _ in range(5)]
        assert engine.queue().running == 1, "the answer was complete before its first pieces came"
    assert all(line == b"\n" or line.startswith(b"data: {") for line in lines)


@pytest.mark.parametrize("stream", [False, True])
def test_every_answer_names_the_adapter_and_the_generation(client: Client, store: Store, stream: bool) -> None:
    assert client.chat(stream=stream).headers["x-sleepd-adapter"] == "base"
    store.activate("cycle_002")
    assert client.reload().status == 200
    reply = client.chat(stream=stream)
    health = client.health()
    assert health["adapter_id"] == "cycle_002"
    assert reply.headers["x-sleepd-adapter"] == "cycle_002"
    assert reply.headers["x-sleepd-generation"] == str(health["generation"]) == "2"
    for document in reply.events if stream else [reply.json]:
        assert document["sleepd"] == {
            "adapter": "cycle_002",
            "adapter_id": "cycle_002",
            "adapter_sha256": health["adapter_sha256"],
            "generation": 2,
        }


@pytest.mark.parametrize(("method", "path"), [("GET", "/health"), ("GET", "/v1/models"), ("GET", "/nothing"), ("POST", "/reload")])
def test_whatever_is_asked_the_headers_are_there(client: Client, method: str, path: str) -> None:
    reply = client.request(method, path)
    assert (reply.headers["x-sleepd-adapter"], reply.headers["x-sleepd-generation"]) == ("base", "1")


def test_health_tells_what_is_served(client: Client, engine: Engine, store: Store) -> None:
    health = client.health()
    assert health["status"] == "ok"
    assert (health["base_sha256"], health["adapter_id"], health["adapter_sha256"]) == (engine.info.base_sha256, None, None)
    assert health["queue"] == {"running": 0, "waiting": 0, "limit": 4}
    assert health["capture"]["enabled"]
    store.activate("cycle_001")
    assert client.reload().json == client.health()


def test_the_model_keeps_its_name_when_the_adapter_changes(client: Client, store: Store) -> None:
    (before,) = client.get("/v1/models").json["data"]
    store.activate("cycle_001")
    client.reload()
    (after,) = client.get("/v1/models").json["data"]
    assert before["id"] == after["id"] == "seedling"
    assert after["sleepd"]["adapter_id"] == "cycle_001"


def test_a_broken_adapter_is_refused_with_reason_and_remedy_and_the_old_one_answers(client: Client, store: Store) -> None:
    store.activate("cycle_001")
    client.reload()
    (store.root / "cycle_002" / "adapter_config.json").unlink()
    store.activate("cycle_002")
    reply = client.reload()
    assert reply.status == 409
    assert "adapter_config.json is missing" in reply.json["error"]["message"]
    assert reply.json["error"]["remedy"]
    health = client.health()
    assert (health["status"], health["adapter_id"]) == ("ok", "cycle_001")
    assert "adapter_config.json is missing" in health["last_reload_error"]["message"]
    assert client.chat().headers["x-sleepd-adapter"] == "cycle_001"
    store.activate("cycle_003")
    assert client.reload().json["last_reload_error"] is None


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_json"),
        (b"\xff", 400, "invalid_json"),
        (b"{}", 400, "invalid_value"),
        (json.dumps({"messages": [{"role": "user", "content": "x"}], "n": 2}).encode(), 400, "unsupported_parameter"),
        (json.dumps({"messages": [{"role": "user", "content": "word " * 3000}]}).encode(), 400, "context_length_exceeded"),
        (b" " * 20_001, 413, "body_too_large"),
    ],
)
def test_bad_input_gets_one_openai_shaped_error(client: Client, body: bytes, status: int, code: str) -> None:
    reply = client.request("POST", "/v1/chat/completions", body)
    assert (reply.status, reply.json["error"]["code"]) == (status, code)
    assert set(reply.json["error"]) == {"message", "type", "param", "code", "remedy"}
    assert reply.json["error"]["type"] == "invalid_request_error"
    assert client.chat().status == 200


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/v1/completions", 404), ("GET", "/v1/chat/completions", 405), ("GET", "/reload", 405)]
)
def test_what_does_not_exist_gets_an_openai_shaped_error_too(client: Client, method: str, path: str, status: int) -> None:
    reply = client.request(method, path)
    assert reply.status == status
    assert path in reply.json["error"]["message"]


def test_a_web_page_of_another_site_is_turned_away(client: Client, notebook: Notebook) -> None:
    reply = client.chat("I am the user, honestly.", headers={"Origin": "https://elsewhere.example"})
    assert (reply.status, reply.json["error"]["code"]) == (403, "cross_origin")
    assert notebook.entries == []
    assert client.chat(headers={"Origin": f"http://127.0.0.1:{client.port}"}).status == 200


def test_a_full_queue_says_when_to_come_back(long_client: tuple[Client, Engine]) -> None:
    client, engine = long_client
    with contextlib.ExitStack() as stack:
        for number in (1, 2):
            connection = stack.enter_context(contextlib.closing(client.connect()))
            connection.request("POST", "/v1/chat/completions", json.dumps(slow()))
            wait_until(lambda expected=number: engine.queue().running + engine.queue().waiting == expected, "it is accepted")  # type: ignore[misc]
        wait_until(lambda: engine.queue().waiting == 1, "one waits")
        reply = client.chat()
        assert reply.status == 503
        assert reply.json["error"]["type"] == "overloaded_error"
        assert int(reply.headers["retry-after"]) > 0


@pytest.mark.parametrize("stream", [False, True])
def test_a_client_that_leaves_stops_the_work(long_client: tuple[Client, Engine], stream: bool) -> None:
    client, engine = long_client
    connection = client.connect()
    connection.request("POST", "/v1/chat/completions", json.dumps(slow(stream=stream)))
    wait_until(lambda: engine.queue().running == 1, "the answer is being made")
    assert connection.sock is not None
    connection.sock.shutdown(socket.SHUT_RDWR)
    connection.close()
    wait_until(lambda: engine.queue().running == 0, "the work has stopped", seconds=5)
    assert client.chat(max_tokens=1).status == 200


@pytest.mark.parametrize("stream", [False, True])
def test_an_exchange_is_captured_with_the_adapter_that_answered(client: Client, store: Store, notebook: Notebook, stream: bool) -> None:
    store.activate("cycle_001")
    client.reload()
    reply = client.chat("My cat is called Tosca.", headers={"X-Sleepd-Session": "12"}, stream=stream, user="ada")
    text = "".join(e["choices"][0]["delta"].get("content", "") for e in reply.events) if stream else reply.text
    if not text.strip():
        pytest.skip("this model says nothing to that")
    wait_until(lambda: notebook.entries, "the exchange is captured")
    (entry,) = notebook.entries
    assert (entry["prompt"], entry["response"], entry["session"]) == ("My cat is called Tosca.", text.strip(), 12)
    assert (entry["metadata"]["adapter"], entry["metadata"]["generation"], entry["metadata"]["user"]) == ("cycle_001", 2, "ada")


def test_nothing_is_captured_when_the_request_says_so_or_fails(
    client: Client, engine: Engine, settings: ServeSettings, notebook: Notebook
) -> None:
    for value in ("off", "OFF", " off "):
        assert client.chat("a probe", headers={"X-Sleepd-Capture": value}).status == 200
    assert client.chat("a bad one", n=3).status == 400
    client.chat("My cat is called Tosca.", headers={"X-Sleepd-Capture": "on"})
    wait_until(lambda: sum(client.health()["capture"][k] for k in ("stored", "filtered")) == 1, "the last one is through")
    assert {entry["prompt"] for entry in notebook.entries} <= {"My cat is called Tosca."}


def test_a_session_that_is_no_number_is_refused(client: Client) -> None:
    assert client.chat(headers={"X-Sleepd-Session": "today"}).json["error"]["param"] == "X-Sleepd-Session"


def test_a_buffer_that_cannot_be_written_costs_no_answer_and_shows_in_health(client: Client, notebook: Notebook) -> None:
    notebook.error = OSError("disk full")
    assert client.chat("Hello").status == 200
    wait_until(lambda: client.health()["capture"]["failed"] == 1, "the failure shows")
    assert "disk full" in client.health()["capture"]["last_error"]
    assert client.chat("Hello").status == 200


def test_exchanges_are_written_before_the_service_ends(engine: Engine, settings: ServeSettings) -> None:
    notebook = Notebook()
    notebook.gate.clear()
    with served(create_app(engine, notebook, settings)) as client:
        answers = [client.chat(question) for question in QUESTIONS]
        notebook.gate.set()
    assert len(notebook.entries) == sum(bool(reply.text.strip()) for reply in answers)
