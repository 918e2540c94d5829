"""One request of a known caller, and what is answered to it."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import msgspec

from mediamill.core.access import Caller
from mediamill.dialects import Links, Scope, Site
from mediamill.dialects.ittybit import ids
from mediamill.dialects.ittybit.errors import Fault, invalid
from mediamill.dialects.ittybit.profile import Profile

JSON_BYTES = 1 << 20
_DEEPEST = 150
"""Levels of a body; what it holds has narrower bounds of its own."""
_SILENT_S = 60.0
"""A client that sends nothing for so long has gone: of a broken line no word may ever come."""
Receive = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request. `ids` are the parts of its path that are not fixed; the query holds the first value of each name."""

    site: Site
    caller: Caller
    profile: Profile
    links: Links
    method: str
    path: str
    ids: Sequence[str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw: bytes
    """The body, where the route takes JSON."""
    receive: Receive
    scope: Scope
    request_id: str = field(default_factory=lambda: f"req_{secrets.token_hex(8)}")

    @property
    def project(self) -> str:
        """The caller's project as it is shown."""
        return ids.project(self.caller.project_id)

    @property
    def numbered(self) -> bool:
        """Whether lists are paged by number, as in the two older profiles."""
        return self.profile is not Profile.CURRENT

    def url(self, path: str | None = None, query: Mapping[str, str] | None = None) -> str:
        """The absolute URL of a path below the dialect's root (this call's own by default)."""
        found = self.links.base + (self.path if path is None else path)
        return f"{found}?{urlencode(query)}" if query else found

    def body(self, *, required: bool = True) -> dict[str, Any]:
        """The JSON object of the body. Raises a 400 Fault; a missing body is an empty object where none is required."""
        if not self.raw.strip():
            if required:
                raise invalid("The request needs a body: a JSON object.")
            return {}
        return read_object(self.raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Around:
    """What a list says of the pages beside it, ready for headers and envelope. Numbers where pages have them."""

    limit: int
    headers: Mapping[str, str]
    links: Mapping[str, str | None]
    total: int | None = None
    page: int | None = None
    pages: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A good answer. `body` is JSON to be; a list has `around`. `kept`: what an idempotent repeat is told instead."""

    body: Any
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    around: Around | None = None
    kept: Any = None


@dataclass(frozen=True, slots=True)
class Route:
    """A method at a path. `{}` in the path stands for one part; `json`: the body is read before the handler runs."""

    method: str
    path: str
    handler: Callable[[Call], Awaitable[Reply]]
    json: bool = True

    @property
    def pattern(self) -> re.Pattern[str]:
        """The path as a pattern whose groups are the parts."""
        return re.compile(self.path.replace("{}", "([^/]+)"))


def read_object(raw: bytes) -> dict[str, Any]:
    """A JSON object. Raises a 400 Fault for anything else."""
    try:
        found = msgspec.json.decode(raw)
    except RecursionError:
        raise invalid("The body is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise invalid(f"The body is not JSON: {error}.") from None
    if not isinstance(found, dict):
        raise invalid("The body must be a JSON object.")
    level: list[Any] = [found]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return found
    raise invalid(f"The body is nested deeper than {_DEEPEST} levels.")


async def read_raw(receive: Receive, most: int = JSON_BYTES) -> bytes:
    """The whole body. Raises a 413 Fault beyond `most` bytes, a 400 one when the client goes away."""
    found = bytearray()
    async for chunk in chunks(receive):
        found += chunk
        if len(found) > most:
            raise Fault(413, "request_too_large", f"The body may have {most} bytes.")
    return bytes(found)


async def chunks(receive: Receive) -> AsyncIterator[bytes]:
    """The body as it comes."""
    while True:
        try:
            async with asyncio.timeout(_SILENT_S):
                message = await receive()
        except TimeoutError:
            raise Fault(408, "request_timeout", "The client fell silent.", {"connection": "close"}) from None
        if message["type"] == "http.disconnect":
            raise invalid("The request ended before its body did.")
        if chunk := message.get("body", b""):
            yield chunk
        if not message.get("more_body", False):
            return
