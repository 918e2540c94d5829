"""The native dialect's resources: tasks, files, keys, capabilities, health."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, cast
from urllib.parse import quote

import msgspec
from litestar import Litestar, MediaType, Request, Response, delete, get, post
from litestar.datastructures import State as AppState
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi import OpenAPIConfig, ResponseSpec
from litestar.openapi.spec import Components, SecurityScheme
from litestar.params import Parameter
from litestar.response import Stream
from litestar.response.redirect import Redirect

from mediamill import __version__
from mediamill.core import tasks as core
from mediamill.core.access import Caller
from mediamill.core.errors import Invalid, MediamillError
from mediamill.dialects import Answer, App, Links, Site
from mediamill.dialects import load as load_dialects
from mediamill.dialects.mill import wire
from mediamill.dialects.mill.capabilities import read_capabilities
from mediamill.dialects.mill.errors import MEDIA_TYPE, Problem, problem, write_error
from mediamill.dialects.mill.forms import file_part
from mediamill.dialects.mill.uploads import router as uploads_router
from mediamill.service.tasks import invalid_option

_JSON_BYTES = 1 << 20
Req = Request[Any, Any, AppState]
Limit = Annotated[int, Parameter(ge=1, le=100, description="Rows of the page.")]
Wait = Annotated[float | None, Parameter(ge=0, le=60, description="Seconds to wait for the end.")]
Words = Annotated[str | None, Parameter(description="Comma list.", max_length=500)]
StateWords = Annotated[str | None, Parameter(query="state", description="Comma list.", max_length=500)]
CursorWord = Annotated[str | None, Parameter(description="A cursor from `next` or `prev`.", max_length=200)]

_PROBLEMS = {
    400: "The request cannot be read.",
    401: "No key, or one that is not known.",
    403: "The key may not do this.",
    404: "No such thing in this project.",
    405: "Not with this method.",
    409: "The thing's state forbids this.",
    413: "Too many bytes.",
    415: "Not a body this takes.",
    422: "A field does not hold what it must.",
    429: "Too many calls.",
}
PROBLEMS = {
    status: ResponseSpec(data_container=Problem, description=text, media_type=MEDIA_TYPE)
    for status, text in _PROBLEMS.items()
}


def json(value: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response[bytes]:
    """A struct as a JSON response; encoded here, because Litestar's own way round costs three times as much."""
    return Response(msgspec.json.encode(value), status_code=status, media_type=MediaType.JSON, headers=headers or {})


def respond(answer: Answer) -> Response[bytes]:
    """A finished answer as Litestar's."""
    return Response(answer.body, status_code=answer.status, media_type=answer.media_type, headers=dict(answer.headers))


async def read_body(request: Req, shape: type[Any]) -> Any:
    """The JSON body as a struct. Raises Invalid with the field; malformed JSON is told apart by an empty field."""
    raw = await request.body()
    try:
        return msgspec.json.decode(raw, type=shape)
    except msgspec.ValidationError as error:
        found = invalid_option(error, "")
        raise Invalid(found.field.strip("."), found.reason) from None
    except msgspec.DecodeError as error:
        raise Malformed(f"The body is not JSON: {error}.") from None


class Malformed(MediamillError):
    """The body cannot be read as JSON at all."""

    code = "malformed"


def _secret(request: Req) -> str | None:
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and secret.strip():
        return secret.strip()
    return request.headers.get("x-api-key")


def page_of(limit: int, after: str | None, before: str | None, order: str = "desc") -> core.Page:
    """The page a query asks for."""
    if order not in ("desc", "asc"):
        raise Invalid("order", "must be desc or asc.")
    return core.Page(
        limit=limit,
        ascending=order == "asc",
        after=wire.read_cursor("after", after),
        before=wire.read_cursor("before", before),
    )


def filter_of(
    state: str | None, kind: str | None, dialect: str | None, run_id: str | None, q: str | None
) -> core.Filter:
    """The filter a query asks for."""
    states = None
    if state is not None:
        try:
            states = [core.State(word) for word in split(state)]
        except ValueError:
            raise Invalid("state", f"must be of {', '.join(core.State)}.") from None
    return core.Filter(
        states=states,
        kinds=split(kind) if kind is not None else None,
        dialects=split(dialect) if dialect is not None else None,
        run_id=run_id,
        text=q.strip() or None if q is not None else None,
    )


def split(words: str) -> list[str]:
    """A comma list as its words."""
    if "\0" in words:
        raise Invalid("query", "holds a NUL character.")
    return [word.strip() for word in words.split(",") if word.strip()]


def ends(page: core.Page, items: Sequence[Any], more: bool) -> tuple[str | None, str | None]:
    """(next, prev) cursors of a page."""
    if not items:
        return None, None
    backward = page.before is not None and page.after is None
    first, last = items[0], items[-1]
    following = more if not backward else True
    preceding = page.after is not None if not backward else more
    return (
        wire.write_cursor(last.created_at, last.id) if following else None,
        wire.write_cursor(first.created_at, first.id) if preceding else None,
    )


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

    async def caller(request: Req) -> Caller:
        found = await service.keys.caller(_secret(request))
        service.keys.spend(found, "mill", settings.requests_per_minute)
        return found

    @post(
        "/tasks",
        responses={200: ResponseSpec(wire.TaskOut, description="Made before with this key."), **PROBLEMS},
        status_code=201,
        tags=["tasks"],
        operation_id="createTask",
        request_max_body_size=_JSON_BYTES,
    )
    async def create_task(
        request: Req,
        caller: Caller,
        data: Annotated[wire.TaskIn | None, Parameter()] = None,
        idempotency_key: Annotated[
            str | None, Parameter(header="Idempotency-Key", max_length=255, min_length=1)
        ] = None,
        wait: Wait = None,
    ) -> Response[bytes]:
        """Accept a task durably. With `wait`, the answer comes when it has ended or the time is up."""
        body = data or await read_body(request, wire.TaskIn)
        task, fresh = await service.tasks.create(caller, wire.read_task(body, idempotency_key))
        if wait:
            task = await service.tasks.wait(caller, task.id, wait)
        out = wire.write_task(task, site.links(request.scope))
        return json(out, 201 if fresh else 200, {"location": out.links.self})

    @get("/tasks", responses=PROBLEMS, tags=["tasks"], operation_id="listTasks")
    async def list_tasks(
        request: Req,
        caller: Caller,
        limit: Limit = 20,
        after: CursorWord = None,
        before: CursorWord = None,
        order: Annotated[str, Parameter(pattern="^(asc|desc)$")] = "desc",
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

    @get("/tasks/{task_id:str}", responses=PROBLEMS, tags=["tasks"], operation_id="getTask")
    async def get_task(request: Req, caller: Caller, task_id: str, wait: Wait = None) -> Response[bytes]:
        """One task with its attempts. With `wait`, once it has ended or the time is up."""
        task = await (service.tasks.wait(caller, task_id, wait) if wait else service.tasks.get(caller, task_id))
        return json(wire.write_task(task, site.links(request.scope)))

    @get("/tasks/{task_id:str}/as/{dialect:str}", responses=PROBLEMS, tags=["tasks"], operation_id="getTaskAs")
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

    @post("/tasks/{task_id:str}/cancel", responses=PROBLEMS, status_code=200, tags=["tasks"], operation_id="cancelTask")
    async def cancel_task(request: Req, caller: Caller, task_id: str) -> Response[bytes]:
        """Stop a task; its processes are gone within a second."""
        return json(wire.write_task(await service.tasks.cancel(caller, task_id), site.links(request.scope)))

    @post("/tasks/{task_id:str}/retry", responses=PROBLEMS, tags=["tasks"], operation_id="retryTask")
    async def retry_task(request: Req, caller: Caller, task_id: str) -> Response[bytes]:
        """A new task that asks the same as a failed or cancelled one."""
        out = wire.write_task(await service.tasks.retry(caller, task_id), site.links(request.scope))
        return json(out, 201, {"location": out.links.self})

    @get(
        "/tasks/{task_id:str}/events",
        responses=PROBLEMS,
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

    @get("/events", responses=PROBLEMS, tags=["tasks"], operation_id="followTasks", media_type="text/event-stream")
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
        responses={202: ResponseSpec(wire.TaskOut, description="A URL is being fetched."), **PROBLEMS},
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
            if int(request.headers.get("content-length", "0") or 0) > _JSON_BYTES:
                raise Invalid("", "The body is too large for JSON.")
            body: wire.FileIn = await read_body(request, wire.FileIn)
            if body.url is not None:
                source = core.Source(url=body.url, filename=body.filename)
                task, _ = await service.tasks.create(caller, core.NewTask(kind="ingest", inputs=[source]))
                out = wire.write_task(task, links)
                return json(out, 202, {"location": out.links.self})
            if body.filename is None or body.size_bytes is None:
                raise Invalid("", "Needs filename and size_bytes, or a url.")
            file = await service.files.register(
                caller, filename=body.filename, mime=body.mime, size_bytes=body.size_bytes, dialect="mill"
            )
        made = wire.write_file(file, links)
        return json(made, 201, {"location": made.links.self})

    @get("/files", responses=PROBLEMS, tags=["files"], operation_id="listFiles")
    async def list_files(
        request: Req,
        caller: Caller,
        limit: Limit = 20,
        after: CursorWord = None,
        before: CursorWord = None,
        order: Annotated[str, Parameter(pattern="^(asc|desc)$")] = "desc",
    ) -> Response[bytes]:
        """The project's files, newest first."""
        page = page_of(limit, after, before, order)
        found = await service.files.list(caller, page)
        links = site.links(request.scope)
        next_, prev = ends(page, found.items, found.more)
        out = wire.FilePage(data=[wire.write_file(f, links) for f in found.items], next=next_, prev=prev)
        return json(out, headers=link_header(request, links, next_, prev))

    @get("/files/{file_id:str}", responses=PROBLEMS, tags=["files"], operation_id="getFile")
    async def get_file(request: Req, caller: Caller, file_id: str) -> Response[bytes]:
        """One file."""
        return json(wire.write_file(await service.files.get(caller, file_id), site.links(request.scope)))

    @get("/files/{file_id:str}/content", responses=PROBLEMS, status_code=302, tags=["files"], operation_id="readFile")
    async def read_file(request: Req, caller: Caller, file_id: str) -> Redirect:
        """The bytes, by way of a signed URL."""
        file = await service.files.get(caller, file_id)
        return Redirect(site.links(request.scope).download(await service.files.for_download(file.id)), status_code=302)

    @delete("/files/{file_id:str}", responses=PROBLEMS, tags=["files"], operation_id="deleteFile")
    async def delete_file(caller: Caller, file_id: str) -> None:
        """Forget a file and its bytes now."""
        await service.files.delete(caller, file_id)

    @get("/keys", responses=PROBLEMS, tags=["keys"], operation_id="listKeys")
    async def list_keys(caller: Caller) -> Response[bytes]:
        """The project's keys; administrators only."""
        return json(wire.KeyPage(data=[wire.write_key(key) for key in await service.keys.list(caller)]))

    @post("/keys", responses=PROBLEMS, tags=["keys"], operation_id="createKey", request_max_body_size=_JSON_BYTES)
    async def create_key(
        request: Req, caller: Caller, data: Annotated[wire.KeyIn | None, Parameter()] = None
    ) -> Response[bytes]:
        """A new key; its secret is shown this once. Administrators only."""
        body: wire.KeyIn = data or await read_body(request, wire.KeyIn)
        key, secret = await service.keys.create(caller, name=body.name, role=body.role, project_id=body.project_id)
        return json(wire.write_key(key, secret), 201)

    @delete("/keys/{key_id:str}", responses=PROBLEMS, tags=["keys"], operation_id="revokeKey")
    async def revoke_key(caller: Caller, key_id: str) -> None:
        """End a key; administrators only."""
        await service.keys.revoke(caller, key_id)

    @get("/capabilities", tags=["server"], operation_id="getCapabilities", security=[{}])
    async def get_capabilities() -> Response[bytes]:
        """Kinds with their options, conversions that work here, engines that are off and why."""
        return Response(capabilities, media_type=MediaType.JSON)

    @get("/health", tags=["server"], operation_id="getHealth", security=[{}])
    async def health() -> dict[str, str]:
        """Whether the process answers."""
        return {"status": "ok"}

    @get("/version", tags=["server"], operation_id="getVersion", security=[{}])
    async def version() -> dict[str, str]:
        """What runs here."""
        return {"name": "mediamill", "version": __version__}

    @get(
        "/ready",
        tags=["server"],
        operation_id="getReady",
        security=[{}],
        responses={503: ResponseSpec(Ready, description="Something it needs is away.")},
    )
    async def ready() -> Response[bytes]:
        """Whether the database, the files and a worker are there."""
        checks = dict(await site.health())
        good = all(value == "ok" for value in checks.values())
        return json(Ready(status="ok" if good else "unavailable", checks=checks), 200 if good else 503)

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
            uploads_router(site, PROBLEMS, _worded, _http),
        ],
        dependencies={"caller": Provide(caller)},
        exception_handlers={
            MediamillError: lambda request, error: respond(_worded(error)),
            HTTPException: lambda request, error: respond(_http(error)),
        },
        openapi_config=OpenAPIConfig(
            title="Mediamill",
            version=__version__,
            path="/openapi.json",
            components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
            security=[{"key": []}],
        ),
        logging_config=None,
    )
    return cast("App", app)


class Ready(msgspec.Struct):
    """Checks by name: "ok", or what is wrong."""

    status: str
    checks: dict[str, str]


def _worded(error: MediamillError) -> Answer:
    if isinstance(error, Malformed):
        return problem(400, "malformed", str(error))
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
            field=first.get("key"),
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
