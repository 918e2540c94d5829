"""The most memory that a process and its programs held together."""

from __future__ import annotations

import os
import threading
from pathlib import Path


def held(pid: int) -> int:
    """Resident bytes of a process and all below it; what ends while it is looked at counts for nothing."""
    try:
        own = int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
        below = [task.read_text().split() for task in Path(f"/proc/{pid}/task").glob("*/children")]
    except OSError:
        return 0
    return own + sum(held(int(child)) for children in below for child in children)


class Peak:
    """The most memory that this process and what it started held together."""

    def __enter__(self) -> Peak:
        self.bytes, self._over = 0, threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()
        return self

    def _watch(self) -> None:
        while not self._over.wait(0.05):
            self.bytes = max(self.bytes, held(os.getpid()))

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
