"""Seconds of processor time, which progress is told by: what else a machine does alters them little."""

from __future__ import annotations

import time

from mediamill.core.processor import used_s

__all__ = ["program_s", "slowness", "used_s"]


def program_s(pid: int) -> float:
    """Those of a program that runs. Raises OSError when it has ended.

    Any process may read that clock of any other. Source: clock_getcpuclockid(3), Linux.
    """
    return time.clock_gettime(~pid << 3 | 2)


_USUAL_S = 0.00085
"""What the work of `slowness` takes where the costs were measured that engines expect of their steps."""


def slowness() -> float:
    """How many times as long as where costs were measured things take on this machine.

    Texts are taken apart, looked up and sorted, for some milliseconds and the shortest of a few times: much memory,
    many branches, and no part of it in Python itself, of which newer versions are faster. By the clock of the thread:
    where a process has a limit of processor time, as a child has, Linux moves the one of the process by whole ticks of
    4 ms (posix_cpu_clock_get in kernel/time/posix-cpu-timers.c).
    """
    text = " ".join([str(number * 7919 % 1_000_003) for number in range(6000)])
    took_s = []
    for _ in range(6):
        began_s = time.thread_time()
        sorted(dict.fromkeys(text.split()))
        took_s.append(time.thread_time() - began_s)
    return (min(took_s) or _USUAL_S) / _USUAL_S
