"""Runs through the native API of a running server."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from tests.support.calls import run_ended, upload
from tests.support.documents import picture


def start(http: httpx.Client, tasks: list[dict[str, Any]], **given: Any) -> dict[str, Any]:
    answer = http.post("/mill/runs", json={"tasks": tasks, **given})
    assert answer.status_code == 201, answer.text
    run: dict[str, Any] = answer.json()
    assert answer.headers["location"] == run["links"]["self"]
    return run


def webp(**given: Any) -> dict[str, Any]:
    return {"kind": "convert", "options": {"format": "webp"}, **given}


def test_what_one_task_makes_is_converted_by_the_next(http: httpx.Client) -> None:
    source = upload(http, picture(size=(400, 300)))
    small = {"kind": "convert", "options": {"format": "jpeg", "resize": {"width": 80}}, "ref": "small"}

    run = start(http, [webp(inputs=[{"file": source}], next=[small, {"kind": "ping"}])], metadata={"order": "A-17"})
    assert [part["state"] for part in run["tasks"]][1:] == ["waiting", "waiting"]
    after = run_ended(http, run["id"])

    assert (after["state"], after["progress"], after["metadata"]) == ("succeeded", 1.0, {"order": "A-17"})
    tasks = http.get(run["links"]["tasks"]).json()["data"]
    assert [task["parent_id"] for task in tasks] == [None, tasks[0]["id"], tasks[0]["id"]]
    assert tasks[1]["ref"] == "small"
    assert tasks[1]["inputs"][0]["file"]["mime"] == "image/webp"
    result = tasks[1]["outputs"][0]["file"]
    assert (result["mime"], result["facts"]["width_px"]) == ("image/jpeg", 80)


def test_a_failure_cancels_what_waits_for_it_and_nothing_else(http: httpx.Client) -> None:
    good, bad = upload(http, picture(size=(40, 30))), upload(http, picture(size=(40, 30))[:60])

    run = start(http, [webp(inputs=[{"file": bad}], next=[webp(next=[webp()])]), webp(inputs=[{"file": good}])])
    after = run_ended(http, run["id"])

    assert [part["state"] for part in after["tasks"]] == ["failed", "cancelled", "cancelled", "succeeded"]
    assert after["state"] == "failed"
    assert after["error"] == after["tasks"][0]["error"]


def test_a_cancelled_run_ends_at_once(http: httpx.Client) -> None:
    later = {"kind": "ping", "not_before": "2100-01-01T00:00:00Z"}
    run = start(http, [{**later, "next": [{"kind": "ping"}]}])

    cancelled = http.post(run["links"]["cancel"]).json()

    assert (cancelled["state"], "cancel" in cancelled["links"]) == ("cancelled", False)
    assert http.post(run["links"]["cancel"]).json()["state"] == "cancelled"
    assert run["id"] in [row["id"] for row in http.get("/mill/runs", params={"state": "cancelled"}).json()["data"]]


def test_one_key_makes_one_run(http: httpx.Client) -> None:
    body = {"tasks": [{"kind": "ping", "next": [{"kind": "ping"}]}]}
    headers = {"idempotency-key": "one run"}

    answers = [http.post("/mill/runs", json=body, headers=headers) for _ in range(2)]
    other = http.post("/mill/runs", json={"tasks": [{"kind": "ping"}]}, headers=headers)

    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json()["id"] == answers[1].json()["id"]
    assert other.status_code == 422


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tasks": []}, "tasks"),
        ({}, "tasks"),
        ({"tasks": [{"kind": "nothing"}]}, "tasks.0.kind"),
        ({"tasks": [{"kind": "convert", "options": {"format": "webp"}}]}, "tasks.0.inputs"),
        ({"tasks": [{"kind": "ping", "next": [{"kind": "ping", "priority": 1000}]}]}, "tasks.0.next.0.priority"),
        ({"tasks": [{"kind": "ping"}], "metadata": {"a": "x" * 20000}}, "metadata"),
        ({"tasks": [{"kind": "ping"}] * 101}, "tasks"),
        ({"tasks": [{"kind": "ping", "next": [{"kind": "ping"}] * 100}]}, "tasks"),
    ],
)
def test_a_fault_names_its_place_and_leaves_nothing(http: httpx.Client, body: dict[str, Any], field: str) -> None:
    before = newest(http)

    answer = http.post("/mill/runs", json=body)

    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert newest(http) == before


def newest(http: httpx.Client) -> list[str]:
    """The id of the newest run, if there is one; how it stands may change at any time."""
    return [run["id"] for run in http.get("/mill/runs", params={"limit": 1}).json()["data"]]
