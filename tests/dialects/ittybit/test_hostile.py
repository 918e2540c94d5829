"""Requests nobody means well with: answered with a 4xx or taken, never with a 5xx."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dialects.ittybit.conftest import ENVELOPE, FLAT, Caller

URL = "https://a.example/b.png"
STRANGE: list[Any] = [
    "\0", "\ud800", "x\ud83d", "‮evil", "a" * 100_000, "../../etc/passwd", "%00", "'; DROP TABLE files; --", "", " ",
    -1, 0, 1 << 80, 1e308, True, None, [], {}, [[[]]], {"a": {"b": []}}, ["\0"], {"\0": "\0"},
]  # fmt: skip
FIELDS: tuple[tuple[str, dict[str, Any], tuple[str, ...]], ...] = (
    ("/tasks", {"kind": "ingest", "url": URL},
     ("kind", "url", "file_id", "input", "options", "metadata", "connection_id", "destination", "filename", "folder",
      "ref", "webhook_url", "workflow")),
    ("/tasks", {"kind": "conditions", "url": URL, "options": {"conditions": [{"prop": "a", "value": 1}]}},
     ("options", "conditions")),
    ("/runs", {"tasks": [{"kind": "ingest", "url": URL}]}, ("tasks", "metadata", "url", "connection_id")),
    ("/automations", {"workflow": [{"kind": "ingest"}]}, ("workflow", "name", "description", "status", "trigger")),
    ("/webhooks/endpoints", {"url": "https://a.example/", "topics": ["task.failed"]}, ("url", "topics")),
    ("/connections",
     {"name": "a", "endpoint": "https://a.example", "region": "r", "access_key_id": "a", "secret_access_key": "b"},
     ("name", "endpoint", "region", "access_key_id", "secret_access_key", "is_default", "kind")),
    ("/media", {}, ("title", "alt", "metadata")),
    ("/signatures", {"filename": "a"}, ("filename", "folder", "expiry", "method", "metadata", "resumable")),
    ("/jobs", {"kind": "image", "input": URL}, ("kind", "input", "options", "output", "metadata", "connection_id")),
)  # fmt: skip


@pytest.mark.parametrize(("path", "good", "names"), FIELDS, ids=lambda value: value if isinstance(value, str) else "")
@pytest.mark.parametrize("profile", [{}, FLAT, ENVELOPE], ids=["current", "flat", "envelope"])
async def test_a_strange_field_breaks_nothing(
    call: Caller, path: str, good: dict[str, Any], names: tuple[str, ...], profile: dict[str, str]
) -> None:
    asking = call.speaking(profile)
    for name in names:
        for value in STRANGE:
            answer = await asking("POST", path, {**good, name: value})
            assert answer.status_code < 500, (name, value, answer.text[:500])
            assert isinstance(answer.json(), dict)
    for list_ in ("/tasks", "/runs", "/automations", "/media", "/files", "/events", "/connections", "/jobs"):
        assert (await asking("GET", list_)).status_code == 200


async def test_strange_changes_break_nothing(call: Caller) -> None:
    file = await call.uploaded()
    for path, names in (
        (f"/files/{file['id']}", ("filename", "folder", "ref", "metadata")),
        (f"/media/{file['media_id']}", ("title", "alt", "metadata")),
    ):
        for name in names:
            for value in STRANGE:
                answer = await call("PATCH", path, {name: value})
                assert answer.status_code < 500, (path, name, value, answer.text[:500])
    assert (await call("GET", "/files")).status_code == 200
    assert (await call("GET", f"/media/{file['media_id']}")).status_code == 200


@pytest.mark.parametrize(
    "name", ["limit", "order", "after", "before", "status", "kind", "run_id", "created_by", "page"]
)
@pytest.mark.parametrize("profile", [{}, FLAT], ids=["current", "flat"])
async def test_a_strange_query_breaks_nothing(call: Caller, name: str, profile: dict[str, str]) -> None:
    for path in ("/tasks", "/runs", "/files", "/media", "/events", "/jobs", "/connections", "/webhooks/endpoints"):
        for value in (
            "%00",
            "%ED%A0%80",
            "task_%00aaaaaaaaaa",
            "9" * 400,
            "-1",
            "٣",
            "%F0%9F%98%80",
            "run_" + "a" * 5000,
        ):
            answer = await call.speaking(profile)("GET", f"{path}?{name}={value}")
            assert answer.status_code < 500, (path, value, answer.text[:500])


async def test_a_strange_path_breaks_nothing(call: Caller) -> None:
    for id in ("%00", "task_%00", "%2e%2e", "task_" + "a" * 5000, "%ED%A0%80", "task_é", "task_'"):
        for path in ("/tasks/", "/runs/", "/files/", "/media/", "/cdn/", "/cdn/proj_x/", "/delivery/", "/events/"):
            answer = await call("GET", path + id)
            assert answer.status_code in (400, 401, 404), (path, id, answer.text[:300])
    for path in ("//", "/tasks//", "/ittybit", "/cdn", "/delivery", "/cdn/a/b/c/d"):
        assert (await call("GET", path)).status_code < 500


async def test_strange_headers_break_nothing(call: Caller) -> None:
    for name in ("accept-version", "x-fern-sdk-version", "idempotency-key", "content-type", "authorization", "range"):
        for value in ("\xff", "é" * 20, "9" * 5000, ",", "bytes=9-1"):
            answer = await call("POST", "/media", {}, headers={name: value.encode("latin-1")})  # type: ignore[dict-item]
            assert answer.status_code < 500, (name, value, answer.text[:300])
