"""Every route of every dialect, asked with one project's key about another's things: as if there were no such thing."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest_asyncio
from tests.support import inprocess
from tests.support.database import Postgres
from tests.support.inprocess import InProcess

DOCUMENTS = (
    "/mill/openapi.json",
    "/turbofiles/v1/openapi.json",
    "/ittybit/openapi.json",
    "/recoup/openapi.json",
    "/framelane/openapi.json",
)
METHODS = ("get", "head", "post", "put", "patch", "delete")
STREAMS = ("/mill/events", "/mill/events/follow")
OWN = "Nightingale"
"""In every name, prompt and address of the first project's: no answer to the second may hold it."""
HOOK = f"https://hooks.example.net/{OWN}"
TUS = {"tus-resumable": "1.0.0", "content-type": "application/offset+octet-stream"}
PATCHES: dict[str, Any] = {
    "reschedule": {"delay": "2h"},
    "tags": {"tags": ["taken"]},
    "metadata": {"metadata": {"taken": 1}},
    "ops": {"ops": [{"op": "set_output", "output_format": "gif"}], "author": "x"},
    "items": {"index": 0, "task": "prompt", "payload": {"prompt": "x"}},
}
_ID = re.compile(
    r"[a-z]+_(?=[A-Za-z]*[0-9])[0-9A-Za-z]{10,}|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}|[a-z]0[0-9a-z]{19}"
)
_PASSING = re.compile(r"(expires|signature)=[0-9a-f]+")


@dataclass(frozen=True, slots=True)
class Operation:
    """One of a dialect's description that has an id in its path."""

    method: str
    path: str

    def asking(self, id: str) -> dict[str, Any]:
        """The request about `id`."""
        asked: dict[str, Any] = {"method": self.method, "url": self._url(id)}
        if "/uploads/" in self.path:
            return asked | {"headers": TUS | {"upload-offset": "0"}, "content": b"x" if self.method == "patch" else b""}
        if self.method in ("post", "put", "patch"):
            last = self.path.rsplit("/", 1)[1]
            asked["json"] = PATCHES.get(last, {"name": "taken"} if self.method == "patch" else {})
        return asked

    def _url(self, id: str) -> str:
        return re.sub(r"{\w+}", id, self.path.replace("{dialect}", "mill"))


async def owned(mill: InProcess, http: httpx.AsyncClient) -> set[str]:
    """One of everything that a project can have; the ids that are in the answers."""
    made = [
        await http.post("/mill/files", files={"file": (f"{OWN}.csv", f"a\n{OWN}\n".encode(), "text/csv")}),
        await http.post("/mill/tasks", json={"kind": "ping", "metadata": {"of": OWN}}),
        await http.post("/mill/runs", json={"tasks": [{"kind": "ping"}], "metadata": {"of": OWN}}),
        await http.post("/mill/prompts", json={"prompt": OWN, "delay": "1h"}),
        await http.post("/mill/endpoints", json={"name": OWN, "url": HOOK}),
        await http.post("/mill/automations", json={"name": OWN, "workflow": [{"kind": "ping"}]}),
        await http.post("/mill/schedules", json={"title": OWN, "prompt": OWN, "cron": "0 0 1 1 *"}),
        await http.post("/mill/uploads", headers=TUS | {"upload-length": "100"}, content=OWN.encode()),
        await http.post("/framelane/v1/projects", json={"name": OWN, "render_request": SCENE}),
        await http.post("/framelane/v1/renders", json=SCENE),
        await http.post("/framelane/v1/webhooks", json={"url": HOOK}),
        await http.post("/framelane/v1/imports", json={"url": "https://media.example.net/Nightingale.png"}),
        await http.post("/framelane/v1/tasks/transcribe", json={"source_url": "https://media.example.net/a.mp3"}),
        await http.post("/ittybit/media", json={"title": OWN}),
        await http.post("/recoup/api/v1/tasks/prompt/trigger", json={"payload": {"prompt": OWN}}),
        await http.post("/mill/connections", json=CONNECTION),
        await http.post("/ittybit/jobs", json={"kind": "image", "input": "https://media.example.net/a.png"}),
        await http.post("/ittybit/webhooks/endpoints", json={"url": HOOK, "topics": ["task.succeeded"]}),
    ]
    file, endpoint = made[0].json()["id"], made[4].json()["id"]
    convert = {"kind": "convert", "inputs": [{"file": file}], "options": {"format": "json"}}
    made += [
        await http.post(f"/mill/endpoints/{endpoint}/test"),
        await http.post("/mill/tasks", json=convert),
        await http.post("/ittybit/tasks", json={"kind": "image", "url": "https://media.example.net/a.png"}),
    ]
    assert [answer.text for answer in made if not answer.is_success] == []
    for task in (await http.get("/mill/tasks")).json()["data"]:
        if task["kind"] in ("convert", "render", "ping"):
            await mill.succeed(task["id"])
    return {id for answer in made for id in _ID.findall(answer.text + str(answer.headers))}


UNFINISHED = (
    "/ittybit/events/{id}",
    "/ittybit/files/{id}",
    "/recoup/api/v1/runs/{run}/result",
    "/framelane/v1/tasks/{id}/download",
)
"""These tell of ended work and of media, which there are none of here; such ids are asked about all the same."""
SCENE = {"elements": [{"type": "text", "id": "a", "text": OWN, "duration": 1}]}
CONNECTION = {
    "name": OWN,
    "kind": "s3",
    "endpoint": "https://s3.example.net",
    "region": "auto",
    "access_key_id": OWN,
    "secret_access_key": OWN,
}


@dataclass(frozen=True, slots=True)
class Two:
    """Two projects' callers, the first with an id of each shape, and what all dialects describe."""

    owner: httpx.AsyncClient
    stranger: httpx.AsyncClient
    ids: list[str]
    operations: list[Operation]
    lists: list[str]


@pytest_asyncio.fixture
async def two(postgres: Postgres, tmp_path: Path) -> AsyncIterator[Two]:
    settings = {"turbofiles_requests_per_minute": 1_000_000}
    async with inprocess.fresh(postgres, tmp_path, **settings) as mill:
        clients = []
        for project in ("owner", "stranger"):
            headers = {"authorization": f"Bearer {await mill.token(project)}"}
            transport = mill.http._transport
            clients.append(httpx.AsyncClient(transport=transport, base_url=inprocess.URL, headers=headers))
        owner, stranger = clients
        described = [operation async for operation in _described(owner)]
        operations = [one for one in described if "{" in one.path]
        lists = [one.path for one in described if one.method == "get" and "{" not in one.path]
        lists = [path for path in lists if path not in STREAMS]
        ids = await owned(mill, owner)
        for path in lists:
            ids |= set(_ID.findall((await owner.get(path)).text))
            ids -= set(_ID.findall((await stranger.get(path)).text))
        yield Two(owner, stranger, _some_of_each_shape(ids), operations, lists)


async def _described(http: httpx.AsyncClient) -> AsyncIterator[Operation]:
    for document in DOCUMENTS:
        found = (await http.get(document)).json()
        for path, operations in found["paths"].items():
            for method in operations:
                if method in METHODS:
                    yield Operation(method, found["servers"][0]["url"] + path)


def _shape(id: str) -> str:
    noun = id.split("_")[0] if "_" in id else "-" if "-" in id else id[0]
    return f"{noun} {len(id)} {'capitals' if id[-10:] != id[-10:].lower() else ''}"


def _some_of_each_shape(ids: set[str]) -> list[str]:
    """All tasks, which are of many kinds, and three of all else; files in the two ways that they are written.

    A batch is not among them: it is a word for runs of one's own, and no thing of anybody's.
    """
    kept: dict[str, list[str]] = {}
    for id in sorted(ids | {f"file_{id[1:]}" for id in ids if id.startswith("f0")}):
        kept.setdefault(_shape(id), []).append(id)
    all_of = ("t ", "run ")
    return [id for shape, group in kept.items() for id in (group if shape.startswith(all_of) else group[:3])]


def twin(id: str) -> str:
    """An id of the same shape that nobody has."""
    middle = "".join(
        str((int(c) + 1) % 10) if c.isdigit() else {"b": "c", "B": "C"}.get(c, "b" if c.islower() else "B")
        for c in id[-8:-4]
    )
    return id[:-8] + middle + id[-4:]


def worded(answer: httpx.Response, id: str) -> tuple[int, str]:
    """What an answer says, whichever id it was asked about."""
    core = id.split("_")[-1]  # some answers say an id in our own spelling
    text = answer.text
    for each in (id, core, core[1:]):
        text = text.replace(each, "…")
    return answer.status_code, text


async def test_another_projects_things_are_as_if_they_were_not_there(two: Two) -> None:
    before = await _seen(two)
    wrong: list[Any] = []
    for operation in two.operations:
        nobodys: dict[str, tuple[int, str]] = {}
        for id in two.ids:
            answer = await two.stranger.request(**operation.asking(id))
            if answer.status_code < 400 or answer.status_code >= 500 or OWN in answer.text:
                wrong.append((operation, id, answer.status_code, answer.text[:200]))
            if (shape := _shape(id)) not in nobodys:
                nobodys[shape] = worded(await two.stranger.request(**operation.asking(twin(id))), twin(id))
            if worded(answer, id) != nobodys[shape]:
                wrong.append((operation, id, *worded(answer, id), *nobodys[shape]))
    assert wrong == []
    assert await _seen(two) == before


async def test_what_is_asked_about_is_there_for_its_owner(two: Two) -> None:
    """Or the test above would show nothing."""
    missed = []
    for operation in two.operations:
        if operation.method == "get" and operation.path not in UNFINISHED and "/batches/" not in operation.path:
            answers = [(await _head_of(two.owner, operation.asking(id))) for id in two.ids]
            if not any(status < 400 for status in answers):
                missed.append(operation.path)
    assert missed == []


async def test_no_list_holds_anothers_things(two: Two) -> None:
    for path in two.lists:
        answer = await two.stranger.get(path)
        assert answer.status_code < 500 or path == "/mill/ready"  # for want of a worker
        assert OWN not in answer.text, path


async def test_nothing_of_anothers_is_taken_for_an_input(two: Two) -> None:
    file = next(id for id in two.ids if re.fullmatch("f0[0-9a-z]{19}", id))
    wrong: list[Any] = []
    for (path, body), (_, other) in zip(_bodies(file), _bodies(twin(file)), strict=True):
        answer, nobodys = await two.stranger.post(path, json=body), await two.stranger.post(path, json=other)
        if answer.status_code not in (400, 403, 404, 422) or worded(answer, file) != worded(nobodys, twin(file)):
            wrong.append((path, answer.status_code, answer.text, nobodys.text))
    assert wrong == []


def _bodies(file: str) -> Iterator[tuple[str, Any]]:
    task = {"kind": "convert", "inputs": [{"file": file}], "options": {"format": "json"}}
    yield "/mill/tasks", task
    yield "/mill/runs", {"tasks": [task]}
    yield "/mill/automations", {"name": "x", "workflow": [task]}
    yield "/ittybit/tasks", {"kind": "image", "file_id": f"file_{file[1:]}"}
    yield "/ittybit/jobs", {"kind": "image", "input": f"file_{file[1:]}"}


async def _seen(two: Two) -> dict[str, str]:
    """All that the owner sees, but for what passes."""
    return {path: _PASSING.sub("", (await two.owner.get(path)).text) for path in two.lists}


async def _head_of(http: httpx.AsyncClient, asked: dict[str, Any]) -> int:
    if asked["url"].endswith("/events") or asked["url"].endswith("/tokens"):
        return 200  # streams, which only end with their task
    return (await http.request(**asked)).status_code
