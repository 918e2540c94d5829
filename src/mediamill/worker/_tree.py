"""Folders and process trees of slots, seen from outside."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import stat
import time
from collections.abc import Iterator, Sequence, Set
from dataclasses import dataclass
from pathlib import Path

_PAGE_BYTES = resource.getpagesize()
_CLOCK_NS = 50_000_000


@dataclass(frozen=True, slots=True)
class Used:
    """What one child and all below it take now."""

    processes: int
    resident_bytes: int
    scratch_bytes: int


def make(folder: Path) -> None:
    """The slot's folders, for our user alone."""
    for path in (folder, folder / "in", folder / "work", folder / "work" / "tmp"):
        path.mkdir(mode=0o700, parents=True, exist_ok=True)


class Seal:
    """Tells whether anything has been left in a slot's folders, for next to nothing when no task touches them.

    A folder's change time moves with each entry that comes or goes, and nobody can set it back. The kernel's clock for
    it stands still for some milliseconds, so one that young proves nothing yet.
    """

    def __init__(self, inputs: Path, work: Path) -> None:
        self._inputs, self._work, self._tmp = str(inputs), str(work), str(work / "tmp")
        self._clean: tuple[int, int, int] | None = None

    def holds(self) -> bool:
        """Whether the folders are there and empty."""
        try:
            changed = (
                os.lstat(self._inputs).st_ctime_ns,
                os.lstat(self._work).st_ctime_ns,
                os.lstat(self._tmp).st_ctime_ns,
            )
            if changed == self._clean:
                return True
            empty = (
                not os.listdir(self._inputs)
                and os.listdir(self._work) == ["tmp"]
                and not os.path.islink(self._tmp)
                and not os.listdir(self._tmp)
            )
        except OSError:  # not a folder any more, or closed to us
            return False
        self._clean = changed if empty and time.time_ns() - max(changed) > _CLOCK_NS else None
        return empty


def wipe(folder: Path, *, by_force: bool = False) -> None:
    """Empty `in/` and `work/`; the folders themselves stay, because the child's rights are bound to them."""
    for top in (folder / "in", folder / "work"):
        top.chmod(0o700)
        for entry in list(os.scandir(top)):
            if entry.is_dir(follow_symlinks=False):
                remove(Path(entry.path), by_force=by_force)
            else:
                os.unlink(entry.path)
    make(folder)


def remove(folder: Path, *, by_force: bool = False) -> None:
    """Remove a tree, without following links. Raises PermissionError where a task took away the right to look into it.

    by_force: gives that right back first. Only when nothing runs in the tree any more: it could swap links in.
    """
    if not folder.exists():
        return
    if by_force:
        folder.chmod(0o700)
        for path, folders, _ in os.walk(folder):
            for name in folders:
                below = os.path.join(path, name)
                if not os.path.islink(below):
                    os.chmod(below, 0o700)
    shutil.rmtree(folder)


def open_below(folder: Path, path: Path) -> int:
    """A descriptor of a regular file, following no link on the way."""
    if path.is_absolute() or not path.parts or ".." in path.parts:
        raise OSError(f"not below the folder: {path}")
    at = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    try:
        for part in path.parts[:-1]:
            deeper = os.open(part, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW, dir_fd=at)
            os.close(at)
            at = deeper
        # O_NONBLOCK: a FIFO must not hold us up before it is refused.
        found = os.open(path.name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=at)
    finally:
        os.close(at)
    if not stat.S_ISREG(os.fstat(found).st_mode):
        os.close(found)
        raise OSError(f"not a regular file: {path}")
    return found


def measure(slots: Sequence[tuple[int, Path]]) -> list[Used]:
    """For each (pid of a child, its work folder). One look through /proc serves them all; blocks for milliseconds."""
    below: dict[int, list[int]] = {}
    resident: dict[int, int] = {}
    for pid, fields in _processes():
        below.setdefault(int(fields[1]), []).append(pid)
        resident[pid] = int(fields[21]) * _PAGE_BYTES
    found = []
    for child, work in slots:
        tree, rest = [], [child] if child in resident else []
        while rest:
            process = rest.pop()
            tree.append(process)
            rest += below.get(process, [])
        found.append(Used(len(tree), sum(resident[p] for p in tree), _disk_bytes(work)))
    return found


def resident_bytes(pid: int) -> int:
    """What one process has in memory, shared parts counted; 0 when it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_bytes().split()[1]) * _PAGE_BYTES
    except OSError:
        return 0


def end_sessions(leaders: Set[int]) -> None:
    """Kill every process of these sessions: what is left of children whose nursery can no longer do it."""
    if not leaders:
        return
    for pid, fields in _processes():
        if int(fields[3]) in leaders:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)


def _processes() -> Iterator[tuple[int, list[bytes]]]:
    """(pid, fields of its stat after the name): 0 state, 1 parent, 2 group, 3 session, 21 resident pages.

    Source: proc_pid_stat(5), whose numbers are higher by three.
    """
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:
                    yield int(name), file.read().rpartition(b")")[2].split()
            except OSError:
                continue  # gone meanwhile


def _disk_bytes(folder: Path) -> int:
    total = 0
    for path, _, files in os.walk(folder):
        for name in files:
            try:
                total += os.lstat(os.path.join(path, name)).st_blocks * 512
            except OSError:
                continue  # gone meanwhile
    return total
