"""The verbs on tasks and files over their tables: for the API, and for prompts in a worker."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence

from mediamill import kinds
from mediamill.app.common import lifetimes
from mediamill.blobs import Blobs
from mediamill.config import Settings
from mediamill.core.dispatch import Accept
from mediamill.core.errors import NotFound
from mediamill.core.files import File
from mediamill.core.ports import Engines
from mediamill.core.tasks import Task
from mediamill.service.connections import Connections
from mediamill.service.files import Files, Sniff
from mediamill.service.tasks import Tasks
from mediamill.service.watch import Watch
from mediamill.store.batch import Batcher
from mediamill.store.files import Files as FileTable
from mediamill.store.tasks import Tasks as TaskTable

Accepting = Callable[[Accept], Awaitable[tuple[str, bool]]]
Reading = Callable[[str], Awaitable[Task]]


def task_verbs(
    settings: Settings,
    table: TaskTable,
    files: FileTable,
    *,
    engines: Engines,
    check_url: Callable[[str], None],
    watch: Watch,
    connections: Connections,
    width: int = 1,
) -> tuple[Tasks, Accepting, Reading]:
    """The verbs, and what accepts and reads tasks for them and for others. width: statements of a sort at once."""

    async def read_many(ids: Sequence[str]) -> list[Task | BaseException]:
        found = await table.get_many(ids)
        return [task or NotFound("task", id) for id, task in zip(ids, found, strict=True)]

    accept: Batcher[Accept, tuple[str, bool]] = Batcher(table.accept, width=width)
    read: Batcher[str, Task] = Batcher(read_many, width=width)
    inputs: Batcher[str, File | None] = Batcher(files.get_many, width=width)
    minutes = settings.framelane_render_minutes
    tasks = Tasks(
        store=table,
        accept=accept,
        read=read,
        files=inputs,
        kinds=kinds.named,
        hint=kinds.Hint,
        engines=engines,
        check_url=check_url,
        watch=watch,
        connections=connections,
        in_flight_limit=settings.tasks_in_flight,
        render_s=minutes * 60 if minutes is not None else None,
    )
    return tasks, accept, read


def file_verbs(settings: Settings, table: FileTable, blobs: Blobs, sniff: Sniff) -> Files:
    """The verbs on files."""
    return Files(
        store=table,
        blobs=blobs,
        sniff=sniff,
        max_bytes=settings.max_upload_bytes,
        lifetime_s=lifetimes(settings).get,
    )
