"""Tasks as Framelane words them: the list under writes, the creators, waiting, cancelling, downloading, keys."""

from __future__ import annotations

import asyncio
import random
from typing import Any

import pytest
from tests.dialects.framelane.conftest import SOURCE, Caller, ours

from mediamill.core.dispatch import Taken, Tick
from mediamill.core.errors import NotFound
from mediamill.core.ids import new_id
from mediamill.core.tasks import State
from mediamill.dialects.framelane import ids

FIELDS = {
    *("id", "kind", "workspace_id", "status", "created_at", "updated_at", "task_type", "progress_percent"),
    *("progress_stage", "output", "error", "metadata", "completed_at"),
}
TYPES = {
    "remove_background": "remove-background",
    "gaze_redirect": "gaze-redirect",
    "super_resolution": "super-resolution",
    "transcribe": "transcribe",
}


async def test_a_walk_by_sevens_shows_each_of_45_tasks_once_while_others_are_added(call: Caller) -> None:
    made = [(await call.tasked())["id"] for _ in range(45)]
    order = random.Random(11)
    seen: list[str] = []
    cursor: str | None = None
    while True:
        query = f"?limit=7&cursor={cursor}" if cursor else "?limit=7"
        page = await call.good("GET", f"/tasks{query}")
        seen += [task["id"] for task in page["data"]]
        assert set(page) == {"data", "next_cursor", "has_more"}
        assert page["has_more"] is (page["next_cursor"] is not None)
        if not page["has_more"]:
            break
        cursor = page["next_cursor"]
        for _ in range(order.randrange(4)):
            await call.tasked()
        await call("DELETE", f"/tasks/{order.choice(made)}")
    assert seen == made[::-1]


async def test_a_full_last_page_says_that_nothing_follows(call: Caller) -> None:
    for _ in range(3):
        await call.tasked()

    page = await call.good("GET", "/tasks?limit=3")

    assert (len(page["data"]), page["has_more"], page["next_cursor"]) == (3, False, None)


@pytest.mark.parametrize("limit", ["0", "201", "-1", "1.5", "abc", "", "99999999999999999999"])
async def test_a_limit_out_of_range_is_422(call: Caller, limit: str) -> None:
    error = await call.error(422, "invalid_request", "GET", f"/tasks?limit={limit}")

    assert error["details"]["fields"][0]["path"] == "limit"


@pytest.mark.parametrize(("name", "value"), [("type", "render"), ("type", "x"), ("status", "done"), ("status", "")])
async def test_a_word_that_is_none_is_422(call: Caller, name: str, value: str) -> None:
    error = await call.error(422, "invalid_request", "GET", f"/tasks?{name}={value}")

    assert error["details"]["fields"][0]["path"] == name


@pytest.mark.parametrize("cursor", ["x", "AAAA", "eyJrIjoiMSJ9", "%00", "ä"])
async def test_a_cursor_that_was_not_given_out_is_400(call: Caller, cursor: str) -> None:
    await call.error(400, "invalid_request", "GET", f"/tasks?cursor={cursor}")


@pytest.mark.parametrize(("type", "path"), TYPES.items())
async def test_each_type_is_made_at_its_path_and_found_by_its_name(call: Caller, type: str, path: str) -> None:
    made = await call.tasked(path, metadata={"shot": "12b"})

    assert set(made) == FIELDS
    assert (made["kind"], made["task_type"], made["status"]) == ("task", type, "ingesting")
    assert (made["progress_percent"], made["progress_stage"], made["metadata"]) == (0, None, {"shot": "12b"})
    assert made["output"] is made["error"] is made["completed_at"] is None
    found = await call.good("GET", f"/tasks?type={type}&status=ingesting")
    assert [task["id"] for task in found["data"]] == [made["id"]]
    assert await call.good("GET", f"/tasks/{made['id']}") == made


async def test_all_statuses_are_told_apart(call: Caller) -> None:
    finished = await call.tasked("transcribe")
    running, failed, cancelled = [await call.tasked() for _ in range(3)]
    await call.fetched(finished["id"])
    await call.mill.succeed(ours(finished["id"]), b"{}", mime="application/json", details={"duration": 12.5})
    await call.fetched(running["id"])
    await call.mill.start(ours(running["id"]))
    await call.mill.fail(ours(failed["id"]), code="source_not_found", message="The source answered 404.")
    stopped = await call.good("DELETE", f"/tasks/{cancelled['id']}", status=200)
    assert await call.good("DELETE", f"/tasks/{cancelled['id']}", status=200) == stopped

    shown = {task["id"]: task for task in (await call.good("GET", "/tasks"))["data"]}
    done = shown[finished["id"]]
    assert (done["status"], done["progress_percent"]) == ("completed", 100)
    assert done["output"]["duration"] == 12.5
    assert done["output"]["width"] is None
    assert done["output"]["size_bytes"] == 2
    assert (await call.mill.http.get(done["output"]["url"])).content == b"{}"
    assert shown[running["id"]]["status"] == "processing"
    assert shown[failed["id"]]["error"] == {"code": "source_not_found", "message": "The source answered 404."}
    assert (stopped["status"], stopped["error"]) == ("cancelled", None)
    assert stopped["completed_at"]
    for status, task in (
        ("completed", finished),
        ("processing", running),
        ("failed", failed),
        ("cancelled", cancelled),
    ):
        assert [t["id"] for t in (await call.good("GET", f"/tasks?status={status}"))["data"]] == [task["id"]]
    told = await call.error(409, "conflict", "DELETE", f"/tasks/{finished['id']}")
    assert told["message"] == "The job is completed; it cannot be cancelled."
    await call.error(409, "conflict", "GET", f"/tasks/{failed['id']}/download")
    answer = await call("GET", f"/tasks/{finished['id']}/download")
    assert answer.status_code == 302
    location = answer.headers["location"]
    assert (await call.mill.http.get(location)).content == b"{}"
    assert (await call.mill.http.get(location[:-1] + ("0" if location[-1] != "0" else "1"))).status_code == 403


async def test_progress_does_not_fall_when_a_task_is_tried_again(call: Caller) -> None:
    made = await call.tasked()
    path = f"/tasks/{made['id']}"

    async def shown() -> tuple[str, int, str | None]:
        found = await call.good("GET", path)
        return found["status"], found["progress_percent"], found["progress_stage"]

    async def moved(taken: Taken, stage: str, progress: float) -> None:
        tick = Tick(task_id=taken.task.id, fence=taken.fence, stage=stage, progress=progress)
        await call.mill.bench.tasks.progress([tick])

    assert await shown() == ("ingesting", 0, None)
    await moved(await call.mill.start(ours(made["id"])), "fetch", 0.9)
    assert await shown() == ("ingesting", 0, "downloading")
    await call.fetched(made["id"])
    assert await shown() == ("queued", 0, None)
    taken = await call.mill.start(ours(made["id"]))
    assert await shown() == ("processing", 0, "compositing")
    await moved(taken, "encode", 0.6)
    assert await shown() == ("processing", 60, "encoding")
    assert await call.mill.bench.finish(taken, State.QUEUED, retry_in_s=0.0)
    assert (await shown())[:2] == ("processing", 60)
    taken = await call.mill.start(ours(made["id"]))
    assert (await shown())[:2] == ("processing", 60)
    await moved(taken, "store", 0.1)
    assert await shown() == ("processing", 60, "uploading")


@pytest.mark.parametrize("stage", ["work", "encode", "store"])
@pytest.mark.parametrize("quicker", [False, True])
async def test_work_is_stopped_in_every_stage_unless_it_is_over_first(call: Caller, stage: str, quicker: bool) -> None:
    made = await call.tasked("transcribe")
    await call.fetched(made["id"])
    taken = await call.mill.start(ours(made["id"]))
    tick = Tick(task_id=taken.task.id, fence=taken.fence, stage=stage, progress=0.5)
    await call.mill.bench.tasks.progress([tick])

    stopping = asyncio.create_task(call("DELETE", f"/tasks/{made['id']}"))
    asked = "SELECT cancel_requested FROM tasks WHERE id = $1"
    while not await call.mill.bench.pool.fetchval(asked, taken.task.id):
        await asyncio.sleep(0)
    assert await call.mill.bench.finish(taken, State.SUCCEEDED if quicker else State.CANCELLED)
    answer = await stopping

    if quicker:
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    else:
        assert (answer.status_code, answer.json()["status"], answer.json()["output"]) == (200, "cancelled", None)


async def test_waiting_ends_with_the_task_or_with_its_time(call: Caller) -> None:
    made = await call.tasked()
    clock = asyncio.get_running_loop()

    started = clock.time()
    assert (await call.good("GET", f"/tasks/{made['id']}?wait=1"))["status"] == "ingesting"
    assert clock.time() - started > 0.9
    waiting = asyncio.create_task(call.good("GET", f"/tasks/{made['id']}?wait=900"))
    await call.mill.fail(ours(made["id"]))
    assert (await asyncio.wait_for(waiting, 60))["status"] == "failed"
    await call.error(422, "invalid_request", "GET", f"/tasks/{made['id']}?wait=soon")


async def test_the_same_key_and_body_answer_the_same_task_however_many_ask_at_once(call: Caller) -> None:
    headers = {"idempotency-key": "one"}
    body = {"source_url": SOURCE, "scale": 3, "metadata": {"a": "1"}}

    answers = await asyncio.gather(*(call("POST", "/tasks/super-resolution", body, headers=headers) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [202]
    assert len({answer.json()["id"] for answer in answers}) == 1
    reordered = {"metadata": {"a": "1"}, "scale": 3, "source_url": SOURCE}
    assert (await call("POST", "/tasks/super-resolution", reordered, headers=headers)).status_code == 200
    await call.error(409, "conflict", "POST", "/tasks/super-resolution", {**body, "note": 1}, headers=headers)
    assert (await call("POST", "/tasks/gaze-redirect", {"source_url": SOURCE}, headers=headers)).status_code == 202


async def test_a_body_is_told_by_its_json_and_not_by_its_spelling(call: Caller) -> None:
    headers = {"idempotency-key": "spelt"}
    first = f'{{"source_url": "{SOURCE}", "scale": 2, "metadata": {{"a": "1", "b": "2"}}}}'
    again = f'{{ "metadata": {{"b": "2", "a": "1"}}, "scale": 2.0, "source_url": "{SOURCE}" }}'

    made = await call("POST", "/tasks/super-resolution", raw=first.encode(), headers=headers)
    same = await call("POST", "/tasks/super-resolution", raw=again.encode(), headers=headers)

    assert (made.status_code, same.status_code) == (202, 200)
    assert made.json()["id"] == same.json()["id"]


async def test_a_refused_request_does_not_use_its_key_up(call: Caller) -> None:
    headers = {"idempotency-key": "two"}

    await call.error(422, "invalid_request", "POST", "/tasks/super-resolution", {"source_url": "x"}, headers=headers)

    assert (await call("POST", "/tasks/super-resolution", {"source_url": SOURCE}, headers=headers)).status_code == 202


@pytest.mark.parametrize(
    ("path", "given", "field"),
    [
        ("super-resolution", {"source_url": None}, "source_url"),
        ("super-resolution", {"source_url": 7}, "source_url"),
        ("super-resolution", {"source_url": "ftp://a/b"}, "source_url"),
        ("super-resolution", {"source_url": "https://a/" + "b" * 2100}, "source_url"),
        ("super-resolution", {"scale": 0.5}, "scale"),
        ("super-resolution", {"scale": "2"}, "scale"),
        ("super-resolution", {"scale_factor": 9}, "scale_factor"),
        ("gaze-redirect", {"intensity": 1.01}, "intensity"),
        ("remove-background", {"output_format": "gif"}, "output_format"),
        ("transcribe", {"speech_model": "best"}, "speech_model"),
        ("transcribe", {"speakers_expected": 11}, "speakers_expected"),
        ("transcribe", {"word_boost": ["a"] * 201}, "word_boost"),
        ("transcribe", {"metadata": {"a": 1}}, "metadata.a"),
        ("transcribe", {"metadata": []}, "metadata"),
        ("transcribe", {"webhook_url": "nowhere"}, "webhook_url"),
    ],
)
async def test_what_cannot_be_taken_is_422_and_names_its_field(
    call: Caller, path: str, given: dict[str, Any], field: str
) -> None:
    error = await call.error(422, "invalid_request", "POST", f"/tasks/{path}", {"source_url": SOURCE, **given})

    assert error["details"]["fields"][0]["path"].startswith(field)
    assert error["message"].startswith(error["details"]["fields"][0]["path"])


@pytest.mark.parametrize("url", ["http://169.254.169.254/x.mp4", "http://10.0.0.1/x.mp4", "http://localhost/x.mp4"])
async def test_a_source_at_a_private_address_is_no_source(call: Caller, url: str) -> None:
    for path, body, place in (
        ("/tasks/transcribe", {"source_url": url}, "source_url"),
        ("/imports", {"url": url}, "url"),
        ("/renders", {"elements": [{"type": "video", "source_url": url}]}, "elements.0.source_url"),
        ("/preview", {"elements": [{"type": "video", "source_url": url}]}, "elements.0.source_url"),
    ):
        error = await call.error(422, "invalid_source", "POST", path, body)
        assert [field["path"] for field in error["details"]["fields"]] == [place]


@pytest.mark.parametrize("raw", [b"", b"{", b"nul", b"\xff", b"[" * 5000, b'{"source_url": NaN}'])
async def test_a_body_that_is_no_json_is_400(call: Caller, raw: bytes) -> None:
    await call.error(400, "invalid_request", "POST", "/tasks/transcribe", raw=raw)


@pytest.mark.parametrize("raw", [b"[]", b"null", b'"x"', b"7", b'{"a":' * 200 + b"1" + b"}" * 200])
async def test_json_that_is_no_object_or_too_deep_is_422(call: Caller, raw: bytes) -> None:
    await call.error(422, "invalid_request", "POST", "/tasks/transcribe", raw=raw)


async def test_unknown_keys_are_ignored_and_null_is_as_absent(call: Caller) -> None:
    made = await call.tasked("remove-background", output_format=None, webhook_url=None, summary=True)

    assert made["status"] == "ingesting"


async def test_what_is_not_the_workspaces_own_is_unknown(call: Caller, stranger: Caller) -> None:
    made = await call.tasked()

    for method in ("GET", "DELETE"):
        await stranger.error(404, "not_found", method, f"/tasks/{made['id']}")
    await call.error(404, "not_found", "GET", f"/renders/{made['id']}")
    await call.error(404, "not_found", "GET", f"/renders/render_{made['id'][5:]}")
    await call.error(404, "not_found", "GET", "/tasks/task_01KH2Z5QF3W8M6C1V0T9R4XYBA")
    await call.error(404, "not_found", "GET", "/nowhere")
    assert (await stranger.good("GET", "/tasks"))["data"] == []


@pytest.mark.parametrize("header", [None, "Bearer", "Bearer ", "Bearer fl_nobody", "Basic eDp5", "fl_key"])
async def test_no_key_or_a_wrong_one_is_401(call: Caller, header: str | None) -> None:
    await call.error(401, "unauthorized", "GET", "/tasks", headers={"authorization": header})


async def test_a_path_takes_its_methods_only(call: Caller) -> None:
    answer = await call("PUT", "/tasks")

    assert answer.status_code == 405
    assert "GET" in answer.headers["allow"]
    assert (await call("OPTIONS", "/tasks", headers={"authorization": None})).status_code == 204


async def test_the_bare_origin_is_served_beside_turbofiles(call: Caller) -> None:
    key = {"authorization": f"Bearer {call.token}"}

    plain = await call.mill.http.get("/v1/tasks", headers=key)
    other = await call.mill.http.get("/v1/tasks", headers={**key, "accept": "application/vnd.api+json"})

    assert set(plain.json()) == {"data", "next_cursor", "has_more"}
    assert (await call.mill.http.get("/openapi.json")).json()["info"]["title"].startswith("Framelane")
    assert other.headers["content-type"].startswith("application/vnd.api+json")


def test_ids_are_ulids_that_turn_back_and_only_ours_do() -> None:
    made = [new_id("task") for _ in range(200)]
    shown = [ids.write("task", id) for id in made]

    assert [ids.read("task", id) for id in shown] == made
    assert sorted(shown) == [ids.write("task", id) for id in sorted(made)]
    for id in shown[:20]:
        for at in (10, 18, 30):
            other = id[:at] + ("0" if id[at] != "0" else "1") + id[at + 1 :]
            with pytest.raises(NotFound):
                ids.read("task", other)
    for number in (1, 5, 1 << 40):
        assert ids.number("evt", ids.numbered("evt", 1_790_000_000_000, number)) == number
    assert ids.number("evt", "evt_01KH2Z5QF3W8M6C1V0T9R4XYBA") is None
