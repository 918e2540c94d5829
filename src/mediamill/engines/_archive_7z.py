"""7z through py7zr: entries are unpacked into numbered files, so that a name in the archive is never a path here."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from mediamill.core.errors import BadMedia, LimitExceeded
from mediamill.engines._archive_guard import ENTRIES, LINKED, LOCKED, UNKNOWN_METHOD, Entry, Guard

if TYPE_CHECKING:
    from py7zr import SevenZipFile


def unpacked(path: Path, guard: Guard, scratch: Path) -> Iterator[Entry]:
    """Every entry; files of one solid block come out together, so all are spooled to `scratch` first."""
    with _opened(path) as archive:
        found = _checked(archive, guard)
        spool = _spool(archive, guard, scratch)
    for name, file in found:
        if name is None:
            continue
        modified_s = file.lastwritetime.totimestamp() if file.lastwritetime else None
        mode = stat.S_IMODE(file.posix_mode) & 0o777 if file.posix_mode else None
        if file.is_directory:
            yield Entry(name=name, size=0, mode=mode, modified_s=modified_s, stream=None)
            continue
        held = spool / str(file.id)
        with held.open("rb") as stream:
            yield Entry(name=name, size=held.stat().st_size, mode=mode, modified_s=modified_s, stream=stream)
        held.unlink()


def listed(path: Path, guard: Guard) -> None:
    """Check and count every entry, from the header alone."""
    with _opened(path) as archive:
        _checked(archive, guard)


@contextmanager
def _opened(path: Path) -> Iterator[SevenZipFile]:
    import py7zr
    from py7zr import exceptions

    try:
        # A file object, not a path: with a path py7zr unpacks several blocks at once, in threads.
        with path.open("rb") as packed, py7zr.SevenZipFile(packed) as archive:
            yield archive
    except exceptions.PasswordRequired as error:
        raise BadMedia(LOCKED) from error
    except exceptions.UnsupportedCompressionMethodError as error:
        raise BadMedia(UNKNOWN_METHOD) from error
    except (exceptions.ArchiveError, TypeError, AttributeError, AssertionError) as error:
        # A damaged header makes py7zr trip over its own missing fields before it names the damage.
        raise BadMedia("The archive is damaged or cut short.") from error


def _checked(archive: SevenZipFile, guard: Guard) -> list[tuple[str | None, Any]]:
    """Each entry with its checked name, before a byte is unpacked."""
    if archive.needs_password():
        raise BadMedia(LOCKED)
    files = list(archive.files)
    if len(files) > ENTRIES:
        raise LimitExceeded(f"The archive has more than {ENTRIES:,} entries.")
    guard.check(sum(file.uncompressed or 0 for file in files))
    found: list[tuple[str | None, Any]] = []
    for file in files:
        guard.entry()
        kind = file.st_fmt or 0
        if file.is_symlink or file.is_junction or file.is_socket or kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise BadMedia(LINKED)
        found.append((guard.name(file.filename, folder=file.is_directory), file))
    return found


def _spool(archive: SevenZipFile, guard: Guard, scratch: Path) -> Path:
    """Unpack every file into a folder, named by its number in the archive."""
    from py7zr.io import Py7zIO, WriterFactory

    class Held(Py7zIO):
        def __init__(self, path: Path) -> None:
            self._file: IO[bytes] = path.open("wb")
            self._size = 0

        def write(self, s: bytes | bytearray) -> int:
            guard.count(len(s))
            self._size += len(s)
            return self._file.write(s)

        def read(self, size: int | None = None) -> bytes:
            return b""

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0

        def flush(self) -> None:
            self._file.flush()

        def size(self) -> int:
            return self._size

        def close(self) -> None:
            self._file.close()

    class Numbered(WriterFactory):
        def create(self, filename: str) -> Py7zIO:
            held = Held(folder / str(int(filename)))
            opened.callback(held.close)  # py7zr closes it only when all went well
            return held

    folder = scratch / "unpacked"
    folder.mkdir()
    for file in archive.files:
        # py7zr hands its writers a name and nothing else, and alters names that repeat: give it the number instead.
        file._file_info["filename"] = str(file.id)
        if file.emptystream and not file.is_directory:
            (folder / str(file.id)).touch()
    with ExitStack() as opened:
        archive.extractall(factory=Numbered())
    return folder
