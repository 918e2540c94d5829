"""Stored files: the list, one with its preview, uploads, deletion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from urllib.parse import quote

import msgspec
from litestar import Response, get, post
from litestar.handlers import HTTPRouteHandler
from litestar.response import Redirect, Stream

from mediamill.core import formats
from mediamill.core.access import Caller
from mediamill.core.errors import NotFound
from mediamill.core.files import File
from mediamill.dashboard.paging import CursorWord, ends_of, page_of
from mediamill.dashboard.render import Page, Renderer, Req
from mediamill.dialects import Site
from mediamill.web.forms import file_part

TEXT_BYTES = 64 << 10
_SHOWN = {  # what browsers show in an element of a page
    "image/png", "image/jpeg", "image/webp", "image/avif", "image/gif", "image/bmp", "image/x-icon", "image/svg+xml",
    "video/mp4", "video/webm", "audio/wav", "audio/mpeg", "audio/flac", "audio/ogg", "audio/opus", "audio/aac",
    "audio/mp4", "application/pdf",
}  # fmt: skip


def preview_of(file: File) -> str | None:
    """How the file is shown: image, video, audio, pdf, text; None when a browser cannot."""
    if file.mime in _SHOWN:
        return "pdf" if file.mime == "application/pdf" else file.mime.split("/", 1)[0]
    text = ("application/json", "application/x-subrip")
    return "text" if file.mime.startswith("text/") or file.mime in text else None


def routes(site: Site, renderer: Renderer) -> Sequence[HTTPRouteHandler]:
    """The pages about files."""
    files = site.service.files

    @get("/files", name="files")
    async def table(request: Req, caller: Caller, after: CursorWord = None, before: CursorWord = None) -> Page:
        page = page_of(after, before)
        found = await files.list(caller, page)
        return renderer.page(
            request,
            "files.html",
            caller=caller,
            files=found.items,
            ends=ends_of(page, found.items, found.more, {}),
            most_bytes=site.settings.max_upload_bytes,
        )

    @get("/files/{file_id:str}", name="file")
    async def one(request: Req, caller: Caller, file_id: str) -> Page:
        return renderer.page(request, "file.html", caller=caller, file=await files.get(caller, file_id))

    @get("/files/{file_id:str}/content", status_code=302)
    async def content(request: Req, caller: Caller, file_id: str) -> Redirect:
        """A fresh signed URL for whoever is signed in: addresses in pages stay the same and never run out."""
        file = await files.get(caller, file_id)
        if not file.ready:
            raise NotFound("file", file_id)
        # The path alone: the browser stays on the host it came by, where our policy lets it load from.
        return Redirect(replace(site.links(request.scope), origin="").download(file), status_code=302)

    @get("/files/{file_id:str}/text", media_type="text/plain")
    async def text(caller: Caller, file_id: str) -> Response[bytes]:
        """The beginning of the file as plain text."""
        file = await files.get(caller, file_id)
        if not file.ready or preview_of(file) != "text":
            raise NotFound("text", file_id)
        body = b"".join([chunk async for chunk in files.read(file, 0, min(TEXT_BYTES, file.size_bytes))])
        shown = body.decode("utf-8-sig", "replace")
        headers = {"x-cut": "true"} if file.size_bytes > TEXT_BYTES else {}
        return Response(shown.encode(), media_type="text/plain; charset=utf-8", headers=headers)

    @get("/files/{file_id:str}/pdf", media_type="application/pdf")
    async def pdf(caller: Caller, file_id: str) -> Stream:
        """A PDF for the browser's own viewer, which does not work under the sandbox that signed URLs put on files.

        The type was found by its bytes, and nosniff holds the browser to it: nothing in it runs as a page of ours.
        """
        file = await files.get(caller, file_id)
        if not file.ready or file.mime != "application/pdf":
            raise NotFound("pdf", file_id)
        headers = {
            "content-length": str(file.size_bytes),
            "content-disposition": f"inline; filename*=UTF-8''{quote(file.filename, safe='')}",
            "content-security-policy": "default-src 'none'; object-src 'self'; frame-ancestors 'self'",
            "x-frame-options": "SAMEORIGIN",
        }
        return Stream(files.read(file), media_type="application/pdf", headers=headers)

    @post("/files", status_code=303, request_max_body_size=None)
    async def upload(request: Req, caller: Caller) -> Redirect | Response[bytes]:
        """One file of a form, streamed as it comes. Answers JSON to a script, the file's page to a form."""
        _, options = request.content_type
        part = await file_part(request.stream(), options.get("boundary", ""))
        file = await files.store(caller, part.chunks, filename=part.filename, mime=part.mime, dialect="mill")
        if "application/json" in request.headers.get("accept", ""):
            body = {"id": file.id, "filename": file.filename, "mime": file.mime, "size_bytes": file.size_bytes}
            return Response(msgspec.json.encode(body), status_code=201, media_type="application/json")
        return Redirect(f"/ui/files/{file.id}", status_code=303)

    @post("/files/{file_id:str}/delete", status_code=303)
    async def delete(caller: Caller, file_id: str) -> Redirect:
        await files.delete(caller, file_id)
        return Redirect("/ui/files", status_code=303)

    return [table, one, content, text, pdf, upload, delete]


def known(mime: str) -> str:
    """A short word for a type: its bare name where we have one."""
    found = formats.find(mime)
    return found.names[0] if found else mime
