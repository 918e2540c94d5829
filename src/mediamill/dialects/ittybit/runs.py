"""/runs: tasks that are started together, some of which wait for others."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from mediamill.core.errors import Conflict, Invalid, MediamillError, NotFound
from mediamill.core.runs import NewRun, Run
from mediamill.core.tasks import Cursor
from mediamill.dialects.ittybit import current, ids, objects, query
from mediamill.dialects.ittybit.call import Call, Reply, Route
from mediamill.dialects.ittybit.errors import Fault, invalid, refused
from mediamill.dialects.ittybit.objects import NAME, Json
from mediamill.dialects.ittybit.profile import Profile
from mediamill.dialects.ittybit.reading import attached, key_of, named, read_source
from mediamill.dialects.ittybit.status import STATUSES, legacy
from mediamill.dialects.ittybit.workflow import nodes_of

CANCEL_WAIT_S = 20.0
_STATES = {"waiting": "waiting", "processing": "running"} | {w: w for w in ("succeeded", "failed", "cancelled")}
_PLACE = re.compile(r"tasks\.\d+\.?")


async def list_runs(call: Call) -> Reply:
    """The runs, newest first unless told."""
    page = await query.window(call, lambda id: _place(call, id))
    word = call.query.get("status")
    states = None
    if word is not None:
        if word not in STATUSES:
            raise invalid(f"status must be one of {', '.join(STATUSES)}")
        if word not in _STATES:
            return Reply(body=[], around=query.cursor_around(call, page, [], False))
        states = [_STATES[word]]
    found = await call.site.service.runs.list(call.caller, page, states)
    shown = [current.write_run(run, call.links) for run in found.items]
    return Reply(body=shown, around=query.cursor_around(call, page, [run["id"] for run in shown], found.more))


async def create_run(call: Call) -> Reply:
    """A tree of tasks; all of it is accepted, or nothing."""
    run, fresh = await _create(call, call.body(), "tasks")
    shown = current.write_run(run, call.links)
    return Reply(body=shown, status=201 if fresh else 200, headers={"location": call.url(f"/runs/{shown['id']}")})


async def get_run(call: Call) -> Reply:
    """One run with its tasks in full."""
    run = await run_of(call, call.ids[0])
    tasks = await call.site.service.runs.tasks(call.caller, run.id)
    return Reply(body=current.write_run(run, call.links, tasks))


async def cancel_run(call: Call) -> Reply:
    """Stop all of a run; one that has been stopped before is told as it is."""
    run = await run_of(call, call.ids[0])
    try:
        run = await call.site.service.runs.cancel(call.caller, run.id, wait_s=CANCEL_WAIT_S)
    except Conflict as error:
        raise Fault(409, "run_not_cancellable", str(error)) from None
    return Reply(body=current.write_run(run, call.links))


async def run_of(call: Call, id: str) -> Run:
    """A run of the caller's. Raises NotFound."""
    try:
        return await call.site.service.runs.get(call.caller, ids.read("run", id))
    except NotFound:
        raise NotFound("run", id) from None


async def create_workflow(call: Call, body: Json) -> Reply:
    """A task of kind workflow, as older callers know it: a run."""
    run, fresh = await _create(call, body, "workflow")
    if call.profile is Profile.CURRENT:
        return Reply(body=current.write_run(run, call.links), status=201 if fresh else 200)
    return Reply(body=_as_task(run, call, body.get("workflow")), status=201 if fresh else 200)


async def read_workflow(call: Call, id: str) -> Json:
    """A run as older callers know it."""
    run = await run_of(call, id)
    return _as_task(run, call, run.extra.get("workflow"))


async def _create(call: Call, body: Json, name: str) -> tuple[Run, bool]:
    source = read_source(body)
    connection = query.text(body, "connection_id", most=80)
    if source is not None and source.url is not None and connection is not None:
        source = replace(source, connection=ids.read("connection", connection))
    nodes = nodes_of(body.get(name), source=source, profile=call.profile.value, origin=call.links.origin, root=name)
    new = NewRun(
        nodes=nodes,
        dialect=NAME,
        metadata=query.mapping(body, "metadata"),
        extra={"workflow": body.get(name)} if name == "workflow" else {},
        created_by=call.caller.key_id,
        idempotency_key=key_of(call),
    )
    try:
        return await call.site.service.runs.create(call.caller, new)
    except MediamillError as error:
        raise told(error, nodes) from error


def told(error: MediamillError, nodes: Any) -> MediamillError:
    """What the service refused of a run, in the caller's words."""
    if isinstance(error, NotFound) and error.noun in ("file", "connection"):
        return Fault(404, f"{error.noun}_not_found", f"{error.noun}_id: there is no {error.noun} of that id.")
    if isinstance(error, Invalid) and not isinstance(error, Fault):
        field = _PLACE.sub("", error.field)
        place = error.field.split(".")[1] if error.field.startswith("tasks.") else ""
        kind = nodes[int(place)].new.kind if place.isdigit() and int(place) < len(nodes) else ""
        if type(error) is Invalid:
            new = nodes[int(place)].new if kind else None
            here = attached(error, kind, new.options, len(new.inputs)) if new else error
            field = _PLACE.sub("", here.field) if here is not error else field
            error = named(here, kind)
        said = refused(error)
        shown = field.removeprefix("options.")
        shown = "url" if shown.startswith("inputs") else "destination" if shown == "destination.url" else shown
        message = f"{shown}: {error.reason}" if shown else error.reason
        if kind:
            message = f"{message} (task of kind {kind})"
        options = nodes[int(place)].new.options if kind else {}
        if field == "options.format" and isinstance(options.get("format"), str):
            return Fault(400, "format_unsupported", message)
        if field == "inputs":
            return Fault(400, "url_required", message)
        return Fault(said.status, said.kind, message)
    return refused(error)


def _as_task(run: Run, call: Call, workflow: Any) -> Json:
    shown = current.write_run(run, call.links)
    error = shown["error"]
    return {
        "id": shown["id"],
        "object": "task",
        "kind": "workflow",
        "status": legacy(shown["status"]),
        "created": objects.iso(run.created_at),
        "updated": objects.iso(run.updated_at),
        "input": None,
        "options": {},
        "output": None,
        "progress": shown["progress"],
        "error": error["message"] if error else None,
        "metadata": shown["metadata"],
        "created_by": shown["created_by"],
        "parent_id": None,
        "workflow": workflow if isinstance(workflow, list) else None,
        "results": None,
        "tasks": shown["tasks"],
    }


async def _place(call: Call, id: str) -> Cursor:
    run = await run_of(call, id)
    return Cursor(at=run.created_at, id=run.id)


ROUTES = [
    Route("GET", "/runs", list_runs),
    Route("POST", "/runs", create_run),
    Route("GET", "/runs/{}", get_run),
    Route("POST", "/runs/{}/cancel", cancel_run, json=False),
]
