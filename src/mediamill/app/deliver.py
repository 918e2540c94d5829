"""Webhooks in a process of their own: posting a thousand a second must not slow the tasks down, nor an API.

A worker starts one when there is first something to deliver, and keeps it; `mediamill worker --queues webhooks` is one
by itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
import structlog

from mediamill.app.common import end_all, net_of, origin_of, signing_secret, vault_of
from mediamill.app.keeping import Kept
from mediamill.app.sealing import opener
from mediamill.config import Settings
from mediamill.core.errors import NotFound
from mediamill.core.files import File
from mediamill.core.runs import Run
from mediamill.core.tasks import Task
from mediamill.core.webhooks import Done, Due
from mediamill.store import pool as pools
from mediamill.store.batch import Batcher
from mediamill.store.deliveries import WOKEN, Deliveries
from mediamill.store.files import Files
from mediamill.store.listen import listen
from mediamill.store.runs import Runs
from mediamill.store.tasks import Tasks
from mediamill.store.upkeep import Upkeep
from mediamill.tracing import TRACE

if TYPE_CHECKING:
    from mediamill.dialects import Dialect

QUEUE = "webhooks"
"""What to call it among the queues of `mediamill worker`."""

log = structlog.get_logger()


def postroom(settings: Settings) -> Kept:
    """The process that a worker keeps for this."""
    return Kept(
        settings,
        *("--queues", QUEUE),
        leave_s=settings.webhook_timeout_s + 5,
        on_end="webhook process ended; starting another",
    )


async def deliver(settings: Settings, dsn: str, *, signals: bool = True) -> None:
    """Deliver webhooks until a signal."""
    from mediamill.webhooks.dispatch import Dispatcher
    from mediamill.webhooks.post import Postman

    pool = await pools.open_pool(dsn, least=1, most=4)
    loose = await pools.open_pool(dsn, least=1, most=4, synced=False)
    client = net_of(settings)
    # What a power cut takes back of these is delivered once more, under the same id.
    store = Deliveries(loose)
    end: Batcher[Done, None] = Batcher(store.end)
    dispatcher = Dispatcher(
        store=store,
        words=await wording(settings, Tasks(pool), Runs(pool), Files(pool).get_many, Upkeep(pool)),
        postman=Postman(client, timeout_s=settings.webhook_timeout_s, open=opener(vault_of(settings))),
        end=end,
    )
    listener = asyncio.create_task(listen(dsn, {WOKEN: lambda _: dispatcher.notice()}, dispatcher.notice))
    work = asyncio.create_task(dispatcher.run())
    if signals:
        for number in (signal.SIGTERM, signal.SIGINT):
            # Not cancelled: what it is claiming would be lent to nobody until that lease is over.
            asyncio.get_running_loop().add_signal_handler(number, dispatcher.leave)
    log.info("delivering webhooks")
    try:
        with contextlib.suppress(asyncio.CancelledError):
            await work
        await dispatcher.stop()
    finally:
        await end_all(listener)
        await client.close()
        await loose.close()
        await pool.close()


def _by(dialect: Dialect, secret: bytes) -> Callable[..., Mapping[str, str]]:
    """The dialect's way to sign, with a secret of the project's own: an address has none."""

    def sign(secrets: Sequence[bytes], id: str, at: datetime, body: bytes) -> Mapping[str, str]:
        assert dialect.sign_event is not None
        return dialect.sign_event([secret], id, at, body)

    return sign


async def wording(
    settings: Settings, tasks: Tasks, runs: Runs, files: Callable[[Sequence[str]], Any], upkeep: Upkeep
) -> Callable[[Sequence[Due]], Any]:
    """A function from claimed deliveries to their messages, each in the words of its dialect."""
    from mediamill.dialects import Links
    from mediamill.dialects import load as load_dialects
    from mediamill.service.signing import Signer
    from mediamill.webhooks.post import Message

    dialects = {dialect.name: dialect for dialect in load_dialects()}
    signer = Signer(await signing_secret(settings, upkeep))

    def links(origin: str | None, prefix: str) -> Links:
        base = origin_of(settings, origin)
        return Links(
            origin=base,
            base=base + prefix,
            signer=signer,
            upload_s=settings.upload_url_s,
            download_s=settings.download_url_s,
        )

    def message(due: Due, subject: Task | Run | File | None) -> Message | None:
        native = dialects["mill"]
        if due.body is not None:
            return Message(body=msgspec.json.encode(due.body))
        if due.endpoint_id is None:
            if not isinstance(subject, Task):
                return None
            dialect = dialects.get(subject.dialect, native)
            here = links(subject.extra.get("webhook_origin"), dialect.prefix)
            if dialect.address_secret is not None and dialect.write_event and dialect.sign_event:
                said = dialect.write_event(due.event, subject, here)
                key = dialect.address_secret(signer, subject.project_id)
                if said is None:
                    return None
                made = msgspec.json.encode(said)
                return Message(body=made, sign=_by(dialect, key), patience_s=dialect.patience_s)
            said = dialect.write_task(subject, here)
        else:
            dialect = dialects.get(due.dialect or "", native)
            if dialect.write_event is None:
                dialect = replace(dialect, prefix=native.prefix, write_event=native.write_event)
            assert dialect.write_event is not None, "the native dialect words events"
            said = dialect.write_event(due.event, subject, links(due.origin, dialect.prefix))
        if said is None:
            return None
        return Message(body=msgspec.json.encode(said), sign=dialect.sign_event, patience_s=dialect.patience_s)

    def traced(said: Message | None, subject: Task | Run | File | None) -> Message | None:
        trace = subject.extra.get(TRACE) if isinstance(subject, Task) else None
        return replace(said, trace=trace) if said is not None and trace else said

    async def words(batch: Sequence[Due]) -> list[Message | None]:
        wanted = sorted({due.event.task_id for due in batch if due.event.task_id is not None})
        found: dict[str, Task | Run | File | None] = {}
        if wanted:
            found |= dict(zip(wanted, await tasks.get_many(wanted), strict=True))
        for project_id, run_id in {(due.event.project_id, due.event.run_id) for due in batch if not due.event.task_id}:
            if run_id is not None:
                with contextlib.suppress(NotFound):  # removed meanwhile: the event tells of nothing then
                    found[run_id] = await runs.get(project_id, run_id)
        for file_id in {due.event.file_id for due in batch if due.event.file_id and not due.event.task_id}:
            found[file_id] = (await files([file_id]))[0]
        subjects = [found.get(due.event.task_id or due.event.run_id or due.event.file_id or "") for due in batch]
        return [traced(message(due, subject), subject) for due, subject in zip(batch, subjects, strict=True)]

    return words
