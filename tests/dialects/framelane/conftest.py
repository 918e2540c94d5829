"""A caller of the dialect, over the API in this process."""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
import pytest_asyncio
import structlog
from structlog.testing import LogCapture
from tests.support import inprocess
from tests.support import models as kept
from tests.support.database import Postgres
from tests.support.inprocess import InProcess

from mediamill import models
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
        url = path if path.startswith("http") else f"/framelane/v1{path}"
        return await self.mill.ask(method, url, body, raw, sent)

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
        await self.mill.fetch(ours(job), content, mime=mime, name="talk.wav")

    async def tasked(self, path: str = "super-resolution", **given: Any) -> Any:
        """A new task."""
        return await self.good("POST", f"/tasks/{path}", {"source_url": SOURCE, **given}, status=202)


def ours(id: str) -> str:
    """The id of the record behind a job."""
    return ids.read(id.partition("_")[0], id)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def mill(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[InProcess]:
    """One API for a module's tests; each of them is a workspace of its own."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(models.SETTING, str(kept.folder("selfie", "face", "iris")))
        async with inprocess.fresh(postgres, tmp_path_factory.mktemp("data")) as running:
            yield running


@pytest_asyncio.fixture(loop_scope="module")
async def call(mill: InProcess) -> Caller:
    return Caller(mill, await mill.token(f"p{secrets.token_hex(6)}"))


@pytest_asyncio.fixture(loop_scope="module")
async def stranger(mill: InProcess) -> Caller:
    return Caller(mill, await mill.token(f"p{secrets.token_hex(6)}"))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    inprocess.in_their_modules_loop(items, HERE)


@pytest_asyncio.fixture(loop_scope="module")
async def limited(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Caller]:
    """A caller of a server that allows three calls a minute."""
    settings = {"framelane_requests_per_minute": 3}
    async with inprocess.fresh(postgres, tmp_path, **settings) as running:
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
