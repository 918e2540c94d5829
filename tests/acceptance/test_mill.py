"""Tasks through /mill on a real server: made once, followed to their end, stopped, begun again, listed, kept apart."""

from __future__ import annotations

import base64
import io
import json
import re
import secrets
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from PIL import Image
from tests.support.bad_files import good_picture
from tests.support.calls import noise, stored
from tests.support.children import in_company
from tests.support.programs import held, let_go
from tests.support.server import Server, serving, until

PING = {"kind": "ping"}


@pytest.fixture
def http(server: Server) -> Iterator[httpx.Client]:
    """An administrator of a project of the test's own."""
    with server.client() as admin:
        body = {"name": "test", "role": "admin", "project_id": f"p{secrets.token_hex(6)}"}
        secret = admin.post("/mill/keys", json=body).json()["secret"]
    with httpx.Client(base_url=server.url, headers={"x-api-key": secret}, timeout=60) as client:
        yield client


@pytest.fixture(scope="module")
def narrow() -> Iterator[Server]:
    """A server that does one thing at a time."""
    with serving(environment={"MEDIAMILL_SLOTS": "1", "MEDIAMILL_RETRY_FIRST_S": "0.2"}) as running:
        yield running


def made(http: httpx.Client, body: dict[str, Any], **params: Any) -> dict[str, Any]:
    answer = http.post("/mill/tasks", json=body, params=params)
    assert answer.status_code == 201, answer.text
    task: dict[str, Any] = answer.json()
    assert answer.headers["location"] == task["links"]["self"]
    return task


def read(http: httpx.Client, id: str, wait: float = 0) -> dict[str, Any]:
    answer = http.get(f"/mill/tasks/{id}", params={"wait": wait})
    assert answer.status_code == 200, answer.text
    task: dict[str, Any] = answer.json()
    return task


def follow(answer: httpx.Response) -> Iterator[dict[str, Any]]:
    """The tasks of a stream of events."""
    event = None
    for line in answer.iter_lines():
        if line.startswith("event: "):
            event = line[7:]
        elif line.startswith("data: "):
            assert event == "task"
            yield json.loads(line[6:])


# --- once -----------------------------------------------------------------------------------------------------------


def test_64_posts_of_one_key_make_one_task(http: httpx.Client) -> None:
    def post(_: int) -> httpx.Response:
        return http.post("/mill/tasks", json=PING, headers={"idempotency-key": "the same"})

    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(post, range(64)))

    assert sorted(answer.status_code for answer in answers) == [200] * 63 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1
    assert len(http.get("/mill/tasks").json()["data"]) == 1


@pytest.mark.parametrize(
    "other", [{"kind": "ping", "priority": 1}, {"kind": "ping", "metadata": {}}, {"kind": "ping", "max_attempts": 1}]
)
def test_a_key_with_another_body_is_a_mismatch(http: httpx.Client, other: dict[str, Any]) -> None:
    headers = {"idempotency-key": "k"}
    assert http.post("/mill/tasks", json=PING, headers=headers).status_code == 201
    answer = http.post("/mill/tasks", json=other, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_mismatch")


def test_a_refused_body_leaves_its_key_free(http: httpx.Client) -> None:
    headers = {"idempotency-key": "k"}
    assert http.post("/mill/tasks", json={"kind": "none"}, headers=headers).status_code == 422
    assert http.post("/mill/tasks", json=PING, headers=headers).status_code == 201


def test_keys_of_two_projects_do_not_meet(server: Server, http: httpx.Client) -> None:
    headers = {"idempotency-key": f"shared {secrets.token_hex(4)}"}
    with server.client() as other:
        ids = {client.post("/mill/tasks", json=PING, headers=headers).json()["id"] for client in (http, other)}
    assert len(ids) == 2


@pytest.mark.parametrize(("length", "status"), [(1, 201), (255, 201), (256, 422), (0, 422)])
def test_an_idempotency_key_has_1_to_255_characters(http: httpx.Client, length: int, status: int) -> None:
    answer = http.post("/mill/tasks", json=PING, headers={"idempotency-key": "a" * length})
    assert answer.status_code == status
    if status == 422:
        assert answer.json()["field"] == "Idempotency-Key"


# --- to the end -----------------------------------------------------------------------------------------------------


def test_wait_answers_when_the_task_has_ended(http: httpx.Client) -> None:
    task = made(http, PING, wait=30)
    assert (task["state"], task["progress"], task["details"]) == ("succeeded", 1.0, {"pong": True})
    assert set(task["links"]) == {"self", "events"}
    [attempt] = read(http, task["id"])["attempts"]
    assert (attempt["number"], attempt["state"], attempt["error"]) == (1, "succeeded", None)


def test_wait_answers_when_its_time_is_up(http: httpx.Client) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    task = made(http, {**PING, "not_before": later})
    began = time.monotonic()
    assert read(http, task["id"], wait=0.3)["state"] == "delayed"
    assert 0.25 < time.monotonic() - began < in_company(5)


@pytest.mark.parametrize(
    ("params", "field", "detail"),
    [
        ({"wait": "100"}, "wait", "must be a number of at most 60"),
        ({"wait": "soon"}, "wait", "must be a number, not text"),
        ({"limit": "0"}, "limit", "must be a whole number of at least 1"),
    ],
)
def test_what_is_wrong_with_a_parameter_is_said_in_words(
    params: dict[str, str], field: str, detail: str, http: httpx.Client
) -> None:
    answer = http.get("/mill/tasks" if field == "limit" else "/mill/tasks/t0", params=params)
    assert answer.status_code == 422
    assert (answer.json()["field"], answer.json()["detail"]) == (field, detail)


def test_instants_are_utc_with_microseconds(http: httpx.Client) -> None:
    task = made(http, PING, wait=30)
    for name in ("created_at", "updated_at", "started_at", "finished_at"):
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", task[name]), name
    assert task["created_at"] <= task["started_at"] <= task["finished_at"]


def test_events_tell_each_change_to_the_end(http: httpx.Client) -> None:
    picture = stored(http, good_picture(), "a.png")
    task = made(http, {"kind": "convert", "inputs": [{"file": picture}], "options": {"format": "avif"}})
    with http.stream("GET", task["links"]["events"]) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        seen = list(follow(answer))
    assert seen[-1]["state"] == "succeeded"
    assert all(event["id"] == task["id"] for event in seen)
    states = ["queued", "running", "succeeded"]
    assert [states.index(event["state"]) for event in seen] == sorted(states.index(event["state"]) for event in seen)
    assert [event["progress"] for event in seen] == sorted(event["progress"] for event in seen)


def test_events_of_an_ended_task_are_one(http: httpx.Client) -> None:
    task = made(http, PING, wait=30)
    with http.stream("GET", f"/mill/tasks/{task['id']}/events") as answer:
        assert [event["state"] for event in follow(answer)] == ["succeeded"]


def test_the_projects_events_hold_its_own_tasks_only(server: Server, http: httpx.Client) -> None:
    with server.client() as other, http.stream("GET", "/mill/events") as answer:
        foreign = {made(other, PING)["id"] for _ in range(3)}
        mine = made(http, PING)["id"]
        for event in follow(answer):
            assert event["id"] not in foreign
            if event["id"] == mine and event["state"] == "succeeded":
                break


def test_metadata_comes_back_as_it_came(http: httpx.Client) -> None:
    metadata = {"a": [1, 2.5, None, True, {"ü": "字 😀"}], "": "", "big": 2**70, "e": 1e20, "q": '"\\', "n": {}}
    task = made(http, {**PING, "metadata": metadata})
    assert task["metadata"] == metadata
    assert http.get("/mill/tasks").json()["data"][0]["metadata"] == metadata
    assert made(http, PING)["metadata"] is None


@pytest.mark.parametrize("depth", [60, 65, 900, 100_000])
def test_deep_metadata_is_kept_or_refused_and_never_breaks_the_list(http: httpx.Client, depth: int) -> None:
    body = b'{"kind":"ping","metadata":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    answer = http.post("/mill/tasks", content=body, headers={"content-type": "application/json"})
    assert answer.status_code in ((201,) if depth <= 64 else (400, 422))
    assert http.get("/mill/tasks").status_code == 200


def test_too_much_metadata_is_refused(http: httpx.Client) -> None:
    answer = http.post("/mill/tasks", json={**PING, "metadata": {"a": "x" * (16 << 10)}})
    assert (answer.status_code, answer.json()["field"]) == (422, "metadata")


def test_nul_and_its_like_are_kept_out_of_the_database(http: httpx.Client) -> None:
    task = made(http, {**PING, "metadata": {"a\0b": "c\0d", "e": "\\u0000"}})
    assert task["metadata"] == {"a\ufffdb": "c\ufffdd", "e": "\\u0000"}
    for path in ("/mill/tasks/a%00b", "/mill/files/%00", "/mill/tasks/%00/events", "/mill/files/%00/content"):
        assert http.get(path).status_code == 404
    for path in ("/mill/tasks/%00/cancel", "/mill/tasks/%00/retry"):
        assert http.post(path).status_code == 404
    for path in ("/mill/files/%00", "/mill/keys/%00"):
        assert http.delete(path).status_code == 404
    for query in ("q=%00", "q=a%00b", "kind=%00", "dialect=a%00"):
        assert http.get(f"/mill/tasks?{query}").json()["data"] == []
    body = {"kind": "convert", "inputs": [{"file": "f\0"}], "options": {"format": "png"}}
    assert http.post("/mill/tasks", json=body).status_code == 404
    assert http.post("/mill/keys", json={"name": "a\0b"}).json()["name"] == "a\ufffdb"


# --- later and first ------------------------------------------------------------------------------------------------


def test_not_before_holds_a_task_back(http: httpx.Client) -> None:
    instant = datetime.now(UTC) + timedelta(seconds=1.2)
    task = made(http, {**PING, "not_before": instant.isoformat()}, wait=20)
    assert task["state"] == "succeeded"
    assert datetime.fromisoformat(task["started_at"]) >= instant


@pytest.mark.parametrize(
    ("not_before", "status"),
    [
        ("0001-01-01T00:00:00Z", 201),
        ("9999-12-31T23:59:59Z", 201),
        ("2030-06-01T12:00:00+05:30", 201),
        ("0001-01-01T00:00:00+14:00", 422),
        ("9999-12-31T23:59:59-14:00", 422),
        ("2030-01-01T00:00:00", 422),
        ("2030-02-30T00:00:00Z", 422),
        ("tomorrow", 422),
        (1_900_000_000, 422),
    ],
)
def test_not_before_is_an_instant_of_the_calendar(http: httpx.Client, not_before: Any, status: int) -> None:
    answer = http.post("/mill/tasks", json={**PING, "not_before": not_before})
    assert answer.status_code == status, answer.text
    if status == 422:
        assert answer.json()["field"] == "not_before"


def test_higher_priority_goes_first_and_equals_in_order(narrow: Server) -> None:
    with narrow.client() as http:
        long, small = stored(http, noise(60), "long.wav"), stored(http, good_picture(), "a.png")
        blocker = made(http, mp3(long))
        tool = held(narrow.process.pid)
        until(lambda: read(http, blocker["id"])["state"] == "running", what="the first task's start")
        asked = [0, -5, 10, 0, 10, -5, 0]
        body = {"kind": "convert", "inputs": [{"file": small}], "options": {"format": "webp"}}
        tasks = [made(http, {**body, "priority": priority}) for priority in asked]
        let_go(tool)
        ended = [read(http, task["id"], wait=60) for task in tasks]
    order = sorted(range(len(asked)), key=lambda n: ended[n]["started_at"])
    assert [asked[n] for n in order] == sorted(asked, reverse=True)
    assert order == sorted(order, key=lambda n: (-asked[n], n))


def mp3(file: str) -> dict[str, Any]:
    options = {"format": "mp3", "bitrate": 320}
    return {"kind": "convert", "inputs": [{"file": file}], "options": options, "reuse": False}


# --- stopped and begun again ----------------------------------------------------------------------------------------


def test_cancel_of_waiting_and_of_running_work(narrow: Server) -> None:
    with narrow.client() as http:
        long = stored(http, noise(60), "long.wav")
        running, waiting = made(http, mp3(long)), made(http, mp3(long))
        held(narrow.process.pid)
        until(lambda: read(http, running["id"])["state"] == "running", what="the first task's start")
        assert set(read(http, running["id"])["links"]) == {"self", "events", "cancel"}
        first = http.post(waiting["links"]["cancel"])
        second = http.post(running["links"]["cancel"])
        again = http.post(running["links"]["cancel"])
        kept = read(http, running["id"])
    for answer in (first, second, again):
        assert (answer.status_code, answer.json()["state"]) == (200, "cancelled")
    assert first.json()["attempts"] == []
    assert [attempt["state"] for attempt in kept["attempts"]] == ["cancelled"]
    assert kept["outputs"] == []
    assert set(kept["links"]) == {"self", "events", "retry"}


def test_cancel_of_ended_work_is_a_conflict(http: httpx.Client) -> None:
    task = made(http, PING, wait=30)
    answer = http.post(f"/mill/tasks/{task['id']}/cancel")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_retry_asks_the_same_again(http: httpx.Client) -> None:
    broken = stored(http, good_picture()[:50], "a.png")
    body = {
        "kind": "convert",
        "inputs": [{"file": broken}],
        "options": {"format": "webp", "quality": 40},
        "metadata": {"n": 1},
        "priority": 7,
        "max_attempts": 2,
    }
    old = made(http, body, wait=30)
    assert (old["state"], old["error"]["class"], old["error"]["code"]) == ("failed", "input", "bad_media")
    answer = http.post(old["links"]["retry"])
    new = answer.json()
    assert (answer.status_code, answer.headers["location"]) == (201, new["links"]["self"])
    assert new["retry_of"] == old["id"] != new["id"]
    for name in ("kind", "options", "metadata", "priority", "max_attempts", "dialect"):
        assert new[name] == old[name], name
    assert new["inputs"][0]["file"]["id"] == broken
    assert read(http, new["id"], wait=30)["state"] == "failed"


def test_retry_of_what_did_not_fail_is_a_conflict(http: httpx.Client) -> None:
    task = made(http, PING, wait=30)
    answer = http.post(f"/mill/tasks/{task['id']}/retry")
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")


def test_retry_without_its_input_is_a_conflict(http: httpx.Client) -> None:
    broken = stored(http, good_picture()[:50], "a.png")
    body = {"kind": "convert", "inputs": [{"file": broken}], "options": {"format": "webp"}}
    task = made(http, body, wait=30)
    assert http.delete(f"/mill/files/{broken}").status_code == 204
    answer = http.post(task["links"]["retry"])
    assert (answer.status_code, answer.json()["code"]) == (409, "conflict")
    assert read(http, task["id"])["inputs"] == [{"file": None, "url": None}]


# --- lists ----------------------------------------------------------------------------------------------------------


def links(answer: httpx.Response) -> dict[str, str]:
    return {rel: url for url, rel in re.findall(r'<([^>]*)>; rel="([a-z]+)"', answer.headers.get("link", ""))}


@pytest.mark.parametrize("order", ["desc", "asc"])
def test_pages_lead_there_and_back_by_their_links(http: httpx.Client, order: str) -> None:
    ids = [made(http, PING)["id"] for _ in range(7)]
    wanted = ids if order == "asc" else ids[::-1]
    url, there, last = f"/mill/tasks?limit=3&order={order}&kind=ping", [], None
    while url:
        last = http.get(url)
        page = last.json()
        there.append([task["id"] for task in page["data"]])
        assert ("next" in links(last)) == (page["next"] is not None)
        assert ("prev" in links(last)) == (page["prev"] is not None)
        url = links(last).get("next", "")
    assert there == [wanted[:3], wanted[3:6], wanted[6:]]
    assert last is not None
    back = http.get(links(last)["prev"])
    assert [task["id"] for task in back.json()["data"]] == wanted[3:6]
    first = http.get(links(back)["prev"])
    assert [task["id"] for task in first.json()["data"]] == wanted[:3]
    assert "prev" not in links(first)


def test_filters_and_search(http: httpx.Client) -> None:
    picture = stored(http, good_picture(), "Grüße_100%.png")
    body = {"kind": "convert", "inputs": [{"file": picture}], "options": {"format": "webp"}}
    converted, pinged = made(http, body, wait=30)["id"], made(http, PING, wait=30)["id"]

    def found(**query: str) -> list[str]:
        return [task["id"] for task in http.get("/mill/tasks", params=query).json()["data"]]

    assert found(kind="convert") == found(q="grüße") == found(q="_100%") == found(q=converted) == [converted]
    assert (
        found(kind="convert, ping,") == found(state="succeeded,failed") == found(dialect="mill") == [pinged, converted]
    )
    assert found(run_id=read(http, pinged)["run_id"]) == [pinged]
    assert found(q="%") == [converted]
    assert found(q="zzz") == found(state="failed") == found(kind="none") == found(dialect="none") == []


@pytest.mark.parametrize(
    "query",
    [
        "limit=0", "limit=101", "limit=x", "limit=", "order=up", "order=desc%0A", "state=done", "after=", "after=abc",
        "after=%00", "before=AAAA", "run_id=A", "run_id=%00", f"q={'a' * 201}",
        "after=" + base64.urlsafe_b64encode(b"9999-12-31T23:59:59-23:59 abc").decode().rstrip("="),
        "before=" + base64.urlsafe_b64encode(b"0001-01-01T00:00:00+23:00 abc").decode().rstrip("="),
        "after=" + base64.urlsafe_b64encode(b"2026-01-01T00:00:00 abc").decode().rstrip("="),
        "after=" + base64.urlsafe_b64encode(b"2026-01-01T00:00:00+00:00 a\0").decode().rstrip("="),
    ],
)  # fmt: skip
def test_a_query_that_cannot_be_meant_names_its_field(http: httpx.Client, query: str) -> None:
    answer = http.get(f"/mill/tasks?{query}")
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["field"] == query.partition("=")[0]


@pytest.mark.parametrize(
    ("method", "path", "name"),
    [
        ("GET", "/mill/tasks?statu=failed", "statu"),
        ("GET", "/mill/files?limit=5&page=2", "page"),
        ("GET", "/mill/runs?State=failed", "State"),
        ("GET", "/mill/schedules?_=1", "_"),
        ("POST", "/mill/tasks?dry_run=1", "dry_run"),
    ],
)
def test_a_query_parameter_that_is_none_is_refused(http: httpx.Client, method: str, path: str, name: str) -> None:
    """A slip in a filter's name would answer with everything, and a wish that is not heard do the thing."""
    answer = http.request(method, path, json=PING if method == "POST" else None)
    assert (answer.status_code, answer.json()["field"]) == (422, name)
    assert "is no query parameter here" in answer.json()["detail"]
    assert http.get("/mill/tasks").json()["data"] == []


# --- kept apart -----------------------------------------------------------------------------------------------------


def test_foreign_ids_are_unknown(server: Server, http: httpx.Client) -> None:
    with server.client() as other:
        file = stored(other, good_picture(), "a.png")
        task = made(other, PING, wait=30)["id"]
    for path in (f"/mill/tasks/{task}", f"/mill/tasks/{task}/events", f"/mill/tasks/{task}/as/mill"):
        assert http.get(path).status_code == 404
    for path in (f"/mill/files/{file}", f"/mill/files/{file}/content"):
        assert http.get(path).status_code == 404
    assert http.post(f"/mill/tasks/{task}/cancel").status_code == 404
    assert http.post(f"/mill/tasks/{task}/retry").status_code == 404
    assert http.delete(f"/mill/files/{file}").status_code == 404
    body = {"kind": "convert", "inputs": [{"file": file}], "options": {"format": "webp"}}
    assert http.post("/mill/tasks", json=body).status_code == 404
    assert http.get("/mill/tasks", params={"q": task}).json()["data"] == []
    assert http.get("/mill/files").json()["data"] == []


def test_a_task_in_the_words_of_a_dialect(http: httpx.Client) -> None:
    task = made(http, PING, wait=30)
    same = http.get(f"/mill/tasks/{task['id']}/as/mill").json()
    assert {name: same[name] for name in same if name != "attempts"} == {n: task[n] for n in task if n != "attempts"}
    answer = http.get(f"/mill/tasks/{task['id']}/as/klingon")
    assert (answer.status_code, answer.json()["field"]) == (422, "dialect")


def test_an_uploaded_file_gets_its_facts_without_being_asked_for(server: Server) -> None:
    out = io.BytesIO()
    Image.new("RGB", (37, 21), "teal").save(out, "png")

    with server.client() as http:
        made = http.post("/mill/files", files={"file": ("small.png", out.getvalue())}).json()
        broken = http.post("/mill/files", files={"file": ("cut.png", out.getvalue()[:60])}).json()
        until(lambda: http.get(f"/mill/files/{made['id']}").json()["facts"] != {}, what="the facts")
        facts = http.get(f"/mill/files/{made['id']}").json()["facts"]

        assert (facts["width_px"], facts["height_px"]) == (37, 21)
        assert http.get(f"/mill/files/{broken['id']}").json()["facts"] == {}
