"""What every call passes before its handler: route, key, rate, body."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog

from mediamill.core.access import NOBODY, Caller
from mediamill.core.errors import MediamillError, Unauthorized
from mediamill.dialects import Scope, Site
from mediamill.dialects.framelane.call import NAME, Call, Reply, Route
from mediamill.dialects.framelane.errors import MEDIA_TYPE, Fault, body_of, refused
from mediamill.web import table
from mediamill.web.table import NoSuchMethod, Receive, Send, Table

log = structlog.get_logger()

CORS = {
    "access-control-allow-origin": "*",
    "access-control-allow-methods": "GET, HEAD, POST, PATCH, PUT, DELETE, OPTIONS",
    "access-control-allow-headers": "Authorization, Content-Type, Idempotency-Key",
    "access-control-expose-headers": "Location, Retry-After",
}
_TAKES_BODY = ("POST", "PATCH", "PUT", "DELETE")


class Edge:
    """An ASGI app over the routes. `documents`: what is read at fixed paths by anybody."""

    def __init__(self, site: Site, routes: Sequence[Route], documents: Mapping[str, Any]) -> None:
        self._site = site
        self._documents = {path: msgspec.json.encode(document) for path, document in documents.items()}
        self._table: Table[Call, Reply] = Table(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path, silent = str(scope["path"]).rstrip("/") or "/", scope["method"] == "HEAD"
        if path in self._documents and scope["method"] in ("GET", "HEAD"):
            await table.answer(send, 200, self._documents[path], CORS, media_type=MEDIA_TYPE, silent=silent)
            return
        try:
            reply = await self._answer(path, scope, receive)
            status, headers = reply.status, dict(reply.headers)
            body = b"" if reply.body is None else msgspec.json.encode(reply.body)
        except MediamillError as error:
            fault = refused(error)
            if fault.status >= 500:
                log.error("request failed", method=scope["method"], path=path, exc_info=error)
            status, headers, body = fault.status, dict(fault.headers), msgspec.json.encode(body_of(fault))
        await table.answer(send, status, body, {**CORS, **headers}, media_type=MEDIA_TYPE, silent=silent)

    async def _answer(self, path: str, scope: Scope, receive: Receive) -> Reply:
        try:
            route, parts = self._table.find(path, scope["method"])
        except NoSuchMethod as error:
            if scope["method"] == "OPTIONS":
                return Reply(status=204, headers={"allow": error.allow, "access-control-max-age": "86400"})
            raise
        headers = table.headers_of(scope)
        caller = NOBODY if route.open else await self._caller(headers)
        if not route.open:
            self._site.service.keys.spend(caller, NAME, self._site.settings.framelane_requests_per_minute)
        reads = route.json and route.method in _TAKES_BODY
        call = Call(
            site=self._site,
            caller=caller,
            links=self._site.links(scope),
            method=route.method,
            path=path,
            ids=parts,
            query=table.query_of(scope),
            headers=headers,
            raw=await table.read_raw(receive, BODY_BYTES) if reads else b"",
            receive=receive,
            scope=scope,
        )
        return await route.handler(call)

    async def _caller(self, headers: Mapping[str, str]) -> Caller:
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            raise Unauthorized("Send your API key: Authorization: Bearer <key>.")
        try:
            return await self._site.service.keys.caller(secret.strip())
        except Unauthorized:
            if await self._site.service.workspaces.inert(secret.strip()):
                raise Fault(403, "email_not_verified", "Verify your e-mail first: POST /v1/signup/verify.") from None
            raise


BODY_BYTES = 8 << 20
"""Scenes of thousands of elements are some megabytes."""
