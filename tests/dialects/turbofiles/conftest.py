"""A caller of the dialect, over the API in this process. Every answer is held against the OpenAPI document."""

from __future__ import annotations

import re
import secrets
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import jsonschema_rs
import pytest
import pytest_asyncio
from tests.support import inprocess
from tests.support.database import Postgres
from tests.support.inprocess import InProcess

from mediamill.dialects.turbofiles.openapi import describe

HERE = Path(__file__).parent
JSONAPI = "application/vnd.api+json"
PNG = b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89"


class Caller:
    """Requests in the dialect's own media type, with a token."""

    def __init__(self, mill: InProcess, token: str = inprocess.KEY) -> None:
        self.mill = mill
        self.token = token
        self._document = describe()

    async def __call__(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        raw: bytes | None = None,
        headers: Mapping[str, str | None] | None = None,
    ) -> httpx.Response:
        """One request below /turbofiles. A header of None is left out."""
        sent: dict[str, str | None] = {"authorization": f"Bearer {self.token}", "accept": JSONAPI}
        if raw is not None or body is not None:
            sent["content-type"] = JSONAPI
        sent |= headers or {}
        url = path if path.startswith("http") else f"/turbofiles{path}"
        answer = await self.mill.ask(method, url, body, raw, sent)
        self._check(method, answer)
        return answer

    async def data(self, method: str, path: str, body: Any = None) -> Any:
        """The primary data of an answer that must be good."""
        answer = await self(method, path, body)
        assert answer.is_success, answer.text
        return answer.json()["data"]

    async def error(self, status: int, method: str, path: str, body: Any = None, **more: Any) -> dict[str, Any]:
        """The one error of an answer that must be of this status."""
        answer = await self(method, path, body, **more)
        assert answer.status_code == status, answer.text
        return single(answer)

    async def awaited(self, format: str = "image/png", size: int = len(PNG)) -> Any:
        """A file whose bytes have not come."""
        return await self.data("POST", "/v1/files", file_body(format=format, size=size))

    async def uploaded(self, format: str = "image/png", content: bytes = PNG) -> str:
        """The id of a file with its bytes."""
        file = await self.awaited(format, len(content))
        put = await self.mill.http.put(file["links"]["upload"], content=content)
        assert put.status_code == 200, put.text
        return str(file["id"])

    async def converting(self, file: str | None = None, output: str = "image/webp", **attributes: Any) -> str:
        """The id of a new task."""
        file = file or await self.uploaded()
        body = task_body(file, format={"output": output}, **attributes)
        return str((await self.data("POST", "/v1/tasks", body))["id"])

    async def attributes(self, task: str) -> Any:
        """The attributes of a task."""
        return (await self.data("GET", f"/v1/tasks/{task}"))["attributes"]

    def _check(self, method: str, answer: httpx.Response) -> None:
        path = answer.request.url.path.removeprefix("/turbofiles")
        for pattern, item in self._document["paths"].items():
            if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path) and method.lower() in item:
                described = item[method.lower()]["responses"].get(str(answer.status_code))
                assert described is not None, f"{answer.status_code} of {method} {pattern} is not described"
                assert answer.headers["vary"] == "Accept"
                if "content" in described:
                    [(media_type, content)] = described["content"].items()
                    assert answer.headers["content-type"] == media_type
                    schema = {**content["schema"], "components": self._document["components"]}
                    jsonschema_rs.validator_for(schema).validate(answer.json())
                return


def single(answer: httpx.Response) -> dict[str, Any]:
    """The one error of an error document."""
    document = answer.json()
    assert answer.headers["content-type"] == JSONAPI
    assert set(document) == {"jsonapi", "errors"}
    assert document["jsonapi"] == {"version": "1.1"}
    [error] = document["errors"]
    assert error["status"] == error["code"] == str(answer.status_code)
    assert len(error.get("source", {"header": ""})) == 1
    return dict(error)


def file_body(**attributes: Any) -> Any:
    return {"data": {"type": "files", "attributes": attributes}}


def task_body(file: str, **attributes: Any) -> Any:
    related = {"input": {"data": {"type": "files", "id": file}}}
    return {"data": {"type": "tasks", "attributes": attributes, "relationships": related}}


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
