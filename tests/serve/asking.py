"""Asks an engine directly, without HTTP."""

from __future__ import annotations

import queue
from collections.abc import Sequence
from dataclasses import dataclass

from sleepd.serve.engine import Engine
from sleepd.serve.values import Event, Failed, Finished, Identity, Message, Piece, RequestError, Sampling, Ticket

QUESTIONS = ("Where does Ada live?", "What is the pet of Bo called?", "Hello, who are you?", "What do you like to eat?")
GREEDY = Sampling(temperature=0.0, top_p=1.0, top_k=0, max_tokens=24)


@dataclass(frozen=True)
class Answered:
    text: str
    end: Finished
    identity: Identity
    pieces: tuple[str, ...]


class Asked:
    """A request under way; its events arrive in ``events``."""

    def __init__(self, engine: Engine, question: str | Sequence[Message], sampling: Sampling = GREEDY) -> None:
        messages = [Message("user", question)] if isinstance(question, str) else question
        self.events: queue.Queue[Event] = queue.Queue()
        self.ticket: Ticket = engine.submit(engine.encode(messages), sampling, self.events.put)

    def answer(self) -> Answered:
        pieces: list[str] = []
        while isinstance(event := self.events.get(timeout=30), Piece):
            pieces.append(event.text)
        if isinstance(event, Failed):
            raise event.error
        return Answered("".join(pieces), event, self.ticket.identity, tuple(pieces))

    def failure(self) -> RequestError:
        while not isinstance(event := self.events.get(timeout=30), Failed):
            assert not isinstance(event, Finished), "the request was answered"
        return event.error


def ask(engine: Engine, question: str | Sequence[Message], sampling: Sampling = GREEDY) -> Answered:
    return Asked(engine, question, sampling).answer()
