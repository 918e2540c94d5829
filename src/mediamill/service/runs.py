"""Starting several tasks at once, reading and cancelling them as one."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Protocol

from mediamill.core.access import Caller
from mediamill.core.dispatch import Accept, AcceptRun
from mediamill.core.errors import Invalid
from mediamill.core.runs import MOST_TASKS, NewRun, Node, Run, RunList
from mediamill.core.tasks import NewTask, Page, Task
from mediamill.service.tasks import body_hash, check_metadata
from mediamill.service.watch import Watch

_LOOK_EVERY_S = 1.0


class Store(Protocol):
    """The run table."""

    async def accept(self, asked: AcceptRun) -> tuple[str, bool]: ...
    async def get(self, project_id: str, id: str) -> Run: ...
    async def tasks(self, project_id: str, id: str) -> list[Task]: ...
    async def list(
        self, project_id: str, page: Page, states: Sequence[str] | None = None, created_by: str | None = None
    ) -> RunList: ...
    async def cancel(self, project_id: str, id: str) -> Run: ...


class Runs:
    """Verbs on runs. `check`: makes of a request a task to write, as `Tasks.check` does."""

    def __init__(self, *, store: Store, check: Callable[..., Awaitable[Accept]], watch: Watch) -> None:
        self._store = store
        self._check = check
        self._watch = watch

    async def create(self, caller: Caller, new: NewRun) -> tuple[Run, bool]:
        """Accept a run durably, all of it or nothing. (run, whether it is new).

        Raises as Tasks.create; fields begin with "tasks.N", N being the node's place.
        """
        if not 1 <= len(new.nodes) <= MOST_TASKS:
            raise Invalid("tasks", f"must be 1 to {MOST_TASKS}.")
        check_metadata(new.metadata)
        items = []
        for place, node in enumerate(new.nodes):
            for before in (node.parent, node.after):
                if before is not None and not 0 <= before < place:
                    raise Invalid(f"tasks.{place}", "must stand after the task it waits for.")
            try:
                items.append(await self._check(caller, self._of_run(new, node.new, place), inherits=node.inherits))
            except Invalid as error:
                error.field = f"tasks.{place}.{error.field}".rstrip(".")
                raise
        if new.idempotency_key is not None:
            whole = hashlib.sha256(b"".join(body_hash(node.new) + _shape(node) for node in new.nodes)).digest()
            items[0] = replace(items[0], body_hash=whole)
        id, fresh = await self._store.accept(AcceptRun(new=new, project_id=caller.project_id, items=items))
        return await self._store.get(caller.project_id, id), fresh

    async def get(self, caller: Caller, id: str) -> Run:
        """One run with its tasks in brief. Raises NotFound."""
        return await self._store.get(caller.project_id, id)

    async def tasks(self, caller: Caller, id: str) -> Sequence[Task]:
        """All tasks of a run, in its order; none for a run that is not the caller's."""
        return await self._store.tasks(caller.project_id, id)

    async def list(
        self, caller: Caller, page: Page, states: Sequence[str] | None = None, created_by: str | None = None
    ) -> RunList:
        """One page of the project's runs. states: waiting, running, succeeded, failed, cancelled."""
        return await self._store.list(caller.project_id, page, states, created_by)

    async def cancel(self, caller: Caller, id: str, *, wait_s: float = 2.0) -> Run:
        """Stop all of a run; the answer waits a moment for running work to be gone. Raises NotFound, Conflict."""
        run = await self._store.cancel(caller.project_id, id)
        return run if run.final else await self.wait(caller, id, wait_s)

    async def wait(self, caller: Caller, id: str, wait_s: float) -> Run:
        """The run once it has ended, or as it is after a while."""
        deadline = time.monotonic() + wait_s
        while True:
            run = await self._store.get(caller.project_id, id)
            left = deadline - time.monotonic()
            open_ = [part.id for part in run.parts if not part.state.final]
            if run.final or left <= 0 or self._watch.over:
                return run
            if not open_:  # the last task has ended and the run is being written
                await asyncio.sleep(0.01)
                continue
            with self._watch.task(open_[0]) as changed:
                try:
                    async with asyncio.timeout(min(left, _LOOK_EVERY_S)):
                        await changed.wait()
                except TimeoutError:
                    continue  # it may have changed before we listened

    @staticmethod
    def _of_run(new: NewRun, task: NewTask, place: int) -> NewTask:
        key = new.idempotency_key if place == 0 else None
        return replace(task, dialect=new.dialect, idempotency_key=key)


def _shape(node: Node) -> bytes:
    return repr((node.parent, node.after, node.inherits, node.ref)).encode()
