"""Every limit ends the job that passes it, with the right word, and the slot goes on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.children import LIMITS, children_in, run

from mediamill.core.errors import Failed, LimitExceeded, TimedOut
from mediamill.worker.children import Children


@pytest.fixture
async def children(tmp_path: Path) -> AsyncIterator[Children]:
    async with children_in(tmp_path / "slots", slots=1) as found:
        yield found


async def test_memory_refused_is_a_limit(children: Children) -> None:
    await ends(children, "hog", LimitExceeded, "memory", count=1000)


async def test_memory_that_no_single_process_is_charged_for_counts_too(children: Children) -> None:
    await ends(children, "shared_hog", LimitExceeded, "memory", count=400)


async def test_memory_of_a_program_counts(children: Children) -> None:
    await ends(children, "tool_hog", LimitExceeded, "memory", count=400)


async def test_processor_time_is_a_limit(children: Children) -> None:
    await ends(children, "spin", LimitExceeded, "processor time", cpu_s=1)


async def test_the_clock_is_a_limit_for_work_that_never_looks_up(children: Children) -> None:
    await ends(children, "spin", TimedOut, r"longer than 0\.3 s", wall_s=0.3)


async def test_the_clock_is_a_limit_for_work_that_waits(children: Children) -> None:
    error = await ends(children, "sleep", TimedOut, r"longer than 0\.3 s", wall_s=0.3)

    assert error.stage == "work"


async def test_a_file_too_large_is_a_limit(children: Children) -> None:
    await ends(children, "big_file", LimitExceeded, "larger file", count=9)


async def test_scratch_is_a_limit(children: Children) -> None:
    await ends(children, "many_files", LimitExceeded, "files took more", count=40)


async def test_processes_are_a_limit(children: Children) -> None:
    await ends(children, "many_processes", LimitExceeded, "more than 8 processes", count=12)


async def test_outputs_together_are_a_limit(children: Children) -> None:
    await ends(children, "two_outputs", LimitExceeded, "together", output_bytes=12)


async def test_a_program_is_stopped_by_the_clock_of_the_task(children: Children) -> None:
    for wall_s in (1, 3, 10, 30):  # on a busy machine the clock may run out before there is a program to be stopped
        error = await ends(children, "tool_tree", TimedOut, f"longer than {wall_s} s", wall_s=wall_s)
        if "tree was stopped" in str(error):
            break

    assert "tree was stopped" in str(error)
    assert error.stage == "work"


async def ends(
    children: Children,
    kind: str,
    error: type[Failed],
    words: str,
    *,
    count: int = 0,
    wall_s: float = 30,
    cpu_s: int = 20,
    output_bytes: int = 8 << 20,
) -> Failed:
    """The failure of a job, which must be of that class and wording, and leave the slot fit for the next."""
    limits = replace(LIMITS, wall_s=wall_s, cpu_s=cpu_s, output_bytes=output_bytes)
    with pytest.raises(error, match=words) as caught:
        await run(children, kind, limits=limits, count=count)
    assert (await run(children, "trivial")).outputs == []
    return caught.value
