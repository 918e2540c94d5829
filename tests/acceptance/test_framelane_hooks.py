"""Framelane's webhooks on a real server: uploads and jobs are told, each in its own words, and signed its own way."""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.support.framelane import V1, good
from tests.support.receiver import Listening, Post
from tests.support.server import Server, serving, until
from tests.support.voices import passage, silence, write


@pytest.fixture
def listening() -> Iterator[Listening]:
    with Listening() as made:
        yield made


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving(environment={"MEDIAMILL_ALLOW_NETWORKS": "127.0.0.0/8"}) as running:
        yield running


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    with server.client() as client:
        yield client


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("sound")
    return write(folder / "talk.flac", silence(0.5), passage("meeting").part(0, 8).samples).read_bytes()


def uploaded(http: httpx.Client, sound: bytes) -> str:
    upload = good(http.post(f"{V1}/uploads", json={"content_type": "audio/flac", "filename": "talk.flac"}), 201)
    assert http.put(upload["upload_url"], content=sound).status_code == 200
    url: str = upload["source_url"]
    return url


def transcribed(http: httpx.Client, source: str, **given: Any) -> Any:
    made = good(http.post(f"{V1}/tasks/transcribe", json={"source_url": source, **given}), 202)
    until(lambda: http.get(f"{V1}/tasks/{made['id']}").json()["status"] == "completed", timeout_s=90)
    return http.get(f"{V1}/tasks/{made['id']}").json()


def vouched(post: Post, secret: str) -> bool:
    """As a receiver checks it."""
    parts = dict(part.split("=", 1) for part in post.headers["framelane-signature"].split(","))
    assert abs(time.time() - int(parts["t"])) < 300
    wanted = hmac.new(secret.encode(), f"{parts['t']}.".encode() + post.body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(wanted, parts["v1"])


def told(listening: Listening, path: str, type: str) -> list[Post]:
    return [post for post in listening.at(path) if post.json["type"] == type]


def test_an_import_is_told_once_it_is_ready(http: httpx.Client, listening: Listening, sound: bytes) -> None:
    source = uploaded(http, sound)
    hook = {"url": listening.receiver.url("/ready"), "events": ["asset.ready"]}
    made = good(http.post(f"{V1}/webhooks", json=hook), 201)
    try:
        imported = good(http.post(f"{V1}/imports", json={"url": source}), 202)
        until(lambda: bool(listening.at("/ready")), timeout_s=90)

        [ready] = told(listening, "/ready", "asset.ready")
        shown = http.get(f"{V1}/imports/{imported['id']}").json()
        assert shown["status"] == "ready"
        assert ready.json["data"]["source_url"] == shown["source_url"]
        assert vouched(ready, made["secret"])
    finally:
        http.delete(f"{V1}/webhooks/{made['id']}")


def test_a_finished_task_and_a_ready_asset_are_told_and_signed(
    http: httpx.Client, listening: Listening, sound: bytes
) -> None:
    hook = good(http.post(f"{V1}/webhooks", json={"url": listening.receiver.url("/all")}), 201)
    assert hook["secret"].startswith("whsec_")
    try:
        source = uploaded(http, sound)
        until(lambda: told(listening, "/all", "asset.ready"), timeout_s=90)
        job = transcribed(http, source, metadata={"episode": "7"}, reuse=False)
        until(lambda: told(listening, "/all", "task.completed"), timeout_s=90)

        [ready] = told(listening, "/all", "asset.ready")
        [done] = told(listening, "/all", "task.completed")
        assert ready.json["data"]["source_url"] == source
        assert {name: done.json["data"][name] for name in ("id", "status", "metadata")} == {
            "id": job["id"],
            "status": "completed",
            "metadata": {"episode": "7"},
        }
        assert set(done.json) == {"id", "type", "created_at", "workspace_id", "data"}
        assert done.json["data"]["workspace_id"] == done.json["workspace_id"] == job["workspace_id"]
        assert all(vouched(post, hook["secret"]) for post in listening.at("/all"))
        assert not vouched(done, hook["secret"] + "x")
        assert {post.json["type"] for post in listening.at("/all")} <= {
            "asset.ready",
            "task.completed",
            "task.progress",
        }
    finally:
        http.delete(f"{V1}/webhooks/{hook['id']}")


def test_a_jobs_own_address_stands_in_for_the_webhooks_and_hears_of_progress(
    http: httpx.Client, listening: Listening, sound: bytes
) -> None:
    hook = good(
        http.post(f"{V1}/webhooks", json={"url": listening.receiver.url("/all"), "events": ["task.completed"]}), 201
    )
    secret = good(http.get(f"{V1}/workspace"), 200)["webhook_secret"]
    try:
        source = uploaded(http, sound)
        longer = transcribed(http, source, webhook_url=listening.receiver.url("/own"), speaker_labels=True)
        until(lambda: told(listening, "/own", "task.completed"), timeout_s=90)

        posts = listening.at("/own")
        assert {post.json["data"]["id"] for post in posts} == {longer["id"]}
        assert all(vouched(post, secret) for post in posts)
        shares = [post.json["data"]["progress_percent"] for post in told(listening, "/own", "task.progress")]
        assert len(shares) <= 10
        assert listening.at("/all") == []
    finally:
        http.delete(f"{V1}/webhooks/{hook['id']}")


def test_the_log_lists_every_attempt_and_a_rotated_secret_stops_at_once(
    http: httpx.Client, listening: Listening, sound: bytes
) -> None:
    listening.receiver.answer(500, body=b"not now")
    hook = good(
        http.post(f"{V1}/webhooks", json={"url": listening.receiver.url("/log"), "events": ["task.completed"]}), 201
    )
    log = f"{V1}/webhooks/{hook['id']}/deliveries"
    try:
        job = transcribed(http, uploaded(http, sound), word_timings=False)
        until(lambda: http.get(log).json()["data"], timeout_s=90)
        until(lambda: http.get(log).json()["data"][0]["status_code"] == 500, timeout_s=90)
        secret = good(http.post(f"{V1}/webhooks/{hook['id']}/rotate-secret"), 200)["secret"]
        listening.receiver.answer(200)
        until(lambda: len(http.get(log).json()["data"]) >= 2, timeout_s=90)
        until(lambda: http.get(log).json()["data"][0]["status"] == "succeeded", timeout_s=90)

        second, first = http.get(log).json()["data"]
        assert (first["attempt_number"], second["attempt_number"]) == (1, 2)
        assert first["delivery_id"] == second["delivery_id"]
        assert first["id"] != second["id"]
        assert (first["status"], first["response_body"]) == ("failed", "not now")
        assert first["next_retry_at"] is second["next_retry_at"] is None
        assert {one["job_id"] for one in (first, second)} == {job["id"]}
        assert {one["event_type"] for one in (first, second)} == {"task.completed"}
        early, late = listening.at("/log")
        assert early.json["id"] == late.json["id"]
        assert vouched(early, hook["secret"])
        assert vouched(late, secret)
        assert not vouched(late, hook["secret"])
        page = http.get(log, params={"limit": 1}).json()
        rest = http.get(log, params={"limit": 1, "cursor": page["next_cursor"]}).json()
        assert [page["data"], rest["data"]] == [[second], [first]]
        assert http.get(f"{V1}/webhooks/{hook['id']}").json()["last_delivery_at"]
    finally:
        http.delete(f"{V1}/webhooks/{hook['id']}")


def test_webhooks_are_made_read_changed_and_removed(http: httpx.Client, tmp_path: Path) -> None:
    made = good(
        http.post(f"{V1}/webhooks", json={"url": "https://hooks.example.net/a", "events": ["task.failed"]}), 201
    )
    path = f"{V1}/webhooks/{made['id']}"

    assert set(made) == {"id", "url", "events", "enabled", "created_at", "last_delivery_at", "secret"}
    shown = good(http.get(path), 200)
    assert "secret" not in shown
    assert (shown["events"], shown["enabled"], shown["last_delivery_at"]) == (["task.failed"], True, None)
    changed = good(http.patch(path, json={"enabled": False, "events": []}), 200)
    assert changed["enabled"] is False
    assert len(changed["events"]) == 9
    listed = good(http.get(f"{V1}/webhooks"), 200)
    assert [one["id"] for one in listed["data"]] == [made["id"]]
    for wrong in ({"url": "ftp://a.example"}, {"events": ["task.done"]}, {"events": "task.failed"}, {"enabled": 1}):
        assert http.patch(path, json=wrong).status_code == 422
    assert http.post(f"{V1}/webhooks", json={"url": "http://10.0.0.1/x"}).status_code == 422
    assert http.delete(path).status_code == 204
    assert http.get(path).status_code == http.delete(path).status_code == 404
