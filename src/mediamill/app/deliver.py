"""Webhooks in a process of their own: posting a thousand a second must not slow the tasks down, nor an API.

A worker starts one when there is first something to deliver, and keeps it; `mediamill worker --queues webhooks` is one
by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal

import structlog

from mediamill.app.common import end_all, net_of, vault_of
from mediamill.app.keeping import Kept
from mediamill.app.sealing import opener
from mediamill.config import Settings
from mediamill.core.webhooks import Done
from mediamill.store import pool as pools
from mediamill.store.batch import Batcher
from mediamill.store.deliveries import WOKEN, Deliveries
from mediamill.store.files import Files
from mediamill.store.listen import listen
from mediamill.store.runs import Runs
from mediamill.store.tasks import Tasks
from mediamill.store.upkeep import Upkeep

QUEUE = "webhooks"
"""What to call it among the queues of `mediamill worker`."""

log = structlog.get_logger()


def postroom(settings: Settings) -> Kept:
    """The process that a worker keeps for this."""
    return Kept(
        settings,
        *("--queues", QUEUE),
        leave_s=settings.webhook_timeout_s + 5,
        on_end="webhook process ended; starting another",
    )


async def deliver(settings: Settings, dsn: str) -> None:
    """Deliver webhooks until a signal."""
    from mediamill.app.wording import wording
    from mediamill.webhooks.dispatch import Dispatcher
    from mediamill.webhooks.post import Postman

    pool = await pools.open_pool(dsn, least=1, most=4)
    loose = await pools.open_pool(dsn, least=1, most=4, synced=False)
    client = net_of(settings)
    # What a power cut takes back of these is delivered once more, under the same id.
    store = Deliveries(loose)
    end: Batcher[Done, None] = Batcher(store.end)
    dispatcher = Dispatcher(
        store=store,
        words=await wording(settings, Tasks(pool), Runs(pool), Files(pool).get_many, Upkeep(pool)),
        postman=Postman(client, timeout_s=settings.webhook_timeout_s, open=opener(vault_of(settings))),
        end=end,
    )
    listener = asyncio.create_task(listen(dsn, {WOKEN: lambda _: dispatcher.notice()}, dispatcher.notice))
    work = asyncio.create_task(dispatcher.run())
    for number in (signal.SIGTERM, signal.SIGINT):
        # Not cancelled: what it is claiming would be lent to nobody until that lease is over.
        asyncio.get_running_loop().add_signal_handler(number, dispatcher.leave)
    log.info("delivering webhooks")
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await work
        await dispatcher.stop()
    finally:
        await end_all(listener)
        await client.close()
        await loose.close()
        await pool.close()
