"""Seconds of processor time, by which progress is told: what else a machine does alters them little."""

from __future__ import annotations

import resource
import time


def used_s() -> float:
    """Those of this process and of the programs it has started that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime
