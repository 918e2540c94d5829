"""Summaries by a language model, on a real server: the operator's settings reach it, the child's secret does not."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from tests.support.server import Server, serving
from tests.support.texts import TOPICS

from mediamill.client import Client

SUMMARY = {"title": "Bread at home", "description": "How to bake a loaf.", "tags": ["bread"]}


@dataclass
class Model:
    """A chat endpoint. `says` is its next answers; it remembers what it was asked."""

    url: str = ""
    says: str = ""
    asked: list[tuple[str, str | None, dict[str, Any]]] = field(default_factory=list)


@pytest.fixture(scope="module")
def model() -> Iterator[Model]:
    told = Model()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            told.asked.append((self.path, self.headers["authorization"], body))
            content = json.dumps({"choices": [{"message": {"role": "assistant", "content": told.says}}]}).encode()
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *args: Any) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.url = f"http://127.0.0.1:{server.server_port}/v1"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield told
        server.shutdown()


@pytest.fixture(scope="module")
def running(model: Model) -> Iterator[Server]:
    names = {"LLM_BASE_URL": model.url, "LLM_API_KEY": "sk-test", "MEDIAMILL_LLM_MODEL": "tiny"}
    with serving(environment=names) as server:
        yield server


def summed_up(server: Server, folder: Path, name: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """The document and the details of a summary of a text."""
    source = folder / "talk.txt"
    source.write_text(" ".join(TOPICS[name]))
    with Client(server.url, server.key) as mill:
        stored = mill.upload(source)
        task = mill.wait(mill.create("summary", [stored["id"]])["id"], timeout_s=60)
        assert task["state"] == "succeeded", task
        [output] = task["outputs"]
        path = mill.download(output["file"], folder / "summary.json")
        return json.loads(path.read_bytes()), dict(task["details"])


def test_a_model_that_is_set_up_is_asked_with_its_key(running: Server, model: Model, tmp_path: Path) -> None:
    model.says = json.dumps(SUMMARY)

    document, details = summed_up(running, tmp_path, "bread")

    assert document == {"kind": "summary", **SUMMARY, "languages": ["en"]}
    assert (details["engine"], details["model"], details["title"]) == ("llm", "tiny", "Bread at home")
    path, key, asked = model.asked[-1]
    assert (path, key, asked["model"]) == ("/v1/chat/completions", "Bearer sk-test", "tiny")


def test_an_answer_that_is_none_falls_back_and_is_asked_for_again_the_next_time(
    running: Server, model: Model, tmp_path: Path
) -> None:
    model.says = "As a language model I would rather not."
    document, details = summed_up(running, tmp_path, "chess")

    assert details["engine"] == "extractive"
    assert details["instead_of"][0]["engine"] == "llm"
    assert any(sentence in document["description"] for sentence in TOPICS["chess"])

    model.says = json.dumps(SUMMARY)
    document, details = summed_up(running, tmp_path, "chess")

    assert (details["engine"], document["title"]) == ("llm", "Bread at home")
