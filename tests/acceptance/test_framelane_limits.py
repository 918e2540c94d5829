"""Framelane's bounds on a real server: render minutes, sources of 5 GiB that never move, a closed door, stopping."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from http.client import HTTPConnection
from typing import Any

import httpx
import pytest
from tests.support.framelane import V1, completed, ended, good
from tests.support.server import Server, serving, until

MOST = 5 << 30


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(
        environment={
            "MEDIAMILL_ALLOW_NETWORKS": "127.0.0.0/8",
            "MEDIAMILL_FRAMELANE_RENDER_MINUTES": "0.05",
            "MEDIAMILL_FRAMELANE_SIGNUP": "false",
        }
    ) as running:
        yield running


@contextlib.contextmanager
def announcing(size: int) -> Iterator[str]:
    """A web server that announces a film of so many bytes, sends a thousand of them, and then nothing."""
    over = threading.Event()
    head = f"HTTP/1.1 200 OK\r\nContent-Type: video/mp4\r\nContent-Length: {size}\r\n\r\n".encode()

    def answer(caller: socket.socket) -> None:
        with caller, contextlib.suppress(OSError):
            caller.recv(65536)
            caller.sendall(head + bytes(1000))
            over.wait()

    def listen() -> None:
        with contextlib.suppress(OSError):
            while True:
                threading.Thread(target=answer, args=(door.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as door:
        threading.Thread(target=listen, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{door.getsockname()[1]}/film.mp4"
        finally:
            over.set()
            door.shutdown(socket.SHUT_RDWR)


def put_announced(url: str, size: int) -> tuple[int, str]:
    """The status and code of what is answered to the head of a PUT, and ten bytes."""
    where = httpx.URL(url)
    with contextlib.closing(HTTPConnection(where.host, where.port, timeout=20)) as line:
        line.putrequest("PUT", where.raw_path.decode())
        line.putheader("Content-Type", "video/mp4")
        line.putheader("Content-Length", str(size))
        line.endheaders(bytes(10))
        answer = line.getresponse()
        return answer.status, json.loads(answer.read())["error"]["code"]


def made(http: httpx.Client, path: str, url: str, **given: Any) -> Any:
    body = {
        "source_url": url,
        "url": url,
        "elements": [{"type": "video", "source_url": url, "out_point": 0.1}],
        **given,
    }
    return good(http.post(f"{V1}/{path}", json=body), 202)


def test_a_source_over_5_gib_fails_before_its_bytes_have_come(http: httpx.Client) -> None:
    with announcing(MOST + 1) as url:
        for path in ("tasks/super-resolution", "tasks/transcribe", "renders"):
            found = ended(http, made(http, path, url))
            assert (found["status"], found["error"]["code"]) == ("failed", "source_too_large")
        copied = made(http, "imports", url)
        until(lambda: http.get(f"{V1}/imports/{copied['id']}").json()["status"] == "failed")
        assert http.get(f"{V1}/imports/{copied['id']}").json()["error"]["code"] == "source_too_large"
        upload = good(http.post(f"{V1}/uploads", json={"content_type": "video/mp4"}), 201)

    assert put_announced(upload["upload_url"], MOST + 1) == (422, "source_too_large")


@pytest.mark.parametrize(
    ("path", "given", "status"),
    [
        ("tasks/super-resolution", {}, "ingesting"),
        ("renders", {"ingest_external": True}, "ingesting"),
        ("renders", {}, "processing"),
    ],
)
def test_5_gib_are_fetched_and_a_fetch_is_stopped_at_once(
    http: httpx.Client, path: str, given: dict[str, Any], status: str
) -> None:
    with announcing(MOST) as url:
        job = made(http, path, url, **given)
        place = f"{V1}/{job['kind']}s/{job['id']}"
        until(lambda: http.get(place).json()["progress_stage"] == "downloading")
        assert http.get(place).json()["status"] == status

        stopped = good(http.delete(place), 200)

    assert (stopped["status"], stopped["output"], stopped["error"]) == ("cancelled", None, None)
    assert good(http.delete(place), 200) == stopped
    assert http.get(f"{place}/download").status_code == 409


def test_of_many_renders_at_once_those_that_fit_are_made_and_the_rest_is_402(http: httpx.Client) -> None:
    scene = {"width": 64, "height": 36, "frame_rate": 10, "background_color": "#204060"}

    def ask(number: int) -> httpx.Response:
        return http.post(f"{V1}/renders", json={**scene, "duration": 0.9, "output_filename": f"f{number}"})

    with ThreadPoolExecutor(8) as hands:
        answers = list(hands.map(ask, range(16)))

    taken = [answer.json() for answer in answers if answer.status_code == 202]
    refused = [answer.json()["error"]["code"] for answer in answers if answer.status_code == 402]
    assert (len(taken), refused) == (3, ["quota_exceeded"] * 13)
    assert [completed(http, job)["output"]["duration"] for job in taken] == pytest.approx([0.9] * 3)
    used = good(http.get(f"{V1}/workspace/usage"), 200)
    assert (used["render_minutes"], used["render_minutes_limit"]) == (pytest.approx(0.045), 0.05)
    shown = good(http.post(f"{V1}/preview", json={**scene, "duration": 60, "at": 30}), 200)["preview"]
    assert httpx.get(shown["url"]).status_code == 200
    [preview] = [file for file in good(http.get("/mill/files"), 200)["data"] if file["id"] in shown["url"]]
    kept = datetime.fromisoformat(preview["expires_at"]) - datetime.fromisoformat(preview["created_at"])
    assert kept.total_seconds() == pytest.approx(3600, abs=60)
    assert http.post(f"{V1}/renders", json={**scene, "duration": 0.3}).status_code == 202


def test_nobody_signs_up_where_the_door_is_shut(http: httpx.Client) -> None:
    answer = http.post(f"{V1}/signup", json={"workspace_name": "Hill", "email": "ana@label.example"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "forbidden")
    [step] = good(http.get(f"{V1}/capabilities"), 200)["onboarding"]["steps"]
    assert step["path"] is None
