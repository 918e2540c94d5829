"""Creating, reading, cancelling and retrying tasks."""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Protocol

import msgspec

from mediamill import tracing
from mediamill.core import schema_words
from mediamill.core.access import Caller
from mediamill.core.connections import is_bucket_url
from mediamill.core.dispatch import RESERVED, Accept
from mediamill.core.errors import Conflict, Invalid, NotFound, Unavailable
from mediamill.core.files import File
from mediamill.core.ports import Engines
from mediamill.core.prompts import KIND as PROMPT
from mediamill.core.schedules import RUNNER
from mediamill.core.tasks import Filter, NewTask, Page, Source, State, Task, TaskList
from mediamill.service.metering import meter_of
from mediamill.service.watch import Watch

LONGEST_WAIT_S = 60.0
MOST_METADATA_BYTES = 16 << 10
MOST_NESTED = 64
"""Deeper JSON is refused: each reader of it has a depth of its own at which it gives up."""
_PRIORITIES = range(-100, 101)


class Store(Protocol):
    """The task table."""

    async def cancel(self, project_id: str, id: str) -> State: ...
    async def get(self, project_id: str, id: str) -> Task: ...
    async def list(self, project_id: str, page: Page, filter: Filter) -> TaskList: ...
    async def count(self, project_id: str, filter: Filter, most: int) -> int: ...


class Connections(Protocol):
    """What is asked of the verbs on connections."""

    async def sources(self, caller: Caller, sources: Sequence[Source], *, first: int = 0) -> Sequence[Source]: ...
    async def destination(self, caller: Caller, asked: Any) -> Mapping[str, str]: ...


class Tasks:
    """Verbs on tasks. `accept`, `read` and `files` share statements with whoever else asks at the same moment.

    kinds: the kind of a name, as `kinds.named`; hint: makes what `Kind.check` is told of an input, as `kinds.Hint`.
    """

    def __init__(
        self,
        *,
        store: Store,
        accept: Callable[[Accept], Awaitable[tuple[str, bool]]],
        read: Callable[[str], Awaitable[Task]],
        files: Callable[[str], Awaitable[File | None]],
        kinds: Callable[[str], Any],
        hint: Callable[..., Any],
        engines: Engines,
        check_url: Callable[[str], None],
        watch: Watch,
        connections: Connections,
        in_flight_limit: int | None = None,
        render_s: float | None = None,
    ) -> None:
        """render_s: seconds of film that a project may have rendered in a month."""
        self._store = store
        self._accept = accept
        self._read = read
        self._files = files
        self._kinds = kinds
        self._hint = hint
        self._engines = engines
        self._check_url = check_url
        self._watch = watch
        self._connections = connections
        self._in_flight_limit = in_flight_limit
        self._render_s = render_s

    async def create(self, caller: Caller, new: NewTask) -> tuple[Task, bool]:
        """Accept a task durably: when this returns, it will be done. (task, whether it is new).

        Raises Invalid with a dotted field, NotFound for an unknown input file, IdempotencyMismatch, LimitReached.
        """
        id, fresh = await self._accept(await self.check(caller, new))
        return await self._read(id), fresh

    async def check(self, caller: Caller, new: NewTask, *, inherits: bool = False) -> Accept:
        """A request made into a task to write; nothing is written yet. Raises as `create`.

        inherits: its first input will be what another task makes.
        """
        kind = self._kinds(new.kind)
        if (missing := kind.missing(self._engines)) is not None:
            raise Unavailable("kind", f"The kind {new.kind} is off here: {missing.reason}", missing.remedy)
        _check_numbers(new)
        if new.kind == PROMPT and new.origin.identifier is None:
            new = replace(new, origin=replace(new.origin, identifier=RUNNER))  # a run like any other
        self._check_webhook(new.extra.get("webhook_url"))
        least, most = kind.inputs
        inherits = inherits and len(new.inputs) < most  # a kind without inputs takes nothing over
        if not least <= len(new.inputs) + inherits <= most:
            raise Invalid("inputs", f"{new.kind} takes {least if least == most else f'{least} to {most}'} inputs.")
        sources = await self._connections.sources(caller, new.inputs)
        patient = new.origin.hold == "upload"
        files = await self._inputs(caller, sources, patient=patient)
        options, attached, destination = self._options(kind, new, files, patient=patient)
        attached = await self._connections.sources(caller, attached, first=len(files))
        awaited = [*files, *await self._inputs(caller, attached, patient=patient, first=len(files))]
        if patient and all(file is None or file.ready for file in awaited):
            new = replace(new, origin=replace(new.origin, hold=None, ttl_s=None))
        extra = new.extra
        if (destination := extra.get("destination") or destination) is not None:
            extra = {**extra, "destination": await self._connections.destination(caller, destination)}
        meter = meter_of(new.kind, options, awaited[len(files) :], self._render_s)
        if meter is not None:
            extra = {**extra, RESERVED: meter.reserved_s}
        if (trace := tracing.carried()) is not None:
            extra = {**extra, tracing.TRACE: trace}
        name = next((f.filename for f in files if f), None) or next((s.url for s in new.inputs if s.url), "") or ""
        return Accept(
            new=replace(new, options=options, inputs=[*sources, *attached], extra=extra),
            project_id=caller.project_id,
            inherits=inherits,
            created_by=caller.key_id or None,
            queue=kind.queue,
            label=name[:500],
            body_hash=body_hash(new) if new.idempotency_key is not None else None,
            scope=new.dialect,
            in_flight_limit=self._in_flight_limit,
            meter=meter,
        )

    async def get(self, caller: Caller, id: str) -> Task:
        """One task with its attempts. Raises NotFound."""
        return await self._store.get(caller.project_id, id)

    async def wait(self, caller: Caller, id: str, wait_s: float) -> Task:
        """The task once it has ended, or as it is after `wait_s` (at most a minute)."""
        deadline = time.monotonic() + min(wait_s, LONGEST_WAIT_S)
        with self._watch.task(id) as changed:
            while True:
                changed.clear()
                task = await self._store.get(caller.project_id, id)
                left = deadline - time.monotonic()
                if task.state.final or left <= 0 or self._watch.over:
                    return task
                try:
                    async with asyncio.timeout(left):
                        await changed.wait()
                except TimeoutError:
                    return await self._store.get(caller.project_id, id)

    async def follow(self, caller: Caller, id: str) -> AsyncIterator[Task]:
        """The task as it is, then at each change, to its end."""
        with self._watch.task(id) as changed:
            while True:
                changed.clear()
                task = await self._store.get(caller.project_id, id)
                yield task
                if task.state.final or self._watch.over:
                    return
                try:
                    async with asyncio.timeout(15):
                        await changed.wait()
                except TimeoutError:
                    continue  # also keeps the connection from falling asleep

    async def changes(self, caller: Caller) -> AsyncIterator[Task]:
        """Every change of every task of the project, from now on."""
        async for id in self._watch.every():
            try:
                yield await self._store.get(caller.project_id, id)
            except NotFound:
                continue  # another project's

    async def lots(
        self, caller: Caller, *, pause_s: float = 0.25, idle_s: float = 15.0
    ) -> AsyncIterator[Sequence[Task]]:
        """As `changes`, for people's eyes: what changed within a pause comes as one lot, each task once, in one read.

        The first lot is empty and says that nothing will be missed from here on; later ones are when nothing changed
        for `idle_s`. Attempts are not filled in.
        """
        ids = self._watch.every()
        coming: asyncio.Future[str] = asyncio.ensure_future(anext(ids, ""))
        try:
            await asyncio.sleep(0)  # let it begin to listen
            yield []
            while True:
                changed: dict[str, None] = {}
                deadline = time.monotonic() + idle_s
                while len(changed) < 200 and (left := deadline - time.monotonic()) > 0:
                    done, _ = await asyncio.wait({coming}, timeout=left)
                    if not done:
                        break
                    if not changed:
                        deadline = time.monotonic() + pause_s
                    if not coming.result():
                        return
                    changed[coming.result()] = None
                    coming = asyncio.ensure_future(anext(ids, ""))
                found = await asyncio.gather(*map(self._read, changed), return_exceptions=True)
                yield [t for t in found if not isinstance(t, BaseException) and t.project_id == caller.project_id]
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)

    async def list(self, caller: Caller, page: Page, filter: Filter) -> TaskList:
        """One page of the project's tasks."""
        return await self._store.list(caller.project_id, page, filter)

    async def count(self, caller: Caller, filter: Filter, most: int) -> int:
        """How many tasks there are, at most `most`."""
        return await self._store.count(caller.project_id, filter, most)

    async def cancel(self, caller: Caller, id: str, *, wait_s: float = 2.0) -> Task:
        """Stop a task; the answer waits a moment for running work to be gone. Raises NotFound, Conflict."""
        state = await self._store.cancel(caller.project_id, id)
        if state.final:
            return await self._store.get(caller.project_id, id)
        return await self.wait(caller, id, wait_s)

    async def retry(self, caller: Caller, id: str) -> Task:
        """A new task that asks the same. Raises NotFound, Conflict unless the old one failed or was cancelled."""
        old = await self._store.get(caller.project_id, id)
        if old.state not in (State.FAILED, State.CANCELLED):
            raise Conflict(f"The task is {old.state}; only failed and cancelled tasks can be retried.")
        kind = self._kinds(old.kind)
        attached = len(kind.attachments(msgspec.convert(dict(old.options), kind.options)))
        own = old.inputs[: len(old.inputs) - attached]
        sources = [Source(file=i.file.id if i.file else None, url=i.url, connection=i.connection) for i in own]
        if any(s.file is None and s.url is None for s in sources):
            raise Conflict("An input of the task has expired.")
        task, _ = await self.create(
            caller,
            NewTask(
                kind=old.kind,
                inputs=sources,
                options=old.options,
                dialect=old.dialect,
                extra=old.extra,
                metadata=old.metadata,
                priority=old.priority,
                max_attempts=old.max_attempts,
                retry_of=old.id,
            ),
        )
        return task

    def _check_webhook(self, url: object) -> None:
        """An address that the task's end is posted to is refused at once where that can be said without a look-up."""
        if isinstance(url, str):
            try:
                self._check_url(url)
            except Invalid as error:
                raise Invalid("webhook_url", error.reason) from error

    async def _inputs(
        self, caller: Caller, sources: Sequence[Source], *, patient: bool, first: int = 0
    ) -> Sequence[File | None]:
        """The files that are here; None for what is to be fetched. first: the place of the first source in words."""
        found: list[Any] = []
        for n, source in enumerate(sources, first):
            if source.file is not None:
                file = await self._files(source.file)
                if file is None or file.project_id != caller.project_id:
                    raise NotFound("file", source.file)
                if not file.ready and not patient:
                    raise NotUploaded(f"inputs.{n}.file", f"File {source.file} has no bytes yet.")
                found.append(file)
            elif source.url is not None and is_bucket_url(source.url):
                found.append(None)  # its connection has been found already
            elif source.url is not None:
                try:
                    self._check_url(source.url)
                except Invalid as error:
                    raise type(error)(f"inputs.{n}.url", error.reason) from error
                found.append(None)
            else:
                raise Invalid(f"inputs.{n}", "needs a file or a url.")
        return found

    def _options(
        self, kind: Any, new: NewTask, files: Sequence[File | None], *, patient: bool
    ) -> tuple[Mapping[str, Any], Sequence[Source], Mapping[str, Any] | None]:
        """The options to run with, what they name that is to be fetched, and where they want the result sent."""
        try:
            options = msgspec.convert(dict(new.options), kind.options)
        except msgspec.ValidationError as error:
            raise invalid_option(error) from error
        hints = [
            # Who may come before his bytes is told of them when they are worked on, come or not.
            self._hint(
                mime=file.mime if file and not patient else None,
                filename=file.filename if file else source.filename,
            )
            for file, source in zip(files, new.inputs, strict=True)
        ]
        try:
            checked = kind.check(options, hints, self._engines)
        except Invalid as error:
            if not error.field.startswith(("options", "kind", "inputs")):
                error.field = f"options.{error.field}".rstrip(".")
            raise
        result: dict[str, Any] = msgspec.to_builtins(checked)
        return result, kind.attachments(checked), kind.destination(checked)


class NotUploaded(Invalid):
    """The input is known, its bytes have not come."""

    code = "file_not_uploaded"


def invalid_option(error: msgspec.ValidationError, root: str = "options") -> Invalid:
    """msgspec's error as an Invalid with a dotted field below `root`."""
    field, reason = schema_words.read(str(error))
    return Invalid(f"{root}.{field}".strip("."), reason + ".")


def _check_numbers(new: NewTask) -> None:
    if new.priority not in _PRIORITIES:
        raise Invalid("priority", "must be from -100 to 100.")
    if not 1 <= new.max_attempts <= 10:
        raise Invalid("max_attempts", "must be from 1 to 10.")
    if _nested(new.options) > MOST_NESTED:
        raise Invalid("options", f"must not be nested deeper than {MOST_NESTED} levels.")
    check_metadata(new.metadata)
    if new.idempotency_key is not None and not 1 <= len(new.idempotency_key) <= 255:
        raise Invalid("Idempotency-Key", "must be 1 to 255 characters.")


def check_metadata(metadata: Mapping[str, Any] | None) -> None:
    """Raises Invalid for more than is kept."""
    if metadata is not None and _nested(metadata) > MOST_NESTED:
        raise Invalid("metadata", f"must not be nested deeper than {MOST_NESTED} levels.")
    if metadata is not None and len(msgspec.json.encode(metadata)) > MOST_METADATA_BYTES:
        raise Invalid("metadata", f"must be at most {MOST_METADATA_BYTES} bytes of JSON.")


def _nested(value: Any) -> int:
    """Levels of lists and objects; counting stops beyond what is allowed."""
    level, depth = [value], 0
    while depth <= MOST_NESTED:
        level = [
            inner
            for outer in level
            if isinstance(outer, Mapping | list | tuple)
            for inner in (outer.values() if isinstance(outer, Mapping) else outer)
        ]
        if not level:
            break
        depth += 1
    return depth


def body_hash(new: NewTask) -> bytes:
    """Tells one request from another under the same idempotency key."""
    encoder = msgspec.json.Encoder(order="deterministic")
    body = {
        "kind": new.kind,
        "inputs": [[s.file, s.url, s.filename, *([s.connection] if s.connection else [])] for s in new.inputs],
        "options": dict(new.options),
        "extra": dict(new.extra),
        "metadata": dict(new.metadata) if new.metadata is not None else None,
        "priority": new.priority,
        "not_before": new.not_before.isoformat() if new.not_before else None,
        "max_attempts": new.max_attempts,
    }
    return hashlib.sha256(encoder.encode(body)).digest()
