"""The parts that all profiles share: instants, addresses of bytes, and what is known of a file."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from mediamill.core import formats
from mediamill.core.described import described, unknown
from mediamill.core.files import File, safe_name
from mediamill.core.tasks import Failure, Task
from mediamill.dialects import Links
from mediamill.dialects.ittybit import ids

NAME = "ittybit"
CDN = "/ittybit/cdn"
DELIVERY = "/ittybit/delivery"
Json = dict[str, Any]
_UNKNOWN = "application/octet-stream"


def seconds(at: datetime | None) -> int | None:
    """An instant in profile `current`."""
    return int(at.timestamp()) if at is not None else None


def millis(at: datetime | None) -> int | None:
    """An instant of a job."""
    return int(at.timestamp() * 1000) if at is not None else None


def iso(at: datetime) -> str:
    """An instant in the two older profiles."""
    return at.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def updated_at(task: Task) -> datetime:
    """Never before the end: the two are noted one after the other."""
    return max(task.updated_at, task.finished_at or task.updated_at)


def file_url(links: Links, file: File) -> str:
    """As `address`, as the caller reaches us."""
    return address(links.origin, file)


def address(origin: str, file: File) -> str:
    """Where a file's bytes are read without a key."""
    noun, id = ("task", file.task_id) if file.task_id else ("file", file.id)
    name = quote(file.filename, safe="")
    return f"{origin}{CDN}/{ids.project(file.project_id)}/{ids.write(noun, id)}/{name}"


def url_name(url: str) -> str:
    """The last segment of a URL's path, as a file name."""
    try:
        path = urlsplit(url).path
    except ValueError:
        path = ""
    return safe_name(unquote(path.rstrip("/").rsplit("/", 1)[-1]))


def source_url_name(url: str | None, file: File | None) -> str | None:
    """What an input is called: as its URL says, else as its file."""
    if url:
        return url_name(url)
    return file.filename if file else None


def blank() -> Json:
    """What is not known yet."""
    return unknown()


def facts_of(file: File) -> Json:
    """What is known of a file's bytes; None where it does not apply."""
    return described(mime=file.mime, size_bytes=file.size_bytes if file.ready else None, facts=file.facts)


def media_kind(file: File) -> str | None:
    """video, image or audio; None for anything else."""
    family = formats.family(file.mime)
    return family if family in ("video", "image", "audio") else None


_KINDS = {
    "source_unreachable": "input_unreachable",
    "source_refused": "input_unreachable",
    "source_not_found": "input_unreachable",
    "source_too_large": "input_too_large",
    "too_large": "input_too_large",
    "bad_media": "input_unsupported",
    "no_video_stream": "no_video_stream",
    "no_audio_stream": "no_audio_stream",
    "range_empty": "range_empty",
    "timed_out": "timeout",
    "unavailable": "kind_unavailable",
    "kind_unavailable": "kind_unavailable",
    "destination_failed": "destination_failed",
    "destination_unreachable": "destination_failed",
}
_BY_FAMILY = {"input": "input_unsupported", "source": "input_unreachable", "tool": "encode_failed"}


def failure(error: Failure | None) -> Json | None:
    """Why a task failed."""
    if error is None:
        return None
    kind = _KINDS.get(error.code) or _BY_FAMILY.get(error.family, "internal_error")
    return {"kind": kind, "message": error.message or "The task failed."}


def package(task: Task) -> Json:
    """What is known of all the files that a manifest stands for; nothing of any other result."""
    if task.kind != "adaptive_video":
        return {}
    told_of = {"width": "width_px", "height": "height_px", "duration": "duration_s", "framerate": "frame_rate"}
    found: Json = {name: task.details[fact] for name, fact in told_of.items() if fact in task.details}
    # Not the files shown early: no manifest of the result names them.
    size = task.details.get("package_bytes") or sum(o.file.size_bytes for o in task.outputs if o.file is not None)
    bitrate = round(size * 8 / found["duration"]) if found.get("duration") else None
    return {**found, "filesize": size, "bitrate": bitrate}
