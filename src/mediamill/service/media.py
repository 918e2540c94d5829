"""Media and the files in them: putting, fetching, changing, deleting; and what was answered under a key before."""

from __future__ import annotations

from collections.abc import AsyncIterable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from mediamill.core.access import Caller
from mediamill.core.errors import Invalid, MediamillError, Rejected
from mediamill.core.files import NewFile, safe_name
from mediamill.core.media_groups import Held, HeldList, Media, MediaList, Place
from mediamill.core.tasks import NewTask, State, Task
from mediamill.service.tasks import MOST_METADATA_BYTES, MOST_NESTED

UNKNOWN = "application/octet-stream"


class Store(Protocol):
    """The media table."""

    async def add(self, project_id: str, title: str | None, alt: str | None, metadata: Any) -> Media: ...
    async def get(self, project_id: str, id: str) -> Media: ...
    async def list(self, project_id: str, *, limit: int, skip: int, ascending: bool = False) -> MediaList: ...
    async def change(self, project_id: str, id: str, changes: Mapping[str, Any]) -> Media: ...
    async def delete(self, project_id: str, id: str) -> Sequence[str]: ...
    async def place(self, new: NewFile, place: Place, lifetime_s: float | None) -> Held: ...
    async def fetched_by(self, id: str, task_id: str) -> None: ...
    async def abandon(self, project_id: str, id: str, *, made_media: str | None) -> None: ...
    async def file(self, project_id: str, id: str) -> Held: ...
    async def files(self, project_id: str, *, limit: int, skip: int, ascending: bool = False) -> HeldList: ...
    async def change_file(self, project_id: str, id: str, changes: Mapping[str, Any]) -> Held: ...
    async def delete_file(self, project_id: str, id: str) -> Sequence[str]: ...
    async def by_name(self, project_id: str, folder: str | None, filename: str) -> Held: ...
    async def output(self, task_id: str, filename: str) -> Held: ...


class Replies(Protocol):
    """The table of replies."""

    async def claim(self, project_id: str, scope: str, key: str, body_hash: bytes) -> bytes | None: ...
    async def keep(self, project_id: str, scope: str, key: str, status: int, body: bytes) -> None: ...
    async def release(self, project_id: str, scope: str, key: str) -> None: ...


class Blobs(Protocol):
    """The bytes."""

    async def write(self, source: AsyncIterable[bytes], *, most_bytes: int | None = None) -> Any: ...
    async def delete(self, keys: Sequence[str]) -> None: ...


class Files(Protocol):
    """What is asked of the verbs on files."""

    async def described(
        self, caller: Caller, stored: Any, *, filename: str, mime: str | None, dialect: str
    ) -> NewFile: ...


class Tasks(Protocol):
    """What is asked of the verbs on tasks."""

    async def create(self, caller: Caller, new: NewTask) -> tuple[Task, bool]: ...
    async def wait(self, caller: Caller, id: str, wait_s: float) -> Task: ...


class MediaVerbs:
    """Verbs on media and on the files in them."""

    def __init__(
        self,
        *,
        store: Store,
        replies: Replies,
        blobs: Blobs,
        files: Files,
        tasks: Tasks,
        max_bytes: int,
        lifetime_s: Callable[[str], float | None],
    ) -> None:
        """lifetime_s: of a file by the name of the dialect it was made in."""
        self._store = store
        self.replies = replies
        self._blobs = blobs
        self._files = files
        self._tasks = tasks
        self._max_bytes = max_bytes
        self._lifetime_s = lifetime_s

    async def add(self, caller: Caller, *, title: str | None, alt: str | None, metadata: Any) -> Media:
        """A media without files. Raises Invalid."""
        _check(metadata)
        return await self._store.add(caller.project_id, title, alt, metadata)

    async def get(self, caller: Caller, id: str) -> Media:
        """One media with its files. Raises NotFound."""
        return await self._store.get(caller.project_id, id)

    async def list(self, caller: Caller, *, limit: int, skip: int, ascending: bool = False) -> MediaList:
        """One page of the project's media."""
        return await self._store.list(caller.project_id, limit=limit, skip=skip, ascending=ascending)

    async def change(self, caller: Caller, id: str, changes: Mapping[str, Any]) -> Media:
        """Set any of `title`, `alt`, `metadata`. Raises NotFound, Invalid."""
        _check(changes.get("metadata"))
        return await self._store.change(caller.project_id, id, changes)

    async def delete(self, caller: Caller, id: str) -> None:
        """Forget a media with all of its files. Raises NotFound."""
        await self._blobs.delete(await self._store.delete(caller.project_id, id))

    async def put(
        self, caller: Caller, source: AsyncIterable[bytes], place: Place, *, mime: str | None, dialect: str
    ) -> Held:
        """A new file of bytes that come now. Raises TooLarge, Invalid for none."""
        stored = await self._blobs.write(source, most_bytes=self._max_bytes)
        try:
            new = await self._files.described(
                caller, stored, filename=place.filename or "file", mime=mime, dialect=dialect
            )
            return await self._store.place(new, place, self._lifetime_s(dialect))
        except Rejected:
            # Any other failure leaves it open whether the row was written; bytes without one go as orphans.
            await self._blobs.delete([stored.key])
            raise

    async def fetch(self, caller: Caller, new: NewTask, place: Place, *, wait_s: float) -> Held:
        """A new file of bytes behind a URL. `new` is the task that stores a copy of it; it is waited for a while.

        The file may still be awaited then. Raises Invalid for a source that cannot be had, NotFound for the media.
        """
        _check(place.metadata)
        [source] = new.inputs
        name = place.filename or safe_name((source.url or "").split("?", 1)[0].rsplit("/", 1)[-1])
        awaited = NewFile(project_id=caller.project_id, filename=name, mime=UNKNOWN, size_bytes=0, dialect=new.dialect)
        held = await self._store.place(awaited, place, self._lifetime_s(new.dialect))
        made = None if place.media_id else held.file.media_id
        wanted = {"file": held.file.id, **({"filename": place.filename} if place.filename else {})}
        try:
            task, _ = await self._tasks.create(caller, replace(new, extra={**new.extra, "media": wanted}))
            await self._store.fetched_by(held.file.id, task.id)
        except MediamillError:
            await self._store.abandon(caller.project_id, held.file.id, made_media=made)
            raise
        task = await self._tasks.wait(caller, task.id, wait_s)
        if task.state in (State.FAILED, State.CANCELLED):
            await self._store.abandon(caller.project_id, held.file.id, made_media=made)
            raise Invalid("url", task.error.message if task.error else "The fetch was cancelled.")
        return await self._store.file(caller.project_id, held.file.id)

    async def file(self, caller: Caller, id: str) -> Held:
        """One file of a media. Raises NotFound."""
        return await self._store.file(caller.project_id, id)

    async def files(self, caller: Caller, *, limit: int, skip: int, ascending: bool = False) -> HeldList:
        """One page of the files of the project's media."""
        return await self._store.files(caller.project_id, limit=limit, skip=skip, ascending=ascending)

    async def change_file(self, caller: Caller, id: str, changes: Mapping[str, Any]) -> Held:
        """Set any of `filename`, `folder`, `ref`, `metadata`. Raises NotFound, Invalid."""
        _check(changes.get("metadata"))
        return await self._store.change_file(caller.project_id, id, changes)

    async def delete_file(self, caller: Caller, id: str) -> None:
        """Forget a file, and what came in one package with it. Raises NotFound."""
        await self._blobs.delete(await self._store.delete_file(caller.project_id, id))

    async def by_name(self, project_id: str, folder: str | None, filename: str) -> Held:
        """The newest file of that name, for whoever holds a signature or the key. Raises NotFound."""
        return await self._store.by_name(project_id, folder, filename)

    async def output(self, task_id: str, filename: str) -> Held:
        """What a task made, for whoever knows its id. Raises NotFound."""
        return await self._store.output(task_id, filename)


def _check(metadata: Any) -> None:
    if metadata is None:
        return
    if len(msgspec.json.encode(metadata)) > MOST_METADATA_BYTES:
        raise Invalid("metadata", f"must be at most {MOST_METADATA_BYTES} bytes of JSON.")
    level, depth = [metadata], 0
    while level:
        depth += 1
        if depth > MOST_NESTED:
            raise Invalid("metadata", f"must not be nested deeper than {MOST_NESTED} levels.")
        level = [
            inner
            for outer in level
            if isinstance(outer, Mapping | list)
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
