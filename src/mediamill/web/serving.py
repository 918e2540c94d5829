"""Bytes of a file over HTTP: ranges and conditions by RFC 9110, with headers that keep them harmless."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from datetime import datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Any
from urllib.parse import quote

import structlog

from mediamill.core import formats
from mediamill.core.errors import NotFound
from mediamill.core.files import File

log = structlog.get_logger()

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
Read = Callable[[File, int, int], AsyncIterator[bytes]]
_RANGE = re.compile(r"bytes=[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", re.IGNORECASE)


async def serve(
    scope: Any, receive: Receive, send: Send, *, file: File, read: Read, headers: Mapping[str, str] | None = None
) -> None:
    """Answer a GET or HEAD with the file's bytes. `headers` go over those of `headers_of`."""
    asked = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
    said = {**headers_of(file), **(headers or {})}
    body = scope["method"] == "GET"
    if _changed(asked, file):
        await say(send, 412, {"content-length": "0"})
        return
    if _unchanged(asked, file):
        await say(send, 304, {k: said[k] for k in ("etag", "last-modified", "cache-control")})
        return
    start, end, status = 0, file.size_bytes, 200
    if body and "range" in asked and _range_holds(asked, file):
        found = _range(asked["range"], file.size_bytes)
        if found == "unsatisfiable":
            await say(send, 416, {"content-range": f"bytes */{file.size_bytes}", "content-length": "0"})
            return
        if isinstance(found, tuple):
            start, end = found
            status = 206
            said["content-range"] = f"bytes {start}-{end - 1}/{file.size_bytes}"
    said["content-length"] = str(end - start)
    if body:
        chunks = read(file, start, end)
        try:
            chunk = await anext(chunks, b"")  # before the head: while the bytes cannot be had, that is the answer
        except NotFound:
            log.error("bytes missing", file=file.id)
            raise NotFound("file", file.id) from None
    await send({"type": "http.response.start", "status": status, "headers": raw(said)})
    if body:
        gone = asyncio.create_task(_gone(receive))
        try:
            # Should the rest fail, the connection breaks: the client sees a short body then and not a whole one.
            while chunk:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
                if gone.done():
                    return
                chunk = await anext(chunks, b"")
        finally:
            gone.cancel()
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _gone(receive: Receive) -> None:
    """Returns once the client is: servers take what is sent to it all the same, and nothing else would stop us."""
    while (await receive())["type"] != "http.disconnect":
        continue


def headers_of(file: File) -> dict[str, str]:
    """What is said of a file's bytes, however many of them are sent."""
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
        return (at := _date(since)) is not None and file.updated_at.replace(microsecond=0) > at
    return False


def _unchanged(asked: Mapping[str, str], file: File) -> bool:
    if (tags := asked.get("if-none-match")) is not None:
        return tags.strip() == "*" or _etag(file) in [tag.strip().removeprefix("W/") for tag in tags.split(",")]
    if (since := asked.get("if-modified-since")) is not None:
        return (at := _date(since)) is not None and file.updated_at.replace(microsecond=0) <= at
    return False


def _range_holds(asked: Mapping[str, str], file: File) -> bool:
    """Whether If-Range, when there, still names these bytes."""
    wanted = asked.get("if-range")
    if wanted is None:
        return True
    if wanted.startswith('"'):
        return wanted == _etag(file)
    return file.updated_at.replace(microsecond=0) == _date(wanted)


def _date(header: str) -> datetime | None:
    """The instant that a header names; None for what names none, which is as if it had not been sent."""
    try:
        at = parsedate_to_datetime(header)
    except (ValueError, TypeError, OverflowError):  # the last: of numbers that no clock shows
        return None
    return at if at.tzinfo is not None else None


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


def raw(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    """Headers as ASGI takes them."""
    return [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]


async def say(send: Send, status: int, headers: Mapping[str, str]) -> None:
    """An answer without a body."""
    await send({"type": "http.response.start", "status": status, "headers": raw(headers)})
    await send({"type": "http.response.body", "body": b""})
