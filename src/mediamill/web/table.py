"""A table of routes for dialects whose paths are few and plain, and the reading of requests that come to it."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import parse_qsl

import msgspec

from mediamill.core.errors import Invalid, NotFound, Rejected, TooLarge
from mediamill.web.serving import raw

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
C = TypeVar("C")
R = TypeVar("R")

JSON_BYTES = 1 << 20
MOST_PARAMETERS = 100
_DEEPEST = 150
"""Levels of a body; what it holds has narrower bounds of its own."""
_SILENT_S = 60.0
"""A client that sends nothing for so long has gone: of a broken line no word may ever come."""


class NoSuchMethod(Rejected):
    """The path is known, and takes other methods."""

    code = "method_not_allowed"

    def __init__(self, message: str, allow: str) -> None:
        super().__init__(message)
        self.allow = allow


class Silent(Rejected):
    """The client fell silent in the middle of a body."""

    code = "request_timeout"


class Disconnected(Invalid):
    """The client went away in the middle of its body: nobody is there to be told."""

    def __init__(self) -> None:
        super().__init__("", "The request ended before its body did.")


class NotJson(Invalid):
    """The body is no JSON."""


class TooDeep(Invalid):
    """The body is JSON, nested beyond what is taken."""


@dataclass(frozen=True)  # no slots: of a generic class with them none can be made by its alias
class Route(Generic[C, R]):
    """A method at a path. `{}` in the path stands for one part; `json`: the body is read before the handler runs;
    `open`: needs no key; `most`: bytes that its body may have, where the dialect has no one bound for all."""

    method: str
    path: str
    handler: Callable[[C], Awaitable[R]]
    json: bool = True
    open: bool = False
    most: int = JSON_BYTES


class Table(Generic[C, R]):
    """Routes by path and method."""

    def __init__(self, routes: Sequence[Route[C, R]]) -> None:
        self._routes: dict[str, tuple[re.Pattern[str], dict[str, Route[C, R]]]] = {}
        for route in routes:
            pattern = re.compile(re.escape(route.path).replace(r"\{\}", "([^/]+)"))
            self._routes.setdefault(route.path, (pattern, {}))[1][route.method] = route

    def find(self, path: str, method: str) -> tuple[Route[C, R], Sequence[str]]:
        """The route and the parts of its path that are not fixed. Raises NotFound, NoSuchMethod."""
        for pattern, by_method in self._routes.values():
            if (match := pattern.fullmatch(path)) is None:
                continue
            route = by_method.get("GET" if method == "HEAD" else method)
            if route is not None:
                return route, match.groups()
            allow = ", ".join([*by_method, *(["HEAD"] if "GET" in by_method else []), "OPTIONS"])
            raise NoSuchMethod(f"{path} does not take {method[:20]}.", allow)
        raise NotFound("path", path)


def headers_of(scope: Any) -> dict[str, str]:
    """Header values by lower-case name, without space around them; repeated ones are one list (RFC 9110 5.2)."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def query_of(scope: Any) -> dict[str, str]:
    """The first value of each parameter. Raises Invalid for too many."""
    try:
        pairs = parse_qsl(
            scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=MOST_PARAMETERS
        )
    except ValueError:
        raise Invalid("", "There are too many parameters.") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


def read_object(body: bytes) -> dict[str, Any]:
    """A JSON object. Raises Invalid for anything else."""
    found = _decoded(body)
    if not isinstance(found, dict):
        raise Invalid("", "The body must be a JSON object.")
    _bounded(found, _DEEPEST)
    return found


def read_json(body: bytes, deepest: int = _DEEPEST) -> Any:
    """JSON of any kind, of at most `deepest` levels. Raises NotJson, TooDeep."""
    found = _decoded(body)
    _bounded(found, deepest)
    return found


def _decoded(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except RecursionError:
        raise NotJson("", "The body is nested too deeply.") from None
    except (msgspec.DecodeError, UnicodeDecodeError, ValueError) as error:
        raise NotJson("", f"The body is not JSON: {error}.") from None


def _bounded(value: Any, deepest: int) -> None:
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(deepest):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return
    raise TooDeep("", f"The body is nested deeper than {deepest} levels.")


async def read_raw(receive: Receive, most: int = JSON_BYTES) -> bytes:
    """The whole body. Raises TooLarge beyond `most` bytes, Silent, Disconnected."""
    found = bytearray()
    async for chunk in chunks(receive):
        found += chunk
        if len(found) > most:
            raise TooLarge(f"The body may have {most} bytes.")
    return bytes(found)


async def chunks(receive: Receive) -> AsyncIterator[bytes]:
    """The body as it comes. Raises Silent, Disconnected."""
    while True:
        try:
            async with asyncio.timeout(_SILENT_S):
                message = await receive()
        except TimeoutError:
            raise Silent("The client fell silent.") from None
        if message["type"] == "http.disconnect":
            raise Disconnected
        if chunk := message.get("body", b""):
            yield chunk
        if not message.get("more_body", False):
            return


async def answer(
    send: Send, status: int, body: bytes, headers: Mapping[str, str], *, media_type: str | None, silent: bool = False
) -> None:
    """Send an answer; one of 204 has no body and says nothing of one. media_type: None for an empty body without."""
    said = dict(headers)
    if status != 204:
        said |= {} if media_type is None else {"content-type": media_type}
        said["content-length"] = str(len(body))
    await send({"type": "http.response.start", "status": status, "headers": raw(said)})
    await send({"type": "http.response.body", "body": b"" if silent or status == 204 else body})
