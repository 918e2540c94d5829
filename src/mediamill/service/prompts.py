"""Prompts, which dialects call runs: starting them, following what became of them, putting them off, ending them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol

from mediamill.core.access import Caller
from mediamill.core.dispatch import Accept
from mediamill.core.errors import Invalid, NotFound
from mediamill.core.ids import new_id
from mediamill.core.prompts import (
    KEY_LIFETIME_S,
    MOST_IN_BATCH,
    MOST_KEY,
    OWN_METADATA,
    NewPrompt,
    PromptFilter,
    PromptRun,
    Recent,
    Settings,
    Status,
    as_task,
    check_tags,
    read_delay,
    status,
)
from mediamill.core.steps import Step
from mediamill.core.tasks import Page, State, Task, TaskList
from mediamill.service.tasks import check_metadata

EVERY = PromptFilter()
MOST_SCHEDULES = 1000
"""Whose newest runs are read at once."""


class Store(Protocol):
    """The task table, as far as it holds prompts."""

    async def accept_all(self, batch: Sequence[Accept]) -> list[tuple[str, bool]]: ...
    async def get(self, project_id: str, id: str) -> PromptRun: ...
    async def get_many(self, ids: Sequence[str]) -> list[PromptRun | None]: ...
    async def recent(self, schedules: Sequence[str], most: int) -> list[Recent]: ...
    async def list(self, project_id: str, page: Page, filter: PromptFilter) -> TaskList: ...
    async def stop(self, project_id: str, id: str) -> bool: ...
    async def reschedule(self, project_id: str, id: str, at: datetime) -> None: ...
    async def add_tags(self, project_id: str, id: str, tags: Sequence[str]) -> None: ...
    async def set_metadata(self, project_id: str, id: str, metadata: Mapping[str, Any]) -> None: ...
    async def steps(self, project_id: str, id: str) -> Sequence[Step]: ...


class Tasks(Protocol):
    """What is asked of the verbs on tasks."""

    async def check(self, caller: Caller, new: Any) -> Accept: ...
    async def wait(self, caller: Caller, id: str, wait_s: float) -> Task: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a run that has ended gave: its output, or the error."""

    task: Task
    status: Status

    @property
    def ok(self) -> bool:
        """Whether it did what was asked."""
        return self.task.state is State.SUCCEEDED

    @property
    def output(self) -> Any:
        """What the runner returned."""
        return self.task.details.get("output") if self.ok else None


class Prompts:
    """Verbs on prompts. `accept` and `read` share statements with whoever else asks at the same moment.

    runners: the identifiers that there are, each with whether a worker runs it now.
    """

    def __init__(
        self,
        *,
        store: Store,
        tasks: Tasks,
        accept: Callable[[Accept], Awaitable[tuple[str, bool]]],
        read: Callable[[str], Awaitable[Task]],
        runners: Callable[[], Awaitable[Mapping[str, bool]]],
    ) -> None:
        self._store = store
        self._tasks = tasks
        self._accept = accept
        self._read = read
        self._runners = runners

    async def trigger(self, caller: Caller, new: NewPrompt) -> tuple[Task, bool]:
        """Accept a run durably; (its task, whether it is new). A key answers the run it was first used for, unless
        that has failed or the key's time is over.

        Raises NotFound for an identifier nothing runs, or an unknown run as its caller; Conflict where that has ended;
        Invalid, LimitReached.
        """
        return await self._start(caller, new)

    async def batch(self, caller: Caller, new: Sequence[NewPrompt]) -> tuple[str, Sequence[tuple[Task, bool]]]:
        """Accept all of several runs or none, in one transaction; (the batch's id, what `trigger` says of each).

        Raises as `trigger`; fields begin with "items.N".
        """
        if not 1 <= len(new) <= MOST_IN_BATCH:
            raise Invalid("items", f"must be 1 to {MOST_IN_BATCH}.")
        batch_id = new_id("batch")
        runners = await self._runners()
        items = []
        for n, one in enumerate(new):
            try:
                items.append(await self._check(caller, replace(one, batch_id=batch_id), runners))
            except Invalid as error:
                error.field = f"items.{n}.{error.field}".rstrip(".")
                raise
        found = await self._store.accept_all(items)
        tasks = {run.task.id: run.task for run in await self._store.get_many([id for id, _ in found]) if run}
        return batch_id, [(tasks[id], fresh) for id, fresh in found]  # type: ignore[index]  # a TaskId is a str

    async def get(self, caller: Caller, id: str) -> PromptRun:
        """One run with its attempts and those it belongs with. Raises NotFound."""
        return await self._store.get(caller.project_id, id)

    async def wait(self, caller: Caller, id: str, wait_s: float) -> PromptRun:
        """The run once it has ended, or as it is after `wait_s` (at most a minute). Raises NotFound."""
        run = await self._store.get(caller.project_id, id)
        if run.task.state.final:
            return run
        await self._tasks.wait(caller, id, wait_s)
        return await self._store.get(caller.project_id, id)

    async def steps(self, caller: Caller, id: str) -> Sequence[Step]:
        """What a run has done, in order. Raises NotFound."""
        return await self._store.steps(caller.project_id, id)

    async def list(self, caller: Caller, page: Page, filter: PromptFilter = EVERY) -> TaskList:
        """One page of the project's runs, newest first, without attempts; a fired run counts from its instant."""
        return await self._store.list(caller.project_id, page, filter)

    async def recent(self, schedule_ids: Sequence[str], n: int = 5) -> Sequence[Recent]:
        """The newest `n` runs of each schedule, newest first, by id and date alone: `read` those that are not known
        as of that date. The schedules must be ones that the caller has been shown."""
        if len(schedule_ids) > MOST_SCHEDULES:
            raise Invalid("schedule_ids", f"must be at most {MOST_SCHEDULES}.")
        return await self._store.recent(schedule_ids, n) if schedule_ids else []

    async def read(self, ids: Sequence[str]) -> Sequence[PromptRun | None]:
        """Runs as `get` gives them, in as many queries as one; None for unknown ids. The ids must come from what the
        caller has been shown."""
        return await self._store.get_many(ids) if ids else []

    async def result(self, caller: Caller, id: str) -> Result:
        """What a run gave. Raises NotFound for one that has not ended."""
        task = (await self._store.get(caller.project_id, id)).task
        if not task.state.final:
            raise NotFound("result of run", id)
        return Result(task=task, status=status(task))

    async def cancel(self, caller: Caller, id: str, *, wait_s: float = 2.0) -> PromptRun:
        """End a run with all that it started; one that has ended stays as it is. The answer waits a moment for running
        work to be gone. Raises NotFound."""
        if await self._store.stop(caller.project_id, id):
            return await self.wait(caller, id, wait_s)
        return await self._store.get(caller.project_id, id)

    async def replay(self, caller: Caller, id: str) -> Task:
        """A new run that asks the same, however the old one stands: with its payload, tags and metadata, without its
        key, ttl and delay. Raises NotFound."""
        old = (await self._store.get(caller.project_id, id)).task
        said = old.extra.get("prompt") or {}
        options = old.options
        server_tags = said.get("server_tags", ())
        new = NewPrompt(
            identifier=old.origin.identifier or "",
            prompt=options.get("prompt"),
            model=options.get("model"),
            payload=said.get("payload"),
            settings=Settings(
                max_attempts=old.max_attempts,
                max_steps=options.get("max_steps"),
                max_tokens=options.get("max_tokens"),
                max_cost_cents=options.get("max_cost_cents"),
                max_duration_s=options.get("max_duration_s"),
                priority=old.priority,
                tags=[tag for tag in old.origin.tags if tag not in server_tags],
                metadata={name: value for name, value in (old.metadata or {}).items() if name not in OWN_METADATA}
                or None,
            ),
            schedule_id=old.origin.schedule_id,
            server_tags=server_tags,
            is_test=bool(said.get("is_test")),
            retry_of=old.id,
            dialect=old.dialect,
            extra={name: value for name, value in old.extra.items() if name != "prompt"},
        )
        task, _ = await self._start(caller, new, schedule=said.get("schedule"))
        return task

    async def reschedule(self, caller: Caller, id: str, delay: str | datetime) -> Task:
        """Put a delayed run off, or bring it forward: to a duration from now, or a date. Its ttl counts from there.

        Raises NotFound, Invalid, and Conflict for a run that is not delayed.
        """
        await self._store.reschedule(caller.project_id, id, read_delay(delay, datetime.now(UTC)))
        return await self._read(id)

    async def add_tags(self, caller: Caller, id: str, tags: Sequence[str]) -> Task:
        """Give a run more tags. Raises NotFound, Invalid."""
        await self._store.add_tags(caller.project_id, id, check_tags(tags))
        return await self._read(id)

    async def set_metadata(self, caller: Caller, id: str, metadata: Mapping[str, Any]) -> Task:
        """Replace a run's metadata, also while it is at work: what the agent says of itself there comes back with its
        next step. Raises NotFound, Invalid."""
        check_metadata(metadata)
        await self._store.set_metadata(caller.project_id, id, metadata)
        return await self._read(id)

    async def _start(
        self, caller: Caller, new: NewPrompt, schedule: Mapping[str, Any] | None = None
    ) -> tuple[Task, bool]:
        id, fresh = await self._accept(await self._check(caller, new, await self._runners(), schedule))
        return await self._read(id), fresh

    async def _check(
        self,
        caller: Caller,
        new: NewPrompt,
        runners: Mapping[str, bool],
        schedule: Mapping[str, Any] | None = None,
    ) -> Accept:
        """A request made into a task to write; nothing is written yet."""
        if new.identifier not in runners:
            raise NotFound("runner", new.identifier)
        key = new.idempotency_key
        if key is not None and (not 1 <= len(key) <= MOST_KEY or not _storable(key)):
            raise Invalid("idempotency_key", f"must be 1 to {MOST_KEY} characters, none of them NUL.")
        if not 0 < new.idempotency_s <= 10 * KEY_LIFETIME_S:
            raise Invalid("idempotency_s", f"must be more than 0 and at most {10 * KEY_LIFETIME_S:.0f}.")
        asked = as_task(new, schedule=schedule)
        try:
            accept = await self._tasks.check(caller, replace(asked, idempotency_key=None))
        except Invalid as error:
            error.field = error.field.removeprefix("options.")  # of the kind, which are fields of ours
            raise
        held = accept.new.origin if runners[new.identifier] else replace(accept.new.origin, hold="runner")
        return replace(
            accept,
            new=replace(accept.new, idempotency_key=new.idempotency_key, origin=held),
            label=(new.prompt or "")[:200],
            scope=f"prompt {new.identifier}",
            key_s=new.idempotency_s,
        )


def _storable(text: str) -> bool:
    """Whether a column can hold it as it is."""
    return "\0" not in text and not any("\ud800" <= sign <= "\udfff" for sign in text)
