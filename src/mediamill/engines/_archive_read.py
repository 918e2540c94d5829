"""Read zip, tar, tar.gz and 7z entry by entry, trusting nothing: names, sizes, types and ratios are checked."""

from __future__ import annotations

import errno
import gzip
import io
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from mediamill.core.errors import BadMedia, Failed, LimitExceeded
from mediamill.engines._archive_guard import ENTRIES, LINKED, LOCKED, NAME_CHARS, UNKNOWN_METHOD, Entry, Guard

_TAR_HEADER_BYTES = 1024**2  # a pax or GNU long-name record; tarfile reads it whole into memory
_BLOCK = 1024**2


class _Counted(io.RawIOBase):
    """A stream that tells the guard how much came out of it."""

    def __init__(self, inner: IO[bytes], guard: Guard) -> None:
        self._inner = inner
        self._guard = guard

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        with reading():  # here too: it is the writer that reads, outside the generator below
            block = self._inner.read(size if 0 <= size <= _BLOCK else _BLOCK)
        self._guard.count(len(block))
        return block


def entries(path: Path, mime: str, guard: Guard, scratch: Path) -> Iterator[Entry]:
    """Every entry in the archive's own order.

    Raises BadMedia (damaged, locked, links, devices, unsafe names) and LimitExceeded (too many, too large).
    7z entries pass through files in `scratch`, named by number; all others stream.
    """
    with reading():
        if mime == "application/zip":
            yield from _zip(path, guard)
        elif mime == "application/x-7z-compressed":
            from mediamill.engines._archive_7z import unpacked

            yield from unpacked(path, guard, scratch)
        elif mime == "application/gzip":
            yield from _gzip(path, guard, scratch)
        else:
            with path.open("rb") as stream:
                yield from _tar(stream, guard)


def count(path: Path, mime: str) -> int:
    """How many entries there are. Raises like `entries`, but does not read their bytes where an index lists them."""
    guard = Guard(path.stat().st_size)
    with reading():
        if mime == "application/x-7z-compressed":
            from mediamill.engines._archive_7z import listed

            listed(path, guard)
        elif mime == "application/gzip" and single(path):
            guard.entry()
        elif mime == "application/gzip":
            for _ in _gzip(path, guard, path.parent):
                pass
        else:
            for _ in entries(path, mime, guard, path.parent):
                pass
    return guard.entries


@contextmanager
def reading() -> Iterator[None]:
    """Name what readers raise on damaged input."""
    try:
        yield
    except Failed:
        raise
    except (EOFError, zlib.error, lzma.LZMAError, gzip.BadGzipFile, zipfile.BadZipFile, tarfile.TarError) as error:
        raise BadMedia("The archive is damaged or cut short.") from error
    except NotImplementedError as error:
        raise BadMedia(UNKNOWN_METHOD) from error
    except OSError as error:
        if error.errno != errno.EINVAL:  # zipfile seeks to where a damaged index points, before the file too
            raise
        raise BadMedia("The archive is damaged.") from error
    except MemoryError as error:
        raise LimitExceeded("The archive asks for more memory than a task may have.") from error
    except (ValueError, OverflowError, RecursionError, struct.error, IndexError, KeyError) as error:
        raise BadMedia("The archive is damaged.") from error


def _zip(path: Path, guard: Guard) -> Iterator[Entry]:
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
        if len(infos) > ENTRIES:
            raise LimitExceeded(f"The archive has more than {ENTRIES:,} entries.")
        guard.check(sum(info.file_size for info in infos))
        for info in infos:
            guard.entry()
            if info.flag_bits & 0x1:
                raise BadMedia(LOCKED)
            mode = info.external_attr >> 16 if info.create_system == 3 else 0
            kind = stat.S_IFMT(mode)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise BadMedia(LINKED)
            folder = info.is_dir() or kind == stat.S_IFDIR
            name = guard.name(_zip_name(info), folder=folder)
            if name is None:
                continue
            permissions = stat.S_IMODE(mode) & 0o777 or None
            modified_s = _zip_modified_s(info)
            if folder:
                yield Entry(name=name, size=0, mode=permissions, modified_s=modified_s, stream=None)
                continue
            with archive.open(info) as stream:
                yield Entry(
                    name=name,
                    size=info.file_size,
                    mode=permissions,
                    modified_s=modified_s,
                    stream=_counted(stream, guard),
                )


def _counted(stream: IO[bytes], guard: Guard) -> IO[bytes]:
    counted: Any = _Counted(stream, guard)  # a RawIOBase is not typed as IO[bytes]; we only ever call read
    checked: IO[bytes] = counted
    return checked


def _zip_name(info: zipfile.ZipInfo) -> str:
    """Names without the UTF-8 flag are read as cp437 by the standard; macOS writes UTF-8 there all the same."""
    name = info.orig_filename
    if info.flag_bits & 0x800:
        return name
    try:
        return name.encode("cp437").decode("utf-8")
    except UnicodeError:
        return name


def _zip_modified_s(info: zipfile.ZipInfo) -> float | None:
    """The extended timestamp (extra field 0x5455, Unix time) when there is one; else the DOS time, taken as UTC."""
    extra = info.extra
    while len(extra) >= 4:
        tag, size = struct.unpack_from("<HH", extra)
        if tag == 0x5455 and size >= 5 and len(extra) >= 9 and extra[4] & 1:
            return float(struct.unpack_from("<i", extra, 5)[0])
        extra = extra[4 + size :]
    try:
        return datetime(*info.date_time, tzinfo=UTC).timestamp()
    except ValueError:
        return None


class _CheckedInfo(tarfile.TarInfo):
    """Refuses header records that would be read whole into memory, before they are."""

    _RECORDS = frozenset(
        (tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.SOLARIS_XHDTYPE, tarfile.GNUTYPE_LONGNAME, tarfile.GNUTYPE_LONGLINK)
    )

    def _proc_member(self, archive: tarfile.TarFile) -> tarfile.TarInfo:
        """What every header goes through once it is taken apart. tarfile says of it that it may be overridden; of what
        comes before, that changed with 3.14.4 and the fixes of older Pythons at that time."""
        if self.size < 0:
            raise BadMedia("The archive is damaged.")
        if self.type in self._RECORDS and self.size > _TAR_HEADER_BYTES:
            raise LimitExceeded("The archive has a header of more than 1 MiB.")
        found: tarfile.TarInfo = super()._proc_member(archive)  # type: ignore[misc]  # not in the stubs
        return found


def _tar(stream: IO[bytes], guard: Guard) -> Iterator[Entry]:
    with tarfile.open(fileobj=stream, mode="r|", tarinfo=_CheckedInfo, encoding="utf-8") as archive:
        for info in archive:
            archive.members = []  # type: ignore[attr-defined]  # a stream never goes back; without this every header stays in memory
            guard.entry()
            if info.size < 0:
                raise BadMedia("The archive is damaged.")
            if not (info.isreg() or info.isdir()):
                raise BadMedia(LINKED)
            name = guard.name(info.name, folder=info.isdir())
            if name is None:
                continue
            modified_s = float(info.mtime)
            mode = info.mode & 0o777
            if info.isdir():
                yield Entry(name=name, size=0, mode=mode, modified_s=modified_s, stream=None)
                continue
            guard.check(guard.bytes + info.size)
            content = archive.extractfile(info)
            if content is None:
                raise BadMedia("The archive is damaged.")
            yield Entry(name=name, size=info.size, mode=mode, modified_s=modified_s, stream=_counted(content, guard))


class _Unzipped(io.RawIOBase):
    """A gzip stream that is guarded on its own: padding between tar entries counts too."""

    def __init__(self, packed: gzip.GzipFile, packed_bytes: int) -> None:
        self._packed = packed
        self._guard = Guard(packed_bytes)

    def read(self, size: int = -1) -> bytes:
        block = self._packed.read(size if 0 <= size <= _BLOCK else _BLOCK)
        self._guard.count(len(block))
        return block


def single(path: Path) -> bool:
    """Whether a gzip file holds one plain file instead of a tar. An empty tar is a few blocks of zeros, and no more."""
    with reading(), gzip.open(path) as packed:
        head = packed.read(512)
        try:
            tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        except tarfile.HeaderError:
            head += packed.read(_BLOCK)
            return not (512 <= len(head) <= _BLOCK and not head.strip(b"\0"))
    return False


def _gzip(path: Path, guard: Guard, scratch: Path) -> Iterator[Entry]:
    if single(path):
        yield from _single(path, guard, scratch)
        return
    with gzip.open(path) as packed:
        stream: Any = _Unzipped(packed, path.stat().st_size)
        yield from _tar(stream, guard)


def _single(path: Path, guard: Guard, scratch: Path) -> Iterator[Entry]:
    """The one file of a plain gzip, through scratch: a tar header wants its size first, and gzip does not say it."""
    held = scratch / "gzip-entry"
    with gzip.open(path) as packed, held.open("wb") as spool:
        while block := packed.read(_BLOCK):
            guard.count(len(block))
            spool.write(block)
        modified_s = float(packed.mtime) if packed.mtime else None
    guard.entry()
    with held.open("rb") as stream:
        yield Entry(name=_gzip_name(path), size=guard.bytes, mode=None, modified_s=modified_s, stream=stream)
    held.unlink()


def _gzip_name(path: Path) -> str:
    """The name in the gzip header (RFC 1952, 2.3: FNAME, Latin-1), its last part only; "file" when there is none."""
    with path.open("rb") as packed:
        head = packed.read(10 + 2 + 65535 + NAME_CHARS)
    flags, at = head[3], 10
    if flags & 4:
        at += 2 + int.from_bytes(head[at : at + 2], "little")
    if not flags & 8:
        return "file"
    raw = head[at : head.find(b"\0", at)].decode("latin-1").replace("\\", "/").rsplit("/", 1)[-1]
    return raw if raw not in ("", ".", "..") and not re.match(r"[A-Za-z]:", raw) else "file"
