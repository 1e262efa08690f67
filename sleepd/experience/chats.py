"""Chat exports as exchanges: OpenAI ``messages`` and ChatML ``text``, one conversation an object.

A person's message and the reply that follows it are one exchange; a reply to nobody is none. Exports have no
times, so each exchange keeps its place in the conversation as ``metadata["turn"]``, from 0.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sleepd.experience.entries import Malformed, experience_id
from sleepd.experience.salience import ConversationalSalienceScorer
from sleepd.records import Experience

_CHATML = re.compile(r"<\|im_start\|>(\w+)\n(.*?)(?:<\|im_end\|>|\Z)", re.DOTALL)
Turn = tuple[str, str]


def is_chat(value: object) -> bool:
    """Whether a JSON value is a conversation rather than an entry of a buffer."""
    if not isinstance(value, dict) or "prompt" in value:
        return False
    return isinstance(value.get("messages"), list) or (isinstance(value.get("text"), str) and "<|im_start|>" in value["text"])


def exchanges(value: object, session: int, scorer: ConversationalSalienceScorer) -> list[Experience]:
    """The exchanges of one conversation, which becomes session ``session``. Raises Malformed."""
    assert isinstance(value, dict)  # is_chat said so
    turns = _messages(value["messages"]) if isinstance(value.get("messages"), list) else _CHATML.findall(value["text"])
    found = []
    for turn, (prompt, response) in enumerate(_pairs(turns)):
        salience = scorer.score(prompt, response)
        metadata = {"source": "chat export", "turn": turn}
        found.append(Experience(experience_id(prompt, response), prompt, response, salience, session, metadata=metadata))
    if not found:
        raise Malformed("is a conversation without a message of the user")
    return found


def _messages(values: list[object]) -> list[Turn]:
    turns = []
    for value in values:
        if not isinstance(value, dict) or not isinstance(value.get("role"), str):
            raise Malformed("messages holds something without a role")
        content = value.get("content")
        if isinstance(content, list):  # parts, of which some are text
            content = "\n".join(part["text"] for part in content if isinstance(part, dict) and isinstance(part.get("text"), str))
        turns.append((value["role"], content if isinstance(content, str) else ""))
    return turns


def _pairs(turns: Sequence[Turn]) -> list[tuple[str, str]]:
    pairs: list[tuple[str, str]] = []
    for role, content in turns:
        if role == "user":
            pairs.append((content.strip(), ""))
        elif role == "assistant" and pairs and not pairs[-1][1]:
            pairs[-1] = (pairs[-1][0], content.strip())
    return [pair for pair in pairs if pair[0]]
