"""All verbs of the API, over the tables of one database."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from mediamill import kinds
from mediamill.app.common import lifetimes, runner_of
from mediamill.app.sealing import sealer
from mediamill.app.verbs import file_verbs, task_verbs
from mediamill.blobs import Blobs
from mediamill.blobs.sniff import sniff
from mediamill.config import Settings
from mediamill.core.ports import Engines
from mediamill.core.prompts import KIND as PROMPT
from mediamill.dialects import load as load_dialects
from mediamill.service import Service
from mediamill.service.accounts import Accounts
from mediamill.service.automations import Automations
from mediamill.service.compositions import Compositions
from mediamill.service.connections import Connections
from mediamill.service.endpoints import Endpoints
from mediamill.service.files import Sniff
from mediamill.service.keys import Keys
from mediamill.service.media import MediaVerbs
from mediamill.service.projects import Projects
from mediamill.service.prompts import Prompts
from mediamill.service.runs import Runs
from mediamill.service.schedules import Schedules
from mediamill.service.steps import Letters, Steps
from mediamill.service.uploads import Uploads
from mediamill.service.watch import Watch
from mediamill.service.workspaces import Workspaces
from mediamill.store.accounts import Accounts as AccountTable
from mediamill.store.automations import Automations as AutomationTable
from mediamill.store.compositions import Compositions as CompositionTable
from mediamill.store.connections import Connections as ConnectionTable
from mediamill.store.deliveries import Deliveries
from mediamill.store.endpoints import Endpoints as EndpointTable
from mediamill.store.files import Files as FileTable
from mediamill.store.keys import Keys as KeyTable
from mediamill.store.media import MediaTable
from mediamill.store.prompts import Prompts as PromptTable
from mediamill.store.replies import Replies
from mediamill.store.results import Results
from mediamill.store.runs import Runs as RunTable
from mediamill.store.schedules import Schedules as ScheduleTable
from mediamill.store.steps import Steps as StepTable
from mediamill.store.tasks import Tasks as TaskTable
from mediamill.store.uploads import Uploads as UploadTable
from mediamill.store.workspaces import Workspaces as WorkspaceTable
from mediamill.vault import Vault


def service_of(
    settings: Settings,
    *,
    pool: Any,
    blobs: Blobs,
    vault: Vault,
    check_url: Callable[[str], None],
    engines: Engines,
    watch: Watch,
    letters: Letters,
    runners: Callable[[], Awaitable[Mapping[str, bool]]],
) -> Service:
    """The verbs. runners: what runs prompts, each with whether a worker runs it now."""
    task_table, file_table, run_table = TaskTable(pool), FileTable(pool), RunTable(pool)
    lasting = lifetimes(settings)
    keys = Keys(KeyTable(pool))
    connections = Connections(store=ConnectionTable(pool), vault=vault, check_url=check_url)
    tasks, accept, read = task_verbs(
        settings,
        task_table,
        file_table,
        engines=engines,
        check_url=check_url,
        watch=watch,
        connections=connections,
        width=2,
    )
    runs = Runs(store=run_table, check=tasks.check, watch=watch)
    files = file_verbs(settings, file_table, blobs, _sniffing(blobs))
    return Service(
        projects=Projects(Results(pool)),
        tasks=tasks,
        endpoints=Endpoints(
            store=EndpointTable(pool),
            deliveries=Deliveries(pool),
            tasks=task_table,
            runs=run_table,
            check_url=check_url,
            watch=watch,
            seal=sealer(settings, vault),
        ),
        runs=runs,
        prompts=Prompts(store=PromptTable(pool), tasks=tasks, accept=accept, read=read, runners=runners),
        schedules=Schedules(
            store=ScheduleTable(pool),
            accept=accept,
            read=read,
            runner=runner_of(kinds.named(PROMPT), settings),
            runners=runners,
        ),
        files=files,
        media=MediaVerbs(
            store=MediaTable(pool),
            replies=Replies(pool),
            blobs=blobs,
            files=files,
            tasks=tasks,
            max_bytes=settings.max_upload_bytes,
            lifetime_s=lasting.get,
        ),
        uploads=Uploads(
            store=UploadTable(pool),
            blobs=blobs,
            files=files,
            max_bytes=settings.max_upload_bytes,
            keep_s=settings.resumable_upload_s,
            lifetimes=lasting,
        ),
        keys=keys,
        connections=connections,
        compositions=Compositions(CompositionTable(pool)),
        automations=Automations(
            store=AutomationTable(pool),
            runs=runs,
            plans={d.name: d.plan for d in load_dialects() if d.plan is not None},
            look_over=tasks.check,
        ),
        watch=watch,
        steps=Steps(store=StepTable(pool), tasks=tasks, watch=watch, letters=letters),
        accounts=Accounts(AccountTable(pool)),
        workspaces=Workspaces(
            WorkspaceTable(pool), cancel=task_table.cancel, forget=keys.forget, open=settings.framelane_signup
        ),
    )


def _sniffing(blobs: Blobs) -> Sniff:
    async def sniffed(key: str, *, claimed: str | None, filename: str | None) -> str | None:
        def look() -> str | None:
            with blobs.open(key) as file:
                return sniff(file, claimed=claimed, filename=filename)

        return await asyncio.to_thread(look)

    return sniffed
