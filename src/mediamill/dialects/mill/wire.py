"""The native dialect's bodies. Field names are the core's own, so that there is nothing to translate."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from mediamill.core import access, files, tasks
from mediamill.core.errors import Invalid
from mediamill.dialects import Links

StateWord = Literal["waiting", "ingesting", "delayed", "queued", "running", "succeeded", "failed", "cancelled"]


class SourceIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """One input: a stored file, or a URL to fetch (http, https, or s3://bucket/key by way of a connection)."""

    file: str | None = None
    url: Annotated[str, Meta(max_length=8192)] | None = None
    filename: Annotated[str, Meta(max_length=500)] | None = None
    connection: Annotated[str, Meta(max_length=64, description="Opens an s3:// URL; unset: the default.")] | None = None


class Destination(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A bucket that the result is also sent to, before the task counts as done."""

    url: Annotated[str, Meta(max_length=2048, description="s3://bucket/key, or a folder: s3://bucket/folder/.")]
    connection: Annotated[str, Meta(max_length=64, description="Unset: the project's default.")] | None = None


class TaskIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A task to do."""

    kind: Annotated[str, Meta(max_length=100, description="What to do; /mill/capabilities lists the kinds.")]
    inputs: Annotated[list[SourceIn], Meta(max_length=100)] = []
    options: Annotated[dict[str, Any], Meta(description="Options of the kind, by its schema in the capabilities.")] = {}
    priority: Annotated[int, Meta(ge=-100, le=100, description="Higher goes first.")] = 0
    not_before: datetime | None = None
    max_attempts: Annotated[int, Meta(ge=1, le=10)] = tasks.MAX_ATTEMPTS
    metadata: Annotated[dict[str, Any], Meta(description="Yours; given back as it came.")] | None = None
    destination: Destination | None = None
    reuse: Annotated[bool, Meta(description="Whether an earlier result of the same may be the answer.")] = True
    webhook_url: (
        Annotated[str, Meta(max_length=2048, pattern="^https?://", description="Where the task is posted at its end.")]
        | None
    ) = None


class FileIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A file to register (filename and size_bytes, then one PUT to links.upload), or a URL to fetch into one."""

    filename: Annotated[str, Meta(min_length=1, max_length=500)] | None = None
    mime: Annotated[str, Meta(max_length=127)] | None = None
    size_bytes: Annotated[int, Meta(ge=1)] | None = None
    url: Annotated[str, Meta(max_length=8192)] | None = None


class KeyIn(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A key to make."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    role: Literal["admin", "member"] = "member"
    project_id: Annotated[str, Meta(pattern="^[A-Za-z0-9_-]{1,64}$")] | None = None


class FileLinks(msgspec.Struct, kw_only=True):
    """upload while bytes are awaited; download once they are here. Both work without a key."""

    self: str
    upload: str | None
    download: str | None


class FileOut(msgspec.Struct, kw_only=True):
    """A file and what is known of it."""

    id: str
    filename: str
    mime: str
    size_bytes: int
    state: Literal["awaiting", "ready", "gone"]
    sha256: str | None
    facts: dict[str, Any]
    created_at: datetime
    updated_at: datetime
    expires_at: datetime | None
    links: FileLinks


class InputOut(msgspec.Struct, kw_only=True):
    """file is null while a URL is not fetched, or once the file is gone."""

    file: FileOut | None
    url: str | None


class OutputOut(msgspec.Struct, kw_only=True):
    """role is "result" for the file that was asked for."""

    role: str
    file: FileOut | None


class ErrorOut(msgspec.Struct, kw_only=True):
    """Why a task or an attempt failed. `class`: whose fault it is."""

    code: str
    family: str = msgspec.field(name="class")
    stage: str | None
    message: str


class StageOut(msgspec.Struct, kw_only=True):
    """A part of an attempt; it lasts until the next begins or the attempt ends."""

    name: str
    started_at: datetime


class AttemptOut(msgspec.Struct, kw_only=True):
    """One execution. `log` is the tool's last lines."""

    number: int
    worker: str
    state: Literal["running", "succeeded", "failed", "cancelled", "lost"]
    stage: str | None
    stages: list[StageOut]
    started_at: datetime
    finished_at: datetime | None
    error: ErrorOut | None
    log: str | None


class TaskLinks(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What can be done next."""

    self: str
    events: str
    cancel: str | UnsetType = UNSET
    retry: str | UnsetType = UNSET


class TaskOut(msgspec.Struct, kw_only=True):
    """A task. `attempts` is filled where one task is read."""

    id: str
    kind: str
    state: StateWord
    stage: str | None
    progress: float
    dialect: str
    run_id: str
    project_id: str
    priority: int
    not_before: datetime | None
    options: dict[str, Any]
    metadata: dict[str, Any] | None
    inputs: list[InputOut]
    outputs: list[OutputOut]
    details: dict[str, Any]
    destination: Destination | None
    error: ErrorOut | None
    attempt: int
    max_attempts: int
    attempts: list[AttemptOut]
    retry_of: str | None
    parent_id: str | None
    ref: str | None
    cancel_requested: bool
    created_at: datetime
    updated_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    links: TaskLinks


class TaskPage(msgspec.Struct, kw_only=True):
    """One page; next and prev are cursors for `after` and `before`."""

    data: list[TaskOut]
    next: str | None
    prev: str | None


class FilePage(msgspec.Struct, kw_only=True):
    """One page; next and prev are cursors for `after` and `before`."""

    data: list[FileOut]
    next: str | None
    prev: str | None


class KeyOut(msgspec.Struct, kw_only=True, omit_defaults=True):
    """A key; `secret` is shown when it is made, and never again."""

    id: str
    name: str
    role: Literal["admin", "member"]
    project_id: str
    hint: str
    created_at: datetime
    last_used_at: datetime | None
    revoked_at: datetime | None
    secret: str | UnsetType = UNSET


class KeyPage(msgspec.Struct, kw_only=True):
    """All keys of the project."""

    data: list[KeyOut]


class Health(msgspec.Struct):
    """The process answers."""

    status: Literal["ok"]


class Version(msgspec.Struct):
    """What runs here."""

    name: str
    version: str


class Ready(msgspec.Struct):
    """Checks by name: "ok", or what is wrong."""

    status: Literal["ok", "unavailable"]
    checks: dict[str, str]


def write_file(file: files.File, links: Links) -> FileOut:
    """A file as JSON."""
    awaited = file.state is files.FileState.AWAITING
    return FileOut(
        id=file.id,
        filename=file.filename,
        mime=file.mime,
        size_bytes=file.size_bytes,
        state=file.state.value,
        sha256=file.sha256,
        facts=dict(file.facts),
        created_at=file.created_at,
        updated_at=file.updated_at,
        expires_at=file.expires_at,
        links=FileLinks(
            self=f"{links.origin}/mill/files/{file.id}",
            upload=links.upload(file) if awaited else None,
            download=links.download(file) if file.ready else None,
        ),
    )


def write_failure(error: tasks.Failure | None) -> ErrorOut | None:
    """Why something failed, as JSON."""
    if error is None:
        return None
    return ErrorOut(code=error.code, family=error.family, stage=error.stage, message=error.message)


def _attempt(attempt: tasks.Attempt) -> AttemptOut:
    return AttemptOut(
        number=attempt.number,
        worker=attempt.worker,
        state=attempt.state,  # type: ignore[arg-type]  # the column's own check holds it to these words
        stage=attempt.stage,
        stages=[StageOut(name=stage.name, started_at=stage.started_at) for stage in attempt.stages],
        started_at=attempt.started_at,
        finished_at=attempt.finished_at,
        error=write_failure(attempt.error),
        log=attempt.log,
    )


def _destination(task: tasks.Task) -> Destination | None:
    found = task.extra.get("destination")
    return Destination(url=found["url"], connection=found["connection"]) if found else None


def write_task(task: tasks.Task, links: Links) -> TaskOut:
    """A task as JSON."""
    here = f"{links.origin}/mill/tasks/{task.id}"
    again = task.state in (tasks.State.FAILED, tasks.State.CANCELLED)
    return TaskOut(
        id=task.id,
        kind=task.kind,
        state=task.state.value,
        stage=task.stage,
        progress=round(task.progress, 4),
        dialect=task.dialect,
        run_id=task.run_id,
        project_id=task.project_id,
        priority=task.priority,
        not_before=task.not_before,
        options=dict(task.options),
        metadata=dict(task.metadata) if task.metadata is not None else None,
        inputs=[InputOut(file=write_file(i.file, links) if i.file else None, url=i.url) for i in task.inputs],
        outputs=[OutputOut(role=o.role, file=write_file(o.file, links) if o.file else None) for o in task.outputs],
        details=dict(task.details),
        destination=_destination(task),
        error=write_failure(task.error),
        attempt=task.attempt,
        max_attempts=task.max_attempts,
        attempts=[_attempt(attempt) for attempt in task.attempts],
        retry_of=task.retry_of,
        parent_id=task.parent_id,
        ref=task.ref,
        cancel_requested=task.cancel_requested,
        created_at=task.created_at,
        updated_at=task.updated_at,
        started_at=task.started_at,
        finished_at=task.finished_at,
        links=TaskLinks(
            self=here,
            events=f"{here}/events",
            cancel=f"{here}/cancel" if not task.state.final else UNSET,
            retry=f"{here}/retry" if again else UNSET,
        ),
    )


def write_key(key: access.Key, secret: str | None = None) -> KeyOut:
    """A key as JSON."""
    return KeyOut(
        id=key.id,
        name=key.name,
        role=key.role.value,
        project_id=key.project_id,
        hint=key.hint,
        created_at=key.created_at,
        last_used_at=key.last_used_at,
        revoked_at=key.revoked_at,
        secret=secret if secret is not None else UNSET,
    )


def read_task(body: TaskIn, idempotency_key: str | None) -> tasks.NewTask:
    """A request as the core takes it."""
    not_before = body.not_before
    if not_before is not None and not_before.tzinfo is None:
        raise Invalid("not_before", "needs an offset, like 2030-01-01T00:00:00Z.")
    try:
        not_before = not_before.astimezone(UTC) if not_before else None
    except OverflowError:
        raise Invalid("not_before", "lies outside the years 1 to 9999.") from None
    for n, source in enumerate(body.inputs):
        if (source.file is None) == (source.url is None):
            raise Invalid(f"inputs.{n}", "needs either a file or a url.")
    extra: dict[str, Any] = {} if body.reuse else {"reuse": False}
    if body.destination is not None:
        extra["destination"] = msgspec.to_builtins(body.destination)
    if body.webhook_url is not None:
        extra["webhook_url"] = body.webhook_url
    return tasks.NewTask(
        kind=body.kind,
        inputs=[
            tasks.Source(file=s.file, url=s.url, filename=s.filename, connection=s.connection) for s in body.inputs
        ],
        extra=extra,
        options=body.options,
        metadata=body.metadata,
        priority=body.priority,
        not_before=not_before,
        max_attempts=body.max_attempts,
        idempotency_key=idempotency_key,
    )
