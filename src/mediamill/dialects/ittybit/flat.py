"""Tasks, files and media as the published SDKs read them: ISO instants, legacy words. The envelope holds the same."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mediamill.core import described
from mediamill.core.files import File, FileState
from mediamill.core.tasks import Input, Task
from mediamill.dialects import Links
from mediamill.dialects.ittybit import ids, objects
from mediamill.dialects.ittybit.current import options_of, told
from mediamill.dialects.ittybit.objects import Json, iso
from mediamill.dialects.ittybit.status import legacy, progress_of, status_of

_INTELLIGENCE = frozenset({"speech", "nsfw", "summary", "outline"})
_TRACKS = frozenset({"subtitles", "chapters"})
_PACKAGES = {"adaptive_video": "video"}
"""Of what kind the media is that a manifest stands for."""


def write_task(task: Task, links: Links, *, status: str | None = None) -> Json:
    """A task."""
    said = status or status_of(task)
    failure = objects.failure(task.error)
    error = failure["message"] if failure and said == "failed" else None
    made = task.result if said == "succeeded" else None
    output = write_file(made, links, kind=task.kind) if made else None
    if output is not None and (whole := objects.package(task)):
        output |= {"fps" if name == "framerate" else name: value for name, value in whole.items()}
        output["orientation"] = described.orientation(output["width"], output["height"])
    found: Json = {
        "id": ids.write("task", task.id),
        "object": "task",
        "kind": task.kind,
        "status": legacy(said),
        "created": iso(task.created_at),
        "updated": iso(objects.updated_at(task)),
        "input": _input(task.inputs[0], links) if task.inputs else None,
        "options": options_of(task),
        "output": output,
        "progress": progress_of(task, said),
        "error": error or ("The task failed." if said == "failed" else None),
        "metadata": task.metadata,
        "created_by": ids.write("run", task.run_id),
        "parent_id": ids.write("task", task.parent_id) if task.parent_id else None,
        "workflow": None,
        "results": None,
    }
    return found | told(task, said)


def _input(source: Input, links: Links) -> Json:
    if source.file is not None:
        found = write_file(source.file, links)
        return found | {"url": source.url or found["url"]}
    names = ("id", "media_id", "kind", "type", "width", "height", "duration", "filesize", "ref")
    found = dict.fromkeys(names)
    return {**found, "object": "source", "url": source.url, "filename": objects.source_url_name(source.url, None)}


def write_file(file: File, links: Links, *, kind: str | None = None, failed: bool = False) -> Json:
    """A file. `kind` is that of the task that made it."""
    known = objects.facts_of(file)
    facts = file.facts
    made_by = kind or file.made_by
    noun = "track" if made_by in _TRACKS else "intelligence" if made_by in _INTELLIGENCE else "source"
    width, height = known["width"], known["height"]
    shapes = known["codecs"] or {"video": None, "audio": None}
    stream = shapes["video"] or shapes["audio"] or {}
    return {
        "id": ids.write("file", file.id),
        "media_id": ids.write("media", file.media_id) if file.media_id else None,
        "object": noun,
        "kind": made_by if noun != "source" else objects.media_kind(file) or _PACKAGES.get(made_by or ""),
        "type": file.mime,
        "codec": stream.get("name"),
        "codecs": known["codecs"],
        "container": described.container(file.mime),
        "width": width,
        "height": height,
        "orientation": described.orientation(width, height),
        "rotation": None,
        "transparency": facts.get("has_alpha"),
        "animated": described.animated(file.mime, facts),
        "frames": facts.get("frames"),
        "duration": known["duration"],
        "fps": known["framerate"],
        "filesize": file.size_bytes if file.state is FileState.READY else 0,
        "bitrate": known["bitrate"],
        "language": None,
        "label": None,
        "ref": file.ref,
        "folder": file.folder,
        "filename": file.filename,
        "url": objects.file_url(links, file),
        "placeholder": None,
        "background": None,
        "metadata": file.metadata,
        "original": file.original,
        "created_by": _creator(file.created_by),
        "status": "ready" if file.ready else "failed" if failed else "processing",
        "created": iso(file.created_at),
        "updated": iso(file.updated_at),
    }


def _creator(id: str | None) -> str | None:
    """The key that sent it, or the run that made it."""
    return ids.write("run", id) if id and id.startswith(ids.PREFIXES["run"][1]) and "_" not in id else id


def write_media(media: Any, files: Sequence[Json]) -> Json:
    """A media group with its files as they are shown. The first original tells its kind and its size."""
    first: Mapping[str, Any] = next((f for f in files if f["original"]), next(iter(files), {}))
    return {
        "id": ids.write("media", media.id),
        "object": "media",
        "kind": first.get("kind"),
        "title": media.title,
        "alt": media.alt,
        "width": first.get("width"),
        "height": first.get("height"),
        "duration": first.get("duration"),
        "files": list(files),
        "urls": {f["ref"]: f["url"] for f in files if f["ref"]},
        "background": None,
        "metadata": media.metadata,
        "created": iso(media.created_at),
        "updated": iso(media.updated_at),
    }
