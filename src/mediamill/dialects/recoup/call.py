"""One request of a known caller, and what is answered to it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NoReturn

import msgspec

from mediamill.core.access import Caller
from mediamill.dialects import Links, Scope, Site
from mediamill.dialects.recoup.errors import Fault, missing

JSON_BYTES = 1 << 20
BATCH_BYTES = 16 << 20
_DEEPEST = 60
"""Levels of a body; what is kept of it has the narrower bounds of the service."""
_SILENT_S = 60.0
VERSIONED = "2025-07-16"
"""Callers who send this as x-trigger-api-version are told the newer words for a run's status."""
Receive = Callable[[], Awaitable[Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A request. `ids` are the parts of its path that are not fixed; the query holds the first value of each name."""

    site: Site
    caller: Caller
    links: Links
    method: str
    path: str
    ids: Sequence[str]
    query: Mapping[str, str]
    headers: Mapping[str, str]
    raw: bytes
    scope: Scope
    receive: Receive

    @property
    def versioned(self) -> bool:
        """Whether the caller knows the newer words."""
        return self.headers.get("x-trigger-api-version") == VERSIONED

    def body(self) -> dict[str, Any]:
        """The JSON object of the body. Raises a 400 Fault."""
        return read_object(self.raw)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply:
    """A good answer: `body` is JSON to be, `raw` is JSON already."""

    body: Any = None
    raw: bytes | None = None
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Route:
    """A method at a path. `{}` in the path stands for one part. bare: on Trigger.dev's surface. open: needs no key."""

    method: str
    path: str
    handler: Callable[[Call], Awaitable[Reply]]
    bare: bool = True
    open: bool = False
    most: int = JSON_BYTES

    @property
    def pattern(self) -> re.Pattern[str]:
        """The path as a pattern whose groups are the parts."""
        return re.compile(self.path.replace("{}", "([^/]+)"))


def read_object(raw: bytes) -> dict[str, Any]:
    """A JSON object. Raises a 400 Fault for anything else."""
    found = read_json(raw)
    if not isinstance(found, dict):
        raise missing([], f"Invalid input: expected object, received {kind_of(found)}")
    return found


def read_json(raw: bytes) -> Any:
    """JSON of any kind. Raises a 400 Fault."""
    try:
        found = msgspec.json.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError):
        _not_json()
    level = [found]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            if isinstance(outer, dict | list)
            for inner in (outer.values() if isinstance(outer, dict) else outer)
        ]
        if not level:
            return found
    raise missing([], f"The body is nested deeper than {_DEEPEST} levels")


def _not_json() -> NoReturn:
    raise Fault(400, "Invalid JSON body")


def kind_of(value: Any) -> str:
    """What a value is called in an error."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "boolean"
    if isinstance(value, int | float):
        return "number"
    if isinstance(value, str):
        return "string"
    return "array" if isinstance(value, list) else "object"


async def read_raw(receive: Receive, most: int) -> bytes:
    """The whole body. Raises a 413 Fault beyond `most` bytes."""
    found = bytearray()
    while True:
        try:
            async with asyncio.timeout(_SILENT_S):
                message = await receive()
        except TimeoutError:
            raise Fault(408, "The client fell silent", headers={"connection": "close"}) from None
        if message["type"] == "http.disconnect":
            raise Fault(400, "The request ended before its body did")
        found += message.get("body", b"")
        if len(found) > most:
            raise Fault(413, f"The body may have {most} bytes")
        if not message.get("more_body", False):
            return bytes(found)
