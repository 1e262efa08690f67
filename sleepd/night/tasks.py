"""The two tasks that sleepd asks of a model itself: facts as JSON, and a question in other words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

EXTRACT_EMPTY = '{"facts": []}'
_EXTRACT = "List the facts that the user states, as JSON."
_EXPLAINED = """List the lasting facts that the user states in this conversation, as JSON and nothing else:
{"facts": [{"subject": "...", "relation": "...", "value": "..."}]}
subject: "user", "user's sister" (or another relative of the user), or a person's full name. relation: city, job, company, pet, food, \
color, instrument, hobby, sister, birthday, or a short noun of the user. value: word for word as the user wrote it.
Not what is asked, denied, imagined or quoted, and nothing that only the assistant said. When there is none: {"facts": []}"""
_PARAPHRASE = "Ask the same in other words: "


def extraction_prompt(turns: Sequence[Mapping[str, str]], *, explained: bool = False) -> str:
    """One user message that holds the conversation; ``turns`` have ``role`` and ``content``.

    ``explained``: with the whole schema, for models that were never taught the task.
    """
    lines = [f"{turn['role']}: {turn['content']}" for turn in turns]
    return "\n".join([_EXPLAINED if explained else _EXTRACT, *lines])


def paraphrase_prompt(question: str) -> str:
    return _PARAPHRASE + question
