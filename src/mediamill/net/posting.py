"""One small POST and the beginning of its answer, at a third of what a general client's exchange costs.

Webhooks are a thousand a second of these. httpcore spends 1 ms of processor time on each; this is a protocol straight
on the loop with llhttp (httptools, which serves our own requests too) to read the answer: docs/why/webhooks.md has the
figures. What may be connected to is judged by the same guard, and TLS is the same.
"""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, cast

import httptools

from mediamill.core.errors import Invalid, SourceRefused, SourceUnreachable

if TYPE_CHECKING:
    from mediamill.net.guard import Guard
    from mediamill.net.urls import Target

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110 5.6.2, token
_VALUE = re.compile(rb"(?:[\x21-\x7e\x80-\xff](?:[\x20\t\x21-\x7e\x80-\xff]*[\x21-\x7e\x80-\xff])?)?")  # and 5.5
_PATH = re.compile(rb"[\x21-\x7e]+")
_HEAD_BYTES = 64 * 1024


@dataclass(slots=True)
class Heard:
    """An answer as it came in; `body` is its beginning."""

    status: int = 0
    headers: list[tuple[bytes, bytes]] = field(default_factory=list)
    body: bytearray = field(default_factory=bytearray)


class _Broken(Exception):
    """What came is not an answer."""


class _Exchange(asyncio.Protocol):
    """Writes the request when connected, and resolves `heard` once the answer is over or long enough."""

    def __init__(self, request: bytes, most_bytes: int) -> None:
        self.heard: asyncio.Future[Heard] = asyncio.get_running_loop().create_future()
        self._request = request
        self._most_bytes = most_bytes
        self._answer = Heard()
        self._parser = httptools.HttpResponseParser(self)
        self._head_bytes = 0
        self._in_body = False
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's are no subclasses of it, and do the same.
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        if self.heard.done():
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(_Broken("another protocol"))
        except httptools.HttpParserError as error:
            self._fail(error)
        if not self._in_body:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self._fail(_Broken("endless head"))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.heard.done():
            return
        # Without a length the end of the connection is the end of the answer (RFC 9112 6.3, last case).
        names = {name.lower() for name, _ in self._answer.headers}
        if exc is None and self._in_body and not names & {b"content-length", b"transfer-encoding"}:
            self.heard.set_result(self._answer)
        else:
            self._fail(exc or _Broken("broke off"))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._answer.headers.append((name, value))

    def on_headers_complete(self) -> None:
        self._answer.status = self._parser.get_status_code()
        self._in_body = self._answer.status >= 200

    def on_body(self, body: bytes) -> None:
        self._answer.body += body
        if len(self._answer.body) >= self._most_bytes and not self.heard.done():
            del self._answer.body[self._most_bytes :]
            self.heard.set_result(self._answer)

    def on_message_complete(self) -> None:
        if self._answer.status < 200:
            self._answer = Heard()  # a word on the way (RFC 9110 15.2); the answer is still to come
        elif not self.heard.done():
            self.heard.set_result(self._answer)

    def close(self) -> None:
        """Drop the connection, whatever is still on it."""
        if self._transport is not None:
            self._transport.abort()

    def _fail(self, error: Exception) -> None:
        if not self.heard.done():
            self.heard.set_exception(error)


def written(target: Target, headers: Sequence[tuple[bytes, bytes]], body: bytes) -> bytes:
    """The request's bytes. Raises Invalid for a header that HTTP does not allow."""
    path = target.path.encode("ascii")
    assert _PATH.fullmatch(path), "urls.parse leaves nothing else"
    lines = [b"POST " + path + b" HTTP/1.1"]
    for name, value in headers:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise Invalid("headers", "must hold only what an HTTP header may")
        lines.append(name + b": " + value)
    return b"\r\n".join([*lines, b"", body])


async def post(
    guard: Guard,
    target: Target,
    request: bytes,
    *,
    connect_timeout_s: float,
    trust: ssl.SSLContext | None,
    most_bytes: int,
) -> Heard:
    """Send a request and hear its answer, up to `most_bytes` of its body. Raises SourceRefused, SourceUnreachable."""
    exchange = _Exchange(request, most_bytes)
    try:
        await _connect(guard, target, exchange, connect_timeout_s, trust)
        return await exchange.heard
    except TimeoutError as error:
        raise SourceUnreachable(f"The host {target.host} did not answer in time.") from error
    except ssl.SSLCertVerificationError as error:
        raise SourceRefused(f"The TLS certificate of {target.host} is not valid for it.") from error
    except (ssl.SSLError, OSError) as error:
        raise SourceUnreachable(f"The connection to {target.host} failed.") from error
    except (_Broken, httptools.HttpParserError) as error:
        raise SourceUnreachable(f"The answer of {target.host} broke off or is not HTTP.") from error
    finally:
        exchange.close()
        if exchange.heard.done() and not exchange.heard.cancelled():
            exchange.heard.exception()  # looked at, should nobody else have come to it


async def _connect(
    guard: Guard, target: Target, exchange: _Exchange, timeout_s: float, trust: ssl.SSLContext | None
) -> None:
    """Connect to a judged address: `timeout_s` for the name, and again for all its addresses together."""
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(timeout_s):
            tries = await guard.tries(target.host)
    except TimeoutError as error:
        raise SourceUnreachable(f"The host {target.host} could not be resolved in time.") from error
    deadline = loop.time() + timeout_s
    tls, name = (trust, target.host) if target.scheme == "https" else (None, None)
    failure: OSError | None = None
    for left, address in zip(range(len(tries), 0, -1), tries, strict=True):
        try:
            async with asyncio.timeout(max(0.0, deadline - loop.time()) / left):
                await loop.create_connection(lambda: exchange, str(address), target.port, ssl=tls, server_hostname=name)
                return
        except ssl.SSLError:
            raise  # it was reached; another address of its own would show the same certificate
        except (TimeoutError, OSError) as error:
            failure = error
    assert failure is not None, "at least one address was tried"
    raise failure
