"""Tasks and runs in profile `current`: integer seconds, every key always there."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from mediamill.core.files import File
from mediamill.core.tasks import Input, Task
from mediamill.dialects import Links
from mediamill.dialects.ittybit import ids, objects
from mediamill.dialects.ittybit.objects import Json, seconds
from mediamill.dialects.ittybit.status import progress_of, status_of


def write_task(task: Task, links: Links, *, status: str | None = None) -> Json:
    """A task. `status` stands in for the one it has: a new one is told as it was accepted."""
    said = status or status_of(task)
    given = write_input(task.inputs[0], links) if task.inputs else None
    made = write_output(task, links) if said == "succeeded" else None
    run = ids.write("run", task.run_id)
    error = objects.failure(task.error) if said == "failed" else None
    if said == "failed" and error is None:
        error = {"kind": "internal_error", "message": "The task failed."}
    found: Json = {
        "id": ids.write("task", task.id),
        "object": "task",
        "kind": task.kind,
        "status": said,
        "progress": progress_of(task, said),
        "input": given,
        "output": made,
        "error": error,
        "metadata": task.metadata,
        "created_by": run,
        "run_id": run,
        "parent_id": ids.write("task", task.parent_id) if task.parent_id else None,
        "options": options_of(task),
        "inputs": [given] if given else [],
        "outputs": [made] if made else [],
        "created_at": seconds(task.created_at),
        "started_at": seconds(task.started_at),
        "finished_at": seconds(task.finished_at),
        "updated_at": seconds(objects.updated_at(task)),
    }
    return found | told(task, said)


def told(task: Task, said: str) -> Json:
    """What some kinds say beside their file."""
    found: Json = {}
    if task.kind == "summary" and said == "succeeded":
        found = {
            name: task.details[name] for name in ("title", "description", "tags", "languages") if name in task.details
        }
    if task.kind == "conditions" and "results" in task.details:
        found["results"] = task.details["results"]
    return found


def options_of(task: Task) -> Json:
    """The options as they were accepted."""
    given = task.extra.get("options") if task.dialect == objects.NAME else None
    return dict(given if isinstance(given, dict) else task.options)


def write_input(source: Input, links: Links) -> Json:
    """What a task works on. Before its bytes are here, only where they are."""
    file, url = source.file, source.url
    name: str | None
    if url is not None:
        kind = "s3" if url.lower().startswith("s3:") else "url"
        name = objects.url_name(url)
        if name == "file" and file is not None:
            name = file.filename
    else:
        kind, name = "internal", file.filename if file else None
        url = objects.file_url(links, file) if file else None
    known = objects.facts_of(file) if file is not None else objects.blank()
    return {"kind": kind, "url": url, "filename": name, **known}


def write_output(task: Task, links: Links) -> Json | None:
    """What a task made; None once it has expired, or for kinds that make no file."""
    file = task.result
    if file is None:
        return None
    found = {
        "kind": "internal",
        "url": output_url(task, file, links),
        "filename": file.filename,
        **objects.facts_of(file),
    }
    package = sum(o.file.size_bytes for o in task.outputs if o.file is not None)
    if task.kind == "adaptive_video":
        found["filesize"] = package
    sent: Any = task.details.get("destination")
    if isinstance(sent, str) and task.kind == "upload":
        found |= {"kind": "s3", "url": sent, "filename": objects.url_name(sent)}
    return found


def output_url(task: Task, file: File, links: Links) -> str:
    """Where an output is read, without a key."""
    project = ids.project(task.project_id)
    return f"{links.origin}{objects.CDN}/{project}/{ids.write('task', task.id)}/{quote(file.filename, safe='')}"
