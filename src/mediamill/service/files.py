"""Registering, uploading, reading and deleting files."""

from __future__ import annotations

import re
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from typing import Any, Protocol

from mediamill.core import formats
from mediamill.core.access import Caller
from mediamill.core.errors import Invalid, NotFound, Rejected, TooLarge
from mediamill.core.files import File, FileList, NewFile, safe_name
from mediamill.core.tasks import Page

UNKNOWN = "application/octet-stream"
_MIME = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,63}/[a-z0-9][a-z0-9!#$&^_.+-]{0,63}", re.ASCII)
_READABLE = frozenset({"document", "sheet", "text"})


class Stored(Protocol):
    """What a blob store says of bytes it took."""

    @property
    def key(self) -> str: ...
    @property
    def size_bytes(self) -> int: ...
    @property
    def sha256(self) -> str: ...


class Blobs(Protocol):
    """The bytes."""

    async def write(
        self, source: AsyncIterable[bytes], *, most_bytes: int | None = None, exactly_bytes: int | None = None
    ) -> Stored: ...
    def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]: ...
    async def delete(self, keys: Sequence[str]) -> None: ...


class Store(Protocol):
    """The file table."""

    async def create(self, new: NewFile, lifetime_s: float | None) -> File: ...
    async def get(self, id: str, project_id: str | None) -> File: ...
    async def dialect_of(self, id: str) -> str | None: ...
    async def list(self, project_id: str, page: Page) -> FileList: ...
    async def uploaded(
        self, id: str, *, blob_key: str, size_bytes: int, sha256: str, mime: str, facts: Mapping[str, Any]
    ) -> File: ...
    async def delete(self, project_id: str | None, id: str) -> str | None: ...


class Sniff(Protocol):
    """Says what type the bytes under a blob key really are; None when nothing is recognised."""

    async def __call__(self, key: str, *, claimed: str | None, filename: str | None) -> str | None: ...


class Files:
    """Verbs on files. A life time of None means kept until deleted."""

    def __init__(
        self,
        *,
        store: Store,
        blobs: Blobs,
        sniff: Sniff,
        max_bytes: int,
        lifetime_s: Callable[[str], float | None],
    ) -> None:
        """lifetime_s: of a file by the name of the dialect it was made in."""
        self._store = store
        self._blobs = blobs
        self._sniff = sniff
        self._max_bytes = max_bytes
        self._lifetime_s = lifetime_s

    async def register(
        self,
        caller: Caller,
        *,
        filename: str,
        mime: str | None,
        size_bytes: int | None,
        dialect: str,
        max_bytes: int | None = None,
    ) -> File:
        """A file whose bytes will come in one PUT of exactly `size_bytes`, or of any length where that is None.

        Raises Invalid, TooLarge.
        """
        if size_bytes is not None and size_bytes < 1:
            raise Invalid("size_bytes", "must be at least 1.")
        if size_bytes is not None and size_bytes > min(self._max_bytes, max_bytes or self._max_bytes):
            raise TooLarge("Max file size exceeded.")
        name = safe_name(filename)
        return await self._store.create(
            NewFile(
                project_id=caller.project_id,
                filename=name,
                mime=self._claimed(mime, name),
                claimed_mime=_unheard_of(mime),
                size_bytes=size_bytes or 0,
                dialect=dialect,
            ),
            self._lifetime_s(dialect),
        )

    async def receive(
        self,
        id: str,
        source: AsyncIterable[bytes],
        *,
        keep_claim: bool = False,
        announced: int | None = None,
        max_bytes: int | None = None,
    ) -> File:
        """The bytes of a registered file, streamed. Whoever calls has checked the signature.

        keep_claim: bytes that are nothing like what was declared do not change the file's type; work on it will fail.
        announced: how many are said to come, where that is known before the first.
        Raises NotFound, Conflict (they have come before), TooLarge, blobs' SizeMismatch; nothing is stored then.
        """
        file = await self._store.get(id, None)
        if file.ready:
            return await self._store.uploaded(id, blob_key="", size_bytes=0, sha256="", mime="", facts={})
        length, most = file.size_bytes or None, min(self._max_bytes, max_bytes or self._max_bytes)
        if announced is not None and announced > most and length is None:
            raise TooLarge("Max file size exceeded.")
        stored = await self._blobs.write(source, exactly_bytes=length, most_bytes=None if length else most)
        try:
            if stored.size_bytes == 0:
                raise Invalid("file", "has no bytes.")
            return await self._store.uploaded(
                id,
                blob_key=stored.key,
                size_bytes=stored.size_bytes,
                sha256=stored.sha256,
                mime=await self._true(stored.key, file.mime, file.filename, keep_claim=keep_claim),
                facts={},
            )
        except Rejected:
            # Any other failure leaves it open whether the row was written; bytes without one go as orphans.
            await self._blobs.delete([stored.key])
            raise

    async def store(
        self, caller: Caller, source: AsyncIterable[bytes], *, filename: str, mime: str | None, dialect: str
    ) -> File:
        """A new file from a stream of unknown length. Raises TooLarge."""
        stored = await self._blobs.write(source, most_bytes=self._max_bytes)
        return await self.keep(caller, stored, filename=filename, mime=mime, dialect=dialect)

    async def keep(self, caller: Caller, stored: Stored, *, filename: str, mime: str | None, dialect: str) -> File:
        """A new file from bytes that are stored already. Raises Invalid when there are none; they are removed then."""
        try:
            new = await self.described(caller, stored, filename=filename, mime=mime, dialect=dialect)
            return await self._store.create(new, self._lifetime_s(dialect))
        except Rejected:
            # Any other failure leaves it open whether the row was written; bytes without one go as orphans.
            await self._blobs.delete([stored.key])
            raise

    async def described(
        self, caller: Caller, stored: Stored, *, filename: str, mime: str | None, dialect: str
    ) -> NewFile:
        """What is to be recorded of stored bytes: their type is looked at here. Raises Invalid when there are none."""
        if stored.size_bytes == 0:
            raise Invalid("file", "has no bytes.")
        name = safe_name(filename)
        claimed = self._claimed(mime, name)
        return NewFile(
            project_id=caller.project_id,
            filename=name,
            mime=await self._true(stored.key, claimed, name),
            claimed_mime=claimed,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            blob_key=stored.key,
            dialect=dialect,
        )

    async def get(self, caller: Caller, id: str) -> File:
        """One live file. Raises NotFound."""
        return await self._store.get(id, caller.project_id)

    async def of_any(self, id: str) -> File:
        """A live file of whatever project, for whoever holds its signed URL. Raises NotFound."""
        return await self._store.get(id, None)

    async def dialect_of(self, id: str) -> str | None:
        """The dialect a file was made in, even when it is gone; None for one that never was."""
        return await self._store.dialect_of(id)

    async def for_download(self, id: str) -> File:
        """A file whose bytes are here, for whoever holds its signed URL. Raises NotFound."""
        file = await self._store.get(id, None)
        if not file.ready:
            raise NotFound("file", id)
        return file

    def read(self, file: File, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """Its bytes from `start` up to, not including, `end`."""
        return self._blobs.read(file.blob_key or "", start, file.size_bytes if end is None else end)

    async def list(self, caller: Caller, page: Page) -> FileList:
        """One page of the project's files."""
        return await self._store.list(caller.project_id, page)

    async def delete(self, caller: Caller, id: str) -> None:
        """Forget the file and its bytes now. Raises NotFound."""
        key = await self._store.delete(caller.project_id, id)
        if key:
            await self._blobs.delete([key])

    def _claimed(self, mime: str | None, filename: str) -> str:
        if mime and (known := formats.canonical(mime)):
            return known
        by_name = formats.by_filename(filename)
        return by_name.mime if by_name else UNKNOWN

    async def _true(self, key: str, claimed: str, filename: str, *, keep_claim: bool = False) -> str:
        known = None if claimed == UNKNOWN else claimed
        found = await self._sniff(key, claimed=known, filename=filename)
        if keep_claim and known is not None and not (found and _akin(known, found)):
            return known
        return found or UNKNOWN


def _akin(claimed: str, found: str) -> bool:
    """Whether a wrong claim is a likely slip: a JPEG called PNG is, a text called PNG is not."""
    families = {formats.family(claimed), formats.family(found)}
    return len(families) == 1 or families <= _READABLE


def _unheard_of(mime: str | None) -> str | None:
    """A claim that is well-formed and names no format of ours, to be said again as it came."""
    word = (mime or "").split(";", 1)[0].strip().lower()
    return word if word and formats.canonical(word) is None and _MIME.fullmatch(word) else None
