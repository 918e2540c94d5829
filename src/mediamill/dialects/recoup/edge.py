"""What every call passes before its handler: the path, the key, the rate, the body.

A table of routes and no framework: paths are few, two surfaces word their errors each in its own way, and no answer
may lack the headers that let pages of any origin call.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import structlog

from mediamill.core.access import NOBODY, Caller
from mediamill.core.errors import Invalid, MediamillError, NotFound, TooLarge, Unauthorized
from mediamill.dialects import Scope, Site
from mediamill.dialects.recoup.call import Call, Reply, Route
from mediamill.dialects.recoup.errors import CORS, MEDIA_TYPE, Fault, body_of, refused
from mediamill.dialects.recoup.openapi import describe
from mediamill.dialects.recoup.words import NAME
from mediamill.web import table
from mediamill.web.table import NoSuchMethod, Receive, Send, Silent, Table

log = structlog.get_logger()

DOCUMENT = "/openapi.json"
REPEAT = "x-trigger-request-idempotency-key"
_LONGEST_KEY = 200
_BARE = re.compile(r"/api/v[0-9].*")
"""Trigger.dev's surface; all else is Recoup's own."""


class Edge:
    """An ASGI app over the routes."""

    def __init__(self, site: Site, routes: Sequence[Route]) -> None:
        self._site = site
        self._described = msgspec.json.encode(describe())
        self._table: Table[Call, Reply] = Table(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope["path"]).rstrip("/") or "/"
        silent = scope["method"] == "HEAD"
        if path == DOCUMENT and scope["method"] in ("GET", "HEAD"):
            await _send(send, 200, self._described, {}, silent=silent)
            return
        bare = _BARE.fullmatch(path) is not None
        try:
            reply = await self._answer(scope, receive, path, bare=bare)
            body = reply.raw if reply.raw is not None else b"" if reply.body is None else encode(reply.body)
            status, headers = reply.status, reply.headers
        except MediamillError as error:
            fault = refused(error)
            if fault.status >= 500:
                log.error("request failed", method=scope["method"], path=path, exc_info=error)
            status, headers, body = fault.status, fault.headers, encode(body_of(fault, bare=bare))
        await _send(send, status, body, headers, silent=silent)

    async def _answer(self, scope: Scope, receive: Receive, path: str, *, bare: bool) -> Reply:
        try:
            route, parts = self._table.find(path, scope["method"])
        except NoSuchMethod as error:
            if scope["method"] == "OPTIONS":
                return Reply()
            raise Fault(405, "Method not allowed", headers={"allow": error.allow}) from None
        except NotFound:
            raise Fault(404, "Not found") from None
        headers = table.headers_of(scope)
        caller = NOBODY
        if not route.open:
            caller = await self._bare_caller(headers) if bare else await self._caller(headers)
            self._site.service.keys.spend(caller, NAME, self._site.settings.requests_per_minute)
        takes_body = route.method not in ("GET", "HEAD")
        call = Call(
            site=self._site,
            caller=caller,
            links=self._site.links(scope),
            method=route.method,
            path=path,
            ids=parts,
            query=_query(scope),
            headers=headers,
            raw=await _body(receive, route.most) if takes_body else b"",
            scope=scope,
            receive=receive,
        )
        if bare and takes_body and REPEAT in headers:
            return await self._once(route, call, headers[REPEAT])
        return await route.handler(call)

    async def _once(self, route: Route, call: Call, key: str) -> Reply:
        """A client that heard no answer sends the same again: it is answered as before, and nothing is done twice."""
        if not 1 <= len(key) <= _LONGEST_KEY:
            raise Fault(400, f"{REPEAT} must be 1 to {_LONGEST_KEY} characters")
        replies, project = self._site.service.media.replies, call.caller.project_id
        scope = f"{route.method} {call.path}"
        said = await replies.claim(project, scope, key, hashlib.sha256(call.raw).digest())
        if said is not None:
            return Reply(raw=said)
        try:
            reply = await route.handler(call)
        except BaseException:
            await replies.release(project, scope, key)
            raise
        await replies.keep(project, scope, key, reply.status, encode(reply.body))
        return reply

    async def _caller(self, headers: Mapping[str, str]) -> Caller:
        """Who calls /api/tasks: exactly one of the two headers says it."""
        key, authorization = headers.get("x-api-key"), headers.get("authorization")
        if (key is None) == (authorization is None):
            raise Fault(401, "Exactly one of x-api-key or Authorization must be provided")
        if authorization is not None:
            key = _bearer(authorization)
            if not key:
                raise Fault(401, "Authorization header with Bearer token required", word="message")
        try:
            return await self._site.service.keys.caller(key)
        except Unauthorized:
            raise Fault(401, "Unauthorized", word="message") from None

    async def _bare_caller(self, headers: Mapping[str, str]) -> Caller:
        """Who calls Trigger.dev's surface."""
        key, authorization = headers.get("x-api-key"), headers.get("authorization")
        if authorization is not None:
            key = _bearer(authorization) if key is None else None
        try:
            return await self._site.service.keys.caller(key)
        except Unauthorized:
            raise Fault(401, "Invalid or Missing API Key") from None


def encode(value: Any) -> bytes:
    """As JSON."""
    return msgspec.json.encode(value)


def _bearer(authorization: str) -> str | None:
    scheme, _, key = authorization.partition(" ")
    return key.strip() or None if scheme in ("Bearer", "bearer") else None


def _query(scope: Scope) -> dict[str, str]:
    try:
        return table.query_of(scope)
    except Invalid:
        raise Fault(400, "There are too many parameters") from None


async def _body(receive: Receive, most: int) -> bytes:
    try:
        return await table.read_raw(receive, most)
    except TooLarge:
        raise Fault(413, f"The body may have {most} bytes") from None
    except Silent:
        raise Fault(408, "The client fell silent", headers={"connection": "close"}) from None
    except Invalid:
        raise Fault(400, "The request ended before its body did") from None


async def _send(send: Send, status: int, body: bytes, headers: Mapping[str, str], *, silent: bool = False) -> None:
    media_type = MEDIA_TYPE if body else None
    await table.answer(send, status, body, {**CORS, **headers}, media_type=media_type, silent=silent)
