"""Signed URLs: PUT /upload/{id} and GET /download/{id}. No key; who holds the URL may do this one thing.

A plain ASGI app, outside every dialect: bytes stream through it, and errors take the shape of the dialect that the
file was made in. Ranges and conditions follow RFC 9110 sections 13 and 14.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import parse_qsl, quote

import structlog

from mediamill.core import formats
from mediamill.core.errors import MediamillError, NotFound, Rejected
from mediamill.core.files import File
from mediamill.dialects import Answer, Dialect, Scope, Site

log = structlog.get_logger()

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
_ID = re.compile(r"[a-z0-9]{1,64}", re.ASCII)
_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)
_SILENT_S = 60.0
"""A client that sends nothing for so long has gone: of a broken line no word may ever come."""


class Disconnected(Rejected):
    """The client went away in mid-upload."""

    code = "disconnected"


class Silent(Rejected):
    """The client is connected, and sends nothing."""

    code = "silent"


class SignedApp:
    """The two routes."""

    def __init__(self, site: Site, dialects: Mapping[str, Dialect]) -> None:
        self._site = site
        self._dialects = dialects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        verb, _, file_id = scope["path"].strip("/").partition("/")
        method = scope["method"]
        try:
            if not _ID.fullmatch(file_id):
                raise NotFound("file", file_id)
            if verb == "upload" and method == "PUT":
                await self._upload(file_id, scope, receive, send)
            elif verb == "download" and method in ("GET", "HEAD"):
                await self._download(file_id, scope, receive, send, body=method == "GET")
            elif method == "OPTIONS":
                await _say(send, 204, {"allow": "PUT, OPTIONS" if verb == "upload" else "GET, HEAD, OPTIONS"})
            else:
                await _say(send, 405, {"allow": "PUT" if verb == "upload" else "GET, HEAD"})
        except Disconnected:
            return
        except Silent:
            await _say(send, 408, {"content-length": "0", "connection": "close"})
        except MediamillError as error:
            await self._refuse(file_id, error, send)

    async def _refuse(self, file_id: str, error: MediamillError, send: Send) -> None:
        name = await self._site.service.files.dialect_of(file_id) if _ID.fullmatch(file_id) else None
        await send_answer(send, self._dialect(name).write_error(error))

    def _dialect(self, name: str | None) -> Dialect:
        return self._dialects.get(name or "mill", self._dialects["mill"])

    def _check(self, verb: Any, file_id: str, scope: Scope) -> None:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        self._site.signer.check(verb, file_id, query.get("expires"), query.get("signature"))

    async def _upload(self, file_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        file = await self._site.service.files.of_any(file_id)
        self._check("upload", file_id, scope)
        keep_claim = self._dialect(file.dialect).keeps_claims
        await self._site.service.files.receive(file_id, _body(receive), keep_claim=keep_claim)
        await _say(send, 200, {"content-length": "0"})

    async def _download(self, file_id: str, scope: Scope, receive: Receive, send: Send, *, body: bool) -> None:
        file = await self._site.service.files.for_download(file_id)
        if not file.public:
            self._check("download", file_id, scope)
        asked = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        headers = _headers(file)
        if _changed(asked, file):
            await _say(send, 412, {"content-length": "0"})
            return
        if _unchanged(asked, file):
            await _say(send, 304, {k: headers[k] for k in ("etag", "last-modified", "cache-control")})
            return
        start, end, status = 0, file.size_bytes, 200
        if body and "range" in asked and _range_holds(asked, file):
            found = _range(asked["range"], file.size_bytes)
            if found == "unsatisfiable":
                await _say(send, 416, {"content-range": f"bytes */{file.size_bytes}", "content-length": "0"})
                return
            if isinstance(found, tuple):
                start, end = found
                status = 206
                headers["content-range"] = f"bytes {start}-{end - 1}/{file.size_bytes}"
        headers["content-length"] = str(end - start)
        await send({"type": "http.response.start", "status": status, "headers": _raw(headers)})
        if body:
            gone = asyncio.create_task(_gone(receive))
            try:
                async for chunk in self._site.service.files.read(file, start, end):
                    await send({"type": "http.response.body", "body": chunk, "more_body": True})
                    if gone.done():
                        return
            except NotFound:
                # Headers are out: break the connection, so that the client sees a short body and not a whole one.
                log.error("bytes missing", file=file.id)
                raise
            finally:
                gone.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _body(receive: Receive) -> AsyncIterator[bytes]:
    while True:
        try:
            async with asyncio.timeout(_SILENT_S):
                message = await receive()
        except TimeoutError:
            raise Silent("The client fell silent.") from None
        if message["type"] == "http.disconnect":
            raise Disconnected("The client went away.")
        if chunk := message.get("body", b""):
            yield chunk
        if not message.get("more_body", False):
            return


async def _gone(receive: Receive) -> None:
    """Returns once the client is: servers take what is sent to it all the same, and nothing else would stop us."""
    while (await receive())["type"] != "http.disconnect":
        continue


def _headers(file: File) -> dict[str, str]:
    known = formats.family(file.mime) is not None and formats.by_mime(file.mime).inline
    name = file.filename.encode("ascii", "replace").decode().replace('"', "_").replace("\\", "_")
    # Only what a browser shows without running anything may be shown in place, and only when asked to.
    return {
        "content-type": file.mime,
        "content-disposition": f"attachment; filename=\"{name}\"; filename*=UTF-8''{quote(file.filename, safe='')}",
        "accept-ranges": "bytes",
        "etag": _etag(file),
        "last-modified": format_datetime(file.updated_at, usegmt=True),
        "cache-control": "private, max-age=3600" if known else "private, no-transform",
        "x-content-type-options": "nosniff",
        "content-security-policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
        "cross-origin-resource-policy": "cross-origin",
        "access-control-allow-origin": "*",
    }


def _etag(file: File) -> str:
    return f'"{file.sha256 or file.id}"'


def _changed(asked: Mapping[str, str], file: File) -> bool:
    """Whether the request wants other bytes than these (If-Match, If-Unmodified-Since)."""
    if (tags := asked.get("if-match")) is not None:
        return tags.strip() != "*" and _etag(file) not in [tag.strip() for tag in tags.split(",")]
    if (since := asked.get("if-unmodified-since")) is not None:
        try:
            return file.updated_at.replace(microsecond=0) > parsedate_to_datetime(since)
        except (ValueError, TypeError):
            return False
    return False


def _unchanged(asked: Mapping[str, str], file: File) -> bool:
    if (tags := asked.get("if-none-match")) is not None:
        return tags.strip() == "*" or _etag(file) in [tag.strip().removeprefix("W/") for tag in tags.split(",")]
    if (since := asked.get("if-modified-since")) is not None:
        try:
            return file.updated_at.replace(microsecond=0) <= parsedate_to_datetime(since)
        except (ValueError, TypeError):
            return False
    return False


def _range_holds(asked: Mapping[str, str], file: File) -> bool:
    """Whether If-Range, when there, still names these bytes."""
    wanted = asked.get("if-range")
    if wanted is None:
        return True
    if wanted.startswith('"'):
        return wanted == _etag(file)
    try:
        return file.updated_at.replace(microsecond=0) == parsedate_to_datetime(wanted)
    except (ValueError, TypeError):
        return False


def _range(header: str, size: int) -> tuple[int, int] | str | None:
    """(start, end), "unsatisfiable", or None for what must be ignored: other units, several ranges, nonsense."""
    match = _RANGE.fullmatch(header)
    if match is None or (not match[1] and not match[2]):
        return None
    if not match[1]:
        length = int(match[2])
        return (max(0, size - length), size) if length else "unsatisfiable"
    start = int(match[1])
    end = min(int(match[2]) + 1 if match[2] else size, size)
    if start >= size:
        return "unsatisfiable"
    return (start, end) if start < end else None


def _raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]


async def _say(send: Send, status: int, headers: Mapping[str, str]) -> None:
    await send({"type": "http.response.start", "status": status, "headers": _raw(headers)})
    await send({"type": "http.response.body", "body": b""})


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a finished answer."""
    headers = {"content-type": answer.media_type, "content-length": str(len(answer.body)), **answer.headers}
    await send({"type": "http.response.start", "status": answer.status, "headers": _raw(headers)})
    await send({"type": "http.response.body", "body": answer.body})
