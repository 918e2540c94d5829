"""The surface that Trigger.dev's clients read: each row of the contract's tables, and what goes wrong."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.dialects.recoup.conftest import Caller

from mediamill import __version__

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRIGGER = "/api/v1/tasks/customer-prompt-task/trigger"
SCHEDULES = "/api/v1/schedules"
PLAN = {"task": "customer-prompt-task", "cron": "0 9 * * *", "deduplicationKey": "k"}
NOWHERE = "run_" + "0" * 21


async def start(call: Caller, **body: Any) -> str:
    found: str = (await call.good("POST", TRIGGER, body))["id"]
    return found


async def retrieve(call: Caller, run: str) -> Any:
    return await call.good("GET", f"/api/v3/runs/{run}")


async def listed(call: Caller, query: str = "", *, size: int = 100) -> list[str]:
    found = await call.good("GET", f"/api/v1/runs?page[size]={size}{query}")
    return [run["id"] for run in found["data"]]


@pytest.mark.parametrize(
    ("kind", "text", "payload"),
    [
        (None, {"a": 1}, {"a": 1}),
        (None, "as it is", "as it is"),
        ("application/json", '{"a": [1, null]}', {"a": [1, None]}),
        ("application/json", "null", None),
        ("application/super+json", '{"json": {"at": "2026"}, "meta": {"values": {"at": ["Date"]}}}', {"at": "2026"}),
        ("application/super+json", '{"json": [1, 2]}', [1, 2]),
        ("text/plain", "plain", "plain"),
    ],
)  # fmt: skip
async def test_payloads_are_kept_as_they_were_before_they_were_text(
    call: Caller, kind: str | None, text: Any, payload: Any
) -> None:
    run = await start(call, payload=text, options={} if kind is None else {"payloadType": kind})

    assert (await retrieve(call, run)).get("payload") == payload


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({"options": {"delay": "soon"}}, ["options", "delay"]),
        ({"options": {"delay": 3}}, ["options", "delay"]),
        ({"options": {"ttl": "soon"}}, ["options", "ttl"]),
        ({"options": {"ttl": -1}}, ["options", "ttl"]),
        ({"options": {"tags": ["a"] * 3 + [""]}}, ["options", "tags", 1]),
        ({"options": {"tags": ["a" * 129]}}, ["options", "tags", 0]),
        ({"options": {"tags": [f"t{n}" for n in range(11)]}}, ["options", "tags"]),
        ({"options": {"idempotencyKey": "k" * 2049}}, ["options", "idempotencyKey"]),
        ({"options": {"idempotencyKey": "k", "idempotencyKeyTTL": "soon"}}, ["options", "idempotencyKeyTTL"]),
        ({"options": {"maxAttempts": "3"}}, ["options", "maxAttempts"]),
        ({"options": {"maxAttempts": 0}}, ["options", "maxAttempts"]),
        ({"options": {"maxDuration": 0}}, ["options", "maxDuration"]),
        ({"options": {"metadata": [1]}}, ["options", "metadata"]),
        ({"options": {"metadata": "{"}}, ["options", "metadata"]),
        ({"payload": "[" * 100 + "]" * 100, "options": {"payloadType": "application/json"}}, ["payload"]),
        ({"options": {"parentRunId": "x"}}, ["options", "parentRunId"]),
        ({"payload": "{", "options": {"payloadType": "application/json"}}, ["payload"]),
        ({"payload": "{}", "options": {"payloadType": "application/super+json"}}, ["payload"]),
        ({"payload": "a", "options": {"payloadType": "application/store"}}, ["options", "payloadType"]),
        ({"options": 3}, ["options"]),
        ([], []),
    ],
)
async def test_a_bad_body_is_refused_where_it_is_wrong(call: Caller, body: Any, path: list[str]) -> None:
    said = await call.bad(400, "POST", TRIGGER, body)

    assert set(said) == {"error", "issues"}
    assert said["error"] == "Invalid request body"
    [issue] = said["issues"]
    assert "" not in (issue["message"], issue["code"])
    assert issue["path"] == path
    assert await listed(call) == []


async def test_no_body_is_no_payload_and_no_json_is_refused(call: Caller) -> None:
    assert (await call.good("POST", TRIGGER))["isCached"] is False
    assert (await call.bad(400, "POST", TRIGGER, raw=b"{"))["issues"][0]["message"] == "Invalid JSON body"


async def test_a_payload_has_its_bounds(call: Caller) -> None:
    assert set(await call.bad(413, "POST", TRIGGER, {"payload": "x" * (1 << 20)})) == {"error"}
    assert set(await call.bad(413, "POST", TRIGGER, {"payload": "x" * (3 << 20)})) == {"error"}
    many = {"items": [{"task": "customer-prompt-task", "payload": "x" * (1 << 20)}]}
    assert set(await call.bad(413, "POST", "/api/v2/tasks/batch", many)) == {"error"}
    assert await listed(call) == []


async def test_ten_tags_are_a_callers_own(call: Caller) -> None:
    ten = [f"t{n}" for n in range(10)]
    run = await start(call, options={"tags": ten})

    assert (await retrieve(call, run))["tags"] == [f"account:{await call.account()}", *ten]
    said = await call.bad(422, "POST", f"/api/v1/runs/{run}/tags", {"tags": "more"})
    assert set(said) == {"error"}
    assert (await call.good("POST", f"/api/v1/runs/{run}/tags", {"tags": ["t1"]}))["message"]


async def test_a_key_answers_the_run_it_was_first_used_for(call: Caller) -> None:
    hashed = {"idempotencyKey": "0f" * 32, "idempotencyKeyOptions": {"key": "mine", "scope": "global"}}
    first = await call.good("POST", TRIGGER, {"payload": 1, "options": hashed})
    again = await call.good("POST", TRIGGER, {"payload": 2, "options": hashed})
    other = await call.good("POST", TRIGGER, {"options": {**hashed, "idempotencyKey": "1f" * 32}})

    assert (first["isCached"], again["isCached"], other["isCached"]) == (False, True, False)
    assert again["id"] == first["id"] != other["id"]
    found = await retrieve(call, first["id"])
    assert (found["idempotencyKey"], found["payload"]) == ("mine", 1)


async def test_a_key_is_told_from_others_whatever_it_is_made_of(call: Caller) -> None:
    """An entry of an index of the database has less room than 2048 characters may take."""
    long = "".join(chr(0x10000 + n * 97 % 0xFFFF) for n in range(2047))
    first, again, other = [
        await call.good("POST", TRIGGER, {"options": {"idempotencyKey": key}})
        for key in (f"{long}a", f"{long}a", f"{long}b")
    ]
    assert again == {"id": first["id"], "isCached": True}
    assert other["isCached"] is False
    assert (await retrieve(call, first["id"]))["idempotencyKey"] == f"{long}a"

    for key in (f"{long}a", "a\0b", "\0"):
        batch, again = [
            await call.good("POST", "/api/v3/batches", {"runCount": 1, "idempotencyKey": key}) for _ in range(2)
        ]
        assert (again["id"], again["isCached"], again["idempotencyKey"]) == (batch["id"], True, key)

    path = f"/api/v1/tasks/{''.join(hashlib.sha256(bytes([n])).hexdigest() for n in range(60))}"
    said = await call.bad(404, "POST", f"{path}/trigger", {}, headers={"x-trigger-request-idempotency-key": "k" * 200})
    assert said["error"].endswith("not found")


async def test_a_request_sent_again_is_answered_as_before(call: Caller) -> None:
    headers = {"x-trigger-request-idempotency-key": "9b2f"}

    first = await call.good("POST", TRIGGER, {"payload": 1}, headers=headers)
    again = await call.good("POST", TRIGGER, {"payload": 1}, headers=headers)
    other = await call.good("POST", TRIGGER, {"payload": 1}, headers={"x-trigger-request-idempotency-key": "9b30"})

    assert again == first
    assert other["id"] != first["id"]
    assert len(await listed(call)) == 2
    made = await call.good("POST", SCHEDULES, PLAN, headers=headers)
    assert await call.good("DELETE", f"{SCHEDULES}/{made['id']}", headers=headers) == {"id": made["id"]}
    assert await call.good("DELETE", f"{SCHEDULES}/{made['id']}", headers=headers) == {"id": made["id"]}


async def test_what_is_not_there_is_told_in_few_words(call: Caller) -> None:
    assert await call.bad(404, "POST", "/api/v1/tasks/no-such/trigger", {}) == {
        "error": "Task with identifier 'no-such' not found"
    }
    for id in (NOWHERE, "run_", "x", "batch_1"):
        assert await call.bad(404, "GET", f"/api/v3/runs/{id}") == {"error": "Run not found"}
    assert await call.bad(404, "POST", f"/api/v1/runs/{NOWHERE}/reschedule", {"delay": "1h"}) == {
        "error": "Run not found"
    }
    assert await call.bad(404, "PUT", f"/api/v1/runs/{NOWHERE}/metadata", {"metadata": {}}) == {
        "error": "Run not found"
    }
    for token in ("sched_1", "x", "s0"):
        assert await call.bad(404, "GET", f"{SCHEDULES}/{token}") == {"error": "Schedule not found"}


async def test_only_a_delayed_run_is_put_off(call: Caller) -> None:
    queued, delayed = await start(call), await start(call, options={"delay": "2d"})

    assert set(await call.bad(400, "POST", f"/api/v1/runs/{queued}/reschedule", {"delay": "1h"})) == {"error"}
    said = await call.bad(400, "POST", f"/api/v1/runs/{delayed}/reschedule", {"delay": "soon"})
    assert said["issues"][0]["path"] == ["delay"]
    moved = await call.good("POST", f"/api/v1/runs/{delayed}/reschedule", {"delay": "1w2d3hr4m5s"})
    wanted = datetime.now(UTC) + timedelta(weeks=1, days=2, hours=3, minutes=4, seconds=5)
    assert abs(datetime.fromisoformat(moved["delayedUntil"]) - wanted) < timedelta(seconds=30)


async def test_metadata_is_replaced_or_changed_in_part(call: Caller) -> None:
    run = await start(call, options={"metadata": {"a": 1}})
    path = f"/api/v1/runs/{run}/metadata"

    assert await call.good("GET", path) == {"metadata": {"a": 1}}
    assert await call.good("PUT", path, {"metadata": {"b": [1]}}) == {"metadata": {"b": [1]}}
    operations = [
        {"type": "set", "key": "c", "value": "x"},
        {"type": "append", "key": "$.b", "value": 2},
        {"type": "increment", "key": "n", "value": 3},
        {"type": "remove", "key": "b", "value": 1},
        {"type": "delete", "key": "c"},
    ]
    assert await call.good("PUT", path, {"operations": operations}) == {"metadata": {"b": [2], "n": 3}}
    assert (await retrieve(call, run))["metadata"] == {"b": [2], "n": 3}
    assert (await call.bad(400, "PUT", path, {"metadata": [1]}))["error"] == "Invalid request body"
    assert (await call.bad(400, "PUT", path, {"operations": [{"type": "x", "key": "a"}]}))["issues"]


@pytest.mark.parametrize(("there", "value"), [(1e308, 1e308), (int("9" * 400), 0.5), (int("9" * 400), 1)])
async def test_a_sum_beyond_what_numbers_reach_is_refused(call: Caller, there: float, value: float) -> None:
    run = await start(call)
    body = {"metadata": {"n": there}, "operations": [{"type": "increment", "key": "n", "value": value}]}

    said = await call.bad(400, "PUT", f"/api/v1/runs/{run}/metadata", body)

    assert said["issues"][0]["path"] == ["operations", 0, "value"]
    said = await call.good("PUT", f"/api/v1/runs/{run}/metadata", {**body, "metadata": {"n": True}})
    assert said == {"metadata": {"n": value}}  # what is no number counts as none


async def test_lists_are_walked_by_cursors(call: Caller) -> None:
    runs = [await start(call) for _ in range(5)][::-1]

    first = await call.good("GET", "/api/v1/runs?page[size]=2")
    second = await call.good("GET", f"/api/v1/runs?page[size]=2&page[after]={first['pagination']['next']}")
    third = await call.good("GET", f"/api/v1/runs?page[size]=2&page[after]={second['pagination']['next']}")
    back = await call.good("GET", f"/api/v1/runs?page[size]=2&page[before]={third['pagination']['previous']}")

    pages = [[run["id"] for run in page["data"]] for page in (first, second, third, back)]
    assert pages == [runs[:2], runs[2:4], runs[4:], runs[2:4]]
    assert set(first["pagination"]) == {"next"}
    assert set(second["pagination"]) == set(back["pagination"]) == {"next", "previous"}
    assert set(third["pagination"]) == {"previous"}


async def test_lists_are_filtered(call: Caller) -> None:
    task = await call.task()
    plain, test = await start(call, options={"tags": ["red"]}), await start(call, options={"test": True})
    of_task = await start(call, payload={"externalId": task["id"]}, options={"tags": ["red", "blue"]})
    batch = await call.good("POST", "/api/v2/tasks/batch", {"items": [{"task": "customer-prompt-task"}]})
    [in_batch] = [run["id"] for run in batch["runs"]]
    everything = [in_batch, of_task, test, plain]
    account = await call.account()
    hour = 3600_000
    now = int(datetime.now(UTC).timestamp() * 1000)

    assert await listed(call) == everything
    assert await listed(call, "&filter[tag]=red") == [of_task, plain]
    assert await listed(call, "&filter[tag]=blue,none") == [of_task]
    assert await listed(call, f"&filter[tag]=account:{account}") == everything
    assert await listed(call, f"&filter[tag]=task:{task['id']}") == [of_task]
    assert await listed(call, f"&filter[schedule]={task['trigger_schedule_id']}") == [of_task]
    assert await listed(call, "&filter[schedule]=sched_none") == []
    assert await listed(call, f"&filter[batch]={batch['id']}") == [in_batch]
    assert await listed(call, "&filter[batch]=none") == []
    assert await listed(call, "&filter[isTest]=true") == [test]
    assert await listed(call, "&filter[isTest]=false") == [in_batch, of_task, plain]
    assert await listed(call, "&filter[taskIdentifier]=customer-prompt-task,x") == everything
    assert await listed(call, "&filter[taskIdentifier]=x") == []
    assert await listed(call, "&filter[status]=QUEUED,FAILED") == everything
    assert await listed(call, "&filter[status]=COMPLETED") == []
    assert await listed(call, "&filter[status]=") == everything
    assert await listed(call, "&filter[version]=20200101.1") == []
    assert await listed(call, f"&filter[version]={__version__}") == []  # of runs that wait none is known yet
    assert await listed(call, f"&filter[createdAt][from]={now - hour}&filter[createdAt][to]={now + hour}") == everything
    assert await listed(call, f"&filter[createdAt][from]={now + hour}") == []
    assert await listed(call, "&filter[createdAt][to]=2026-01-01T00:00:00Z") == []
    assert await listed(call, "&filter[createdAt][period]=1d") == everything
    assert await listed(call, "&unknown=1") == everything
    for run in everything:  # an instant as it is shown is that of its run
        at = (await call.good("GET", f"/api/v3/runs/{run}"))["createdAt"]
        assert run in await listed(call, f"&filter[createdAt][from]={at}&filter[createdAt][to]={at}")


@pytest.mark.parametrize(
    ("query", "path"),
    [
        ("page[size]=0", ["page", "size"]),
        ("page[size]=101", ["page", "size"]),
        ("page[size]=x", ["page", "size"]),
        ("page[after]=x", ["page", "after"]),
        ("page[before]=x", ["page", "before"]),
        ("filter[status]=SLEEPING", ["filter", "status"]),
        ("filter[isTest]=maybe", ["filter", "isTest"]),
        ("filter[createdAt][from]=yesterday", ["filter", "createdAt", "from"]),
        ("filter[createdAt][to]=999999999999999", ["filter", "createdAt", "to"]),
        ("filter[createdAt][period]=long", ["filter", "createdAt", "period"]),
    ],
)
async def test_a_bad_query_says_which_parameter(call: Caller, query: str, path: list[str]) -> None:
    said = await call.bad(400, "GET", f"/api/v1/runs?{query}")

    assert said["error"] == "Query Error"
    [detail] = said["details"]
    assert set(detail) == {"code", "message", "path"}
    assert detail["path"] == path


async def test_a_task_and_its_schedule_are_one(call: Caller) -> None:
    task = await call.task()
    path = f"{SCHEDULES}/{task['trigger_schedule_id']}"

    found = await call.good("GET", path)
    assert (found["deduplicationKey"], found["externalId"], found["task"]) == (
        task["id"],
        task["id"],
        "customer-prompt-task",
    )
    assert found["nextRun"] == task["upcoming"][0]
    off = await call.good("POST", f"{path}/deactivate")
    assert (off["id"], off["active"], off["nextRun"]) == (found["id"], False, None)
    [shown] = await call.tasks()
    assert (shown["enabled"], shown["trigger_schedule_id"], shown["upcoming"]) == (False, None, [])
    assert [one["id"] for one in (await call.good("GET", SCHEDULES))["data"]] == [found["id"]]
    on = await call.good("POST", f"{path}/activate")
    assert (on["id"], on["active"]) == (found["id"], True)
    assert (await call.tasks())[0]["enabled"] is True
    upserted = await call.good("POST", SCHEDULES, {**PLAN, "deduplicationKey": task["id"], "cron": "1 2 3 * *"})
    assert upserted["generator"]["expression"] == "1 2 3 * *"
    [shown] = await call.tasks()
    assert (shown["schedule"], shown["timezone"], shown["title"]) == ("1 2 3 * *", "UTC", task["title"])
    renamed = await call.good("PUT", path, {**PLAN, "externalId": "mine"})
    cleared = await call.good("PUT", path, PLAN)
    assert (renamed["externalId"], cleared["externalId"]) == ("mine", task["id"])
    mill = (await call.good("GET", "/mill/schedules"))["data"]
    assert [one["external_id"] for one in mill] == [task["id"]]  # as its runs are told
    assert await call.good("DELETE", path) == {"id": found["id"]}
    assert await call.tasks() == []


async def test_what_a_client_has_no_words_for_stays_when_it_says_its_schedule_again(call: Caller) -> None:
    made = await call.good("POST", SCHEDULES, PLAN)
    [one] = (await call.good("GET", "/mill/schedules"))["data"]
    own = {"title": "Mine", "prompt": "Say hi.", "model": "m", "overlap": "skip", "missed": "all", "missed_limit": 7}
    more = {**own, "settings": {"max_attempts": 2, "tags": ["t"]}}
    await call.good("PATCH", f"/mill/schedules/{one['id']}", more)

    again = await call.good("POST", SCHEDULES, {**PLAN, "cron": "1 2 * * *", "timezone": "Asia/Tokyo"})

    assert (again["id"], again["generator"]["expression"]) == (made["id"], "1 2 * * *")
    [one] = (await call.good("GET", "/mill/schedules"))["data"]
    assert {name: one[name] for name in (*more, "timezone")} == {**more, "timezone": "Asia/Tokyo"}


async def test_a_schedule_without_a_prompt_is_no_task(call: Caller) -> None:
    made = await call.good("POST", SCHEDULES, PLAN)

    assert await call.tasks() == []
    assert (await call.good("GET", SCHEDULES))["pagination"] == {"currentPage": 1, "totalPages": 1, "count": 1}
    assert "externalId" not in made
    changed = await call.good("PUT", f"{SCHEDULES}/{made['id']}", {**PLAN, "externalId": "e", "timezone": "Asia/Tokyo"})
    assert (changed["externalId"], changed["timezone"]) == ("e", "Asia/Tokyo")
    cleared = await call.good("PUT", f"{SCHEDULES}/{made['id']}", PLAN)
    assert "externalId" not in cleared
    assert cleared["timezone"] == "UTC"


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"cron": "every day"}, 422, "Invalid cron expression: "),
        ({"cron": "0 0 30 2 *"}, 422, "Invalid cron expression: "),
        ({"timezone": "Mars"}, 422, "Invalid IANA timezone: "),
        ({"cron": None}, 400, "Invalid request body"),
        ({"task": 3}, 400, "Invalid request body"),
        ({"deduplicationKey": ""}, 400, "Invalid request body"),
        ({"deduplicationKey": None}, 400, "Invalid request body"),
    ],
)
async def test_a_bad_schedule_is_refused(call: Caller, change: dict[str, Any], status: int, error: str) -> None:
    said = await call.bad(status, "POST", SCHEDULES, {**PLAN, **change})

    assert said["error"].startswith(error)
    assert ("issues" in said) == (status == 400)
    assert (await call.good("GET", SCHEDULES))["data"] == []


@pytest.mark.parametrize("query", ["page=0", "perPage=0", "perPage=101", "page=x"])
async def test_schedules_are_paged_within_bounds(call: Caller, query: str) -> None:
    assert (await call.bad(400, "GET", f"{SCHEDULES}?{query}"))["error"] == "Query Error"


async def test_time_zones_need_no_key(call: Caller) -> None:
    answer = await call.mill.http.get("/api/v1/timezones")

    assert answer.status_code == 200
    names = answer.json()["timezones"]
    assert names[0] == "UTC"
    assert "Europe/Madrid" in names
    assert "UTC" not in (await call.mill.http.get("/api/v1/timezones?excludeUtc=true")).json()["timezones"]


async def test_batches_start_all_or_nothing(call: Caller) -> None:
    items = [{"payload": n} for n in range(3)]

    many = await call.good("POST", "/api/v1/tasks/customer-prompt-task/batch", {"items": items})
    assert await call.bad(
        404, "POST", "/api/v2/tasks/batch", {"items": [{"task": "customer-prompt-task"}, {"task": "x"}]}
    )
    bad = await call.bad(400, "POST", "/api/v2/tasks/batch", {"items": [{"task": "x", "options": {"delay": "?"}}]})

    assert many["batchId"] == many["id"]
    assert len(many["runs"]) == many["runCount"] == 3
    assert bad["issues"][0]["path"] == ["items", 0, "options", "delay"]
    state = await call.good("GET", f"/api/v2/batches/{many['id']}")
    assert (state["status"], state["runCount"], sorted(state["runs"])) == ("PENDING", 3, sorted(many["runs"]))
    assert (await retrieve(call, many["runs"][0]))["batchId"] == many["id"]
    assert (await retrieve(call, many["runs"][0]))["triggerFunction"] == "batchTrigger"
    assert await call.bad(400, "POST", "/api/v2/tasks/batch", {"items": []})
    assert await call.bad(404, "GET", "/api/v2/batches/batch_b0") == {"error": "Batch not found"}
    assert await listed(call, f"&filter[batch]={many['id']}") == (await listed(call))


async def test_a_batch_is_filled_line_by_line_and_each_line_once(call: Caller) -> None:
    made = await call.good("POST", "/api/v3/batches", {"runCount": 3, "idempotencyKey": "b"})
    again = await call.good("POST", "/api/v3/batches", {"runCount": 3, "idempotencyKey": "b"})
    lines = [json.dumps({"index": n, "task": "customer-prompt-task", "payload": n}).encode() for n in range(3)]
    path = f"/api/v3/batches/{made['id']}/items"

    part = await call.good("POST", path, raw=b"\n".join(lines[:2]))
    rest = await call.good("POST", path, raw=b"\n".join(lines))

    assert (again["id"], again["isCached"]) == (made["id"], True)
    assert (part["sealed"], part["enqueuedCount"], part["expectedCount"]) == (False, 2, 3)
    assert (rest["sealed"], rest["itemsAccepted"], rest["itemsDeduplicated"]) == (True, 1, 2)
    assert len(await listed(call)) == 3
    beyond = json.dumps({"index": 3, "task": "customer-prompt-task"}).encode()
    assert await call.bad(400, "POST", path, raw=beyond)
    assert await call.bad(400, "POST", path, raw=b"{")
    assert await call.bad(404, "POST", "/api/v3/batches/x/items", raw=lines[0])
