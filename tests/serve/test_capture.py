from __future__ import annotations

import json
import logging
import threading
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from sleepd.errors import BufferError
from sleepd.serve.capture import BufferCollector, Capture, CaptureState, Exchange
from sleepd.serve.values import Identity, Message

from .client import wait_until

ADAPTER = Identity(3, "cycle_007", "a" * 64)


class Notebook:
    """A collector that keeps what it gets. ``gate``: writing waits until it is set. ``error``: writing fails."""

    def __init__(self, error: Exception | None = None, stores: bool = True) -> None:
        self.entries: list[dict[str, Any]] = []
        self.gate = threading.Event()
        self.gate.set()
        self.error = error
        self.stores = stores

    def add_exchange(
        self,
        prompt: str,
        response: str,
        session_number: int | None = None,
        phase: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        tool_calls: Sequence[Mapping[str, Any]] | None = None,
    ) -> Mapping[str, Any]:
        assert self.gate.wait(30)
        if self.error:
            raise self.error
        self.entries.append({"prompt": prompt, "response": response, "session": session_number, "metadata": metadata})
        return {"stored": self.stores}


def exchange(*turns: tuple[str, str], answer: str = "Noted.") -> Exchange:
    messages = tuple(Message(role, content) for role, content in turns or (("user", "My cat is called Tosca."),))
    return Exchange(messages, answer, ADAPTER, "seedling", "stop", 4, "ada")


def captured(notebook: Notebook, *exchanges: Exchange) -> Capture:
    capture = Capture(notebook)
    capture.start()
    for one in exchanges:
        capture.offer(one)
    capture.stop(30)
    return capture


def test_an_exchange_is_kept_with_who_answered_it() -> None:
    notebook = Notebook()
    capture = captured(notebook, exchange())
    (entry,) = notebook.entries
    assert (entry["prompt"], entry["response"], entry["session"]) == ("My cat is called Tosca.", "Noted.", 4)
    assert entry["metadata"] == {
        "source": "sleepd-serve",
        "model": "seedling",
        "adapter": "cycle_007",
        "generation": 3,
        "conversation": None,
        "turn": 1,
        "finish_reason": "stop",
        "user": "ada",
    }
    assert capture.state().stored == 1


def test_system_prompts_are_dropped_and_turns_of_one_conversation_can_be_told_from_another() -> None:
    notebook = Notebook()
    one = [("system", "Secret orders."), ("user", "Hello"), ("assistant", "Hi."), ("user", "My dog is Rex.")]
    other = [("user", "Good day"), ("assistant", "Hi."), ("user", "My dog is Rex.")]
    captured(notebook, exchange(*one), exchange(*one[1:]), exchange(*other))
    assert "Secret orders." not in str(notebook.entries)
    first, same, different = (entry["metadata"] for entry in notebook.entries)
    assert first == same
    assert first["turn"] == 2
    assert first["conversation"] != different["conversation"]


@pytest.mark.parametrize(
    "one",
    [exchange(("user", " ")), exchange(answer=" \n"), exchange(("user", "Hello"), ("assistant", "Hi."))],
    ids=["nothing asked", "nothing answered", "no user at the end"],
)
def test_what_is_no_exchange_is_not_kept(one: Exchange) -> None:
    notebook = Notebook()
    assert captured(notebook, one).state().filtered == 1
    assert notebook.entries == []


def test_what_the_collector_filters_is_counted_as_such() -> None:
    state = captured(Notebook(stores=False), exchange()).state()
    assert (state.stored, state.filtered) == (0, 1)


def test_a_failing_buffer_is_logged_once_shown_and_forgotten_when_it_works_again(caplog: pytest.LogCaptureFixture) -> None:
    notebook = Notebook(error=BufferError("the buffer cannot be written", "free some space"))
    capture = Capture(notebook)
    capture.start()
    with caplog.at_level(logging.ERROR):
        for _ in range(3):
            capture.offer(exchange())
        wait_until(lambda: capture.state().failed == 3, "three exchanges have failed")
    assert len(caplog.records) == 1
    assert capture.state().last_error == "the buffer cannot be written (free some space)"
    notebook.error = None
    capture.offer(exchange())
    capture.stop(30)
    assert (capture.state().stored, capture.state().last_error) == (1, None)


def test_a_fault_of_the_collector_does_not_end_capture() -> None:
    notebook = Notebook(error=RuntimeError("unexpected"))
    capture = Capture(notebook)
    capture.start()
    capture.offer(exchange())
    wait_until(lambda: capture.state().failed == 1, "the fault has come")
    notebook.error = None
    capture.offer(exchange())
    capture.stop(30)
    assert capture.state().stored == 1


def test_a_slow_buffer_costs_exchanges_and_never_time() -> None:
    notebook = Notebook()
    notebook.gate.clear()
    capture = Capture(notebook, limit=2)
    capture.start()
    for _ in range(10):
        capture.offer(exchange())
    state = capture.state()
    assert state.dropped >= 7
    assert "queue is full" in str(state.last_error)
    notebook.gate.set()
    capture.stop(30)
    assert len(notebook.entries) + capture.state().dropped == 10


def test_stopping_does_not_wait_for_a_buffer_that_hangs(caplog: pytest.LogCaptureFixture) -> None:
    notebook = Notebook()
    notebook.gate.clear()
    capture = Capture(notebook)
    capture.start()
    capture.offer(exchange())
    capture.stop(0.05)
    assert "took too long" in caplog.text
    notebook.gate.set()


def test_without_a_collector_nothing_is_captured() -> None:
    capture = Capture(None)
    capture.start()
    capture.offer(exchange())
    capture.stop(1)
    assert not capture.state().enabled


def test_the_experience_buffer_gets_what_was_said_without_its_secrets(tmp_path: Path) -> None:
    buffer = tmp_path / "buffer.json"
    key = "sk-proj-abcdefghijklmnop1234567890"
    capture = Capture(BufferCollector(buffer))
    capture.start()
    capture.offer(exchange(("system", "Be kind."), ("user", "My sister Zelda lives in Porto."), answer=f"I noted it beside {key}."))
    capture.stop(30)
    assert capture.state() == CaptureState(enabled=True, stored=1, filtered=0, dropped=0, failed=0, last_error=None)
    (entry,) = entries(buffer)
    assert entry["prompt"] == "My sister Zelda lives in Porto."
    assert "Be kind." not in buffer.read_text()
    assert key not in buffer.read_text()
    assert (entry["session"], entry["metadata"]["adapter"]) == (4, "cycle_007")


def test_a_buffer_that_cannot_be_read_is_reported_left_alone_and_used_again_when_it_is_repaired(tmp_path: Path) -> None:
    buffer = tmp_path / "buffer.json"
    buffer.write_bytes(b"\x00 not a buffer")
    capture = Capture(BufferCollector(buffer))
    capture.start()
    capture.offer(exchange(("user", "My sister Zelda lives in Porto.")))
    wait_until(lambda: capture.state().failed == 1, "the failure shows")
    assert "buffer.json" in str(capture.state().last_error)
    assert buffer.read_bytes() == b"\x00 not a buffer"
    buffer.write_text("[]")
    capture.offer(exchange(("user", "My brother Otto lives in Ghent.")))
    capture.stop(30)
    assert [entry["prompt"] for entry in entries(buffer)] == ["My brother Otto lives in Ghent."]


def entries(buffer: Path) -> list[dict[str, Any]]:
    content = json.loads(buffer.read_text())
    return list(content["experiences"] if isinstance(content, dict) else content)
