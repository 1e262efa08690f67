"""One HTTP request with one deadline for all of it: connecting, headers and body.

The timeouts of sockets bound each single wait, so a server that sends a byte a second never meets them. Here a
timer shuts the connection at the deadline. Redirects are not followed and proxies not used: the service is where
the configuration says.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from socket import SHUT_RDWR
from types import MappingProxyType
from urllib.parse import urlsplit

from sleepd.errors import ReloadError, ReloadUnknownError

MAX_ANSWER_BYTES = 1_048_576
_EXCERPT = 200
_SLOW = "see the log of the inference service, or raise inference.timeout_seconds"
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True)
class Answer:
    """A service's answer with a status under 300."""

    url: str
    status: int
    body: bytes

    def json(self) -> object:
        """The body as JSON; raises ReloadError when it is none."""
        try:
            value: object = json.loads(self.body)
        except (ValueError, RecursionError) as error:
            shown = self.body[:_EXCERPT].decode(errors="replace")
            raise ReloadError(f"{self.url} did not answer in JSON but with {shown!r}", "check the [inference] URLs") from error
        return value


def exchange(method: str, url: str, timeout: float, body: bytes | None = None, headers: Mapping[str, str] = _NO_HEADERS) -> Answer:
    """Send one request and return its answer within ``timeout`` seconds.

    Raises ReloadError when the service is down or refuses (status 300 and above), ReloadUnknownError when the deadline
    passes or the connection breaks after the request was sent: what the service did then is not known.
    """
    connection = _connection(url, timeout)
    parts = urlsplit(url)
    try:
        connection.connect()
    except OSError as error:
        raise ReloadError(f"{url} does not answer: {error}", "start the inference service, or correct the [inference] URLs") from error
    socket, expired = connection.sock, threading.Event()

    def expire() -> None:
        expired.set()
        with contextlib.suppress(OSError):  # closed already: the answer came at the same moment
            socket.shutdown(SHUT_RDWR)

    timer = threading.Timer(timeout, expire)
    timer.daemon = True
    timer.start()
    try:
        target = f"{parts.path or '/'}?{parts.query}" if parts.query else parts.path or "/"
        connection.request(method, target, body=body, headers=dict(headers))
        response = connection.getresponse()
        data = response.read(MAX_ANSWER_BYTES + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        reason = f"within {timeout:g} s" if expired.is_set() or isinstance(error, TimeoutError) else f"({error or type(error).__name__})"
        raise ReloadUnknownError(f"{method} {url} was not answered {reason}", _SLOW) from error
    finally:
        timer.cancel()
        connection.close()
    if expired.is_set():
        raise ReloadUnknownError(f"{method} {url} was not answered within {timeout:g} s", _SLOW)
    if len(data) > MAX_ANSWER_BYTES:
        raise ReloadError(f"{method} {url} answered with more than {MAX_ANSWER_BYTES} bytes", "check the [inference] URLs")
    if response.status >= 300:
        shown = data[:_EXCERPT].decode(errors="replace").strip()
        raise ReloadError(f"{method} {url} answered {response.status} {response.reason}: {shown}", "see the log of the inference service")
    return Answer(url, response.status, data)


def _connection(url: str, timeout: float) -> http.client.HTTPConnection:
    try:
        parts = urlsplit(url)
        host, port, scheme = parts.hostname, parts.port, parts.scheme
    except ValueError as error:
        raise ReloadError(f"{url!r} is not a URL: {error}", "correct the [inference] URLs") from error
    if scheme not in ("http", "https") or not host:
        raise ReloadError(f"{url!r} is not an http:// or https:// URL", "correct the [inference] URLs")
    kind = http.client.HTTPSConnection if scheme == "https" else http.client.HTTPConnection
    return kind(host, port, timeout=timeout)
