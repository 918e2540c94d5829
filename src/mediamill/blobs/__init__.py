"""The bytes of files: local disk or a bucket (S3, GCS, Azure), through obstore. Streams only, never whole objects.

Keys are random and belong to one file each, so that deleting a file can delete its bytes without asking who else
uses them. On local disk two shortcuts pass obstore by, for speed: results are moved in by a hard link instead of a
copy, and inputs are lent to a job the same way.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import os
import secrets
import threading
import time
from collections.abc import AsyncIterable, AsyncIterator, Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

import structlog

from mediamill.blobs.disk import HEAD_BYTES, READ_BYTES, Disk, Stored, new_key
from mediamill.core.errors import Misconfigured, NotFound, StorageAway, StorageRefused, TooLarge
from mediamill.net.behind import Digest

if TYPE_CHECKING:
    from obstore import ReadableFile
    from obstore.store import ObjectStore

log = structlog.get_logger()

_PART_BYTES = 5 << 20  # the least S3 takes for a part
_LEAST_BYTES = 128 << 10
_SLOW_S = 0.2
"""Who takes longer for what was read is given little at a time."""
_TRUST_BYTES = 4 << 20
"""What a socket's own buffer may take at once of a reader who takes nothing."""


class Blobs:
    """One store of bytes. `where` is a local folder or a URL (s3://bucket/prefix, gs://…, az://…).

    Whatever asks a bucket raises StorageAway when it does not answer, after some tries, or StorageRefused.
    """

    def __init__(self, where: Path | str) -> None:
        self._disk = Disk(where) if isinstance(where, Path) else None
        self._opened: ObjectStore | None = None
        if isinstance(where, Path):
            return
        from obstore.exceptions import BaseError
        from obstore.store import from_url

        try:
            self._opened = from_url(where)
        except (BaseError, ValueError) as error:
            raise Misconfigured(
                "MEDIAMILL_BLOBS_URL", f"{error}", "Like s3://bucket/prefix; credentials from AWS_*."
            ) from error

    @property
    def _store(self) -> ObjectStore:
        """The library's store. That of a folder is opened when it is first asked: it weighs 5 MB in each process."""
        if self._opened is None:
            from obstore.store import LocalStore

            assert self._disk is not None, "a bucket was opened at once"
            self._opened = LocalStore(self._disk.folder, mkdir=True)
        return self._opened

    async def write(
        self,
        source: AsyncIterable[bytes],
        *,
        most_bytes: int | None = None,
        exactly_bytes: int | None = None,
    ) -> Stored:
        """Stream bytes into a fresh key. Nothing is left behind when `source` fails or the size is off.

        Raises TooLarge past `most_bytes`; a size other than `exactly_bytes` raises SizeMismatch.
        """
        import obstore

        key, digest = new_key(), Digest()
        head, size = b"", 0
        wrong: Exception | None = None

        async def counted() -> AsyncIterator[bytes]:
            nonlocal wrong
            try:
                async for chunk in taken():
                    yield chunk
            except Exception as error:
                wrong = error
                raise

        async def taken() -> AsyncIterator[bytes]:
            nonlocal head, size
            async for chunk in source:
                size += len(chunk)
                if most_bytes is not None and size > most_bytes:
                    raise TooLarge(f"More than {most_bytes} bytes.")
                if exactly_bytes is not None and size > exactly_bytes:
                    raise SizeMismatch(exactly_bytes, size)
                if len(head) < HEAD_BYTES:
                    head += chunk[: HEAD_BYTES - len(head)]
                yield chunk
            if exactly_bytes is not None and size != exactly_bytes:
                raise SizeMismatch(exactly_bytes, size)

        try:
            if self._disk is not None:
                await self._disk.write(key, counted(), digest)
            else:

                async def hashed() -> AsyncIterator[bytes]:
                    async for chunk in counted():
                        digest.update(chunk)
                        yield chunk

                try:
                    with self._asking(key):
                        await obstore.put_async(
                            self._store, key, hashed(), use_multipart=True, chunk_size=_PART_BYTES, max_concurrency=2
                        )
                except (StorageAway, NotFound) as error:
                    if wrong is not None:  # not the bucket's fault
                        raise wrong from None
                    # Its parts are not found: it has put them together, and its answer to that was lost.
                    raise (error if isinstance(error, StorageAway) else StorageAway()) from error.__cause__
            return Stored(key=key, size_bytes=size, sha256=digest.hexdigest(), head=head)
        finally:
            digest.close()

    async def adopt(self, file: BinaryIO, path: Path, *, sha256: str | None = None) -> Stored:
        """Take over a finished local file, open as `file`; it may be moved away from `path`.

        The bytes are those of `file`, whatever lies at `path` by then: a hostile child may still live.
        sha256: of a file that nobody but this process has written, summed up while it was.
        """
        if self._disk is None:
            return await self.write(_chunks(file))
        key, unwanted = new_key(), threading.Event()
        adopting = asyncio.ensure_future(asyncio.to_thread(self._disk.adopt, key, file, path, sha256, unwanted))
        try:
            return await asyncio.shield(adopting)
        except asyncio.CancelledError:
            # A thread cannot be stopped: it is told, and what it makes all the same goes again.
            unwanted.set()
            made = self._disk.folder / key
            adopting.add_done_callback(lambda done: None if done.exception() else made.unlink(missing_ok=True))
            await asyncio.wait([adopting])  # it reads a file that our caller closes
            raise

    async def copy(self, key: str) -> str:
        """The same bytes under a fresh key; a link to them on a local disk. Raises NotFound."""
        fresh = new_key()
        if self._disk is not None:
            await asyncio.to_thread(self._disk.copy, key, fresh)
            return fresh
        import obstore

        with self._asking(key):
            await obstore.copy_async(self._store, key, fresh)
        return fresh

    async def join(self, keys: Sequence[str]) -> Stored:
        """The bytes of several keys, one after the other, under a fresh key. Raises NotFound; leaves nothing then."""
        if self._disk is not None:
            return await asyncio.to_thread(self._disk.join, keys)

        async def chunks() -> AsyncIterator[bytes]:
            for key in keys:
                async for chunk in self.read(key):
                    yield chunk

        return await self.write(chunks())

    def open(self, key: str) -> BinaryIO:
        """The bytes as a blocking, seekable file, for a look at parts of it. Raises NotFound."""
        if self._disk is not None:
            return self._disk.open(key)
        import obstore

        with self._asking(key):
            return cast("BinaryIO", io.BufferedReader(_Reader(obstore.open_reader(self._store, key), self, key)))

    async def lend(self, key: str, target: Path, *, link: bool) -> None:
        """Put the bytes at `target`: a hard link where that is allowed and possible, else a copy."""
        if self._disk is not None:
            await asyncio.to_thread(self._disk.lend, key, target, link)
            return
        size = await self.size(key)  # asked first: what is not there leaves no empty file
        with target.open("wb") as file:
            async for chunk in self.read(key, 0, size):
                await asyncio.to_thread(file.write, chunk)

    async def read(self, key: str, start: int = 0, end: int | None = None) -> AsyncIterator[bytes]:
        """The bytes from `start` up to, not including, `end`, in steps. Raises NotFound.

        Of a bucket, a megabyte at a time. Of a disk, as much to who takes them quickly, and less to who does not: what
        is read lies in memory until it is taken.
        """
        import obstore

        least = READ_BYTES if self._disk is None else _LEAST_BYTES
        most, grows_at = least, start + _TRUST_BYTES

        if end is None:
            end = await self.size(key)
        while start < end:
            # By ranges: obstore's own stream reads local files in steps of 8 KiB, 20 times slower.
            length = min(most, end - start)
            with self._asking(key):
                read = bytes(await obstore.get_range_async(self._store, key, start=start, length=length))
            given_s = time.monotonic()
            yield read
            start += length
            if time.monotonic() - given_s > _SLOW_S:
                most, grows_at = least, start + _TRUST_BYTES
            elif start >= grows_at:
                most, grows_at = min(2 * most, READ_BYTES), start + _TRUST_BYTES

    async def size(self, key: str) -> int:
        """Bytes stored under a key. Raises NotFound."""
        import obstore

        with self._asking(key):
            return int((await obstore.head_async(self._store, key))["size"])

    async def delete(self, keys: Sequence[str]) -> None:
        """Remove bytes; keys that are not there are fine. What a bucket that is away keeps, the chore for bytes that
        nobody refers to removes."""
        import obstore

        for key in keys:
            try:
                with self._asking(key):
                    await obstore.delete_async(self._store, key)
            except NotFound:
                continue
            except StorageAway:
                return

    async def older_than(self, instant: datetime) -> AsyncIterator[list[str]]:
        """Keys last written before an instant, in lots: for the chore that looks for bytes nobody refers to."""
        import obstore

        async for lot in obstore.list(self._store, chunk_size=500):
            keys = [str(meta["path"]) for meta in lot if meta["last_modified"] < instant]
            if keys:
                yield keys

    async def check(self) -> None:
        """Raises what goes wrong when a byte is written and removed: for readiness."""
        key = f"check/{secrets.token_hex(8)}"
        if self._disk is not None:
            await asyncio.to_thread(self._disk.check, key)
            return
        import obstore

        with self._asking(key):
            await obstore.put_async(self._store, key, b"1")
            await obstore.delete_async(self._store, key)

    @contextlib.contextmanager
    def _asking(self, key: str) -> Iterator[None]:
        """Words what obstore raises. Raises NotFound; of a bucket StorageAway, StorageRefused."""
        from obstore.exceptions import BaseError, GenericError, JoinError

        try:
            yield
        except FileNotFoundError:
            raise NotFound("blob", key) from None
        except (OSError, BaseError) as error:
            if self._disk is not None:
                raise
            # It has tried again by itself whatever may pass, and worded the bucket's answer.
            passing = isinstance(error, OSError | GenericError | JoinError) and not isinstance(error, PermissionError)
            log.warning("storage away" if passing else "storage refuses", key=key, why=str(error)[:500])
            raise (StorageAway if passing else StorageRefused) from error


class _Reader(io.RawIOBase):
    """An object of a bucket as Python's own file layers take it."""

    def __init__(self, inner: ReadableFile, blobs: Blobs, key: str) -> None:
        self._inner, self._blobs, self._key = inner, blobs, key

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with self._blobs._asking(self._key):
            found = self._inner.read(len(buffer))
        buffer[: len(found)] = memoryview(found)
        return len(found)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._inner.seek(offset, whence)

    def tell(self) -> int:
        return self._inner.tell()


class SizeMismatch(TooLarge):
    """Another number of bytes came than was said."""

    code = "size_mismatch"

    def __init__(self, expected: int, got: int) -> None:
        super().__init__(f"{expected} bytes were declared; {'more' if got > expected else got} came.")


async def _chunks(file: BinaryIO) -> AsyncIterator[bytes]:
    while chunk := await asyncio.to_thread(file.read, READ_BYTES):
        yield chunk


__all__ = ["Blobs", "SizeMismatch", "Stored", "new_key"]
