"""Cursors walk every row once, in order, while others are added; in both orders and backwards."""

from __future__ import annotations

import random

import pytest
from tests.support.records import PROJECT, Bench, bench

from mediamill.core.tasks import Cursor, Filter, Page, State, Task


async def _walk(db: Bench, filter: Filter, *, ascending: bool, backwards: bool, size: int, busy: bool) -> list[str]:
    seen: list[str] = []
    place: Cursor | None = None
    if backwards:
        ends = (await db.tasks.list(PROJECT, Page(limit=1, ascending=not ascending), filter)).items
        if not ends:
            return []
        place = _place(ends[0])
        seen = [ends[0].id]
    while True:
        page = Page(limit=size, ascending=ascending, **{"before" if backwards else "after": place})
        found = await db.tasks.list(PROJECT, page, filter)
        ids = [task.id for task in found.items]
        seen = ids + seen if backwards else seen + ids
        if busy:
            await db.accept(kind=random.choice(["ping", "convert"]))
        if not found.more:
            return seen
        place = _place(found.items[0] if backwards else found.items[-1])


def _place(task: Task) -> Cursor:
    return Cursor(at=task.created_at, id=task.id)


@pytest.mark.parametrize("size", [1, 7, 100])
@pytest.mark.parametrize("ascending", [False, True])
@pytest.mark.parametrize("backwards", [False, True])
async def test_a_walk_sees_every_row_once(dsn: str, size: int, ascending: bool, backwards: bool) -> None:
    async with bench(dsn) as db:
        # In one batch they share an instant, so that the id must break the tie.
        await db.tasks.accept([db.item(kind=["ping", "convert"][n % 2]) for n in range(45)])
        await db.accept()
        filter = Filter(kinds=["ping", "convert"], states=[State.QUEUED, State.RUNNING])
        before = [row["id"] for row in await db.pool.fetch("SELECT id FROM tasks ORDER BY created_at, id")]
        expected = before if ascending else before[::-1]

        still = await _walk(db, filter, ascending=ascending, backwards=backwards, size=size, busy=False)
        busy = await _walk(db, Filter(), ascending=ascending, backwards=backwards, size=size, busy=size > 1)

        assert still == expected
        assert [id for id in busy if id in set(before)] == expected
        assert len(set(busy)) == len(busy)


async def test_between_two_cursors_lies_what_is_strictly_between(dsn: str) -> None:
    async with bench(dsn) as db:
        ids = [await db.accept() for _ in range(10)]
        tasks = {id: await db.tasks.get(PROJECT, id) for id in ids}

        page = Page(limit=100, after=_place(tasks[ids[8]]), before=_place(tasks[ids[3]]))
        found = await db.tasks.list(PROJECT, page, Filter())

        assert [task.id for task in found.items] == [ids[7], ids[6], ids[5], ids[4]]
        assert not found.more


async def test_filters_join_and_confine_to_the_project(dsn: str) -> None:
    async with bench(dsn) as db:
        mine = await db.accept(kind="convert", label="Holiday 100%.png")
        await db.accept(kind="ping", label="Holiday 1000.png")
        await db.accept(kind="convert", label="Holiday 100%.png", project="other")

        async def ids(**given: object) -> list[str]:
            return [t.id for t in (await db.tasks.list(PROJECT, Page(), Filter(**given))).items]  # type: ignore[arg-type]

        assert await ids(kinds=["convert"]) == [mine]
        assert await ids(text="100%") == [mine]
        assert await ids(text=mine) == [mine]
        assert await ids(text="nothing like it") == []
        assert await ids(states=[State.FAILED]) == []
        assert len(await ids(text="holiday")) == 2
        assert await ids(dialects=["turbofiles"]) == []
