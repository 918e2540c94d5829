"""Changes come in lots: each task once, other projects' never, with a sign of life when nothing happens."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from typing import Any, cast

import pytest
from tests.support.tasks import task

from mediamill.core.access import Caller, Role
from mediamill.core.errors import NotFound
from mediamill.core.ids import KeyId, ProjectId
from mediamill.core.tasks import Task
from mediamill.service.tasks import Tasks
from mediamill.service.watch import Watch

CALLER = Caller(project_id=ProjectId("default"), key_id=KeyId("k1"), role=Role.MEMBER)


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
def reads() -> list[str]:
    return []


@pytest.fixture
def tasks(watch: Watch, reads: list[str]) -> Tasks:
    async def read(id: str) -> Task:
        reads.append(id)
        if id == "tgone":
            raise NotFound("task", id)
        return task(id=id, project_id="other" if id == "tother" else "default")

    nothing: Any = None
    return Tasks(
        store=nothing, accept=nothing, read=read, files=nothing, kinds=nothing, hint=nothing, engines=nothing,
        check_url=nothing, watch=watch, connections=nothing,
    )  # fmt: skip


@pytest.fixture
async def lots(tasks: Tasks) -> AsyncIterator[AsyncGenerator[Sequence[Task], None]]:
    """Listening already."""
    lots = cast("AsyncGenerator[Sequence[Task], None]", tasks.lots(CALLER, pause_s=0.01, idle_s=0.05))
    assert await anext(lots) == []
    yield lots
    await lots.aclose()


Lots = AsyncGenerator[Sequence[Task], None]


async def ids(lots: Lots) -> list[str]:
    return [found.id for found in await anext(lots)]


async def test_what_changes_together_is_read_once(lots: Lots, watch: Watch, reads: list[str]) -> None:
    watch.told(["t1", "t2"])
    watch.told(["t1"])

    assert await ids(lots) == ["t1", "t2"]
    assert reads == ["t1", "t2"]


async def test_other_projects_and_gone_tasks_are_left_out(lots: Lots, watch: Watch) -> None:
    watch.told(["tother", "tgone", "t3"])

    assert await ids(lots) == ["t3"]


async def test_changes_between_two_lots_are_not_lost(lots: Lots, watch: Watch) -> None:
    watch.told(["t1"])
    assert await ids(lots) == ["t1"]

    watch.told(["t2"])

    assert await ids(lots) == ["t2"]


async def test_silence_yields_an_empty_lot(lots: Lots) -> None:
    assert await ids(lots) == []


async def test_a_reader_that_leaves_is_forgotten(lots: Lots, watch: Watch) -> None:
    assert watch._all

    await lots.aclose()

    assert not watch._all
