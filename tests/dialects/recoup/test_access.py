"""Who may call, and whose tasks and runs are there for whom."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dialects.recoup.conftest import NEW, Caller

pytestmark = pytest.mark.asyncio(loop_scope="module")

NOBODY = "00000000-0000-4000-8000-000000000000"
PATHS = ["/api/tasks", "/api/tasks/runs", "/api/accounts/id"]
FOREIGN = {"status": "error", "error": "Access denied to specified account_id"}
NOT_YOURS = {"status": "error", "error": "Access denied to this task"}


async def together(admin: Caller, *members: Caller, name: str | None = None) -> None:
    """Make an organisation of accounts."""
    accounts = admin.mill.accounts
    caller = await admin.mill.caller(admin.token)
    organisation = name or (await accounts.create_organisation(caller, f"of {members[0].project}")).id
    for member in members:
        await accounts.join(caller, organisation, member.project)


@pytest.mark.parametrize("path", PATHS)
async def test_exactly_one_of_the_two_headers_is_needed(call: Caller, path: str) -> None:
    said = {"status": "error", "error": "Exactly one of x-api-key or Authorization must be provided"}

    both = {"x-api-key": call.token, "authorization": f"Bearer {call.token}"}
    assert await call.bad(401, "GET", path, headers={"x-api-key": None}) == said
    assert await call.bad(401, "GET", path, headers=both) == said


@pytest.mark.parametrize("scheme", ["Bearer", "bearer"])
async def test_the_same_key_works_in_both_headers(call: Caller, scheme: str) -> None:
    headers = {"x-api-key": None, "authorization": f"{scheme} {call.token}"}

    assert (await call.good("GET", "/api/accounts/id", headers=headers))["accountId"] == await call.account()


@pytest.mark.parametrize("value", ["Basic abc", "Token abc", "Bearer", "Bearer ", "abc"])
async def test_any_other_scheme_is_told_what_to_send(call: Caller, value: str) -> None:
    said = await call.bad(401, "GET", "/api/tasks", headers={"x-api-key": None, "authorization": value})

    assert said == {"status": "error", "message": "Authorization header with Bearer token required"}


async def test_a_key_that_is_not_known_is_told_so(call: Caller) -> None:
    wrong: list[dict[str, str | None]] = [
        {"x-api-key": "recoup_sk_x"},
        {"x-api-key": None, "authorization": "Bearer recoup_sk_x"},
    ]
    for each in wrong:
        assert await call.bad(401, "GET", "/api/tasks", headers=each) == {
            "status": "error",
            "message": "Unauthorized",
        }
    for value in (None, "Bearer no", "Basic no"):
        headers = {"authorization": value}
        assert await call.bad(401, "GET", "/api/v1/runs", headers=headers) == {"error": "Invalid or Missing API Key"}
    assert await call.good("GET", "/api/v1/runs", headers={"authorization": None, "x-api-key": call.token})


@pytest.mark.parametrize("path", [*PATHS, "/api/v1/runs", "/api/v1/schedules", "/api/v3/runs/x"])
async def test_pages_of_any_origin_may_ask(call: Caller, path: str) -> None:
    answer = await call.mill.http.options(path)

    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["access-control-allow-origin"] == "*"
    methods = {word.strip() for word in answer.headers["access-control-allow-methods"].split(",")}
    assert methods == {"GET", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"}
    names = {word.strip().lower() for word in answer.headers["access-control-allow-headers"].split(",")}
    assert names == {"content-type", "authorization", "x-requested-with", "x-api-key"}


async def test_wrong_methods_and_unknown_paths(call: Caller) -> None:
    assert (await call.bad(405, "PUT", "/api/tasks", {}))["status"] == "error"
    assert (await call("POST", "/api/tasks/runs", {})).headers["allow"] == "GET, HEAD, OPTIONS"
    assert (await call.bad(404, "GET", "/api/nowhere"))["status"] == "error"
    assert (await call.bad(404, "GET", f"/api/tasks/{NOBODY}"))["status"] == "error"
    assert set(await call.bad(405, "PATCH", "/api/v1/runs", {})) == {"error"}
    assert set(await call.bad(404, "GET", "/api/v9/nowhere")) == {"error"}
    assert (await call("GET", "/api")).status_code == 404


async def test_both_roots_serve_the_same(call: Caller) -> None:
    task = await call.task()

    assert (await call.good("GET", "/recoup/api/tasks"))["tasks"] == [task]
    assert (await call("HEAD", "/api/tasks")).headers["content-length"] != "0"


async def test_a_stranger_reaches_nothing(call: Caller, other: Caller) -> None:
    task, theirs = await call.task(), await call.account()

    assert await other.tasks() == []
    assert await other.tasks(f"?id={task['id']}") == []
    assert await other.bad(403, "GET", f"/api/tasks?account_id={theirs}") == FOREIGN
    assert await other.bad(403, "GET", f"/api/tasks/runs?account_id={theirs}") == FOREIGN
    assert await other.bad(403, "GET", f"/api/tasks?account_id={NOBODY}") == FOREIGN
    assert await other.bad(403, "POST", "/api/tasks", {**NEW, "account_id": theirs}) == FOREIGN
    assert await other.bad(403, "PATCH", "/api/tasks", {"id": task["id"], "account_id": theirs}) == FOREIGN
    assert await other.bad(403, "PATCH", "/api/tasks", {"id": task["id"], "title": "mine"}) == NOT_YOURS
    assert await other.bad(403, "DELETE", "/api/tasks", {"id": task["id"]}) == NOT_YOURS
    token = task["trigger_schedule_id"]
    assert await other.bad(404, "GET", f"/api/v1/schedules/{token}") == {"error": "Schedule not found"}
    assert await other.bad(404, "POST", f"/api/v1/schedules/{token}/deactivate") == {"error": "Schedule not found"}
    assert await call.tasks() == [task]


async def test_naming_oneself_is_as_naming_nobody(call: Caller) -> None:
    mine = await call.account()
    task = await call.task(account_id=mine)

    assert await call.tasks(f"?account_id={mine}") == [task]
    assert await call.tasks(f"?account_id={mine.upper()}") == [task]


async def test_members_of_an_organisation_reach_each_other_by_naming(
    call: Caller, other: Caller, admin: Caller
) -> None:
    theirs = await call.account()
    await together(admin, call, other)
    task = await call.task()

    assert await other.tasks() == []
    assert await other.tasks(f"?id={task['id']}") == []
    assert await other.tasks(f"?account_id={theirs}") == [task]
    assert await other.tasks(f"?account_id={theirs}&id={task['id']}") == [task]
    made = await other.task(account_id=theirs, title="for you")
    assert made["account_id"] == theirs
    assert await other.bad(403, "PATCH", "/api/tasks", {"id": task["id"], "title": "new"}) == NOT_YOURS
    [changed] = (await other.good("PATCH", "/api/tasks", {"id": task["id"], "title": "new", "account_id": theirs}))[
        "tasks"
    ]
    assert (changed["title"], changed["account_id"]) == ("new", theirs)
    assert await other.good("DELETE", "/api/tasks", {"id": task["id"], "account_id": theirs}) == {"status": "success"}
    assert [one["id"] for one in await call.tasks()] == [made["id"]]


async def test_a_change_never_moves_a_task_to_another_account(call: Caller, other: Caller, admin: Caller) -> None:
    task, theirs = await call.task(), await other.account()
    await together(admin, call, other)

    assert await call.bad(403, "PATCH", "/api/tasks", {"id": task["id"], "account_id": theirs}) == NOT_YOURS
    assert await call.tasks() == [task]


async def test_operators_reach_everybody(call: Caller, other: Caller, admin: Caller) -> None:
    task, theirs = await call.task(), await call.account()
    await together(admin, other, name="operators")

    for operator in (other, admin):
        mine = await operator.account()
        assert task not in await operator.tasks()
        assert await operator.tasks(f"?id={task['id']}") == [task]
        assert await operator.tasks(f"?account_id={theirs}") == [task]
        assert await operator.tasks(f"?account_id={theirs}&id={NOBODY}") == []
        assert await operator.tasks(f"?account_id={mine}&id={task['id']}") == []
        assert await operator.tasks(f"?account_id={NOBODY}") == []
        assert await operator.bad(403, "PATCH", "/api/tasks", {"id": task["id"], "title": "x"}) == NOT_YOURS
        body = {"id": task["id"], "model": "other", "account_id": theirs}
        assert (await operator.good("PATCH", "/api/tasks", body))["tasks"][0]["model"] == "other"
        body = {"id": task["id"], "model": task["model"], "account_id": theirs}
        [task] = (await operator.good("PATCH", "/api/tasks", body))["tasks"]
        token = task["trigger_schedule_id"]
        assert (await operator.good("GET", f"/api/v1/schedules/{token}"))["id"] == token


async def test_the_owners_address_is_told(call: Caller, admin: Caller) -> None:
    caller = await admin.mill.caller(admin.token)

    await admin.mill.accounts.set_email(caller, call.project, "ana@label.example")

    assert (await call.task())["owner_email"] == "ana@label.example"
    assert [task["owner_email"] for task in await call.tasks()] == ["ana@label.example"]


async def test_a_run_out_of_reach_is_as_none(call: Caller, other: Caller, admin: Caller) -> None:
    task = await call.task()
    body: dict[str, Any] = {"payload": {"externalId": task["id"]}}
    run = (await call.good("POST", "/api/v1/tasks/customer-prompt-task/trigger", body))["id"]
    gone = {"status": "error", "error": "Task run not found"}

    assert (await call.good("GET", f"/api/tasks/runs?runId={run}"))["runs"][0]["id"] == run
    assert (await admin.good("GET", f"/api/tasks/runs?runId={run}"))["runs"][0]["id"] == run
    assert await other.bad(404, "GET", f"/api/tasks/runs?runId={run}") == gone
    assert await other.bad(404, "GET", f"/api/tasks/runs?runId=run_{'0' * 21}") == gone
    assert await other.bad(404, "GET", "/api/tasks/runs?runId=nonsense") == gone
    for method, path in (
        ("GET", f"/api/v3/runs/{run}"),
        ("POST", f"/api/v2/runs/{run}/cancel"),
        ("POST", f"/api/v1/runs/{run}/replay"),
        ("GET", f"/api/v1/runs/{run}/metadata"),
    ):
        assert await other.bad(404, method, path) == {"error": "Run not found"}
    assert (await other.good("GET", "/api/v1/runs"))["data"] == []
    await together(admin, call, other)
    assert (await other.good("GET", f"/api/v3/runs/{run}"))["id"] == run
    assert (await other.good("GET", "/api/v1/runs"))["data"] == []
