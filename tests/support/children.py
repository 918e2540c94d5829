"""Pools of children for tests, with kinds that misbehave on purpose."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

from mediamill.worker.children import Children, Done, Job, Limits

T = TypeVar("T")

LIMITS = Limits(wall_s=30, cpu_s=20, memory_bytes=128 << 20, output_bytes=8 << 20, scratch_bytes=32 << 20, processes=8)
_HERE = "tests.support.kinds_for_children"


@asynccontextmanager
async def children_in(folder: Path, *, slots: int, **options: Any) -> AsyncIterator[Children]:
    """A started pool whose kinds are those of kinds_for_children."""
    pool = Children(
        slots=slots,
        folder=folder,
        engines=f"{_HERE}:open_engines",
        kinds=f"{_HERE}:named",
        readable=[Path(__file__).parent],
        **options,
    )
    await pool.start()
    try:
        yield pool
    finally:
        await pool.close()


def job(
    kind: str,
    *,
    limits: Limits = LIMITS,
    inputs: Sequence[tuple[str, str, str]] = (),
    probe: bool = False,
    **options: Any,
) -> Job:
    """A job with the fields that matter."""
    return Job(kind=kind, options=options, inputs=list(inputs), limits=limits, probe=probe)


async def run(
    children: Children,
    kind: str,
    *,
    limits: Limits = LIMITS,
    on_report: Callable[[str, float | None], None] = lambda stage, fraction: None,
    **options: Any,
) -> Done:
    """One job without inputs on a slot of its own."""
    async with children.slot() as slot:
        return await slot.run(job(kind, limits=limits, **options), on_report)


def in_company(seconds: float) -> float:
    """So many seconds on a calm machine, and in proportion more where programs wait for a processor.

    The load of the last minute tells nothing of what began just now, and tests that run beside this one begin anything
    at any time.
    """
    load, _, _, running, _ = Path("/proc/loadavg").read_text().split()
    now = int(running.split("/")[0])
    beside = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    return seconds * max(1.0, 2 * max(float(load), now) / len(os.sched_getaffinity(0)), beside)


async def until(found: Callable[[], T | None], *, timeout_s: float = 60) -> T:
    """What `found` gives once it gives something true; fails after a while."""
    async with asyncio.timeout(timeout_s):
        while not (value := found()):
            await asyncio.sleep(0.01)
        return value


def alive(pid: int) -> bool:
    """Whether a process runs (one that has ended and is not yet reaped does not)."""
    try:
        state = Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0]
    except OSError:
        return False
    return state not in (b"Z", b"X")
