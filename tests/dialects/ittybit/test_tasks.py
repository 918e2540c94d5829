"""Tasks on the wire: created, listed, walked, read, cancelled."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from tests.dialects.ittybit.conftest import ENVELOPE, FLAT, Caller, ours

KEYS = {
    "id", "object", "kind", "status", "progress", "input", "output", "error", "metadata", "created_by", "created_at",
    "updated_at", "started_at", "finished_at", "run_id", "parent_id", "options", "inputs", "outputs",
}  # fmt: skip
INPUT = {
    "kind", "url", "filename", "filesize", "mimetype", "width", "height", "duration", "bitrate", "framerate", "codecs",
}  # fmt: skip


async def test_a_new_task_waits_and_has_every_key(call: Caller) -> None:
    answer = await call(
        "POST", "/tasks", {"kind": "ingest", "url": "https://a.example/b/cat.png", "metadata": {"a": 1}}
    )

    assert answer.status_code == 201
    task = answer.json()
    assert set(task) == KEYS
    assert task["id"].startswith("task_")
    assert len(task["id"]) >= 15
    assert (task["object"], task["kind"], task["status"], task["progress"]) == ("task", "ingest", "waiting", None)
    assert set(task["input"]) == INPUT
    assert task["inputs"] == [task["input"]]
    known = {name: value for name, value in task["input"].items() if value is not None}
    assert known == {"kind": "url", "url": "https://a.example/b/cat.png", "filename": "cat.png"}
    assert task["output"] is None
    assert task["outputs"] == []
    assert task["metadata"] == {"a": 1}
    assert task["created_by"] == task["run_id"]
    assert task["run_id"].startswith("run_")
    assert isinstance(task["created_at"], int)
    assert task["started_at"] is None
    assert answer.headers["location"].endswith(f"/ittybit/tasks/{task['id']}")
    assert answer.headers["api-version"] == "2025-10-01"
    assert "Accept-Version" in answer.headers["vary"]


async def test_a_connection_that_is_not_there_is_named_even_where_none_is_needed(call: Caller) -> None:
    body = {"kind": "ingest", "url": "https://a.example/b", "connection_id": "con_nosuchone1"}
    await call.error(404, "connection_not_found", "POST", "/tasks", body)
    await call.error(404, "connection_not_found", "POST", "/runs", {"tasks": [body]})


async def test_reuse_can_be_switched_off_for_a_task(call: Caller) -> None:
    made = [await call.tasked(), await call.tasked(reuse=False)]

    sql = "SELECT extra -> 'reuse' FROM tasks WHERE id = $1"
    assert [await call.mill.bench.pool.fetchval(sql, ours(task["id"])) for task in made] == [None, False]


async def test_a_task_says_how_it_was_made(call: Caller) -> None:
    task = await call.tasked()
    await call.fetched(ours(task["id"]))
    details = {"engine": "ffmpeg", "remuxed": True, "reused_from": "t0123456789", "destination": {"url": "s3://b/c"}}
    await call.mill.succeed(ours(task["id"]), details=details)

    done = await call.good("GET", f"/tasks/{task['id']}")
    old = await call.speaking(FLAT).good("GET", f"/tasks/{task['id']}")

    assert done["details"] == {"engine": "ffmpeg", "remuxed": True, "reused_from": "task_0123456789"}
    assert old["details"] == done["details"]


async def test_a_package_is_shown_as_the_whole_that_it_is(call: Caller) -> None:
    task = await call.tasked("adaptive_video")
    await call.fetched(ours(task["id"]), mime="video/mp4", name="film.mp4")
    told = {"package_bytes": 1000, "width_px": 640, "height_px": 360, "duration_s": 4.0, "frame_rate": 25.0}
    await call.mill.succeed(ours(task["id"]), mime="application/vnd.apple.mpegurl", details=told)

    output = (await call.good("GET", f"/tasks/{task['id']}"))["output"]
    old = (await call.speaking(FLAT).good("GET", f"/tasks/{task['id']}"))["output"]

    assert [output[n] for n in ("filesize", "bitrate", "width", "framerate")] == [1000, 2000, 640, 25.0]
    assert [old[n] for n in ("kind", "filesize", "height", "duration", "fps")] == ["video", 1000, 360, 4.0, 25.0]


async def test_a_task_that_succeeded_shows_its_file(call: Caller) -> None:
    task = await call.tasked()
    await call.fetched(ours(task["id"]))
    await call.mill.succeed(ours(task["id"]), b"made", facts={"width_px": 3, "height_px": 2})

    done = await call.good("GET", f"/tasks/{task['id']}")

    assert (done["status"], done["progress"], done["error"]) == ("succeeded", 100, None)
    assert done["created_at"] <= done["started_at"] <= done["finished_at"] <= done["updated_at"]
    output = done["output"]
    assert set(output) == INPUT
    assert (output["kind"], output["mimetype"], output["filesize"]) == ("internal", "image/webp", 4)
    assert (output["width"], output["height"], output["duration"]) == (3, 2, None)
    assert output["codecs"]["video"]["name"] == "webp"
    assert done["outputs"] == [output]


async def test_walking_pages_meets_each_task_once_in_either_order(call: Caller) -> None:
    made = [(await call.tasked())["id"] for _ in range(7)]

    for order, expected in (("asc", made), ("desc", made[::-1])):
        seen: list[str] = []
        url = f"/tasks?limit=3&order={order}&kind=ingest"
        while url:
            answer = await call("GET", url)
            seen += [task["id"] for task in answer.json()]
            assert answer.headers["limit"] == "3"
            more = answer.headers["has-more"] == "true"
            assert more == (len(seen) < 7)
            if more:
                link, rel = answer.headers["link"].split("; ")
                assert rel == 'rel="next"'
                assert "kind=ingest" in link
                url = link.strip("<>")
            else:
                url = ""
        assert seen == expected


async def test_before_shows_those_immediately_preceding(call: Caller) -> None:
    made = [(await call.tasked())["id"] for _ in range(5)]

    answer = await call("GET", f"/tasks?limit=2&order=asc&before={made[4]}")
    first = await call("GET", f"/tasks?limit=2&order=asc&before={made[1]}")

    assert [task["id"] for task in answer.json()] == made[2:4]
    assert answer.headers["has-more"] == "true"
    assert [task["id"] for task in first.json()] == made[:1]
    assert first.headers["has-more"] == "false"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("limit=0", "limit"),
        ("limit=101", "100"),
        ("limit=", "limit"),
        ("limit=1e3", "limit"),
        ("order=up", "asc, desc"),
        ("order=", "order"),
        ("status=done", "waiting, validating, queued, processing, finishing, succeeded, failed, cancelled"),
        ("status=ready", "succeeded"),
        ("kind=film", "adaptive_video"),
        ("after=task_nosuchtask1", "after"),
        ("after=", "after"),
        ("before=rubbish", "before"),
        ("run_id=", "run_id"),
    ],
)
async def test_a_query_that_cannot_be_is_refused_by_name(call: Caller, query: str, words: str) -> None:
    assert words in await call.error(400, "request_invalid", "GET", f"/tasks?{query}")


async def test_both_cursors_at_once_are_refused(call: Caller) -> None:
    id = (await call.tasked())["id"]

    message = await call.error(400, "request_invalid", "GET", f"/tasks?after={id}&before={id}")

    assert "after" in message
    assert "before" in message


async def test_filters_combine(call: Caller) -> None:
    one, two = await call.tasked(), await call.tasked()
    await call.good("POST", f"/tasks/{two['id']}/cancel")

    async def ids(query: str) -> list[str]:
        return [task["id"] for task in await call.good("GET", f"/tasks?{query}")]

    assert await ids("status=waiting") == [one["id"]]
    assert await ids("status=cancelled&kind=ingest") == [two["id"]]
    assert await ids(f"run_id={one['run_id']}") == [one["id"]]
    assert await ids(f"created_by={one['run_id']}&run_id={one['run_id']}") == [one["id"]]
    assert await ids(f"created_by={one['run_id']}&run_id={two['run_id']}") == []
    assert await ids("run_id=run_nosuchrun12") == []
    assert await ids("created_by=key_x") == []
    assert await ids("unknown=1&status=failed") == []


@pytest.mark.parametrize(
    ("body", "kind", "words"),
    [
        ({}, "request_invalid", "kind"),
        ({"kind": "film", "url": "https://a.example/b"}, "request_invalid", "adaptive_video"),
        ({"kind": 3, "url": "https://a.example/b"}, "request_invalid", "kind"),
        ({"kind": "ingest"}, "url_required", "url"),
        ({"kind": "ingest", "url": "ftp://a.example/b"}, "request_invalid", "url"),
        ({"kind": "ingest", "url": 3}, "request_invalid", "url"),
        ({"kind": "ingest", "url": "https://a.example", "input": "https://a.example"}, "request_invalid", "input"),
        ({"kind": "ingest", "url": "https://a.example", "options": []}, "request_invalid", "options"),
        ({"kind": "ingest", "url": "https://a.example", "options": {"sparkle": 1}}, "request_invalid", "sparkle"),
        ({"kind": "ingest", "url": "https://a.example", "metadata": 3}, "request_invalid", "metadata"),
        ({"kind": "ingest", "url": "https://a.example", "metadata": {"a": "x" * 17000}}, "request_invalid", "metadata"),
        ({"kind": "prompt", "url": "https://a.example"}, "kind_unavailable", "prompt"),
        ({"kind": "ingest", "url": "http://127.0.0.1/a"}, "request_invalid", "url"),
        (
            {"kind": "video", "url": "https://a.example/b", "options": {"subtitle_url": "nowhere"}},
            "request_invalid",
            "subtitle_url",
        ),
        (
            {
                "kind": "video",
                "url": "https://a.example/b",
                "layers": [{"kind": "text", "text": "a"}, {"kind": "image", "url": "c"}],
            },
            "request_invalid",
            "layers.1.url",
        ),
        ({"kind": "ingest", "url": "https://a.example/b", "destination": "s3://b"}, "request_invalid", "destination: "),
    ],
)
async def test_a_task_that_cannot_be_is_refused_by_name(call: Caller, body: Any, kind: str, words: str) -> None:
    assert words in await call.error(400, kind, "POST", "/tasks", body)


async def test_options_that_are_null_are_not_set(call: Caller) -> None:
    options = {"width": 300, "height": None, "format": None, "quality": None, "start": None}
    body = {"kind": "image", "url": "https://a.example/b.png", "options": options}

    task = await call.good("POST", "/tasks", body)

    assert task["options"] == options
    assert "sparkle" in await call.error(400, "request_invalid", "POST", "/tasks", body | {"options": {"sparkle": 1}})


async def test_an_unknown_file_is_not_found(call: Caller) -> None:
    body = {"kind": "ingest", "file_id": "file_nosuchfile1"}

    assert "file_id" in await call.error(404, "file_not_found", "POST", "/tasks", body)


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b"3", b"null", b"\xff\xfe", b"[" * 100_000])
async def test_a_body_that_is_no_object_is_refused(call: Caller, raw: bytes) -> None:
    await call.error(400, "request_invalid", "POST", "/tasks", raw=raw)


async def test_unknown_keys_beside_the_options_are_let_be(call: Caller) -> None:
    task = await call.tasked(sparkle=1, input=None)

    assert task["options"] == {}


async def test_cancelling_twice_says_the_same_and_an_end_is_final(call: Caller) -> None:
    id = (await call.tasked())["id"]

    first = await call.good("POST", f"/tasks/{id}/cancel", status=200)
    again = await call.good("POST", f"/tasks/{id}/cancel", status=200)

    assert first["status"] == again["status"] == "cancelled"
    assert first["finished_at"] is not None
    await call.error(404, "task_not_found", "POST", "/tasks/task_nosuchtask1/cancel")


async def test_another_projects_tasks_are_not_there(call: Caller) -> None:
    id = (await call.tasked())["id"]
    other = Caller(call.mill, await call.mill.token("another"))

    await other.error(404, "task_not_found", "GET", f"/tasks/{id}")
    await other.error(400, "request_invalid", "GET", f"/tasks?after={id}")


async def test_repeats_that_come_while_the_first_is_at_work_wait_for_its_answer(call: Caller) -> None:
    body, key = {"kind": "ingest", "url": "https://files.example/cat.png"}, {"idempotency-key": "at-the-same-time"}

    answers = await asyncio.gather(*(call("POST", "/tasks", body, headers=key) for _ in range(8)))

    assert sorted(answer.status_code for answer in answers) == [200] * 7 + [201]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_a_repeat_with_the_same_key_makes_no_second_task(call: Caller) -> None:
    body = {"kind": "ingest", "url": "https://a.example/b.png"}
    key = {"idempotency-key": "0123456789abcdef"}

    first = await call("POST", "/tasks", body, headers=key)
    again = await call("POST", "/tasks", body, headers=key)
    reworded = b'{ "url": "https://a.example/b.png",\n "kind": "ingest" }'
    other_way = await call("POST", "/tasks", raw=reworded, headers=key)

    assert (first.status_code, again.status_code, other_way.status_code) == (201, 200, 200)
    assert first.json() == again.json() == other_way.json()
    await call.error(409, "idempotency_conflict", "POST", "/tasks", {**body, "metadata": {}}, headers=key)
    for wrong in ("short", "x" * 33):
        message = await call.error(400, "request_invalid", "POST", "/tasks", body, headers={"idempotency-key": wrong})
        assert "Idempotency-Key" in message


async def test_the_flat_profile_has_legacy_words_and_instants(call: Caller) -> None:
    flat = call.speaking(FLAT)

    task = await flat.tasked()
    [listed] = await flat.good("GET", "/tasks")

    assert (task["status"], task["object"], task["error"]) == ("pending", "task", None)
    assert task["created"].endswith("Z")
    assert len(task["created"]) == 24
    assert "created_at" not in task
    assert listed["id"] == task["id"]
    assert task["input"]["url"] == "https://files.example/cat.png"
    assert [t["id"] for t in await flat.good("GET", "/tasks?status=pending")] == [task["id"]]


async def test_the_envelope_wraps_objects_lists_and_errors(call: Caller) -> None:
    old = call.speaking(ENVELOPE)
    tasks = [(await old.tasked())["data"] for _ in range(3)]

    one = await old.good("GET", f"/tasks/{tasks[0]['id']}")
    page = await old.good("GET", "/tasks?page=2&limit=2")
    past = await old.good("GET", "/tasks?page=9&limit=2")
    error = (await old("GET", "/tasks/task_nosuchtask1")).json()

    assert set(one) == {"meta", "data", "error", "links"}
    assert one["meta"]["type"] == "object"
    assert one["meta"]["request_id"].startswith("req_")
    assert one["meta"]["org_id"].startswith("org_")
    assert one["links"]["self"].endswith(tasks[0]["id"])
    assert [t["id"] for t in page["data"]] == [tasks[0]["id"]]
    numbers = {name: page["meta"][name] for name in ("type", "limit", "total", "page", "pages")}
    assert numbers == {"type": "list", "limit": 2, "total": 3, "page": 2, "pages": 2}
    assert page["links"]["next"] is None
    assert "page=1" in page["links"]["prev"]
    assert past["data"] == []
    assert (error["data"], error["meta"]["type"]) == (None, "error")
    assert error["error"]["message"]


async def test_pages_by_number_have_their_links_in_a_header(call: Caller) -> None:
    flat = call.speaking(FLAT)
    for _ in range(3):
        await flat.tasked()

    answer = await flat("GET", "/tasks?limit=1&page=2&kind=ingest")

    assert len(answer.json()) == 1
    rels = dict(part.split("; ")[::-1] for part in answer.headers["links"].split(", "))
    assert set(rels) == {f'rel="{rel}"' for rel in ("self", "first", "prev", "next", "last")}
    assert "page=3" in rels['rel="last"']
    await flat.error(400, "request_invalid", "GET", "/tasks?page=0")


async def test_the_catalogue_names_each_kind_and_its_options(call: Caller) -> None:
    found = await call.good("GET", "/tasks-config")

    assert found["ingest"]["available"] is True
    assert "options" in found["ingest"]
