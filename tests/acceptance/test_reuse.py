"""Earlier results as the answer, through the native API of a running server."""

from __future__ import annotations

from typing import Any

import httpx
from tests.support.calls import upload
from tests.support.documents import picture


def convert(http: httpx.Client, file: str, **given: Any) -> dict[str, Any]:
    body = {"kind": "convert", "inputs": [{"file": file}], "options": {"format": "webp"}, **given}
    answer = http.post("/mill/tasks", json=body, params={"wait": 30})
    task: dict[str, Any] = answer.raise_for_status().json()
    assert task["state"] == "succeeded", task["error"]
    return task


def content(http: httpx.Client, task: dict[str, Any]) -> bytes:
    return http.get(task["outputs"][0]["file"]["links"]["download"]).raise_for_status().content


def test_the_same_bytes_and_options_answer_from_the_earlier_result(http: httpx.Client) -> None:
    bytes_ = picture("#123321", size=(200, 100))
    first = convert(http, upload(http, bytes_, "first.png"))
    second = convert(http, upload(http, bytes_, "second.png"))

    assert second["details"]["reused_from"] == first["id"]
    assert second["outputs"][0]["file"]["filename"] == "second.webp"
    assert second["outputs"][0]["file"]["id"] != first["outputs"][0]["file"]["id"]
    http.delete(f"/mill/files/{first['outputs'][0]['file']['id']}").raise_for_status()
    assert content(http, second)[8:12] == b"WEBP"


def test_other_options_and_a_task_that_says_so_have_the_work_done(http: httpx.Client) -> None:
    file = upload(http, picture("#abcdef", size=(200, 100)), "a.png")
    convert(http, file)

    assert "reused_from" not in convert(http, file, options={"format": "webp", "quality": 10})["details"]
    assert "reused_from" not in convert(http, file, reuse=False)["details"]
    assert "reused_from" in convert(http, file)["details"]


def test_a_result_that_was_deleted_is_made_anew(http: httpx.Client) -> None:
    file = upload(http, picture("#fedcba", size=(200, 100)), "a.png")
    first = convert(http, file)
    http.delete(f"/mill/files/{first['outputs'][0]['file']['id']}").raise_for_status()

    again = convert(http, file)

    assert "reused_from" not in again["details"]
    assert content(http, again)


def test_a_project_may_switch_it_off(http: httpx.Client) -> None:
    file = upload(http, picture("#0a0b0c", size=(200, 100)), "a.png")
    convert(http, file)
    try:
        assert http.patch("/mill/project", json={"reuse": False}).json()["reuse"] is False
        assert "reused_from" not in convert(http, file)["details"]
    finally:
        http.patch("/mill/project", json={"reuse": True}).raise_for_status()
    assert "reused_from" in convert(http, file)["details"]


def test_only_an_administrator_changes_the_project(http: httpx.Client) -> None:
    key = http.post("/mill/keys", json={"name": "member"}).json()["secret"]

    answer = http.patch("/mill/project", json={"reuse": False}, headers={"authorization": f"Bearer {key}"})

    assert answer.status_code == 403
    assert http.get("/mill/project").json()["reuse"] is True
