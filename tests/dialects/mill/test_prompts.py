"""/mill/prompts: runs over HTTP, in the test's own process and with the test for a worker."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from tests.support import inprocess
from tests.support.inprocess import KEY, InProcess

AUTH = {"Authorization": f"Bearer {KEY}"}


@pytest_asyncio.fixture
async def mill(dsn: str, tmp_path: Path) -> AsyncIterator[InProcess]:
    async with inprocess.running(dsn, tmp_path) as found:
        # A worker that runs prompts, as far as the server can tell.
        await found.bench.pool.execute(
            "INSERT INTO workers (id, host, pid, queues, slots, version, runners) "
            "VALUES ('w', 'h', 1, '{agent}', 1, '0', '{prompt}')"
        )
        yield found


async def _ask(mill: InProcess, method: str, path: str, status: int = 200, **given: Any) -> Any:
    headers = AUTH | given.pop("headers", {})
    answer = await mill.http.request(method, f"/mill/prompts{path}", headers=headers, **given)
    assert answer.status_code == status, answer.text
    return answer.json()


async def _start(mill: InProcess, status: int = 201, **given: Any) -> Any:
    return await _ask(mill, "POST", "", status, json={"prompt": "Cut a teaser.", **given})


async def test_a_prompt_is_started_read_and_ended(mill: InProcess) -> None:
    made = await _start(mill, payload={"a": 1}, tags=["x"], metadata={"m": 1}, max_steps=3, ttl="1h30m")
    assert (made["status"], made["identifier"], made["tags"]) == ("queued", "prompt", ["x"])
    assert (made["payload"], made["ttl"], made["cost_cents"]) == ({"a": 1}, "1h30m", 0)

    await mill.bench.finish(
        await mill.start(made["id"]),
        details={
            "output": {"text": "hi"}, "cost_cents": 0.42, "model": "m", "duration_ms": 12.5,
            "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7},
        },
    )  # fmt: skip
    one = await _ask(mill, "GET", f"/{made['id']}?wait=1")

    assert (one["status"], one["output"], one["cost_cents"]) == ("completed", {"text": "hi"}, 0.42)
    assert one["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}
    assert [attempt["state"] for attempt in one["attempts"]] == ["succeeded"]
    assert "cancel" not in one["links"]
    assert await _ask(mill, "GET", f"/{made['id']}/steps") == {"data": []}


async def test_a_prompt_started_as_a_task_is_a_run_too(mill: InProcess) -> None:
    made = await mill.http.post("/mill/tasks", headers=AUTH, json={"kind": "prompt", "options": {"prompt": "a"}})
    assert made.status_code == 201
    assert (await _ask(mill, "GET", f"/{made.json()['id']}"))["identifier"] == "prompt"


async def test_a_key_answers_200_with_the_first_run(mill: InProcess) -> None:
    first = await _start(mill, idempotency_key="k", idempotency_ttl="2d")
    again = await _ask(mill, "POST", "", 200, json={"prompt": "b"}, headers={"Idempotency-Key": "k"})
    assert again["id"] == first["id"]


async def test_a_batch_is_all_or_nothing(mill: InProcess) -> None:
    made = await _ask(mill, "POST", "/batch", 201, json={"items": [{"prompt": "a"}, {"prompt": "b", "is_test": True}]})
    assert made["cached"] == [False, False]
    assert {run["batch_id"] for run in made["data"]} == {made["id"]}
    bad = await _ask(mill, "POST", "/batch", 422, json={"items": [{"prompt": "a"}, {"prompt": "b", "ttl": "x"}]})
    assert bad["field"] == "items.1.ttl"
    assert len((await _ask(mill, "GET", f"?batch_id={made['id']}"))["data"]) == 2
    assert len((await _ask(mill, "GET", ""))["data"]) == 2


async def test_lists_are_filtered_and_walked(mill: InProcess) -> None:
    test = await _start(mill, is_test=True, tags=["one"])
    delayed = await _start(mill, delay="1h", tags=["one", "two"])
    failed = await _start(mill)
    await mill.fail(failed["id"])

    async def ids(query: str) -> list[str]:
        return [run["id"] for run in (await _ask(mill, "GET", query))["data"]]

    assert await ids("") == [failed["id"], delayed["id"], test["id"]]
    assert await ids("?order=asc&limit=1") == [test["id"]]
    assert await ids("?status=delayed,failed") == [failed["id"], delayed["id"]]
    assert await ids("?tag=two,one") == [delayed["id"], test["id"]]
    assert await ids("?tag=one&is_test=false") == [delayed["id"]]
    assert await ids("?is_test=true") == [test["id"]]
    assert await ids("?identifier=other") == []
    assert await ids(f"?since={failed['created_at']}") == [failed["id"]]
    assert await ids(f"?until={test['created_at']}") == [test["id"]]
    page = await _ask(mill, "GET", "?limit=2")
    assert [run["id"] for run in (await _ask(mill, "GET", f"?limit=2&after={page['next']}"))["data"]] == [test["id"]]
    await _ask(mill, "GET", "?status=asleep", 422)
    await _ask(mill, "GET", "?since=yesterday", 422)


async def test_a_run_is_put_off_tagged_described_replayed_and_cancelled(mill: InProcess) -> None:
    made = await _start(mill, delay="1h", ttl=60)
    moved = await _ask(mill, "POST", f"/{made['id']}/reschedule", json={"delay": "2099-01-01"}, status=422)
    assert moved["field"] == "delay"
    moved = await _ask(mill, "POST", f"/{made['id']}/reschedule", json={"delay": "3h"})
    assert moved["delayed_until"] > made["delayed_until"]
    assert moved["expires_at"] > made["expires_at"]
    assert (await _ask(mill, "POST", f"/{made['id']}/tags", json={"tags": ["x"]}))["tags"] == ["x"]
    assert (await _ask(mill, "PUT", f"/{made['id']}/metadata", json={"metadata": {"a": 1}}))["metadata"] == {"a": 1}
    new = await _ask(mill, "POST", f"/{made['id']}/replay", 201)
    assert (new["retry_of"], new["status"], new["tags"], new["metadata"]) == (made["id"], "queued", ["x"], {"a": 1})
    assert (await _ask(mill, "POST", f"/{made['id']}/cancel"))["status"] == "canceled"
    assert (await _ask(mill, "POST", f"/{made['id']}/cancel"))["status"] == "canceled"
    await _ask(mill, "POST", f"/{made['id']}/reschedule", 409, json={"delay": "3h"})


async def test_a_child_shows_its_parent_and_the_parent_its_child(mill: InProcess) -> None:
    parent = await _start(mill)
    child = await _start(mill, parent_id=parent["id"])
    assert (child["parent_id"], child["root_id"], child["depth"]) == (parent["id"], parent["id"], 1)
    assert [each["id"] for each in (await _ask(mill, "GET", f"/{parent['id']}"))["children"]] == [child["id"]]


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"ttl": "x"}, "ttl"),
        ({"delay": "x"}, "delay"),
        ({"prompt": "  "}, "prompt"),
        ({"tags": ["x"] * 11}, "tags"),
        ({"idempotency_ttl": "x"}, "idempotency_ttl"),
        ({"idempotency_key": "a\0b"}, "idempotency_key"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"nothing": 0}, "nothing"),
    ],
)
async def test_a_bad_field_is_named(mill: InProcess, given: dict[str, Any], field: str) -> None:
    assert (await _start(mill, 422, **given))["field"].split(".")[0] == field


async def test_unknown_runs_runners_and_parents_are_not_found(mill: InProcess) -> None:
    await _start(mill, 404, identifier="nobody")
    await _start(mill, 404, parent_id="t\0")
    for method, path in (("GET", ""), ("GET", "/steps"), ("POST", "/cancel"), ("POST", "/replay")):
        await _ask(mill, method, f"/t1{path}", 404)


async def test_another_project_sees_nothing(mill: InProcess) -> None:
    made = await _start(mill)
    other = {"Authorization": f"Bearer {await mill.token('other')}"}
    assert (await mill.http.get("/mill/prompts", headers=other)).json()["data"] == []
    assert (await mill.http.post(f"/mill/prompts/{made['id']}/cancel", headers=other)).status_code == 404
