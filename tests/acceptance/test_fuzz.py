"""Requests nobody would write, made from each dialect's own description: answered as it says, and never with a 5xx."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator
from tests.support.server import Server, serving

ROOT = Path(__file__).parents[2]
DOCUMENTS = {
    "mill": "/mill/openapi.json",
    "turbofiles": "/turbofiles/v1/openapi.json",
    "ittybit": "/ittybit/openapi.json",
    "recoup": "/recoup/openapi.json",
    "framelane": "/framelane/openapi.json",
}
ENDLESS = {"mill": ["/events", "/events/follow"]}
"""Streams that end when their reader leaves."""
EXAMPLES = os.environ.get("MILL_EXAMPLES", "6")
"""How many made-up requests each operation gets beside those at every boundary of its fields, which are some fifty."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    """A server that lets its callers ask as often as they like."""
    # Made-up addresses are given up soon, so that who waits for a file behind one is answered.
    settings = {"MEDIAMILL_TURBOFILES_REQUESTS_PER_MINUTE": "1000000", "MEDIAMILL_RETRY_FIRST_S": "0.01"}
    with serving(environment=settings) as running:
        yield running


@pytest.fixture(params=DOCUMENTS)
def dialect(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture
def document(server: Server, dialect: str) -> dict[str, Any]:
    with server.client() as http:
        answer = http.get(DOCUMENTS[dialect])
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    found: dict[str, Any] = answer.json()
    return found


def test_the_description_is_sound_openapi(document: dict[str, Any]) -> None:
    assert document["openapi"].startswith("3.1")
    assert [str(error) for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_answer_with_a_body_has_its_schema_described(document: dict[str, Any]) -> None:
    vague = [
        f"{operation['operationId']} {status}"
        for operations in document["paths"].values()
        for method, operation in operations.items()
        if method != "parameters"
        for status, answer in operation["responses"].items()
        for media in answer.get("content", {}).values()
        if media.get("schema", {}) in ({}, {"type": "string", "format": "binary"})
    ]
    assert vague == []


def test_all_that_is_described_answers_as_described(server: Server, dialect: str, tmp_path: Path) -> None:
    before = len(_log_lines(server))
    fuzz(server, dialect, tmp_path, _RULES, "--phases", "coverage,fuzzing", "--max-examples", EXAMPLES)
    assert [line for line in _log_lines(server)[before:] if "request broke" in line] == []


def test_things_that_exist_are_shown_as_described(server: Server, dialect: str, tmp_path: Path) -> None:
    with server.client() as http:
        file = http.post("/mill/files", files={"file": ("a.csv", b"a,b\n1,2\n", "text/csv")}).json()
        source = [{"file": file["id"]}]
        body = {"kind": "convert", "inputs": source, "options": {"format": "json"}, "metadata": {"a": [1, None]}}
        task = http.post("/mill/tasks?wait=30", json=body).json()
        assert task["state"] == "succeeded"
    rules = f"""{_RULES}
[parameters]
"path.task_id" = "{task["id"]}"
"path.file_id" = "{file["id"]}"
"path.dialect" = "mill"
"""
    if dialect == "framelane":
        rules += _framelane_ids(server)
    fuzz(server, dialect, tmp_path, rules, "--phases", "coverage", "--include-method", "GET")


def _framelane_ids(server: Server) -> str:
    """What the paths of Framelane's own things are called with: all of them say {id}."""
    with server.client() as http:
        v1 = "/framelane/v1"
        source = {"source_url": "https://media.example.net/a.png"}
        scene = {"elements": [{"type": "text", "text": "Hill", "duration": 1}]}
        made = {
            "tasks": http.post(f"{v1}/tasks/transcribe", json=source),
            "renders": http.post(f"{v1}/renders", json=scene),
            "projects": http.post(f"{v1}/projects", json={"render_request": scene}),
            "imports": http.post(f"{v1}/imports", json={"url": source["source_url"]}),
            "webhooks": http.post(f"{v1}/webhooks", json={"url": "https://hooks.example.net/a"}),
        }
    assert all(answer.is_success for answer in made.values()), made
    return "".join(
        f"""
[[operations]]
include-path-regex = "^/v1/{noun}/\\\\{{id"
parameters = {{ "path.id" = "{answer.json()["id"]}" }}
"""
        for noun, answer in made.items()
    )


_RULES = """
[checks]
# What a schema allows may still be refused: a cursor that is none, a URL to a private network.
positive_data_acceptance.enabled = false
# tus wants 412 for a version of its protocol that is not spoken, and lets unknown headers be.
missing_required_header.expected-statuses = [400, 401, 403, 406, 412, 415, 422]
# Too many entries of the longest words are more than a body may have.
negative_data_rejection.expected-statuses = [400, 401, 403, 404, 405, 406, 409, 413, 415, 422, 428, 429, "5xx"]

[[operations]]
include-path-regex = "/uploads"
checks.negative_data_rejection.enabled = false

[[operations]]
include-path-regex = "/(events|tokens)$"
checks.response_schema_conformance.enabled = false

[[operations]]
# The scene in its body is the one that /v1/renders takes, of which every field is tried.
include-path = "/v1/preview"
phases.coverage.enabled = false
"""


def fuzz(server: Server, dialect: str, folder: Path, rules: str, *arguments: str) -> None:
    """One deterministic run of Schemathesis over a dialect. `rules` is its configuration, in TOML."""
    (folder / "schemathesis.toml").write_text(rules)
    url = server.url + DOCUMENTS[dialect]
    base = server.url + httpx.get(url).json()["servers"][0]["url"]
    argv = [sys.executable, "-m", "schemathesis.cli", "--config-file", "schemathesis.toml", "run"]
    argv += [url, "--url", base, "--header", f"Authorization: Bearer {server.key}"]
    argv += ["--no-color", "--generation-deterministic", "--continue-on-failure"]
    # Its wish for speed is a matter of how busy this machine is.
    # One worker: Python 3.11's parser of its own source, which Hypothesis asks, breaks under threads (gh-106905).
    argv += ["--workers", "1", "--request-timeout", "60", "--suppress-health-check", "all", *arguments]
    for path in ENDLESS.get(dialect, []):
        argv += ["--exclude-path", path]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "SCHEMATHESIS_HOOKS": "tests.support.schemathesis_hooks"}
    done = subprocess.run(argv, capture_output=True, text=True, timeout=400, cwd=folder, env=environment)
    assert done.returncode == 0, done.stdout[-9000:] + done.stderr[-2000:]


def _log_lines(server: Server) -> list[str]:
    return server.log.read_text(errors="replace").splitlines()
