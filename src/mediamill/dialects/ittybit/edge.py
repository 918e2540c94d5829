"""What every call passes before its handler, in this order: key, version, rate, route, body, idempotency.

A table of routes and no framework: paths are few and plain, while every answer, that to an unknown path too, has three
forms, and the order of the checks is part of the contract.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import structlog

from mediamill.core.access import Caller
from mediamill.core.errors import Conflict, Invalid, MediamillError
from mediamill.dialects import App, Scope, Site
from mediamill.dialects.ittybit import errors, profile
from mediamill.dialects.ittybit.call import Call, Receive, Reply, Route, read_raw
from mediamill.dialects.ittybit.errors import Fault, refused
from mediamill.dialects.ittybit.objects import NAME
from mediamill.dialects.ittybit.openapi import describe
from mediamill.dialects.ittybit.profile import Profile

log = structlog.get_logger()

DOCUMENT = "/openapi.json"
_MOST_PARAMETERS = 100
Send = Callable[[Any], Awaitable[None]]


class Edge:
    """An ASGI app over the routes. `open` are apps without a key, by the first part of their path."""

    def __init__(self, site: Site, routes: Sequence[Route], open: Mapping[str, App]) -> None:
        self._site = site
        self._open = open
        self._described = msgspec.json.encode(describe())
        self._routes: dict[str, tuple[re.Pattern[str], dict[str, Route]]] = {}
        for route in routes:
            self._routes.setdefault(route.path, (route.pattern, {}))[1][route.method] = route

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope["path"]).rstrip("/") or "/"
        first = path.split("/", 2)[1]
        if path == DOCUMENT and scope["method"] in ("GET", "HEAD"):
            await _send(send, 200, self._described, {}, Profile.CURRENT, silent=scope["method"] == "HEAD")
            return
        if first in self._open:
            await self._open[first](scope, receive, send)
            return
        headers = _headers(scope)
        chosen, wrong = Profile.CURRENT, None
        try:
            chosen = profile.choose(headers)
        except Invalid as error:
            wrong = error
        call: Call | None = None
        caller: Caller | None = None
        try:
            caller = await self._caller(headers)
            if wrong is not None:
                raise wrong
            self._site.service.keys.spend(caller, NAME, self._site.settings.ittybit_requests_per_minute)
            route, parts = self._route(path, scope["method"])
            call = Call(
                site=self._site,
                caller=caller,
                profile=chosen,
                links=self._site.links(scope),
                method=route.method,
                path=path,
                ids=parts,
                query=_query(scope),
                headers=headers,
                raw=await read_raw(receive) if route.json and route.method in ("POST", "PATCH", "PUT") else b"",
                receive=receive,
                scope=scope,
            )
            status, said, extra = _worded(await self._answer(route, call), call)
        except MediamillError as error:
            fault = refused(error)
            if fault.status >= 500:
                log.error("request failed", method=scope["method"], path=path, exc_info=error)
            meta = None if caller is None else {**errors.blank_meta(), **_who(caller)}
            here = self._site.links(scope).base + path
            status, said, extra = fault.status, errors.body_of(fault, chosen, meta, here), dict(fault.headers)
        if status == 204:
            await _send(send, status, b"", extra, chosen)
            return
        body = msgspec.json.encode(said)
        await _send(send, status, body, extra, chosen, silent=scope["method"] == "HEAD")

    async def _answer(self, route: Route, call: Call) -> Reply:
        key = call.headers.get("idempotency-key") if route.method == "POST" else None
        if key is None:
            return await route.handler(call)
        if not 16 <= len(key) <= 32:
            raise errors.invalid("Idempotency-Key must be 16 to 32 characters.")
        replies, project = self._site.service.media.replies, call.caller.project_id
        scope = f"{route.method} {call.path}"
        said = await _claimed(replies.claim(project, scope, key, hashlib.sha256(call.raw).digest()))
        if said is not None:
            return Reply(body=msgspec.json.decode(said))
        try:
            reply = await route.handler(call)
        except BaseException:
            await replies.release(project, scope, key)
            raise
        kept = reply.body if reply.kept is None else reply.kept
        await replies.keep(project, scope, key, reply.status, msgspec.json.encode(kept))
        return reply

    async def _caller(self, headers: Mapping[str, str]) -> Caller:
        scheme, _, secret = headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not secret.strip():
            said = {"www-authenticate": "Bearer"}
            raise Fault(401, "token_missing", "Send your API key: Authorization: Bearer <key>.", said)
        return await self._site.service.keys.caller(secret.strip())

    def _route(self, path: str, method: str) -> tuple[Route, Sequence[str]]:
        for pattern, by_method in self._routes.values():
            if (match := pattern.fullmatch(path)) is None:
                continue
            route = by_method.get("GET" if method == "HEAD" else method)
            if route is not None:
                return route, match.groups()
            allow = {"allow": ", ".join([*by_method, *(["HEAD"] if "GET" in by_method else []), "OPTIONS"])}
            if method == "OPTIONS":
                return Route("OPTIONS", path, _options(allow)), ()
            raise Fault(405, "method_not_allowed", f"{path} does not take {method[:20]}.", allow)
        raise Fault(404, "not_found", "There is nothing at this path.")


async def _claimed(claim: Awaitable[bytes | None]) -> bytes | None:
    try:
        return await claim
    except Conflict as error:
        raise Fault(409, "idempotency_conflict", f"Idempotency-Key: {error}") from None


def _options(headers: Mapping[str, str]) -> Callable[[Call], Awaitable[Reply]]:
    async def answer(call: Call) -> Reply:
        return Reply(body=None, status=204, headers=headers)

    return answer


def _worded(reply: Reply, call: Call) -> tuple[int, Any, dict[str, str]]:
    """Status, body and headers of a good answer in the call's profile."""
    headers = dict(reply.headers)
    around = reply.around
    if around is not None:
        headers |= around.headers
    if call.profile is not Profile.ENVELOPE or reply.status == 204:
        return reply.status, reply.body, headers
    meta: dict[str, Any] = {**errors.blank_meta(), **_who(call.caller), "request_id": call.request_id}
    if around is None:
        meta["type"] = "object"
        links: Mapping[str, Any] = {"self": call.url(), "parent": call.url(call.path.rsplit("/", 1)[0] or "/")}
    else:
        numbers = {"limit": around.limit, "total": around.total, "page": around.page, "pages": around.pages}
        meta |= {"type": "list", **numbers}
        links = around.links
    return reply.status, {"meta": meta, "data": reply.body, "error": None, "links": links}, headers


def _who(caller: Caller) -> dict[str, str]:
    project = errors.project_of(caller)
    return {"project_id": project, "org_id": project.replace("proj_", "org_")}


def _headers(scope: Scope) -> dict[str, str]:
    """Header values by lower-case name; repeated ones are one list (RFC 9110 5.2)."""
    found: dict[str, str] = {}
    for name, value in scope["headers"]:
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        found[key] = f"{found[key]}, {text}" if key in found else text
    return found


def _query(scope: Scope) -> dict[str, str]:
    try:
        pairs = parse_qsl(
            scope["query_string"].decode("latin-1"), keep_blank_values=True, max_num_fields=_MOST_PARAMETERS
        )
    except ValueError:
        raise errors.invalid("There are too many parameters.") from None
    found: dict[str, str] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found


async def _send(
    send: Send, status: int, body: bytes, headers: Mapping[str, str], chosen: Profile, *, silent: bool = False
) -> None:
    said = {"vary": profile.VARY, "api-version": chosen.version, **headers}
    if status != 204:
        said |= {"content-type": errors.MEDIA_TYPE, "content-length": str(len(body))}
    raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in said.items()]
    await send({"type": "http.response.start", "status": status, "headers": raw})
    await send({"type": "http.response.body", "body": b"" if silent else body})
