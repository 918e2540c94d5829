"""Automations, webhook endpoints, events, connections, keys and jobs on the wire."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from tests.dialects.ittybit.conftest import FLAT, PNG, Caller, ours
from tests.support import inprocess

from mediamill.core.ids import ProjectId
from mediamill.core.webhooks import Event
from mediamill.dialects import Links
from mediamill.dialects.ittybit import DIALECT
from mediamill.dialects.ittybit.words import KINDS
from mediamill.service.signing import Signer

URL = "https://files.example/in.mov"
TRIGGER = {"kind": "event", "event": "media.created"}
FLOW = [{"kind": "ingest", "ref": "copy", "next": [{"kind": "image", "options": {"width": 32}}]}]
S3 = {
    "name": "mine",
    "kind": "s3",
    "endpoint": "https://s3.example.com",
    "region": "eu-central-1",
    "access_key_id": "AKIA",
    "secret_access_key": "hush hush",
}


@pytest.fixture
def admin(call: Caller) -> Caller:
    """A caller with the administrator's key, of the default project."""
    return Caller(call.mill, inprocess.KEY)


# --- automations ----------------------------------------------------------------------------------------------------


async def test_an_automation_is_kept_changed_started_and_let_go(call: Caller) -> None:
    made = await call.good("POST", "/automations", {"name": "a", "workflow": FLOW}, status=201)
    id = made["id"]

    times = {"created_at", "updated_at"}
    assert set(made) == {"id", "object", "name", "description", "workflow", "status", "problem", *times}
    assert (made["object"], made["status"], made["workflow"]) == ("automation", "active", FLOW)
    changed = await call.good("PATCH", f"/automations/{id}", {"description": "b", "status": "paused"})
    assert (changed["name"], changed["description"], changed["status"]) == ("a", "b", "paused")
    said = await call.error(409, "automation_paused", "POST", f"/automations/{id}/run", {"url": URL})
    assert id.removeprefix("auto_") not in said  # in the spelling of the core, which callers of this API cannot use
    await call.good("PATCH", f"/automations/{id}", {"status": "active"})
    run = await call.good("POST", f"/automations/{id}/run", {"url": URL, "metadata": {"x": 1}}, status=201)
    assert (run["object"], run["created_by"], run["metadata"]) == ("run", id, {"x": 1})
    assert [task["kind"] for task in run["tasks"]] == ["ingest", "image"]
    await call.error(400, "url_required", "POST", f"/automations/{id}/run", {})
    assert isinstance((await call.good("DELETE", f"/automations/{id}", status=200))["message"], str)
    await call.error(404, "automation_not_found", "GET", f"/automations/{id}")


async def test_automations_are_shown_by_profile(call: Caller) -> None:
    flat = call.speaking(FLAT)
    old = await flat.good("POST", "/automations", {"workflow": [{"kind": "subtitle"}], "trigger": TRIGGER}, status=201)
    new = await call.good("GET", f"/automations/{old['id']}")

    common = {"id", "object", "name", "description", "workflow", "status", "problem", "trigger"}
    assert set(old) == {*common, "created", "updated"}
    assert (old["trigger"], old["workflow"]) == (TRIGGER, [{"kind": "subtitle"}])
    assert {"created_at", "updated_at", "trigger", "created", "updated"} < set(new)
    await flat.error(400, "request_invalid", "POST", "/automations", {"workflow": FLOW})
    assert [a["id"] for a in await flat.good("GET", "/automations?page=1&limit=1")] == [old["id"]]
    assert [a["id"] for a in await call.good("GET", "/automations?limit=1")] == [old["id"]]


@pytest.mark.parametrize(
    ("body", "word"),
    [
        ({}, "workflow"),
        ({"workflow": []}, "workflow"),
        ({"workflow": [{}]}, "workflow[0].kind"),
        ({"workflow": [{"kind": "film"}]}, KINDS[1]),
        ({"workflow": [{"kind": "ingest", "next": {}}]}, "workflow[0].next"),
        ({"workflow": [{"kind": "image", "options": {"sparkle": 1}}]}, "sparkle"),
        ({"workflow": FLOW, "status": "on"}, "active, paused"),
        ({"workflow": FLOW, "trigger": {"kind": "time"}}, "trigger"),
        ({"workflow": FLOW, "name": 3}, "name"),
    ],
)
async def test_an_automation_that_cannot_be_is_refused_by_name(call: Caller, body: Any, word: str) -> None:
    assert word in await call.error(400, "request_invalid", "POST", "/automations", body)


# --- webhooks and events --------------------------------------------------------------------------------------------


async def test_an_endpoint_shows_its_secret_once(call: Caller) -> None:
    body = {"url": "https://hooks.example/in", "topics": ["task.succeeded", "task.updated"]}
    key = {"idempotency-key": "0123456789abcdef"}

    answer = await call("POST", "/webhooks/endpoints", body, headers=key)
    made = answer.json()
    again = await call.good("POST", "/webhooks/endpoints", body, headers=key, status=200)

    assert answer.status_code == 201
    assert made.pop("secret").startswith("whsec_")
    assert again == made
    assert set(made) == {"id", "object", "url", "topics", "status", "created_at", "updated_at"}
    assert (made["object"], made["status"], made["topics"]) == ("webhook_endpoint", "active", body["topics"])
    assert await call.good("GET", f"/webhooks/endpoints/{made['id']}") == made
    assert await call.good("GET", "/webhooks/endpoints") == [made]
    changed = await call.good(
        "PATCH", f"/webhooks/endpoints/{made['id']}", {"topics": ["run.failed"], "status": "paused"}
    )
    assert (changed["topics"], changed["status"], changed["url"]) == (["run.failed"], "paused", body["url"])
    await call.good("DELETE", f"/webhooks/endpoints/{made['id']}", status=200)
    await call.error(404, "webhook_endpoint_not_found", "GET", f"/webhooks/endpoints/{made['id']}")


@pytest.mark.parametrize(
    ("body", "kind", "word"),
    [
        ({}, "url_required", "url"),
        ({"url": "https://hooks.example/"}, "request_invalid", "topics"),
        ({"url": "https://hooks.example/", "topics": []}, "request_invalid", "task.created"),
        ({"url": "https://hooks.example/", "topics": ["task.done"]}, "request_invalid", "task.succeeded"),
        ({"url": "https://hooks.example/", "topics": [["x"]]}, "request_invalid", "topics"),
        ({"url": "http://hooks.example/", "topics": ["task.created"]}, "request_invalid", "https"),
        ({"url": "http://127.0.0.1/", "topics": ["task.created"]}, "request_invalid", "url"),
        ({"url": "ftp://hooks.example/", "topics": ["task.created"]}, "request_invalid", "url"),
        ({"url": "https://[::1", "topics": ["task.created"]}, "request_invalid", "url"),
    ],
)
async def test_an_endpoint_that_cannot_be_is_refused_by_name(call: Caller, body: Any, kind: str, word: str) -> None:
    assert word in await call.error(400, kind, "POST", "/webhooks/endpoints", body)


async def test_what_happened_is_told_in_order_with_the_whole_task(call: Caller) -> None:
    task = await call.tasked()
    await call.mill.fail(ours(task["id"]), code="bad_media", message="It is no picture.")

    events = await call.good("GET", "/events?order=asc")
    kinds = [event["kind"] for event in events]
    failed = next(event for event in events if event["kind"] == "task.failed")

    assert kinds.index("task.created") < kinds.index("task.failed")
    assert {"run.created", "run.failed"} <= set(kinds)
    assert set(failed) == {"id", "object", "kind", "data", "created_at"}
    assert (failed["object"], failed["data"]["id"], failed["data"]["status"]) == ("event", task["id"], "failed")
    assert failed["data"]["error"] == {"kind": "input_unsupported", "message": "It is no picture."}
    assert failed["id"].startswith("evt_")
    assert await call.good("GET", f"/events/{failed['id']}") == failed
    assert [e["id"] for e in await call.good("GET", "/events?kind=task.failed")] == [failed["id"]]
    seen: list[str] = []
    url = "/events?limit=1&order=asc"
    while url:
        answer = await call("GET", url)
        seen += [event["id"] for event in answer.json()]
        url = answer.headers["link"].split(">")[0].strip("<") if answer.headers["has-more"] == "true" else ""
    assert seen == [event["id"] for event in events]
    before = await call.good("GET", f"/events?order=asc&limit=1&before={seen[-1]}")
    assert [event["id"] for event in before] == [seen[-2]]
    await call.error(404, "event_not_found", "GET", "/events/evt_nosuchevent")
    await call.error(400, "request_invalid", "GET", "/events?after=evt_nosuchevent")
    assert "task.created" in await call.error(400, "request_invalid", "GET", "/events?kind=task.ended")


# --- connections, keys, jobs ----------------------------------------------------------------------------------------


async def test_a_connection_never_shows_its_secret(call: Caller) -> None:
    answer = await call("POST", "/connections", {**S3, "is_default": True})
    made = answer.json()
    other = await call.good("POST", "/connections", {**S3, "name": "other", "is_default": True}, status=201)

    assert answer.status_code == 201
    assert (made["object"], made["secret_access_key"], made["is_default"]) == ("storage_connection", "****", True)
    assert "hush" not in answer.text
    assert (await call.good("GET", f"/connections/{made['id']}"))["is_default"] is False
    changed = await call.good("PATCH", f"/connections/{made['id']}", {"name": "x", "secret_access_key": "****"})
    assert (changed["name"], changed["region"]) == ("x", "eu-central-1")
    assert [c["id"] for c in await call.good("GET", "/connections?limit=1")] == [other["id"]]
    await call.good("DELETE", f"/connections/{made['id']}", status=200)
    await call.error(404, "connection_not_found", "GET", f"/connections/{made['id']}")


@pytest.mark.parametrize("name", ["kind", "name", "endpoint", "region", "access_key_id", "secret_access_key"])
async def test_a_connection_needs_all_of_it(call: Caller, name: str) -> None:
    body = {key: value for key, value in S3.items() if key != name}

    assert name in await call.error(400, "request_invalid", "POST", "/connections", body)
    assert name in await call.error(400, "request_invalid", "POST", "/connections", {**S3, name: 3})


async def test_an_endpoint_that_is_to_be_paused_begins_so(call: Caller) -> None:
    body = {"url": "https://hooks.example/in", "topics": ["task.failed"], "status": "paused"}

    made = await call.good("POST", "/webhooks/endpoints", body, status=201)

    assert made["secret"].startswith("whsec_")
    assert made["status"] == "paused"
    assert (await call.good("GET", f"/webhooks/endpoints/{made['id']}"))["status"] == "paused"
    wrong = {**body, "status": "off"}
    assert "status" in await call.error(400, "request_invalid", "POST", "/webhooks/endpoints", wrong)


@pytest.mark.parametrize("given", ["", "nonsense", "med_nosuchone12", "file_nosuchone12"])
async def test_an_id_that_is_not_found_is_named_by_its_parameter(call: Caller, given: str) -> None:
    said = await call.error(404, "file_not_found", "POST", "/tasks", {"kind": "image", "file_id": given})
    assert said.startswith("file_id: "), said
    if given:
        said = await call.error(404, "media_not_found", "POST", "/files", {"url": URL, "media_id": given})
        assert said.startswith("media_id: "), said


async def test_a_bucket_needs_a_connection(call: Caller) -> None:
    body = {"kind": "ingest", "url": "s3://bucket/key.mov"}

    said = await call.error(400, "connection_required", "POST", "/tasks", body)
    assert said.startswith("connection_id is required: url is in a bucket: name a connection"), said
    await call.error(404, "connection_not_found", "POST", "/tasks", {**body, "connection_id": "con_nosuchone12"})
    upload = {"kind": "upload", "url": URL, "options": {"destination": "s3://bucket/out/"}}
    await call.error(400, "connection_required", "POST", "/tasks", upload)
    assert "destination" in await call.error(400, "request_invalid", "POST", "/tasks", {"kind": "upload", "url": URL})
    connection = await call.good("POST", "/connections", S3)
    task = await call.good("POST", "/tasks", {**body, "connection_id": connection["id"]}, status=201)
    assert (task["input"]["kind"], task["input"]["filename"]) == ("s3", "key.mov")
    sent = await call.good("POST", "/tasks", {**upload, "connection_id": connection["id"]}, status=201)
    assert sent["options"] == {"destination": "s3://bucket/out/"}


async def test_keys_are_made_used_and_ended(admin: Caller) -> None:
    answer = await admin("POST", "/keys", {"name": "ci"})
    made = answer.json()
    theirs = Caller(admin.mill, made["secret"])

    assert answer.status_code == 201
    assert made["secret"].startswith("ittybit_")
    assert (made["object"], made["name"], made["status"]) == ("key", "ci", "active")
    assert isinstance(await theirs.good("GET", "/tasks"), list)
    await theirs.error(403, "forbidden", "GET", "/keys")
    listed = await admin.good("GET", "/keys")
    assert made["id"] in {key["id"] for key in listed}
    assert not any("secret" in key for key in listed)
    await admin.good("DELETE", f"/keys/{made['id']}", status=200)
    await admin.error(404, "key_not_found", "DELETE", f"/keys/{made['id']}")
    await theirs.error(401, "token_invalid", "GET", "/tasks")
    await admin.error(404, "key_not_found", "DELETE", "/keys/key_nosuchkey12")


async def test_a_job_is_a_view_of_one_task(call: Caller) -> None:
    body = {"kind": "image", "input": URL, "options": {"width": 32}, "metadata": {"a": 1}}

    job = await call.good("POST", "/jobs", body, status=201)

    assert job["id"].startswith("job_")
    assert (job["object"], job["kind"], job["input"], job["output"]) == ("job", "image", URL, None)
    assert (job["status"], job["options"], job["metadata"]) == ("queued", {"width": 32}, {"a": 1})
    assert job["created_at"] > 1_600_000_000_000
    assert await call.good("GET", f"/jobs/{job['id']}") == job
    assert [j["id"] for j in await call.good("GET", "/jobs?limit=1")] == [job["id"]]
    assert await call.good("GET", f"/jobs?after={job['id']}") == []
    await call.error(404, "job_not_found", "GET", "/jobs/job_nosuchjob12")
    assert "input" in await call.error(400, "invalid_input", "POST", "/jobs", {"kind": "image"})
    assert "animation" in await call.error(400, "invalid_input", "POST", "/jobs", {"kind": "speech", "input": URL})


async def test_an_endpoint_is_told_when_the_work_begins(call: Caller) -> None:
    async def told(id: str) -> list[str]:
        events = await call.good("GET", "/events?kind=task.updated&order=asc&limit=100")
        return [event["data"]["status"] for event in events if event["data"]["id"] == id]

    silent = await call.tasked()
    await call.fetched(ours(silent["id"]))
    await call.mill.start(ours(silent["id"]))
    body = {"url": "https://hooks.example/", "topics": ["task.updated"]}
    await call.good("POST", "/webhooks/endpoints", body, status=201)
    heard = await call.tasked()
    await call.fetched(ours(heard["id"]))
    await call.mill.start(ours(heard["id"]))
    own = await call.tasked(webhook_url="https://hooks.example/mine")
    await call.fetched(ours(own["id"]))
    await call.mill.start(ours(own["id"]))

    assert [len(await told(task["id"])) for task in (silent, heard, own)] == [1, 2, 2]
    assert (await told(heard["id"]))[-1] == "processing"


def test_a_test_of_an_endpoint_has_words() -> None:
    at = datetime.now(UTC)
    event = Event(
        id=7, project_id=ProjectId("p"), type="endpoint.test", task_id=None, run_id=None, file_id=None, created_at=at
    )
    links = Links(origin="http://a", base="http://a/ittybit", signer=Signer(b"s"), upload_s=1, download_s=1)
    assert DIALECT.write_event is not None

    said: Any = DIALECT.write_event(event, None, links)

    assert (said["object"], said["kind"], said["data"]) == ("event", "endpoint.test", {})


async def test_new_media_ask_for_their_automations(call: Caller) -> None:
    await call.good("POST", "/automations", {"workflow": FLOW, "trigger": TRIGGER})

    file = await call.uploaded(PNG)

    asked = await call.mill.bench.pool.fetch("SELECT file_id FROM automation_starts")
    assert ours(file["id"]) in {row["file_id"] for row in asked}
