"""What does tasks in a worker: what it has open, and the executor over it."""

from __future__ import annotations

import contextlib
import shutil
import socket
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from mediamill import config, kinds
from mediamill.app.children import weights
from mediamill.app.common import address_of, blobs_of, lifetimes, net_for_services, net_of, services_of, vault_of
from mediamill.blobs import Blobs
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
from mediamill.store.ending import MOST_AT_ONCE
from mediamill.store.files import Files as FileTable
from mediamill.store.results import Results
from mediamill.store.tasks import Tasks as TaskTable
from mediamill.worker.carrier import Carrier
from mediamill.worker.children import Children
from mediamill.worker.execute import Executor, Host, Ticks
from mediamill.worker.facts import Facts
from mediamill.worker.in_child import InChild
from mediamill.worker.ingest import Ingest
from mediamill.worker.outputs import Outputs
from mediamill.worker.reuse import Reuse, tools_of
from mediamill.worker.rules import Rules
from mediamill.worker.services import Services
from mediamill.worker.together import Together
from mediamill.worker.tool import Limits

_LOT = 64
"""Small jobs that one child does at one go."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """What a worker has open. `loose` is a pool whose writes a power cut may take back."""

    pool: Any
    loose: Any
    blobs: Blobs
    client: Any
    services: Any
    connections: Connections
    tasks: TaskTable
    files: FileTable
    scratch: Path
    """A folder of this worker's own."""


@contextlib.asynccontextmanager
async def opened(settings: Settings, dsn: str, worker: str) -> AsyncIterator[Opened]:
    """All of it, as long as the block lasts."""
    scratch = settings.data / "scratch" / worker
    _sweep(scratch.parent)
    pool = await pools.open_pool(dsn, least=1, most=6)
    loose = await pools.open_pool(dsn, least=1, most=6, synced=False)
    blobs, client, services = blobs_of(settings), net_of(settings), net_for_services()
    forget_environment()  # of our own bucket, which is open now
    try:
        yield Opened(
            pool=pool,
            loose=loose,
            blobs=blobs,
            client=client,
            services=services,
            connections=Connections(store=ConnectionTable(pool), vault=vault_of(settings), check_url=client.check_url),
            tasks=TaskTable(pool, loose),
            files=FileTable(pool),
            scratch=scratch,
        )
    finally:
        await client.close()
        await services.close()
        await loose.close()
        await pool.close()
        shutil.rmtree(scratch, ignore_errors=True)


def executor_of(
    settings: Settings,
    here: Opened,
    *,
    worker: str,
    children: Mapping[str, Children],
    ticks: Ticks,
    prompts: Host,
) -> Executor:
    """The executor of a worker. prompts: what does those, here and not in a child."""
    take: Batcher[Take, Taken | None] = Batcher(here.tasks.take, width=2)
    finish: Batcher[Finish, bool] = Batcher(here.tasks.finish, most=MOST_AT_ONCE)
    rules, blobs = _rules(settings), here.blobs
    buckets = Buckets(here.client, total_s=settings.fetch_total_s)
    carrier = Carrier(net=here.client, buckets=buckets, blobs=blobs, access=here.connections.access)
    outputs = Outputs(blobs=blobs, show=here.tasks.publish, unused=here.files.unused, rules=rules)

    async def file_of(id: str) -> File | None:
        return (await here.files.get_many([id]))[0]

    facts = Facts(children=children, blobs=blobs, files=file_of, probed=here.files.probed, limits=rules.limits)
    in_child = InChild(
        children=children,
        together=Together(children, lambda flush: Batcher(flush, most=_LOT, width=settings.io_slots), rules.limits),
        blobs=blobs,
        outputs=outputs,
        carrier=carrier,
        call=Services(here.services, services_of(settings)),
        reuse=Reuse(
            find=Results(here.pool).find,
            blobs=blobs,
            kinds={name for name, kind in kinds.load().items() if kind.reusable},
            tools=tools_of(config.for_engines(), weights()),
        ),
        rules=rules,
    )
    return Executor(
        worker=worker,
        take=take,
        finish=finish,
        tick=ticks,
        find_facts=facts.find,
        ingest=Ingest(carrier=carrier, blobs=blobs, sniff=sniff, scratch=here.scratch, rules=rules),
        in_child=in_child,
        hosts={PROMPT: prompts},
        drop_unused=outputs.drop_unused,
        rules=rules,
    )


def _rules(settings: Settings) -> Rules:
    return Rules(
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


def _sweep(folder: Path) -> None:
    """Remove scratch of workers of this machine that were killed before they could."""
    if not folder.is_dir():
        return
    here = socket.gethostname()
    for left in folder.iterdir():
        host, _, rest = left.name.rpartition("-")[0].rpartition("-")
        if host == here and rest.isdigit() and not Path(f"/proc/{rest}").exists():
            shutil.rmtree(left, ignore_errors=True)
