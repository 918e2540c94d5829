"""Webhooks in a fresh database without a server: endpoints, events, and a dispatcher whose clock the test turns."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import msgspec

from mediamill.core.ids import new_id
from mediamill.core.webhooks import Done, Due, Endpoint, NewEndpoint, event_id
from mediamill.store import pool as pools
from mediamill.store.batch import Batcher
from mediamill.store.deliveries import WOKEN, Deliveries
from mediamill.store.endpoints import Endpoints
from mediamill.store.listen import listen
from mediamill.webhooks.dispatch import Dispatcher
from mediamill.webhooks.post import Message, Postman

PROJECT = "default"
SECRET = b"a secret of twenty-four b"


class Clock:
    """Stands still until it is turned."""

    def __init__(self, at: datetime) -> None:
        self.at = at

    def __call__(self) -> datetime:
        return self.at

    def turn(self, seconds: float) -> None:
        """Later."""
        self.at += timedelta(seconds=seconds)


class Hooks:
    """The tables of one database, and short ways to fill them."""

    def __init__(self, pool: asyncpg.Pool[Any], dsn: str) -> None:
        self.pool = pool
        self.dsn = dsn
        self.endpoints = Endpoints(pool)
        self.deliveries = Deliveries(pool)

    async def endpoint(
        self, url: str, types: Sequence[str] = ("*",), project: str = PROJECT, secret: bytes = SECRET
    ) -> Endpoint:
        """A new endpoint."""
        new = NewEndpoint(url=url, types=types, topics=types)
        return await self.endpoints.create(project, new_id("endpoint"), new, secret)

    async def tell(self, count: int = 1, type: str = "task.succeeded", project: str = PROJECT) -> list[str]:
        """Write events; their ids on the wire."""
        found = await self.pool.fetch(
            "INSERT INTO events (project_id, type) SELECT $1, $2 FROM generate_series(1, $3) RETURNING id",
            project,
            type,
            count,
        )
        return [event_id(row["id"]) for row in found]

    async def states(self) -> dict[str, int]:
        """Deliveries by state."""
        found = await self.pool.fetch("SELECT state, count(*) AS n FROM deliveries GROUP BY 1")
        return {row["state"]: row["n"] for row in found}

    @contextlib.asynccontextmanager
    async def dispatching(
        self, net: Any, *, clock: Clock | None = None, timeout_s: float = 60.0, **given: Any
    ) -> AsyncIterator[Dispatcher]:
        """A dispatcher at work. With a clock it sleeps until it is noticed; without, it listens as in life."""
        end: Batcher[Done, None] = Batcher(lambda batch: self.deliveries.end(batch, clock() if clock else None))
        own: dict[str, Any] = {"now": clock} if clock else {}
        postman = Postman(net, timeout_s=timeout_s, jitter=lambda: 0.0, **own)
        dispatcher = Dispatcher(store=self.deliveries, words=words, postman=postman, end=end, clock=clock, **given)
        tasks = [asyncio.create_task(dispatcher.run())]
        if clock is None:
            heard = {WOKEN: lambda _: dispatcher.notice()}
            tasks.append(asyncio.create_task(listen(self.dsn, heard, dispatcher.notice)))
        try:
            yield dispatcher
        finally:
            await dispatcher.stop()
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def words(batch: Sequence[Due]) -> list[Message | None]:
    """A body that says the event's id and type."""
    return [Message(body=msgspec.json.encode({"id": event_id(due.event.id), "type": due.event.type})) for due in batch]


@contextlib.asynccontextmanager
async def hooks(dsn: str) -> AsyncIterator[Hooks]:
    """The webhook tables of a database."""
    pool = await pools.open_pool(dsn, most=8)
    try:
        yield Hooks(pool, dsn)
    finally:
        await pool.close()


def real_now() -> datetime:
    """Now, for clocks to begin at: events are dated by the database's."""
    return datetime.now(UTC)
