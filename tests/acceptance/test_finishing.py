"""What a client of the Ittybit API sees while a result is being stored: the status `finishing`."""

from __future__ import annotations

import io
import wave
from collections.abc import Iterator

import httpx
import pytest
from tests.support import bucket
from tests.support.bucket import Bucket
from tests.support.server import Server, serving, until

SECONDS, RATE_HZ = 90, 48_000


@pytest.fixture(scope="module")
def s3() -> Iterator[Bucket]:
    with bucket.running() as running:
        yield running


@pytest.fixture(scope="module")
def server(s3: Bucket) -> Iterator[Server]:
    with serving(environment={"MEDIAMILL_BLOBS_URL": s3.url, **s3.environment}) as running:
        yield running


def sound() -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(b"\1\0\2\0" * (SECONDS * RATE_HZ // 2))
    return made.getvalue()


def test_a_task_is_finishing_while_its_large_result_is_stored(server: Server, s3: Bucket) -> None:
    with server.client() as call:
        signed = call.post("/signatures", json={"filename": "in.wav", "method": "put"}).json()
        file = httpx.put(signed["url"], content=sound()).raise_for_status().json()
        with s3.shut():
            asked = {"kind": "audio", "file_id": file["id"], "options": {"format": "wav"}}
            at = f"/tasks/{call.post('/tasks', json=asked).raise_for_status().json()['id']}"
            until(lambda: call.get(at).json()["status"] == "finishing", what="finishing")
            task = call.get(at).json()
            listed = call.get("/tasks", params={"status": "finishing"}).json()
            run = call.get(f"/runs/{task['run_id']}").json()
        until(lambda: call.get(at).json()["status"] == "succeeded", what="the end")
        ended = call.get(at).json()

    assert (task["progress"], task["output"], task["finished_at"]) == (99, None, None)
    assert [one["id"] for one in listed] == [task["id"]]
    assert [(one["status"], one["progress"]) for one in run["tasks"]] == [("finishing", 99)]
    assert ended["progress"] == 100
    assert ended["output"]["filesize"] > 2 * SECONDS * RATE_HZ
