"""Tasks in a fresh database, without a server: accept, take and finish as a worker would."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from typing import Any

import asyncpg

from mediamill.core.dispatch import Accept, Finish, Take, Taken
from mediamill.core.files import NewFile
from mediamill.core.tasks import NewTask, Source, State
from mediamill.store import pool as pools
from mediamill.store.files import Files
from mediamill.store.tasks import Tasks

PROJECT = "default"


class Bench:
    """The task and file tables of one database, and short ways to move a task along."""

    def __init__(self, pool: asyncpg.Pool[Any]) -> None:
        self.pool = pool
        self.tasks = Tasks(pool)
        self.files = Files(pool)

    async def accept(self, *, kind: str = "ping", queue: str = "io", project: str = PROJECT, **given: Any) -> str:
        """Accept one task; its id."""
        [answer] = await self.tasks.accept([self.item(kind=kind, queue=queue, project=project, **given)])
        if isinstance(answer, BaseException):
            raise answer
        return answer[0]

    def item(self, *, kind: str = "ping", queue: str = "io", project: str = PROJECT, **given: Any) -> Accept:
        """A task to accept: `body_hash`, `scope`, `in_flight_limit` and `label` are the record's own."""
        own = {name: given.pop(name) for name in ("body_hash", "scope", "in_flight_limit") if name in given}
        label = given.pop("label", "")
        return Accept(new=NewTask(kind=kind, **given), project_id=project, queue=queue, label=label, **own)

    async def job_of(self, id: str) -> int | None:
        """The queue entry of a task, if it has one."""
        found: int | None = await self.pool.fetchval("SELECT id FROM pgqueuer WHERE payload = $1", id.encode())
        return found

    async def take(self, id: str, worker: str = "w") -> Taken | None:
        """Start a task as the dispatcher does."""
        [taken] = await self.tasks.take([Take(task_id=id, job_id=await self.job_of(id) or 0, worker=worker)])
        return taken

    async def finish(self, taken: Taken, state: State = State.SUCCEEDED, **given: Any) -> bool:
        """End an attempt; whether the fence still held."""
        [held] = await self.tasks.finish(
            [Finish(task_id=taken.task.id, fence=taken.fence, job_id=taken.job_id, state=state, **given)]
        )
        return held

    async def file(self, name: str = "a.png", mime: str = "image/png", project: str = PROJECT) -> str:
        """A stored file; its id. The bytes are not there."""
        new = NewFile(project_id=project, filename=name, mime=mime, size_bytes=1, blob_key=f"aa/{name}")
        return (await self.files.create(new, None)).id

    async def events(self, id: str) -> list[str]:
        """What the outbox tells of a task, in order."""
        found = await self.pool.fetch("SELECT type FROM events WHERE task_id = $1 ORDER BY id", id)
        return [row["type"] for row in found]


@contextlib.asynccontextmanager
async def bench(dsn: str) -> AsyncIterator[Bench]:
    """A bench on a database."""
    pool = await pools.open_pool(dsn, most=8)
    try:
        yield Bench(pool)
    finally:
        await pool.close()


def url(address: str = "https://example.org/a.png") -> Source:
    """An input to fetch."""
    return Source(url=address)
