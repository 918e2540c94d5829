"""Write zip, tar, tar.gz and 7z entry by entry."""

from __future__ import annotations

import gzip
import os
import stat
import struct
import tarfile
import time
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from mediamill.core.errors import BadMedia
from mediamill.engines._archive_guard import Entry

_BLOCK = 1024**2
_DICTIONARY_BYTES = 16 * 1024**2
_ZIP64_FROM_BYTES = 2**31 - 1
_EARLIEST_S = 315532800  # 1980-01-01, the first day a DOS time can say
_LATEST_S = 2**31 - 1  # the extended timestamp is a signed 32-bit number


class Writer(ABC):
    """An archive being made."""

    @abstractmethod
    def add(self, entry: Entry) -> None:
        """Write one entry; its stream is read to the end. Raises BadMedia when that is not `entry.size` bytes."""


@contextmanager
def writing(target: Path, mime: str, level: int, scratch: Path) -> Iterator[Writer]:
    """A writer for `mime`. level: 0 (stored) to 9."""
    if mime == "application/zip":
        method = zipfile.ZIP_DEFLATED if level else zipfile.ZIP_STORED
        with zipfile.ZipFile(target, "w", method, compresslevel=level or None, strict_timestamps=False) as archive:
            yield _Zip(archive)
    elif mime == "application/x-7z-compressed":
        import py7zr

        method = py7zr.FILTER_LZMA2 if level else py7zr.FILTER_COPY
        # The packer wants 11 times its dictionary in memory; the 64 MiB of level 9 would want 700 MB, and save little.
        packing = {"preset": level, "dict_size": min(_DICTIONARY_BYTES, 2 ** (18 + level))}
        filters = [{"id": method, **(packing if level else {})}]
        with py7zr.SevenZipFile(target, "w", filters=filters) as seven:
            yield _Seven(seven, scratch)
    elif mime == "application/gzip":
        # mtime 0 (RFC 1952: no time): the same input and level make the same bytes.
        with (
            target.open("wb") as stream,
            gzip.GzipFile("", "wb", compresslevel=level, fileobj=stream, mtime=0) as packed,
            _tar(packed) as tar,
        ):
            yield _Tar(tar)
    else:
        with target.open("wb") as stream, _tar(stream) as tar:
            yield _Tar(tar)


def _tar(stream: IO[bytes] | gzip.GzipFile) -> tarfile.TarFile:
    return tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT, encoding="utf-8")


def _copy(entry: Entry, to: IO[bytes]) -> None:
    left = entry.size
    while entry.stream and (block := entry.stream.read(_BLOCK)):
        left -= len(block)
        if left < 0:
            break
        to.write(block)
    if left:
        raise BadMedia("The archive is damaged: an entry is not as long as it says.")


class _Zip(Writer):
    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive

    def add(self, entry: Entry) -> None:
        folder = entry.stream is None
        modified_s = int(min(max(entry.modified_s or 0, 0), _LATEST_S))
        info = zipfile.ZipInfo(entry.name + ("/" if folder else ""), time.gmtime(max(modified_s, _EARLIEST_S))[:6])
        kind, mode = (stat.S_IFDIR, 0o755) if folder else (stat.S_IFREG, 0o644)
        info.create_system = 3  # Unix: the upper half of external_attr is the mode
        info.external_attr = (kind | (entry.mode or mode)) << 16 | (0x10 if folder else 0)
        if entry.modified_s is not None:
            info.extra = struct.pack("<HHBi", 0x5455, 5, 1, modified_s)
        if folder:
            self._archive.writestr(info, b"")
            return
        info.compress_type = self._archive.compression
        # The public name is new in Python 3.13, where this one still works; without it the level is ignored.
        info._compresslevel = self._archive.compresslevel  # type: ignore[attr-defined]  # private before 3.13
        info.file_size = entry.size
        with self._archive.open(info, "w", force_zip64=entry.size > _ZIP64_FROM_BYTES) as to:
            _copy(entry, to)


class _Tar(Writer):
    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive

    def add(self, entry: Entry) -> None:
        info = tarfile.TarInfo(entry.name)
        info.mtime = int(entry.modified_s or 0)
        if entry.stream is None:
            info.type = tarfile.DIRTYPE
            info.mode = entry.mode or 0o755
            self._archive.addfile(info)
            return
        info.mode = entry.mode or 0o644
        info.size = entry.size
        self._archive.addfile(info, _Exact(entry))  # type: ignore[arg-type]  # addfile only ever calls read
        self._archive.members = []  # type: ignore[attr-defined]  # nothing is looked up again; without this every header stays in memory


class _Exact:
    """An entry's stream for tarfile, which copies `size` bytes and asks for no more."""

    def __init__(self, entry: Entry) -> None:
        self._stream = entry.stream
        self._left = entry.size

    def read(self, size: int) -> bytes:
        block = b""
        while self._stream and len(block) < size:
            more = self._stream.read(size - len(block))
            if not more:
                raise BadMedia("The archive is damaged: an entry is not as long as it says.")
            block += more
        self._left -= len(block)
        if self._left == 0 and self._stream and self._stream.read(1):
            raise BadMedia("The archive is damaged: an entry is not as long as it says.")
        return block


class _Seven(Writer):
    def __init__(self, archive: object, scratch: Path) -> None:
        import py7zr

        assert isinstance(archive, py7zr.SevenZipFile)  # the wheel is optional, so the signature cannot name it
        self._archive = archive
        self._held = scratch / "to-pack"

    def add(self, entry: Entry) -> None:
        """py7zr takes time and mode from a file on disk, so each entry passes through one in scratch."""
        held = self._held
        if entry.stream is None:
            held.mkdir()
        else:
            with held.open("wb") as spool:
                _copy(entry, spool)
        os.utime(held, (entry.modified_s or 0, entry.modified_s or 0))
        # Always readable by us: a file of mode 0 could not be packed.
        held.chmod((entry.mode or (0o755 if entry.stream is None else 0o644)) | stat.S_IRUSR)
        self._archive.write(held, entry.name)
        if entry.stream is None:
            held.rmdir()
        else:
            held.unlink()
