"""Prompts done by the agent itself over a fresh database, attempt by attempt, with a test's own language model."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.support.llm import Llm
from tests.support.records import PROJECT, Bench, bench

from mediamill import config
from mediamill.app.common import net_of
from mediamill.app.prompts import Prompts
from mediamill.blobs import Blobs
from mediamill.core.dispatch import Finish, Tick
from mediamill.core.prompts import KIND
from mediamill.core.tasks import Origin, Task
from mediamill.service.connections import Connections
from mediamill.store import pool as pools
from mediamill.store.batch import Batcher
from mediamill.store.connections import Connections as ConnectionTable
from mediamill.store.steps import Steps
from mediamill.vault import Vault
from mediamill.worker.execute import Executor
from mediamill.worker.rules import Rules


@dataclass(slots=True)
class Ticks:
    """Where ticks go: here."""

    seen: list[Tick] = field(default_factory=list)

    def __call__(self, tick: Tick) -> None:
        self.seen.append(tick)

    def forget(self, fence: Any) -> None:
        """Nothing is kept."""


@dataclass(slots=True)
class Agents:
    """A worker's agent, without the worker's loops: the test says when an attempt is made."""

    bench: Bench
    blobs: Blobs
    prompts: Prompts
    executor: Executor
    ticks: Ticks
    steps: Steps
    finishes: list[Finish]

    async def accept(self, prompt: str | None = "Do it.", **given: Any) -> str:
        """A prompt to run; options by name, `origin`, `extra`, `metadata` and `max_attempts` are the task's own."""
        own = {name: given.pop(name) for name in ("origin", "extra", "metadata", "max_attempts") if name in given}
        own.setdefault("origin", Origin(identifier="prompt"))
        options = {**({"prompt": prompt} if prompt is not None else {}), **given}
        return await self.bench.accept(kind=KIND, queue="agent", options=options, **own)

    async def attempt(self, id: str) -> Task:
        """Make one attempt at it; how it stands then."""
        job = await self.bench.job_of(id)
        assert job is not None, "it has no queue entry"
        await self.executor.run(id, job, queue="agent")
        return await self.task(id)

    async def run(self, prompt: str | None = "Do it.", **given: Any) -> Task:
        """A new prompt after its first attempt."""
        return await self.attempt(await self.accept(prompt, **given))

    async def task(self, id: str) -> Task:
        """With its attempts."""
        return await self.bench.tasks.get(PROJECT, id)

    async def store(self, content: bytes, name: str = "a.txt", mime: str = "text/plain") -> str:
        """A stored file with these bytes; its id."""
        from mediamill.core.files import NewFile

        stored = await self.blobs.write(_once(content))
        new = NewFile(project_id=PROJECT, filename=name, mime=mime, size_bytes=len(content), blob_key=stored.key)
        return (await self.bench.files.create(new, None)).id


@contextlib.asynccontextmanager
async def agents(dsn: str, data: Path, llm: Llm | None = None, **settings: Any) -> AsyncIterator[Agents]:
    """An agent over the database, asking `llm`."""
    if llm is not None:
        settings = {"llm_base_url": llm.url, "llm_model": "local/small", **settings}
    loaded = config.load(data=data, **settings)
    ticks, finishes = Ticks(), list[Finish]()
    pool = await pools.open_pool(dsn, most=8)
    async with bench(dsn) as tables:
        blobs, client = Blobs(data / "files"), net_of(loaded)
        connections = Connections(store=ConnectionTable(pool), vault=Vault(None, data), check_url=client.check_url)
        prompts = Prompts(
            settings=loaded,
            dsn=dsn,
            pool=pool,
            loose=pool,
            blobs=blobs,
            check_url=client.check_url,
            connections=connections,
        )

        async def finish(batch: Any) -> Any:
            finishes.extend(batch)
            return await tables.tasks.finish(batch)

        async def drop_unused(_: Finish) -> None:
            return

        nothing: Any = None
        executor = Executor(
            worker="w",
            take=Batcher(tables.tasks.take),
            finish=Batcher(finish),
            tick=ticks,
            find_facts=nothing,
            ingest=nothing,
            in_child=nothing,
            hosts={KIND: prompts},
            drop_unused=drop_unused,
            rules=Rules(limits=nothing, max_fetch_bytes=1, retry_first_s=2.0, retry_cap_s=300.0),
        )
        try:
            yield Agents(tables, blobs, prompts, executor, ticks, Steps(pool), finishes)
        finally:
            await prompts.close()
            await client.close()
            await pool.close()


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
