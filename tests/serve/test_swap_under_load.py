"""The promise of a swap: none fails, none waits for it, none mixes two adapters."""

from __future__ import annotations

import itertools
import threading
from dataclasses import dataclass, field

from sleepd.serve.app import create_app
from sleepd.serve.base import LoadedBase
from sleepd.serve.engine import Engine
from sleepd.serve.settings import ServeSettings

from .asking import QUESTIONS
from .client import Client, Reply, served, wait_until
from .conftest import Store

SWAPS = 10
CLIENTS = 4
LENGTH = 24


@dataclass
class Asker:
    """Asks one question after the other until it is told to stop, every second one as a stream."""

    client: Client
    number: int
    stop: threading.Event
    said: list[tuple[str, str, str]] = field(default_factory=list)  # adapter, question, answer
    failed: list[Reply | Exception] = field(default_factory=list)

    def run(self) -> None:
        for count in itertools.count(self.number):
            if self.stop.is_set():
                return
            question, stream = QUESTIONS[count % len(QUESTIONS)], count % 2 == 0
            try:
                reply = self.client.chat(question, max_tokens=LENGTH, stream=stream)
            except OSError as error:
                self.failed.append(error)
                continue
            if reply.status != 200:
                self.failed.append(reply)
                continue
            text = "".join(e["choices"][0]["delta"].get("content", "") for e in reply.events) if stream else reply.text
            self.said.append((reply.headers["x-sleepd-adapter"], question, text))


def test_adapters_are_swapped_under_load_without_a_failed_or_a_mixed_answer(
    base: LoadedBase, settings: ServeSettings, store: Store
) -> None:
    engine = Engine(base, settings.adapters, parallel=CLIENTS, max_waiting=16)
    engine.start()
    names = ["cycle_001", "cycle_002", "cycle_003"]
    with served(create_app(engine, None, settings)) as client:
        pure: dict[tuple[str, str], str] = {}
        for name in names:
            store.activate(name)
            assert client.reload().status == 200
            for question in QUESTIONS:
                pure[name, question] = client.chat(question, max_tokens=LENGTH).text
        assert all(len({pure[name, question] for name in names}) == 3 for question in QUESTIONS), "the adapters cannot be told apart"

        stop = threading.Event()
        askers = [Asker(client, number, stop) for number in range(CLIENTS)]
        threads = [threading.Thread(target=asker.run) for asker in askers]
        for thread in threads:
            thread.start()
        for swap in range(SWAPS):
            before = sum(len(asker.said) for asker in askers)
            wait_until(lambda before=before: sum(len(asker.said) for asker in askers) >= before + 6, "answers came between two swaps")  # type: ignore[misc]
            store.activate(names[swap % 3])
            reply = client.reload()
            assert (reply.status, reply.json["adapter_id"]) == (200, names[swap % 3])
            assert client.chat(max_tokens=1).headers["x-sleepd-adapter"] == names[swap % 3]
        stop.set()
        for thread in threads:
            thread.join(30)
    engine.stop(10)

    said = [one for asker in askers for one in asker.said]
    assert [failure for asker in askers for failure in asker.failed] == []
    assert {adapter for adapter, _, _ in said} == set(names)
    assert [one for one in said if pure[one[0], one[1]] != one[2]] == []
