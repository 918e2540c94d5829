"""An ASGI app that is built when it is first asked for something."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any


class Later:
    """Stands for the app that `build` makes: what nobody opens is never loaded. Built in a thread, because others are
    waiting for answers; the first request waits for it."""

    def __init__(self, build: Callable[[], Any]) -> None:
        self._build = build
        self._one = asyncio.Lock()
        self._app: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Hand the request on."""
        if self._app is None:
            async with self._one:
                if self._app is None:
                    self._app = await asyncio.to_thread(self._build)
        await self._app(scope, receive, send)
