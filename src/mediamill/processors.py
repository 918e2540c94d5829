"""How many processors there are to work with: not those of the machine, but those this process may use.

A container with a quota of two on a machine of sixty-four sees all of them; a task and a set of threads for each would
take the memory of sixty-four and the time of two.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

_GROUPS, _MOUNTED = Path("/proc/self/cgroup"), Path("/sys/fs/cgroup")


@cache
def count() -> int:
    """Those it may run on, and no more than its control groups give it the time of.

    The sandbox hides the control groups: whoever starts children asks first, and they inherit the answer.
    """
    return max(1, min([len(os.sched_getaffinity(0)), *(math.ceil(quota) for quota in _quotas())]))


def _quotas() -> Iterator[float]:
    """Processors' worth of time, of each group that this process is in and that limits it. Sources: the kernel's
    admin-guide, cgroup-v2 (cpu.max) and cgroup-v1 (cpu.cfs_quota_us, cpu.cfs_period_us of sched-bwc)."""
    try:
        lines = _GROUPS.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # Within a container the path may be one of the machine's: then its group is what is mounted.
        for group in (PurePosixPath(path), *PurePosixPath(path).parents):
            folder = _MOUNTED / controllers / group.relative_to("/")
            try:
                if controllers:
                    limit, period = ((folder / f"cpu.cfs_{word}_us").read_text() for word in ("quota", "period"))
                else:
                    limit, period = (folder / "cpu.max").read_text().split()
                quota = float(limit) / float(period)
            except (OSError, ValueError, ZeroDivisionError):  # none here, or "max"
                continue
            if quota > 0:
                yield quota
