"""Contract sections 5 and 6: pages, cursors, include, sparse fields, sort, filter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote, urlsplit

import pytest
from tests.dialects.turbofiles.conftest import Caller
from tests.support.inprocess import InProcess

from mediamill.core.tasks import State

START = datetime(2025, 3, 4, 10, 20, 30, 123456, tzinfo=UTC)
PROFILE = "https://jsonapi.org/profiles/ethanresnick/cursor-pagination"


async def made(call: Caller, count: int) -> list[str]:
    """Tasks a second apart, newest first; the newest is at START."""
    file = await call.uploaded()
    ids = [await call.converting(file) for _ in range(count)]
    for n, id in enumerate(reversed(ids)):
        await call.mill.bench.pool.execute(
            "UPDATE tasks SET created_at = $2 WHERE id = $1", id, START - timedelta(seconds=n)
        )
    return ids[::-1]


async def page(call: Caller, query: str | None = None, path: str = "/v1/tasks") -> tuple[list[str], Any]:
    """(ids, document) of a page, by query or by the whole link."""
    url = path if query is None else query if query.startswith("http") else f"{path}?{query}"
    answer = await call("GET", url)
    assert answer.status_code == 200, answer.text
    document = answer.json()
    return [item["id"] for item in document["data"]], document


def at(seconds: int = 0, micros: int = 0) -> str:
    return (START - timedelta(seconds=seconds) + timedelta(microseconds=micros)).isoformat().replace("+00:00", "Z")


async def test_an_empty_list_has_all_its_members(call: Caller) -> None:
    empty = {"jsonapi": {"version": "1.1"}, "meta": {"rangeTruncated": False}, "links": {"prev": None, "next": None}}

    assert (await call("GET", "/v1/tasks")).json() == {**empty, "data": [], "included": []}
    assert (await call("GET", "/v1/files")).json() == {**empty, "data": []}


async def test_a_plain_page_is_the_newest_ten(call: Caller) -> None:
    ids = await made(call, 12)

    shown, document = await page(call, "")

    assert shown == ids[:10]
    assert document["meta"] == {"rangeTruncated": True}
    assert document["links"]["prev"] is None
    assert document["links"]["next"].startswith(
        "http://mill.test/turbofiles/v1/tasks?page%5Bsize%5D=10&page%5Bafter%5D="
    )
    assert len(document["included"]) == 1  # all twelve have the same input


async def test_links_walk_every_item_once_there_and_back(call: Caller) -> None:
    ids = await made(call, 7)

    seen, document = await page(call, "page[size]=3")
    forward = [seen]
    while document["links"]["next"]:
        seen, document = await page(call, document["links"]["next"])
        forward.append(seen)
    assert forward == [ids[0:3], ids[3:6], ids[6:7]]
    assert document["meta"]["rangeTruncated"] is False

    seen, document = await page(call, document["links"]["prev"])
    assert seen == ids[3:6]
    assert document["meta"]["rangeTruncated"] is True
    seen, document = await page(call, document["links"]["prev"])
    assert seen == ids[0:3]
    assert document["links"]["prev"] is None
    assert document["meta"]["rangeTruncated"] is False
    assert (await page(call, document["links"]["next"]))[0] == ids[3:6]


async def test_new_items_do_not_shift_a_page_behind_a_cursor(call: Caller) -> None:
    ids = await made(call, 4)
    link = (await page(call, "page[size]=2"))[1]["links"]["next"]

    await call.converting()

    assert (await page(call, link))[0] == ids[2:4]


async def test_the_cursor_of_a_deleted_file_keeps_working(call: Caller) -> None:
    ids = [await call.uploaded() for _ in range(4)][::-1]
    link = (await page(call, "page[size]=2", "/v1/files"))[1]["links"]["next"]

    await call("DELETE", f"/v1/files/{ids[1]}")

    assert (await page(call, link))[0] == ids[2:4]


async def test_items_of_one_instant_are_told_apart_by_their_id(call: Caller) -> None:
    ids = await made(call, 5)
    await call.mill.bench.pool.execute("UPDATE tasks SET created_at = $2 WHERE id = ANY($1)", ids, START)

    seen, document = await page(call, "page[size]=2")
    while document["links"]["next"]:
        more, document = await page(call, document["links"]["next"])
        seen += more

    assert seen == sorted(ids, reverse=True)


@pytest.mark.parametrize("encode", [str, quote], ids=["raw", "encoded"])
async def test_a_bare_instant_is_a_cursor(call: Caller, encode: Any) -> None:
    ids = await made(call, 6)

    assert (await page(call, f"{encode('page[after]')}={encode(at(2))}"))[0] == ids[3:]
    assert (await page(call, f"{encode('page[before]')}={encode(at(2))}"))[0] == ids[:2]
    assert (await page(call, f"page[before]={encode(at(3))}&page[size]=2"))[0] == ids[1:3]
    assert (await page(call, f"page[after]={encode(at(2))}&sort=created_at"))[0] == ids[:2][::-1]
    assert (await page(call, f"page[before]={encode(at(2))}&sort=created_at"))[0] == ids[3:][::-1]


async def test_an_instant_may_be_finer_or_in_another_zone(call: Caller) -> None:
    ids = await made(call, 3)
    finer = at(1).replace("Z", "001Z")

    assert (await page(call, f"page[after]={finer}"))[0] == ids[1:]
    assert (await page(call, f"page[before]={finer}"))[0] == ids[:1]
    assert (await page(call, f"page[before]={finer}&sort=created_at"))[0] == ids[1:][::-1]
    for zone in (f"{at(1)[:-1]}+00:00", f"{at(1)[:-1]}%2B00:00", at(1).lower(), "2025-03-04T12:20:29.123456%2B02:00"):
        assert (await page(call, f"page[after]={zone}"))[0] == ids[2:], zone
    assert (await page(call, "page[after]=2025-03-04T10:20:30Z"))[0] == ids[1:]


async def test_both_cursors_are_a_range(call: Caller) -> None:
    ids = await made(call, 12)
    between = f"page[after]={at(1)}&page[before]={at(9)}"

    whole, document = await page(call, between)
    assert whole == ids[2:9]
    assert document["meta"]["rangeTruncated"] is False
    assert document["links"]["next"] is None

    seen, document = await page(call, f"{between}&page[size]=3")
    assert document["meta"]["rangeTruncated"] is True
    while document["links"]["next"]:
        more, document = await page(call, document["links"]["next"])
        seen += more
    assert seen == whole

    assert (await page(call, f"page[after]={at(9)}&page[before]={at(1)}"))[0] == []


async def test_a_range_shows_a_hundred_unless_told(call: Caller) -> None:
    newest, _ = await made(call, 2)
    far = "page[after]=2030-01-01T00:00:00Z&page[before]=2000-01-01T00:00:00Z"

    await call.mill.bench.pool.execute(
        "INSERT INTO tasks (id, project_id, run_id, kind, dialect, queue, state, options, extra, priority,"
        " attempts_left, max_attempts, inputs, created_at)"
        " SELECT t.id || n, project_id, run_id, kind, dialect, queue, state, options, extra, priority, attempts_left,"
        " max_attempts, inputs, created_at - n * interval '1 s'"
        " FROM (SELECT * FROM tasks WHERE id = $1) t, generate_series(2, 110) n",
        newest,
    )
    seen, document = await page(call, far)

    assert len(seen) == 100
    assert document["meta"]["rangeTruncated"] is True


async def test_links_of_an_empty_page_lead_back(call: Caller) -> None:
    ids = await made(call, 2)

    seen, document = await page(call, f"page[after]={at(60)}")

    assert seen == []
    assert document["links"]["next"] is None
    assert (await page(call, document["links"]["prev"]))[0] == ids


async def test_links_repeat_the_other_parameters(call: Caller) -> None:
    await made(call, 3)
    given = {"page[size]": "1", "include": "output", "sort": "created_at", "fields[tasks]": "status,input"}
    given |= {"filter[status]": "PENDING,FAILED"}

    _, document = await page(call, "&".join(f"{quote(name)}={quote(value)}" for name, value in given.items()))

    link = urlsplit(document["links"]["next"])
    assert "[" not in link.query
    found = dict(parse_qsl(link.query))
    assert found.pop("page[after]")
    assert found == given


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/files"])
@pytest.mark.parametrize(
    ("query", "parameter"),
    [
        ("page[size]=0", "page[size]"), ("page[size]=00", "page[size]"), ("page[size]=", "page[size]"),
        ("page[size]=-1", "page[size]"), ("page[size]=x", "page[size]"), ("page[size]=1.0", "page[size]"),
        ("page[size]=%2B5", "page[size]"), ("page[size]=%D9%A3", "page[size]"), ("page[size]=+5", "page[size]"),
        ("page[after]=", "page[after]"), ("page[after]=nonsense", "page[after]"), ("page[after]=%00", "page[after]"),
        ("page[after]=OTk5OTk5OTk5OTk5OTk5OTk5LmY", "page[after]"), ("page[after]=%F0%9F%90%B4", "page[after]"),
        ("page[after]=2025-02-30T00:00:00Z", "page[after]"), ("page[after]=2025-03-04T10:20:30", "page[after]"),
        ("page[before]=0000-01-01T00:00:00Z", "page[before]"), ("page[before]=2025-03-04", "page[before]"),
        ("page[before]=0001-01-01T00:00:00%2B23:59", "page[before]"),
        ("page[before]=2025-03-04T10:20:30%2B99:00", "page[before]"),
        ("page[number]=1", "page[number]"), ("page[]=1", "page[]"), ("page=1", "page"),
        ("page[size]x=1", "page[size]x"),
        ("page[size]=1&page[size]=2", "page[size]"),
        ("sort=", "sort"), ("sort=size", "sort"), ("sort=-created_at,id", "sort"),
        ("fields[users]=id", "fields[users]"), ("fields=status", "fields"), ("limit=5", "limit"),
        ("=", ""), ("a%00=", "a\0"),
        ("filter[kind]=x", "filter[kind]"), ("filter=x", "filter"), ("%ED%A0%80=1", "\ufffd\ufffd\ufffd"),
    ],
)  # fmt: skip
async def test_a_parameter_that_cannot_be_taken_is_400_by_name(
    call: Caller, path: str, query: str, parameter: str
) -> None:
    error = await call.error(400, "GET", f"{path}?{query}")

    assert error["source"] == {"parameter": parameter}
    assert error["meta"]["reason"] == "invalid_parameter"


@pytest.mark.parametrize("size", ["101", "1000", "9" * 5000])
async def test_too_large_a_page_names_the_largest(call: Caller, size: str) -> None:
    error = await call.error(400, "GET", f"/v1/tasks?page[size]={size}")

    assert error["source"] == {"parameter": "page[size]"}
    assert error["meta"]["page"] == {"maxSize": 100}
    assert error["links"] == {"type": [f"{PROFILE}/max-size-exceeded"]}


async def test_an_unsupported_sort_says_so(call: Caller) -> None:
    assert (await call.error(400, "GET", "/v1/tasks?sort=status"))["links"] == {"type": [f"{PROFILE}/unsupported-sort"]}


async def test_a_thousand_parameters_are_400(call: Caller) -> None:
    await call.error(400, "GET", "/v1/tasks?" + "&".join(f"p{n}=1" for n in range(1000)))


@pytest.mark.parametrize(
    ("method", "path", "parameter"),
    [
        ("GET", "/v1/files?include=input", "include"), ("GET", "/v1/tasks?include=input,owner", "include"),
        ("GET", "/v1/files/x?include=", "include"), ("GET", "/v1/files/x?page[size]=1", "page[size]"),
        ("GET", "/v1/tasks/x?include=input.output", "include"), ("GET", "/v1/tasks/x?sort=created_at", "sort"),
        ("GET", "/v1/tasks/x/input?include=input", "include"), ("GET", "/v1/tasks/x/relationships/input?x=1", "x"),
        ("GET", "/v1/users/me?verbose=1", "verbose"), ("DELETE", "/v1/files/x?force=1", "force"),
        ("GET", "/v1/files?filter[status]=PENDING", "filter[status]"),
        ("GET", "/v1/tasks?filter[status]=", "filter[status]"),
        ("GET", "/v1/tasks?filter[status]=pending", "filter[status]"),
        ("GET", "/v1/tasks?filter[status]=PENDING,DONE", "filter[status]"),
    ],
)  # fmt: skip
async def test_parameters_are_refused_where_they_mean_nothing(
    call: Caller, method: str, path: str, parameter: str
) -> None:
    assert (await call.error(400, method, path))["source"] == {"parameter": parameter}


async def test_include_says_which_files_come_along(call: Caller, mill: InProcess) -> None:
    file = await call.uploaded()
    task = await call.converting(file)
    await mill.succeed(task)
    output = (await call.data("GET", f"/v1/tasks/{task}/output"))["id"]

    async def included(path: str) -> list[str]:
        return [one["id"] for one in (await call("GET", path)).json()["included"]]

    for path in (f"/v1/tasks/{task}", "/v1/tasks"):
        assert await included(path) == [file, output]
        assert await included(f"{path}?include=input") == [file]
        assert await included(f"{path}?include=output") == [output]
        assert await included(f"{path}?include=output,input") == [file, output]
        assert await included(f"{path}?include=") == []


async def test_fields_leave_out_what_is_not_named(call: Caller) -> None:
    task = await call.converting()

    for path in (f"/v1/tasks/{task}", "/v1/tasks"):
        document = (await call("GET", f"{path}?fields[tasks]=status,input,nonsense&fields%5Bfiles%5D=size")).json()
        found = document["data"] if isinstance(document["data"], dict) else document["data"][0]
        assert found["attributes"] == {"status": "PENDING"}
        assert list(found["relationships"]) == ["input"]
        assert found["links"]["self"].endswith(task)
        assert list(document["included"][0]["attributes"]) == ["size"]
    document = (await call("GET", f"/v1/tasks/{task}?fields[tasks]=")).json()
    assert (document["data"]["attributes"], document["data"]["relationships"]) == ({}, {})
    assert list(document["included"][0]["attributes"]) == ["format", "size", "created_at", "updated_at"]


async def test_lists_can_be_sorted_oldest_first(call: Caller) -> None:
    ids = await made(call, 3)

    seen, document = await page(call, "sort=created_at&page[size]=2")

    assert seen == ids[::-1][:2]
    assert (await page(call, document["links"]["next"]))[0] == ids[:1]
    assert (await page(call, "sort=-created_at"))[0] == ids


async def test_tasks_can_be_filtered_by_status(call: Caller, mill: InProcess) -> None:
    pending, running, waiting, done, failed, cancelled = reversed(await made(call, 6))
    await mill.start(running)
    taken = await mill.start(waiting)
    await mill.bench.finish(taken, State.DELAYED, retry_in_s=60.0)
    await mill.succeed(done)
    await mill.fail(failed)
    await mill.http.post(f"/mill/tasks/{cancelled}/cancel", headers={"authorization": f"Bearer {call.token}"})

    async def found(words: str) -> list[str]:
        return (await page(call, f"filter[status]={words}"))[0]

    assert await found("PENDING") == [pending]
    assert await found("PROCESSING") == [waiting, running]
    assert await found("COMPLETED") == [done]
    assert await found("FAILED") == [cancelled, failed]
    assert await found("PENDING,PROCESSING") == [waiting, running, pending]
    assert await found("PENDING,COMPLETED") == [done, pending]
    assert await found("PROCESSING,FAILED") == [cancelled, failed, waiting, running]
    for words in ("PENDING", "PROCESSING", "COMPLETED", "FAILED"):
        _, document = await page(call, f"filter[status]={words}")
        assert {task["attributes"]["status"] for task in document["data"]} == {words}


async def test_pages_stay_full_beside_tasks_that_have_no_words_here(call: Caller, mill: InProcess) -> None:
    ids = await made(call, 4)
    for _ in range(5):
        await mill.http.post("/mill/tasks", json={"kind": "ping"}, headers={"authorization": f"Bearer {call.token}"})

    seen, document = await page(call, "page[size]=3")

    assert seen == ids[:3]
    assert (await page(call, document["links"]["next"]))[0] == ids[3:]


async def test_lists_hold_only_ones_own(call: Caller) -> None:
    other = Caller(call.mill, await call.mill.token("stranger"))
    await other.converting()

    assert (await page(call, ""))[0] == []
    assert (await page(call, "", "/v1/files"))[0] == []
