"""Whoever is killed with -9, nothing that it was responsible for outlives it by a second."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.support.children import alive, children_in, in_company, job, run, until

from mediamill.core.errors import WorkerLost
from mediamill.sandbox import children as children_of
from mediamill.worker.children import Children, Done

WORKER = """
import asyncio, sys
from pathlib import Path
from tests.support.children import children_in, job

async def main():
    async with children_in(Path(sys.argv[1]), slots=1) as children, children.slot() as slot:
        await slot.run(job("tool_tree"), lambda stage, fraction: None)

asyncio.run(main())
"""


@pytest.fixture
async def children(tmp_path: Path) -> AsyncIterator[Children]:
    async with children_in(tmp_path / "slots", slots=1) as found:
        yield found


async def test_killing_the_worker_takes_everything_with_it(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with subprocess.Popen([sys.executable, "-c", WORKER, tmp_path / "slots"], env=environment) as worker:
        try:
            await until(lambda: written(tmp_path / "slots" / "slot-0" / "work" / "daemon"))
            tree = [pid for pid in below(worker.pid) if alive(pid)]
            assert len(tree) == 4  # nursery, child, program, daemon
        finally:
            worker.kill()

    await until(lambda: not any(map(alive, tree)), timeout_s=in_company(1))


async def test_killing_a_child_takes_its_programs_with_it(children: Children) -> None:
    pid, daemon, running = await started(children)

    os.kill(pid, signal.SIGKILL)

    with pytest.raises(WorkerLost, match="SIGKILL"):
        await running
    assert not alive(daemon)
    assert (await run(children, "trivial")).outputs == []


async def test_killing_the_nursery_takes_its_children_and_a_new_one_comes(children: Children) -> None:
    pid, daemon, running = await started(children)
    [nursery] = [one for one in children_of() if pid in children_of(one)]
    [program] = [one for one in children_of(pid) if one != daemon]

    os.kill(nursery, signal.SIGKILL)

    with pytest.raises(WorkerLost):
        await running
    await until(lambda: not alive(pid) and not alive(program), timeout_s=in_company(1))
    assert (await run(children, "trivial")).outputs == []
    os.kill(daemon, signal.SIGKILL)  # out of every group and session, it had only the nursery to end it


async def started(children: Children) -> tuple[int, int, asyncio.Task[Done]]:
    """(pid of the child, pid of a daemon below it, the running job)."""
    pid = (await run(children, "trivial")).details["pid"]

    async def work() -> Done:
        async with children.slot() as slot:
            marks.append(slot.work / "daemon")
            return await slot.run(job("tool_tree"), lambda stage, fraction: None)

    marks: list[Path] = []
    running = asyncio.create_task(work())
    daemon = await until(lambda: written(marks[0]) if marks else "")
    return pid, int(daemon), running


def written(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def below(pid: int) -> list[int]:
    found = children_of(pid)
    return found + [deeper for one in found for deeper in below(one)]
