"""Schedules under a clock that tests set: a loop, its tables, and a hand that does the tasks."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg

from mediamill import cron
from mediamill.core.access import Caller, Role
from mediamill.core.dispatch import Finish, Take
from mediamill.core.firings import Runner
from mediamill.core.ids import KeyId, ProjectId
from mediamill.core.schedules import NewSchedule, Schedule
from mediamill.core.tasks import State, Task
from mediamill.scheduling.loop import Loop
from mediamill.service.schedules import Schedules
from mediamill.store.batch import Batcher
from mediamill.store.expiry import Expiry
from mediamill.store.schedules import Schedules as Table
from mediamill.store.tasks import Tasks

CALLER = Caller(project_id=ProjectId("default"), key_id=KeyId("k1"), role=Role.ADMIN)
PING = Runner(kind="ping", queue="io")


class Clock:
    """Stands still until it is told to go on; `jump` sets it without time passing."""

    def __init__(self, now: datetime) -> None:
        self.time = now
        self.passed = 0.0

    async def now(self) -> datetime:
        return self.time

    def passed_s(self) -> float:
        return self.passed

    async def sleep(self, seconds: float) -> None:
        self.go(seconds)
        await asyncio.sleep(0)

    def go(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)
        self.passed += seconds

    def jump(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class Expiring(Expiry):
    """Tasks expire by the clock of the database, which does not go with the one that tests set.

    What is overdue by the latter alone stays so; the loop would look for it every 50 ms of all the time that passes.
    """

    def __init__(self, pool: asyncpg.Pool[Any], clock: Clock) -> None:
        super().__init__(pool)
        self._clock = clock

    async def next_expiry(self) -> datetime | None:
        found = await super().next_expiry()
        return found if found is None or found > self._clock.time else None


class Bench:
    """Everything of one server that schedules touch, on one pool, without its processes."""

    def __init__(self, pool: asyncpg.Pool[Any], clock: Clock, offered: Sequence[str] = ("prompt",)) -> None:
        self.pool = pool
        self.clock = clock
        self.offered = list(offered)
        self.table = Table(pool)
        self.tasks = Tasks(pool)
        self.loop = Loop(
            store=self.table,
            expiry=Expiring(pool, clock),
            clock=clock,
            runner=PING,
            offered=lambda: self.offered,
            cancel=self.tasks.cancel,
        )
        self.service = Schedules(
            store=self.table,
            accept=Batcher(self.tasks.accept),
            read=self._read,
            runner=PING,
            runners=self._runners,
            now=clock.now,
        )

    async def _read(self, id: str) -> Task:
        return await self.tasks.get("default", id)

    async def _runners(self) -> dict[str, bool]:
        return dict.fromkeys(self.offered, True)

    async def schedule(self, rule: str = "* * * * *", **given: Any) -> Schedule:
        """One of the default project."""
        return await self.service.create(CALLER, NewSchedule(cron=rule, **{"prompt": "Do it.", **given}))

    async def go(self, seconds: float) -> None:
        """Let time pass, the loop looking whenever it wants to."""
        end = self.clock.time + timedelta(seconds=seconds)
        while True:
            nap_s = await self.loop.round()
            left_s = (end - self.clock.time).total_seconds()
            if left_s <= 0:
                return
            self.clock.go(min(left_s, max(nap_s, 0.001)))

    async def fired(self, *schedules: Schedule) -> list[datetime]:
        """The nominal instants that tasks were started for, of all schedules or of these."""
        rows = await self.pool.fetch(
            "SELECT due_at FROM tasks WHERE due_at IS NOT NULL AND ($1::text[] = '{}' OR schedule_id = ANY($1)) "
            "ORDER BY due_at",
            [schedule.id for schedule in schedules],
        )
        return [row["due_at"].astimezone(UTC) for row in rows]

    async def all(self) -> list[Task]:
        """Every task, oldest first."""
        rows = await self.pool.fetch("SELECT id FROM tasks ORDER BY created_at, id")
        return [await self.tasks.get("default", row["id"]) for row in rows]

    async def queued(self) -> list[str]:
        """Ids of tasks that have a queue entry, in order."""
        rows = await self.pool.fetch("SELECT payload FROM pgqueuer ORDER BY id")
        return [row["payload"].decode() for row in rows]

    async def take(self, id: str) -> Any:
        """Start a task, as a worker would; None where there is nothing to start."""
        job = await self.pool.fetchval("SELECT id FROM pgqueuer WHERE payload = $1 ORDER BY id LIMIT 1", id.encode())
        [taken] = await self.tasks.take([Take(task_id=id, job_id=job or 0, worker="w1")])
        return taken

    async def finish(self, taken: Any, state: State = State.SUCCEEDED) -> None:
        """End a task that was started."""
        end = Finish(task_id=taken.task.id, fence=taken.fence, job_id=taken.job_id, state=state)
        assert await self.tasks.finish([end]) == [True]


def instants(rule: str, zone: str, start: datetime, end: datetime) -> list[datetime]:
    """All of a rule after start, up to and including end."""
    found = []
    for instant in cron.instants(rule, zone, start):
        if instant > end:
            break
        found.append(instant)
    return found
