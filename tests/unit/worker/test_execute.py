"""A task in a worker's hands while the database, or the word from it, is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
import pytest_asyncio
from tests.support.records import PROJECT, Bench, bench

from mediamill.core.dispatch import Finish
from mediamill.core.errors import (
    DatabaseAway,
    OutcomeUnknown,
    OutOfSpace,
    SourceUnreachable,
    StorageAway,
    StorageRefused,
)
from mediamill.core.tasks import State, Task
from mediamill.store.batch import Batcher
from mediamill.worker.execute import Executor
from mediamill.worker.live import Attempt
from mediamill.worker.oversight import Oversight
from mediamill.worker.rules import Rules

HOSTED = "prompt"


class NoTicks:
    """Nobody is told how far it is."""

    def __call__(self, tick: Any) -> None:
        raise AssertionError("nothing moves")

    def forget(self, fence: Any) -> None:
        """Nothing was told."""


class Hands:
    """An executor over the tables. Its work is `work`, for children and hosts alike."""

    def __init__(self, db: Bench) -> None:
        self.db = db
        self.at_work = asyncio.Event()
        self.work: Callable[[], Awaitable[None]] = self.endless

        async def in_child(attempt: Attempt, queue: str) -> Finish:
            await attempt.live.stoppable(self._done(), "work")
            taken = attempt.taken
            return Finish(task_id=taken.task.id, fence=taken.fence, job_id=taken.job_id, state=State.SUCCEEDED)

        async def hosted(*_: Any) -> dict[str, Any]:
            await self.work()
            return {}

        async def nothing(_: Finish) -> None:
            return

        unused: Any = None
        self.executor = Executor(
            worker="w",
            take=Batcher(db.tasks.take),
            finish=Batcher(db.tasks.finish),
            tick=NoTicks(),
            find_facts=unused,
            ingest=unused,
            in_child=in_child,
            hosts={HOSTED: hosted},
            drop_unused=nothing,
            rules=Rules(limits=unused, max_fetch_bytes=1, retry_first_s=2.0, retry_cap_s=300.0),
        )
        self.oversight = Oversight(executor=self.executor, strays=db.tasks.strays, every_s=60.0)

    async def endless(self) -> None:
        self.at_work.set()
        await asyncio.Event().wait()

    async def _done(self) -> None:
        await self.work()

    async def run(self, id: str) -> Task:
        """The task once the executor is done with it."""
        await self.executor.run(id, await self.db.job_of(id) or 0, queue="cpu")
        return await self.db.tasks.get(PROJECT, id)


@pytest_asyncio.fixture
async def hands(dsn: str) -> AsyncIterator[Hands]:
    async with bench(dsn) as db:
        yield Hands(db)


@pytest.mark.parametrize("error", [DatabaseAway, OutcomeUnknown, StorageAway])
@pytest.mark.parametrize("kind", ["convert", HOSTED])
async def test_work_that_meets_a_database_or_a_bucket_that_is_away_is_tried_again_at_no_cost(
    hands: Hands, kind: str, error: type[DatabaseAway]
) -> None:
    id = await hands.db.accept(kind=kind, max_attempts=1)

    async def away() -> None:
        raise error

    hands.work = away
    task = await hands.run(id)

    assert (task.state, task.attempts_left, task.attempt) == (State.DELAYED, 1, 1)
    assert task.attempts[0].error is not None
    assert task.attempts[0].error.code == "interrupted"
    assert await hands.db.job_of(id) is not None


@pytest.mark.parametrize(
    ("error", "waits_s"),
    [(SourceUnreachable("It does not answer."), 2.0), (OutOfSpace(), 60.0), (StorageRefused(), 60.0)],
)
async def test_what_an_operator_has_to_mend_is_given_longer_than_anything_else(
    hands: Hands, error: Exception, waits_s: float
) -> None:
    id = await hands.db.accept(kind="convert")

    async def broken() -> None:
        raise error

    hands.work = broken
    task = await hands.run(id)

    assert task.state is State.DELAYED
    assert task.not_before is not None
    assert abs((task.not_before - task.updated_at).total_seconds() - waits_s) < 1.0


async def test_a_cancel_that_nobody_heard_is_found_by_looking(hands: Hands) -> None:
    id = await hands.db.accept(kind="convert")
    running = asyncio.create_task(hands.run(id))
    await hands.at_work.wait()
    await hands.oversight.once()
    assert not running.done()

    await hands.db.tasks.cancel(PROJECT, id)
    await hands.oversight.once()

    assert (await running).state is State.CANCELLED
    assert hands.executor.held() == []


async def test_work_that_another_has_taken_over_is_let_go(hands: Hands) -> None:
    id = await hands.db.accept(kind="convert")
    running = asyncio.create_task(hands.run(id))
    await hands.at_work.wait()
    other = await hands.db.take(id, "other")
    assert other is not None

    await hands.oversight.once()

    task = await running
    assert (task.state, task.attempt, task.attempts_left) == (State.RUNNING, 2, other.task.attempts_left)
    assert [a.state for a in task.attempts] == ["lost", "running"]
    assert await hands.db.finish(other)


async def test_looking_begins_anew_when_told(hands: Hands) -> None:
    id = await hands.db.accept(kind="convert")
    running = asyncio.create_task(hands.run(id))
    await hands.at_work.wait()
    looking = asyncio.create_task(hands.oversight.run())
    await hands.db.tasks.cancel(PROJECT, id)

    hands.oversight.look()

    async with asyncio.timeout(30):
        assert (await running).state is State.CANCELLED
    looking.cancel()
    await asyncio.gather(looking, return_exceptions=True)
