"""Calls to an operator's services: what is sent, and what an answer means."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from mediamill.net import Answer
from mediamill.worker.messages import Call
from mediamill.worker.services import Service, Services


class Said:
    """A client that keeps what it is asked and answers one thing."""

    def __init__(self, status: int = 200, body: bytes = b'{"ok": true}') -> None:
        self.answer = Answer(status=status, body=body, took_s=0.0)
        self.method = self.url = ""
        self.headers: dict[str, str] = {}
        self.body = b""
        self.length: int | None = None

    async def ask(self, method: str, url: str, **request: Any) -> Answer:
        body = request["body"]
        self.method, self.url, self.headers, self.length = method, url, request["headers"], request["length"]
        self.body = body if isinstance(body, bytes) else await _all(body)
        return self.answer


async def _all(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in chunks])


def call(**given: Any) -> Call:
    values = {"service": "stt", "method": "POST", "path": "/a", "json": None, "form": None, "file": None}
    return Call(**{**values, "timeout_s": 5.0, **given})


def services(client: Said) -> Services:
    here = Service(base_url="http://10.0.0.1:9/v1/", headers={"authorization": "Bearer k"})
    return Services(client, {"stt": here})


async def test_json_goes_with_the_operators_key() -> None:
    client = Said()

    answer = await services(client)(call(json={"a": "é"}), None)

    assert (answer.value, answer.error) == ({"ok": True}, "")
    assert (client.method, client.url) == ("POST", "http://10.0.0.1:9/v1/a")
    assert client.headers["authorization"] == "Bearer k"
    assert json.loads(client.body) == {"a": "é"}
    assert client.length == len(client.body)


async def test_a_file_goes_in_a_form_of_the_said_length(tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(b"sound" * 1000)
    client = Said()

    with (tmp_path / "a.wav").open("rb") as file:
        await services(client)(call(form={"model": "m"}, file=("file", "work/a.wav", "audio/wav")), file)

    assert client.length == len(client.body)
    boundary = client.headers["content-type"].partition("boundary=")[2].encode()
    parts = client.body.split(b"--" + boundary)
    assert parts[1] == b'\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n'
    assert parts[2].endswith(b"Content-Type: audio/wav\r\n\r\n" + b"sound" * 1000 + b"\r\n")
    assert parts[3] == b"--\r\n"


async def test_a_file_without_a_form_is_the_body(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"bytes")
    client = Said()

    with (tmp_path / "a").open("rb") as file:
        await services(client)(call(file=("", "work/a", "audio/flac")), file)

    assert (client.body, client.headers["content-type"]) == (b"bytes", "audio/flac")


@pytest.mark.parametrize(
    ("status", "body", "error", "word"),
    [
        (503, b"", "SourceUnreachable", "503"),
        (429, b"{}", "SourceUnreachable", "429"),
        (401, b'{"error": {"message": "bad key"}}', "ToolFailed", "bad key"),
        (200, b"<html>", "ToolFailed", "not JSON"),
        (302, b"", "ToolFailed", "302"),
    ],
)
async def test_an_answer_that_says_no_is_told_apart(status: int, body: bytes, error: str, word: str) -> None:
    answer = await services(Said(status, body))(call(json={}), None)

    assert answer.error == error
    assert word in answer.message


@pytest.mark.parametrize(
    "given", [{"service": "other"}, {"path": "//evil"[1:] + "://x"}, {"path": "a"}, {"method": "DELETE"}]
)
async def test_what_is_no_call_to_a_service_is_not_made(given: dict[str, str]) -> None:
    client = Said()

    answer = await services(client)(call(**given), None)

    assert answer.error == "ToolFailed"
    assert client.url == ""
