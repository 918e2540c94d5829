"""The native dialect's connections: credentials for the project's own buckets. Secrets go in and never come out."""

from __future__ import annotations

from typing import Any

from litestar import Response, Router, delete, get, patch, post

from mediamill.core import connections as core
from mediamill.core.access import Caller
from mediamill.dialects import Site
from mediamill.dialects.mill.kept import (
    ConnectionChange,
    ConnectionIn,
    ConnectionOut,
    ConnectionPage,
    write_connection,
)
from mediamill.dialects.mill.requests import CursorWord, Limit, Order, Req, ends, page_of, read_body
from mediamill.dialects.mill.responses import json, problems, says


def router(site: Site) -> Router:
    """Everything about connections."""
    service = site.service.connections
    tags: Any = ["connections"]

    @post(
        "/connections",
        responses={201: says(ConnectionOut, "The connection."), **problems(413, 415)},
        tags=tags,
        operation_id="createConnection",
    )
    async def create_connection(request: Req, caller: Caller) -> Response[bytes]:
        """Keep credentials for a bucket of yours. A new default takes the place of the old."""
        body = await read_body(request, ConnectionIn)
        new = core.NewConnection(**{name: getattr(body, name) for name in body.__struct_fields__})
        return json(write_connection(await service.create(caller, new)), 201)

    @get(
        "/connections",
        responses={200: says(ConnectionPage, "A page."), **problems()},
        tags=tags,
        operation_id="listConnections",
    )
    async def list_connections(
        caller: Caller,
        limit: Limit = 20,
        after: CursorWord = None,
        before: CursorWord = None,
        order: Order = "desc",
    ) -> Response[bytes]:
        """The project's connections, newest first."""
        page = page_of(limit, after, before, order)
        found, more = await service.list(caller, page)
        next_, prev = ends(page, found, more)
        return json(ConnectionPage(data=[write_connection(one) for one in found], next=next_, prev=prev))

    @get(
        "/connections/{connection_id:str}",
        responses={200: says(ConnectionOut, "The connection."), **problems(404)},
        tags=tags,
        operation_id="getConnection",
    )
    async def get_connection(caller: Caller, connection_id: str) -> Response[bytes]:
        """One connection."""
        return json(write_connection(await service.get(caller, connection_id)))

    @patch(
        "/connections/{connection_id:str}",
        responses={200: says(ConnectionOut, "The connection."), **problems(404, 413, 415)},
        tags=tags,
        operation_id="changeConnection",
    )
    async def change_connection(request: Req, caller: Caller, connection_id: str) -> Response[bytes]:
        """Make some of a connection another. The secret stays unless one is given."""
        body = await read_body(request, ConnectionChange)
        changes = core.Changes(**{name: getattr(body, name) for name in body.__struct_fields__})
        return json(write_connection(await service.change(caller, connection_id, changes)))

    @delete("/connections/{connection_id:str}", responses=problems(404), tags=tags, operation_id="deleteConnection")
    async def delete_connection(caller: Caller, connection_id: str) -> None:
        """Forget a connection and its secret. Tasks that still want it will fail."""
        await service.delete(caller, connection_id)

    return Router(
        "/",
        route_handlers=[create_connection, list_connections, get_connection, change_connection, delete_connection],
    )
