"""/v1/uploads: a place to PUT bytes at, and the URL by which jobs name them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from mediamill.core import formats
from mediamill.core.errors import NotFound
from mediamill.core.files import File
from mediamill.dialects import Links
from mediamill.dialects.framelane import ids, jobs
from mediamill.dialects.framelane.call import NAME, Call, Json, Reply, Route
from mediamill.dialects.framelane.errors import Fault, invalid
from mediamill.dialects.framelane.tasks import UPLOAD_S

TYPES: Mapping[str, str] = {
    "video/mp4": "mp4",
    "video/quicktime": "mov",
    "video/webm": "webm",
    "video/x-msvideo": "avi",
    "video/x-matroska": "mkv",
    "video/mpeg": "mpg",
    "audio/mpeg": "mp3",
    "audio/mp4": "m4a",
    "audio/wav": "wav",
    "audio/x-wav": "wav",
    "audio/aac": "aac",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "image/jpeg": "jpg",
    "image/png": "png",
    "image/webp": "webp",
    "image/gif": "gif",
    "image/tiff": "tiff",
    "font/ttf": "ttf",
    "font/otf": "otf",
    "font/woff": "woff",
    "font/woff2": "woff2",
}
"""The types that are taken, and the ending of a name that has none."""
LONGEST_NAME = 255


def source_url(file: File, links: Links) -> str:
    """The URL by which jobs name a file; it keeps the ending that players and checks go by."""
    ending = file.filename.rpartition(".")[2].lower() if "." in file.filename else ""
    if not (ending.isascii() and ending.isalnum() and len(ending) <= 8):
        ending = formats.suffix(file.mime).lstrip(".")
    return f"{links.base}/v1/media/{ids.write('asset', file.id)}" + (f".{ending}" if ending else "")


def write_asset(file: File, links: Links) -> Json:
    """A file that may be used, as lists and events say it."""
    return {
        "id": ids.write("asset", file.id),
        "source_url": source_url(file, links),
        "kind": "audio" if formats.family(file.mime) == "audio" else "video",
        "duration": file.facts.get("duration_s"),
        "width": file.facts.get("width_px"),
        "height": file.facts.get("height_px"),
        "created_at": jobs.instant(file.created_at),
    }


async def create_upload(call: Call) -> Reply:
    """A URL that takes one PUT within the hour, without a key."""
    body = call.body()
    mime = body.get("content_type")
    if not isinstance(mime, str):
        raise invalid("content_type", "is required: a string")
    canonical = mime.split(";", 1)[0].strip().lower()
    if canonical not in TYPES:
        raise Fault(422, "unsupported_content_type", f"content_type: must be one of {', '.join(TYPES)}")
    file = await call.site.service.files.register(
        call.caller, filename=_name(body, canonical), mime=canonical, size_bytes=None, dialect=NAME
    )
    until = datetime.now(UTC) + timedelta(seconds=UPLOAD_S)
    links = replace(call.links, upload_s=UPLOAD_S)
    found = {
        "upload_url": links.upload(file),
        "source_url": source_url(file, call.links),
        "expires_at": jobs.instant(until),
    }
    return Reply(body=found, status=201)


def _name(body: Mapping[str, Any], mime: str) -> str:
    """The caller's name if it has an ending; else one of ours with the ending of the type."""
    given = body.get("filename")
    if given is not None and (not isinstance(given, str) or not 1 <= len(given) <= LONGEST_NAME):
        raise invalid("filename", f"must be a string of 1 to {LONGEST_NAME} characters")
    for hint in ("duration", "width", "height"):
        value = body.get(hint)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < 0):
            raise invalid(hint, "must be a number of 0 or more")
    if isinstance(given, str) and "." in given.strip("."):
        return given
    return f"{given or 'upload'}.{TYPES[mime]}"


async def read_media(call: Call) -> Reply:
    """Where the bytes of an upload are: the id in the path, which nobody guesses, is what opens it."""
    id = call.ids[0].split(".", 1)[0]
    try:
        file = await call.site.service.files.for_download(ids.read("asset", id))
    except NotFound:
        raise NotFound("asset", id) from None
    return Reply(status=302, headers={"location": jobs.short(call.links).download(file), "cache-control": "no-store"})


ROUTES = [Route("POST", "/v1/uploads", create_upload), Route("GET", "/v1/media/{}", read_media, open=True)]
