"""/connections: credentials for callers' own buckets. The secret goes in and never comes out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mediamill.core.connections import Changes, Connection, NewConnection
from mediamill.core.tasks import Cursor
from mediamill.dialects.ittybit import ids, objects, query
from mediamill.dialects.ittybit.call import Call, Reply, Route
from mediamill.dialects.ittybit.errors import invalid
from mediamill.dialects.ittybit.objects import Json

MASK = "****"
_FIELDS = ("name", "endpoint", "region", "access_key_id", "secret_access_key")


def write_connection(found: Connection) -> Json:
    """A connection without its secret."""
    return {
        "id": ids.write("connection", found.id),
        "object": "storage_connection",
        "kind": found.kind,
        "name": found.name,
        "endpoint": found.endpoint,
        "region": found.region,
        "access_key_id": found.access_key_id,
        "secret_access_key": MASK,
        "is_default": found.is_default,
        "created_at": objects.seconds(found.created_at),
        "updated_at": objects.seconds(found.updated_at),
    }


async def list_connections(call: Call) -> Reply:
    """The connections, newest first unless told."""
    page = await query.window(call, lambda id: _place(call, id))
    found, more = await call.site.service.connections.list(call.caller, page)
    shown = [write_connection(c) for c in found]
    return Reply(body=shown, around=query.cursor_around(call, page, [c["id"] for c in shown], more))


async def create_connection(call: Call) -> Reply:
    """Keep credentials."""
    body = call.body()
    given = _read(body)
    if body.get("kind") != "s3":
        raise invalid("kind is required: one of s3.")
    for name in _FIELDS:
        if name not in given:
            raise invalid(f"{name} is required.")
    new = NewConnection(
        name=given["name"],
        endpoint=given["endpoint"],
        region=given["region"],
        access_key_id=given["access_key_id"],
        secret_access_key=given["secret_access_key"],
        is_default=bool(given.get("is_default", False)),
    )
    shown = write_connection(await call.site.service.connections.create(call.caller, new))
    return Reply(body=shown, status=201, headers={"location": call.url(f"/connections/{shown['id']}")})


async def get_connection(call: Call) -> Reply:
    """One connection."""
    return Reply(body=write_connection(await call.site.service.connections.get(call.caller, _id(call))))


async def change_connection(call: Call) -> Reply:
    """Those of its fields that are there; a masked secret is let be."""
    given = _read(call.body(required=False))
    if given.get("secret_access_key") == MASK:
        del given["secret_access_key"]
    changes = Changes(
        name=given.get("name"),
        endpoint=given.get("endpoint"),
        region=given.get("region"),
        access_key_id=given.get("access_key_id"),
        secret_access_key=given.get("secret_access_key"),
        is_default=given.get("is_default"),
    )
    return Reply(body=write_connection(await call.site.service.connections.change(call.caller, _id(call), changes)))


async def delete_connection(call: Call) -> Reply:
    """Forget it and its secret."""
    await call.site.service.connections.delete(call.caller, _id(call))
    return Reply(body={"message": f"Connection {call.ids[0]} was deleted."})


def _id(call: Call) -> str:
    return ids.read("connection", call.ids[0])


async def _place(call: Call, id: str) -> Cursor:
    found = await call.site.service.connections.get(call.caller, ids.read("connection", id))
    return Cursor(at=found.created_at, id=found.id)


def _read(body: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in _FIELDS:
        if (value := query.text(body, name)) is not None:
            found[name] = value
    if body.get("is_default") is not None:
        if not isinstance(body["is_default"], bool):
            raise invalid("is_default must be true or false.")
        found["is_default"] = body["is_default"]
    return found


ROUTES = [
    Route("GET", "/connections", list_connections),
    Route("POST", "/connections", create_connection),
    Route("GET", "/connections/{}", get_connection),
    Route("PATCH", "/connections/{}", change_connection),
    Route("DELETE", "/connections/{}", delete_connection),
]
