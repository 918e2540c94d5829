"""Runs on the wire: trees of tasks, where their inputs come from, and how the whole stands."""

from __future__ import annotations

from typing import Any

import pytest
from tests.dialects.ittybit.conftest import FLAT, Caller, ours

RUN = {
    "id", "object", "status", "progress", "tasks", "error", "metadata", "created_by", "created_at", "updated_at",
    "started_at", "finished_at",
}  # fmt: skip
URL = "https://files.example/in.mov"


async def created(call: Caller, tasks: Any, **given: Any) -> Any:
    return await call.good("POST", "/runs", {"tasks": tasks, **given}, status=201)


async def test_a_tree_is_accepted_whole_and_its_dependants_wait(call: Caller) -> None:
    tree = [
        {
            "kind": "ingest",
            "options": {"url": URL},
            "next": [
                {"kind": "image", "options": {"width": 480}, "ref": "small"},
                {
                    "kind": "conditions",
                    "options": {"conditions": [{"prop": "duration", "operator": "lte", "value": 600}]},
                    "next": [{"kind": "audio", "options": {"format": "mp3"}}],
                },
            ],
        }
    ]

    run = await created(call, tree, metadata={"order": "A-17"})

    assert set(run) == RUN
    assert (run["object"], run["status"], run["progress"], run["error"]) == ("run", "waiting", None, None)
    assert run["metadata"] == {"order": "A-17"}
    assert run["created_by"].startswith("key_")
    assert [task["kind"] for task in run["tasks"]] == ["ingest", "image", "conditions", "audio"]
    assert {frozenset(task) for task in run["tasks"]} == {frozenset({"id", "kind", "status", "progress"})}
    tasks = await call.good("GET", f"/tasks?run_id={run['id']}&order=asc")
    by_kind = {task["kind"]: task for task in tasks}
    assert {task["status"] for task in tasks} == {"waiting"}
    assert by_kind["ingest"]["parent_id"] is None
    assert by_kind["image"]["parent_id"] == by_kind["conditions"]["parent_id"] == by_kind["ingest"]["id"]
    assert by_kind["audio"]["parent_id"] == by_kind["conditions"]["id"]
    full = await call.good("GET", f"/runs/{run['id']}")
    assert {task["object"] for task in full["tasks"]} == {"task"}


async def test_a_child_works_on_what_its_parent_made(call: Caller) -> None:
    run = await created(call, [{"kind": "ingest", "url": URL, "next": [{"kind": "ingest"}]}])
    parent, child = (task["id"] for task in run["tasks"])

    await call.fetched(ours(parent))
    await call.mill.succeed(ours(parent), b"first")
    made = await call.good("GET", f"/tasks/{parent}")
    waiting = await call.good("GET", f"/tasks/{child}")
    await call.mill.succeed(ours(child), b"second")
    over = await call.good("GET", f"/runs/{run['id']}")

    assert waiting["input"]["url"] == made["output"]["url"]
    assert (over["status"], over["progress"]) == ("succeeded", 100)
    assert over["created_at"] <= over["started_at"] <= over["finished_at"] <= over["updated_at"]
    [media] = await call.good("GET", "/media")
    assert len(media["files"]) == 2


async def test_siblings_take_the_ingest_beside_them_or_the_runs_own_url(call: Caller) -> None:
    beside = await created(call, [{"kind": "image"}, {"kind": "ingest", "url": URL}])
    own = await created(call, [{"kind": "image"}, {"kind": "audio", "url": "https://files.example/b.mp3"}], url=URL)

    tasks = await call.good("GET", f"/tasks?run_id={beside['id']}&kind=image")
    assert tasks[0]["input"] is None  # it waits for what the other makes
    inputs = {t["kind"]: t["input"]["url"] for t in (await call.good("GET", f"/runs/{own['id']}"))["tasks"]}
    assert inputs == {"image": URL, "audio": "https://files.example/b.mp3"}


async def test_a_failure_cancels_what_hangs_on_it_and_fails_the_run(call: Caller) -> None:
    run = await created(
        call, [{"kind": "ingest", "url": URL, "next": [{"kind": "image"}]}, {"kind": "ingest", "url": URL}]
    )
    first, _, other = (task["id"] for task in run["tasks"])

    await call.mill.fail(ours(first), code="source_unreachable", message="The source answered 404.")
    half = await call.good("GET", f"/runs/{run['id']}")
    await call.fetched(ours(other))
    await call.mill.succeed(ours(other))
    over = await call.good("GET", f"/runs/{run['id']}")

    assert half["status"] in ("waiting", "processing")
    assert [task["status"] for task in over["tasks"]] == ["failed", "cancelled", "succeeded"]
    assert over["status"] == "failed"
    assert over["error"] == {"kind": "input_unreachable", "message": "The source answered 404."}
    assert [r["id"] for r in await call.good("GET", "/runs?status=failed")] == [run["id"]]
    assert await call.good("GET", "/runs?status=validating") == []
    await call.error(409, "run_not_cancellable", "POST", f"/runs/{run['id']}/cancel")


async def test_a_run_is_cancelled_as_a_whole(call: Caller) -> None:
    run = await created(call, [{"kind": "ingest", "url": URL, "next": [{"kind": "image"}]}])

    over = await call.good("POST", f"/runs/{run['id']}/cancel", status=200)

    assert over["status"] == "cancelled"
    assert {task["status"] for task in over["tasks"]} == {"cancelled"}
    await call.good("POST", f"/runs/{run['id']}/cancel", status=200)


async def test_runs_are_walked_by_cursor(call: Caller) -> None:
    made = [(await created(call, [{"kind": "ingest", "url": URL}]))["id"] for _ in range(3)]

    first = await call("GET", "/runs?limit=2")
    second = await call("GET", f"/runs?limit=2&after={first.json()[-1]['id']}")

    assert [run["id"] for run in first.json() + second.json()] == made[::-1]
    assert (first.headers["has-more"], second.headers["has-more"]) == ("true", "false")
    await call.error(400, "request_invalid", "GET", "/runs?after=run_nosuchrun12")
    await call.error(400, "request_invalid", "GET", "/runs?status=ready")
    await call.error(404, "run_not_found", "GET", "/runs/run_nosuchrun12")


@pytest.mark.parametrize(
    ("body", "kind", "word"),
    [
        ({}, "request_invalid", "tasks"),
        ({"tasks": []}, "request_invalid", "tasks"),
        ({"tasks": {}}, "request_invalid", "tasks"),
        ({"tasks": [3]}, "request_invalid", "tasks[0]"),
        ({"tasks": [{"kind": "film"}]}, "request_invalid", "tasks[0].kind"),
        ({"tasks": [{"kind": "ingest"}]}, "url_required", "tasks[0].url"),
        ({"tasks": [{"kind": "ingest", "url": URL, "next": 3}]}, "request_invalid", "tasks[0].next"),
        ({"tasks": [{"kind": "ingest", "url": URL}] * 101}, "request_invalid", "100"),
        ({"tasks": [{"kind": "image", "url": URL, "options": {"sparkle": 1}}]}, "request_invalid", "sparkle"),
        ({"tasks": [{"kind": "image", "url": URL, "options": {"format": "doc"}}]}, "format_unsupported", "format"),
        ({"tasks": [{"kind": "ingest", "url": "http://127.0.0.1/"}]}, "request_invalid", "url"),
        ({"tasks": [{"kind": "ingest", "url": URL}], "metadata": 3}, "request_invalid", "metadata"),
    ],
)
async def test_a_run_that_cannot_be_is_refused_and_leaves_nothing(
    call: Caller, body: Any, kind: str, word: str
) -> None:
    assert word in await call.error(400, kind, "POST", "/runs", body)
    assert await call.good("GET", "/tasks") == []


async def test_a_tree_that_is_too_deep_is_refused(call: Caller) -> None:
    tree: Any = {"kind": "ingest"}
    for _ in range(40):
        tree = {"kind": "ingest", "next": [tree]}

    assert "deep" in await call.error(400, "request_invalid", "POST", "/runs", {"tasks": [tree], "url": URL})


async def test_older_callers_start_a_workflow_as_a_task(call: Caller) -> None:
    flat = call.speaking(FLAT)
    body = {"kind": "workflow", "url": URL, "workflow": [{"kind": "ingest"}, {"kind": "description"}]}

    task = await flat.good("POST", "/tasks", body, status=201)
    again = await flat.good("GET", f"/tasks/{task['id']}")

    assert (task["kind"], task["status"], task["object"]) == ("workflow", "pending", "task")
    assert again["workflow"] == body["workflow"]
    assert {t["kind"] for t in await flat.good("GET", "/tasks")} == {"ingest", "summary"}


async def test_the_same_key_starts_one_run(call: Caller) -> None:
    key = {"idempotency-key": "k" * 20}
    body = {"tasks": [{"kind": "ingest", "url": URL}]}

    first = await call("POST", "/runs", body, headers=key)
    again = await call("POST", "/runs", body, headers=key)

    assert (first.status_code, again.status_code) == (201, 200)
    assert first.json() == again.json()
    assert len(await call.good("GET", "/runs")) == 1
