"""The verbs on prompts over a fresh database, with the test for a worker and for what runs them."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support.records import PROJECT, Bench

from mediamill import kinds
from mediamill.app.common import installed
from mediamill.core.access import Caller, Role
from mediamill.core.dispatch import Accept, Taken, Tick
from mediamill.core.ids import KeyId, ProjectId
from mediamill.core.prompts import NewPrompt, Settings
from mediamill.core.tasks import Failure, State, Task
from mediamill.service.prompts import Prompts
from mediamill.service.tasks import Tasks
from mediamill.service.watch import Watch
from mediamill.store import pool as pools
from mediamill.store.batch import Batcher
from mediamill.store.prompts import Prompts as PromptTable

CALLER = Caller(project_id=ProjectId(PROJECT), key_id=KeyId("k"), role=Role.MEMBER)


class _NoConnections:
    async def sources(self, caller: Caller, sources: Any, *, first: int = 0) -> Any:
        return sources

    async def destination(self, caller: Caller, asked: Any) -> Mapping[str, str]:
        raise AssertionError("a prompt has no destination")


@dataclass(frozen=True, slots=True)
class Table:
    """`prompts` are the verbs, `bench` moves tasks as a worker does. `runners` may be changed."""

    prompts: Prompts
    tasks: Tasks
    store: PromptTable
    bench: Bench
    runners: dict[str, bool]

    async def start(self, given: str | NewPrompt = "Say hello.", **settings: Any) -> Task:
        """Trigger a run."""
        new = NewPrompt(prompt=given, settings=Settings(**settings)) if isinstance(given, str) else given
        task, _ = await self.prompts.trigger(CALLER, new)
        return task

    async def take(self, id: str) -> Taken:
        """Start it as a worker does."""
        taken = await self.bench.take(id)
        assert taken is not None
        return taken

    async def tick(self, taken: Taken, stage: str) -> None:
        """Say which stage an attempt is in."""
        await self.bench.tasks.progress([Tick(task_id=taken.task.id, fence=taken.fence, stage=stage, progress=0.1)])

    async def finish(self, id: str, **given: Any) -> None:
        """Start and end it."""
        assert await self.bench.finish(await self.take(id), **given)

    async def fail(self, id: str, code: str = "llm_http_error", **given: Any) -> None:
        """Start it and end it badly."""
        error = Failure(code=code, family="source", message="It answered 400.", name="LlmHttpError")
        await self.finish(id, state=State.FAILED, error=error, **given)


@contextlib.asynccontextmanager
async def table(dsn: str, limit: int | None = None) -> AsyncIterator[Table]:
    """The verbs on a database. limit: tasks of the project in flight."""
    pool = await pools.open_pool(dsn, most=8)
    bench = Bench(pool)
    accept: Batcher[Accept, tuple[str, bool]] = Batcher(bench.tasks.accept, width=2)

    async def read(id: str) -> Task:
        return await bench.tasks.get(PROJECT, id)

    async def no_file(id: str) -> None:
        return None

    tasks = Tasks(
        store=bench.tasks,
        accept=accept,
        read=read,
        files=no_file,
        kinds=kinds.named,
        hint=kinds.Hint,
        engines=installed(),
        check_url=lambda url: None,
        watch=Watch(),
        connections=_NoConnections(),
        in_flight_limit=limit,
    )
    runners = {"prompt": True, "idle": False}

    async def asked() -> Mapping[str, bool]:
        return runners

    store = PromptTable(pool)
    prompts = Prompts(store=store, tasks=tasks, accept=accept, read=read, runners=asked)
    try:
        yield Table(prompts, tasks, store, bench, runners)
    finally:
        await pool.close()
