"""LISTEN, kept up: a connection of its own that comes back when it is lost."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog

from mediamill.store.pool import connect

log = structlog.get_logger()


async def listen(dsn: str, channels: Mapping[str, Callable[[str], None]], back: Callable[[], None]) -> None:
    """Call a channel's function with each payload, for ever. `back` is called whenever listening begins (anew):
    what was said meanwhile is lost, so look again."""
    wait_s = 0.2
    while True:
        connection = None
        lost = asyncio.Event()
        try:
            connection = await connect(dsn)
            connection.add_termination_listener(lambda _, lost=lost: lost.set())
            for channel, told in channels.items():
                await connection.add_listener(channel, lambda _c, _p, _n, payload, told=told: told(str(payload)))
            back()
            wait_s = 0.2
            await lost.wait()
        except Exception:
            log.exception("not listening", again_in_s=wait_s)
        finally:
            if connection is not None and not connection.is_closed():
                await asyncio.shield(connection.close())
        await asyncio.sleep(wait_s)
        wait_s = min(5.0, wait_s * 2)
