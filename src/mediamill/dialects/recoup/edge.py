"""What every call passes before its handler: the path, the key, the rate, the body.

A table of routes and no framework: paths are few, two surfaces word their errors each in its own way, and no answer
may lack the headers that let pages of any origin call.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import structlog

from mediamill.core.access import Caller, Role
from mediamill.core.errors import MediamillError, Unauthorized
from mediamill.core.ids import KeyId, ProjectId
from mediamill.dialects import Scope, Site
from mediamill.dialects.recoup.call import Call, Receive, Reply, Route, read_raw
from mediamill.dialects.recoup.errors import CORS, MEDIA_TYPE, Fault, body_of, refused
from mediamill.dialects.recoup.openapi import describe
from mediamill.dialects.recoup.words import NAME

log = structlog.get_logger()

DOCUMENT = "/openapi.json"
REPEAT = "x-trigger-request-idempotency-key"
_LONGEST_KEY = 200
_MOST_PARAMETERS = 100
_BARE = re.compile(r"/api/v[0-9].*")
_NOBODY = Caller(project_id=ProjectId(""), key_id=KeyId(""), role=Role.MEMBER)
Send = Callable[[Any], Awaitable[None]]


class Edge:
    """An ASGI app over the routes."""

    def __init__(self, site: Site, routes: Sequence[Route]) -> None:
        self._site = site
        self._described = msgspec.json.encode(describe())
        self._routes: dict[str, tuple[re.Pattern[str], dict[str, Route]]] = {}
        for route in routes:
            self._routes.setdefault(route.path, (route.pattern, {}))[1][route.method] = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope["path"]).rstrip("/") or "/"
        silent = scope["method"] == "HEAD"
        if path == DOCUMENT and scope["method"] in ("GET", "HEAD"):
            await _send(send, 200, self._described, {}, silent=silent)
            return
        bare = _BARE.fullmatch(path) is not None
        try:
            reply = await self._answer(scope, receive, path)
            body = reply.raw if reply.raw is not None else b"" if reply.body is None else encode(reply.body)
            status, headers = reply.status, reply.headers
        except MediamillError as error:
            fault = refused(error)
            if fault.status >= 500:
                log.error("request failed", method=scope["method"], path=path, exc_info=error)
            status, headers, body = fault.status, fault.headers, encode(body_of(fault, bare=bare))
        await _send(send, status, body, headers, silent=silent)

    async def _answer(self, scope: Scope, receive: Receive, path: str) -> Reply:
        route, parts = self._route(path, scope["method"])
        if route is None:
            return Reply()
        headers = _headers(scope)
        caller = _NOBODY
        if not route.open:
            caller = await self._bare_caller(headers) if route.bare else await self._caller(headers)
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
            raw=await read_raw(receive, route.most) if takes_body else b"",
            scope=scope,
            receive=receive,
        )
        if route.bare and takes_body and REPEAT in headers:
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

    def _route(self, path: str, method: str) -> tuple[Route | None, Sequence[str]]:
        """The route and the parts of its path; None for a question what may be asked at all."""
        for pattern, by_method in self._routes.values():
            if (match := pattern.fullmatch(path)) is None:
                continue
            route = by_method.get("GET" if method == "HEAD" else method)
            if route is not None:
                return route, match.groups()
            if method == "OPTIONS":
                return None, ()
            allow = ", ".join([*by_method, *(["HEAD"] if "GET" in by_method else []), "OPTIONS"])
            raise Fault(405, "Method not allowed", headers={"allow": allow})
        raise Fault(404, "Not found")


def encode(value: Any) -> bytes:
    """As JSON."""
    return msgspec.json.encode(value)


def _bearer(authorization: str) -> str | None:
    scheme, _, key = authorization.partition(" ")
    return key.strip() or None if scheme in ("Bearer", "bearer") else None


def _headers(scope: Scope) -> dict[str, str]:
    """Header values by lower-case name; repeated ones are one list (RFC 9110 5.2)."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip()
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _query(scope: Scope) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS
        )
    except ValueError:
        raise Fault(400, "There are too many parameters") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


async def _send(send: Send, status: int, body: bytes, headers: Mapping[str, str], *, silent: bool = False) -> None:
    said = {**CORS, **headers, "content-length": str(len(body))}
    if body:
        said["content-type"] = MEDIA_TYPE
    raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in said.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if silent else body})
