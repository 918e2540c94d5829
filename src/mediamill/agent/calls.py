"""What a model may do here: as the project of its run, and never more. Bad arguments are told to it, and fail nothing.

What an effect makes is keyed by the run's task and the number of the step, so that a call that was begun and lost finds
what it made. No function reaches a disk, a program, or an address but by way of the server's own tasks and webhooks.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, Protocol, TypeVar

import msgspec
from msgspec import Meta

from mediamill.agent.journal import Doing, Told
from mediamill.core.access import Caller, Role
from mediamill.core.dispatch import Accept
from mediamill.core.errors import CallFailed, Failed, Invalid, LimitReached, MediamillError, NotFound, Rejected
from mediamill.core.files import File
from mediamill.core.ids import KeyId
from mediamill.core.prompts import KIND, NewPrompt, Settings, as_task
from mediamill.core.steps import Webhook
from mediamill.core.tasks import Filter, NewTask, Page, Source, State, Task
from mediamill.service.files import Files
from mediamill.service.tasks import Tasks, body_hash, invalid_option

_SCOPE = "agent"
_MOST_RESULT = 24_000
"""Letters of JSON that a model is told of one call."""
_MOST_BODY = 64 << 10
_LOOK_S = 30.0
_HEAD = 1024
"""Bytes by which a file is known to be no text."""

Id = Annotated[str, Meta(min_length=1, max_length=64)]


class _Arguments(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of what functions take."""


class ListKinds(_Arguments, frozen=True, kw_only=True):
    """The kinds of task there are. With `name`, one of them with the schema of its options."""

    name: Annotated[str, Meta(max_length=64)] | None = None


class InputIn(_Arguments, frozen=True, kw_only=True):
    """One input: the id of a stored file, or a URL to fetch."""

    file: Id | None = None
    url: Annotated[str, Meta(max_length=2048)] | None = None


class CreateTask(_Arguments, frozen=True, kw_only=True):
    """Start a task on media or files; the answer has its id. It goes on by itself: wait_task tells when it is done."""

    kind: Annotated[str, Meta(max_length=64)]
    inputs: Annotated[list[InputIn], Meta(max_length=100)] = []
    options: dict[str, Any] = {}


class WaitTask(_Arguments, frozen=True, kw_only=True):
    """Wait until a task or a run has ended, and see what came of it: the ids of its output files, or its error."""

    id: Id
    timeout_s: Annotated[float, Meta(gt=0, le=21_600)] = 3600.0


class GetTask(_Arguments, frozen=True, kw_only=True):
    """A task as it is now."""

    id: Id


class ListTasks(_Arguments, frozen=True, kw_only=True):
    """The newest tasks."""

    state: Literal["waiting", "queued", "running", "succeeded", "failed", "cancelled"] | None = None
    kind: Annotated[str, Meta(max_length=64)] | None = None
    limit: Annotated[int, Meta(ge=1, le=50)] = 20


class ListFiles(_Arguments, frozen=True, kw_only=True):
    """The newest stored files."""

    limit: Annotated[int, Meta(ge=1, le=50)] = 20


class ReadFile(_Arguments, frozen=True, kw_only=True):
    """The text of a stored file, from a byte on. Only of files that are text."""

    id: Id
    offset: Annotated[int, Meta(ge=0)] = 0
    length: Annotated[int, Meta(ge=1, le=16_384)] = 8192


class SendWebhook(_Arguments, frozen=True, kw_only=True):
    """Post JSON to a public address, once; it is tried again until it is answered well."""

    url: Annotated[str, Meta(min_length=1, max_length=2048)]
    body: Any


class RunPrompt(_Arguments, frozen=True, kw_only=True):
    """Have another run do a part of the work. Unless told not to wait, the answer is what came of it."""

    prompt: Annotated[str, Meta(min_length=1, max_length=200_000)]
    model: Annotated[str, Meta(max_length=200)] | None = None
    wait: bool = True


class ListSchedules(_Arguments, frozen=True, kw_only=True):
    """The scheduled prompts of the account, or of one of its artists."""

    artist_account_id: Annotated[str, Meta(max_length=64)] | None = None
    limit: Annotated[int, Meta(ge=1, le=50)] = 20


A = TypeVar("A", bound=_Arguments)


class Steps(Protocol):
    """What is asked of the table of steps."""

    async def made(self, task_id: str, number: int) -> str | None: ...
    async def schedules(
        self,
        project_id: str,
        *,
        id: str | None = None,
        name: str | None = None,
        artist_id: str | None = None,
        limit: int = 1,
    ) -> Sequence[Mapping[str, Any]]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """The verbs of this server, as far as functions need them. kinds: every kind by name, with what it is missing."""

    tasks: Tasks
    files: Files
    steps: Steps
    accept: Callable[[Accept], Awaitable[tuple[str, bool]]]
    kinds: Callable[[], Mapping[str, tuple[Any, str | None]]]
    check_url: Callable[[str], None]


@dataclass(frozen=True, slots=True)
class _Call:
    """One call with the run that makes it."""

    server: Server
    doing: Doing

    @property
    def caller(self) -> Caller:
        return Caller(project_id=self.doing.task.project_id, key_id=KeyId(""), role=Role.MEMBER)

    async def task(self, id: str) -> Task:
        """A task of the project."""
        return await self.server.tasks.get(self.caller, id)

    async def ended(self, id: str, timeout_s: float) -> Task:
        """The task once it has ended, or as it is then."""
        task = await self.task(id)
        if task.state.final:
            return task
        async with self.doing.clock.waiting():
            try:
                async with asyncio.timeout(timeout_s):
                    while not task.state.final:
                        task = await self.server.tasks.wait(self.caller, id, _LOOK_S)
            except TimeoutError:
                task = await self.task(id)
        return task

    async def start(self, new: NewTask, accept: Accept | None = None) -> str:
        """A task that this step makes, once."""
        if self.doing.again and (made := await self.server.steps.made(self.doing.task.id, self.doing.number)):
            return made
        keyed = replace(
            new,
            extra={**new.extra, "step": self.doing.number},
            origin=replace(new.origin, caller_id=self.doing.task.id),
            idempotency_key=f"{self.doing.task.id} {self.doing.number}",
        )
        checked = await self.server.tasks.check(self.caller, keyed)
        id, _ = await self.server.accept(replace(checked, scope=_SCOPE, body_hash=body_hash(keyed)))
        return id


async def _list_kinds(call: _Call, asked: ListKinds) -> Any:
    kinds = {name: found for name, found in call.server.kinds().items() if name != KIND}
    if asked.name is None:
        return [_kind(kind, off) for kind, off in kinds.values()]
    if asked.name not in kinds:
        raise NotFound("kind", asked.name)
    kind, off = kinds[asked.name]
    return {**_kind(kind, off), "options": msgspec.json.schema(kind.options)}


def _kind(kind: Any, off: str | None) -> dict[str, Any]:
    least, most = kind.inputs
    found = {"name": kind.name, "summary": kind.summary, "inputs": least if least == most else f"{least} to {most}"}
    return found if off is None else {**found, "off": off}


async def _create_task(call: _Call, asked: CreateTask) -> Any:
    if asked.kind == KIND:
        raise Invalid("kind", "of a prompt: use run_prompt.")
    inputs = [Source(file=source.file, url=source.url) for source in asked.inputs]
    id = await call.start(NewTask(kind=asked.kind, inputs=inputs, options=asked.options))
    return _task(await call.task(id))


async def _wait_task(call: _Call, asked: WaitTask) -> Any:
    if asked.id == call.doing.task.id:
        raise Invalid("id", "is this run itself.")
    return _task(await call.ended(asked.id, asked.timeout_s))


async def _get_task(call: _Call, asked: GetTask) -> Any:
    return _task(await call.task(asked.id))


async def _list_tasks(call: _Call, asked: ListTasks) -> Any:
    states = [State(asked.state)] if asked.state is not None else None
    kinds = [asked.kind] if asked.kind is not None else None
    found = await call.server.tasks.list(call.caller, Page(limit=asked.limit), Filter(states=states, kinds=kinds))
    return [_task(task) for task in found.items]


async def _list_files(call: _Call, asked: ListFiles) -> Any:
    found = await call.server.files.list(call.caller, Page(limit=asked.limit))
    return [_file(file) for file in found.items]


async def _read_file(call: _Call, asked: ReadFile) -> Any:
    file = await call.server.files.get(call.caller, asked.id)
    if not file.ready:
        raise Invalid("id", "has no bytes yet.")
    start, end = min(asked.offset, file.size_bytes), min(asked.offset + asked.length, file.size_bytes)
    first = await _joined(call.server.files.read(file, 0, min(_HEAD, file.size_bytes)))
    content = await _joined(call.server.files.read(file, start, end)) if start < end else b""
    if b"\0" in first + content:
        raise Invalid("id", f"is no text but {file.mime}.")
    return {**_file(file), "offset": start, "text": content.decode("utf-8", "replace"), "more": end < file.size_bytes}


async def _joined(chunks: AsyncIterator[bytes]) -> bytes:
    return b"".join([bytes(chunk) async for chunk in chunks])


async def _send_webhook(call: _Call, asked: SendWebhook) -> Any:
    call.server.check_url(asked.url)
    if not asked.url.startswith(("http://", "https://")):
        raise Invalid("url", "must begin with http:// or https://.")
    if len(msgspec.json.encode(asked.body)) > _MOST_BODY:
        raise Invalid("body", f"must be at most {_MOST_BODY} bytes of JSON.")
    return Told(ok=True, result={"sent": True}, webhook=Webhook(url=asked.url, body=asked.body))


async def _run_prompt(call: _Call, asked: RunPrompt) -> Any:
    own = call.doing.task
    new = NewPrompt(
        prompt=asked.prompt,
        model=asked.model or own.options.get("model"),
        settings=Settings(max_attempts=own.max_attempts, tags=own.origin.tags, priority=own.priority),
        server_tags=own.origin.tags,
        function="triggerAndWait" if asked.wait else "trigger",
        caller_id=own.id,
        dialect=own.dialect,
    )
    id = await call.start(as_task(new))
    task = await (call.ended(id, 21_600.0) if asked.wait else call.task(id))
    output = task.details.get("output")
    text = output.get("text") if isinstance(output, dict) else output
    return {**_task(task), **({"output": text} if text is not None else {})}


async def _list_schedules(call: _Call, asked: ListSchedules) -> Any:
    found = await call.server.steps.schedules(
        call.doing.task.project_id, artist_id=asked.artist_account_id, limit=asked.limit
    )
    return [
        {
            "id": row["uuid"],
            "title": row["title"],
            "prompt": row["prompt"],
            "schedule": row["cron"],
            "timezone": row["zone"],
            "enabled": row["enabled"] is not False,
            "artist_account_id": row["artist_id"],
            "next": row["next_at"].isoformat() if row["next_at"] else None,
        }
        for row in found
    ]


def _task(task: Task) -> dict[str, Any]:
    found: dict[str, Any] = {"id": task.id, "kind": task.kind, "state": task.state.value}
    if not task.state.final:
        found["progress"] = round(task.progress, 3)
    if task.outputs:
        found["outputs"] = [{"role": o.role, **_file(o.file)} for o in task.outputs if o.file is not None]
    if task.error is not None:
        found["error"] = {"code": task.error.code, "message": task.error.message}
    if task.details and task.kind != KIND:
        found["details"] = dict(task.details)
    return found


def _file(file: File) -> dict[str, Any]:
    return {"id": file.id, "filename": file.filename, "mime": file.mime, "size_bytes": file.size_bytes}


_FUNCTIONS: Mapping[str, tuple[type[_Arguments], Callable[[_Call, Any], Awaitable[Any]]]] = {
    "list_kinds": (ListKinds, _list_kinds),
    "create_task": (CreateTask, _create_task),
    "wait_task": (WaitTask, _wait_task),
    "get_task": (GetTask, _get_task),
    "list_tasks": (ListTasks, _list_tasks),
    "list_files": (ListFiles, _list_files),
    "read_file": (ReadFile, _read_file),
    "send_webhook": (SendWebhook, _send_webhook),
    "run_prompt": (RunPrompt, _run_prompt),
    "list_schedules": (ListSchedules, _list_schedules),
}


def _definition(name: str, arguments: type[_Arguments]) -> dict[str, Any]:
    schema = msgspec.json.schema_components([arguments], ref_template="#/$defs/{name}")
    (_,), parts = schema
    own = parts.pop(arguments.__name__)
    parameters = {key: value for key, value in own.items() if key not in ("title", "description")}
    if parts:
        parameters["$defs"] = parts
    return {"name": name, "description": own.get("description", ""), "parameters": parameters}


_DEFINITIONS = [_definition(name, arguments) for name, (arguments, _) in _FUNCTIONS.items()]


class Calls:
    """The functions, for one server."""

    creates = frozenset(("create_task", "run_prompt"))
    """Functions whose result has the id of a task that they made."""

    def __init__(self, server: Server) -> None:
        self._server = server

    @property
    def definitions(self) -> Sequence[Mapping[str, Any]]:
        """Name, description and JSON schema of the parameters of each."""
        return _DEFINITIONS

    def bind(self, name: str, arguments: Any) -> Callable[[Doing], Awaitable[Told]]:
        """The effect of a call, for the journal to have done."""

        async def do(doing: Doing) -> Told:
            try:
                return await self._do(name, arguments, _Call(self._server, doing))
            except LimitReached as error:
                return _refused(f"{error} Try again in {error.retry_after_s:.0f} s.")
            except Rejected as error:
                return _refused(str(error))
            except Failed:
                raise
            except MediamillError as error:
                raise CallFailed(f"{name} failed: {error}") from error
            except OSError as error:
                raise CallFailed(f"{name} failed: this server could not do it now.") from error

        return do

    async def _do(self, name: str, arguments: Any, call: _Call) -> Told:
        if name not in _FUNCTIONS:
            return _refused(f"There is no function {name[:64]!r}; there are {', '.join(_FUNCTIONS)}.")
        if not isinstance(arguments, dict):
            return _refused("The arguments are no JSON object.")
        wanted, do = _FUNCTIONS[name]
        try:
            asked = msgspec.convert(arguments, wanted)
        except msgspec.ValidationError as error:
            raise invalid_option(error, "arguments") from error
        found = await do(call, asked)
        told = found if isinstance(found, Told) else Told(ok=True, result=found)
        return replace(told, result=_bounded(told.result))


def _refused(reason: str) -> Told:
    return Told(ok=False, result={"error": reason})


def _bounded(result: Any) -> Any:
    """What fits a conversation; the beginning of what does not, as text."""
    encoded = msgspec.json.encode(result)
    if len(encoded) <= _MOST_RESULT:
        return msgspec.json.decode(encoded)
    kept = encoded[:_MOST_RESULT].decode("utf-8", "ignore")
    if isinstance(result, dict) and "id" in result:
        return {"id": result["id"], "state": result.get("state"), "truncated": kept}
    return {"truncated": kept}
