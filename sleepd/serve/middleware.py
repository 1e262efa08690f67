"""What holds for every answer: it names the adapter and generation, and other web sites get none."""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from sleepd.serve import answers
from sleepd.serve.values import ChatEngine, Identity, RequestError


class Doorman:
    """Puts the identity of what is served on every answer that has none of its own, and turns other sites away.

    A web page may send requests to localhost behind its visitor's back, and what it says would be learned.
    """

    def __init__(self, app: ASGIApp, engine: ChatEngine) -> None:
        self._app = app
        self._engine = engine

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def named(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in answers.headers(self._engine.identity).items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is None or urlsplit(origin).netloc == headers.get("host"):
            await self._app(scope, receive, named)
            return
        refusal = RequestError(
            f"requests from {origin} are not answered",
            "call the service from a program, not from a web page",
            status=403,
            code="cross_origin",
        )
        await error_response(refusal, self._engine.identity)(scope, receive, named)


def error_response(error: RequestError, identity: Identity) -> JSONResponse:
    headers = answers.headers(identity)
    if error.retry_after is not None:
        headers["Retry-After"] = str(error.retry_after)
    return JSONResponse(answers.error(error, error.status), error.status, headers=headers)
