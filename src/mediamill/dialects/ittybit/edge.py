"""What every call passes before its handler, in this order: key, version, rate, route, body, idempotency.

A table of routes and no framework: paths are few and plain, while every answer, that to an unknown path too, has three
forms, and the order of the checks is part of the contract.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec
import structlog

from mediamill.core.access import Caller
from mediamill.core.errors import Conflict, Invalid, MediamillError, NotFound
from mediamill.dialects import App, Scope, Site
from mediamill.dialects.ittybit import errors, profile
from mediamill.dialects.ittybit.call import Call, Reply, Route
from mediamill.dialects.ittybit.errors import Fault, refused
from mediamill.dialects.ittybit.objects import NAME
from mediamill.dialects.ittybit.openapi import describe
from mediamill.dialects.ittybit.profile import Profile
from mediamill.web import table
from mediamill.web.table import NoSuchMethod, Receive, Send, Table

log = structlog.get_logger()

DOCUMENT = "/openapi.json"


class Edge:
    """An ASGI app over the routes. `open` are apps without a key, by the first part of their path."""

    def __init__(self, site: Site, routes: Sequence[Route], open: Mapping[str, App]) -> None:
        self._site = site
        self._open = open
        self._described = msgspec.json.encode(describe())
        self._table: Table[Call, Reply] = Table(routes)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope["path"]).rstrip("/") or "/"
        first = path.split("/", 2)[1]
        if path == DOCUMENT and scope["method"] in ("GET", "HEAD"):
            await _send(send, 200, self._described, {}, Profile.CURRENT, silent=scope["method"] == "HEAD")
            return
        if first in self._open:
            await self._open[first](scope, receive, send)
            return
        headers = table.headers_of(scope)
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
                query=table.query_of(scope),
                headers=headers,
                raw=await table.read_raw(receive) if route.json and route.method in ("POST", "PATCH", "PUT") else b"",
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
        said = await _claimed(replies.claim(project, scope, key, hashlib.sha256(_plain(call.raw)).digest()))
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
        try:
            return self._table.find(path, method)
        except NoSuchMethod as error:
            if method == "OPTIONS":
                return Route("OPTIONS", path, _options({"allow": error.allow})), ()
            raise
        except NotFound:
            raise Fault(404, "not_found", "There is nothing at this path.") from None


def _plain(body: bytes) -> bytes:
    """The body without what JSON leaves to its writer: the order of keys, and space."""
    try:
        return msgspec.json.encode(msgspec.json.decode(body), order="sorted")
    except (msgspec.DecodeError, RecursionError):
        return body


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


async def _send(
    send: Send, status: int, body: bytes, headers: Mapping[str, str], chosen: Profile, *, silent: bool = False
) -> None:
    said = {"vary": profile.VARY, "api-version": chosen.version, **headers}
    await table.answer(send, status, body, said, media_type=errors.MEDIA_TYPE, silent=silent)
