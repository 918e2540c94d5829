"""Workflows that are kept: started by a call, or by every new medium of their project."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import replace
from typing import Any, Protocol

import msgspec
import structlog

from mediamill.core.access import Caller, Role
from mediamill.core.automations import Automation, Given, NewAutomation, Start, Status, check
from mediamill.core.errors import Invalid, LimitReached, Paused, Rejected, Unavailable, Unsupported
from mediamill.core.ids import KeyId
from mediamill.core.runs import NewRun, Run
from mediamill.core.tasks import Page, Source, backoff_s

log = structlog.get_logger()

Plan = Callable[[Sequence[Mapping[str, Any]], Given], NewRun]
"""Makes of a dialect's items a run. Raises Invalid with a dotted field."""
_MOST_BYTES = 256 << 10
_MOST_TRIES = 12
_SOMEWHERE = "https://media.example/input"
"""Stands for the input while a workflow is looked over; never fetched."""


class Started(Protocol):
    """A start in hand."""

    start: Start
    again_in_s: float | None
    problem: str | None


class Store(Protocol):
    """The automation table."""

    async def create(self, project_id: str, new: NewAutomation) -> Automation: ...
    async def get(self, project_id: str, id: str) -> Automation: ...
    async def list(self, project_id: str, page: Page) -> tuple[Sequence[Automation], bool]: ...
    async def numbered(self, project_id: str, *, limit: int, skip: int) -> tuple[Sequence[Automation], int]: ...
    async def change(self, project_id: str, id: str, changes: Mapping[str, Any]) -> Automation: ...
    async def delete(self, project_id: str, id: str) -> None: ...
    def due(self) -> AbstractAsyncContextManager[Any]: ...


class Runs(Protocol):
    """What is asked of the verbs on runs."""

    async def create(self, caller: Caller, new: NewRun) -> tuple[Run, bool]: ...


class Automations:
    """Verbs on automations.

    plans: by dialect, how its items become a run. look_over: what `Tasks.check` does, for workflows that are saved.
    """

    def __init__(
        self,
        *,
        store: Store,
        runs: Runs,
        plans: Mapping[str, Plan],
        look_over: Callable[..., Awaitable[Any]],
    ) -> None:
        self._store = store
        self._runs = runs
        self._plans = plans
        self._look_over = look_over

    async def create(self, caller: Caller, new: NewAutomation, *, look_over: bool = True) -> Automation:
        """Keep a workflow. look_over: whether its kinds and options are checked now. Raises Invalid, Unsupported."""
        given = {
            "name": new.name,
            "description": new.description,
            "workflow": new.workflow,
            "status": new.status,
            "trigger": new.trigger,
        }
        await self._check(caller, new.dialect, given, look_over)
        return await self._store.create(caller.project_id, new)

    async def get(self, caller: Caller, id: str) -> Automation:
        """One of the project's. Raises NotFound."""
        return await self._store.get(caller.project_id, id)

    async def list(self, caller: Caller, page: Page) -> tuple[Sequence[Automation], bool]:
        """One page, newest first, and whether there are more."""
        return await self._store.list(caller.project_id, page)

    async def numbered(self, caller: Caller, *, limit: int, skip: int) -> tuple[Sequence[Automation], int]:
        """A part of the list by number, newest first, and how many there are."""
        return await self._store.numbered(caller.project_id, limit=limit, skip=skip)

    async def change(
        self, caller: Caller, id: str, changes: Mapping[str, Any], *, look_over: bool = True
    ) -> Automation:
        """Make some of it another: any of name, description, workflow, status and trigger. Raises NotFound, Invalid."""
        old = await self._store.get(caller.project_id, id)
        await self._check(caller, old.dialect, changes, look_over)
        return await self._store.change(caller.project_id, id, changes)

    async def delete(self, caller: Caller, id: str) -> None:
        """Forget it; runs it has started go on. Raises NotFound."""
        await self._store.delete(caller.project_id, id)

    async def run(
        self, caller: Caller, id: str, given: Given, *, idempotency_key: str | None = None
    ) -> tuple[Run, bool]:
        """Start it. (run, whether it is new). Raises NotFound, Paused, and what starting a run raises."""
        automation = await self._store.get(caller.project_id, id)
        if automation.status is not Status.ACTIVE:
            raise Paused("This automation is paused; make it active to start it.")
        new = replace(self._planned(automation.dialect, automation.workflow, given), created_by=automation.id)
        return await self._runs.create(caller, replace(new, idempotency_key=idempotency_key))

    async def start_due(self) -> int:
        """Start what triggers have asked for; how many were dealt with."""
        done = 0
        while True:
            async with self._store.due() as found:
                if found is None:
                    return done
                await self._start(found)
                done += 1

    async def _start(self, found: Started) -> None:
        start, automation = found.start, found.start.automation
        if automation.status is not Status.ACTIVE:
            return  # paused since
        caller = Caller(project_id=automation.project_id, key_id=KeyId(automation.id), role=Role.MEMBER)
        given = Given(source=Source(file=start.file_id))
        try:
            await self.run(caller, automation.id, given, idempotency_key=f"automation start {start.id}")
        except Rejected as error:
            found.problem = str(error)
            if isinstance(error, LimitReached) and start.tries < _MOST_TRIES:
                found.again_in_s = max(error.retry_after_s, backoff_s(start.tries + 1))
                return
            log.warning("automation not started", automation=automation.id, file=start.file_id, why=str(error))
        except Exception:
            # Put off, with those behind it not waiting for it; nothing is lost by a fault that passes.
            log.exception("automation not started", automation=automation.id, file=start.file_id)
            found.problem = "The server failed at starting it; its log says more."
            if start.tries < _MOST_TRIES:
                found.again_in_s = backoff_s(start.tries + 1)

    async def _check(self, caller: Caller, dialect: str, changes: Mapping[str, Any], look_over: bool) -> None:
        check(changes)
        if "workflow" not in changes:
            return
        try:
            size = len(msgspec.json.encode(changes["workflow"]))
        except RecursionError:
            size = _MOST_BYTES + 1
        if size > _MOST_BYTES:
            raise Invalid("workflow", f"must be at most {_MOST_BYTES} bytes of JSON.")
        if not look_over:
            return
        planned = self._planned(dialect, changes["workflow"], Given(source=Source(url=_SOMEWHERE)))
        for node, path in zip(planned.nodes, _paths(planned), strict=True):
            try:
                await self._look_over(caller, replace(node.new, dialect=dialect), inherits=node.inherits)
            except Unavailable:
                continue  # off here and now; what it is kept for may be another day or machine
            except Invalid as error:
                error.field = f"{path}.{error.field}".rstrip(".")
                raise

    def _planned(self, dialect: str, workflow: Sequence[Mapping[str, Any]], given: Given) -> NewRun:
        plan = self._plans.get(dialect)
        if plan is None:
            raise Unsupported("workflow", f"The dialect {dialect} keeps no workflows.")
        return plan(workflow, given)


def _paths(planned: NewRun) -> Sequence[str]:
    """Where each task of a run stands in the workflow it was made of."""
    paths: list[str] = []
    within: dict[int | None, int] = {}
    for node in planned.nodes:
        n = within.get(node.parent, 0)
        within[node.parent] = n + 1
        paths.append(f"workflow.{n}" if node.parent is None else f"{paths[node.parent]}.next.{n}")
    return paths
