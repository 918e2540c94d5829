"""/media: originals with what was made of them, of shape `flat` in every profile."""

from __future__ import annotations

from typing import Any

from mediamill.core.media_groups import Media
from mediamill.dialects.ittybit import flat, ids, query
from mediamill.dialects.ittybit.call import Call, Reply, Route
from mediamill.dialects.ittybit.files import write_file
from mediamill.dialects.ittybit.objects import Json


def write_media(media: Media, call: Call) -> Json:
    """A media with its files."""
    return flat.write_media(media, [write_file(held, call) for held in media.files])


async def list_media(call: Call) -> Reply:
    """The media, newest first unless told."""
    asked = query.numbered(call)
    found = await call.site.service.media.list(
        call.caller, limit=asked.limit, skip=asked.skip, ascending=query.ascending(call)
    )
    return Reply(body=[write_media(m, call) for m in found.items], around=query.number_around(call, asked, found.total))


async def create_media(call: Call) -> Reply:
    """A media without files."""
    given = _read(call)
    media = await call.site.service.media.add(
        call.caller, title=given.get("title"), alt=given.get("alt"), metadata=given.get("metadata")
    )
    shown = write_media(media, call)
    return Reply(body=shown, status=201, headers={"location": call.url(f"/media/{shown['id']}")})


async def get_media(call: Call) -> Reply:
    """One media with its files."""
    return Reply(body=write_media(await call.site.service.media.get(call.caller, _id(call)), call))


async def change_media(call: Call) -> Reply:
    """Its title, alt, metadata: those that are there."""
    return Reply(body=write_media(await call.site.service.media.change(call.caller, _id(call), _read(call)), call))


async def delete_media(call: Call) -> Reply:
    """Forget a media with all of its files."""
    await call.site.service.media.delete(call.caller, _id(call))
    return Reply(body={"message": f"Media {call.ids[0]} and its files were deleted."})


def _id(call: Call) -> str:
    return ids.read("media", call.ids[0])


def _read(call: Call) -> dict[str, Any]:
    body = call.body(required=False)
    found: dict[str, Any] = {name: query.text(body, name, most=4096) for name in ("title", "alt") if name in body}
    if "metadata" in body:
        found["metadata"] = query.mapping(body, "metadata")
    return found


ROUTES = [
    Route("GET", "/media", list_media),
    Route("POST", "/media", create_media),
    Route("GET", "/media/{}", get_media),
    Route("PATCH", "/media/{}", change_media),
    Route("DELETE", "/media/{}", delete_media),
]
