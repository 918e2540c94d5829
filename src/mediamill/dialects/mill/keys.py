"""The native dialect's keys; for administrators."""

from __future__ import annotations

from litestar import Response, Router, delete, get, post

from mediamill.core.access import Caller
from mediamill.dialects import Site
from mediamill.dialects.mill import wire
from mediamill.dialects.mill.requests import Req, read_body
from mediamill.dialects.mill.responses import json, problems, says


def router(site: Site) -> Router:
    """Everything about keys."""
    service = site.service.keys

    @get("/keys", responses={200: says(wire.KeyPage, "Keys."), **problems(403)}, tags=["keys"], operation_id="listKeys")
    async def list_keys(caller: Caller) -> Response[bytes]:
        """The project's keys; administrators only."""
        return json(wire.KeyPage(data=[wire.write_key(key) for key in await service.list(caller)]))

    @post(
        "/keys",
        responses={201: says(wire.KeyOut, "The key."), **problems(403, 413, 415)},
        tags=["keys"],
        operation_id="createKey",
    )
    async def create_key(request: Req, caller: Caller) -> Response[bytes]:
        """A new key; its secret is shown this once. Administrators only."""
        body = await read_body(request, wire.KeyIn)
        key, secret = await service.create(caller, name=body.name, role=body.role, project_id=body.project_id)
        return json(wire.write_key(key, secret), 201)

    @delete("/keys/{key_id:str}", responses=problems(403, 404), tags=["keys"], operation_id="revokeKey")
    async def revoke_key(caller: Caller, key_id: str) -> None:
        """End a key; administrators only."""
        await service.revoke(caller, key_id)

    return Router("/", route_handlers=[list_keys, create_key, revoke_key])
