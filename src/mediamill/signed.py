"""Signed URLs: PUT /upload/{id} and GET /download/{id}. No key; who holds the URL may do this one thing.

A plain ASGI app, outside every dialect: bytes stream through it, and errors take the shape of the dialect that the
file was made in. The bytes themselves are the business of web/serving.py.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qsl

from mediamill.core.errors import DatabaseAway, MediamillError, NotFound, StorageAway, StorageFull
from mediamill.dialects import Answer, Dialect, Scope, Site
from mediamill.web.serving import raw, say, serve
from mediamill.web.table import Disconnected, Silent, chunks

Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
_ID = re.compile(r"[a-z0-9]{1,64}", re.ASCII)


class SignedApp:
    """The two routes."""

    def __init__(self, site: Site, dialects: Mapping[str, Dialect]) -> None:
        self._site = site
        self._dialects = dialects

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        verb, _, file_id = scope["path"].strip("/").partition("/")
        method = scope["method"]
        try:
            if not _ID.fullmatch(file_id):
                raise NotFound("file", file_id)
            if verb == "upload" and method == "PUT":
                await self._upload(file_id, scope, receive, send)
            elif verb == "download" and method in ("GET", "HEAD"):
                await self._download(file_id, scope, receive, send)
            elif method == "OPTIONS":
                await say(send, 204, {"allow": "PUT, OPTIONS" if verb == "upload" else "GET, HEAD, OPTIONS"})
            else:
                await say(send, 405, {"allow": "PUT" if verb == "upload" else "GET, HEAD"})
        except Disconnected:
            return
        except Silent:
            await say(send, 408, {"content-length": "0", "connection": "close"})
        except MediamillError as error:
            await self._refuse(file_id, error, send)

    async def _refuse(self, file_id: str, error: MediamillError, send: Send) -> None:
        away = isinstance(error, DatabaseAway) and not isinstance(error, StorageFull | StorageAway)
        known = _ID.fullmatch(file_id) and not away
        name = await self._site.service.files.dialect_of(file_id) if known else None
        await send_answer(send, self._dialect(name).write_error(error))

    def _dialect(self, name: str | None) -> Dialect:
        return self._dialects.get(name or "mill", self._dialects["mill"])

    def _check(self, verb: Any, file_id: str, scope: Scope) -> None:
        query = dict(parse_qsl(scope["query_string"].decode("latin-1")))
        self._site.signer.check(verb, file_id, query.get("expires"), query.get("signature"))

    async def _upload(self, file_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        file = await self._site.service.files.of_any(file_id)
        self._check("upload", file_id, scope)
        dialect = self._dialect(file.dialect)
        await self._site.service.files.receive(
            file_id,
            chunks(receive),
            keep_claim=dialect.keeps_claims,
            announced=_announced(scope),
            max_bytes=dialect.most_bytes(self._site.settings) if dialect.most_bytes is not None else None,
        )
        await say(send, 200, {"content-length": "0"})

    async def _download(self, file_id: str, scope: Scope, receive: Receive, send: Send) -> None:
        file = await self._site.service.files.for_download(file_id)
        if not file.public:
            self._check("download", file_id, scope)
        service = self._site.service
        await serve(scope, receive, send, file=file, read=service.workspaces.counting(service.files.read))


def _announced(scope: Scope) -> int | None:
    said = dict(scope["headers"]).get(b"content-length", b"")
    return int(said) if said.isdigit() else None


async def send_answer(send: Send, answer: Answer) -> None:
    """Send a finished answer."""
    headers = {"content-type": answer.media_type, "content-length": str(len(answer.body)), **answer.headers}
    await send({"type": "http.response.start", "status": answer.status, "headers": raw(headers)})
    await send({"type": "http.response.body", "body": answer.body})
