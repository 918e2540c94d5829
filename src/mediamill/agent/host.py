"""A task of kind prompt in a worker's hands: what it is to do, held to its limits, with each fault under its name."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from zoneinfo import ZoneInfo

from mediamill.agent import runners
from mediamill.agent.calls import Calls, Server
from mediamill.agent.clock import Clock
from mediamill.agent.context import Context, Done, Endpoint
from mediamill.agent.journal import Journal, Limits
from mediamill.agent.journal import Store as JournalStore
from mediamill.agent.prices import Prices
from mediamill.agent.stack import stack_of
from mediamill.core.dispatch import Taken
from mediamill.core.errors import Failed, RunnerNotConfigured, TimedOut
from mediamill.core.steps import Step
from mediamill.core.tasks import Task, backoff_s

_FIRST_S, _CAP_S = 1.0, 60.0


class Store(JournalStore, Protocol):
    """The table of steps."""

    async def list(self, task_id: str) -> Sequence[Step]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the operator has set."""

    runner: str
    endpoint: Endpoint
    prices: Prices
    max_steps: int
    max_duration_s: float
    seats: int


class Host:
    """Does tasks of kind prompt; see `worker.execute.Host`. speak: told (task, step, letters) of an answer."""

    def __init__(self, *, store: Store, server: Server, rules: Rules, speak: Callable[[str, int, str], None]) -> None:
        self._store = store
        self._server = server
        self._rules = rules
        self._speak = speak
        self._seats = asyncio.Semaphore(rules.seats)

    async def __call__(self, taken: Taken, report: Callable[[str, float], None]) -> Mapping[str, Any]:
        """The task's details, when all is done."""
        task, rules = taken.task, self._rules
        clock = Clock(self._seats, report, used_s=task.details.get("duration_ms", 0.0) / 1000)
        limits = Limits(
            steps=task.options.get("max_steps") or rules.max_steps,
            duration_s=task.options.get("max_duration_s") or rules.max_duration_s,
            tokens=task.options.get("max_tokens"),
            cost_cents=task.options.get("max_cost_cents"),
        )
        async with clock.working():
            schedule = await self._schedule(task)
            journal = Journal(
                task=task,
                fence=taken.fence,
                store=self._store,
                steps=await self._store.list(task.id),
                clock=clock,
                limits=limits,
                prices=rules.prices,
                speak=lambda number, text: self._speak(task.id, number, text),
                named=_named(task, schedule),
            )
            try:
                context = self._context(task, schedule, limits, journal)
                runner = runners.find(task.origin.identifier or "", rules.runner)
                done = await _in_time(runner.run(context), clock, limits.duration_s)
            except Failed as error:
                _dress(error, task)
                await journal.close("failed")
                raise
            details = await journal.close("done")
            return {
                **details,
                "output": done["output"],
                "usage": dict(done["usage"]),
                "cost_cents": done["cost"],
                "engine": rules.runner,
            }

    async def _schedule(self, task: Task) -> Mapping[str, Any]:
        """The schedule that it belongs to, if any."""
        name = _payload(task).get("externalId")
        found: Sequence[Mapping[str, Any]] = ()
        if task.origin.schedule_id is not None:
            found = await self._server.steps.schedules(task.project_id, id=task.origin.schedule_id)
        elif isinstance(name, str):
            found = await self._server.steps.schedules(task.project_id, name=name)
        return found[0] if found else {}

    def _context(self, task: Task, schedule: Mapping[str, Any], limits: Limits, journal: Journal) -> Context:
        prompt = task.options.get("prompt") or schedule.get("prompt")
        if not prompt:
            raise RunnerNotConfigured(
                "There is no prompt: none was given, and no schedule of this project has the payload's externalId."
            )
        fired = (task.extra.get("prompt") or {}).get("schedule") or {}
        accounts = [tag.removeprefix("account:") for tag in task.origin.tags if tag.startswith("account:")]
        return Context(
            task_id=task.id,
            project_id=task.project_id,
            prompt=prompt,
            model=task.options.get("model") or schedule.get("model"),
            payload=_payload(task) or None,
            zone=_zone(fired.get("zone") or schedule.get("zone")),
            account_id=accounts[0] if accounts else task.project_id,
            artist_id=schedule.get("artist_id"),
            endpoint=self._rules.endpoint,
            limits=limits,
            journal=journal,
            calls=Calls(self._server),
            log=journal.note,
        )


async def _in_time(work: Any, clock: Clock, limit_s: float) -> Done:
    """What the runner returns. Raises TimedOut when the work takes too long."""
    doing, late = asyncio.ensure_future(work), asyncio.ensure_future(clock.over(limit_s))
    try:
        await asyncio.wait({doing, late}, return_when=asyncio.FIRST_COMPLETED)
        if not doing.done():
            error = TimedOut(f"The run may work for {limit_s:g} s, and was not done by then.")
            error.name = "TimedOut"
            raise error
        done: Done = doing.result()
        return done
    finally:
        doing.cancel()
        late.cancel()
        await asyncio.gather(doing, late, return_exceptions=True)


def _dress(error: Failed, task: Task) -> None:
    """Say of a failure how it is called, where it was, and when to try again."""
    error.name = error.name or type(error).__name__
    error.stack = error.stack or stack_of(error)
    if error.retryable and error.retry_in_s is None:
        attempt = task.max_attempts - task.attempts_left
        doubled = backoff_s(attempt, first_s=_FIRST_S, cap_s=_CAP_S)
        error.retry_in_s = min(_CAP_S, doubled * random.uniform(1.0, 2.0))  # noqa: S311 - spreads, hides nothing


def _payload(task: Task) -> Mapping[str, Any]:
    said = (task.extra.get("prompt") or {}).get("payload", task.options.get("payload"))
    return said if isinstance(said, dict) else {} if said is None else {"payload": said}


def _named(task: Task, schedule: Mapping[str, Any]) -> str:
    """What the metadata calls its task: the schedule's, where a schedule is behind it."""
    return str(schedule.get("external_id") or schedule.get("uuid") or task.id)


def _zone(name: Any) -> str:
    try:
        return ZoneInfo(name).key if isinstance(name, str) else "UTC"
    except (ValueError, OSError, KeyError):
        return "UTC"
