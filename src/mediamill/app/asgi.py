"""The API as an ASGI app, with the pool and the listener behind it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

import structlog

from mediamill import kinds, tracing
from mediamill.app._lean import without_optional
from mediamill.app.common import blobs_of, end_all, installed, lifetimes, net_of, runner_of, signing_secret, vault_of
from mediamill.app.sealing import again, sealer
from mediamill.blobs.sniff import sniff
from mediamill.config import Settings
from mediamill.core.dispatch import Accept
from mediamill.core.errors import NotFound
from mediamill.core.files import File
from mediamill.core.prompts import KIND as PROMPT
from mediamill.core.tasks import Task
from mediamill.store import pool as pools
from mediamill.store.accounts import Accounts as AccountTable
from mediamill.store.automations import STARTS
from mediamill.store.automations import Automations as AutomationTable
from mediamill.store.batch import Batcher
from mediamill.store.compositions import Compositions as CompositionTable
from mediamill.store.connections import Connections as ConnectionTable
from mediamill.store.deliveries import Deliveries
from mediamill.store.endpoints import Endpoints as EndpointTable
from mediamill.store.files import Files as FileTable
from mediamill.store.keys import Keys as KeyTable
from mediamill.store.listen import listen
from mediamill.store.media import MediaTable
from mediamill.store.notices import WAKE
from mediamill.store.prompts import Prompts as PromptTable
from mediamill.store.replies import Replies
from mediamill.store.results import Results
from mediamill.store.runs import Runs as RunTable
from mediamill.store.schedules import Schedules as ScheduleTable
from mediamill.store.steps import TOKENS
from mediamill.store.steps import Steps as StepTable
from mediamill.store.tasks import Tasks as TaskTable
from mediamill.store.upkeep import Upkeep
from mediamill.store.uploads import Uploads as UploadTable
from mediamill.store.workspaces import Workspaces as WorkspaceTable

log = structlog.get_logger()

_LOOK_EVERY_S = 10.0
_HEARD_S = 15.0
"""Workers are heard of every five seconds."""


@contextlib.asynccontextmanager
async def api(
    settings: Settings, dsn: str, *, leaving: asyncio.Event | None = None
) -> AsyncIterator[tuple[Any, KeyTable]]:
    """(the ASGI app, the key table), with the pool and the listener behind them.

    leaving: once set, waits and streams of events end, so that the server's connections can.
    """
    from mediamill.app._later import Later
    from mediamill.dialects import Site
    from mediamill.dialects import load as load_dialects
    from mediamill.front import Front
    from mediamill.metrics import Metrics
    from mediamill.service import Service
    from mediamill.service.accounts import Accounts
    from mediamill.service.automations import Automations
    from mediamill.service.compositions import Compositions
    from mediamill.service.connections import Connections
    from mediamill.service.endpoints import Endpoints
    from mediamill.service.files import Files
    from mediamill.service.keys import Keys
    from mediamill.service.media import MediaVerbs
    from mediamill.service.projects import Projects
    from mediamill.service.prompts import Prompts
    from mediamill.service.runs import Runs
    from mediamill.service.schedules import Schedules
    from mediamill.service.signing import Signer
    from mediamill.service.steps import Letters, Steps
    from mediamill.service.tasks import Tasks
    from mediamill.service.uploads import Uploads
    from mediamill.service.watch import Watch
    from mediamill.service.workspaces import Workspaces
    from mediamill.signed import SignedApp
    from mediamill.web.cors import Cors

    _lean_web()
    pool = await pools.open_pool(dsn, least=1, most=10)
    blobs, client = blobs_of(settings), net_of(settings)
    task_table, file_table, key_table, upkeep = TaskTable(pool), FileTable(pool), KeyTable(pool), Upkeep(pool)
    watch, letters = Watch(), Letters()
    here = installed()
    lasting = lifetimes(settings)
    goodbye = asyncio.create_task(_goodbye(leaving, watch)) if leaving is not None else None
    asked = asyncio.Event()

    def anew() -> None:
        watch.wake_all()
        asked.set()

    listener = asyncio.create_task(
        listen(
            dsn,
            {WAKE: lambda payload: watch.told(payload.split(" ")), TOKENS: letters.told, STARTS: lambda _: asked.set()},
            anew,
        )
    )

    async def sniffed(key: str, *, claimed: str | None, filename: str | None) -> str | None:
        def look() -> str | None:
            with blobs.open(key) as file:
                return sniff(file, claimed=claimed, filename=filename)

        return await asyncio.to_thread(look)

    async def read_many(ids: Sequence[str]) -> list[Task | BaseException]:
        found = await task_table.get_many(ids)
        return [task or NotFound("task", id) for id, task in zip(ids, found, strict=True)]

    key_verbs = Keys(key_table)
    accept: Batcher[Accept, tuple[str, bool]] = Batcher(task_table.accept, width=2)
    read: Batcher[str, Task] = Batcher(read_many, width=2)
    input_files: Batcher[str, File | None] = Batcher(file_table.get_many, width=2)
    files = Files(
        store=file_table,
        blobs=blobs,
        sniff=sniffed,
        max_bytes=settings.max_upload_bytes,
        lifetime_s=lambda dialect: lasting.get(dialect),
    )
    vault, endpoint_table = vault_of(settings), EndpointTable(pool)
    connections = Connections(store=ConnectionTable(pool), vault=vault, check_url=client.check_url)
    tasks = Tasks(
        store=task_table,
        accept=accept,
        read=read,
        files=input_files,
        kinds=kinds.named,
        hint=kinds.Hint,
        engines=here,
        check_url=client.check_url,
        watch=watch,
        connections=connections,
        in_flight_limit=settings.tasks_in_flight,
        render_s=minutes * 60 if (minutes := settings.framelane_render_minutes) is not None else None,
    )
    runs = Runs(store=RunTable(pool), check=tasks.check, watch=watch)
    automations = Automations(
        store=AutomationTable(pool),
        runs=runs,
        plans={d.name: d.plan for d in load_dialects() if d.plan is not None},
        look_over=tasks.check,
    )
    served = _runners(upkeep, max(_HEARD_S, settings.heartbeat_s))
    service = Service(
        projects=Projects(Results(pool)),
        tasks=tasks,
        endpoints=Endpoints(
            store=endpoint_table,
            deliveries=Deliveries(pool),
            tasks=task_table,
            runs=RunTable(pool),
            check_url=client.check_url,
            watch=watch,
            seal=sealer(settings, vault),
        ),
        runs=runs,
        prompts=Prompts(
            store=PromptTable(pool),
            tasks=tasks,
            accept=accept,
            read=read,
            runners=served,
        ),
        schedules=Schedules(
            store=ScheduleTable(pool),
            accept=accept,
            read=read,
            runner=runner_of(kinds.named(PROMPT), settings),
            runners=served,
        ),
        files=files,
        media=MediaVerbs(
            store=MediaTable(pool),
            replies=Replies(pool),
            blobs=blobs,
            files=files,
            tasks=tasks,
            max_bytes=settings.max_upload_bytes,
            lifetime_s=lambda dialect: lasting.get(dialect),
        ),
        uploads=Uploads(
            store=UploadTable(pool),
            blobs=blobs,
            files=files,
            max_bytes=settings.max_upload_bytes,
            keep_s=settings.resumable_upload_s,
            lifetimes=lasting,
        ),
        keys=key_verbs,
        connections=connections,
        compositions=Compositions(CompositionTable(pool)),
        automations=automations,
        watch=watch,
        steps=Steps(store=StepTable(pool), tasks=tasks, watch=watch, letters=letters),
        accounts=Accounts(AccountTable(pool)),
        workspaces=Workspaces(
            WorkspaceTable(pool), cancel=task_table.cancel, forget=key_verbs.forget, open=settings.framelane_signup
        ),
    )
    if settings.secret_key is not None:
        await connections.reseal()  # what another key has sealed
        await endpoint_table.reseal(vault.mark(), again(settings, vault))
    starter = asyncio.create_task(_starting(automations.start_due, asked))

    async def health() -> Mapping[str, str]:
        return {
            "database": await _said(upkeep.alive()),
            "files": await _said(blobs.check()),
            "workers": "ok" if await upkeep.workers(settings.heartbeat_s) else "no worker is running",
        }

    site = Site(
        service=service,
        settings=settings,
        signer=Signer(await signing_secret(settings, upkeep)),
        engines=here,
        health=health,
    )
    dialects = {d.prefix.strip("/"): d for d in load_dialects()}
    signed = SignedApp(site, {d.name: d for d in dialects.values()})
    metrics = Metrics(upkeep, settings.heartbeat_s, [*dialects, "ui", "upload", "download", "v1", "metrics"])
    apps: dict[str, Any] = {
        "ui": Later(lambda: _dashboard(site)),
        "upload": signed,
        "download": signed,
        "metrics": metrics,
    }
    front = Front({name: (d, d.build(site)) for name, d in dialects.items()}, apps, "/ui/")
    try:
        yield tracing.served(metrics.counted(Cors(front, settings.cors_origins), time.perf_counter)), key_table
    finally:
        await end_all(*(task for task in (listener, starter, goodbye) if task is not None))
        await client.close()
        await pool.close()


def _dashboard(site: Any) -> Any:
    from mediamill import dashboard

    return dashboard.build(site)


def _lean_web() -> None:
    """The web framework without what it does for models of other libraries, which are loaded for that: 3 MB."""
    from litestar.exceptions import MissingDependencyException

    without_optional("litestar.plugins.pydantic", MissingDependencyException, "pydantic")
    without_optional("litestar.plugins.attrs", MissingDependencyException, "attrs")


async def _starting(start_due: Callable[[], Awaitable[int]], asked: asyncio.Event) -> None:
    """Start automations as soon as they are asked for; now and then unasked, for what was put off or not heard."""
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LOOK_EVERY_S):
                await asked.wait()
        asked.clear()
        try:
            await start_due()
        except Exception:
            log.exception("automations not started", again_in_s=_LOOK_EVERY_S)


async def _goodbye(leaving: asyncio.Event, watch: Any) -> None:
    await leaving.wait()
    watch.end()


def _runners(upkeep: Upkeep, within_s: float) -> Callable[[], Awaitable[Mapping[str, bool]]]:
    """What runs prompts, here or at a worker, each with whether a worker runs it now; asked once a second at most."""
    from mediamill.agent.runners import runners

    found: dict[str, bool] = {}
    asked_at = float("-inf")

    async def ask() -> Mapping[str, bool]:
        nonlocal found, asked_at
        if time.monotonic() - asked_at > 1.0:
            asked_at = time.monotonic()
            found = dict.fromkeys(runners(), False) | await upkeep.runners(within_s)
        return found

    return ask


async def _said(check: Any) -> str:
    try:
        async with asyncio.timeout(5):
            await check
    except Exception as error:
        log.warning("not ready", exc_info=error)
        return type(error).__name__
    return "ok"
