"""/api/tasks: each row of the contract's tables."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.dialects.recoup.conftest import ARTIST, NEW, Caller

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOBODY = "00000000-0000-4000-8000-000000000000"
FIELDS = {
    "id", "title", "prompt", "schedule", "account_id", "artist_account_id", "enabled", "trigger_schedule_id",
    "recent_runs", "upcoming", "owner_email", "model", "timezone", "created_at", "updated_at", "next_run", "last_run",
}  # fmt: skip
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
TOKEN = re.compile(r"sched_[1-9a-km-z]{21,}")


async def test_a_task_is_made_whole(call: Caller) -> None:
    before = datetime.now(UTC)

    body = await call.good("POST", "/api/tasks", NEW)

    assert body["status"] == "success"
    [task] = body["tasks"]
    assert set(task) == FIELDS
    assert {name: task[name] for name in NEW} == NEW
    assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", task["id"])
    assert task["account_id"] == await call.account()
    assert task["enabled"] is True
    assert TOKEN.fullmatch(task["trigger_schedule_id"])
    assert task["recent_runs"] == []
    assert task["owner_email"] is None
    assert task["next_run"] == task["upcoming"][0]
    assert task["last_run"] is None
    assert len(task["upcoming"]) == 10
    assert task["upcoming"] == sorted(set(task["upcoming"]))
    assert all(INSTANT.fullmatch(at) for at in [*task["upcoming"], task["created_at"], task["updated_at"]])
    assert datetime.fromisoformat(task["upcoming"][0]) > before
    assert all(datetime.fromisoformat(at).hour in (6, 7) for at in task["upcoming"])  # 08:30 in Madrid
    assert await call.tasks() == [task]


async def test_what_is_left_out_is_as_it_is_by_default(call: Caller) -> None:
    task = await call.task(model="", timezone="UTC")
    plain = {name: value for name, value in NEW.items() if name not in ("model", "timezone")}
    [bare] = (await call.good("POST", "/api/tasks", plain))["tasks"]

    assert task["model"] is None
    assert (bare["model"], bare["timezone"]) == (None, "UTC")


@pytest.mark.parametrize(
    ("change", "missing", "error"),
    [
        ({"title": ""}, ["title"], "title parameter is required"),
        ({"title": None}, ["title"], "Invalid input: expected string, received null"),
        ({"title": 3}, ["title"], "Invalid input: expected string, received number"),
        ({"prompt": ""}, ["prompt"], "prompt parameter is required"),
        ({"schedule": ""}, ["schedule"], "schedule parameter is required"),
        ({"artist_account_id": ""}, ["artist_account_id"], "artist_account_id parameter is required"),
        ({"artist_account_id": "me"}, ["artist_account_id"], "artist_account_id must be a valid UUID"),
        ({"account_id": "me"}, ["account_id"], "account_id must be a valid UUID"),
        ({"account_id": None}, ["account_id"], "account_id must be a valid UUID"),
        ({"timezone": "Mars/Olympus"}, ["timezone"], "timezone must be a valid IANA time zone"),
        ({"timezone": "+05:30"}, ["timezone"], "timezone must be a valid IANA time zone"),
        ({"timezone": ""}, ["timezone"], "timezone must be a valid IANA time zone"),
        ({"model": 3}, ["model"], "Invalid input: expected string, received number"),
        ({"foo": 1}, [], 'Unrecognized key: "foo"'),
        ({"enabled": True}, [], 'Unrecognized key: "enabled"'),
        ({"id": NOBODY}, [], 'Unrecognized key: "id"'),
        ({"foo": 1, "bar": 2}, [], 'Unrecognized keys: "foo", "bar"'),
        ({"title": "", "foo": 1}, ["title"], "title parameter is required"),
    ],
)
async def test_a_new_task_is_read_strictly(
    call: Caller, change: dict[str, Any], missing: list[str], error: str
) -> None:
    said = await call.bad(400, "POST", "/api/tasks", {**NEW, **change})

    assert said == {"status": "error", "missing_fields": missing, "error": error}
    assert await call.tasks() == []


@pytest.mark.parametrize("name", ["title", "prompt", "schedule", "artist_account_id"])
async def test_a_field_that_must_be_there_is_named(call: Caller, name: str) -> None:
    said = await call.bad(400, "POST", "/api/tasks", {key: value for key, value in NEW.items() if key != name})

    assert said["missing_fields"] == [name]


@pytest.mark.parametrize(
    "cron",
    [
        "0 0 9 * * *", "9 * * *", "* *", "every day", "60 * * * *", "* 24 * * *", "* * 0 * *", "* * * 13 *",
        "* * * * 8", "*/0 * * * *", "1,2, * * * *", "5-1 * * * *", "0 9 * * FRI-MON", "0 0 30 2 *", "0 0 31 4 *",
        "0 9 15W * *", "0 9 * * 1#6", "0 9 LW * *", "0 9 L-3 * *", "H 9 * * *", "@daily", "1.5 * * * *", "-1 * * * *",
        " ",
    ],
)  # fmt: skip
async def test_a_rule_that_is_none_is_refused_and_nothing_stored(call: Caller, cron: str) -> None:
    said = await call.bad(400, "POST", "/api/tasks", {**NEW, "schedule": cron})

    assert said["missing_fields"] == ["schedule"]
    assert said["status"] == "error"
    assert await call.tasks() == []


@pytest.mark.parametrize(
    "cron",
    [
        "15,45 8-18/2 * * 1-5", "10/15 * * * *", "0 9 * JAN MON-FRI", "0 0 L * *", "0 0 * * 5L", "0 0 * * 1#2",
        "0 0 1-7 * 1", "0 0 29 2 *", "0 9 ? * mon", "0 9 * * 7",
    ],
)  # fmt: skip
async def test_a_rule_that_is_one_is_said_again_as_it_was_sent(call: Caller, cron: str) -> None:
    task = await call.task(schedule=cron)

    assert task["schedule"] == cron
    assert len(task["upcoming"]) == 10


@pytest.mark.parametrize("raw", [b"", b"{", b"nothing", b'{"a": NaN}', b"[" * 5000, b"\xff"])
async def test_a_body_that_is_no_json_is_told_so(call: Caller, raw: bytes) -> None:
    for method in ("POST", "PATCH", "DELETE"):
        said = await call.bad(400, method, "/api/tasks", raw=raw)
        assert said == {"status": "error", "error": "Invalid JSON body"}


async def test_a_body_that_is_no_object_is_told_so(call: Caller) -> None:
    said = await call.bad(400, "POST", "/api/tasks", [NEW])

    assert said == {
        "status": "error",
        "missing_fields": [],
        "error": "Invalid input: expected object, received array",
    }


async def test_lists_are_newest_first_and_filtered(call: Caller) -> None:
    other_artist = "5d0c6f1e-7c1b-4a6e-9a53-2f4f0f7f9a12"
    first = await call.task(title="first")
    second = await call.task(title="second", artist_account_id=other_artist)
    third = await call.task(title="third")
    await call.good("PATCH", "/api/tasks", {"id": third["id"], "enabled": False})

    async def titles(query: str) -> list[str]:
        return [task["title"] for task in await call.tasks(query)]

    assert await titles("") == ["third", "second", "first"]
    assert await titles(f"?id={second['id']}") == ["second"]
    assert await titles(f"?id={NOBODY}") == []
    assert await titles(f"?artist_account_id={ARTIST}") == ["third", "first"]
    assert await titles(f"?artist_account_id={ARTIST.upper()}") == ["third", "first"]
    assert await titles("?enabled=true") == await titles("?enabled=1") == ["second", "first"]
    assert await titles("?enabled=false") == await titles("?enabled=0") == ["third"]
    assert await titles(f"?enabled=true&artist_account_id={ARTIST}&nonsense=1") == ["first"]
    assert await titles(f"?id={first['id']}&enabled=false") == []


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("id=1", "id"),
        ("id=", "id"),
        ("account_id=me", "account_id"),
        ("artist_account_id=x", "artist_account_id"),
        ("enabled=yes", "enabled"),
        ("enabled=", "enabled"),
    ],
)
async def test_a_parameter_that_cannot_be_is_named(call: Caller, query: str, name: str) -> None:
    said = await call.bad(400, "GET", f"/api/tasks?{query}")

    assert said["status"] == "error"
    assert said["missing_fields"] == [name]
    assert said["error"]


async def test_a_change_leaves_the_rest_as_it_was(call: Caller) -> None:
    task = await call.task()

    [same] = (await call.good("PATCH", "/api/tasks", {"id": task["id"]}))["tasks"]
    [changed] = (await call.good("PATCH", "/api/tasks", {"id": task["id"], "title": "Evening clip"}))["tasks"]

    assert same == task
    kept = {name for name in FIELDS if changed[name] == task[name]}
    assert FIELDS - kept == {"title", "updated_at"}
    assert changed["title"] == "Evening clip"


async def test_a_zone_alone_plans_the_same_rule_anew(call: Caller) -> None:
    task = await call.task(schedule="30 8 * * *")

    [moved] = (await call.good("PATCH", "/api/tasks", {"id": task["id"], "timezone": "Asia/Tokyo"}))["tasks"]

    assert moved["timezone"] == "Asia/Tokyo"
    assert all(datetime.fromisoformat(at).strftime("%H:%M") == "23:30" for at in moved["upcoming"])
    assert moved["schedule"] == task["schedule"]


async def test_disabled_and_enabled_again(call: Caller) -> None:
    task = await call.task()

    [off] = (await call.good("PATCH", "/api/tasks", {"id": task["id"], "enabled": False}))["tasks"]
    [on] = (await call.good("PATCH", "/api/tasks", {"id": task["id"], "enabled": True}))["tasks"]
    [null] = (await call.good("PATCH", "/api/tasks", {"id": task["id"], "enabled": None}))["tasks"]

    assert (off["enabled"], off["trigger_schedule_id"], off["upcoming"], off["next_run"]) == (False, None, [], None)
    assert on["enabled"] is True
    assert TOKEN.fullmatch(on["trigger_schedule_id"])
    assert on["trigger_schedule_id"] != task["trigger_schedule_id"]
    assert (on["timezone"], on["upcoming"]) == (task["timezone"], task["upcoming"])
    assert null["enabled"] is None
    assert null["upcoming"] == task["upcoming"]
    assert null["trigger_schedule_id"] == on["trigger_schedule_id"]


@pytest.mark.parametrize(
    ("change", "missing", "error"),
    [
        ({"title": ""}, ["title"], "title must be a non-empty string"),
        ({"title": None}, ["title"], "title must be a non-empty string"),
        ({"prompt": ""}, ["prompt"], "prompt must be a non-empty string"),
        ({"schedule": ""}, ["schedule"], "schedule must be a non-empty string"),
        ({"schedule": "* *"}, ["schedule"], None),
        ({"model": ""}, ["model"], "model must be a non-empty string"),
        ({"model": None}, ["model"], "model must be a non-empty string"),
        ({"artist_account_id": "x"}, ["artist_account_id"], "artist_account_id must be a valid UUID"),
        ({"account_id": "x"}, ["account_id"], "account_id must be a valid UUID"),
        ({"enabled": "true"}, ["enabled"], "Invalid input: expected boolean, received string"),
        ({"timezone": "Nowhere"}, ["timezone"], "timezone must be a valid IANA time zone"),
        ({"timezone": None}, ["timezone"], "timezone must be a valid IANA time zone"),
        ({"foo": 1}, [], 'Unrecognized key: "foo"'),
        ({"id": "x"}, ["id"], "id must be a valid UUID"),
    ],
)
async def test_a_change_is_read_strictly(
    call: Caller, change: dict[str, Any], missing: list[str], error: str | None
) -> None:
    task = await call.task()

    said = await call.bad(400, "PATCH", "/api/tasks", {"id": task["id"], **change})

    assert said["status"] == "error"
    assert said["missing_fields"] == missing
    assert error is None or said["error"] == error
    assert await call.tasks() == [task]


async def test_ids_that_must_be_there_are_named(call: Caller) -> None:
    for method in ("PATCH", "DELETE"):
        said = await call.bad(400, method, "/api/tasks", {})
        assert said == {"status": "error", "missing_fields": ["id"], "error": "id must be a valid UUID"}


async def test_what_is_not_there_cannot_be_changed_or_deleted(call: Caller) -> None:
    for method in ("PATCH", "DELETE"):
        said = await call.bad(404, method, "/api/tasks", {"id": NOBODY})
        assert said == {"status": "error", "error": "Task not found"}


async def test_a_deleted_task_is_gone(call: Caller) -> None:
    task = await call.task()

    assert await call.good("DELETE", "/api/tasks", {"id": task["id"], "foo": 1}) == {"status": "success"}
    assert await call.tasks() == []
    assert await call.bad(404, "DELETE", "/api/tasks", {"id": task["id"]}) == {
        "status": "error",
        "error": "Task not found",
    }
