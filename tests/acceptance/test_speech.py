"""Speech through a running server: the plain install's engine, weights of the operator's, and a service, each from
inside the sandbox."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from tests.support import models as kept
from tests.support import voices, whisper
from tests.support.server import Server, serving, until

FLAC = voices.FOLDER / "meeting.flac"


def done(server: Server, kind: str, source: Path, options: dict[str, Any] | None = None) -> tuple[dict[str, Any], str]:
    """The task's details and the text of its result."""
    with server.client() as http:
        file = http.post("/mill/files", files={"file": (source.name, source.read_bytes())}).json()
        body = {"kind": kind, "inputs": [{"file": file["id"]}], "options": options or {}}
        made = http.post("/mill/tasks", json=body)
        assert made.status_code in (201, 202), made.text
        at = f"/mill/tasks/{made.json()['id']}"
        until(lambda: http.get(at).json()["state"] in ("succeeded", "failed"), timeout_s=120, what="the end of it")
        task = http.get(at).json()
        assert task["state"] == "succeeded", task["error"]
        [output] = task["outputs"]
        return task["details"], http.get(output["file"]["links"]["download"]).text


def test_a_plain_install_writes_transcripts_and_captions(server: Server) -> None:
    details, text = done(server, "speech", FLAC)

    wanted = voices.plain(voices.passage("meeting").text)
    assert voices.errors(wanted, voices.plain(" ".join(json.loads(text)["text"]))) <= 0.3 * len(wanted)
    assert (details["engine"], details["quality"]) == ("pocketsphinx", "draft")
    _, captions = done(server, "subtitles", FLAC, {"format": "srt"})
    assert re.match(r"1\n00:00:00,\d{3} --> 00:00:0\d,\d{3}\nwelcome", captions)


def test_the_small_model_that_was_fetched_is_heard_with_inside_the_sandbox(tmp_path: Path) -> None:
    folder = kept.folder_or_skip("whisper_base")
    spoken = [voices.passage(name) for name in voices.NAMES]
    sound = voices.write(tmp_path / "said.flac", *(part for one in spoken for part in (one.samples, voices.silence(2))))

    with serving(environment={"MEDIAMILL_MODELS": str(folder)}) as server:
        details, text = done(server, "speech", sound)
        _, german = done(server, "speech", voices.FOLDER / "german.flac")

    wanted = voices.plain(" ".join(one.text for one in spoken))
    assert details["engine"] == "whisper-base"
    assert voices.errors(wanted, voices.plain(" ".join(json.loads(text)["text"]))) <= 0.1 * len(wanted)
    assert json.loads(german)["languages"] == ["de"]


def test_weights_that_the_operator_names_are_loaded_inside_the_sandbox(tmp_path: Path) -> None:
    weights = whisper.make(tmp_path / "weights", "Good evening to you all.")

    with serving(environment={"MEDIAMILL_STT_MODEL": str(weights)}) as server:
        details, text = done(server, "speech", FLAC)

    assert details["engine"] == "whisper"
    assert json.loads(text)["text"] == ["Good evening to you all."]


def test_a_service_is_sent_the_sound_with_the_key_that_tasks_never_see() -> None:
    with (
        service() as (url, requests),
        serving(
            environment={"MEDIAMILL_STT_BASE_URL": url, "MEDIAMILL_STT_API_KEY": "secret of the service"}
        ) as server,
    ):
        details, text = done(server, "speech", FLAC)

    assert details["engine"] == "openai"
    assert json.loads(text)["text"] == ["Welcome to it."]
    [(path, headers, body)] = requests
    assert (path, headers["authorization"]) == ("/v1/audio/transcriptions", "Bearer secret of the service")
    assert b'name="model"\r\n\r\nwhisper-1\r\n' in body
    assert b'name="file"; filename="part.flac"' in body
    assert b"fLaC" in body


@contextmanager
def service() -> Iterator[tuple[str, list[tuple[str, dict[str, str], bytes]]]]:
    """A service that transcribes: its base URL, and the requests it got."""
    requests: list[tuple[str, dict[str, str], bytes]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            requests.append((self.path, {name.lower(): value for name, value in self.headers.items()}, body))
            words = [
                {"word": word, "start": at * 0.4, "end": at * 0.4 + 0.3}
                for at, word in enumerate(("Welcome", "to", "it"))
            ]
            answer = json.dumps({"text": "Welcome to it.", "language": "english", "words": words}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_message(self, format: str, *arguments: Any) -> None:
            """Nothing: what it heard is in `requests`."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{running.server_port}/v1", requests
        finally:
            running.shutdown()
            thread.join()
