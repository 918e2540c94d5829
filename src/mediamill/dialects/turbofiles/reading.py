"""Request documents as the core takes them. Every fault points at what is there in the sent document."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from mediamill.core import formats
from mediamill.core.errors import Invalid, NotFound, TooLarge, Unavailable, Unsupported
from mediamill.core.files import File
from mediamill.core.tasks import NewTask, Source
from mediamill.dialects.turbofiles import settings
from mediamill.dialects.turbofiles.errors import Fault
from mediamill.dialects.turbofiles.wire import NAME, format_of
from mediamill.service.tasks import NotUploaded

_MIME = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]*/[a-z0-9][a-z0-9!#$&^_.+-]*", re.ASCII)
_LONGEST_MIME = 127
_ID = re.compile(r"[a-z0-9]{1,64}", re.ASCII)
_MOST_SETTINGS_BYTES = 64 << 10
_DEEPEST_SETTINGS = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class FileRequest:
    """A file to register."""

    mime: str
    size_bytes: int

    @property
    def filename(self) -> str:
        """A name for the bytes, which the API gives none."""
        return "file" + formats.suffix(self.mime)


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRequest:
    """A task as it was asked for. `output` is None in the legacy form: whatever the input is."""

    body: Mapping[str, Any]
    file: str
    file_at: str
    """Pointer to the file's id."""
    input: str | None
    output: str | None
    output_at: str
    settings: Mapping[str, Any]
    settings_at: str
    public: bool


def read_document(raw: bytes) -> dict[str, Any]:
    """The body as a JSON object. Raises a 400 Fault for what is no JSON, a 422 for what is no object."""
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        why = "it is nested too deeply" if isinstance(error, RecursionError) else str(error).rstrip(".")
        raise Fault(400, "malformed_json", f"The body is not JSON that can be read: {why}.") from None
    if not isinstance(body, dict):
        raise _wrong("", "The document must be an object.")
    return body


def read_id(id: str, noun: str) -> str:
    """An id of a path; one that could not be ours is unknown."""
    if not _ID.fullmatch(id):
        raise NotFound(noun, id)
    return id


def read_file(body: dict[str, Any]) -> FileRequest:
    """A request for a file."""
    attributes = _object(_primary(body, "files"), "attributes", "/data")
    name = "format" if "format" in attributes else "mime_type"
    if name not in attributes:
        raise _wrong("/data/attributes", "format is missing: a MIME type, like image/png.")
    mime = _format(attributes[name], f"/data/attributes/{name}")
    if "size" not in attributes:
        raise _wrong("/data/attributes", "size is missing: the number of bytes.")
    size = attributes["size"]
    if isinstance(size, float) and size.is_integer():
        size = int(size)  # 5.0 is an integer in JSON Schema
    if not isinstance(size, int) or isinstance(size, bool) or size < 1:
        raise _wrong("/data/attributes/size", "size must be an integer of at least 1.")
    return FileRequest(mime=mime, size_bytes=size)


def too_large(error: TooLarge) -> Fault:
    """A file above the ceiling, in the words of the hosted service."""
    del error
    return Fault(400, "file_too_large", "Max file size exceeded", pointer="/data/attributes/size")


def read_task(body: dict[str, Any]) -> TaskRequest:
    """A request for a task, in the documented form or in that of the published client."""
    data = _primary(body, "tasks")
    attributes = _object(data, "attributes", "/data")
    file, file_at = _input(data)
    legacy = "action" in attributes and "format" not in attributes
    key = "parameters" if legacy and "parameters" in attributes else "settings"
    wanted_in: str | None = None
    wanted_out: str | None = None
    if legacy:
        if attributes["action"] != "compress":
            raise _wrong("/data/attributes/action", "compress is the only action; else name a format.output.")
        output_at = "/data/attributes/action"
    else:
        form = _object(attributes, "format", "/data/attributes")
        output_at = "/data/attributes/format/output"
        if "output" not in form:
            raise _wrong("/data/attributes/format", "output is missing: a MIME type, like image/webp.")
        wanted_out = _known(form["output"], output_at)
        if wanted_out is None:
            raise Fault(422, "unsupported_conversion", f"{form['output']!r} is no format we know.", pointer=output_at)
        if "input" in form:
            wanted_in = _format(form["input"], "/data/attributes/format/input")
    public = attributes.get("public", False)
    if not isinstance(public, bool):
        raise _wrong("/data/attributes/public", "public must be true or false.")
    return TaskRequest(
        body=body,
        file=file,
        file_at=file_at,
        input=wanted_in,
        output=wanted_out,
        output_at=output_at,
        settings=_settings(attributes, key),
        settings_at=f"/data/attributes/{key}",
        public=public,
    )


def new_task(request: TaskRequest, file: File) -> NewTask:
    """The request as the core takes it, now that its file is known."""
    declared = format_of(file)
    if request.input is not None and request.input not in (declared, file.mime):
        raise _wrong("/data/attributes/format/input", f"The file is {declared}, not {request.input}.")
    known, ignored = settings.split(request.settings)
    output = request.output or file.mime
    # To the format it is declared to have, but has not: that is a conversion.
    same = output == file.mime
    return NewTask(
        kind="optimise" if same else "convert",
        inputs=[Source(file=file.id)],
        options=known if same else {**known, "format": output},
        dialect=NAME,
        extra={
            "settings": dict(request.settings),
            "public": request.public,
            "format": {"input": request.input or (output if request.output is None else declared), "output": output},
            "ignored_settings": ignored,
            "input_size": file.size_bytes,
        },
    )


def refused(error: Invalid | NotFound, request: TaskRequest) -> Fault:
    """What the service says of a task, as a fault of the sent document."""
    if isinstance(error, NotFound):
        return Fault(404, "not_found", f"There is no file {request.file}.", pointer=request.file_at)
    if isinstance(error, NotUploaded):
        return Fault(422, "file_not_uploaded", error.reason, pointer=request.file_at)
    if isinstance(error, (Unsupported, Unavailable)):
        return Fault(422, "unsupported_conversion", error.reason, pointer=request.output_at)
    root, _, path = error.field.partition(".")
    if root != "options" or not path:
        return Fault(422, "invalid_attribute", error.reason, pointer="/data")
    pointer = _existing(request.body, request.settings_at + "/" + path.replace(".", "/"))
    return Fault(422, "invalid_attribute", f"{path}: {error.reason}", pointer=pointer)


def _primary(body: dict[str, Any], type: str) -> dict[str, Any]:
    data = _object(body, "data", "")
    if "type" in data and data["type"] != type:
        raise Fault(409, "type_mismatch", f"This collection holds {type}.", pointer="/data/type")
    return data


def _input(data: dict[str, Any]) -> tuple[str, str]:
    """(id, pointer to it) of the input file, under any of the names that callers use."""
    place = "relationships" if "relationships" in data or "relationship" not in data else "relationship"
    related = _object(data, place, "/data")
    name = "input" if "input" in related or "source" not in related else "source"
    at = f"/data/{place}"
    linkage = _object(_object(related, name, at), "data", f"{at}/{name}")
    at = f"{at}/{name}/data"
    if linkage.get("type", "files") != "files":
        raise _wrong(f"{at}/type", "The input must be of type files.")
    if "id" not in linkage:
        raise _wrong(at, "id is missing.")
    id = linkage["id"]
    if not isinstance(id, str):
        raise _wrong(f"{at}/id", "id must be a string.")
    if not _ID.fullmatch(id):
        raise Fault(404, "not_found", "There is no such file.", pointer=f"{at}/id")
    return id, f"{at}/id"


def _settings(attributes: Mapping[str, Any], key: str) -> dict[str, Any]:
    found = attributes.get(key, {})
    at = f"/data/attributes/{key}"
    if not isinstance(found, dict):
        raise _wrong(at, f"{key} must be an object.")
    _check_depth(found, _DEEPEST_SETTINGS, at)
    if len(text := msgspec.json.encode(found)) > _MOST_SETTINGS_BYTES:
        raise _wrong(at, f"{key} must be at most {_MOST_SETTINGS_BYTES} bytes of JSON.")
    if b"\\u0000" in text and _holds_nul(found):
        raise _wrong(at, f"{key} must not hold NUL characters.")
    return found


def _check_depth(value: Any, left: int, at: str) -> None:
    inner = list(value.values()) if isinstance(value, dict) else value if isinstance(value, list) else []
    if inner and left == 0:
        raise _wrong(at, f"must not be nested deeper than {_DEEPEST_SETTINGS} levels.")
    for one in inner:
        _check_depth(one, left - 1, at)


def _holds_nul(value: Any) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, dict):
        return any(_holds_nul(part) for pair in value.items() for part in pair)
    return isinstance(value, list) and any(_holds_nul(one) for one in value)


def _format(value: Any, at: str) -> str:
    """A canonical MIME type; one nobody knows is taken as it is."""
    known = _known(value, at)
    if known is not None:
        return known
    word = str(value).split(";", 1)[0].strip().lower()
    if len(word) > _LONGEST_MIME or not _MIME.fullmatch(word):
        raise _wrong(at, "must be a MIME type, like image/png, or the name of a format, like png.")
    return word


def _known(value: Any, at: str) -> str | None:
    if not isinstance(value, str):
        raise _wrong(at, "must be a string: a MIME type, like image/png.")
    return formats.canonical(value)


def _object(parent: Mapping[str, Any], name: str, at: str) -> dict[str, Any]:
    if name not in parent:
        raise _wrong(at, f"{name} is missing.")
    found = parent[name]
    if not isinstance(found, dict):
        raise _wrong(f"{at}/{name}", f"{name} must be an object.")
    return found


def _existing(body: Any, pointer: str) -> str:
    """The longest part of a pointer that leads to something in the document (RFC 6901)."""
    found, value = "", body
    for step in pointer.split("/")[1:]:
        if isinstance(value, dict) and step in value:
            value = value[step]
        elif isinstance(value, list) and step.isdigit() and int(step) < len(value):
            value = value[int(step)]
        else:
            break
        found += "/" + step.replace("~", "~0").replace("/", "~1")
    return found


def _wrong(pointer: str, detail: str) -> Fault:
    return Fault(422, "invalid_attribute", detail, pointer=pointer)
