"""A caller of the dialect, over the API in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.support import inprocess
from tests.support.database import Postgres
from tests.support.inprocess import InProcess

from mediamill.core.access import Caller as Access
from mediamill.core.access import Role
from mediamill.service.accounts import Accounts
from mediamill.store.accounts import Accounts as AccountTable

ARTIST = "5d0c6f1e-7c1b-4a6e-9a53-2f4f0f7f9a11"
NEW = {
    "title": "Morning clip",
    "prompt": "Make a ten second teaser from the newest track.",
    "schedule": "30 8 * * MON-FRI",
    "timezone": "Europe/Madrid",
    "artist_account_id": ARTIST,
    "model": "local/small",
}


@dataclass(frozen=True, slots=True)
class Mill:
    """The API in this process, and the verbs on accounts beside it."""

    inner: InProcess
    accounts: Accounts

    @property
    def http(self) -> httpx.AsyncClient:
        return self.inner.http

    async def caller(self, token: str) -> Access:
        """Who a key speaks for."""
        found = await self.inner.keys.who(token)
        assert found is not None
        return found


_WORKER = """
INSERT INTO workers (id, host, pid, queues, slots, busy, version, runners, seen_at)
VALUES ('w', 'here', 1, '{io}', 1, 0, '1', '{prompt}', now() + interval '1 day')
"""


class Caller:
    """Requests with a key."""

    def __init__(self, mill: Mill, token: str, project: str) -> None:
        self.mill = mill
        self.token = token
        self.project = project

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> httpx.Response:
        """One request. A header of None is left out; Trigger.dev's surface gets a Bearer."""
        bare = path.startswith("/api/v")
        own = {"authorization": f"Bearer {self.token}"} if bare else {"x-api-key": self.token}
        sent: dict[str, str | None] = {**own, **(headers or {})}
        return await self.mill.inner.ask(method, path, body, raw, sent)

    async def good(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The body of an answer that must be good."""
        answer = await self(method, path, body, **more)
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def bad(self, status: int, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The body of an answer that must be of this status."""
        answer = await self(method, path, body, **more)
        assert answer.status_code == status, answer.text
        assert answer.headers["access-control-allow-origin"] == "*"
        return answer.json()

    async def account(self) -> str:
        """The caller's account."""
        return str((await self.good("GET", "/api/accounts/id"))["accountId"])

    async def task(self, **given: Any) -> Any:
        """A task that was made."""
        [made] = (await self.good("POST", "/api/tasks", {**NEW, **given}))["tasks"]
        return made

    async def tasks(self, query: str = "") -> Any:
        """The tasks of a list."""
        return (await self.good("GET", f"/api/tasks{query}"))["tasks"]


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def mill(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Mill]:
    """The API, over a database of the module's own."""
    folder: Path = tmp_path_factory.mktemp("recoup")
    async with inprocess.fresh(postgres, folder) as running:
        await running.bench.pool.execute(_WORKER)  # the tests do its work
        yield Mill(running, Accounts(AccountTable(running.bench.pool)))


@pytest_asyncio.fixture(loop_scope="module")
async def call(mill: Mill, request: pytest.FixtureRequest) -> Caller:
    """Someone with an account of their own, for each test another."""
    return await member(mill, f"p{abs(hash(request.node.nodeid)) % 10**12}")


@pytest_asyncio.fixture(loop_scope="module")
async def other(mill: Mill, request: pytest.FixtureRequest) -> Caller:
    """Someone else."""
    return await member(mill, f"o{abs(hash(request.node.nodeid)) % 10**12}")


@pytest.fixture
def admin(mill: Mill) -> Caller:
    """Who runs the install."""
    return Caller(mill, inprocess.KEY, "default")


async def member(mill: Mill, project: str) -> Caller:
    """A caller with a key of a project of this name."""
    await mill.inner.keys.project(project, project)
    _, secret = await mill.inner.keys.create(project, "a member", Role.MEMBER)
    return Caller(mill, secret, project)
