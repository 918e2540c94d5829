"""What every path below /mill does alike: HEAD, and a last word on what nobody foresaw."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from mediamill.dialects import App, Scope

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]


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
    return any(name.lower() == b"allow" and b"GET" in value.split(b", ") for name, value in start["headers"])


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
