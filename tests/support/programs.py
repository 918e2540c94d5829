"""The programs that a server or a worker has started, and holding one of them where it is."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable
from pathlib import Path

from tests.support.server import until


def descendants(pid: int) -> list[int]:
    """All processes below one."""
    below: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):  # it has ended just now
                parent = int((entry / "stat").read_text().rsplit(")", 1)[1].split()[1])
                below.setdefault(parent, []).append(int(entry.name))
    found, left = [], [pid]
    while left:
        more = below.get(left.pop(), [])
        found += more
        left += more
    return found


def running_tools(pids: list[int]) -> list[int]:
    """Those that are ffmpeg."""
    found = []
    for pid in pids:
        try:
            if b"ffmpeg" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")[0]:
                found.append(pid)
        except OSError:
            continue
    return found


def held(root: int, *, chosen: Callable[[int], bool] = lambda pid: True, what: str = "the encoder") -> int:
    """An ffmpeg below a process, stopped by SIGSTOP at whatever it does as soon as it is there.

    However fast the machine is, it has not ended while it is looked at.
    """
    found: list[int] = []

    def hold() -> bool:
        for pid in filter(chosen, running_tools(descendants(root))):
            try:
                os.kill(pid, signal.SIGSTOP)
            except ProcessLookupError:  # it has ended just now
                continue
            found.append(pid)
            return True
        return False

    until(hold, what=what)
    return found[0]


def let_go(pid: int) -> None:
    """Let it go on."""
    os.kill(pid, signal.SIGCONT)
