"""Several streams read as one, for a page that follows more than one thing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any


async def merged(*streams: AsyncIterator[Any]) -> AsyncIterator[Any]:
    """What any of them gives, as it comes, until all have ended; an error of one is raised."""
    coming = {asyncio.ensure_future(anext(stream, _OVER)): stream for stream in streams}
    try:
        while coming:
            done, _ = await asyncio.wait(coming, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                stream = coming.pop(future)
                if (item := future.result()) is _OVER:
                    continue
                yield item
                coming[asyncio.ensure_future(anext(stream, _OVER))] = stream
    finally:
        for future in coming:
            future.cancel()
        await asyncio.gather(*coming, return_exceptions=True)
        for stream in streams:
            await stream.aclose()  # type: ignore[attr-defined]  # they are generators


_OVER = object()
