"""`mediamill worker`: tasks are done here."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mediamill import __version__, config, kinds, processors, tracing
from mediamill.app.common import SUPERVISED, configure_logs, database, end_all, export_tools, migrated, run, runner_of
from mediamill.app.deliver import QUEUE as WEBHOOKS
from mediamill.app.deliver import deliver, postroom
from mediamill.app.prompts import Prompts
from mediamill.config import Settings
from mediamill.core.prompts import KIND as PROMPT
from mediamill.store.deliveries import WOKEN, Deliveries
from mediamill.store.expiry import Expiry
from mediamill.store.listen import listen
from mediamill.store.notices import CANCEL, OFFER
from mediamill.store.retention import Retention
from mediamill.store.schedules import Schedules as ScheduleTable
from mediamill.store.upkeep import Upkeep
from mediamill.store.uploads import Uploads as UploadTable

if TYPE_CHECKING:
    from mediamill.app.executing import Opened
    from mediamill.app.keeping import Kept
    from mediamill.scheduling.loop import Loop
    from mediamill.worker.dispatch import Dispatcher
    from mediamill.worker.execute import Executor
    from mediamill.worker.oversight import Oversight

AGENT = "agent"
_BEYOND = {"io": 64, AGENT: 16}
"""How many times its slots a queue's tasks are taken: light ones in lots, so that starting and finishing is shared;
prompts, because those that wait for what they started have no slot, and what they wait for may be a prompt."""


def work(*, queues: Sequence[str] | None = None, slots: int | None = None, data: Path | None = None) -> int:
    """Run a worker until a signal. Returns the exit status."""
    settings = config.load(data=data, slots=slots)
    configure_logs(settings)
    export_tools(settings)
    _die_with_parent()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with database(settings) as dsn:
        migrated(dsn)
        tasks = [queue for queue in queues or ("cpu", "io", "agent") if queue != WEBHOOKS]
        tracing.begin("worker" if tasks else "webhooks", __version__)
        try:
            run(_work(settings, dsn, tasks) if tasks else deliver(settings, dsn))
        finally:
            tracing.end()
    return 0


def _die_with_parent() -> None:
    """When a server keeps us and is killed, leave as if told to."""
    keeper = os.environ.pop(SUPERVISED, None)
    if keeper is None:
        return
    import ctypes

    ctypes.CDLL(None, use_errno=True).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG, prctl(2)
    if os.getppid() != int(keeper):
        sys.exit(143)


async def _work(settings: Settings, dsn: str, queues: Sequence[str]) -> None:
    from mediamill.app.children import children_of
    from mediamill.app.executing import executor_of, opened
    from mediamill.worker.oversight import Oversight
    from mediamill.worker.run import Parts, Ticks, Worker, new_worker_id

    id = new_worker_id()
    wanted = {
        "cpu": settings.slots or processors.count(),
        "gpu": 1,
        "io": settings.io_slots,
        AGENT: settings.agent_slots,
    }
    slots = {queue: wanted[queue] for queue in queues}
    async with opened(settings, dsn, id) as here:
        # What is on the agent's queue is done here.
        pools = children_of(settings, {queue: n for queue, n in slots.items() if queue != AGENT}, here.scratch)
        ticks = Ticks(here.tasks.progress)
        prompts = Prompts(
            settings=settings,
            dsn=dsn,
            pool=here.pool,
            loose=here.loose,
            blobs=here.blobs,
            check_url=here.client.check_url,
            connections=here.connections,
        )
        executor = executor_of(settings, here, worker=id, children=pools, ticks=ticks, prompts=prompts)
        oversight = Oversight(executor=executor, strays=here.tasks.strays, every_s=settings.heartbeat_s / 3)
        schedules = _schedules(settings, here, queues)
        deliveries, post, upkeep = Deliveries(here.pool), postroom(settings), Upkeep(here.pool)

        async def look_for_deliveries() -> None:
            # Those that a worker before us left; what is written from now on is told.
            if await deliveries.waiting():
                post.want()

        parts = Parts(
            id=id,
            executor=executor,
            dispatchers=[_dispatcher(settings, here, executor, queue, n) for queue, n in slots.items()],
            children=list(pools.values()),
            ticks=ticks,
            listen=partial(_listen, dsn, schedules, oversight, post),
            seen=partial(_seen, upkeep, id, slots),
            gone=lambda: upkeep.gone(id),
            chores=[*_chores(settings, here), upkeep.prune, look_for_deliveries],
            drain_s=settings.drain_s,
        )
        try:
            await look_for_deliveries()
            beside = [asyncio.create_task(schedules.run()), asyncio.create_task(oversight.run())]
            try:
                await Worker(parts).run()
            finally:
                await end_all(*beside)
        finally:
            await post.stop()
            await prompts.close()


def _dispatcher(settings: Settings, here: Opened, executor: Executor, queue: str, slots: int) -> Dispatcher:
    from pgqueuer.queries import Queries

    from mediamill.worker.dispatch import Dispatcher

    return Dispatcher(
        queue=queue,
        slots=slots * _BEYOND.get(queue, 1),
        queries=Queries.from_asyncpg_pool(here.loose),
        execute=partial(executor.run, queue=queue),
        heartbeat_s=settings.heartbeat_s,
    )


def _schedules(settings: Settings, here: Opened, queues: Collection[str]) -> Loop:
    from mediamill.agent.runners import runners
    from mediamill.scheduling.clock import SystemClock
    from mediamill.scheduling.loop import Loop

    table = ScheduleTable(here.pool)
    return Loop(
        store=table,
        expiry=Expiry(here.pool),
        clock=SystemClock(table.now),
        runner=runner_of(kinds.named(PROMPT), settings),
        offered=runners if AGENT in queues else list[str],
        cancel=here.tasks.cancel,
    )


async def _listen(
    dsn: str,
    schedules: Loop,
    oversight: Oversight,
    post: Kept,
    on_queue: Callable[[str], None],
    on_cancel: Callable[[str], None],
) -> None:
    from mediamill.queue import CHANNEL

    def again() -> None:
        on_queue("")
        oversight.look()
        schedules.wake()

    heard = {
        CHANNEL: on_queue,
        CANCEL: on_cancel,
        WOKEN: lambda _: post.want(),
        OFFER: lambda _: schedules.wake(),
    }
    await listen(dsn, heard, again)


async def _seen(upkeep: Upkeep, id: str, slots: Mapping[str, int], busy: int) -> None:
    from mediamill.agent.runners import runners

    await upkeep.seen(
        id,
        host=socket.gethostname(),
        pid=os.getpid(),
        queues=list(slots),
        slots=sum(slots.values()),
        busy=busy,
        version=__version__,
        runners=runners() if AGENT in slots else (),
    )


def _chores(settings: Settings, here: Opened) -> Sequence[Callable[[], Awaitable[None]]]:
    from mediamill.worker import chores

    return (
        chores.expire_files(here.files, here.blobs),
        chores.expire_uploads(UploadTable(here.pool), here.blobs),
        chores.remove_orphans(here.files, here.blobs),
        chores.forget_deliveries(Deliveries(here.pool), settings.webhook_log_days),
        chores.forget_history(Retention(here.pool), settings.history_days),
    )
