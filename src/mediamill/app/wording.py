"""What a webhook says: the thing it tells of as it is now, in the words of the dialect it is told in."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from mediamill import dialects
from mediamill.app.common import origin_of, signing_secret
from mediamill.config import Settings
from mediamill.core.errors import NotFound
from mediamill.core.files import File
from mediamill.core.runs import Run
from mediamill.core.tasks import Task
from mediamill.core.webhooks import Due
from mediamill.dialects import Dialect, Links
from mediamill.service.signing import Signer
from mediamill.store.runs import Runs
from mediamill.store.tasks import Tasks
from mediamill.store.upkeep import Upkeep
from mediamill.tracing import TRACE
from mediamill.webhooks.post import Message, Sign

Subject = Task | Run | File | None
"""What an event tells of; None for what is gone."""


async def wording(
    settings: Settings,
    tasks: Tasks,
    runs: Runs,
    files: Callable[[Sequence[str]], Awaitable[Sequence[File | None]]],
    upkeep: Upkeep,
) -> Wording:
    """A function from claimed deliveries to their messages. files: live files by id."""
    return Wording(
        settings=settings,
        signer=Signer(await signing_secret(settings, upkeep)),
        tasks=tasks,
        runs=runs,
        files=files,
        dialects={dialect.name: dialect for dialect in dialects.load()},
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Wording:
    """Words deliveries; see `wording`."""

    settings: Settings
    signer: Signer
    tasks: Tasks
    runs: Runs
    files: Callable[[Sequence[str]], Awaitable[Sequence[File | None]]]
    dialects: Mapping[str, Dialect]

    async def __call__(self, batch: Sequence[Due]) -> list[Message | None]:
        """The message of each; None where its dialect has no words for the event."""
        found = await self._subjects(batch)
        subjects = [found.get(due.event.task_id or due.event.run_id or due.event.file_id or "") for due in batch]
        return [_traced(self._message(due, subject), subject) for due, subject in zip(batch, subjects, strict=True)]

    async def _subjects(self, batch: Sequence[Due]) -> Mapping[str, Subject]:
        """By their ids."""
        found: dict[str, Subject] = {}
        if wanted := sorted({due.event.task_id for due in batch if due.event.task_id is not None}):
            found |= dict(zip(wanted, await self.tasks.get_many(wanted), strict=True))
        for project_id, run_id in {(due.event.project_id, due.event.run_id) for due in batch if not due.event.task_id}:
            if run_id is not None:
                with contextlib.suppress(NotFound):  # removed meanwhile: the event tells of nothing then
                    found[run_id] = await self.runs.get(project_id, run_id)
        for file_id in {due.event.file_id for due in batch if due.event.file_id and not due.event.task_id}:
            found[file_id] = (await self.files([file_id]))[0]
        return found

    def _message(self, due: Due, subject: Subject) -> Message | None:
        if due.body is not None:
            return Message(body=msgspec.json.encode(due.body))
        if due.endpoint_id is not None:
            return self._to_endpoint(due, subject)
        return self._to_address(due, subject) if isinstance(subject, Task) else None

    def _to_endpoint(self, due: Due, subject: Subject) -> Message | None:
        native = self.dialects["mill"]
        dialect = self.dialects.get(due.dialect or "", native)
        if dialect.write_event is None:
            dialect = replace(dialect, prefix=native.prefix, write_event=native.write_event)
        assert dialect.write_event is not None, "the native dialect words events"
        said = dialect.write_event(due.event, subject, self._links(due.origin, dialect.prefix))
        return _worded(said, dialect.sign_event, dialect)

    def _to_address(self, due: Due, task: Task) -> Message | None:
        """To the address that came with the task."""
        dialect = self.dialects.get(task.dialect, self.dialects["mill"])
        links = self._links(task.extra.get("webhook_origin"), dialect.prefix)
        if dialect.address_secret is None or dialect.write_event is None or dialect.sign_event is None:
            return _worded(dialect.write_task(task, links), dialect.sign_event, dialect)
        sign = _by(dialect.sign_event, dialect.address_secret(self.signer, task.project_id))
        return _worded(dialect.write_event(due.event, task, links), sign, dialect)

    def _links(self, origin: str | None, prefix: str) -> Links:
        base = origin_of(self.settings, origin)
        return Links(
            origin=base,
            base=base + prefix,
            signer=self.signer,
            upload_s=self.settings.upload_url_s,
            download_s=self.settings.download_url_s,
        )


def _worded(said: object, sign: Sign | None, dialect: Dialect) -> Message | None:
    if said is None:
        return None
    return Message(body=msgspec.json.encode(said), sign=sign, patience_s=dialect.patience_s)


def _by(sign_event: Sign, secret: bytes) -> Sign:
    """The dialect's way to sign, with a secret of the project's own: an address has none."""

    def sign(secrets: Sequence[bytes], id: str, at: datetime, body: bytes) -> Mapping[str, str]:
        return sign_event([secret], id, at, body)

    return sign


def _traced(said: Message | None, subject: Subject) -> Message | None:
    trace = subject.extra.get(TRACE) if isinstance(subject, Task) else None
    return replace(said, trace=trace) if said is not None and trace else said
