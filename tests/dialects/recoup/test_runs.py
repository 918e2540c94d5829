"""Runs: all of their fields, in both vocabularies, with nulls on /api/tasks and without them elsewhere."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from tests.dialects.recoup.conftest import Caller

from mediamill.core.dispatch import Taken, Tick
from mediamill.core.prompts import STAGE_WAITS
from mediamill.core.tasks import Failure, State
from mediamill.dialects.recoup import words

pytestmark = pytest.mark.asyncio(loop_scope="module")

TRIGGER = "/api/v1/tasks/customer-prompt-task/trigger"
NEWER = {"x-trigger-api-version": "2025-07-16"}
INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ROW = {
    "id", "status", "taskIdentifier", "createdAt", "updatedAt", "startedAt", "finishedAt", "delayedUntil", "expiredAt",
    "idempotencyKey", "version", "isTest", "ttl", "tags", "metadata", "costInCents", "baseCostInCents", "durationMs",
    "env", "depth", "isQueued", "isExecuting", "isWaiting", "isCompleted", "isSuccess", "isFailed", "isCancelled",
}  # fmt: skip
ONE = {
    "batchId", "triggerFunction", "payload", "output", "error", "attempts", "schedule", "relatedRuns", "attemptCount",
}  # fmt: skip
BOOLEANS = ("isTest", "isQueued", "isExecuting", "isWaiting", "isCompleted", "isSuccess", "isFailed", "isCancelled")


async def start(call: Caller, **body: Any) -> str:
    """A run; its id as shown."""
    found: str = (await call.good("POST", TRIGGER, body))["id"]
    return found


def ours(run: str) -> str:
    return run.removeprefix("run_")


async def take(call: Caller, run: str) -> Taken:
    """Start a run as a worker does."""
    taken = await call.mill.inner.bench.take(ours(run))
    assert taken is not None
    return taken


async def stage(call: Caller, taken: Taken, name: str) -> None:
    tick = Tick(task_id=taken.task.id, fence=taken.fence, stage=name, progress=0.1)
    await call.mill.inner.bench.tasks.progress([tick])


async def finish(call: Caller, run: str, **given: Any) -> None:
    assert await call.mill.inner.bench.finish(await take(call, run), **given)


async def one(call: Caller, run: str) -> Any:
    """A run as /api/tasks/runs shows it."""
    [found] = (await call.good("GET", f"/api/tasks/runs?runId={run}"))["runs"]
    return found


async def bare(call: Caller, run: str, headers: Any = NEWER) -> Any:
    return await call.good("GET", f"/api/v3/runs/{run}", headers=headers)


async def test_a_run_that_waits_has_every_field_and_no_more(call: Caller) -> None:
    run = await start(call, payload={"a": [1, None]})

    found = await one(call, run)

    assert set(found) >= ROW | ONE
    assert re.fullmatch(r"run_[a-z0-9]{21,}", found["id"])
    assert (found["status"], found["taskIdentifier"]) == ("QUEUED", "customer-prompt-task")
    assert INSTANT.fullmatch(found["createdAt"])
    assert all(isinstance(found[name], bool) for name in BOOLEANS)
    unset = {name for name in ROW | ONE if found[name] is None}
    assert unset == {
        "startedAt", "finishedAt", "delayedUntil", "expiredAt", "idempotencyKey", "version", "ttl", "metadata",
        "batchId", "output", "error", "schedule",
    }  # fmt: skip
    assert found["payload"] == {"a": [1, None]}
    assert found["env"] == {"id": "env_local", "name": "prod", "user": None}
    assert (found["attempts"], found["attemptCount"], found["depth"]) == ([], 0, 0)
    assert (found["costInCents"], found["baseCostInCents"], found["durationMs"]) == (0, 0, 0)
    assert found["relatedRuns"] == {"children": []}
    assert found["tags"] == [f"account:{await call.account()}"]


async def test_what_is_unset_is_left_out_for_the_other_clients(call: Caller) -> None:
    run = await start(call, payload={"a": None})

    found = await bare(call, run)

    assert None not in found.values()
    assert found["payload"] == {"a": None}
    assert found["env"] == {"id": "env_local", "name": "prod"}
    assert {"depth", "triggerFunction", "relatedRuns", "attempts", "attemptCount"} <= set(found)
    [row] = (await call.good("GET", "/api/v1/runs"))["data"]
    assert None not in row.values()
    assert set(row) >= {"env", "tags", "costInCents", "baseCostInCents", "durationMs", *BOOLEANS}


async def test_the_runs_of_an_account_are_listed_newest_first(call: Caller, other: Caller) -> None:
    runs = [await start(call) for _ in range(3)]
    await start(other)

    async def listed(query: str = "") -> list[str]:
        return [run["id"] for run in (await call.good("GET", f"/api/tasks/runs{query}"))["runs"]]

    assert await listed() == runs[::-1]
    assert await listed("?limit=2") == runs[:0:-1]
    assert await listed("?runId=&limit=1") == runs[2:]
    assert await listed(f"?runId=%20{runs[0]}%20") == [runs[0]]
    [row] = (await call.good("GET", "/api/tasks/runs?limit=1"))["runs"]
    assert set(row) >= ROW


@pytest.mark.parametrize("limit", ["0", "101", "1.5", "abc", "", "-1", "1e1"])
async def test_a_bad_limit_is_refused_even_beside_a_run(call: Caller, limit: str) -> None:
    for query in (f"?limit={limit}", f"?runId=x&limit={limit}"):
        said = await call.bad(400, "GET", f"/api/tasks/runs{query}")
        assert set(said) == {"status", "error"}
        assert said["status"] == "error"


async def test_a_run_that_ended_well(call: Caller) -> None:
    task = await call.task()
    run = await start(call, payload={"externalId": task["id"]}, options={"metadata": {"k": 1}, "ttl": 90})
    details = {"output": {"text": "done"}, "cost_cents": 0.42, "duration_ms": 7021.4}

    await finish(call, run, details=details)

    found = await one(call, run)
    assert (found["status"], found["output"], found["error"]) == ("COMPLETED", {"text": "done"}, None)
    assert (found["costInCents"], found["durationMs"], found["ttl"]) == (0.42, 7021, 90)
    assert found["metadata"] == {"k": 1}
    assert found["tags"] == [f"account:{await call.account()}", f"task:{task['id']}"]
    [attempt] = found["attempts"]
    assert set(attempt) == {"id", "status", "createdAt", "updatedAt", "startedAt", "completedAt", "error"}
    assert re.fullmatch(r"attempt_[a-z0-9]{21,}", attempt["id"])
    assert (attempt["status"], attempt["error"]) == ("COMPLETED", None)
    assert all(INSTANT.fullmatch(attempt[f"{name}At"]) for name in ("created", "updated", "started", "completed"))
    assert None not in (found["finishedAt"], found["startedAt"], found["version"])
    assert (await bare(call, run))["ttl"] == "1m30s"
    [shown] = await call.tasks()
    assert shown["recent_runs"] == [found]


async def test_a_task_shows_its_five_newest_runs(call: Caller) -> None:
    task, quiet = await call.task(), await call.task(title="quiet")
    runs = [await start(call, payload={"externalId": task["id"]}) for _ in range(7)]
    for run in runs[:3]:
        await finish(call, run)

    async def shown() -> list[tuple[str, str]]:
        [found] = await call.tasks(f"?id={task['id']}")
        return [(run["id"], run["status"]) for run in found["recent_runs"]]

    words_ = ["QUEUED"] * 4 + ["COMPLETED"] * 3
    assert await shown() == list(zip(runs[::-1], words_, strict=True))[:5]
    await finish(call, runs[6])
    assert (await shown())[0] == (runs[6], "COMPLETED")
    [off] = (await call.good("PATCH", "/api/tasks", {"id": task["id"], "enabled": False}))["tasks"]
    assert [run["id"] for run in off["recent_runs"]] == [id for id, _ in await shown()]
    assert (await call.tasks(f"?id={quiet['id']}"))[0]["recent_runs"] == []
    await call.good("DELETE", "/api/tasks", {"id": task["id"]})
    assert (await one(call, runs[0]))["status"] == "COMPLETED"


async def test_a_run_that_failed_says_why(call: Caller) -> None:
    run = await start(call)
    error = Failure(code="llm_http_error", family="tool", message="It answered 400.", name="LlmHttpError", stack="at x")

    await finish(call, run, state=State.FAILED, error=error)

    found = await one(call, run)
    said = {"message": "It answered 400.", "name": "LlmHttpError", "stackTrace": "at x"}
    assert (found["status"], found["error"], found["output"]) == ("FAILED", said, None)
    assert (found["attempts"][0]["status"], found["attempts"][0]["error"]) == ("FAILED", said)
    assert (await call.good("GET", f"/api/v1/runs/{run}/result")) == {
        "ok": False,
        "id": run,
        "taskIdentifier": "customer-prompt-task",
        "error": {"type": "BUILT_IN_ERROR", **said},
    }


@pytest.mark.parametrize(
    ("code", "older", "newer"),
    [
        ("timed_out", "TIMED_OUT", "TIMED_OUT"),
        ("crashed", "CRASHED", "CRASHED"),
        ("interrupted", "INTERRUPTED", "FAILED"),
        ("system_failure", "SYSTEM_FAILURE", "SYSTEM_FAILURE"),
    ],
)
async def test_each_bad_end_has_its_word(call: Caller, code: str, older: str, newer: str) -> None:
    run = await start(call)

    await finish(call, run, state=State.FAILED, error=Failure(code=code, family="internal", message="It is so."))

    assert (await one(call, run))["status"] == older
    assert (await bare(call, run))["status"] == newer
    assert (await bare(call, run, None))["status"] == older
    for word in {older, newer}:
        found = await call.good("GET", f"/api/v1/runs?filter[status]={word}", headers=NEWER)
        assert [row["id"] for row in found["data"]] == [run]
    assert (await call.good("GET", f"/api/v1/runs/{run}/result"))["ok"] is False


async def test_a_run_at_work_is_told_in_both_vocabularies(call: Caller) -> None:
    run = await start(call)

    async def seen() -> tuple[str, str, str]:
        return (await one(call, run))["status"], (await bare(call, run))["status"], (await _filter(call, run))

    taken = await take(call, run)
    assert await seen() == ("EXECUTING", "DEQUEUED", "DEQUEUED EXECUTING")
    [attempt] = (await one(call, run))["attempts"]
    assert (attempt["status"], attempt["startedAt"]) == ("PENDING", None)
    assert "startedAt" not in (await bare(call, run))["attempts"][0]
    await stage(call, taken, "model")
    assert await seen() == ("EXECUTING", "EXECUTING", "EXECUTING")
    [attempt] = (await one(call, run))["attempts"]
    assert (attempt["status"], attempt["startedAt"]) == ("EXECUTING", attempt["createdAt"])
    await stage(call, taken, STAGE_WAITS)
    assert await seen() == ("FROZEN", "WAITING", "FROZEN WAITING")
    found, newer = await one(call, run), await bare(call, run)
    assert (found["isExecuting"], found["isWaiting"]) == (True, False)
    assert (newer["isExecuting"], newer["isWaiting"]) == (False, True)
    assert found["attempts"][0]["status"] == "PAUSED"
    await call.mill.inner.bench.finish(taken)


async def _filter(call: Caller, run: str) -> str:
    """The words that find a run without a version."""
    found = []
    for word in sorted(words.FILTERS):
        listed = (await call.good("GET", f"/api/v1/runs?filter[status]={word}"))["data"]
        if run in [row["id"] for row in listed]:
            found.append(word)
    return " ".join(found)


async def test_a_run_whose_try_failed_is_tried_again(call: Caller) -> None:
    run = await start(call)
    taken = await take(call, run)
    soon = Failure(code="llm_busy", family="tool", message="It answered 503.", name="LlmHttpError")

    await call.mill.inner.bench.finish(taken, State.DELAYED, error=soon, retry_in_s=3600.0)

    found, newer = await one(call, run), await bare(call, run)
    assert (found["status"], newer["status"]) == ("REATTEMPTING", "EXECUTING")
    assert found["attempts"][0]["error"]["message"] == "It answered 503."
    assert found["error"] is None
    assert found["delayedUntil"] is None
    assert found["isExecuting"] is True


async def test_a_run_that_was_put_off_is_delayed(call: Caller) -> None:
    run = await start(call, options={"delay": "1h"})
    at = datetime.now(UTC) + timedelta(hours=1)

    found = await one(call, run)

    assert (found["status"], found["isQueued"]) == ("DELAYED", True)
    assert abs(datetime.fromisoformat(found["delayedUntil"]) - at) < timedelta(seconds=30)
    dated = await start(call, options={"delay": at.isoformat()})
    assert abs(datetime.fromisoformat((await one(call, dated))["delayedUntil"]) - at) < timedelta(seconds=1)


async def test_a_cancelled_run(call: Caller) -> None:
    run = await start(call)

    assert await call.good("POST", f"/api/v2/runs/{run}/cancel") == {"id": run}
    assert await call.good("POST", f"/api/v2/runs/{run}/cancel") == {"id": run}
    found = await one(call, run)
    assert (found["status"], found["isCancelled"], found["isFailed"]) == ("CANCELED", True, True)
    assert found["finishedAt"]


async def test_parents_and_children_are_shown_beside_a_run(call: Caller) -> None:
    root = await start(call)
    taken = await take(call, root)
    child = await start(call, options={"parentRunId": root})
    grandchild = await start(call, options={"parentRunId": child})

    above, below = await one(call, root), await one(call, grandchild)

    assert [run["id"] for run in above["relatedRuns"]["children"]] == [child]
    assert set(above["relatedRuns"]) == {"children"}
    assert below["depth"] == 2
    assert (below["relatedRuns"]["root"]["id"], below["relatedRuns"]["parent"]["id"]) == (root, child)
    assert not {"payload", "output", "attempts"} & set(below["relatedRuns"]["parent"])
    assert set(below["relatedRuns"]["parent"]) >= ROW
    newer = (await bare(call, grandchild))["relatedRuns"]
    assert None not in newer["parent"].values()
    await call.mill.inner.bench.finish(taken)
