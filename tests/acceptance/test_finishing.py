"""What a client of the Ittybit API sees while a result is being stored: the status `finishing`."""

from __future__ import annotations

import contextlib
import http.client
import io
import threading
import wave
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from tests.support import bucket
from tests.support.bucket import Bucket
from tests.support.server import Server, serving, until

SECONDS, RATE_HZ = 90, 48_000


@dataclass(frozen=True, slots=True)
class Gate:
    """A bucket behind a gate that holds back what is to be written while it is shut."""

    behind: Bucket
    url: str
    opened: threading.Event = field(default_factory=threading.Event)

    @contextlib.contextmanager
    def shut(self) -> Iterator[None]:
        self.opened.clear()
        try:
            yield
        finally:
            self.opened.set()


@contextlib.contextmanager
def gated(behind: Bucket) -> Iterator[Gate]:
    """A gate before that address, open."""
    opened = threading.Event()
    opened.set()
    host = behind.endpoint.removeprefix("http://")

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            if self.command in ("PUT", "POST"):
                opened.wait(60)
            with contextlib.closing(http.client.HTTPConnection(host, timeout=30)) as line:
                line.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
                for name, value in self.headers.items():
                    line.putheader(name, value)
                line.endheaders(body)
                answer = line.getresponse()
                content = answer.read()
            self.send_response_only(answer.status)
            for name, value in answer.headers.items():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            length = answer.headers.get("Content-Length") if self.command == "HEAD" else str(len(content))
            self.send_header("Content-Length", length or "0")
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _pass

        def log_message(self, format: str, *args: Any) -> None:
            return

    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    try:
        yield Gate(behind, f"http://127.0.0.1:{running.server_port}", opened)
    finally:
        opened.set()
        running.shutdown()
        running.server_close()
        thread.join()


@pytest.fixture(scope="module")
def gate() -> Iterator[Gate]:
    with bucket.running() as s3, gated(s3) as made:
        yield made


@pytest.fixture(scope="module")
def server(gate: Gate) -> Iterator[Server]:
    environment = {**gate.behind.environment, "MEDIAMILL_BLOBS_URL": gate.behind.url, "AWS_ENDPOINT_URL": gate.url}
    with serving(environment=environment) as running:
        yield running


def sound() -> bytes:
    made = io.BytesIO()
    with wave.open(made, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(b"\1\0\2\0" * (SECONDS * RATE_HZ // 2))
    return made.getvalue()


def test_a_task_is_finishing_while_its_large_result_is_stored(server: Server, gate: Gate) -> None:
    with server.client() as call:
        signed = call.post("/signatures", json={"filename": "in.wav", "method": "put"}).json()
        file = httpx.put(signed["url"], content=sound()).raise_for_status().json()
        with gate.shut():
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
