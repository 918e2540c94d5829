"""AssemblyAI over HTTP: a server of the tests that answers as its API reference says, spoken to by the worker for a
child in its sandbox. Source: AssemblyAI, API reference, Files and Transcripts."""

from __future__ import annotations

import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import av
import pytest
from tests.support import voices
from tests.support.server import Server, serving, until

FLAC = voices.FOLDER / "meeting.flac"
KEY = "key of the operator"
UTTERANCES = [
    {
        "speaker": speaker,
        "words": [{"text": text, "start": start, "end": start + 700, "confidence": 0.9, "speaker": speaker}],
    }
    for speaker, text, start in (("B", "Welcome.", 100), ("A", "Thanks.", 1000))
]


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A request as it came."""

    method: str
    path: str
    authorization: str | None
    content_type: str | None
    body: bytes


@dataclass(slots=True)
class Service:
    """A stand-in that keeps what it is sent. `polls`: (status, answer) of each look at a transcript, in turn; the last
    one for ever."""

    url: str = ""
    polls: list[tuple[int, dict[str, Any]]] = field(default_factory=list)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, request: Asked) -> tuple[int, dict[str, Any]]:
        self.asked.append(request)
        if request.authorization != KEY:
            return 401, {"error": "Authentication error, API token missing/invalid"}
        if (request.method, request.path) == ("POST", "/v2/upload"):
            return 200, {"upload_url": f"{self.url}/upload/1"}
        if (request.method, request.path) == ("POST", "/v2/transcript"):
            return 200, {"id": "tr-1_a", "status": "queued"}
        if (request.method, request.path) == ("GET", "/v2/transcript/tr-1_a"):
            return self.polls.pop(0) if len(self.polls) > 1 else self.polls[0]
        return 404, {"error": "Not found"}

    def lines(self) -> list[str]:
        return [f"{one.method} {one.path}" for one in self.asked]


@contextmanager
def running() -> Iterator[Service]:
    service = Service()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _answer(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length") or 0))
            name, kind = self.headers.get("authorization"), self.headers.get("content-type")
            request = Asked(method=self.command, path=self.path, authorization=name, content_type=kind, body=body)
            status, said = service.answer(request)
            content = json.dumps(said).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = _answer

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing: what it heard is in `asked`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        service.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        try:
            yield service
        finally:
            http.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def shared() -> Iterator[tuple[Service, Server]]:
    with (
        running() as service,
        serving(
            environment={
                "MEDIAMILL_STT_ENGINE": "assemblyai",
                "MEDIAMILL_ASSEMBLYAI_BASE_URL": service.url,
                "MEDIAMILL_ASSEMBLYAI_API_KEY": KEY,
                "MEDIAMILL_RETRY_FIRST_S": "0.1",
            }
        ) as server,
    ):
        yield service, server


@pytest.fixture
def service(shared: tuple[Service, Server]) -> Service:
    shared[0].asked.clear()
    shared[0].polls.clear()
    return shared[0]


@pytest.fixture
def server(shared: tuple[Service, Server]) -> Server:
    return shared[1]


def heard(server: Server, **given: Any) -> tuple[dict[str, Any], str]:
    """The task after its end, and the text of its result."""
    with server.client() as http:
        file = http.post("/mill/files", files={"file": (FLAC.name, FLAC.read_bytes())}).json()
        body = {"kind": "speech", "inputs": [{"file": file["id"]}], "reuse": False, **given}
        at = f"/mill/tasks/{http.post('/mill/tasks', json=body).raise_for_status().json()['id']}"
        until(lambda: http.get(at).json()["state"] in ("succeeded", "failed"), timeout_s=90, what="the end of it")
        task = http.get(at).json()
        texts = [http.get(output["file"]["links"]["download"]).text for output in task["outputs"]]
        return task, "".join(texts)


def test_the_sound_is_uploaded_asked_about_and_polled_with_the_operators_key(service: Service, server: Server) -> None:
    done = {"id": "tr-1_a", "status": "completed", "language_code": "en_us", "utterances": UTTERANCES}
    service.polls = [(200, {"id": "tr-1_a", "status": "processing"}), (200, done)]

    task, text = heard(server)

    assert task["state"] == "succeeded", task["error"]
    assert service.lines() == [
        "POST /v2/upload",
        "POST /v2/transcript",
        "GET /v2/transcript/tr-1_a",
        "GET /v2/transcript/tr-1_a",
    ]
    assert {one.authorization for one in service.asked} == {KEY}  # bare, as it wants it
    upload, create = service.asked[:2]
    assert upload.content_type == "application/octet-stream"
    with av.open(io.BytesIO(upload.body), "r") as sound:
        frames = list(sound.decode(audio=0))
    assert {(frame.sample_rate, frame.layout.name) for frame in frames} == {(16_000, "mono")}
    assert sum(frame.samples for frame in frames) / 16_000 == pytest.approx(
        voices.passage("meeting").duration_s, abs=1.0
    )
    assert create.content_type == "application/json"
    assert json.loads(create.body) == {
        "audio_url": f"{service.url}/upload/1",
        "speaker_labels": True,
        "language_detection": True,
    }
    found = json.loads(text)
    assert (task["details"]["engine"], found["languages"], found["speakers"]) == ("assemblyai", ["en"], 2)
    assert [(turn["text"], turn["speaker"]) for turn in found["timeline"]] == [("Welcome.", 0), ("Thanks.", 1)]
    assert KEY not in server.log.read_text()


def test_what_it_cannot_transcribe_fails_with_its_words(service: Service, server: Server) -> None:
    service.polls = [(200, {"id": "tr-1_a", "status": "error", "error": "Language could not be detected."})]

    task, _ = heard(server, options={"language": "en"}, max_attempts=1)

    assert (task["state"], task["outputs"]) == ("failed", [])
    assert "Language could not be detected." in task["error"]["message"]
    assert json.loads(service.asked[1].body)["language_code"] == "en"
    assert KEY not in json.dumps(task)


def test_a_look_that_gets_no_answer_is_repeated_and_the_sound_is_not_sent_twice(
    service: Service, server: Server
) -> None:
    done = {"id": "tr-1_a", "status": "completed", "language_code": "en", "utterances": UTTERANCES}
    service.polls = [(503, {"error": "Overloaded."}), (200, done)]

    task, text = heard(server)

    assert (task["state"], task["attempt"]) == ("succeeded", 1), task["error"]
    assert service.lines() == ["POST /v2/upload", "POST /v2/transcript", *["GET /v2/transcript/tr-1_a"] * 2]
    assert json.loads(text)["text"] == ["Welcome.", "Thanks."]


def test_a_key_that_it_refuses_fails_the_task_and_nothing_more_is_sent(service: Service) -> None:
    with serving(
        environment={
            "MEDIAMILL_STT_ENGINE": "assemblyai",
            "MEDIAMILL_ASSEMBLYAI_BASE_URL": service.url,
            "MEDIAMILL_ASSEMBLYAI_API_KEY": "another key",
        }
    ) as server:
        task, _ = heard(server, max_attempts=1)

    assert task["state"] == "failed"
    assert "answered 401: Authentication error" in task["error"]["message"]
    assert service.lines() == ["POST /v2/upload"]
