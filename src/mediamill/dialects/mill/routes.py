"""The native dialect's resources: tasks, files, keys, capabilities, health."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
import structlog
from litestar import Litestar, MediaType, Response, delete, get, post
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.params import HeaderParameter, Parameter, QueryParameter
from litestar.response import Stream
from litestar.response.redirect import Redirect

from mediamill import __version__
from mediamill.core import tasks as core
from mediamill.core.access import Caller
from mediamill.core.errors import Invalid, MediamillError
from mediamill.dialects import Answer, App, Links, Site
from mediamill.dialects import load as load_dialects
from mediamill.dialects.mill import openapi, wire
from mediamill.dialects.mill.accounts import router as accounts_router
from mediamill.dialects.mill.automations import router as automations_router
from mediamill.dialects.mill.connections import router as connections_router
from mediamill.dialects.mill.errors import problem, write_error
from mediamill.dialects.mill.following import router as following_router
from mediamill.dialects.mill.project import router as project_router
from mediamill.dialects.mill.prompts import router as prompts_router
from mediamill.dialects.mill.requests import (
    CursorWord,
    Limit,
    Malformed,
    NotJson,
    Order,
    Queries,
    Req,
    ends,
    filter_of,
    page_of,
    read_body,
    secret_of,
)
from mediamill.dialects.mill.responses import json, problems, says
from mediamill.dialects.mill.runs import router as runs_router
from mediamill.dialects.mill.schedules import router as schedules_router
from mediamill.dialects.mill.shell import with_allow, with_head
from mediamill.dialects.mill.uploads import router as uploads_router
from mediamill.dialects.mill.webhooks import router as webhooks_router
from mediamill.web.capabilities import Capabilities, read_capabilities
from mediamill.web.forms import file_part

log = structlog.get_logger()

Wait = Annotated[float | None, Parameter(ge=0, le=60, description="Seconds to wait for the end.")]
Words = Annotated[str | None, Parameter(description="Comma list.", max_length=500)]
StateWords = Annotated[str | None, QueryParameter(name="state", description="Comma list.", max_length=500)]


def respond(answer: Answer) -> Response[bytes]:
    """A finished answer as Litestar's."""
    return Response(answer.body, status_code=answer.status, media_type=answer.media_type, headers=dict(answer.headers))


def link_header(request: Req, links: Links, next_: str | None, prev: str | None) -> dict[str, str]:
    """RFC 8288 links of a page, with all of its other parameters kept."""
    kept = [(k, v) for k, v in request.query_params.multi_items() if k not in ("after", "before")]
    found = []
    for relation, name, cursor in (("next", "after", next_), ("prev", "before", prev)):
        if cursor is not None:
            query = "&".join(f"{quote(k, safe='')}={quote(v, safe='')}" for k, v in [*kept, (name, cursor)])
            path = request.scope.get("path", "")
            found.append(f'<{links.base}{path}?{query}>; rel="{relation}"')
    return {"link": ", ".join(found)} if found else {}


def build(site: Site) -> App:
    """The dialect's app, served below /mill."""
    service, settings = site.service, site.settings
    capabilities = msgspec.json.encode(read_capabilities(site.engines))
    queries = Queries()

    async def caller(request: Req) -> Caller:
        found = await service.keys.caller(secret_of(request))
        service.keys.spend(found, "mill", settings.requests_per_minute)
        queries.check(request)
        return found

    task_or_404 = {200: says(wire.TaskOut, "The task."), **problems(404)}

    @post(
        "/tasks",
        responses={
            200: says(wire.TaskOut, "Made before with this idempotency key."),
            201: says(wire.TaskOut, "The task."),
            **problems(404, 413, 415),
        },
        status_code=201,
        tags=["tasks"],
        operation_id="createTask",
    )
    async def create_task(
        request: Req,
        caller: Caller,
        idempotency_key: Annotated[
            str | None, HeaderParameter(name="Idempotency-Key", max_length=255, min_length=1)
        ] = None,
        wait: Wait = None,
    ) -> Response[bytes]:
        """Accept a task durably. With `wait`, the answer comes when it has ended or the time is up."""
        body = await read_body(request, wire.TaskIn)
        task, fresh = await service.tasks.create(caller, wire.read_task(body, idempotency_key))
        if wait:
            task = await service.tasks.wait(caller, task.id, wait)
        out = wire.write_task(task, site.links(request.scope))
        return json(out, 201 if fresh else 200, {"location": out.links.self})

    @get(
        "/tasks",
        responses={200: says(wire.TaskPage, "A page."), **problems()},
        tags=["tasks"],
        operation_id="listTasks",
    )
    async def list_tasks(
        request: Req,
        caller: Caller,
        limit: Limit = 20,
        after: CursorWord = None,
        before: CursorWord = None,
        order: Order = "desc",
        states: StateWords = None,
        kind: Words = None,
        dialect: Words = None,
        run_id: Annotated[str | None, Parameter(pattern="^[a-z0-9]{1,64}$")] = None,
        q: Annotated[str | None, Parameter(max_length=200)] = None,
    ) -> Response[bytes]:
        """The project's tasks, newest first."""
        page = page_of(limit, after, before, order)
        found = await service.tasks.list(caller, page, filter_of(states, kind, dialect, run_id, q))
        links = site.links(request.scope)
        next_, prev = ends(page, found.items, found.more)
        out = wire.TaskPage(data=[wire.write_task(t, links) for t in found.items], next=next_, prev=prev)
        return json(out, headers=link_header(request, links, next_, prev))

    @get("/tasks/{task_id:str}", responses=task_or_404, tags=["tasks"], operation_id="getTask")
    async def get_task(request: Req, caller: Caller, task_id: str, wait: Wait = None) -> Response[bytes]:
        """One task with its attempts. With `wait`, once it has ended or the time is up."""
        task = await (service.tasks.wait(caller, task_id, wait) if wait else service.tasks.get(caller, task_id))
        return json(wire.write_task(task, site.links(request.scope)))

    @get(
        "/tasks/{task_id:str}/as/{dialect:str}",
        responses={200: says(dict[str, Any], "The task in the dialect's own words."), **problems(404)},
        tags=["tasks"],
        operation_id="getTaskAs",
    )
    async def get_task_as(request: Req, caller: Caller, task_id: str, dialect: str) -> Response[bytes]:
        """The same task as another dialect words it."""
        task = await service.tasks.get(caller, task_id)
        links = site.links(request.scope)
        for known in load_dialects():
            if known.name == dialect:
                base = links.origin + known.prefix
                worded = known.write_task(task, replace(links, base=base))
                if worded is None:
                    break
                return json(worded)
        raise Invalid("dialect", f"{dialect} has no words for this task.")

    @post(
        "/tasks/{task_id:str}/cancel",
        responses={200: says(wire.TaskOut, "The task."), **problems(404, 409)},
        status_code=200,
        tags=["tasks"],
        operation_id="cancelTask",
    )
    async def cancel_task(request: Req, caller: Caller, task_id: str) -> Response[bytes]:
        """Stop a task; its processes are gone within a second."""
        return json(wire.write_task(await service.tasks.cancel(caller, task_id), site.links(request.scope)))

    @post(
        "/tasks/{task_id:str}/retry",
        responses={201: says(wire.TaskOut, "The new task."), **problems(404, 409)},
        tags=["tasks"],
        operation_id="retryTask",
    )
    async def retry_task(request: Req, caller: Caller, task_id: str) -> Response[bytes]:
        """A new task that asks the same as a failed or cancelled one."""
        out = wire.write_task(await service.tasks.retry(caller, task_id), site.links(request.scope))
        return json(out, 201, {"location": out.links.self})

    @get(
        "/tasks/{task_id:str}/events",
        responses={200: says(str, "Events named `task`; data is the task.", "text/event-stream"), **problems(404)},
        tags=["tasks"],
        operation_id="followTask",
        media_type="text/event-stream",
    )
    async def follow_task(request: Req, caller: Caller, task_id: str) -> Stream:
        """The task at each change, as server-sent events, to its end."""
        await service.tasks.get(caller, task_id)
        links = site.links(request.scope)

        async def events() -> AsyncIterator[bytes]:
            async for task in service.tasks.follow(caller, task_id):
                yield b"event: task\ndata: " + msgspec.json.encode(wire.write_task(task, links)) + b"\n\n"

        return Stream(events(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    @get(
        "/events",
        responses={200: says(str, "Events named `task`; data is the task.", "text/event-stream"), **problems()},
        tags=["tasks"],
        operation_id="followTasks",
        media_type="text/event-stream",
    )
    async def follow_all(request: Req, caller: Caller) -> Stream:
        """Every change of the project's tasks, as server-sent events, from now on."""
        links = site.links(request.scope)

        async def events() -> AsyncIterator[bytes]:
            yield b": hello\n\n"
            async for task in service.tasks.changes(caller):
                yield b"event: task\ndata: " + msgspec.json.encode(wire.write_task(task, links)) + b"\n\n"

        return Stream(events(), media_type="text/event-stream", headers={"cache-control": "no-store"})

    @post(
        "/files",
        responses={
            201: says(wire.FileOut, "The file."),
            202: says(wire.TaskOut, "A URL is being fetched."),
            **problems(413, 415),
        },
        status_code=201,
        tags=["files"],
        operation_id="createFile",
        request_max_body_size=None,
    )
    async def create_file(request: Req, caller: Caller) -> Response[bytes]:
        """Upload (multipart/form-data, field `file`), register for a PUT (JSON), or fetch a URL (JSON: 202)."""
        links = site.links(request.scope)
        kind, options = request.content_type
        if kind == "multipart/form-data":
            part = await file_part(request.stream(), options.get("boundary", ""))
            file = await service.files.store(
                caller, part.chunks, filename=part.filename, mime=part.mime, dialect="mill"
            )
        else:
            body = await read_body(request, wire.FileIn)
            if body.url is not None:
                source = core.Source(url=body.url, filename=body.filename)
                new = core.NewTask(kind="ingest", inputs=[source], extra={"new_media": True})
                try:
                    task, _ = await service.tasks.create(caller, new)
                except Invalid as error:
                    if not error.field.startswith("inputs.0."):
                        raise
                    raise type(error)(error.field.removeprefix("inputs.0."), error.reason) from None  # as it was sent
                out = wire.write_task(task, links)
                return json(out, 202, {"location": out.links.self})
            if body.filename is None or body.size_bytes is None:
                raise Invalid("", "Needs filename and size_bytes, or a url.")
            file = await service.files.register(
                caller, filename=body.filename, mime=body.mime, size_bytes=body.size_bytes, dialect="mill"
            )
        made = wire.write_file(file, links)
        return json(made, 201, {"location": made.links.self})

    @get(
        "/files",
        responses={200: says(wire.FilePage, "A page."), **problems()},
        tags=["files"],
        operation_id="listFiles",
    )
    async def list_files(
        request: Req,
        caller: Caller,
        limit: Limit = 20,
        after: CursorWord = None,
        before: CursorWord = None,
        order: Order = "desc",
    ) -> Response[bytes]:
        """The project's files, newest first."""
        page = page_of(limit, after, before, order)
        found = await service.files.list(caller, page)
        links = site.links(request.scope)
        next_, prev = ends(page, found.items, found.more)
        out = wire.FilePage(data=[wire.write_file(f, links) for f in found.items], next=next_, prev=prev)
        return json(out, headers=link_header(request, links, next_, prev))

    @get(
        "/files/{file_id:str}",
        responses={200: says(wire.FileOut, "The file."), **problems(404)},
        tags=["files"],
        operation_id="getFile",
    )
    async def get_file(request: Req, caller: Caller, file_id: str) -> Response[bytes]:
        """One file."""
        return json(wire.write_file(await service.files.get(caller, file_id), site.links(request.scope)))

    @get(
        "/files/{file_id:str}/content",
        responses={302: says(None, "Where the bytes are."), **problems(404)},
        status_code=302,
        tags=["files"],
        operation_id="readFile",
    )
    async def read_file(request: Req, caller: Caller, file_id: str) -> Redirect:
        """The bytes, by way of a signed URL."""
        file = await service.files.get(caller, file_id)
        return Redirect(site.links(request.scope).download(await service.files.for_download(file.id)), status_code=302)

    @delete("/files/{file_id:str}", responses=problems(404), tags=["files"], operation_id="deleteFile")
    async def delete_file(caller: Caller, file_id: str) -> None:
        """Forget a file and its bytes now."""
        await service.files.delete(caller, file_id)

    @get("/keys", responses={200: says(wire.KeyPage, "Keys."), **problems(403)}, tags=["keys"], operation_id="listKeys")
    async def list_keys(caller: Caller) -> Response[bytes]:
        """The project's keys; administrators only."""
        return json(wire.KeyPage(data=[wire.write_key(key) for key in await service.keys.list(caller)]))

    @post(
        "/keys",
        responses={201: says(wire.KeyOut, "The key."), **problems(403, 413, 415)},
        tags=["keys"],
        operation_id="createKey",
    )
    async def create_key(request: Req, caller: Caller) -> Response[bytes]:
        """A new key; its secret is shown this once. Administrators only."""
        body = await read_body(request, wire.KeyIn)
        key, secret = await service.keys.create(caller, name=body.name, role=body.role, project_id=body.project_id)
        return json(wire.write_key(key, secret), 201)

    @delete("/keys/{key_id:str}", responses=problems(403, 404), tags=["keys"], operation_id="revokeKey")
    async def revoke_key(caller: Caller, key_id: str) -> None:
        """End a key; administrators only."""
        await service.keys.revoke(caller, key_id)

    @get(
        "/capabilities",
        responses={200: says(Capabilities, "What works here.")},
        tags=["server"],
        operation_id="getCapabilities",
        security=[{}],
    )
    async def get_capabilities() -> Response[bytes]:
        """Kinds with their options, conversions that work here, engines that are off and why."""
        return Response(capabilities, media_type=MediaType.JSON)

    @get(
        "/health",
        responses={200: says(wire.Health, "It does.")},
        tags=["server"],
        operation_id="getHealth",
        security=[{}],
    )
    async def health() -> Response[bytes]:
        """Whether the process answers."""
        return json(wire.Health(status="ok"))

    @get(
        "/version",
        responses={200: says(wire.Version, "Name and version.")},
        tags=["server"],
        operation_id="getVersion",
        security=[{}],
    )
    async def version() -> Response[bytes]:
        """What runs here."""
        return json(wire.Version(name="mediamill", version=__version__))

    @get(
        "/ready",
        tags=["server"],
        operation_id="getReady",
        security=[{}],
        responses={
            200: says(wire.Ready, "Everything is there."),
            503: says(wire.Ready, "Something it needs is away."),
        },
    )
    async def ready() -> Response[bytes]:
        """Whether the database, the files and a worker are there."""
        checks = dict(await site.health())
        good = all(value == "ok" for value in checks.values())
        return json(wire.Ready(status="ok" if good else "unavailable", checks=checks), 200 if good else 503)

    @get("/openapi.json", include_in_schema=False)
    async def describe() -> Response[bytes]:
        """This interface, as OpenAPI 3.1."""
        return Response(await described(), media_type=MediaType.JSON)

    app = Litestar(
        route_handlers=[
            create_task,
            list_tasks,
            get_task,
            get_task_as,
            cancel_task,
            retry_task,
            follow_task,
            follow_all,
            create_file,
            list_files,
            get_file,
            read_file,
            delete_file,
            list_keys,
            create_key,
            revoke_key,
            get_capabilities,
            health,
            version,
            ready,
            describe,
            runs_router(site),
            prompts_router(site),
            following_router(site),
            project_router(site),
            accounts_router(site),
            webhooks_router(site),
            connections_router(site),
            automations_router(site),
            schedules_router(site),
            uploads_router(site, problems(403, 404, 409, 410, 412, 413, 415, 460), _worded, _http),
        ],
        dependencies={"caller": Provide(caller)},
        exception_handlers={
            MediamillError: lambda request, error: respond(_worded(error)),
            HTTPException: lambda request, error: respond(_http(error)),
            Exception: lambda request, error: respond(_broken(request, error)),
        },
        openapi_config=openapi.config(),
        logging_config=None,
    )
    queries.learn(app)
    described = openapi.Described(app)
    return with_head(with_allow(app))


def _worded(error: MediamillError) -> Answer:
    if isinstance(error, Malformed):
        return problem(400, "malformed", str(error))
    if isinstance(error, NotJson):
        return problem(415, "unsupported_media_type", str(error))
    return write_error(error)


def _http(error: HTTPException) -> Answer:
    """What Litestar itself refuses, in our words."""
    status = error.status_code
    if isinstance(error, ValidationException):
        found: Any = error.extra
        faults = found if isinstance(found, list) else []
        first = faults[0] if faults else {}
        return problem(
            422,
            "invalid",
            "; ".join(str(f.get("message", "")) for f in faults) or error.detail,
            field="Idempotency-Key" if first.get("source") == "header" else first.get("key"),
        )
    codes = {
        400: "malformed",
        404: "not_found",
        405: "method_not_allowed",
        413: "too_large",
        415: "unsupported_media_type",
    }
    answer = problem(
        status,
        codes.get(status, "invalid" if status < 500 else "internal_error"),
        error.detail if status < 500 else "The server failed; its log says more.",
    )
    return Answer(
        status=answer.status,
        media_type=answer.media_type,
        body=answer.body,
        headers={**answer.headers, **(dict(error.headers) if error.headers else {})},
    )


def _broken(request: Req, error: Exception) -> Answer:
    """Something nobody foresaw: told in the log, not to the caller."""
    log.error("request broke", method=request.method, path=request.url.path, exc_info=error)
    return problem(500, "internal_error", "The server failed; its log says more.")
