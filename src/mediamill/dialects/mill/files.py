"""The native dialect's files: taking them in, reading them, forgetting them."""

from __future__ import annotations

from litestar import Response, Router, delete, get, post
from litestar.response.redirect import Redirect

from mediamill.core.access import Caller
from mediamill.core.errors import Invalid
from mediamill.core.tasks import NewTask, Source, Task
from mediamill.dialects import Site
from mediamill.dialects.mill import wire
from mediamill.dialects.mill.requests import CursorWord, Limit, Order, Req, ends, page_of, read_body
from mediamill.dialects.mill.responses import json, link_header, problems, says
from mediamill.web.forms import file_part


def router(site: Site) -> Router:
    """Everything about files."""
    service, tasks = site.service.files, site.service.tasks

    async def ingest(caller: Caller, url: str, filename: str | None) -> Task:
        new = NewTask(kind="ingest", inputs=[Source(url=url, filename=filename)], extra={"new_media": True})
        try:
            task, _ = await tasks.create(caller, new)
        except Invalid as error:
            if not error.field.startswith("inputs.0."):
                raise
            raise type(error)(error.field.removeprefix("inputs.0."), error.reason) from None  # as it was sent
        return task

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
            file = await service.store(caller, part.chunks, filename=part.filename, mime=part.mime, dialect="mill")
        else:
            body = await read_body(request, wire.FileIn)
            if body.url is not None:
                task = await ingest(caller, body.url, body.filename)
                out = wire.write_task(task, links)
                return json(out, 202, {"location": out.links.self})
            if body.filename is None or body.size_bytes is None:
                raise Invalid("", "Needs filename and size_bytes, or a url.")
            file = await service.register(
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
        found = await service.list(caller, page)
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
        return json(wire.write_file(await service.get(caller, file_id), site.links(request.scope)))

    @get(
        "/files/{file_id:str}/content",
        responses={302: says(None, "Where the bytes are."), **problems(404)},
        status_code=302,
        tags=["files"],
        operation_id="readFile",
    )
    async def read_file(request: Req, caller: Caller, file_id: str) -> Redirect:
        """The bytes, by way of a signed URL."""
        file = await service.get(caller, file_id)
        return Redirect(site.links(request.scope).download(await service.for_download(file.id)), status_code=302)

    @delete("/files/{file_id:str}", responses=problems(404), tags=["files"], operation_id="deleteFile")
    async def delete_file(caller: Caller, file_id: str) -> None:
        """Forget a file and its bytes now."""
        await service.delete(caller, file_id)

    return Router("/", route_handlers=[create_file, list_files, get_file, read_file, delete_file])
