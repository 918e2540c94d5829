"""Prompts in a worker: the agent, with the verbs of this server in its hands, built when the first prompt comes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mediamill.config import Settings
from mediamill.core.dispatch import Taken

if TYPE_CHECKING:
    from mediamill.agent.host import Host, Rules
    from mediamill.agent.voice import Voice


@dataclass(slots=True, kw_only=True)
class Prompts:
    """Hosts tasks of kind prompt; see `worker.execute.Host`.

    Nothing of it is imported or opened before there is a prompt, so that a worker that has none is as small as before.
    """

    settings: Settings
    dsn: str
    pool: Any
    loose: Any
    blobs: Any
    check_url: Callable[[str], None]
    connections: Any
    _host: Host | None = None
    _voice: Voice | None = None
    _listener: asyncio.Task[None] | None = None
    _building: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def __call__(self, taken: Taken, report: Callable[[str, float], None]) -> Mapping[str, Any]:
        """Do what the prompt says; the task's details."""
        async with self._building:
            if self._host is None:
                self._host = await self._build()
        try:
            return await self._host(taken, report)
        finally:
            if self._voice is not None:
                self._voice.forget(taken.task.id)

    async def close(self) -> None:
        """Let everything go."""
        if self._listener is not None:
            from mediamill.agent import chat
            from mediamill.app.common import end_all

            await end_all(self._listener)
            await chat.close()
        if self._voice is not None:
            await self._voice.close()

    async def _build(self) -> Host:
        from mediamill import kinds
        from mediamill.agent.calls import Server
        from mediamill.agent.host import Host
        from mediamill.agent.voice import Voice
        from mediamill.app.common import installed
        from mediamill.app.verbs import file_verbs, task_verbs
        from mediamill.service.watch import Watch
        from mediamill.store.files import Files as FileTable
        from mediamill.store.listen import listen
        from mediamill.store.notices import WAKE
        from mediamill.store.steps import Steps
        from mediamill.store.tasks import Tasks as TaskTable

        here = await asyncio.to_thread(installed)
        task_table, file_table, steps = TaskTable(self.pool), FileTable(self.pool), Steps(self.pool, self.loose)
        watch = Watch()
        self._listener = asyncio.create_task(
            listen(self.dsn, {WAKE: lambda payload: watch.told(payload.split(" "))}, watch.wake_all)
        )

        tasks, accept, _ = task_verbs(
            self.settings,
            task_table,
            file_table,
            engines=here,
            check_url=self.check_url,
            watch=watch,
            connections=self.connections,
        )

        async def sniffed(key: str, *, claimed: str | None, filename: str | None) -> str | None:
            return claimed  # an agent stores nothing

        def missing() -> Mapping[str, tuple[Any, str | None]]:
            found = {}
            for name, kind in sorted(kinds.load().items()):
                why = kind.missing(here)
                found[name] = (kind, f"{why.reason} {why.remedy}" if why else None)
            return found

        self._voice = voice = Voice(steps.say)
        return Host(
            store=steps,
            server=Server(
                tasks=tasks,
                files=file_verbs(self.settings, file_table, self.blobs, sniffed),
                steps=steps,
                accept=accept,
                kinds=missing,
                check_url=self.check_url,
            ),
            rules=rules_of(self.settings),
            speak=voice,
        )


def rules_of(settings: Settings) -> Rules:
    """What the operator has set for prompts."""
    from mediamill.agent.context import Endpoint
    from mediamill.agent.host import Rules
    from mediamill.agent.prices import Price, Prices

    return Rules(
        runner=settings.task_runner,
        endpoint=Endpoint(
            base_url=settings.llm_base_url,
            api_key=settings.llm_api_key.get_secret_value() if settings.llm_api_key else None,
            model=settings.llm_model,
            timeout_s=settings.llm_timeout_s,
        ),
        prices=Prices(
            usual=Price(in_cents=settings.llm_price_in, out_cents=settings.llm_price_out), table=settings.llm_prices
        ),
        max_steps=settings.run_max_steps,
        max_duration_s=settings.run_max_duration_s,
        seats=settings.agent_slots,
    )
