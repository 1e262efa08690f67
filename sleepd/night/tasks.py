"""The two tasks that sleepd asks of a model itself: facts as JSON, and a question in other words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

EXTRACT_EMPTY = '{"facts": []}'
_EXTRACT = "List the facts that the user states, as JSON."
_PARAPHRASE = "Ask the same in other words: "


def extraction_prompt(turns: Sequence[Mapping[str, str]]) -> str:
    """One user message that holds the conversation; ``turns`` have ``role`` and ``content``."""
    lines = [f"{turn['role']}: {turn['content']}" for turn in turns]
    return "\n".join([_EXTRACT, *lines])


def paraphrase_prompt(question: str) -> str:
    return _PARAPHRASE + question
