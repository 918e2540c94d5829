"""Starts that new media ask for, in a fresh database: none is lost, none is doubled, none blocks the others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any

import pytest
import pytest_asyncio
from tests.support.records import PROJECT, Bench, bench

from mediamill.core.access import Caller, Role
from mediamill.core.automations import Automation, Given, NewAutomation
from mediamill.core.errors import Conflict, Invalid, LimitReached, NotFound, Paused
from mediamill.core.files import NewFile
from mediamill.core.ids import KeyId, ProjectId
from mediamill.core.runs import NewRun, Node
from mediamill.core.tasks import NewTask, Page, Source
from mediamill.service.automations import Automations
from mediamill.store.automations import Automations as AutomationTable
from mediamill.store.automations import Started
from mediamill.store.files import insert_files
from mediamill.store.keys import Keys

ME = Caller(project_id=ProjectId(PROJECT), key_id=KeyId("k1"), role=Role.MEMBER)
ON_MEDIA = {"kind": "event", "event": "media.created"}
WORKFLOW = [{"kind": "ingest"}]


@pytest_asyncio.fixture
async def db(dsn: str) -> AsyncIterator[Bench]:
    async with bench(dsn) as made:
        for project in (PROJECT, "other"):
            await Keys(made.pool).project(project, project)
        yield made


@pytest.fixture
def table(db: Bench) -> AutomationTable:
    return AutomationTable(db.pool)


class FakeRuns:
    """Runs by their idempotency keys, as the real ones keep them; `fails` is raised instead, while it is set."""

    def __init__(self) -> None:
        self.by_key: dict[str | None, NewRun] = {}
        self.asked = 0
        self.fails: Exception | None = None

    async def create(self, caller: Caller, new: NewRun) -> tuple[Any, bool]:
        self.asked += 1
        if self.fails is not None:
            raise self.fails
        fresh = new.idempotency_key not in self.by_key
        return self.by_key.setdefault(new.idempotency_key, new), fresh


@pytest.fixture
def runs() -> FakeRuns:
    return FakeRuns()


def plan(workflow: Any, given: Given) -> NewRun:
    inputs = [given.source] if given.source else []
    return NewRun(nodes=[Node(new=NewTask(kind=item["kind"], inputs=inputs)) for item in workflow])


async def look_over(caller: Caller, new: NewTask, *, inherits: bool) -> None:
    if new.kind != "ingest":
        raise Invalid("kind", "is not one.")


@pytest.fixture
def automations(table: AutomationTable, runs: FakeRuns) -> Automations:
    return Automations(store=table, runs=runs, plans={"mill": plan}, look_over=look_over)


async def keep(automations: Automations, project: str = PROJECT, **given: Any) -> Automation:
    values: dict[str, Any] = {"workflow": WORKFLOW, "trigger": ON_MEDIA, **given}
    caller = Caller(project_id=ProjectId(project), key_id=KeyId("k"), role=Role.MEMBER)
    return await automations.create(caller, NewAutomation(**values))


async def waiting(db: Bench) -> list[Mapping[str, Any]]:
    return [dict(row) for row in await db.pool.fetch("SELECT * FROM automation_starts ORDER BY id")]


async def test_a_new_medium_asks_for_each_active_triggered_one_of_its_project(
    db: Bench, automations: Automations
) -> None:
    first, second = await keep(automations), await keep(automations)
    await keep(automations, status="paused")
    await keep(automations, trigger=None)
    await keep(automations, project="other")

    file = await db.file()
    await db.file("notes.txt", "text/plain")

    assert {(row["automation_id"], row["file_id"]) for row in await waiting(db)} == {
        (first.id, file),
        (second.id, file),
    }


async def test_a_medium_that_was_not_kept_after_all_asks_for_nothing(db: Bench, automations: Automations) -> None:
    await keep(automations)

    async def half_way() -> None:
        async with db.pool.acquire() as connection, connection.transaction():
            await db.files.create(NewFile(project_id=PROJECT, filename="a.png", mime="image/png", size_bytes=1), None)
            [file] = await insert_files(
                connection,
                [
                    (
                        "f9",
                        NewFile(project_id=PROJECT, filename="b.png", mime="image/png", size_bytes=1, blob_key="b"),
                        None,
                    )
                ],
            )
            from mediamill.store.automations import on_new_medium

            await on_new_medium(connection, file)
            raise Conflict("half way")

    with pytest.raises(Conflict):
        await half_way()

    assert await waiting(db) == []


async def test_a_registered_file_asks_once_its_bytes_have_come(db: Bench, automations: Automations) -> None:
    await keep(automations)
    file = await db.files.create(NewFile(project_id=PROJECT, filename="a.png", mime="image/png", size_bytes=1), None)
    assert await waiting(db) == []

    await db.files.uploaded(file.id, blob_key="aa/a", size_bytes=1, sha256="00", mime="image/png", facts={})

    assert [row["file_id"] for row in await waiting(db)] == [file.id]


async def test_results_and_inputs_of_tasks_are_no_new_media(db: Bench, automations: Automations) -> None:
    await keep(automations)
    made = NewFile(project_id=PROJECT, filename="b.png", mime="image/png", size_bytes=1, blob_key="bb/b")
    plain, asked = await db.accept(kind="ingest"), await db.accept(kind="ingest")

    for id, new_media in ((plain, False), (asked, True)):
        taken = await db.take(id)
        assert taken is not None
        await db.finish(taken, outputs=[("result", made)], new_media=new_media)

    result = (await db.tasks.get(PROJECT, asked)).result
    assert result is not None
    assert [row["file_id"] for row in await waiting(db)] == [result.id]


async def test_starting_makes_a_run_of_the_file_in_the_automations_name(
    db: Bench, automations: Automations, runs: FakeRuns
) -> None:
    made = await keep(automations)
    file = await db.file()

    assert await automations.start_due() == 1
    assert await automations.start_due() == 0

    [run] = runs.by_key.values()
    assert run.created_by == made.id
    assert run.nodes[0].new.inputs == [Source(file=file)]
    assert await waiting(db) == []


async def test_two_servers_never_start_the_same(db: Bench, automations: Automations, runs: FakeRuns) -> None:
    await keep(automations)
    for n in range(20):
        await db.file(f"{n}.png")

    done = await asyncio.gather(*(automations.start_due() for _ in range(3)))

    assert sum(done) == runs.asked == len(runs.by_key) == 20


class Died(BaseException):
    """The server is gone."""


class DyingTable(AutomationTable):
    """Dies when a start is done and not yet noted as such."""

    def due(self) -> Any:
        outer = super().due()

        class Dying:
            async def __aenter__(self) -> Started | None:
                return await outer.__aenter__()

            async def __aexit__(self, *_: object) -> None:
                end = Died()
                await outer.__aexit__(Died, end, None)
                raise end

        return Dying()


async def test_a_server_that_dies_in_between_leaves_one_run(
    db: Bench, automations: Automations, runs: FakeRuns
) -> None:
    await keep(automations)
    await db.file()
    dying = Automations(store=DyingTable(db.pool), runs=runs, plans={"mill": plan}, look_over=look_over)

    with pytest.raises(Died):
        await dying.start_due()
    assert len(await waiting(db)) == 1
    await automations.start_due()

    assert runs.asked == 2
    assert len(runs.by_key) == 1
    assert await waiting(db) == []


async def test_one_that_cannot_be_started_says_why_and_holds_up_nobody(
    db: Bench, automations: Automations, runs: FakeRuns
) -> None:
    made = await keep(automations)
    await db.file()
    runs.fails = Conflict("The bucket is gone.")

    assert await automations.start_due() == 1

    assert (await automations.get(ME, made.id)).problem == "The bucket is gone."
    assert await waiting(db) == []
    runs.fails = None
    await db.file("next.png")
    await automations.start_due()
    assert (await automations.get(ME, made.id)).problem is None


@pytest.mark.parametrize("error", [LimitReached("Too many tasks.", 7), RuntimeError("nobody foresaw this")])
async def test_what_may_pass_is_put_off_and_tried_again(
    db: Bench, automations: Automations, runs: FakeRuns, error: Exception
) -> None:
    made = await keep(automations)
    await db.file()
    runs.fails = error

    assert await automations.start_due() == 1
    assert await automations.start_due() == 0

    [row] = await waiting(db)
    assert row["tries"] == 1
    problem = (await automations.get(ME, made.id)).problem or ""
    assert "foresaw" not in problem
    assert problem
    runs.fails = None
    await db.pool.execute("UPDATE automation_starts SET due_at = clock_timestamp()")
    assert await automations.start_due() == 1
    assert len(runs.by_key) == 1


async def test_one_that_was_paused_or_deleted_meanwhile_is_not_started(
    db: Bench, automations: Automations, runs: FakeRuns
) -> None:
    paused, deleted = await keep(automations), await keep(automations)
    await db.file()
    await automations.change(ME, paused.id, {"status": "paused"})
    await automations.delete(ME, deleted.id)

    await automations.start_due()

    assert runs.asked == 0
    assert await waiting(db) == []


async def test_a_call_starts_one_unless_it_is_paused(automations: Automations, runs: FakeRuns) -> None:
    made = await keep(automations, trigger=None)

    await automations.run(ME, made.id, Given(source=Source(url="https://example.org/a.mp4")), idempotency_key="k")
    await automations.change(ME, made.id, {"status": "paused"})

    with pytest.raises(Paused):
        await automations.run(ME, made.id, Given())
    assert runs.by_key["k"].created_by == made.id


async def test_changes_touch_only_what_they_name(automations: Automations) -> None:
    made = await keep(automations, name="a", description="b")

    changed = await automations.change(ME, made.id, {"name": None, "workflow": [{"kind": "ingest", "ref": "x"}]})
    same = await automations.change(ME, made.id, {})

    assert (changed.name, changed.description, changed.trigger) == (None, "b", ON_MEDIA)
    assert same.workflow == [{"kind": "ingest", "ref": "x"}]
    assert changed.updated_at > made.updated_at


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"workflow": []}, "workflow"),
        ({"workflow": {"kind": "ingest"}}, "workflow"),
        ({"workflow": [{"kind": 3}]}, "workflow.0.kind"),
        ({"workflow": [{"kind": "ingest", "next": [{"kind": "ingest", "next": "x"}]}]}, "workflow.0.next.0.next"),
        ({"workflow": [{"kind": "ingest"}, {"kind": "nope"}]}, "workflow.1.kind"),
        ({"workflow": [{"kind": "ingest", "metadata": {"x": "y" * 300_000}}]}, "workflow"),
        ({"status": None}, "status"),
        ({"trigger": {"kind": "event", "event": "media.created", "more": 1}}, "trigger"),
        ({"name": 3}, "name"),
        ({"description": "x" * 2001}, "description"),
    ],
)
async def test_what_cannot_be_kept_is_refused(automations: Automations, changes: dict[str, Any], field: str) -> None:
    made = await keep(automations)

    with pytest.raises(Invalid) as refused:
        await automations.change(ME, made.id, changes)

    assert refused.value.field == field


async def test_a_workflow_that_is_too_deep_is_refused(automations: Automations) -> None:
    workflow: list[dict[str, Any]] = [{"kind": "ingest"}]
    for _ in range(20):
        workflow = [{"kind": "ingest", "next": workflow}]

    with pytest.raises(Invalid, match="deeper"):
        await keep(automations, workflow=workflow)


async def test_lists_are_the_projects_own_by_cursor_and_by_number(automations: Automations) -> None:
    made = [(await keep(automations, name=f"n{n}")).id for n in range(5)]
    other = await keep(automations, project="other")

    found, more = await automations.list(ME, Page(limit=3))
    numbered, total = await automations.numbered(ME, limit=2, skip=4)

    assert ([one.id for one in found], more) == (made[:1:-1], True)
    assert ([one.id for one in numbered], total) == (made[:1], 5)
    with pytest.raises(NotFound):
        await automations.get(ME, other.id)
