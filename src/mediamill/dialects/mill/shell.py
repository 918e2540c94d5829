"""What every path below /mill does alike: HEAD, and which methods there are."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

from litestar import Litestar
from litestar.routes import HTTPRoute

from mediamill.dialects import App, Scope

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


def with_allow(app: Litestar) -> App:
    """The app, with every Allow in full: Litestar keeps a route for each handler, and names only the methods of one.

    Methods that are not described (a tunnel for clients without PATCH) are not named.
    """
    methods: dict[str, set[str]] = {}
    for route in app.routes:
        if isinstance(route, HTTPRoute):
            shape = re.sub(r"\{[^/]+\}", "[^/]+", route.path_format.rstrip("/"))
            methods.setdefault(shape, {"OPTIONS"}).update(
                method
                for method, (handler, _) in route.route_handler_map.items()
                if method == "GET" or handler.resolve_include_in_schema()
            )
    allowed = [
        (re.compile(shape), ", ".join(sorted(found | ({"HEAD"} if "GET" in found else set()))).encode())
        for shape, found in methods.items()
    ]

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        async def full(message: Any) -> None:
            if message["type"] == "http.response.start" and message["status"] in (204, 405):
                headers = [(name, value) for name, value in message["headers"] if name.lower() != b"allow"]
                if message["status"] == 405 or scope["method"] == "OPTIONS":
                    path = scope["path"].rstrip("/")
                    said = next((value for shape, value in allowed if shape.fullmatch(path)), b"")
                    message = {**message, "headers": [*headers, (b"allow", said)]}
            await send(message)

        # Litestar drops everything up to the first place where the root stands: so the root is put there.
        inner = {**scope, "path": str(scope.get("root_path") or "") + scope["path"]}
        await app(inner, receive, full)  # type: ignore[arg-type]  # Litestar's types of scopes are its own

    return answering


def with_head(app: App) -> App:
    """The app, answering HEAD as GET without the body (RFC 9110 section 9.3.2) wherever it does not do so itself."""

    async def answering(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await app(scope, receive, send)
            return
        held: list[Any] = []

        async def own(message: Any) -> None:
            held.append(message)

        await app(scope, receive, own)
        if held[0]["status"] == 405 and _allows_get(held[0]):
            await _as_get(app, scope, receive, send)
            return
        for message in held:
            await send(message)

    return answering


def _allows_get(start: Any) -> bool:
    return any(name.lower() == b"allow" and b"GET" in re.split(rb", *", value) for name, value in start["headers"])


async def _as_get(app: App, scope: Scope, receive: Receive, send: Send) -> None:
    said = asyncio.Event()

    async def heard() -> Any:
        # A stream of events has no end of its own: once the head is out, its reader counts as gone.
        if said.is_set():
            return {"type": "http.disconnect"}
        asked, over = asyncio.ensure_future(receive()), asyncio.ensure_future(said.wait())
        try:
            await asyncio.wait({asked, over}, return_when=asyncio.FIRST_COMPLETED)
            return asked.result() if asked.done() else {"type": "http.disconnect"}
        finally:
            asked.cancel()
            over.cancel()

    async def headless(message: Any) -> None:
        if message["type"] == "http.response.start":
            await send(message)
        elif not said.is_set():
            said.set()
            await send({"type": "http.response.body", "body": b""})

    await app({**scope, "method": "GET"}, heard, headless)
