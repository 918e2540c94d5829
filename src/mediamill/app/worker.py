"""`mediamill worker`: tasks are done here."""

from __future__ import annotations

import asyncio
import os
import pkgutil
import shutil
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from mediamill import __version__, config, engines, kinds, tracing
from mediamill.app.common import (
    SUPERVISED,
    address_of,
    blobs_of,
    configure_logs,
    database,
    end_all,
    export_tools,
    lifetimes,
    migrated,
    net_for_services,
    net_of,
    run,
    runner_of,
    services_of,
    vault_of,
)
from mediamill.app.deliver import QUEUE as WEBHOOKS
from mediamill.app.deliver import deliver, postroom
from mediamill.app.prompts import Prompts
from mediamill.blobs.buckets import Buckets, forget_environment
from mediamill.blobs.sniff import sniff
from mediamill.config import Settings
from mediamill.core.dispatch import Finish, Take, Taken
from mediamill.core.files import File
from mediamill.core.prompts import KIND as PROMPT
from mediamill.service.connections import Connections
from mediamill.store import pool as pools
from mediamill.store.batch import Batcher
from mediamill.store.connections import Connections as ConnectionTable
from mediamill.store.deliveries import WOKEN, Deliveries
from mediamill.store.ending import MOST_AT_ONCE
from mediamill.store.expiry import Expiry
from mediamill.store.files import Files as FileTable
from mediamill.store.listen import listen
from mediamill.store.notices import CANCEL, OFFER
from mediamill.store.results import Results
from mediamill.store.retention import Retention
from mediamill.store.schedules import Schedules as ScheduleTable
from mediamill.store.tasks import Tasks as TaskTable
from mediamill.store.upkeep import Upkeep
from mediamill.store.uploads import Uploads as UploadTable


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
    from pgqueuer.queries import Queries

    from mediamill.agent.runners import runners
    from mediamill.scheduling.clock import SystemClock
    from mediamill.scheduling.loop import Loop
    from mediamill.worker import chores
    from mediamill.worker.carrier import Carrier
    from mediamill.worker.children import Children, Limits
    from mediamill.worker.dispatch import Dispatcher
    from mediamill.worker.execute import Executor
    from mediamill.worker.facts import Facts
    from mediamill.worker.in_child import InChild
    from mediamill.worker.ingest import Ingest
    from mediamill.worker.outputs import Outputs
    from mediamill.worker.reuse import Reuse, tools_of
    from mediamill.worker.rules import Rules
    from mediamill.worker.run import Parts, Ticks, Worker, new_worker_id
    from mediamill.worker.services import Services
    from mediamill.worker.together import Together

    pool = await pools.open_pool(dsn, least=1, most=6)
    loose = await pools.open_pool(dsn, least=1, most=6, synced=False)
    id = new_worker_id()
    blobs, client, services_client = blobs_of(settings), net_of(settings), net_for_services()
    forget_environment()  # of our own bucket, which is open now
    connections = Connections(store=ConnectionTable(pool), vault=vault_of(settings), check_url=client.check_url)
    task_table, file_table, upkeep = TaskTable(pool, loose), FileTable(pool), Upkeep(pool)
    scratch = settings.data / "scratch" / id
    _sweep(settings.data / "scratch")
    wanted = {
        "cpu": settings.slots or os.cpu_count() or 1,
        "gpu": 1,
        "io": settings.io_slots,
        AGENT: settings.agent_slots,
    }
    children: dict[str, Children] = {}
    for queue in queues:
        if queue == AGENT:
            continue  # what is on it is done here
        children[queue] = Children(
            slots=wanted[queue],
            folder=scratch / queue,
            # Half of them: the others come with the work, for some 10 ms each, and 5 MB each until then.
            warm=(wanted[queue] + 1) // 2 if queue == "cpu" else 1,
            recycle_after_tasks=settings.child_tasks,
            recycle_above_bytes=settings.child_bytes,
            require_sandbox=settings.require_sandbox,
            preload=PRELOAD,
            readable=_readable(),
            programs=_programs(),
            environment=_tool_environment(),
            beside=next(iter(children.values()), None),
        )
    take: Batcher[Take, Taken | None] = Batcher(task_table.take, width=2)
    finish: Batcher[Finish, bool] = Batcher(task_table.finish, most=MOST_AT_ONCE)
    ticks = Ticks(task_table.progress)

    prompts = Prompts(
        settings=settings,
        dsn=dsn,
        pool=pool,
        loose=loose,
        blobs=blobs,
        check_url=client.check_url,
        connections=connections,
    )

    async def file_of(id: str) -> File | None:
        return (await file_table.get_many([id]))[0]

    rules = Rules(
        light={name for name, kind in kinds.load().items() if kind.light},
        located={name for name, kind in kinds.load().items() if kind.located},
        address=partial(address_of, settings),
        limits=Limits(
            wall_s=settings.task_wall_s,
            cpu_s=settings.task_cpu_s,
            memory_bytes=settings.task_memory_bytes,
            output_bytes=settings.task_output_bytes,
            scratch_bytes=settings.task_scratch_bytes,
            processes=settings.task_processes,
        ),
        max_fetch_bytes=settings.max_fetch_bytes,
        retry_first_s=settings.retry_first_s,
        retry_cap_s=settings.retry_cap_s,
        lifetime_s=lifetimes(settings),
    )
    carrier = Carrier(
        net=client,
        buckets=Buckets(client, total_s=settings.fetch_total_s),
        blobs=blobs,
        access=connections.access,
    )
    outputs = Outputs(blobs=blobs, show=task_table.publish, unused=file_table.unused, rules=rules)
    executor = Executor(
        worker=id,
        take=take,
        finish=finish,
        tick=ticks,
        find_facts=Facts(
            children=children, blobs=blobs, files=file_of, probed=file_table.probed, limits=rules.limits
        ).find,
        ingest=Ingest(carrier=carrier, blobs=blobs, sniff=sniff, scratch=scratch, rules=rules),
        in_child=InChild(
            children=children,
            together=Together(children, lambda flush: Batcher(flush, most=_LOT, width=settings.io_slots), rules.limits),
            blobs=blobs,
            outputs=outputs,
            carrier=carrier,
            call=Services(services_client, services_of(settings)),
            reuse=Reuse(
                find=Results(pool).find,
                blobs=blobs,
                kinds={name for name, kind in kinds.load().items() if kind.reusable},
                tools=tools_of(config.for_engines()),
            ),
            rules=rules,
        ),
        hosts={PROMPT: prompts},
        drop_unused=outputs.drop_unused,
        rules=rules,
    )
    queries = Queries.from_asyncpg_pool(loose)

    def dispatcher(queue: str) -> Dispatcher:
        async def execute(task_id: str, job_id: int) -> None:
            await executor.run(task_id, job_id, queue=queue)

        return Dispatcher(
            queue=queue,
            slots=wanted[queue] * _BEYOND.get(queue, 1),
            queries=queries,
            execute=execute,
            heartbeat_s=settings.heartbeat_s,
        )

    schedules = Loop(
        store=(schedule_table := ScheduleTable(pool)),
        expiry=Expiry(pool),
        clock=SystemClock(schedule_table.now),
        runner=runner_of(kinds.named(PROMPT), settings),
        offered=runners if AGENT in queues else list[str],
        cancel=task_table.cancel,
    )

    async def listening(on_queue: Callable[[str], None], on_cancel: Callable[[str], None]) -> None:
        from mediamill.queue import CHANNEL

        def again() -> None:
            on_queue("")
            schedules.wake()

        await listen(
            dsn,
            {
                CHANNEL: on_queue,
                CANCEL: on_cancel,
                WOKEN: lambda _: post.want(),
                OFFER: lambda _: schedules.wake(),
            },
            again,
        )

    deliveries, post = Deliveries(pool), postroom(settings)

    async def look_for_deliveries() -> None:
        # Those that a worker before us left; what is written from now on is told.
        if await deliveries.waiting():
            post.want()

    async def forget_deliveries() -> None:
        while await deliveries.prune(settings.webhook_log_days):
            continue

    retention = Retention(pool)

    async def forget_history() -> None:
        while settings.history_days is not None and await retention.forget(settings.history_days * 86400.0):
            continue

    async def seen(busy: int) -> None:
        await upkeep.seen(
            id,
            host=socket.gethostname(),
            pid=os.getpid(),
            queues=list(queues),
            slots=sum(wanted[queue] for queue in queues),
            busy=busy,
            version=__version__,
            runners=runners() if AGENT in queues else (),
        )

    parts = Parts(
        id=id,
        executor=executor,
        dispatchers=[dispatcher(queue) for queue in queues],
        children=list(children.values()),
        ticks=ticks,
        listen=listening,
        seen=seen,
        gone=lambda: upkeep.gone(id),
        chores=[
            chores.expire_files(file_table, blobs),
            chores.expire_uploads(UploadTable(pool), blobs),
            chores.remove_orphans(file_table, blobs),
            upkeep.prune,
            look_for_deliveries,
            forget_deliveries,
            forget_history,
        ],
        drain_s=settings.drain_s,
    )
    try:
        await look_for_deliveries()
        firing = asyncio.create_task(schedules.run())
        try:
            await Worker(parts).run()
        finally:
            await end_all(firing)
    finally:
        await post.stop()
        await prompts.close()
        await client.close()
        await services_client.close()
        await loose.close()
        await pool.close()
        shutil.rmtree(scratch, ignore_errors=True)


AGENT = "agent"
_BEYOND = {"io": 64, AGENT: 16}
"""How many times its slots a queue's tasks are taken: light ones in lots, so that starting and finishing is shared;
prompts, because those that wait for what they started have no slot, and what they wait for may be a prompt."""
_LOT = 64
"""Small jobs that one child does at one go."""
_LATE = ("_compose", "_look")
"""Parts of engines that are NumPy and OpenCV through and through, whose import starts threads: their children do it."""
PRELOAD = (
    "mediamill.kinds.convert",
    "mediamill.kinds.optimise",
    *(
        f"mediamill.engines.{name}"
        for _, name, _ in pkgutil.iter_modules(engines.__path__)
        if not name.startswith(_LATE)
    ),
    "PIL.Image",
)
"""Imported once, before children are forked, which share the memory of it: every engine (each child would import all,
7 MB) and what small image work would wait for. Nothing that starts a thread."""


def _readable() -> list[Path]:
    """Folders children may read besides the system and the interpreter."""
    from mediamill import fonts, models
    from mediamill.engines import office as suite
    from mediamill.engines import whisper

    found = [*fonts.folders(), models.folder()]
    if (weights := whisper.folder()) is not None:
        found.append(weights)
    if (office := suite.folder()) is not None:
        found.append(office.parent)  # its program folder and what lies beside it: filters, settings, fonts
    return [path for path in found if path.exists()]


def _programs() -> list[Path]:
    """Folders of programs children may start besides the system's: an operator's own FFMPEG."""
    value = os.environ.get(f"{config.PREFIX}FFMPEG")
    return [Path(value).resolve().parent] if value and Path(value).exists() else []


def _tool_environment() -> dict[str, str]:
    from mediamill.engines import office as suite

    names = [f"{config.PREFIX}{name.upper()}" for name in config.for_engines()]
    found = {name: os.environ[name] for name in names if name in os.environ}
    if (office := suite.folder()) is not None:  # found here: a child sees too little of the machine to look for it
        found[suite.SETTING] = str(office / "soffice")
    return found


def _sweep(folder: Path) -> None:
    """Remove scratch of workers of this machine that were killed before they could."""
    if not folder.is_dir():
        return
    here = socket.gethostname()
    for left in folder.iterdir():
        host, _, rest = left.name.rpartition("-")[0].rpartition("-")
        if host == here and rest.isdigit() and not Path(f"/proc/{rest}").exists():
            shutil.rmtree(left, ignore_errors=True)
