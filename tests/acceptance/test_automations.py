"""Automations over HTTP against a real server: kept, changed, started by calls and by new media."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image
from tests.support.calls import picture, run_ended, stored
from tests.support.server import Server, serving, until

SMALL = [
    {
        "kind": "conditions",
        "options": {
            "conditions": [{"prop": "kind", "value": "image"}, {"prop": "width", "operator": "gte", "value": 50}]
        },
        "next": [{"kind": "convert", "options": {"format": "jpeg"}, "ref": "small"}],
    }
]
ON_MEDIA = {"kind": "event", "event": "media.created"}


@pytest.fixture(scope="module")
def mill() -> Iterator[Server]:
    with serving(environment={"MEDIAMILL_ALLOW_NETWORKS": "127.0.0.1/32"}) as server:
        yield server


@pytest.fixture
def http(mill: Server) -> Iterator[httpx.Client]:
    with mill.client() as client:
        yield client
        for one in client.get("/mill/automations", params={"limit": 100}).json()["data"]:
            client.delete(f"/mill/automations/{one['id']}")


def keep(http: httpx.Client, **given: Any) -> dict[str, Any]:
    answer = http.post("/mill/automations", json={"workflow": SMALL, **given})
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def runs_of(http: httpx.Client, automation: str) -> list[dict[str, Any]]:
    found = http.get("/mill/runs", params={"limit": 100}).json()["data"]
    return [run for run in found if run["created_by"] == automation]


def states(run: dict[str, Any]) -> list[tuple[str, str]]:
    return [(task["kind"], task["state"]) for task in run["tasks"]]


def test_a_kept_workflow_is_read_changed_and_forgotten(http: httpx.Client) -> None:
    made = keep(http, name="small", description="Small pictures.")
    at = f"/mill/automations/{made['id']}"

    assert (made["workflow"], made["status"], made["trigger"], made["problem"]) == (SMALL, "active", None, None)
    assert http.get(at).json() == made
    changed = http.patch(at, json={"name": None, "status": "paused", "trigger": ON_MEDIA}).json()
    assert changed == {
        **made,
        "name": None,
        "status": "paused",
        "trigger": ON_MEDIA,
        "updated_at": changed["updated_at"],
    }
    assert http.patch(at, json={"trigger": None}).json()["trigger"] is None
    assert [one["id"] for one in http.get("/mill/automations").json()["data"]] == [made["id"]]
    assert http.delete(at).status_code == 204
    assert [http.get(at).status_code, http.patch(at, json={}).status_code, http.delete(at).status_code] == [404] * 3


def test_a_call_starts_it_with_its_input(http: httpx.Client) -> None:
    made = keep(http)
    body = {"input": {"file": stored(http, picture((64, 64)))}, "metadata": {"order": "A-17"}}
    key = {"Idempotency-Key": "once"}

    first = http.post(f"/mill/automations/{made['id']}/run", json=body, headers=key)
    again = http.post(f"/mill/automations/{made['id']}/run", json=body, headers=key)
    run = run_ended(http, first.json()["id"])

    assert (first.status_code, again.status_code) == (201, 200)
    assert again.json()["id"] == run["id"]
    assert (run["created_by"], run["metadata"]) == (made["id"], {"order": "A-17"})
    assert run["state"] == "succeeded", run
    assert states(run) == [("conditions", "succeeded"), ("convert", "succeeded")]
    made_of = http.get("/mill/tasks", params={"run_id": run["id"], "order": "asc"}).json()["data"]
    content = http.get(made_of[1]["outputs"][0]["file"]["links"]["download"]).content
    with Image.open(io.BytesIO(content)) as result:
        assert (result.format, result.size) == ("JPEG", (64, 64))


def test_what_does_not_meet_the_condition_is_left_out_and_the_run_succeeds(http: httpx.Client) -> None:
    made = keep(http)

    started = http.post(
        f"/mill/automations/{made['id']}/run", json={"input": {"file": stored(http, picture((40, 40)))}}
    )
    run = run_ended(http, started.json()["id"])

    assert run["state"] == "succeeded"
    assert states(run) == [("conditions", "succeeded"), ("convert", "cancelled")]
    first = http.get(f"/mill/tasks/{run['tasks'][0]['id']}").json()
    results = first["details"]["results"]
    assert results["continue"] is False
    assert [one["prop"] for one in results["passed"]] == ["kind"]
    assert results["failed"] == [{"prop": "width", "operator": "gte", "value": 50, "found": 40}]


def test_conditions_see_the_metadata_of_the_run(http: httpx.Client) -> None:
    wanted = {"prop": "metadata.customer.plan", "operator": "in", "value": ["pro", "team"]}
    made = keep(
        http,
        workflow=[{"kind": "conditions", "options": {"conditions": [wanted]}, "next": [{"kind": "ingest"}]}],
    )
    file, ends = stored(http, picture((64, 64))), []
    for plan in ("pro", "free"):
        body = {"input": {"file": file}, "metadata": {"customer": {"plan": plan}}}
        run = run_ended(http, http.post(f"/mill/automations/{made['id']}/run", json=body).json()["id"])
        ends.append(states(run)[1])

    assert ends == [("ingest", "succeeded"), ("ingest", "cancelled")]


def test_a_paused_one_is_not_started(http: httpx.Client) -> None:
    made = keep(http, status="paused", trigger=ON_MEDIA)

    answer = http.post(f"/mill/automations/{made['id']}/run", json={})
    stored(http, picture((64, 64)))

    assert (answer.status_code, answer.json()["code"]) == (409, "automation_paused")
    assert runs_of(http, made["id"]) == []


def test_each_new_medium_starts_it_once_however_it_comes(http: httpx.Client) -> None:
    made, other = keep(http, trigger=ON_MEDIA), keep(http)
    content = picture((64, 64))

    whole = stored(http, content)
    put = http.post("/mill/files", json={"filename": "two.png", "size_bytes": len(content)}).json()
    http.put(put["links"]["upload"], content=content)
    tus = {"tus-resumable": "1.0.0"}
    where = http.post("/mill/uploads", headers={**tus, "upload-length": str(len(content))}).headers["location"]
    sent = {**tus, "upload-offset": "0", "content-type": "application/offset+octet-stream"}
    resumed = http.patch(where, content=content, headers=sent).headers["mill-file-id"]
    address = http.get(f"/mill/files/{whole}").json()["links"]["download"]
    fetch = http.post("/mill/files", json={"url": address}).json()
    fetched = http.get(f"/mill/tasks/{fetch['id']}", params={"wait": 30}).json()["outputs"][0]["file"]["id"]
    stored(http, b"no medium at all", "notes.txt")

    until(lambda: len(runs_of(http, made["id"])) >= 4, what="the runs")
    ends = [run_ended(http, run["id"]) for run in runs_of(http, made["id"])]
    assert [run["state"] for run in ends] == ["succeeded"] * 4
    of = {http.get(f"/mill/tasks/{run['tasks'][0]['id']}").json()["inputs"][0]["file"]["id"] for run in ends}
    assert of == {whole, put["id"], resumed, fetched}
    assert runs_of(http, other["id"]) == []


def test_why_a_trigger_could_not_start_it_is_told(http: httpx.Client) -> None:
    elsewhere = [{"kind": "ingest", "destination": {"url": "s3://ours/"}}]
    connection = http.post(
        "/mill/connections",
        json={
            "name": "soon gone",
            "endpoint": "https://s3.example.com",
            "region": "auto",
            "access_key_id": "a",
            "secret_access_key": "s",
            "is_default": True,
        },
    ).json()
    made = keep(http, workflow=elsewhere, trigger=ON_MEDIA)
    http.delete(f"/mill/connections/{connection['id']}")

    stored(http, picture((64, 64)))

    at = f"/mill/automations/{made['id']}"
    until(lambda: http.get(at).json()["problem"] is not None, what="the problem")
    assert "connection" in http.get(at).json()["problem"]
    assert runs_of(http, made["id"]) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "workflow"),
        ({"workflow": []}, "workflow"),
        ({"workflow": [{}]}, "workflow.0.kind"),
        ({"workflow": [{"kind": "no_such_kind"}]}, None),
        ({"workflow": [{"kind": "convert", "options": {"format": "jpeg", "nope": 1}}]}, "workflow.0.options.nope"),
        ({"workflow": [{"kind": "convert", "options": {"format": "jpeg"}, "surprise": 1}]}, None),
        ({"workflow": [{"kind": "ping"}] * 101}, "workflow"),
        ({"workflow": [{"kind": "ping", "next": [{"kind": "ping"}] * 100}]}, "workflow"),
        ({"workflow": SMALL, "status": "off"}, "status"),
        ({"workflow": SMALL, "trigger": {"kind": "event", "event": "task.created"}}, "trigger.event"),
        ({"workflow": SMALL, "name": "x" * 201}, "name"),
        (
            {"workflow": [{"kind": "conditions", "options": {"conditions": [{"prop": "width", "operator": "like"}]}}]},
            None,
        ),
    ],
)
def test_what_cannot_be_kept_is_refused(http: httpx.Client, body: dict[str, Any], field: str | None) -> None:
    answer = http.post("/mill/automations", json=body)

    assert answer.status_code == 422, answer.text
    assert field is None or answer.json()["field"] == field, answer.text


def test_another_projects_automation_is_unknown(http: httpx.Client) -> None:
    made = keep(http, trigger=ON_MEDIA)
    key = http.post("/mill/keys", json={"name": "other", "project_id": "other"}).json()["secret"]
    with httpx.Client(base_url=http.base_url, headers={"authorization": f"Bearer {key}"}, timeout=60) as other:
        assert other.get("/mill/automations").json()["data"] == []
        assert other.get(f"/mill/automations/{made['id']}").status_code == 404
        assert other.post(f"/mill/automations/{made['id']}/run", json={}).status_code == 404
        stored(other, picture((64, 64)))

    assert runs_of(http, made["id"]) == []
