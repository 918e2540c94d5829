"""The file part of a multipart form, streamed as it comes: nothing is spooled."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass

from multipart import (  # type: ignore[import-untyped]  # it ships no types
    MultipartError,
    MultipartSegment,
    PushMultipartParser,
)

from mediamill.core.errors import Invalid


@dataclass(frozen=True, slots=True)
class Part:
    """The file part: read `chunks` to its end."""

    filename: str
    mime: str | None
    chunks: AsyncIterator[bytes]


async def file_part(body: AsyncIterator[bytes], boundary: str) -> Part:
    """The first part named `file`. Raises Invalid for what is no form, or a form without it."""
    if not boundary:
        raise Invalid("file", "the form names no boundary.")
    try:
        events = _events(body, PushMultipartParser(boundary, max_segment_count=20))
    except MultipartError as error:
        raise Invalid("file", f"the form cannot be read: {error}.") from None
    async for event in events:
        if isinstance(event, MultipartSegment) and event.name == "file":
            return Part(event.filename or "file", event.content_type, _content(events))
    raise Invalid("file", "the form has no part of this name.")


async def _events(
    body: AsyncIterator[bytes], parser: PushMultipartParser
) -> AsyncIterator[MultipartSegment | bytes | None]:
    try:
        async for chunk in body:
            if not chunk:
                continue
            for event in parser.parse(chunk):
                yield bytes(event) if isinstance(event, bytearray) else event
        parser.close()
    except MultipartError as error:
        raise Invalid("file", f"the form cannot be read: {error}.") from None


async def _content(events: AsyncIterator[MultipartSegment | bytes | None]) -> AsyncIterator[bytes]:
    over = False
    async for event in events:
        if event is None:
            over = True  # the rest of the form is read, and let go, so that the client gets its answer
        elif not over and isinstance(event, bytes):
            yield event
