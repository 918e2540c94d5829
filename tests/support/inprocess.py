"""The whole API in the test's own process, over a fresh database: quick, and with the test for a worker."""

from __future__ import annotations

import contextlib
import inspect
import json
import warnings
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support import database
from tests.support.database import Postgres
from tests.support.records import Bench

from mediamill import app, config
from mediamill.blobs import Blobs
from mediamill.core.access import Role
from mediamill.core.dispatch import Taken
from mediamill.core.files import NewFile
from mediamill.core.tasks import Failure, State
from mediamill.store import pool as pools
from mediamill.store.keys import Keys

KEY = "mill_key_of_the_tests"
URL = "http://mill.test"


@dataclass(frozen=True, slots=True)
class InProcess:
    """`http` speaks to the app without any key; tasks stand still until the test moves them with `bench`."""

    http: httpx.AsyncClient
    bench: Bench
    blobs: Blobs
    keys: Keys

    async def token(self, project: str) -> str:
        """A key of another project."""
        await self.keys.project(project, project)
        _, secret = await self.keys.create(project, "a member", Role.MEMBER)
        return secret

    async def start(self, task: str) -> Taken:
        """Take a task as a worker does."""
        taken = await self.bench.take(task)
        assert taken is not None
        return taken

    async def ask(
        self, method: str, url: str, body: Any, raw: bytes | None, headers: Mapping[str, str | None]
    ) -> httpx.Response:
        """One request with `raw`, or `body` as JSON. A header of None is left out."""
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        kept = {name: value for name, value in headers.items() if value is not None}
        return await self.http.request(method, url, content=content, headers=kept)

    async def fetch(self, task: str, content: bytes, *, mime: str, name: str) -> None:
        """Take a task and put it back with its input, as a worker does that has fetched it."""
        taken = await self.start(task)
        stored = await self.blobs.write(_once(content))
        file = NewFile(
            project_id=taken.task.project_id,
            filename=name,
            mime=mime,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            blob_key=stored.key,
            dialect=taken.task.dialect,
        )
        assert await self.bench.finish(taken, State.QUEUED, inputs=[file])

    async def succeed(
        self,
        task: str,
        content: bytes = b"made",
        *,
        mime: str = "image/webp",
        facts: Mapping[str, Any] | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Take a task and end it well with one result."""
        taken = await self.start(task)
        stored = await self.blobs.write(_once(content))
        made = NewFile(
            project_id=taken.task.project_id,
            filename="result",
            mime=mime,
            claimed_mime=mime,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            blob_key=stored.key,
            facts=facts,
            public=bool(taken.task.extra.get("public", False)),
            dialect=taken.task.dialect,
        )
        assert await self.bench.finish(
            taken,
            outputs=[("result", made)],
            details=details or {},
            lifetime_s=3600.0,
            media=taken.task.extra.get("media"),
        )

    async def fail(self, task: str, code: str = "bad_media", message: str = "It cannot be read.") -> None:
        """Take a task and end it badly."""
        error = Failure(code=code, family="input", message=message)
        assert await self.bench.finish(await self.start(task), State.FAILED, error=error)


@contextlib.asynccontextmanager
async def running(dsn: str, data: Path, **settings: Any) -> AsyncIterator[InProcess]:
    """The API over the database at `dsn`, with its files below `data`."""
    loaded = config.load(data=data, admin_key=KEY, **settings)
    async with contextlib.AsyncExitStack() as stack:
        with warnings.catch_warnings():
            # Litestar 2 says how version 3 will want parameters declared; that is no fault of the test.
            warnings.simplefilter("ignore", DeprecationWarning)
            asgi, keys = await stack.enter_async_context(app.api(loaded, dsn))
        await app.first_key(loaded, keys)
        pool = await pools.open_pool(dsn, least=1, most=2)
        transport = httpx.ASGITransport(app=asgi)
        try:
            async with httpx.AsyncClient(transport=transport, base_url=URL) as http:
                yield InProcess(http, Bench(pool), Blobs(data / "files"), keys)
        finally:
            await pool.close()


@contextlib.asynccontextmanager
async def fresh(postgres: Postgres, data: Path, **settings: Any) -> AsyncIterator[InProcess]:
    """The API over a database of its own."""
    async with database.copy(postgres) as dsn, running(dsn, data, **settings) as found:
        yield found


def in_their_modules_loop(items: list[pytest.Item], folder: Path) -> None:
    """Run the coroutines below `folder` where the API of their module lives: in the module's event loop."""
    for item in items:
        if item.path.is_relative_to(folder) and inspect.iscoroutinefunction(getattr(item, "function", None)):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content
