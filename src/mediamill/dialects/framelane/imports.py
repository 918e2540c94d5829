"""/v1/imports: a copy of a file that lies elsewhere, fetched now and named by a URL of ours."""

from __future__ import annotations

from mediamill.core.errors import Invalid, NotFound
from mediamill.core.files import safe_name
from mediamill.core.tasks import NewTask, Source, State, Task
from mediamill.dialects import Links
from mediamill.dialects.framelane import ids, jobs
from mediamill.dialects.framelane.call import NAME, Call, Json, Reply, Route
from mediamill.dialects.framelane.errors import invalid
from mediamill.dialects.framelane.tasks import read_url, source_bound
from mediamill.dialects.framelane.uploads import source_url

_KIND = "ingest"
LONGEST_NAME = 255


def write_import(task: Task, links: Links) -> Json:
    """An import, with the URL to use once it is ready."""
    file = task.result
    status = "processing"
    if task.state.final:
        status = "ready" if task.state is State.SUCCEEDED and file is not None else "failed"
    return {
        "id": ids.write("import", task.id),
        "status": status,
        "source_url": source_url(file, links) if status == "ready" and file is not None else None,
        "error": jobs.write_error(task.error) if status == "failed" else None,
        "created_at": jobs.instant(task.created_at),
    }


async def create_import(call: Call) -> Reply:
    """Fetch a URL into the workspace."""
    body = call.body()
    url, name = read_url(body, "url", required=True), body.get("filename")
    if name is not None and (not isinstance(name, str) or not 1 <= len(name) <= LONGEST_NAME):
        raise invalid("filename", f"must be a string of 1 to {LONGEST_NAME} characters")
    source = Source(url=url, filename=safe_name(name) if name else None)
    placed = {"media": {"filename": source.filename}} if name else {}
    extra = {**source_bound(call), **placed, "new_media": True}  # told as an asset, as an upload is
    new = NewTask(kind=_KIND, inputs=[source], dialect=NAME, extra=extra)
    try:
        task, _ = await call.site.service.tasks.create(call.caller, new)
    except Invalid as error:
        error.field = "url"
        raise
    shown = write_import(task, call.links)
    return Reply(body=shown, status=202, headers={"location": call.url(f"/v1/imports/{shown['id']}")})


async def get_import(call: Call) -> Reply:
    """One."""
    try:
        task = await call.site.service.tasks.get(call.caller, ids.read("import", call.ids[0]))
    except NotFound:
        raise NotFound("import", call.ids[0]) from None
    if task.kind != _KIND:
        raise NotFound("import", call.ids[0])
    return Reply(body=write_import(task, call.links))


ROUTES = [Route("POST", "/v1/imports", create_import), Route("GET", "/v1/imports/{}", get_import)]
