"""Bytes without the JSON around them: outputs under /cdn, and files by their own path under /delivery.

/cdn needs no key: the id in the path, which nobody guesses, is what opens it, and that of a task opens all it made, so
that a manifest finds its parts by relative names. /delivery needs the key of the project or a signature.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import parse_qsl

import msgspec
import structlog

from mediamill.core import formats
from mediamill.core.access import Caller, Role
from mediamill.core.errors import MediamillError, NotFound
from mediamill.core.files import File, safe_name
from mediamill.core.ids import KeyId, ProjectId
from mediamill.core.media_groups import Held, Place
from mediamill.dialects import Scope, Site
from mediamill.dialects.ittybit import errors, flat, ids, signatures
from mediamill.dialects.ittybit.errors import Fault, refused
from mediamill.dialects.ittybit.objects import CDN, DELIVERY, NAME
from mediamill.dialects.ittybit.profile import Profile
from mediamill.web.serving import Send, raw, serve
from mediamill.web.table import Receive, chunks

log = structlog.get_logger()

_CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, HEAD, PUT, OPTIONS",
    "access-control-allow-headers": "Range, Content-Type, Authorization",
    "access-control-max-age": "86400",
}
_NOBODY = KeyId("")
"""In the place of a key: a signature speaks for the project, and for no key of it."""
_SHOWN = {"access-control-expose-headers": "Accept-Ranges, Content-Length, Content-Range, ETag"}


class Transfer:
    """An ASGI app over both."""

    def __init__(self, site: Site) -> None:
        self._site = site

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            if scope["method"] == "OPTIONS":
                await send({"type": "http.response.start", "status": 204, "headers": raw(_CORS)})
                await send({"type": "http.response.body", "body": b""})
                return
            place, _, rest = str(scope["path"]).strip("/").partition("/")
            parts = [part for part in rest.split("/") if part]
            if place == "cdn":
                await self._cdn(parts, scope, receive, send)
            else:
                await self._delivery(parts, scope, receive, send)
        except MediamillError as error:
            fault = refused(error)
            if fault.status >= 500:
                log.error("transfer failed", path=scope["path"], exc_info=error)
            await _say(send, fault.status, errors.body_of(fault, Profile.CURRENT), fault.headers)

    async def _cdn(self, parts: list[str], scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] not in ("GET", "HEAD"):
            raise Fault(405, "method_not_allowed", f"{CDN} is only read.", {"allow": "GET, HEAD, OPTIONS"})
        if len(parts) != 3:
            raise Fault(404, "file_not_found", "There is no such file.")
        project, id, name = parts
        try:
            if id.startswith("file_"):
                file = await self._site.service.files.for_download(ids.read("file", id))
            else:
                file = (await self._site.service.media.output(ids.read("task", id), name)).file
        except NotFound:
            raise Fault(404, "file_not_found", "There is no such file.") from None
        if ids.project(file.project_id) != project:
            raise Fault(404, "file_not_found", "There is no such file.")
        await self._serve(file, scope, receive, send)

    async def _delivery(self, parts: list[str], scope: Scope, receive: Receive, send: Send) -> None:
        method = scope["method"]
        if method not in ("GET", "HEAD", "PUT"):
            raise Fault(405, "method_not_allowed", "A file is put or read here.", {"allow": "GET, HEAD, PUT, OPTIONS"})
        if len(parts) < 2 or safe_name(parts[-1]) != parts[-1] or any(part in (".", "..") for part in parts):
            raise Fault(404, "file_not_found", "There is no such file.")
        project, *folders, filename = parts
        folder = "/".join(folders) or None
        caller = await self._caller(scope, project, folder, filename, "put" if method == "PUT" else "get")
        if method == "PUT":
            await self._put(caller, folder, filename, scope, receive, send)
            return
        held = await self._site.service.media.by_name(caller.project_id, folder, filename)
        await self._serve(held.file, scope, receive, send)

    async def _caller(self, scope: Scope, project: str, folder: str | None, filename: str, method: str) -> Caller:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if scheme.lower() == "bearer" and secret.strip():
            caller = await self._site.service.keys.caller(secret.strip())
            if ids.project(caller.project_id) != project:
                raise NotFound("file", filename)
            return caller
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        if "signature" not in query:
            said = {"www-authenticate": "Bearer"}
            raise Fault(401, "token_missing", "Send your API key, or use a signed URL.", said)
        host = self._site.links(scope).origin.partition("://")[2]
        domain = f"{host}{DELIVERY}/{project}"
        signatures.check(self._site.signer, domain, folder, filename, method, query)
        return Caller(project_id=ProjectId(ids.read_project(project)), key_id=_NOBODY, role=Role.MEMBER)

    async def _put(
        self, caller: Caller, folder: str | None, filename: str, scope: Scope, receive: Receive, send: Send
    ) -> None:
        mime = next((v.decode("latin-1") for k, v in scope["headers"] if k.lower() == b"content-type"), None)
        key = ids.write("key", caller.key_id) if caller.key_id != _NOBODY else None
        place = Place(filename=filename, folder=folder, created_by=key)
        held: Held = await self._site.service.media.put(caller, chunks(receive), place, mime=mime, dialect=NAME)
        await _say(send, 201, flat.write_file(held.file, self._site.links(scope)), _CORS)

    async def _serve(self, file: File, scope: Scope, receive: Receive, send: Send) -> None:
        said = dict(_SHOWN)
        if formats.family(file.mime) in ("image", "audio", "video") and formats.by_mime(file.mime).inline:
            said["content-disposition"] = "inline"
        await serve(scope, receive, send, file=file, read=self._site.service.files.read, headers=said)


async def _say(send: Send, status: int, body: object, headers: Mapping[str, str]) -> None:
    encoded = msgspec.json.encode(body)
    said = {"content-type": errors.MEDIA_TYPE, "content-length": str(len(encoded)), **_CORS, **headers}
    await send({"type": "http.response.start", "status": status, "headers": raw(said)})
    await send({"type": "http.response.body", "body": encoded})
