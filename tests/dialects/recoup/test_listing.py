"""What is kept of tasks between lists: within bounds, and never longer than it is true."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mediamill.core.access import Caller, Role
from mediamill.core.accounts import Account
from mediamill.core.ids import KeyId, ProjectId, ScheduleId
from mediamill.core.prompts import PromptRun, Recent
from mediamill.core.schedules import Schedule, ScheduleFilter
from mediamill.dialects.recoup.listing import Shelf

CALLER = Caller(project_id=ProjectId("p"), key_id=KeyId("k"), role=Role.MEMBER)
OWNER = Account(id="9f2d7c44-1e0a-4c55-b7c5-0f6f1d7c2b02", project_id=ProjectId("p"), name="p", email=None)
START = datetime(2026, 1, 1, tzinfo=UTC)


def schedule(n: int) -> Schedule:
    return Schedule(
        id=ScheduleId(f"s{n}"), uuid=f"00000000-0000-4000-8000-{n:012}", project_id=ProjectId("p"), dialect="recoup",
        identifier="prompt", title=f"task {n}", prompt="p" * 1000, cron="* * * * *", zone="UTC", enabled=True,
        model=None, artist_id=None, external_id=None, dedup_key=None, token="sched_1", overlap="queue", missed="last",
        missed_limit=1, settings={}, next_at=START, last_at=None, created_at=START, updated_at=START,
    )  # fmt: skip


class Tables:
    """Schedules without runs. `stamped` are the stamps as they are, `read_ids` what was asked for in full."""

    def __init__(self, count: int) -> None:
        self.all = {f"s{n}": schedule(n) for n in range(count)}
        self.stamped = dict.fromkeys(self.all, "1")
        self.read_ids: list[str] = []
        self.asked: list[int] = []

    async def stamps(self, caller: Caller, filter: ScheduleFilter, runs: int) -> Sequence[tuple[str, str]]:
        return list(self.stamped.items())

    async def read(self, ids: Sequence[str]) -> Sequence[Any]:
        self.read_ids += ids
        return [self.all[id] for id in ids if id in self.all]

    def upcoming(self, schedule: Schedule, n: int, now: datetime) -> Sequence[datetime]:
        self.asked.append(n)
        first = now + timedelta(hours=1)
        return [first + timedelta(minutes=m) for m in range(n)]


class NoRuns:
    async def recent(self, schedule_ids: Sequence[str], n: int) -> Sequence[Recent]:
        return []

    async def read(self, ids: Sequence[str]) -> Sequence[PromptRun | None]:
        return []


async def titles(shelf: Shelf, owner: Account = OWNER) -> list[str]:
    body = json.loads(await shelf.listed(CALLER, owner, ScheduleFilter()))
    assert body["status"] == "success"
    return [task["title"] for task in body["tasks"]]


async def test_only_what_has_another_stamp_is_read_again() -> None:
    tables = Tables(120)
    shelf = Shelf(tables, NoRuns())

    first = await titles(shelf)
    tables.read_ids.clear()
    assert await titles(shelf) == first == [f"task {n}" for n in range(120)]
    assert tables.read_ids == []
    tables.stamped["s7"], tables.all["s7"] = "2", replace(tables.all["s7"], title="another")
    assert (await titles(shelf))[7] == "another"
    assert tables.read_ids == ["s7"]


async def test_another_address_of_the_owner_is_told_at_once() -> None:
    tables = Tables(1)
    shelf = Shelf(tables, NoRuns())
    await titles(shelf)

    body = json.loads(await shelf.listed(CALLER, replace(OWNER, email="a@b.example"), ScheduleFilter()))

    assert body["tasks"][0]["owner_email"] == "a@b.example"


async def test_what_has_gone_meanwhile_is_left_out() -> None:
    tables = Tables(3)
    shelf = Shelf(tables, NoRuns())
    del tables.all["s1"]

    assert await titles(shelf) == ["task 0", "task 2"]


async def test_no_more_is_kept_than_may_be() -> None:
    tables = Tables(50)
    shelf = Shelf(tables, NoRuns(), most_bytes=30_000)

    assert len(await titles(shelf)) == 50
    assert shelf._bytes <= 30_000
    assert shelf._bytes == sum(one.bytes for one in shelf._kept.values())
    tables.read_ids.clear()
    assert len(await titles(shelf)) == 50
    assert 0 < len(tables.read_ids) <= 50


async def test_firings_are_worked_out_once_for_a_rule() -> None:
    tables = Tables(50)
    shelf = Shelf(tables, NoRuns())

    await titles(shelf)
    await titles(shelf)

    assert tables.asked == [10]
