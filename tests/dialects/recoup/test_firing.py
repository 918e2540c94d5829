"""What a task's firings look like, and how much a list of many tasks asks of the database."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import pytest
from tests.dialects.recoup.conftest import Caller, Mill
from tests.support import inprocess
from tests.support.database import Postgres

from mediamill import config, kinds
from mediamill.app.common import runner_of
from mediamill.core.firings import Due
from mediamill.core.prompts import KIND
from mediamill.core.schedules import Schedule
from mediamill.core.tasks import State
from mediamill.scheduling.plan import plan
from mediamill.service.accounts import Accounts
from mediamill.store.accounts import Accounts as AccountTable
from mediamill.store.schedules import Schedules

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRIGGER = "/api/v1/tasks/customer-prompt-task/trigger"


async def fire(call: Caller, at: datetime, **settings: Any) -> None:
    """What a worker does when it looks at the clock."""
    runner = runner_of(kinds.named(KIND), config.load(**settings))

    def due(schedule: Schedule, account_id: str | None) -> Due:
        return plan(schedule, account_id, at, runner, {schedule.identifier})

    await Schedules(call.mill.inner.bench.pool).fire(at, 1000, due)


async def test_a_firing_is_a_run_of_its_nominal_instant(call: Caller) -> None:
    task = await call.task(schedule="* * * * *")
    first, second = (datetime.fromisoformat(at) for at in task["upcoming"][:2])

    await fire(call, first + timedelta(seconds=0.2))

    [shown] = await call.tasks()
    [run] = shown["recent_runs"]
    assert run["createdAt"] == task["upcoming"][0] == shown["last_run"]
    assert shown["next_run"] == task["upcoming"][1]
    assert (run["taskIdentifier"], run["triggerFunction"]) == ("customer-prompt-task", "trigger")
    assert set(run["tags"]) == {f"account:{task['account_id']}", f"task:{task['id']}"}
    payload = run["payload"]
    assert set(payload) == {"type", "timestamp", "timezone", "scheduleId", "externalId", "upcoming"}
    assert (payload["type"], payload["timezone"]) == ("IMPERATIVE", "Europe/Madrid")
    assert (payload["timestamp"], payload["externalId"]) == (task["upcoming"][0], task["id"])
    assert payload["scheduleId"] == task["trigger_schedule_id"]
    assert datetime.fromisoformat(payload["upcoming"][0]) == second
    assert run["schedule"] == {
        "id": task["trigger_schedule_id"],
        "externalId": task["id"],
        "deduplicationKey": task["id"],
        "generator": {"type": "CRON", "expression": "* * * * *", "description": "Every minute"},
    }

    bench = call.mill.inner.bench
    taken = await bench.take(run["id"].removeprefix("run_"))
    assert taken is not None
    assert await bench.finish(taken, details={"output": {"text": "done"}})
    await fire(call, second + timedelta(seconds=0.2))

    [shown] = await call.tasks()
    newest, oldest = shown["recent_runs"]
    assert (oldest["id"], oldest["status"]) == (run["id"], "COMPLETED")
    assert newest["payload"]["lastTimestamp"] == payload["timestamp"]


async def test_a_firing_is_tried_as_often_as_the_install_says_unless_its_schedule_does(call: Caller) -> None:
    usual, own = await call.task(schedule="* * * * *"), await call.task(schedule="* * * * *")
    await call.good("PATCH", f"/mill/schedules/{own['id']}", {"settings": {"max_attempts": 5}})

    await fire(call, datetime.fromisoformat(usual["upcoming"][0]) + timedelta(seconds=0.2), run_max_attempts=1)

    tries = {}
    for task in await call.tasks():
        run = task["recent_runs"][0]["id"].removeprefix("run_")
        tries[task["id"]] = (await call.good("GET", f"/mill/tasks/{run}"))["max_attempts"]
    assert tries == {usual["id"]: 1, own["id"]: 5}


async def test_an_install_may_let_missed_firings_go(postgres: Postgres, tmp_path: Path) -> None:
    async with inprocess.fresh(postgres, tmp_path, missed_runs="skip") as running:
        call = Caller(Mill(running, Accounts(AccountTable(running.bench.pool))), inprocess.KEY, "default")
        task = await call.task(schedule="* * * * *")
        await call.good("POST", "/api/v1/schedules", {"task": "t", "cron": "* * * * *", "deduplicationKey": "k"})
        for missed in ({}, {"missed": "last"}):
            answer = await call("POST", "/mill/schedules", {"cron": "* * * * *", "prompt": "x", **missed})
            assert answer.status_code == 201
        listed = (await call.good("GET", "/mill/schedules"))["data"]
        assert [one["missed"] for one in listed] == ["last", "none", "none", "none"]

        await fire(call, datetime.fromisoformat(task["upcoming"][2]) + timedelta(seconds=30))

        [shown] = await call.tasks(f"?id={task['id']}")
        assert [run["createdAt"] for run in shown["recent_runs"]] == task["upcoming"][2:3]  # not a minute late yet


async def test_a_switched_off_task_drops_what_has_not_begun(call: Caller) -> None:
    task = await call.task(schedule="* * * * *")
    await fire(call, datetime.fromisoformat(task["upcoming"][0]) + timedelta(seconds=0.2))

    [off] = (await call.good("PATCH", "/api/tasks", {"id": task["id"], "enabled": False}))["tasks"]

    assert [run["status"] for run in off["recent_runs"]] == ["CANCELED"]


@contextmanager
def counting() -> Iterator[Callable[[], list[str]]]:
    """The queries that were sent since the last time it was asked, but for those of tasks that run beside the test."""
    connection: Any = asyncpg.Connection
    sent: list[str] = []
    ours: ContextVar[bool] = ContextVar("ours", default=False)
    token = ours.set(True)
    real = connection._do_execute

    async def counted(self: Any, query: Any, *args: Any, **more: Any) -> Any:
        if ours.get():
            sent.append(str(query))
        return await real(self, query, *args, **more)

    def asked() -> list[str]:
        found = list(sent)
        sent.clear()
        return found

    connection._do_execute = counted
    try:
        yield asked
    finally:
        connection._do_execute = real
        ours.reset(token)


async def test_a_list_asks_as_many_queries_for_many_tasks_as_for_few(call: Caller) -> None:
    async def more(tasks: int) -> None:
        for _ in range(tasks):
            task = await call.task()
            for n in range(3):
                body = {"payload": {"externalId": task["id"], "n": n}}
                run = (await call.good("POST", TRIGGER, body))["id"].removeprefix("run_")
                if n < 2:
                    taken = await call.mill.inner.bench.take(run)
                    assert taken is not None
                    await call.mill.inner.bench.finish(taken, State.SUCCEEDED)

    async def asked() -> tuple[list[str], list[str]]:
        await call.account()  # the key and the account are remembered for five seconds
        sent()
        await call.tasks()
        fresh = sent()
        await call.tasks()
        return fresh, sent()

    with counting() as sent:
        await more(2)
        few = await asked()
        await more(10)
        many = await asked()

    assert many == few
    assert len(few[1]) == 1
    assert len(few[0]) == 6
