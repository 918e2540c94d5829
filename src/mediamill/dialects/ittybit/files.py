"""/files: the files in media, of shape `flat` in every profile."""

from __future__ import annotations

from typing import Any

from mediamill.core.errors import NotFound
from mediamill.core.files import safe_name
from mediamill.core.media_groups import Held, Place
from mediamill.dialects.ittybit import flat, ids, query
from mediamill.dialects.ittybit.call import Call, Reply, Route
from mediamill.dialects.ittybit.errors import Fault, invalid
from mediamill.dialects.ittybit.objects import Json
from mediamill.dialects.ittybit.reading import folder as read_folder
from mediamill.dialects.ittybit.reading import new_task, read_item

FETCH_WAIT_S = 25.0
"""How long POST /files waits for the bytes, well below the clients' own patience of a minute."""


def write_file(held: Held, call: Call) -> Json:
    """A file as its media shows it."""
    return flat.write_file(held.file, call.links, failed=held.failed)


async def list_files(call: Call) -> Reply:
    """The files, newest first unless told."""
    asked = query.numbered(call)
    found = await call.site.service.media.files(
        call.caller, limit=asked.limit, skip=asked.skip, ascending=query.ascending(call)
    )
    return Reply(body=[write_file(f, call) for f in found.items], around=query.number_around(call, asked, found.total))


async def create_file(call: Call) -> Reply:
    """A file from a URL: its bytes are here when this answers 201, still on their way with 202."""
    body = call.body()
    if body.get("url") is None:
        raise Fault(400, "url_required", "url is required: where the file is to be fetched from.")
    item = read_item({**{name: body[name] for name in ("url", "connection_id") if name in body}, "kind": "ingest"})
    media_id = query.text(body, "media_id", most=80)
    place = Place(
        media_id=_media(media_id) if media_id else None,
        filename=_filename(body),
        folder=read_folder(body),
        ref=query.text(body, "ref", most=255),
        metadata=query.mapping(body, "metadata"),
        created_by=ids.write("key", call.caller.key_id),
    )
    new = new_task(item, profile=call.profile.value)
    try:
        held = await call.site.service.media.fetch(call.caller, new, place, wait_s=FETCH_WAIT_S)
    except NotFound as error:
        raise (_no_media(media_id) if media_id and error.noun == "media" else error) from error
    shown = write_file(held, call)
    location = {"location": call.url(f"/files/{shown['id']}")}
    return Reply(body=shown, status=201 if held.file.ready else 202, headers=location)


async def get_file(call: Call) -> Reply:
    """One file."""
    held = await call.site.service.media.file(call.caller, ids.read("file", call.ids[0]))
    return Reply(body=write_file(held, call))


async def change_file(call: Call) -> Reply:
    """Its folder, filename, ref, metadata: those that are there."""
    body = call.body(required=False)
    changes: dict[str, Any] = {}
    if "filename" in body:
        changes["filename"] = _filename(body)
        if changes["filename"] is None:
            raise invalid("filename must be a string of 1 to 255 characters.")
    if "folder" in body:
        changes["folder"] = read_folder(body)
    if "ref" in body:
        changes["ref"] = query.text(body, "ref", most=255)
    if "metadata" in body:
        changes["metadata"] = query.mapping(body, "metadata")
    held = await call.site.service.media.change_file(call.caller, ids.read("file", call.ids[0]), changes)
    return Reply(body=write_file(held, call))


async def delete_file(call: Call) -> Reply:
    """Forget a file and its bytes."""
    await call.site.service.media.delete_file(call.caller, ids.read("file", call.ids[0]))
    return Reply(body={"message": f"File {call.ids[0]} was deleted."})


def _media(id: str) -> str:
    try:
        return ids.read("media", id)
    except NotFound:
        raise _no_media(id) from None


def _no_media(id: str) -> Fault:
    return Fault(404, "media_not_found", f"media_id: there is no media {id!r}.")


def _filename(body: Json) -> str | None:
    name = query.text(body, "filename", most=255)
    return safe_name(name) if name else None


ROUTES = [
    Route("GET", "/files", list_files),
    Route("POST", "/files", create_file),
    Route("GET", "/files/{}", get_file),
    Route("PATCH", "/files/{}", change_file),
    Route("DELETE", "/files/{}", delete_file),
]
