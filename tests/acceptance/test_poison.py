"""One broken file among many: it fails by itself, with the reason, and nobody else notices."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
from tests.support.documents import picture
from tests.support.server import Server

MANY = 200
BROKEN = 117


def test_one_corrupt_file_among_200_fails_and_the_others_succeed(server: Server) -> None:
    with server.client() as http:

        def send(n: int) -> dict[str, Any]:
            content = picture(f"#{n:02x}4080", size=(64, 48))
            if n == BROKEN:
                content = content[: len(content) // 2]
            return made(http, f"{n}.png", content)

        with ThreadPoolExecutor(8) as pool:
            tasks = list(pool.map(send, range(MANY)))
            ended = list(pool.map(lambda task: waited(http, task), tasks))

    assert [n for n, task in enumerate(ended) if task["state"] != "succeeded"] == [BROKEN]
    broken = ended[BROKEN]
    assert (broken["state"], broken["error"]["class"]) == ("failed", "input")
    assert len(broken["error"]["message"]) > 10
    assert [len(task["outputs"]) for task in ended].count(1) == MANY - 1


def made(http: httpx.Client, name: str, content: bytes) -> dict[str, Any]:
    file = http.post("/mill/files", json={"filename": name, "size_bytes": len(content)}).json()
    http.put(file["links"]["upload"], content=content).raise_for_status()
    body = {"kind": "image", "inputs": [{"file": file["id"]}], "options": {"format": "webp", "width": 32}}
    task: dict[str, Any] = http.post("/mill/tasks", json=body).raise_for_status().json()
    return task


def waited(http: httpx.Client, task: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"/mill/tasks/{task['id']}", params={"wait": 60}).raise_for_status().json()
    return found
