"""Several runs started together: all at once, or one by one as their lines come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import msgspec

from mediamill.core.errors import Conflict, Invalid, NotFound
from mediamill.core.ids import new_id
from mediamill.core.prompts import MOST_IN_BATCH, MOST_KEY, PromptFilter
from mediamill.core.tasks import Page, State, Task
from mediamill.dialects.recoup import bare, details, ids, runs
from mediamill.dialects.recoup.call import BATCH_BYTES, Call, Reply, Route, read_json
from mediamill.dialects.recoup.errors import Fault
from mediamill.dialects.recoup.triggers import Item, Trigger, read_new, told
from mediamill.dialects.recoup.words import identifier_word

NOT_FOUND = "Batch not found"
_COUNT_DIGITS = 3
"""At the end of the id of a batch that is filled line by line: how many runs it is to have."""


class Batch(msgspec.Struct, kw_only=True):
    """Runs of several tasks."""

    items: list[Item]


class SameTask(msgspec.Struct, kw_only=True):
    """Runs of one task."""

    items: list[Trigger]


class NewBatch(msgspec.Struct, kw_only=True, rename="camel"):
    """A batch whose runs come later."""

    run_count: int
    idempotency_key: str | None = None


class Line(Item, kw_only=True):
    """One run of a batch, with its place in it."""

    index: int


async def trigger_batch(call: Call) -> Reply:
    """Start runs of several tasks, all or none."""
    return await _batch(call, bare.read(call, Batch).items)


async def trigger_many(call: Call) -> Reply:
    """Start several runs of one task, all or none."""
    items = bare.read(call, SameTask).items
    return await _batch(call, [Item(task=call.ids[0], payload=one.payload, options=one.options) for one in items])


async def create_batch(call: Call) -> Reply:
    """A batch that is to be filled line by line; a key that was used before answers the batch it was used for."""
    body = bare.read(call, NewBatch)
    if not 1 <= body.run_count <= MOST_IN_BATCH:
        raise bare.bad_body(f"must be from 1 to {MOST_IN_BATCH}", ["runCount"])
    said: dict[str, Any] = {"runCount": body.run_count, "isCached": False}
    made = f"{new_id('batch')}{body.run_count:0{_COUNT_DIGITS}d}"
    key, replies = body.idempotency_key, call.site.service.media.replies
    if key is None:
        return Reply(body={"id": ids.batch(made), **said})
    if not 1 <= len(key) <= MOST_KEY:
        raise bare.bad_body(f"must be 1 to {MOST_KEY} characters", ["idempotencyKey"])
    said["idempotencyKey"] = key
    scope, hashed = "POST batch", body.run_count.to_bytes(4, "big")
    known = await replies.claim(call.caller.project_id, scope, key, hashed)
    if known is not None:
        return Reply(body={"id": known.decode(), **said, "isCached": True})
    await replies.keep(call.caller.project_id, scope, key, 200, ids.batch(made).encode())
    return Reply(body={"id": ids.batch(made), **said})


async def fill_batch(call: Call) -> Reply:
    """Start the runs of a batch, a line of JSON each. A line that came before is not done again."""
    id = _read_id(call.ids[0])
    count = int(id[-_COUNT_DIGITS:]) if id[-_COUNT_DIGITS:].isdecimal() else 0
    there = {task.extra.get("index") for task in await _runs(call, id)}
    lines = []
    for n, raw in enumerate(line for line in call.raw.splitlines() if line.strip()):
        try:
            lines.append(bare.convert(read_json(raw), Line, [n]))
        except Fault as error:
            raise error if "issues" in error.body else bare.bad_body(str(error), [n], "invalid_json") from None
        if not 0 <= lines[-1].index < count:
            raise bare.bad_body(f"must be from 0 to {count - 1}", [n, "index"])
    fresh = {line.index: line for line in lines if line.index not in there}
    news = [
        (line, await read_new(call, line.task, line, (line.index,), function="batchTrigger")) for line in fresh.values()
    ]
    for line, new in news:
        try:
            await call.site.service.prompts.trigger(call.caller, replace(new, batch_id=id, extra={"index": line.index}))
        except (Invalid, NotFound, Conflict) as error:
            raise told(error, line.task) from None
    done = len(there | set(fresh))
    said: dict[str, Any] = {
        "id": call.ids[0],
        "itemsAccepted": len(fresh),
        "itemsDeduplicated": len(lines) - len(fresh),
    }
    if done < count:
        return Reply(body={**said, "sealed": False, "enqueuedCount": done, "expectedCount": count})
    return Reply(body={**said, "sealed": True})


async def get_batch(call: Call) -> Reply:
    """How a batch stands."""
    id, found = await _of_batch(call)
    over = all(task.state.final for task in found)
    bad = any(task.state is not State.SUCCEEDED for task in found)
    said: dict[str, Any] = {
        "id": ids.batch(id),
        "status": "PENDING" if not over else "PARTIAL_FAILED" if bad else "COMPLETED",
        "createdAt": runs.instant(min(task.created_at for task in found)),
        "updatedAt": runs.instant(max(task.updated_at for task in found)),
        "runCount": len(found),
        "runs": [ids.run(task.id) for task in found],
        "processing": {"errors": []},
    }
    return Reply(body=said)


async def get_batch_results(call: Call) -> Reply:
    """What came of the runs of a batch that are over."""
    id, found = await _of_batch(call)
    return Reply(body={"id": ids.batch(id), "items": [details.result(task) for task in found if task.state.final]})


async def _of_batch(call: Call) -> tuple[str, Sequence[Task]]:
    """(our id of the batch in the path, its runs in order). Raises a 404 Fault."""
    id = _read_id(call.ids[0])
    found = await _runs(call, id)
    if not found:
        raise Fault(404, NOT_FOUND)
    return id, found


async def _runs(call: Call, id: str) -> Sequence[Task]:
    page = Page(limit=MOST_IN_BATCH, ascending=True)
    listed = await call.site.service.prompts.list(call.caller, page, PromptFilter(batch_id=id))
    return listed.items


def _read_id(word: str) -> str:
    try:
        return ids.read_batch(word)
    except NotFound:
        raise Fault(404, NOT_FOUND) from None


async def _batch(call: Call, items: Sequence[Item]) -> Reply:
    if not items:
        raise bare.bad_body("must hold at least one item", ["items"])
    news = [
        await read_new(call, item.task, item, ("items", n), function="batchTrigger") for n, item in enumerate(items)
    ]
    try:
        id, found = await call.site.service.prompts.batch(call.caller, news)
    except (Invalid, NotFound, Conflict) as error:
        raise told(error, "") from None
    said: list[dict[str, Any]] = [
        {
            "id": ids.run(task.id),
            "taskIdentifier": identifier_word(task.origin.identifier or ""),
            "isCached": not fresh,
            **({"idempotencyKey": new.shown_key} if new.shown_key is not None else {}),
        }
        for new, (task, fresh) in zip(news, found, strict=True)
    ]
    # Clients of three ages read this: some want the runs, some their number.
    batch = {"id": ids.batch(id), "batchId": ids.batch(id), "isCached": False, "runCount": len(said)}
    if call.path.endswith("/batch") and call.ids:
        return Reply(body={**batch, "runs": [one["id"] for one in said]})
    return Reply(body={**batch, "runs": said})


ROUTES = [
    Route("POST", "/api/v1/tasks/{}/batch", trigger_many, most=BATCH_BYTES),
    Route("POST", "/api/v2/tasks/batch", trigger_batch, most=BATCH_BYTES),
    Route("POST", "/api/v3/batches", create_batch),
    Route("POST", "/api/v3/batches/{}/items", fill_batch, most=BATCH_BYTES),
    Route("GET", "/api/v1/batches/{}", get_batch),
    Route("GET", "/api/v2/batches/{}", get_batch),
    Route("GET", "/api/v1/batches/{}/results", get_batch_results),
]
