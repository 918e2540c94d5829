"""Tasks and runs in profile `current`: integer seconds, every key always there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import quote

from mediamill.core.files import File
from mediamill.core.runs import Part, Run
from mediamill.core.tasks import Input, State, Task
from mediamill.dialects import Links
from mediamill.dialects.ittybit import ids, objects
from mediamill.dialects.ittybit.objects import Json, seconds
from mediamill.dialects.ittybit.status import STORING, progress_of, status_of
from mediamill.dialects.ittybit.words import KINDS, worded

_SUMMARY = ("title", "description", "tags", "languages")
_TOLD_ELSEWHERE = frozenset({"destination", "results", *_SUMMARY})


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
    """What some kinds say beside their file, and how it was made: by which engine, moved or encoded, found again."""
    found: Json = {}
    if said == "succeeded" and (details := {n: v for n, v in task.details.items() if n not in _TOLD_ELSEWHERE}):
        if isinstance(earlier := details.pop("reused_from", None), str):
            details["reused_from"] = ids.write("task", earlier)
        found["details"] = details
    if task.kind == "summary" and said == "succeeded":
        found |= {name: task.details[name] for name in _SUMMARY if name in task.details}
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
    file, sent = task.result, task.details.get("destination")
    if isinstance(sent, Mapping) and task.kind == "upload":
        source = task.inputs[0].file if task.inputs else None
        known = objects.facts_of(source) if source is not None else objects.blank()
        return {"kind": "s3", "url": sent.get("url"), "filename": sent.get("filename"), **known}
    if file is None:
        return None
    url = output_url(task, file, links)
    found = {"kind": "internal", "url": url, "filename": file.filename, **objects.facts_of(file)}
    found |= objects.package(task)
    if isinstance(sent, Mapping):
        found["destination"] = sent.get("url")
    return found


def output_url(task: Task, file: File, links: Links) -> str:
    """Where an output is read, without a key."""
    project = ids.project(task.project_id)
    return f"{links.origin}{objects.CDN}/{project}/{ids.write('task', task.id)}/{quote(file.filename, safe='')}"


_RUN_STATES = {"waiting": "waiting", "running": "processing"}


def run_status(run: Run) -> str:
    """Where a run stands, in the words of tasks."""
    return _RUN_STATES.get(run.state, run.state)


def write_run(run: Run, links: Links, tasks: Sequence[Task] | None = None) -> Json:
    """A run; its tasks in brief, or in full where they are given."""
    said = run_status(run)
    parts: list[Json] = [
        {
            "id": ids.write("task", part.id),
            "kind": part.kind,
            "status": part_status(part),
            "progress": _part_progress(part),
        }
        for part in run.parts
        if part.kind in KINDS
    ]
    if tasks is not None:
        parts = [write_task(task, links) for task in tasks if worded(task)]
    error = objects.failure(run.error) if said == "failed" else None
    if said == "failed" and error is None:
        error = {"kind": "internal_error", "message": "A task of this run failed."}
    begun = run.started_at is not None or run.final
    return {
        "id": ids.write("run", run.id),
        "object": "run",
        "status": said,
        "progress": (100 if said == "succeeded" else min(99, int(run.progress * 100))) if begun else None,
        "tasks": parts,
        "error": error,
        "metadata": dict(run.metadata) if run.metadata is not None else {},
        "created_by": creator(run.created_by),
        "created_at": seconds(run.created_at),
        "started_at": seconds(run.started_at),
        "finished_at": seconds(run.finished_at),
        "updated_at": seconds(max(run.updated_at, run.finished_at or run.updated_at)),
    }


def part_status(part: Part) -> str:
    """As `status_of`, of a task in brief."""
    state = part.state
    if state.final or state is State.WAITING:
        return state.value
    if state is State.RUNNING:
        return "finishing" if part.stage == STORING else "processing"
    if state is State.INGESTING:
        return "validating" if part.stage else "waiting"
    return "processing" if part.started_at else "queued"


def _part_progress(part: Part) -> int | None:
    if part.state is State.SUCCEEDED:
        return 100
    return min(99, int(part.progress * 100)) if part.started_at else None


def creator(id: str | None) -> str | None:
    """The key or the automation that asked."""
    if not id:
        return None
    return ids.write("automation" if id.startswith(ids.PREFIXES["automation"][1]) else "key", id)
