"""/keys: the keys of a project. An administrator's key makes and ends them."""

from __future__ import annotations

from mediamill.core.access import Key
from mediamill.core.errors import NotFound
from mediamill.dialects.ittybit import ids, objects, query
from mediamill.dialects.ittybit.call import Call, Reply, Route
from mediamill.dialects.ittybit.objects import Json

PREFIX = "ittybit_"


def write_key(key: Key) -> Json:
    """A key without its secret."""
    return {
        "id": ids.write("key", key.id),
        "object": "key",
        "name": key.name,
        "status": "active" if key.revoked_at is None else "paused",
        "created_at": objects.seconds(key.created_at),
        "updated_at": objects.seconds(key.revoked_at or key.created_at),
    }


async def list_keys(call: Call) -> Reply:
    """The keys that are good, newest first unless told."""
    rows = await call.site.service.keys.list(call.caller)
    return query.small(call, [write_key(key) for key in rows if key.revoked_at is None])


async def create_key(call: Call) -> Reply:
    """A new key; its secret is shown this once, and not to a repeat of the request."""
    body = call.body(required=False)
    name = query.text(body, "name", most=200) or "API key"
    key, secret = await call.site.service.keys.create(
        call.caller, name=name, role="member", project_id=None, prefix=PREFIX
    )
    shown = write_key(key)
    return Reply(body={**shown, "secret": secret, "key": secret}, status=201, kept=shown)


async def delete_key(call: Call) -> Reply:
    """End a key now. One that was ended is no longer there."""
    keys = call.site.service.keys
    id = ids.read("key", call.ids[0])
    if not any(key.id == id and key.revoked_at is None for key in await keys.list(call.caller)):
        raise NotFound("key", call.ids[0])
    await keys.revoke(call.caller, id)
    return Reply(body={"message": f"Key {call.ids[0]} was deleted."})


ROUTES = [
    Route("GET", "/keys", list_keys),
    Route("POST", "/keys", create_key),
    Route("DELETE", "/keys/{}", delete_key),
]
