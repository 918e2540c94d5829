"""Bytes in a folder of this machine's disk: steps in threads, and links where the file system has them."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import secrets
import shutil
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from mediamill.core.errors import NotFound, StorageFull, is_full
from mediamill.net.behind import Behind, Digest, write_all

READ_BYTES = 1 << 20
HEAD_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """What was written: its key, size, SHA-256 (hex) and first bytes, for sniffing."""

    key: str
    size_bytes: int
    sha256: str
    head: bytes


def new_key() -> str:
    """A fresh key, spread over 256 folders."""
    name = secrets.token_hex(16)
    return f"{name[:2]}/{name}"


class Disk:
    """One folder of bytes. All but `write` block: call them in a thread."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder.resolve()

    async def write(self, key: str, chunks: AsyncIterator[bytes], digest: Digest) -> None:
        """Stream bytes into a key, and into their digest."""
        target = self.folder / key
        with _making(target) as part:
            with part.open("wb", buffering=0) as file:
                await _pour(chunks, file, digest)
            part.rename(target)

    def adopt(self, key: str, file: BinaryIO, path: Path, sha256: str | None, unwanted: threading.Event) -> Stored:
        """The bytes of an open file under a key, moved there from `path` where they still lie at it. Once unwanted is
        set, it may raise InterruptedError."""
        target = self.folder / key
        head = file.read(HEAD_BYTES)
        if sha256 is None:
            digest = hashlib.sha256(head)
            while (chunk := file.read(READ_BYTES)) and not unwanted.is_set():
                digest.update(chunk)
            sha256 = digest.hexdigest()
        if unwanted.is_set():
            raise InterruptedError("nobody wants it any more")
        with _making(target) as part:
            os.fsync(file.fileno())
            ours = os.fstat(file.fileno())
            try:
                os.rename(path, target)
                moved = os.path.samestat(os.lstat(target), ours)
            except OSError:
                moved = False  # another file system
            if not moved:
                file.seek(0)
                with part.open("wb") as copy:
                    shutil.copyfileobj(file, copy, READ_BYTES)
                part.rename(target)
            os.chmod(target, 0o600)
        return Stored(key=key, size_bytes=ours.st_size, sha256=sha256, head=head)

    def copy(self, key: str, fresh: str) -> None:
        """The same bytes under a fresh key, linked where that can be. Raises NotFound."""
        target = self.folder / fresh
        with _making(target) as part:
            try:
                if _linked(self.folder / key, target):
                    os.utime(target)  # or it would look like bytes that nobody has referred to for long
                else:
                    shutil.copyfile(self.folder / key, part)
                    part.rename(target)
            except FileNotFoundError as error:
                raise NotFound("blob", key) from error

    def join(self, keys: Sequence[str]) -> Stored:
        """The bytes of several keys, one after the other, under a fresh key. Raises NotFound."""
        key = new_key()
        target = self.folder / key
        digest, head, size = hashlib.sha256(), b"", 0
        with _making(target) as part:
            with part.open("wb", buffering=0) as joined:
                for piece in self._pieces(keys):
                    head += piece[: HEAD_BYTES - len(head)]
                    digest.update(piece)
                    write_all(joined, piece)
                    size += len(piece)
                os.fsync(joined.fileno())
            part.rename(target)
        return Stored(key=key, size_bytes=size, sha256=digest.hexdigest(), head=head)

    def _pieces(self, keys: Sequence[str]) -> Iterator[memoryview]:
        buffer = memoryview(bytearray(READ_BYTES))
        for key in keys:
            with self.open(key) as file:
                while came := file.readinto(buffer):  # type: ignore[attr-defined]  # BinaryIO names no readinto
                    yield buffer[:came]

    def open(self, key: str) -> BinaryIO:
        """The bytes as a file. Raises NotFound."""
        try:
            return (self.folder / key).open("rb")
        except FileNotFoundError:
            raise NotFound("blob", key) from None

    def lend(self, key: str, target: Path, link: bool) -> None:
        """Put the bytes at `target`: a hard link where that is allowed and possible, else a copy. Raises NotFound."""
        try:
            if not (link and _linked(self.folder / key, target)):
                shutil.copyfile(self.folder / key, target)
        except FileNotFoundError:
            raise NotFound("blob", key) from None

    def check(self, key: str) -> None:
        """Raises what goes wrong when a byte is written."""
        with _making(self.folder / key) as part:
            part.write_bytes(b"1")


@contextlib.contextmanager
def _making(target: Path) -> Iterator[Path]:
    """Where to write what is to lie at `target`; what is still there on leaving goes. Raises StorageFull."""
    part = target.with_name(target.name + ".part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        yield part
    except OSError as error:
        if is_full(error):
            raise StorageFull from error
        raise
    finally:
        part.unlink(missing_ok=True)


def _linked(source: Path, target: Path) -> bool:
    """Whether a hard link could be made: not on another file system, or where links are forbidden."""
    try:
        os.link(source, target)
    except FileNotFoundError:
        raise
    except OSError:
        return False
    return True


async def _pour(chunks: AsyncIterator[bytes], file: io.FileIO, digest: Digest) -> None:
    """In steps of a megabyte: one is hashed and written in a thread while the next is coming."""

    def put(data: bytes) -> None:
        digest.update(data)
        write_all(file, data)

    async with Behind() as behind:
        held, size = [], 0
        async for chunk in chunks:
            held.append(chunk)
            size += len(chunk)
            if size >= READ_BYTES:
                await behind.call(put, b"".join(held))
                held, size = [], 0
        await behind.call(put, b"".join(held))
        await behind.call(os.fsync, file.fileno())
        await behind.rest()
