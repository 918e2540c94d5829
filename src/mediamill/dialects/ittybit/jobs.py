"""/jobs: the newer front door, a thin view over runs of one task. Its instants are milliseconds."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from mediamill.core.errors import Invalid, MediamillError, NotFound
from mediamill.core.tasks import Filter, Task
from mediamill.dialects.ittybit import current, ids, objects, query
from mediamill.dialects.ittybit.call import Call, Reply, Route
from mediamill.dialects.ittybit.errors import Fault
from mediamill.dialects.ittybit.objects import Json, millis
from mediamill.dialects.ittybit.reading import key_of, new_task, read_item, told
from mediamill.dialects.ittybit.status import status_of
from mediamill.dialects.ittybit.tasks import place

KINDS = ("video", "audio", "image", "animation", "adaptive_video")
_MADE_BY = ("video", "audio", "image", "adaptive_video")
_STATUSES = {"waiting": "queued", "validating": "queued", "queued": "queued", "finishing": "processing"}


def write_job(task: Task, call: Call) -> Json:
    """The run of one task as a job."""
    said = status_of(task)
    source = task.inputs[0] if task.inputs else None
    url = None
    if source is not None:
        url = source.url or (objects.file_url(call.links, source.file) if source.file else None)
    made = current.write_output(task, call.links) if said == "succeeded" else None
    sent = task.extra.get("destination") or {}
    return {
        "id": ids.write("job", task.run_id),
        "object": "job",
        "kind": task.extra.get("job", task.kind),
        "input": url,
        "output": sent.get("url") or (made["url"] if made else None),
        "options": current.options_of(task),
        "metadata": task.metadata,
        "status": _STATUSES.get(said, said),
        "error": objects.failure(task.error) if said == "failed" else None,
        "tasks": [{"id": ids.write("task", task.id), "kind": task.kind, "status": said}],
        "created_at": millis(task.created_at),
        "started_at": millis(task.started_at),
        "finished_at": millis(task.finished_at),
        "updated_at": millis(objects.updated_at(task)),
    }


async def list_jobs(call: Call) -> Reply:
    """The jobs, newest first unless told."""
    page = await query.window(call, lambda id: _place(call, id))
    found = await call.site.service.tasks.list(call.caller, page, Filter(kinds=list(_MADE_BY), dialects=[objects.NAME]))
    shown = [write_job(task, call) for task in found.items]
    return Reply(body=shown, around=query.cursor_around(call, page, [job["id"] for job in shown], found.more))


async def create_job(call: Call) -> Reply:
    """A job: one task of a URL."""
    body = call.body()
    kind = body.get("kind")
    if kind not in KINDS:
        raise Fault(400, "invalid_input", f"kind must be one of {', '.join(KINDS)}.")
    if not isinstance(body.get("input"), str):
        raise Fault(400, "invalid_input", "input is required: the URL of the source.")
    item: dict[str, Any] = {**body, "kind": "image" if kind == "animation" else kind}
    if kind == "animation":
        item["options"] = {"format": "gif", **(query.mapping(body, "options") or {})}
    wanted = read_item(item)
    new = new_task(wanted, profile=call.profile.value, origin=call.links.origin, idempotency_key=key_of(call))
    new = replace(new, extra={**new.extra, "job": kind})
    try:
        task, fresh = await call.site.service.tasks.create(call.caller, new)
    except MediamillError as error:
        said = told(error, item, wanted)
        if isinstance(error, Invalid) and isinstance(said, Fault) and said.kind == "request_invalid":
            raise Fault(400, "invalid_input", str(said)) from error
        raise said from error
    shown = write_job(task, call)
    location = {"location": call.url(f"/jobs/{shown['id']}")}
    return Reply(body=shown, status=201 if fresh else 200, headers=location)


async def get_job(call: Call) -> Reply:
    """One job."""
    return Reply(body=write_job(await _task_of(call, call.ids[0]), call))


async def _task_of(call: Call, id: str) -> Task:
    try:
        found = await call.site.service.runs.tasks(call.caller, ids.read("job", id))
    except NotFound:
        found = []
    for task in found:
        if task.kind in _MADE_BY:
            return task
    raise NotFound("job", id)


async def _place(call: Call, id: str) -> Any:
    return await place(call, ids.write("task", (await _task_of(call, id)).id))


ROUTES = [Route("GET", "/jobs", list_jobs), Route("POST", "/jobs", create_job), Route("GET", "/jobs/{}", get_job)]
