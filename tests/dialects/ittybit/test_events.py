"""Events tell a task or a run as it was when they happened, however late they are read."""

from __future__ import annotations

from typing import Any

from tests.dialects.ittybit.conftest import Caller, ours

from mediamill.core.dispatch import Tick
from mediamill.core.tasks import Failure, State

FAILURE = Failure(code="encode_failed", family="tool", message="ffmpeg failed.", stage="encode")


async def told(call: Caller, kind: str) -> Any:
    """The data of the only event of a topic."""
    [event] = await call.good("GET", f"/events?kind={kind}")
    return event["data"]


async def test_a_task_that_has_failed_is_told_as_it_was_made_as_it_began_and_as_it_ended(call: Caller) -> None:
    bench = call.mill.bench
    task = await call.tasked("video", options={"format": "mp4"})
    await call.fetched(ours(task["id"]))
    taken = await bench.take(ours(task["id"]))
    assert taken is not None
    await bench.finish(taken, State.FAILED, error=FAILURE)

    made = await told(call, "task.created")
    assert (made["status"], made["progress"], made["started_at"]) == ("waiting", None, None)
    assert (made["finished_at"], made["error"], made["output"]) == (None, None, None)
    began = await told(call, "task.updated")
    assert (began["status"], began["error"], began["finished_at"]) == ("validating", None, None)
    failed = await told(call, "task.failed")
    assert (failed["status"], failed["error"]["kind"]) == ("failed", "encode_failed")
    assert failed["finished_at"] is not None
    assert failed["options"] == made["options"] == began["options"]


async def test_a_run_is_told_before_it_began_while_it_ran_and_after(call: Caller) -> None:
    bench = call.mill.bench
    run = await call.good(
        "POST", "/runs", {"tasks": [{"kind": "ingest", "options": {"url": "https://files.example/a.mov"}}]}
    )
    [part] = run["tasks"]
    await call.fetched(ours(part["id"]))
    taken = await bench.take(ours(part["id"]))
    assert taken is not None
    await bench.finish(taken, State.FAILED, error=FAILURE)

    made, began, failed = [await told(call, f"run.{word}") for word in ("created", "updated", "failed")]
    assert [data["status"] for data in (made, began, failed)] == ["waiting", "processing", "failed"]
    assert [data["finished_at"] is None for data in (made, began, failed)] == [True, True, False]
    assert [data["tasks"][0]["status"] for data in (made, began, failed)] == ["waiting", "processing", "failed"]


async def test_each_step_of_a_tasks_progress_is_told_with_how_far_it_was_then(call: Caller) -> None:
    bench = call.mill.bench
    endpoint = {"url": "https://hooks.example/in", "topics": ["task.updated"]}
    await call.good("POST", "/webhooks/endpoints", endpoint, status=201)
    task = await call.tasked("video", options={"format": "mp4"})
    await call.fetched(ours(task["id"]))
    taken = await bench.take(ours(task["id"]))
    assert taken is not None
    for fraction in (0.25, 0.55):
        await bench.tasks.progress([Tick(task_id=taken.task.id, fence=taken.fence, stage="encode", progress=fraction)])
    await bench.finish(taken, State.FAILED, error=FAILURE)

    events = await call.good("GET", "/events?kind=task.updated&order=asc")

    assert [event["data"]["progress"] for event in events][-2:] == [25, 55]
    assert {event["data"]["status"] for event in events[-2:]} == {"processing"}


async def test_a_run_is_told_of_each_tenth_and_how_its_tasks_stood_then(call: Caller) -> None:
    bench = call.mill.bench
    await call.good(
        "POST", "/webhooks/endpoints", {"url": "https://hooks.example/in", "topics": ["run.updated"]}, status=201
    )
    given = [{"kind": "ingest", "options": {"url": f"https://files.example/{name}.mov"}} for name in "ab"]
    run = await call.good("POST", "/runs", {"tasks": given})
    parts = [ours(part["id"]) for part in run["tasks"]]
    taken = []
    for id in parts:
        fetching = await bench.take(id)
        assert fetching is not None
        await bench.tasks.progress([Tick(task_id=id, fence=fetching.fence, stage="fetch", progress=0.9)])
        await call.fetched(id)
        attempt = await bench.take(id)
        assert attempt is not None
        taken.append(attempt)
    for fraction in (0.1, 0.5, 0.51):  # a twentieth, a quarter and not a tenth more of the whole run
        tick = Tick(task_id=parts[0], fence=taken[0].fence, stage="copy", progress=fraction)
        await bench.tasks.progress([tick])
    await bench.finish(taken[0], State.SUCCEEDED)
    await bench.finish(taken[1], State.FAILED, error=FAILURE)

    events = await call.good("GET", "/events?kind=run.updated&order=asc")

    told = [event["data"] for event in events]
    assert [data["progress"] for data in told] == [0, 25, 50]
    assert [[(part["status"], part["progress"]) for part in data["tasks"]] for data in told[1:]] == [
        [("processing", 50), ("processing", 0)],
        [("succeeded", 100), ("processing", 0)],
    ]
    assert {(data["status"], data["error"], data["finished_at"]) for data in told} == {("processing", None, None)}


async def test_a_task_with_a_webhook_of_its_own_is_told_of_to_endpoints_and_to_it_at_its_end_alone(
    call: Caller,
) -> None:
    bench = call.mill.bench
    endpoint = {"url": "https://hooks.example/in", "topics": ["task.updated"]}
    await call.good("POST", "/webhooks/endpoints", endpoint, status=201)
    task = await call.tasked("video", options={"format": "mp4"}, webhook_url="https://hooks.example/own")
    await call.fetched(ours(task["id"]))
    taken = await bench.take(ours(task["id"]))
    assert taken is not None
    await bench.tasks.progress([Tick(task_id=taken.task.id, fence=taken.fence, stage="encode", progress=0.25)])
    await bench.finish(taken, State.FAILED, error=FAILURE)

    sent = await bench.pool.fetch("SELECT url, type FROM deliveries WHERE task_id = $1 ORDER BY id", taken.task.id)

    assert [row["type"] for row in sent if row["url"] is None][-1] == "task.progress"
    assert [row["type"] for row in sent if row["url"] is not None] == ["task.failed"]
