"""The JSON documents of the OpenAI API that the service answers with. Pure functions."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sleepd.errors import SleepdError
from sleepd.serve.values import FinishReason, Identity, ModelInfo, RequestError

Document = dict[str, Any]

ADAPTER_HEADER = "X-Sleepd-Adapter"
GENERATION_HEADER = "X-Sleepd-Generation"
_TYPES: Mapping[int, str] = {404: "not_found_error", 409: "conflict_error", 429: "rate_limit_error", 503: "overloaded_error"}


def headers(identity: Identity) -> dict[str, str]:
    return {ADAPTER_HEADER: identity.label, GENERATION_HEADER: str(identity.generation)}


def error(failure: SleepdError, status: int) -> Document:
    """An OpenAI-shaped error. The remedy follows the message, because clients show only the message."""
    said = f"{failure.message} ({failure.remedy})" if failure.remedy else failure.message
    kind = _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error")
    request = failure if isinstance(failure, RequestError) else None
    return {
        "error": {
            "message": said,
            "type": kind,
            "param": request.param if request else None,
            "code": request.code if request else None,
            "remedy": failure.remedy,
        }
    }


def usage(prompt_tokens: int, completion_tokens: int) -> Document:
    return {"prompt_tokens": prompt_tokens, "completion_tokens": completion_tokens, "total_tokens": prompt_tokens + completion_tokens}


def sleepd(identity: Identity) -> Document:
    return {
        "adapter": identity.label,
        "adapter_id": identity.adapter_id,
        "adapter_sha256": identity.adapter_sha256,
        "generation": identity.generation,
    }


def completion(answer_id: str, created: int, model: str, identity: Identity, text: str, reason: FinishReason, counts: Document) -> Document:
    return {
        "id": answer_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": reason, "logprobs": None}],
        "usage": counts,
        "sleepd": sleepd(identity),
    }


def chunk(answer_id: str, created: int, model: str, identity: Identity, delta: Document, reason: FinishReason | None) -> Document:
    return {
        "id": answer_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "choices": [{"index": 0, "delta": delta, "finish_reason": reason, "logprobs": None}],
        "sleepd": sleepd(identity),
    }


def usage_chunk(answer_id: str, created: int, model: str, identity: Identity, counts: Document) -> Document:
    """The extra chunk that ``stream_options.include_usage`` asks for: usage and no choice."""
    return {**chunk(answer_id, created, model, identity, {}, None), "choices": [], "usage": counts}


def event(document: Document) -> bytes:
    """One server-sent event."""
    return b"data: " + json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"


DONE = b"data: [DONE]\n\n"


def models(info: ModelInfo, identity: Identity) -> Document:
    """One model, under a name that outlives every night: a client that picked it never has to pick again."""
    card = {"id": info.name, "object": "model", "created": info.created, "owned_by": "sleepd", "max_model_len": info.context_tokens}
    return {"object": "list", "data": [{**card, "sleepd": sleepd(identity)}]}
