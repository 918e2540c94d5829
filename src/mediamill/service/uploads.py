"""Resumable uploads: what arrives is kept, whatever becomes of the request that brings it.

The bytes of a request are stored as parts; a part counts once its row is written, on condition that the upload still
stands where the request found it. So any server can go on where another was left, and two requests that bring the
same bytes cannot both count. A request that lasts is cut into a part a minute: a server that dies loses no more.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from mediamill.core import files
from mediamill.core.access import Caller
from mediamill.core.errors import Conflict, Invalid, NotFound, Rejected, TooLarge
from mediamill.core.files import File, NewFile
from mediamill.core.uploads import NewUpload, Part, Upload
from mediamill.service.files import Stored

CHECKSUMS = ("sha1", "sha256", "md5")
_PART_S = 60.0
_SILENT_S = 60.0


class Body(Protocol):
    """What a client sends, as it comes: b"" at its end, None once the client is gone. A wait for it may be given up."""

    async def __call__(self) -> bytes | None: ...


class Blobs(Protocol):
    """The bytes."""

    async def write(self, source: AsyncIterable[bytes], *, most_bytes: int | None = None) -> Stored: ...
    async def join(self, keys: Sequence[str]) -> Stored: ...
    async def delete(self, keys: Sequence[str]) -> None: ...


class Store(Protocol):
    """The upload tables."""

    async def create(self, new: NewUpload, keep_s: float) -> Upload: ...
    async def get(self, project_id: str, id: str) -> Upload: ...
    async def append(self, upload: Upload, part: Part, *, length: int | None, keep_s: float) -> Upload: ...
    async def set_length(self, project_id: str, id: str, length: int) -> Upload: ...
    async def parts(self, id: str) -> list[Part]: ...
    async def finish(self, id: str, new: NewFile, *, lifetime_s: float | None, keep_s: float) -> File | None: ...
    async def delete(self, project_id: str, id: str) -> Sequence[str]: ...


class Files(Protocol):
    """What is asked of the verbs on files."""

    async def described(
        self, caller: Caller, stored: Stored, *, filename: str, mime: str | None, dialect: str
    ) -> NewFile: ...
    async def delete(self, caller: Caller, id: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Checksum:
    """What the bytes of one request must hash to. `algorithm` is one of CHECKSUMS."""

    algorithm: str
    digest: bytes


class ChecksumMismatch(Rejected):
    """The bytes that came are not those that were sent; none of them count."""

    code = "checksum_mismatch"


class TakenOver(Conflict):
    """Another request goes on with this upload; what this one had brought is kept."""


class Uploads:
    """Verbs on resumable uploads."""

    def __init__(
        self,
        *,
        store: Store,
        blobs: Blobs,
        files: Files,
        max_bytes: int,
        keep_s: float,
        lifetimes: Mapping[str, float | None],
        part_s: float = _PART_S,
        silent_s: float = _SILENT_S,
    ) -> None:
        """keep_s: how long an upload waits for its next bytes. part_s, silent_s: see `_Arrival`."""
        self._store = store
        self._blobs = blobs
        self._files = files
        self._max_bytes = max_bytes
        self._keep_s = keep_s
        self._lifetimes = lifetimes
        self._part_s = part_s
        self._silent_s = silent_s
        self._arriving: dict[str, _Arrival] = {}
        self._finishing: dict[str, asyncio.Task[Upload]] = {}

    async def create(
        self, caller: Caller, *, filename: str, mime: str | None, length: int | None, metadata: str = ""
    ) -> Upload:
        """Begin one; no length means that it will be said later. Raises Invalid, TooLarge."""
        self._check_length(length)
        return await self._store.create(
            NewUpload(
                project_id=caller.project_id,
                filename=files.safe_name(filename),
                mime=mime,
                length=length,
                metadata=metadata,
            ),
            self._keep_s,
        )

    async def get(self, caller: Caller, id: str) -> Upload:
        """How far it is. A request that still brings bytes is ended first: whoever asks is about to go on.

        One whose every byte has come, and that is no file yet, becomes one now. Raises NotFound.
        """
        return await self._finished(caller, await self._settled(caller, id))

    async def receive(
        self,
        caller: Caller,
        id: str,
        offset: int,
        body: Body,
        *,
        length: int | None = None,
        checksum: Checksum | None = None,
    ) -> Upload:
        """Take the bytes of one request, which begin at `offset`. Those that came before a client went away are kept.

        With a checksum, all of them or none. Raises NotFound, Conflict (another offset), TakenOver, TooLarge,
        ChecksumMismatch.
        """
        upload = await self._store.get(caller.project_id, id)
        if upload.received != offset:
            raise Conflict(f"The upload is at offset {upload.received}.")
        if id in self._arriving:
            raise Conflict("Another request brings bytes of this upload; ask how far it is to end that.")
        if length is not None and upload.length is None:
            self._check_length(length)
            upload = await self._store.set_length(caller.project_id, id, length)
        if length is not None and upload.length != length:
            raise Conflict(f"The upload has {upload.length} bytes, as was said before.")
        arrival = self._arriving[id] = _Arrival(body, math.inf if checksum else self._part_s, self._silent_s)
        try:
            upload = await self._take(upload, arrival, checksum)
        finally:
            if self._arriving.get(id) is arrival:
                del self._arriving[id]
            arrival.over.set()
        if arrival.stopped:
            raise TakenOver("Another request goes on with this upload.")
        return await self._finished(caller, upload)

    async def delete(self, caller: Caller, id: str) -> None:
        """Forget an upload, its bytes, and the file it may have become. Raises NotFound."""
        upload = await self._settled(caller, id)
        await self._blobs.delete(await self._store.delete(caller.project_id, id))
        if upload.file_id is not None:
            try:
                await self._files.delete(caller, upload.file_id)
            except NotFound:
                return

    def _check_length(self, length: int | None) -> None:
        if length is not None and length < 1:
            raise Invalid("Upload-Length", "must be at least 1.")
        if length is not None and length > self._max_bytes:
            raise TooLarge(f"More than {self._max_bytes} bytes.")

    async def _settled(self, caller: Caller, id: str) -> Upload:
        """The upload, with no request of this server in the middle of it."""
        upload = await self._store.get(caller.project_id, id)
        arrival = self._arriving.get(id)
        if arrival is None:
            return upload
        arrival.stop()
        await arrival.over.wait()
        return await self._store.get(caller.project_id, id)

    async def _take(self, upload: Upload, arrival: _Arrival, checksum: Checksum | None) -> Upload:
        most = upload.length if upload.length is not None else self._max_bytes
        while first := await arrival.first():
            digest = hashlib.new(checksum.algorithm, usedforsecurity=False) if checksum else None
            stored = await self._blobs.write(_hashed(arrival.part(first), digest), most_bytes=most - upload.received)
            if checksum is not None and digest is not None and digest.digest() != checksum.digest:
                await self._blobs.delete([stored.key])
                raise ChecksumMismatch("The bytes that came do not match the checksum; none of them count.")
            part = Part(key=stored.key, size_bytes=stored.size_bytes, sha256=stored.sha256)
            try:
                upload = await self._store.append(upload, part, length=upload.length, keep_s=self._keep_s)
            except (Conflict, NotFound):
                # Any other failure leaves it open whether the row was written; bytes without one go as orphans.
                await self._blobs.delete([stored.key])
                raise
        return upload

    async def _finished(self, caller: Caller, upload: Upload) -> Upload:
        if upload.file_id is not None or not upload.whole:
            return upload
        work = self._finishing.get(upload.id)
        if work is None:
            work = self._finishing[upload.id] = asyncio.create_task(self._finish(caller, upload))
            work.add_done_callback(lambda _: self._finishing.pop(upload.id, None))
        # A request that is given up while it waits does not undo the work: the next one asks again.
        return await asyncio.shield(work)

    async def _finish(self, caller: Caller, upload: Upload) -> Upload:
        parts = await self._store.parts(upload.id)
        stored: Stored = parts[0] if len(parts) == 1 else await self._blobs.join([part.key for part in parts])
        new = await self._files.described(caller, stored, filename=upload.filename, mime=upload.mime, dialect="mill")
        try:
            made = await self._store.finish(upload.id, new, lifetime_s=self._lifetimes.get("mill"), keep_s=self._keep_s)
        except NotFound:
            await self._blobs.delete([stored.key])
            raise
        if len(parts) > 1:
            await self._blobs.delete([part.key for part in parts] if made else [stored.key])
        return await self._store.get(caller.project_id, upload.id)


class _Arrival:
    """The bytes of one request, cut into parts.

    A part lasts `part_s`; a client that sends nothing for `silent_s` is gone (of a broken line no word may ever come).
    """

    def __init__(self, body: Body, part_s: float, silent_s: float) -> None:
        self.over = asyncio.Event()
        self.stopped = False
        self._body = body
        self._part_s = part_s
        self._silent_s = silent_s
        self._ended = False
        self._until = math.inf
        self._wait: asyncio.Timeout | None = None

    def stop(self) -> None:
        """End it here, as if the client had gone."""
        self.stopped = self._ended = True
        if self._wait is not None:
            self._wait.reschedule(0)

    async def first(self) -> bytes:
        """What the next part begins with; b"" when no other comes."""
        self._until = math.inf
        return await self._next()

    async def part(self, first: bytes) -> AsyncIterator[bytes]:
        """One part, beginning with `first`."""
        self._until = asyncio.get_running_loop().time() + self._part_s
        chunk = first
        while chunk:
            yield chunk
            chunk = await self._next()

    async def _next(self) -> bytes:
        now = asyncio.get_running_loop().time()
        if self._ended or now >= self._until:
            return b""
        try:
            async with asyncio.timeout_at(min(self._until, now + self._silent_s)) as self._wait:
                chunk = await self._body()
        except TimeoutError:
            self._ended = self._ended or now + self._silent_s <= self._until
            return b""
        finally:
            self._wait = None
        if not chunk:
            self._ended = True
            return b""
        return chunk


async def _hashed(chunks: AsyncIterator[bytes], digest: hashlib._Hash | None) -> AsyncIterator[bytes]:
    async for chunk in chunks:
        if digest is not None:
            digest.update(chunk)
        yield chunk
