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
    many branches, and no part of it in Python itself, of which newer versions are faster.
    """
    text = " ".join([str(number * 7919 % 1_000_003) for number in range(6000)])
    took_s = []
    for _ in range(6):
        began_s = time.process_time()
        sorted(dict.fromkeys(text.split()))
        took_s.append(time.process_time() - began_s)
    # Where the clock goes by large steps, some or all of them may seem to take nothing, and nothing takes nothing.
    return (min(took_s) or sum(took_s) / len(took_s) or _USUAL_S) / _USUAL_S
