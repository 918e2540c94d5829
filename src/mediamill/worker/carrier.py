"""What a task's bytes come from and go to beyond our own store: URLs, and buckets of callers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import structlog

from mediamill.core.connections import Access, Place, is_bucket_url, read_place
from mediamill.core.dispatch import Finish
from mediamill.core.errors import DestinationFailed, Failed, Invalid, NotFound, SourceRefused
from mediamill.core.files import File, NewFile
from mediamill.core.tasks import Input, Task
from mediamill.vault import Unopenable

log = structlog.get_logger()

Progress = Callable[[int, int | None], None]


class Fetched(Protocol):
    """What is known of bytes that have come."""

    @property
    def size_bytes(self) -> int: ...
    @property
    def sha256(self) -> str: ...
    @property
    def content_type(self) -> str | None: ...
    @property
    def filename(self) -> str | None: ...


class Net(Protocol):
    """The guarded client."""

    async def fetch(
        self, url: str, target: Path, *, on_progress: Progress | None = None, max_bytes: int | None = None
    ) -> Fetched: ...


class Buckets(Protocol):
    """Buckets of callers."""

    async def fetch(
        self, access: Access, place: Place, target: Path, *, on_progress: Progress | None = None, max_bytes: int
    ) -> Fetched: ...
    async def push(
        self,
        access: Access,
        place: Place,
        chunks: AsyncIterator[bytes],
        *,
        size_bytes: int,
        mime: str,
        on_progress: Progress | None = None,
    ) -> None: ...


class Blobs(Protocol):
    """Our own bytes."""

    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Carrier:
    """Fetches sources and sends results. access: opens a connection of a project."""

    net: Net
    buckets: Buckets
    blobs: Blobs
    access: Callable[[str, str], Awaitable[Access]]

    async def fetch(self, task: Task, source: Input, target: Path, *, on_progress: Progress, max_bytes: int) -> Fetched:
        """The bytes of a source that is not ours, at `target`. Raises what `net` and `buckets` do."""
        url = source.url or ""
        if not is_bucket_url(url):
            return await self.net.fetch(url, target, on_progress=on_progress, max_bytes=max_bytes)
        access = await self._opened(task, source.connection, SourceRefused)
        place = read_place(url)
        return await self.buckets.fetch(access, place, target, on_progress=on_progress, max_bytes=max_bytes)

    async def send(self, task: Task, finish: Finish, on_progress: Progress) -> Finish:
        """What the task made, or was given if it made nothing, sent to its destination; the end with that noted in it.

        Further files go beside the result, under their own names. Raises DestinationFailed, DestinationAway.
        """
        asked: Mapping[str, Any] | None = task.extra.get("destination")
        if asked is None:
            return finish
        access = await self._opened(task, asked.get("connection"), DestinationFailed)
        files = _to_send(task, finish)
        if not files:
            raise DestinationFailed("There is nothing to send: the task made no file, and was given none.")
        try:
            place = read_place(str(asked.get("url")), folder=True).holding(files[0].filename)
        except Invalid as error:
            raise DestinationFailed(f"The destination {error.reason}") from error
        whole, before, taken = sum(file.size_bytes for file in files), 0, {place.key}

        def progress(sent: int, _: int | None) -> None:
            on_progress(before + sent, whole)

        for file in files:
            there = place if file is files[0] else _free(place, file.filename, taken)
            chunks = self.blobs.read(file.blob_key or "", 0, file.size_bytes)
            await self.buckets.push(
                access, there, chunks, size_bytes=file.size_bytes, mime=file.mime, on_progress=progress
            )
            before += file.size_bytes
        sent = {
            "url": place.url,
            "filename": files[0].filename,
            "mime": files[0].mime,
            "size_bytes": files[0].size_bytes,
            "files": len(files),
        }
        return replace(finish, details={**finish.details, "destination": sent})

    async def _opened(self, task: Task, connection: str | None, refused: type[Failed]) -> Access:
        try:
            return await self.access(task.project_id, connection or "")
        except NotFound as error:
            raise refused(f"The connection {connection} is gone.") from error
        except Unopenable as error:
            log.error("secret cannot be opened", task=task.id, connection=connection, why=str(error))
            raise refused(str(error)) from error


def _to_send(task: Task, finish: Finish) -> Sequence[NewFile | File]:
    """The result first; no further file is told from another."""
    made = [file for role, file in finish.outputs if role == "result"]
    made += [file for role, file in finish.outputs if role != "result"]
    if made:
        return made
    return [source.file for source in task.inputs if source.file is not None][:1]


def _free(place: Place, filename: str, taken: set[str]) -> Place:
    """A place beside another that no file of this task has."""
    number, there = 1, place.beside(filename)
    while there.key in taken:
        number += 1
        stem, dot, extension = filename.rpartition(".")
        there = place.beside(f"{stem}-{number}.{extension}" if dot else f"{filename}-{number}")
    taken.add(there.key)
    return there
