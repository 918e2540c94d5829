"""Seconds of processor time, which progress is told by: what else a machine does alters them little."""

from __future__ import annotations

import resource
import time


def used_s() -> float:
    """Those of this process and of the programs it has started that have ended."""
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + ended.ru_utime + ended.ru_stime


def program_s(pid: int) -> float:
    """Those of a program that runs. Raises OSError when it has ended.

    Any process may read that clock of any other. Source: clock_getcpuclockid(3), Linux.
    """
    return time.clock_gettime(~pid << 3 | 2)
