"""The job: one shape for tasks and renders, and the calls that both have."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from mediamill.core.errors import Conflict, Invalid, NotFound
from mediamill.core.files import File
from mediamill.core.tasks import LAZY, Cursor, Failure, Filter, Page, State, Task
from mediamill.dialects import Links
from mediamill.dialects.framelane import ids
from mediamill.dialects.framelane.call import Call, Json, Reply
from mediamill.dialects.framelane.errors import Fault, invalid
from mediamill.web.cursors import read_cursor, write_cursor

TYPES = {
    "remove_background": "remove-background",
    "gaze_redirect": "gaze-redirect",
    "super_resolution": "super-resolution",
    "transcribe": "transcribe",
}
"""The task types, which are kinds of ours, and the paths they are made at."""
RENDER = "render"
STATUSES = ("ingesting", "queued", "processing", "completed", "failed", "cancelled")
MOST_LISTED, DEFAULT_LISTED = 200, 20
LONGEST_WAIT_S = 25
LINK_S = 3600.0
CANCEL_WAIT_S = 9.0

STAGES = ("downloading", "compositing", "encoding", "uploading")
_STAGES = {"fetch": "downloading", "encode": "encoding", "store": "uploading", "upload": "uploading"}
_FILTERS = {
    "ingesting": Filter(states=[State.INGESTING]),
    "queued": Filter(states=[State.QUEUED, State.DELAYED, State.WAITING], started=False),
    # Between two attempts it goes on, to its caller.
    "processing": Filter(states=[State.RUNNING, State.QUEUED, State.DELAYED], started=True),
    "completed": Filter(states=[State.SUCCEEDED]),
    "failed": Filter(states=[State.FAILED]),
    "cancelled": Filter(states=[State.CANCELLED]),
}
_UNFINISHED = [state for state in State if not state.final]
_LAZY: Mapping[str, Filter | None] = {
    "ingesting": None,
    "queued": Filter(states=_UNFINISHED, attempted=False, lazy=True),
    "processing": Filter(states=_UNFINISHED, attempted=True, lazy=True),
}
"""The same of renders that fetch their sources when they are made."""
_STATUS = {
    State.WAITING: "queued",
    State.INGESTING: "ingesting",
    State.DELAYED: "queued",
    State.QUEUED: "queued",
    State.RUNNING: "processing",
    State.SUCCEEDED: "completed",
    State.FAILED: "failed",
    State.CANCELLED: "cancelled",
}
_CODES = {
    "source_not_found": "source_not_found",
    "source_too_large": "source_too_large",
    "too_large": "source_too_large",
    "no_face_detected": "no_face_detected",
    "timed_out": "timeout",
    "limit_exceeded": "unsupported_feature",
    "expired": "source_not_found",
    "bad_media": "codec_unsupported",
    "no_video_stream": "invalid_source",
    "no_audio_stream": "invalid_source",
    "unsupported": "unsupported_feature",
}
_FAMILIES = {"source": "invalid_source", "input": "invalid_source", "limit": "timeout"}


def worded(task: Task) -> bool:
    """Whether a task can be said here."""
    return task.kind in TYPES or task.kind == RENDER


def word_of(task: Task) -> str:
    """The prefix of its id."""
    return "render" if task.kind == RENDER else "task"


def status_of(task: Task) -> str:
    """One of STATUSES."""
    if LAZY in task.extra and not task.state.final:
        return "processing" if task.attempt else "queued"
    if task.state in (State.QUEUED, State.DELAYED) and task.started_at is not None:
        return "processing"
    return _STATUS[task.state]


def write_job(task: Task, links: Links) -> Json:
    """The job as it is answered and told."""
    status = status_of(task)
    return {
        "id": ids.write(word_of(task), task.id),
        "kind": word_of(task),
        "workspace_id": ids.workspace(task.project_id),
        "status": status,
        "created_at": instant(task.created_at),
        "updated_at": instant(task.updated_at),
        "task_type": task.kind if task.kind in TYPES else None,
        "progress_percent": _percent(task, status),
        "progress_stage": _stage(task, status),
        "output": _output(task, links) if status == "completed" else None,
        "error": write_error(task.error) if status == "failed" else None,
        "metadata": _metadata(task.metadata),
        "completed_at": instant(task.finished_at) if task.finished_at else None,
    }


def instant(value: datetime) -> str:
    """RFC 3339 in UTC, to the millisecond."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _percent(task: Task, status: str) -> int:
    if status == "completed":
        return 100
    fetching = task.started_at is None  # what has been fetched is no part of the work
    return 0 if fetching or status in ("ingesting", "queued") else min(99, int(task.progress * 100 + 1e-6))


def _stage(task: Task, status: str) -> str | None:
    if status in ("ingesting", "processing") and task.started_at is None:
        return "downloading" if task.attempt else None
    if status == "processing":
        return _STAGES.get(task.stage or "", "compositing")
    if task.stage is None or status != "failed":
        return None
    return _STAGES.get(task.stage, "compositing")


def _output(task: Task, links: Links) -> Json | None:
    file = task.result
    if file is None:
        return None
    facts = file.facts
    duration = task.details.get("duration") if task.kind == "transcribe" else facts.get("duration_s")
    return {
        "url": short(links).download(file),
        "width": facts.get("width_px"),
        "height": facts.get("height_px"),
        "duration": duration,
        "size_bytes": file.size_bytes,
    }


def short(links: Links) -> Links:
    """The same links, good for an hour."""
    return replace(links, download_s=min(LINK_S, links.download_s))


def write_error(error: Failure | None) -> Json:
    """Why a job failed."""
    if error is None:
        return {"code": "internal", "message": "The job failed."}
    code = _CODES.get(error.code) or _FAMILIES.get(error.family, "internal")
    return {"code": code, "message": error.message}


def _metadata(given: Mapping[str, Any] | None) -> Json:
    """String to string: what came by another dialect is said as JSON would."""
    return {key: value if isinstance(value, str) else str(value) for key, value in (given or {}).items()}


def listed(items: Sequence[Json], more: bool, last: tuple[datetime, str] | None) -> Json:
    """The envelope of every list."""
    cursor = _sealed(write_cursor(*last)) if more and last is not None else None
    return {"data": list(items), "next_cursor": cursor, "has_more": cursor is not None}


def page_of(call: Call, *, default: int = DEFAULT_LISTED) -> Page:
    """The page that the query asks for. Raises a 422 Fault for a limit, a 400 one for a cursor."""
    return Page(limit=limit_of(call, default=default), after=cursor_of(call))


def limit_of(call: Call, *, default: int = DEFAULT_LISTED) -> int:
    """How many to show."""
    given = call.query.get("limit")
    if given is None:
        return default
    number = int(given) if given.isascii() and given.isdigit() and len(given) < 10 else 0
    if not 1 <= number <= MOST_LISTED:
        raise invalid("limit", f"must be between 1 and {MOST_LISTED}")
    return number


def cursor_of(call: Call) -> Cursor | None:
    """After which place. Raises a 400 Fault for what was cut short or altered on its way, too."""
    given = call.query.get("cursor")
    try:
        if given is not None and _sealed(given[:-_SEAL]) != given:
            raise Invalid("cursor", "is altered")
        return read_cursor("cursor", None if given is None else given[:-_SEAL])
    except Invalid:
        raise Fault(400, "invalid_request", "cursor: was not given out here") from None


_SEAL = 10
"""Letters at a cursor's end that vouch for the rest: a part of one may be readable, and lead elsewhere."""


def _sealed(cursor: str) -> str:
    return cursor + hashlib.sha256(f"framelane cursor {cursor}".encode(errors="replace")).hexdigest()[:_SEAL]


async def list_jobs(call: Call, kinds: Sequence[str]) -> Reply:
    """Jobs of some kinds, newest first."""
    page = page_of(call)
    status = call.query.get("status")
    if status is not None and status not in _FILTERS:
        raise invalid("status", f"must be one of {', '.join(STATUSES)}")
    wanted = [_FILTERS[status] if status is not None else Filter()]
    if status is not None and status in _LAZY and RENDER in kinds:
        lazy = _LAZY[status]
        wanted = [replace(wanted[0], lazy=False), *([lazy] if lazy is not None else [])]
    pages = [await call.site.service.tasks.list(call.caller, page, replace(one, kinds=list(kinds))) for one in wanted]
    both = sorted((task for found in pages for task in found.items), key=lambda task: (task.created_at, task.id))
    tasks = both[::-1][: page.limit]
    more = len(both) > page.limit or any(found.more for found in pages)
    last = (tasks[-1].created_at, tasks[-1].id) if tasks else None
    return Reply(body=listed([write_job(task, call.links) for task in tasks], more, last))


async def job_of(call: Call, word: str) -> Task:
    """The job of the path. Raises NotFound, also for one of the other word."""
    try:
        task = await call.site.service.tasks.get(call.caller, ids.read(word, call.ids[0]))
    except NotFound:
        raise NotFound(word, call.ids[0]) from None
    if not worded(task) or word_of(task) != word:
        raise NotFound(word, call.ids[0])
    return task


async def get_job(call: Call, word: str) -> Reply:
    """A job; with `wait`, once it has ended or so many seconds have passed."""
    task = await job_of(call, word)
    given = call.query.get("wait")
    if given is not None:
        if not (given.isascii() and given.isdigit()):
            raise invalid("wait", f"must be an integer from 0 to {LONGEST_WAIT_S}")
        seconds = min(int(given[:9]), LONGEST_WAIT_S)
        if seconds and not task.state.final:
            task = await call.site.service.tasks.wait(call.caller, task.id, float(seconds))
    return Reply(body=write_job(task, call.links))


async def cancel_job(call: Call, word: str) -> Reply:
    """Stop a job; one that was stopped before is answered as it is. Raises Conflict for one that has ended."""
    task = await job_of(call, word)
    try:
        task = await call.site.service.tasks.cancel(call.caller, task.id, wait_s=CANCEL_WAIT_S)
    except Conflict:
        found = await job_of(call, word)
        raise _over(found) from None
    if task.state.final and task.state is not State.CANCELLED:  # it was quicker
        raise _over(task)
    return Reply(body=write_job(task, call.links))


def _over(task: Task) -> Fault:
    return Fault(409, "conflict", f"The job is {status_of(task)}; it cannot be cancelled.")


async def download(call: Call, word: str) -> Reply:
    """Where the bytes are."""
    task = await job_of(call, word)
    file: File | None = task.result
    if task.state is not State.SUCCEEDED:
        raise Fault(409, "conflict", f"The job is {status_of(task)}; there is nothing to download.")
    if file is None:
        raise Fault(409, "conflict", "The file of this job has expired.")
    return Reply(status=302, headers={"location": short(call.links).download(file), "cache-control": "no-store"})
