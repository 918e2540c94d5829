"""The TurboFiles API's resources: files, tasks, the caller. Bodies and queries are read by this dialect's own rules."""

from __future__ import annotations

import hashlib
from typing import Any, cast

import msgspec
import structlog
from litestar import Litestar, Request, Response, delete, get, post
from litestar.datastructures import State
from litestar.exceptions import HTTPException
from litestar.params import FromPath

from mediamill.core.access import Caller
from mediamill.core.errors import Invalid, MediamillError, NotFound, TooLarge
from mediamill.core.tasks import Task
from mediamill.dialects import Answer, App, Links, Scope, Site
from mediamill.dialects.turbofiles import paging, reading, wire
from mediamill.dialects.turbofiles.edge import OPENAPI_PATH, Edge
from mediamill.dialects.turbofiles.errors import MEDIA_TYPE, Fault, write_error
from mediamill.dialects.turbofiles.openapi import describe, methods
from mediamill.dialects.turbofiles.query import Query, page_of, page_url, read_query

log = structlog.get_logger()

_DOCUMENT_BYTES = 1 << 20
Req = Request[Any, Any, State]


def build(site: Site) -> App:
    """The dialect's app, served below /turbofiles and where its claims hold."""
    service, settings = site.service, site.settings
    document = describe(min(settings.turbofiles_max_bytes, settings.max_upload_bytes))
    described = msgspec.json.encode(document)

    async def task_of(request: Req, id: str) -> Task:
        task = await service.tasks.get(_caller(request), reading.read_id(id, "task"))
        if not wire.worded(task):
            raise NotFound("task", id)
        return task

    @post("/v1/files", request_max_body_size=_DOCUMENT_BYTES)
    async def create_file(request: Req) -> Response[bytes]:
        query = _query(request, "fields")
        wanted = reading.read_file(reading.read_document(await request.body()))
        try:
            file = await service.files.register(
                _caller(request),
                filename=wanted.filename,
                mime=wanted.mime,
                size_bytes=wanted.size_bytes,
                dialect=wire.NAME,
                max_bytes=settings.turbofiles_max_bytes,
            )
        except TooLarge as error:
            raise reading.too_large(error) from error
        return _made(wire.file_document(file, _links(request, site), query.fields))

    @get("/v1/files")
    async def list_files(request: Req) -> Response[bytes]:
        query = _query(request, "fields", "page", "sort")
        found = await service.files.list(_caller(request), page_of(query))
        links = _links(request, site)
        meta, around = _around(links.base + "/v1/files", query, found.items, found.more)
        data = [wire.write_file(file, links, query.fields) for file in found.items]
        return _said(wire.FilePage(jsonapi=wire.JSONAPI, meta=meta, links=around, data=data))

    @get("/v1/files/{file_id:str}")
    async def get_file(request: Req, file_id: FromPath[str]) -> Response[bytes]:
        query = _query(request, "fields")
        file = await service.files.get(_caller(request), reading.read_id(file_id, "file"))
        return _said(wire.file_document(file, _links(request, site), query.fields))

    @delete("/v1/files/{file_id:str}")
    async def delete_file(request: Req, file_id: FromPath[str]) -> None:
        _query(request)
        await service.files.delete(_caller(request), reading.read_id(file_id, "file"))

    @post("/v1/tasks", request_max_body_size=_DOCUMENT_BYTES)
    async def create_task(request: Req) -> Response[bytes]:
        query = _query(request, "fields", "include")
        wanted = reading.read_task(reading.read_document(await request.body()))
        try:
            file = await service.files.get(_caller(request), wanted.file)
            if not file.ready:
                raise Fault(422, "file_not_uploaded", f"File {file.id} has no bytes yet.", pointer=wanted.file_at)
            task, _ = await service.tasks.create(_caller(request), reading.new_task(wanted, file))
        except (Invalid, NotFound) as error:
            raise reading.refused(error, wanted) from error
        return _made(wire.task_document(task, _links(request, site), query.include, query.fields))

    @get("/v1/tasks")
    async def list_tasks(request: Req) -> Response[bytes]:
        query = _query(request, "include", "fields", "page", "sort", "filter")
        found = await service.tasks.list(_caller(request), page_of(query), query.filter)
        links = _links(request, site)
        meta, around = _around(links.base + "/v1/tasks", query, found.items, found.more)
        page = wire.TaskPage(
            jsonapi=wire.JSONAPI,
            meta=meta,
            links=around,
            data=[wire.resource_of(task, links, query.fields) for task in found.items],
            included=wire.included(found.items, links, query.include, query.fields),
        )
        return _said(page)

    @get("/v1/tasks/{task_id:str}")
    async def get_task(request: Req, task_id: FromPath[str]) -> Response[bytes]:
        query = _query(request, "include", "fields")
        task = await task_of(request, task_id)
        return _said(wire.task_document(task, _links(request, site), query.include, query.fields))

    @get(["/v1/tasks/{task_id:str}/relationships/input", "/v1/tasks/{task_id:str}/relationships/output"])
    async def get_linkage(request: Req, task_id: FromPath[str]) -> Response[bytes]:
        _query(request)
        task = await task_of(request, task_id)
        return _said(wire.linkage_document(task, _role(request), _links(request, site)))

    @get(["/v1/tasks/{task_id:str}/input", "/v1/tasks/{task_id:str}/output"])
    async def get_related(request: Req, task_id: FromPath[str]) -> Response[bytes]:
        query = _query(request, "fields")
        task = await task_of(request, task_id)
        return _said(wire.related_document(task, _role(request), _links(request, site), query.fields))

    @get("/v1/users/me")
    async def get_user(request: Req) -> Response[bytes]:
        _query(request)
        project = await service.keys.project_of(_caller(request))
        id = "u" + hashlib.sha256(project.id.encode()).hexdigest()[:19]  # opaque, and the same for all of its tokens
        return _said(wire.user_document(project, id, _links(request, site)))

    @get(OPENAPI_PATH)
    async def get_openapi() -> Response[bytes]:
        return Response(described, media_type="application/json")

    routes = Litestar(
        route_handlers=[
            create_file, list_files, get_file, delete_file,
            create_task, list_tasks, get_task, get_linkage, get_related,
            get_user, get_openapi,
        ],
        exception_handlers={
            MediamillError: lambda request, error: _answered(write_error(error)),
            HTTPException: lambda request, error: _answered(write_error(_refused(error))),
            Exception: _broken,
        },
        openapi_config=None,
        logging_config=None,
    )  # fmt: skip
    return Edge(cast(App, routes), site, methods(document))


def _caller(request: Req) -> Caller:
    found: Caller = request.scope["state"]["caller"]
    return found


def _links(request: Req, site: Site) -> Links:
    return site.links(cast(Scope, request.scope))


def _query(request: Req, *allowed: str) -> Query:
    return read_query(request.scope["query_string"], allowed)


def _role(request: Req) -> str:
    return str(request.scope["path"]).rstrip("/").rsplit("/", 1)[1]


def _around(url: str, query: Query, items: Any, more: bool) -> tuple[wire.PageMeta, wire.PageLinks]:
    """What a page says of the pages beside it."""
    ends = None
    if items:
        ends = (
            paging.write_cursor(items[0].created_at, items[0].id),
            paging.write_cursor(items[-1].created_at, items[-1].id),
        )
    prev, following = paging.beside(query.window, ends, more)
    links = wire.PageLinks(prev=page_url(url, query, prev), next=page_url(url, query, following))
    return wire.PageMeta(rangeTruncated=more), links


def _said(document: Any) -> Response[bytes]:
    return Response(msgspec.json.encode(document), media_type=MEDIA_TYPE)


def _made(document: wire.FileDocument | wire.TaskDocument) -> Response[bytes]:
    location = {"location": document.data.links.self}
    return Response(msgspec.json.encode(document), status_code=201, media_type=MEDIA_TYPE, headers=location)


def _answered(answer: Answer) -> Response[bytes]:
    return Response(answer.body, status_code=answer.status, media_type=answer.media_type, headers=dict(answer.headers))


def _refused(error: HTTPException) -> MediamillError:
    """What Litestar itself refuses, in our words."""
    status = error.status_code
    allow = dict(error.headers or {})
    if status == 404:
        return Fault(404, "not_found", "There is nothing at this path.")
    if status == 405:
        return Fault(405, "method_not_allowed", "The path does not take this method.", headers=allow)
    if status == 413:
        return Fault(413, "document_too_large", f"Documents are at most {_DOCUMENT_BYTES} bytes.")
    if status >= 500:
        return Fault(status, "internal_error", "The server failed; its log says more.")
    return Fault(status, "invalid_parameter", "The request cannot be read.")


def _broken(request: Req, error: Exception) -> Response[bytes]:
    """What nobody foresaw: told in the log, not to the caller."""
    log.error("request broke", method=request.method, path=request.url.path, exc_info=error)
    return _answered(write_error(Fault(500, "internal_error", "The server failed; its log says more.")))
