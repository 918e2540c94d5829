"""A caller of the dialect, over the API in this process."""

from __future__ import annotations

import inspect
import json
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import structlog
from structlog.testing import LogCapture
from tests.support import database, inprocess
from tests.support import models as kept
from tests.support.database import Postgres
from tests.support.inprocess import InProcess

from mediamill import models
from mediamill.core.files import NewFile
from mediamill.core.tasks import State
from mediamill.dialects.framelane import ids

HERE = Path(__file__).parent
SOURCE = "https://media.example.net/talk.mp4"


class Caller:
    """Requests with a key, below /framelane/v1."""

    def __init__(self, mill: InProcess, token: str) -> None:
        self.mill = mill
        self.token = token

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> httpx.Response:
        """One request. A header of None is left out."""
        sent: dict[str, str | None] = {"authorization": f"Bearer {self.token}", **(headers or {})}
        content = raw if raw is not None else None if body is None else json.dumps(body).encode()
        url = path if path.startswith("http") else f"/framelane/v1{path}"
        return await self.mill.http.request(
            method, url, content=content, headers={name: value for name, value in sent.items() if value is not None}
        )

    async def good(self, method: str, path: str, body: Any = None, *, status: int | None = None, **more: Any) -> Any:
        """The body of an answer that must be good."""
        answer = await self(method, path, body, **more)
        assert answer.is_success if status is None else answer.status_code == status, answer.text
        return answer.json() if answer.content else None

    async def error(self, status: int, code: str, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The error of an answer that must be of this status and code."""
        answer = await self(method, path, body, **more)
        assert answer.status_code == status, answer.text
        assert set(answer.json()) == {"error"}
        error = answer.json()["error"]
        assert set(error) == {"code", "message", "details"}
        assert error["code"] == code, error
        assert error["message"]
        return error

    async def fetched(self, job: str, content: bytes = b"RIFF", mime: str = "audio/wav") -> None:
        """Let a worker have fetched the input of a job."""
        taken = await self.mill.start(ours(job))
        stored = await self.mill.blobs.write(_once(content))
        file = NewFile(
            project_id=taken.task.project_id,
            filename="talk.wav",
            mime=mime,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            blob_key=stored.key,
            dialect=taken.task.dialect,
        )
        assert await self.mill.bench.finish(taken, State.QUEUED, inputs=[file])

    async def tasked(self, path: str = "super-resolution", **given: Any) -> Any:
        """A new task."""
        return await self.good("POST", f"/tasks/{path}", {"source_url": SOURCE, **given}, status=202)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def ours(id: str) -> str:
    """The id of the record behind a job."""
    return ids.read(id.partition("_")[0], id)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mill(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[InProcess]:
    """One API for a module's tests; each of them is a workspace of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(models.SETTING, str(kept.folder("selfie", "face", "iris")))
        async with database.copy(postgres) as dsn, inprocess.running(dsn, tmp_path_factory.mktemp("data")) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="module")
async def call(mill: InProcess) -> Caller:
    return Caller(mill, await mill.token(f"p{secrets.token_hex(6)}"))


@pytest_asyncio.fixture(loop_scope="module")
async def stranger(mill: InProcess) -> Caller:
    return Caller(mill, await mill.token(f"p{secrets.token_hex(6)}"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The API lives in its module's event loop, and so do the tests."""
    for item in items:
        if item.path.is_relative_to(HERE) and inspect.iscoroutinefunction(getattr(item, "function", None)):
            item.add_marker(pytest.mark.asyncio(loop_scope="module"), append=False)


@pytest_asyncio.fixture(loop_scope="module")
async def limited(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Caller]:
    """A caller of a server that allows three calls a minute."""
    settings = {"framelane_requests_per_minute": 3}
    async with database.copy(postgres) as dsn, inprocess.running(dsn, tmp_path, **settings) as running:
        yield Caller(running, await running.token("few"))


@pytest.fixture
def log() -> Iterator[LogCapture]:
    """What the server says to its operator."""
    capture = LogCapture()
    before = structlog.get_config()["processors"]
    structlog.configure(processors=[capture])
    try:
        yield capture
    finally:
        structlog.configure(processors=before)
