"""Resources as JSON:API words them: files, tasks, the caller; and documents of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, assert_never

import msgspec
from msgspec import UNSET, UnsetType

from mediamill.core import formats
from mediamill.core.access import Project
from mediamill.core.files import File, FileState
from mediamill.core.tasks import State, Task
from mediamill.dialects import Links
from mediamill.dialects.turbofiles.errors import Version

NAME = "turbofiles"
KINDS = ("convert", "optimise")
"""The kinds of task that this dialect has words for."""
UNKNOWN = "application/octet-stream"
ROLES = ("input", "output")

Status = Literal["PENDING", "PROCESSING", "COMPLETED", "FAILED"]
Fields = Mapping[str, frozenset[str]]
"""Which attributes and relationships to show, by resource type; a type that is not there shows all."""


class SelfLink(msgspec.Struct, kw_only=True):
    """Where the resource itself is."""

    self: str


class Identifier(msgspec.Struct, kw_only=True):
    """Which file."""

    type: Literal["files"] = "files"
    id: str


class FileAttributes(msgspec.Struct, kw_only=True):
    """`size` is the declared number of bytes, then the true one."""

    format: str
    size: int
    created_at: str
    updated_at: str


class FileLinks(msgspec.Struct, kw_only=True):
    """`upload` while the bytes are awaited, `download` once they are here. Both are signed and need no token."""

    self: str
    upload: str | None
    download: str | None


class FileResource(msgspec.Struct, kw_only=True):
    """A file."""

    type: Literal["files"] = "files"
    id: str
    attributes: FileAttributes
    links: FileLinks


class TaskFormat(msgspec.Struct, kw_only=True):
    """What is turned into what."""

    input: str
    output: str


class TaskAttributes(msgspec.Struct, kw_only=True):
    """`settings` as they were sent; `processing_metadata` is empty until there is something to say."""

    public: bool
    created_at: str
    updated_at: str
    settings: dict[str, Any]
    status: Status
    format: TaskFormat
    started_at: str | None
    processed_at: str | None
    processing_metadata: dict[str, Any]


class RelationshipLinks(msgspec.Struct, kw_only=True):
    """Of the linkage, and of what it leads to."""

    self: str
    related: str


class Relationship(msgspec.Struct, kw_only=True):
    """`data` is null while there is no such file, or no longer."""

    data: Identifier | None
    links: RelationshipLinks


class TaskRelationships(msgspec.Struct, kw_only=True):
    """The files of a task."""

    input: Relationship
    output: Relationship


class TaskLinks(msgspec.Struct, kw_only=True, omit_defaults=True):
    """`download` is the result's, once the task is COMPLETED."""

    self: str
    download: str | UnsetType = UNSET


class TaskResource(msgspec.Struct, kw_only=True):
    """A task."""

    type: Literal["tasks"] = "tasks"
    id: str
    attributes: TaskAttributes
    relationships: TaskRelationships
    links: TaskLinks


class UserAttributes(msgspec.Struct, kw_only=True):
    """What there is to say of the caller."""

    created_at: str


class UserResource(msgspec.Struct, kw_only=True):
    """Whoever the token belongs to."""

    type: Literal["users"] = "users"
    id: str
    attributes: UserAttributes
    links: SelfLink


class FileDocument(msgspec.Struct, kw_only=True):
    """One file."""

    jsonapi: Version
    links: SelfLink
    data: FileResource


class RelatedDocument(msgspec.Struct, kw_only=True):
    """The file at the other end of a relationship, or null."""

    jsonapi: Version
    links: SelfLink
    data: FileResource | None


class LinkageDocument(msgspec.Struct, kw_only=True):
    """A relationship by itself."""

    jsonapi: Version
    links: RelationshipLinks
    data: Identifier | None


class TaskDocument(msgspec.Struct, kw_only=True):
    """One task, with its files unless `include` says otherwise."""

    jsonapi: Version
    links: SelfLink
    data: TaskResource
    included: list[FileResource]


class UserDocument(msgspec.Struct, kw_only=True):
    """The caller."""

    jsonapi: Version
    links: SelfLink
    data: UserResource


class PageLinks(msgspec.Struct, kw_only=True):
    """The pages beside this one."""

    prev: str | None
    next: str | None


class PageMeta(msgspec.Struct, kw_only=True):
    """Whether more items satisfy the request's cursors than the page shows, in the direction of travel."""

    rangeTruncated: bool


class FilePage(msgspec.Struct, kw_only=True):
    """One page of files."""

    jsonapi: Version
    meta: PageMeta
    links: PageLinks
    data: list[FileResource]


class TaskPage(msgspec.Struct, kw_only=True):
    """One page of tasks, with their files."""

    jsonapi: Version
    meta: PageMeta
    links: PageLinks
    data: list[TaskResource]
    included: list[FileResource]


JSONAPI = Version()
ALL: Fields = {}


def instant(value: datetime) -> str:
    """RFC 3339 in UTC with exactly six digits and a Z. `value` is UTC already, as the store hands it out."""
    return value.isoformat(timespec="microseconds")[:26] + "Z"


def status(task: Task) -> Status:
    """A task that waits for another attempt has begun: on the wire nothing leads back from PROCESSING to PENDING."""
    match task.state:
        case State.WAITING | State.INGESTING | State.DELAYED | State.QUEUED:
            return "PENDING" if task.started_at is None else "PROCESSING"
        case State.RUNNING:
            return "PROCESSING"
        case State.SUCCEEDED:
            return "COMPLETED"
        case State.FAILED | State.CANCELLED:
            return "FAILED"
    assert_never(task.state)


def format_of(file: File) -> str:
    """A file's type in this dialect: what it was declared to be, where this dialect asked for that."""
    if file.dialect == NAME and file.claimed_mime:
        return file.claimed_mime
    return file.mime


def worded(task: Task) -> bool:
    """Whether this dialect has words for a task."""
    return task.kind in KINDS


def write_file(file: File, links: Links, fields: Fields = ALL) -> FileResource:
    """A file."""
    attributes = FileAttributes(
        format=format_of(file),
        size=file.size_bytes,
        created_at=instant(file.created_at),
        updated_at=instant(file.updated_at),
    )
    return FileResource(
        id=file.id,
        attributes=_shown(attributes, fields, "files"),
        links=FileLinks(
            self=f"{links.base}/v1/files/{file.id}",
            upload=links.upload(file) if file.state is FileState.AWAITING else None,
            download=links.download(file) if file.ready else None,
        ),
    )


def file_document(file: File, links: Links, fields: Fields = ALL) -> FileDocument:
    """A file as a document."""
    resource = write_file(file, links, fields)
    return FileDocument(jsonapi=JSONAPI, links=SelfLink(self=resource.links.self), data=resource)


def resource_of(task: Task, links: Links, fields: Fields = ALL) -> TaskResource:
    """A task."""
    here = f"{links.base}/v1/tasks/{task.id}"
    said = status(task)
    result = related(task, "output")
    at = [t for t in (task.created_at, task.started_at, task.finished_at, task.updated_at) if t is not None]
    attributes = TaskAttributes(
        public=_public(task),
        created_at=instant(task.created_at),
        updated_at=instant(max(at)),  # columns are written one after the other, a microsecond apart
        settings=_settings(task),
        status=said,
        format=_format(task),
        started_at=instant(task.started_at) if task.started_at and said != "PENDING" else None,
        processed_at=instant(task.finished_at) if task.finished_at else None,
        processing_metadata=_metadata(task, said),
    )
    relationships = TaskRelationships(
        input=_relationship(here, "input", related(task, "input")), output=_relationship(here, "output", result)
    )
    return TaskResource(
        id=task.id,
        attributes=_shown(attributes, fields, "tasks"),
        relationships=_shown(relationships, fields, "tasks"),
        links=TaskLinks(self=here, download=links.download(result) if result is not None else UNSET),
    )


def task_document(task: Task, links: Links, include: Sequence[str] = ROLES, fields: Fields = ALL) -> TaskDocument:
    """A task as a document."""
    resource = resource_of(task, links, fields)
    return TaskDocument(
        jsonapi=JSONAPI,
        links=SelfLink(self=resource.links.self),
        data=resource,
        included=included([task], links, include, fields),
    )


def write_task(task: Task, links: Links) -> TaskDocument | None:
    """A task as a document, or None where there are no words for it."""
    return task_document(task, links) if worded(task) else None


def included(tasks: Iterable[Task], links: Links, include: Sequence[str], fields: Fields) -> list[FileResource]:
    """The files of tasks, each once."""
    found = {}
    for task in tasks:
        for role in include:
            file = related(task, role)
            if file is not None and file.id not in found:
                found[file.id] = write_file(file, links, fields)
    return list(found.values())


def related(task: Task, role: str) -> File | None:
    """The file at the other end of a relationship, while there is one."""
    if role == "input":
        return task.inputs[0].file if task.inputs else None
    return task.result if task.state is State.SUCCEEDED else None


def linkage_document(task: Task, role: str, links: Links) -> LinkageDocument:
    """A relationship by itself."""
    found = _relationship(f"{links.base}/v1/tasks/{task.id}", role, related(task, role))
    return LinkageDocument(jsonapi=JSONAPI, links=found.links, data=found.data)


def related_document(task: Task, role: str, links: Links, fields: Fields) -> RelatedDocument:
    """The file of a relationship."""
    file = related(task, role)
    return RelatedDocument(
        jsonapi=JSONAPI,
        links=SelfLink(self=f"{links.base}/v1/tasks/{task.id}/{role}"),
        data=write_file(file, links, fields) if file is not None else None,
    )


def user_document(project: Project, id: str, links: Links) -> UserDocument:
    """The caller."""
    here = SelfLink(self=f"{links.base}/v1/users/me")
    attributes = UserAttributes(created_at=instant(project.created_at))
    return UserDocument(jsonapi=JSONAPI, links=here, data=UserResource(id=id, attributes=attributes, links=here))


def _relationship(task_url: str, role: str, file: File | None) -> Relationship:
    return Relationship(
        data=Identifier(id=file.id) if file is not None else None,
        links=RelationshipLinks(self=f"{task_url}/relationships/{role}", related=f"{task_url}/{role}"),
    )


def _shown(value: Any, fields: Fields, type: str) -> Any:
    """The members that are asked for: the struct itself, or a mapping of some of it."""
    names = fields.get(type)
    if names is None:
        return value
    return {name: getattr(value, name) for name in value.__struct_fields__ if name in names}


def _public(task: Task) -> bool:
    return bool(task.extra.get("public", False)) if task.dialect == NAME else False


def _settings(task: Task) -> dict[str, Any]:
    if task.dialect == NAME:
        return dict(task.extra.get("settings", {}))
    return {key: value for key, value in task.options.items() if key != "format"}


def _format(task: Task) -> TaskFormat:
    if task.dialect == NAME and "format" in task.extra:
        return TaskFormat(input=task.extra["format"]["input"], output=task.extra["format"]["output"])
    source = task.inputs[0] if task.inputs else None
    found = UNKNOWN
    if source is not None and source.file is not None:
        found = source.file.mime
    elif source is not None and source.url:
        known = formats.by_filename(source.url.split("?", 1)[0].rsplit("/", 1)[-1])
        found = known.mime if known else UNKNOWN
    result = related(task, "output")
    made = task.options.get("format") or (result.mime if result is not None else found)
    return TaskFormat(input=found, output=formats.canonical(str(made)) or UNKNOWN)


def _metadata(task: Task, said: Status) -> dict[str, Any]:
    found: dict[str, Any] = {}
    source, result = related(task, "input"), related(task, "output")
    if said in ("COMPLETED", "FAILED"):
        size = source.size_bytes if source is not None else task.extra.get("input_size")
        if isinstance(size, int) and (source is not None or task.dialect == NAME):
            found["input_size"] = size
        if result is not None:
            found["output_size"] = result.size_bytes
        if task.started_at is not None and task.finished_at is not None:
            found["duration_ms"] = max(0, round((task.finished_at - task.started_at).total_seconds() * 1000))
    if result is not None:
        names = {"width_px": "width", "height_px": "height", "pages": "pages", "duration_s": "duration_s"}
        found |= {name: result.facts[fact] for fact, name in names.items() if result.facts.get(fact) is not None}
        if "pages" not in found and isinstance(task.details.get("pages"), int):
            found["pages"] = task.details["pages"]
    unknown = task.extra.get("ignored_settings", []) if task.dialect == NAME else []
    if ignored := sorted({*unknown, *task.details.get("ignored_settings", [])}):
        found["ignored_settings"] = ignored
    if said == "FAILED":
        error = task.error
        found["error"] = {
            "code": error.code if error else "cancelled",
            "message": error.message if error else "The task was cancelled.",
        }
    return found
