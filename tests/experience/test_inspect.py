"""The document of ``sleepd inspect --json``, of buffers and of chat exports."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from sleepd.errors import BufferError
from sleepd.experience.inspect import inspect_buffer
from sleepd.experience.screen import ScreenLimits
from tests.experience.conftest import as_list, entry, many

KEYS = ["path", "form", "entries", "usable", "examples", "with_cards", "cards", "rejected", "salience", "entries_rejected", "errors"]


def inspected(tmp_path: Path, content: str) -> dict[str, Any]:
    path = tmp_path / "buffer.json"
    path.write_text(content)
    return inspect_buffer(path, ScreenLimits())


def test_the_document_counts_each_kind_of_use_and_each_reason(tmp_path: Path) -> None:
    fact = entry("My sister moved to Porto.", "Noted.")
    low = entry("Why?", "Because the river was so high that we could not cross it.")
    low["salience"]["total"] = 0.2
    document = inspected(tmp_path, as_list([*many(2), fact, low, many(1)[0], {"prompt": 1}]))
    assert list(document) == KEYS
    assert document["form"] == "list"
    assert (document["entries"], document["usable"], document["examples"], document["with_cards"], document["cards"]) == (6, 3, 2, 1, 1)
    assert document["rejected"] == {"short": 1, "low_salience": 1, "duplicate": 1}
    assert document["salience"] == {"min": 0.2, "median": 0.7, "max": 0.7}
    assert [row["id"] for row in document["entries_rejected"]] == [fact["id"], low["id"], many(1)[0]["id"]]
    assert document["errors"] == [{"entry": 5, "reason": "prompt is a number, not a text"}]
    json.dumps(document)


def test_an_empty_buffer_has_a_document(tmp_path: Path) -> None:
    document = inspected(tmp_path, "[]")
    assert document["entries"] == 0 and document["salience"] == {"min": None, "median": None, "max": None}


def test_what_cannot_be_read_is_raised(tmp_path: Path) -> None:
    with pytest.raises(BufferError):
        inspected(tmp_path, "no buffer")


def test_openai_messages_are_exchanges(tmp_path: Path) -> None:
    talk = {
        "messages": [
            {"role": "system", "content": "Be kind."},
            {"role": "user", "content": "My cat is called Momo."},
            {"role": "assistant", "content": "What a lovely name for a cat, I will remember it."},
            {"role": "user", "content": [{"type": "text", "text": "I live in Porto."}, {"type": "image_url"}]},
        ]
    }
    document = inspected(tmp_path, json.dumps(talk) + "\n" + json.dumps({"messages": [{"role": "assistant", "content": "Hi"}]}) + "\n")
    assert (document["form"], document["entries"], document["with_cards"]) == ("jsonl", 3, 2)
    assert document["errors"] == [{"entry": 1, "reason": "is a conversation without a message of the user"}]


def test_chatml_text_is_exchanges(tmp_path: Path) -> None:
    turns = (("assistant", "Who are you?"), ("user", "I'm Ada Berger."), ("assistant", "Hello!"))
    text = "".join(f"<|im_start|>{role}\n{content}<|im_end|>\n" for role, content in turns)
    document = inspected(tmp_path, json.dumps({"text": text}) + "\n")
    assert (document["entries"], document["with_cards"], document["errors"]) == (1, 1, [])


def test_real_chat_exports_are_read(real_data: Path) -> None:
    for path in sorted((real_data / "chats").iterdir()):
        document = inspect_buffer(path, ScreenLimits())
        assert document["errors"] == [] and document["entries"] and document["with_cards"], path.name
    identity = inspect_buffer(real_data / "facts" / "identity.jsonl", ScreenLimits())
    assert identity["errors"] == [] and identity["cards"] == 0
