"""What an archive may hold, whichever kind it is: names, sizes, numbers and ratios are checked."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import IO

from mediamill.core.errors import BadMedia, LimitExceeded

ENTRIES = 100_000
BYTES = 4 * 1024**3
RATIO = 200
RATIO_FROM_BYTES = 100 * 1024**2
NAME_CHARS = 4096
LOCKED = "The archive is protected by a password; send it unlocked."
LINKED = "The archive holds a link or a device, which is never unpacked."
UNKNOWN_METHOD = "The archive uses a compression method that is not known here."


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file or folder. `stream` is readable until the next entry is asked for; None for a folder.

    name: relative, parts joined by "/", no "..", unique in the archive. modified_s: Unix time or None.
    """

    name: str
    size: int
    mode: int | None
    modified_s: float | None
    stream: IO[bytes] | None


class Guard:
    """Counts what comes out of one archive and stops what no honest archive holds."""

    def __init__(self, packed_bytes: int) -> None:
        self._packed_bytes = max(packed_bytes, 1)
        self._names: set[str] = set()
        self.bytes = 0
        self.entries = 0
        self.renamed = 0

    def check(self, total_bytes: int) -> None:
        """Raises LimitExceeded when that many unpacked bytes are too many for this archive."""
        if total_bytes > BYTES:
            raise LimitExceeded(f"The archive unpacks to more than {BYTES // 1024**3} GiB.")
        if total_bytes > RATIO_FROM_BYTES and total_bytes > RATIO * self._packed_bytes:
            raise LimitExceeded(f"The archive unpacks to more than {RATIO} times its size.")

    def count(self, number: int) -> None:
        """`number` more bytes came out."""
        self.bytes += number
        self.check(self.bytes)

    def entry(self) -> None:
        """One more header was read."""
        self.entries += 1
        if self.entries > ENTRIES:
            raise LimitExceeded(f"The archive has more than {ENTRIES:,} entries.")

    def name(self, raw: str, *, folder: bool) -> str | None:
        """The checked, unique name; None for the root folder and for a folder seen before."""
        name = checked_name(raw)
        if not name:
            if folder:
                return None
            raise BadMedia("The archive has an entry without a name.")
        if name not in self._names:
            self._names.add(name)
            return name
        if folder:
            return None
        # Both are kept: which of two entries wins differs between unpackers, and that gap hides things.
        path, _, last = name.rpartition("/")
        stem, dot, extension = last.rpartition(".")
        stem, tail = (stem, dot + extension) if stem else (last, "")
        for number in range(2, ENTRIES + 2):
            other = f"{path}/{stem} ({number}){tail}" if path else f"{stem} ({number}){tail}"
            if other not in self._names:
                self._names.add(other)
                self.renamed += 1
                return other
        raise LimitExceeded("The archive repeats one name too often.")


def checked_name(raw: str) -> str:
    """`raw` as a relative path of plain parts. Raises BadMedia for anything that could leave the folder."""
    shown = raw[:80].encode("utf-8", "replace").decode()
    if "\0" in raw or len(raw) > NAME_CHARS:
        raise BadMedia("The archive has an entry whose name is too long or holds a NUL.")
    name = raw.encode("utf-8", "surrogateescape").decode("cp1252", "replace") if _undecoded(raw) else raw
    name = name.replace("\\", "/")
    if name.startswith("/") or re.match(r"[A-Za-z]:", name):
        raise BadMedia(f"The archive has an entry with an absolute path ({shown!r}).")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BadMedia(f"The archive has an entry that points outside its folder ({shown!r}).")
    return "/".join(parts)


def _undecoded(name: str) -> bool:
    return any("\ud800" <= char <= "\udfff" for char in name)
