from __future__ import annotations

from typing import Any

import pytest

from sleepd.serve.parsing import parse_chat, parse_json
from sleepd.serve.values import ChatRequest, RequestError, SamplingDefaults

ASKED = [{"role": "user", "content": "Hello"}]


def parse(**fields: Any) -> ChatRequest:
    return parse_chat({"messages": ASKED, **fields}, SamplingDefaults(), 100)


def test_a_request_that_says_nothing_gets_the_models_defaults() -> None:
    chat = parse_chat({"messages": ASKED}, SamplingDefaults(temperature=0.7, top_p=0.8, top_k=20), 100)
    assert (chat.sampling.temperature, chat.sampling.top_p, chat.sampling.top_k) == (0.7, 0.8, 20)
    assert chat.sampling.max_tokens == 100
    assert not chat.stream


def test_a_request_overrides_every_default() -> None:
    chat = parse(temperature=1, top_p=0.5, top_k=3, max_tokens=7, stop="x", seed=-5, stream=True, stream_options={"include_usage": True})
    sampling = chat.sampling
    assert (sampling.temperature, sampling.top_p, sampling.top_k, sampling.max_tokens) == (1.0, 0.5, 3, 7)
    assert (sampling.stop, sampling.seed, chat.stream, chat.include_usage) == (("x",), -5, True, True)


def test_the_newer_name_of_the_length_limit_is_read_and_longer_answers_are_cut_at_the_services_limit() -> None:
    assert parse(max_completion_tokens=5).sampling.max_tokens == 5
    assert parse(max_tokens=1_000_000).sampling.max_tokens == 100


def test_text_parts_are_joined_and_a_developer_speaks_as_system() -> None:
    parts = [{"type": "text", "text": "Hel"}, {"type": "text", "text": "lo"}]
    chat = parse(messages=[{"role": "developer", "content": "Be brief."}, {"role": "user", "content": parts}])
    assert [(m.role, m.content) for m in chat.messages] == [("system", "Be brief."), ("user", "Hello")]


def test_what_is_sent_as_not_used_is_no_error() -> None:
    parse(n=1, tools=[], tool_choice="none", logprobs=False, presence_penalty=0, frequency_penalty=0.0, logit_bias={}, user=None, stop=None)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "Hello"}, "messages"),
        ({"messages": ["Hello"]}, "messages[0]"),
        ({"messages": [{"role": "robot", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"content": "x"}]}, "messages[0].role"),
        ({"messages": [*ASKED, {"role": "assistant", "content": None}]}, "messages[1].content"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": "\ud800"}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"type": "image_url"}]}]}, "messages[0].content[0]"),
        ({"messages": [{"role": "assistant", "content": "x", "tool_calls": [{}]}]}, "messages[0].tool_calls"),
        ({"temperature": "hot"}, "temperature"),
        ({"temperature": -0.1}, "temperature"),
        ({"temperature": 2.1}, "temperature"),
        ({"temperature": float("nan")}, "temperature"),
        ({"temperature": True}, "temperature"),
        ({"top_p": 1.5}, "top_p"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": 1.5}, "max_tokens"),
        ({"max_completion_tokens": -1}, "max_completion_tokens"),
        ({"stop": ""}, "stop"),
        ({"stop": [1]}, "stop"),
        ({"stop": ["x"] * 17}, "stop"),
        ({"seed": 2**64}, "seed"),
        ({"seed": "one"}, "seed"),
        ({"stream": "yes"}, "stream"),
        ({"stream_options": []}, "stream_options"),
        ({"model": 5}, "model"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"logprobs": True}, "logprobs"),
        ({"presence_penalty": 1}, "presence_penalty"),
        ({"response_format": {"type": "json_object"}}, "response_format"),
    ],
)
def test_a_field_that_cannot_be_honoured_is_refused_by_name(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(RequestError) as caught:
        parse(**fields)
    assert caught.value.status == 400
    assert caught.value.param == param
    assert param in caught.value.message
    assert caught.value.remedy


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"text"', b"\xff\xfe{}", b"[" * 200_000])
def test_a_body_that_is_no_json_object_is_refused(body: bytes) -> None:
    with pytest.raises(RequestError) as caught:
        parse_json(body)
    assert caught.value.code == "invalid_json"
