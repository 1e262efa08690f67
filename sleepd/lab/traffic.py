"""A background client that keeps asking while adapters are swapped, and checks who answered."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from sleepd.lab.client import Client, Reply


@dataclass(frozen=True)
class Counts:
    """``wrong_adapter``: answers that are not what the adapter named in their header gives."""

    requests: int
    failed: int
    wrong_adapter: int


class Traffic:
    """Asks ``questions`` over and over in a thread of its own; greedy, in fresh contexts, capture off."""

    def __init__(self, host: str, port: int, questions: Sequence[str]) -> None:
        self._client = Client(host, port)
        self._questions = list(questions)
        self._seen: list[tuple[str, Reply]] = []
        self._failed = 0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="traffic", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def _run(self) -> None:
        asked = 0
        while not self._stopping.wait(0.15):
            question = self._questions[asked % len(self._questions)]
            asked += 1
            try:
                self._seen.append((question, self._client.ask(question, capture=False)))
            except (OSError, ValueError, http.client.HTTPException):
                self._failed += 1

    def stop(self, reference: Client) -> Counts:
        """Stop, and compare: after the swap every answer must be the new adapter's, before it the old one's.

        The new adapter's answers are asked again now; the old one's must agree with each other.
        """
        self._stopping.set()
        self._thread.join(90)
        current = {q: reference.ask(q, capture=False) for q in self._questions}
        expected: dict[tuple[str, str], str] = {(q, r.adapter): r.text for q, r in current.items()}
        wrong = 0
        latest = -1
        for question, reply in self._seen:
            text = expected.setdefault((question, reply.adapter), reply.text)
            wrong += reply.text != text or reply.generation < latest
            latest = max(latest, reply.generation)
        return Counts(len(self._seen) + self._failed, self._failed, wrong)
