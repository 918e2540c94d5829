"""The published `ittybit` clients 1.0.0 and 0.9.0, as they are, against a running server with a worker."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from PIL import Image
from tests.support.clients import client_folder
from tests.support.server import Server, serving

CALLS = Path(__file__).parents[1] / "support" / "ittybit_calls.py"
VERSIONS = ("1.0.0", "0.9.0")
PREFIXES = ("", "/ittybit")


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that may fetch from itself."""
    with serving(environment={"MEDIAMILL_ALLOW_NETWORKS": "127.0.0.1/32"}) as running:
        yield running


@pytest.fixture(scope="module")
def source(server: Server) -> str:
    """The URL of a picture."""
    picture = io.BytesIO()
    Image.radial_gradient("L").resize((120, 80)).convert("RGB").save(picture, "PNG")
    with server.client() as call:
        signed = call.post("/signatures", json={"filename": "cat.png", "method": "put"}).raise_for_status().json()
        file = call.put(signed["url"], content=picture.getvalue()).raise_for_status().json()
    return str(file["url"])


@pytest.fixture(scope="module", params=[(v, m) for v in VERSIONS for m in ("sync", "async")], ids="-".join)
def run(request: pytest.FixtureRequest, server: Server, source: str) -> tuple[str, dict[str, Any]]:
    """(the version, what each call gave)."""
    version, mode = request.param
    base = server.url + PREFIXES[mode == "async"]
    environment = {**os.environ, "PYTHONPATH": str(client_folder(f"ittybit-{version}"))}
    argv = [sys.executable, str(CALLS), base, server.key, source, mode]
    done = subprocess.run(argv, capture_output=True, text=True, env=environment, timeout=180)
    assert done.returncode == 0, done.stderr[-3000:]
    return version, json.loads(done.stdout)


def data(run: tuple[str, dict[str, Any]], call: str) -> Any:
    """What a call gave, out of the envelope where there is one, which is looked at on the way."""
    version, said = run
    found = said[call]
    if version == "1.0.0":
        return found
    assert {"meta", "data", "links"} <= set(found)
    assert found["error"] is None
    assert found["meta"]["request_id"].startswith("req_")
    if isinstance(found["data"], list):
        assert (found["meta"]["type"], found["meta"]["page"]) == ("list", 1)
        assert found["links"]["first"]
    else:
        assert found["meta"]["type"] == "object"
    return found["data"]


def test_media_are_kept(run: tuple[str, dict[str, Any]]) -> None:
    made, changed, shown = (data(run, f"media.{call}") for call in ("create", "update", "get"))

    assert (made["object"], made["title"], made["alt"], made["metadata"]) == ("media", "Cats", "Two cats", {"a": 1})
    assert (changed["title"], changed["alt"]) == ("Dogs", "Two cats")
    assert (shown["kind"], shown["width"], shown["height"]) == ("image", 120, 80)
    assert list(shown["urls"]) == ["cat"]
    assert made["id"] in [media["id"] for media in data(run, "media.list")]
    assert data(run, "media.delete")["message"]


def test_files_are_fetched_and_kept(run: tuple[str, dict[str, Any]]) -> None:
    made, changed = data(run, "files.create"), data(run, "files.update")

    assert (made["status"], made["object"], made["kind"], made["type"]) == ("ready", "source", "image", "image/png")
    assert (made["width"], made["height"], made["orientation"], made["original"]) == (120, 80, "landscape", True)
    assert (made["folder"], made["filename"], made["metadata"]) == ("pets", "cat.png", {"b": 2})
    assert (changed["ref"], changed["metadata"], changed["folder"]) == ("cat", {"b": 3}, "pets")
    assert made["id"] in [file["id"] for file in data(run, "files.list")]
    assert data(run, "files.get")["id"] == made["id"]
    assert data(run, "files.delete")["message"]


def test_tasks_are_done(run: tuple[str, dict[str, Any]], server: Server) -> None:
    made, done = data(run, "tasks.create"), data(run, "tasks.get")

    assert (made["object"], made["kind"], made["status"], made["error"]) == ("task", "image", "pending", None)
    assert made["options"] == {"width": 32, "format": "png"}
    assert made["input"]["id"] == data(run, "files.create")["id"]
    assert (done["status"], done["progress"]) == ("completed", 100), done
    output = done["output"]
    assert (output["type"], output["width"], output["ref"]) == ("image/png", 32, "thumbnail")
    assert output["media_id"] == done["input"]["media_id"]
    assert done["id"] in [task["id"] for task in data(run, "tasks.list")]
    if run[0] == "0.9.0":
        assert "image" in json.dumps(run[1]["tasks.get_task_config"])


def test_instants_are_understood(run: tuple[str, dict[str, Any]]) -> None:
    version, said = run
    if version == "1.0.0":
        for call in ("tasks.get", "files.get", "media.get", "automations.create"):
            assert said[call]["parsed"]["created"] == said[call]["parsed"]["updated"] == "datetime"
    for call in ("tasks.get", "files.get", "media.get", "automations.create"):
        assert data(run, call)["created"].endswith("Z")


def test_a_signed_url_is_read_without_a_key(server: Server, source: str) -> None:
    with server.client() as call:
        signed = call.post("/signatures", json={"filename": "cat.png"}).raise_for_status().json()

    answer = httpx.get(signed["url"])

    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
    assert answer.content == httpx.get(source).content


def test_signatures_are_made(run: tuple[str, dict[str, Any]]) -> None:
    signed = data(run, "signatures.create")

    assert (signed["filename"], signed["folder"], signed["method"]) == ("cat.png", "pets", "get")
    assert {"domain", "expiry", "signature", "url"} <= set(signed)


def test_automations_are_kept(run: tuple[str, dict[str, Any]]) -> None:
    made, shown = data(run, "automations.create"), data(run, "automations.get")

    assert (made["object"], made["name"], made["status"]) == ("automation", "A", "paused")
    assert made["trigger"] == {"kind": "event", "event": "media.created"} or made["trigger"]["event"] == "media.created"
    assert [item["kind"] for item in shown["workflow"]] == ["description", "image", "video"]
    assert shown["workflow"][2]["next"][0]["ref"] == "subtitles"
    assert data(run, "automations.update")["name"] == "C"
    assert made["id"] in [automation["id"] for automation in data(run, "automations.list")]
    assert data(run, "automations.delete")["message"]


def test_refusals_are_raised_with_their_reason(run: tuple[str, dict[str, Any]]) -> None:
    version, said = run
    found = {name: said[f"{name} refused"] for name in ("media.get", "tasks.create", "files.create")}

    assert {name: answer["status"] for name, answer in found.items()} == {
        "media.get": 404,
        "tasks.create": 400,
        "files.create": 400,
    }
    for answer in found.values():
        error = answer["body"] if version == "1.0.0" else answer["body"]["error"]
        assert error["message"]
