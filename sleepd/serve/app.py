"""The HTTP side of the service: routes, limits, streaming and errors in the shape of the OpenAI API.

It knows the engine only as a ChatEngine and imports no torch. Nothing here blocks the event loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import asdict, dataclass
from typing import Any

from starlette.applications import Starlette
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from sleepd.errors import SleepdError, StoreError
from sleepd.serve import answers
from sleepd.serve.capture import Capture, Collector, Exchange
from sleepd.serve.middleware import Doorman, error_response
from sleepd.serve.parsing import parse_chat, parse_json
from sleepd.serve.settings import ServeSettings
from sleepd.serve.values import ChatEngine, ChatRequest, Event, Failed, Finished, Piece, RequestError, Ticket

CAPTURE_HEADER = "X-Sleepd-Capture"
SESSION_HEADER = "X-Sleepd-Session"
_CAPTURE_DRAIN_SECONDS = 10.0
_CLIENT_GONE = 499


@dataclass(frozen=True)
class _Exchange:
    """One accepted chat request on its way through the handlers."""

    id: str
    created: int
    model: str
    chat: ChatRequest
    ticket: Ticket
    events: asyncio.Queue[Event]
    session: int | None
    captured: bool


class _Service:
    """The handlers. One per application."""

    def __init__(self, engine: ChatEngine, capture: Capture, settings: ServeSettings) -> None:
        self._engine = engine
        self._capture = capture
        self._settings = settings

    async def health(self, _request: Request) -> Response:
        return self._health()

    def _health(self) -> Response:
        info, identity, failure = self._engine.info, self._engine.identity, self._engine.last_reload_error
        document = {
            "status": "ok",
            "base_sha256": info.base_sha256,
            "adapter_id": identity.adapter_id,
            "adapter_sha256": identity.adapter_sha256,
            "generation": identity.generation,
            "model": info.name,
            "context_tokens": info.context_tokens,
            "device": info.device,
            "dtype": info.dtype,
            "queue": asdict(self._engine.queue()),
            "last_reload_error": asdict(failure) if failure else None,
            "capture": asdict(self._capture.state()),
        }
        return JSONResponse(document, headers=answers.headers(identity))

    async def models(self, _request: Request) -> Response:
        identity = self._engine.identity
        return JSONResponse(answers.models(self._engine.info, identity), headers=answers.headers(identity))

    async def reload(self, _request: Request) -> Response:
        try:
            await asyncio.to_thread(self._engine.reload)
        except StoreError as error:
            return JSONResponse(answers.error(error, 409), 409)
        except SleepdError as error:
            return JSONResponse(answers.error(error, 500), 500)
        return self._health()

    async def chat(self, request: Request) -> Response:
        document = parse_json(await _body(request, self._settings.max_body_bytes))
        chat = parse_chat(document, self._engine.info.defaults, self._settings.max_new_tokens)
        session = _session(request.headers)
        # Encoding a long prompt takes a while: not on the event loop.
        prompt = await asyncio.to_thread(self._engine.encode, chat.messages)
        events: asyncio.Queue[Event] = asyncio.Queue()
        exchange = _Exchange(
            id=f"chatcmpl-{uuid.uuid4().hex}",
            created=int(time.time()),
            model=self._engine.info.name,
            chat=chat,
            ticket=self._engine.submit(prompt, chat.sampling, _into(events)),
            events=events,
            session=session,
            captured=request.headers.get(CAPTURE_HEADER, "on").strip().lower() != "off",
        )
        if not chat.stream:
            return await self._whole(request, exchange)
        return _EventStream(self._stream(exchange), exchange.ticket)

    async def _whole(self, request: Request, exchange: _Exchange) -> Response:
        """The answer at once, or nothing when the client went away while it was made."""
        collecting = asyncio.create_task(_collect(exchange.events))
        leaving = asyncio.create_task(_disconnected(request))
        try:
            await asyncio.wait({collecting, leaving}, return_when=asyncio.FIRST_COMPLETED)
            if not collecting.done():
                return Response(status_code=_CLIENT_GONE)
            text, end = collecting.result()
        finally:
            exchange.ticket.cancel()
            collecting.cancel()
            leaving.cancel()
        identity = exchange.ticket.identity
        if isinstance(end, Failed):
            return error_response(end.error, identity)
        self._keep(exchange, text, end)
        counts = answers.usage(exchange.ticket.prompt_tokens, end.completion_tokens)
        document = answers.completion(exchange.id, exchange.created, exchange.model, identity, text, end.reason, counts)
        return JSONResponse(document, headers=answers.headers(identity))

    async def _stream(self, exchange: _Exchange) -> AsyncIterator[bytes]:
        """Server-sent events, one for each piece of text."""
        identity, name = exchange.ticket.identity, (exchange.id, exchange.created, exchange.model)
        pieces: list[str] = []
        yield answers.event(answers.chunk(*name, identity, {"role": "assistant", "content": ""}, None))
        while not isinstance(event := await exchange.events.get(), Finished):
            if isinstance(event, Failed):
                yield answers.event(answers.error(event.error, event.error.status))
                return
            pieces.append(event.text)
            yield answers.event(answers.chunk(*name, identity, {"content": event.text}, None))
        self._keep(exchange, "".join(pieces), event)
        yield answers.event(answers.chunk(*name, identity, {}, event.reason))
        if exchange.chat.include_usage:
            counts = answers.usage(exchange.ticket.prompt_tokens, event.completion_tokens)
            yield answers.event(answers.usage_chunk(*name, identity, counts))
        yield answers.DONE

    def _keep(self, exchange: _Exchange, text: str, end: Finished) -> None:
        if not exchange.captured:
            return
        chat, identity = exchange.chat, exchange.ticket.identity
        self._capture.offer(Exchange(chat.messages, text, identity, exchange.model, end.reason, exchange.session, chat.user))


class _EventStream(StreamingResponse):
    """Stops the work when the client leaves, even before the first event was asked for."""

    def __init__(self, content: AsyncIterator[bytes], ticket: Ticket) -> None:
        headers = {**answers.headers(ticket.identity), "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
        super().__init__(content, media_type="text/event-stream", headers=headers)
        self._ticket = ticket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._ticket.cancel()


def create_app(engine: ChatEngine, collector: Collector | None, settings: ServeSettings) -> Starlette:
    """The application. ``collector`` None: exchanges are not captured. The engine is started and stopped by the caller."""
    capture = Capture(collector)
    service = _Service(engine, capture, settings)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        capture.start()
        try:
            yield
        finally:
            await asyncio.to_thread(capture.stop, _CAPTURE_DRAIN_SECONDS)

    def on_request_error(_request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestError)
        return error_response(error, engine.identity)

    def on_http_error(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        failure = RequestError(
            f"{request.method} {request.url.path}: {error.detail}",
            "see GET /health and POST /v1/chat/completions",
            status=error.status_code,
            code="not_found" if error.status_code == 404 else "method_not_allowed",
        )
        return error_response(failure, engine.identity)

    def on_gone(_request: Request, _error: Exception) -> Response:
        return Response(status_code=_CLIENT_GONE)

    def on_fault(_request: Request, error: Exception) -> Response:
        # Starlette raises it again after this answer, and the server logs it there.
        failure = RequestError(f"internal error: {type(error).__name__}", "see the service's log", status=500, code="internal_error")
        return error_response(failure, engine.identity)

    return Starlette(
        routes=[
            Route("/health", service.health, methods=["GET"]),
            Route("/reload", service.reload, methods=["POST"]),
            Route("/v1/models", service.models, methods=["GET"]),
            Route("/v1/chat/completions", service.chat, methods=["POST"]),
        ],
        middleware=[Middleware(Doorman, engine=engine)],
        exception_handlers={RequestError: on_request_error, HTTPException: on_http_error, ClientDisconnect: on_gone, Exception: on_fault},
        lifespan=lifespan,
    )


async def _body(request: Request, limit: int) -> bytes:
    """The request body; refused as soon as it is longer than ``limit`` bytes."""
    parts = bytearray()
    async for part in request.stream():
        parts += part
        if len(parts) > limit:
            raise RequestError(
                f"the request body is longer than {limit} bytes", "send fewer or shorter messages", status=413, code="body_too_large"
            )
    return bytes(parts)


def _session(headers: Headers) -> int | None:
    value = headers.get(SESSION_HEADER)
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or len(value) > 15:
        raise RequestError(
            f"{SESSION_HEADER} must be a whole number; it is {value!r}", "leave it out, or number the conversation", param=SESSION_HEADER
        )
    return int(value)


def _into(events: asyncio.Queue[Event]) -> Callable[[Event], None]:
    """A way for the engine's thread to hand over events to this request's event loop."""
    loop = asyncio.get_running_loop()

    def deliver(event: Event) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits for it any more
            loop.call_soon_threadsafe(events.put_nowait, event)

    return deliver


async def _collect(events: asyncio.Queue[Event]) -> tuple[str, Finished | Failed]:
    pieces: list[str] = []
    while isinstance(event := await events.get(), Piece):
        pieces.append(event.text)
    return "".join(pieces), event


async def _disconnected(request: Request) -> None:
    message: Any = {}
    while message.get("type") != "http.disconnect":
        message = await request.receive()
