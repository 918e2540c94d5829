"""A caller of the dialect, over the API in this process, in whichever profile."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
from tests.support import inprocess
from tests.support.database import Postgres
from tests.support.inprocess import InProcess

HERE = Path(__file__).parent
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"
FLAT = {"accept-version": "2025-08-20"}
ENVELOPE = {"accept-version": "2025-08-01"}


class Caller:
    """Requests with a key; `headers` choose the profile."""

    def __init__(self, mill: InProcess, token: str, headers: Mapping[str, str] | None = None) -> None:
        self.mill = mill
        self.token = token
        self.headers = headers or {}

    def speaking(self, headers: Mapping[str, str]) -> Caller:
        """The same caller in another profile."""
        return Caller(self.mill, self.token, headers)

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> httpx.Response:
        """One request below /ittybit. A header of None is left out."""
        sent: dict[str, str | None] = {"authorization": f"Bearer {self.token}", **self.headers, **(headers or {})}
        url = path if path.startswith("http") else f"/ittybit{path}"
        return await self.mill.ask(method, url, body, raw, sent)

    async def good(self, method: str, path: str, body: Any = None, *, status: int | None = None, **more: Any) -> Any:
        """The body of an answer that must be good."""
        answer = await self(method, path, body, **more)
        assert answer.is_success if status is None else answer.status_code == status, answer.text
        return answer.json()

    async def error(self, status: int, kind: str, method: str, path: str, body: Any = None, **more: Any) -> str:
        """The message of an error that must be of this status and kind."""
        answer = await self(method, path, body, **more)
        assert answer.status_code == status, answer.text
        found = answer.json()
        found = found.get("error", found)
        assert found["kind"] == kind, found
        assert found["message"]
        return str(found["message"])

    async def uploaded(self, content: bytes = PNG, name: str = "a.png", folder: str = "in") -> Any:
        """A file put in place."""
        project = (await self.good("POST", "/signatures", {"filename": name, "folder": folder, "method": "put"}))["url"]
        answer = await self.mill.http.put(project, content=content)
        assert answer.status_code == 201, answer.text
        return answer.json()

    async def tasked(self, kind: str = "ingest", **given: Any) -> Any:
        """A new task of a URL."""
        return await self.good("POST", "/tasks", {"kind": kind, "url": "https://files.example/cat.png", **given})

    async def fetched(self, task: str, content: bytes = PNG, mime: str = "image/png", name: str = "cat.png") -> None:
        """Let a worker have fetched the input of a task."""
        await self.mill.fetch(task, content, mime=mime, name=name)


def ours(id: str) -> str:
    """The id of the core for one of a task, a file or a run."""
    noun, rest = id.split("_")
    return {"task": "t", "file": "f", "run": "r", "med": "m"}[noun] + rest


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mill(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[InProcess]:
    """One API for a module's tests; each of them is a project of its own."""
    async with inprocess.fresh(postgres, tmp_path_factory.mktemp("data")) as running:
        yield running


@pytest_asyncio.fixture(loop_scope="module")
async def call(mill: InProcess) -> Caller:
    return Caller(mill, await mill.token(f"p{secrets.token_hex(6)}"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    inprocess.in_their_modules_loop(items, HERE)
