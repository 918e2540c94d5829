"""Whatever is killed, accepted work ends once: workers, children, the server itself."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import imageio_ffmpeg
import pytest
from tests.support.calls import noise
from tests.support.children import alive, in_company
from tests.support.programs import descendants, held, let_go
from tests.support.server import KEY, Server, serving, until

HEARTBEAT_S = 2.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server without a worker, so that each test brings the worker it kills."""
    environment = {"MEDIAMILL_HEARTBEAT_S": str(HEARTBEAT_S), "MEDIAMILL_RETRY_FIRST_S": "0.1"}
    with serving(environment=environment, worker=False) as running:
        yield running


class Worker:
    """`mediamill worker` on the server's data."""

    def __init__(self, server: Server, **settings: str) -> None:
        kept = {name: value for name, value in os.environ.items() if not name.startswith("MEDIAMILL_")}
        kept |= {"MEDIAMILL_DATA": str(server.data), "MEDIAMILL_HEARTBEAT_S": str(HEARTBEAT_S), "MEDIAMILL_SLOTS": "1"}
        kept |= {"MEDIAMILL_RETRY_FIRST_S": "0.1", **settings}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "mediamill.cli", "worker"], env=kept, stderr=subprocess.DEVNULL
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.terminate()
        self.process.wait(timeout=120)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def below(self) -> list[int]:
        """Every process under the worker."""
        return descendants(self.process.pid)

    def held(self) -> int:
        """The encoder under it, stopped where it is."""
        return held(self.process.pid)


@pytest.fixture(scope="module")
def long_input(server: Server) -> str:
    """A sound that takes some seconds to encode."""
    with server.client() as http:
        made = http.post("/mill/files", files={"file": ("long.wav", noise(100))})
        assert made.status_code == 201, made.text
        return str(made.json()["id"])


def post(http: httpx.Client, input: str, **more: Any) -> str:
    body = {"kind": "convert", "inputs": [{"file": input}], "options": {"format": "mp3", "bitrate": 320}, **more}
    body["reuse"] = False  # the work is what is looked at
    made = http.post("/mill/tasks", json=body)
    assert made.status_code == 201, made.text
    return str(made.json()["id"])


def task(http: httpx.Client, id: str) -> dict[str, Any]:
    found: dict[str, Any] = http.get(f"/mill/tasks/{id}").json()
    return found


def end(http: httpx.Client, id: str) -> dict[str, Any]:
    """The task once it has ended."""
    until(lambda: task(http, id)["finished_at"] is not None, timeout_s=120, what=f"the end of {id}")
    return task(http, id)


def test_killed_worker_is_replaced_and_takes_its_tools_with_it(server: Server, long_input: str) -> None:
    with server.client() as http:
        id = post(http, long_input)
        first = Worker(server)
        first.held()
        below = first.below()
        first.kill()
        until(
            lambda: not any(alive(pid) for pid in below),
            timeout_s=in_company(3),
            what="the end of all below",
        )

        with Worker(server):
            ended = end(http, id)

    assert ended["state"] == "succeeded"
    assert [attempt["state"] for attempt in ended["attempts"]] == ["lost", "succeeded"]
    lost, won = ended["attempts"]
    assert lost["error"]["code"] == "worker_lost"
    assert lost["worker"] != won["worker"]


def test_killed_child_is_one_failed_attempt(server: Server, long_input: str) -> None:
    with server.client() as http, Worker(server) as worker:
        id = post(http, long_input)
        tool = worker.held()
        os.kill(int(Path(f"/proc/{tool}/stat").read_text().rsplit(")", 1)[1].split()[1]), signal.SIGKILL)
        ended = end(http, id)

    assert ended["state"] == "succeeded"
    assert [attempt["state"] for attempt in ended["attempts"]] == ["failed", "succeeded"]
    assert ended["attempts"][0]["error"]["code"] == "worker_lost"


def test_cancel_of_running_work_leaves_no_process_after_a_second(server: Server, long_input: str) -> None:
    with server.client() as http, Worker(server) as worker:
        id = post(http, long_input)
        tool = worker.held()

        began = time.monotonic()
        answer = http.post(f"/mill/tasks/{id}/cancel").json()
        until(
            lambda: not alive(tool),
            timeout_s=in_company(1),
            what="the encoder's end",
        )

        assert time.monotonic() - began < in_company(2)
        assert answer["state"] == "cancelled"
        assert http.post(f"/mill/tasks/{id}/cancel").status_code == 200
        after = end(http, post(http, long_input))
        assert after["state"] == "succeeded"  # the slot goes on


def test_cancel_of_queued_work_is_at_once(server: Server, long_input: str) -> None:
    with server.client() as http:
        id = post(http, long_input)

        assert http.post(f"/mill/tasks/{id}/cancel").json()["state"] == "cancelled"


def test_leaving_worker_puts_its_work_back_without_counting_the_attempt(server: Server, long_input: str) -> None:
    with server.client() as http:
        id = post(http, long_input, max_attempts=1)
        with Worker(server, MEDIAMILL_DRAIN_S="0") as first:
            first.held()
        assert task(http, id)["state"] == "queued"

        with Worker(server):
            assert end(http, id)["state"] == "succeeded"


def test_leaving_worker_lets_short_work_end(server: Server, long_input: str) -> None:
    with server.client() as http:
        id = post(http, long_input, max_attempts=1)
        with Worker(server, MEDIAMILL_DRAIN_S="60") as first:
            tool = first.held()
            first.process.terminate()
            let_go(tool)
        ended = task(http, id)

    assert ended["state"] == "succeeded"
    assert len(ended["attempts"]) == 1


def test_killed_server_loses_nothing_and_its_worker_leaves_with_it() -> None:
    with serving() as server, server.client() as http:
        ids = [http.post("/mill/tasks", json={"kind": "ping"}).json()["id"] for _ in range(20)]
        below = descendants(server.process.pid)
        server.process.kill()
        server.process.wait()
        until(lambda: not any(alive(pid) for pid in below), what="the worker's end")

        with Worker(server):
            again = {"MEDIAMILL_DATA": str(server.data), "MEDIAMILL_ADMIN_KEY": KEY}
            with serving(environment=again, worker=False) as second, second.client() as fresh:
                states = [end(fresh, id)["state"] for id in ids]

    assert states == ["succeeded"] * 20


def test_scratch_is_empty_when_all_is_done(server: Server) -> None:
    scratch = server.data / "scratch"

    assert not scratch.exists() or [path for path in scratch.rglob("*") if path.is_file()] == []


def test_an_operators_own_ffmpeg_starts_inside_the_sandbox(server: Server, tmp_path: Path) -> None:
    own = tmp_path / "ffmpeg"
    shutil.copyfile(imageio_ffmpeg.get_ffmpeg_exe(), own)
    own.chmod(0o755)

    with server.client() as http, Worker(server, MEDIAMILL_FFMPEG=str(own)) as worker:
        made = http.post("/mill/files", files={"file": ("short.wav", noise(60))})
        id = post(http, made.json()["id"])
        tool = worker.held()
        assert Path(f"/proc/{tool}/exe").resolve() == own
        let_go(tool)

        assert end(http, id)["state"] == "succeeded"
