"""/tasks: list, create, read, cancel; and what can be asked for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import msgspec

from mediamill import kinds
from mediamill.core.errors import Conflict, MediamillError, NotFound
from mediamill.core.tasks import Cursor, Filter, Page, Task
from mediamill.dialects.ittybit import current, flat, ids, query, runs
from mediamill.dialects.ittybit.call import Call, Reply, Route
from mediamill.dialects.ittybit.errors import Fault
from mediamill.dialects.ittybit.objects import Json
from mediamill.dialects.ittybit.profile import Profile
from mediamill.dialects.ittybit.reading import key_of, new_task, read_item, told
from mediamill.dialects.ittybit.status import filter_of
from mediamill.dialects.ittybit.words import KINDS, listed, worded

MOST_COUNTED = 10_000
"""Totals of lists that are paged by number stop here."""
CANCEL_WAIT_S = 20.0


def write_task(task: Task, call: Call, *, status: str | None = None) -> Json:
    """A task in the call's profile."""
    write = current.write_task if call.profile is Profile.CURRENT else flat.write_task
    return write(task, call.links, status=status)


async def list_tasks(call: Call) -> Reply:
    """The tasks, newest first unless told."""
    tasks = call.site.service.tasks
    filter = _filter(call)
    if call.numbered:
        asked = query.numbered(call)
        if filter is None:
            return Reply(body=[], around=query.number_around(call, asked, 0))
        page = Page(limit=asked.limit, skip=asked.skip, ascending=query.ascending(call))
        found = await tasks.list(call.caller, page, filter)
        total = await tasks.count(call.caller, filter, MOST_COUNTED)
        body = [write_task(task, call) for task in found.items]
        return Reply(body=body, around=query.number_around(call, asked, total))
    page = await query.window(call, lambda id: place(call, id))
    if filter is None:
        return Reply(body=[], around=query.cursor_around(call, page, [], False))
    found = await tasks.list(call.caller, page, filter)
    shown = [write_task(task, call) for task in found.items]
    return Reply(body=shown, around=query.cursor_around(call, page, [task["id"] for task in shown], found.more))


async def place(call: Call, id: str) -> Cursor:
    """Where a task stands in the list. Raises NotFound."""
    task = await task_of(call, id)
    return Cursor(at=task.created_at, id=task.id)


async def task_of(call: Call, id: str) -> Task:
    """A task that can be shown. Raises NotFound."""
    try:
        task = await call.site.service.tasks.get(call.caller, ids.read("task", id))
    except NotFound:
        raise NotFound("task", id) from None
    if not worded(task):
        raise NotFound("task", id)
    return task


async def create_task(call: Call) -> Reply:
    """One task, and the run it is alone in."""
    body = call.body()
    if body.get("kind") == "workflow":
        return await runs.create_workflow(call, body)
    item = read_item(body)
    new = new_task(item, profile=call.profile.value, origin=call.links.origin, idempotency_key=key_of(call))
    if not new.inputs and kinds.named(new.kind).inputs[0] > 0:
        raise Fault(400, "url_required", "One of url, file_id and input is required.")
    try:
        task, fresh = await call.site.service.tasks.create(call.caller, new)
    except MediamillError as error:
        raise told(error, body, item) from error
    shown = write_task(task, call, status="waiting" if fresh else None)
    headers = {"location": call.url(f"/tasks/{shown['id']}")}
    return Reply(body=shown, status=201 if fresh else 200, headers=headers)


async def get_task(call: Call) -> Reply:
    """One task; in the older profiles also a workflow, which is a run."""
    if call.numbered and call.ids[0].startswith("run_"):
        return Reply(body=await runs.read_workflow(call, call.ids[0]))
    return Reply(body=write_task(await task_of(call, call.ids[0]), call))


async def cancel_task(call: Call) -> Reply:
    """Stop a task; one that has been stopped before is told as it is."""
    task = await task_of(call, call.ids[0])
    try:
        task = await call.site.service.tasks.cancel(call.caller, task.id, wait_s=CANCEL_WAIT_S)
    except Conflict as error:
        raise Fault(409, "task_not_cancellable", str(error)) from None
    return Reply(body=write_task(task, call))


async def tasks_config(call: Call) -> Reply:
    """The kinds with their options, and whether they are on here."""
    engines = call.site.engines
    found: dict[str, Any] = {}
    for name in KINDS:
        kind = kinds.load().get(name)
        if kind is None:
            continue
        missing = kind.missing(engines)
        found[name] = {
            "kind": name,
            "description": kind.summary,
            "available": missing is None,
            "reason": missing.reason if missing else None,
            "options": msgspec.json.schema(kind.options),
        }
    return Reply(body=found)


def _filter(call: Call) -> Filter | None:
    """What the query asks for; None for what matches nothing."""
    given, old = call.query, call.numbered
    found = Filter()
    if (word := given.get("status")) is not None:
        found = filter_of(word, old_words=old)
    kind = given.get("kind")
    names = [listed(kind, old_words=old)] if kind is not None else list(KINDS)
    runs = {name: given[name] for name in ("run_id", "created_by") if name in given}
    read: set[str] = set()
    for name, id in runs.items():
        if not id:
            raise Fault(400, "request_invalid", f"{name} must not be empty.")
        try:
            read.add(ids.read("run", id))
        except NotFound:
            return None
    if len(read) > 1:
        return None
    return replace(found, kinds=names, run_id=next(iter(read), None))


ROUTES = [
    Route("GET", "/tasks", list_tasks),
    Route("POST", "/tasks", create_task),
    Route("GET", "/tasks/{}", get_task),
    Route("POST", "/tasks/{}/cancel", cancel_task, json=False),
    Route("GET", "/tasks-config", tasks_config),
]
