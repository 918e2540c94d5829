"""The dialect's OpenAPI 3.1 document, made from the structs that the answers are written with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from mediamill import __version__, kinds
from mediamill.core import formats
from mediamill.dialects.turbofiles import wire
from mediamill.dialects.turbofiles.errors import MEDIA_TYPE, ErrorDocument

Json = dict[str, Any]

_DOCUMENTS = (
    wire.FileDocument, wire.FilePage, wire.TaskDocument, wire.TaskPage, wire.LinkageDocument, wire.RelatedDocument,
    wire.UserDocument, wire.FileAttributes, wire.TaskAttributes, wire.TaskRelationships, ErrorDocument,
)  # fmt: skip
_INSTANT = r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$"
_ERRORS = {
    400: "A parameter or the document cannot be taken.",
    401: "No token, or one that is not known.",
    404: "No such thing for this token.",
    405: "Not with this method.",
    406: "Nothing in Accept can be answered with.",
    409: "The document is of another type.",
    413: "The document is too large.",
    415: "Not the media type of this API.",
    422: "A member does not hold what it must, or the conversion cannot be done.",
    429: "Too many calls in this minute.",
    500: "The server failed.",
}
_ID = {"type": "string", "pattern": "^[a-z0-9]{1,64}$"}
_CURSOR = {
    "type": "string",
    "description": "A cursor from a link, or an RFC 3339 instant.",
    "pattern": r"^(19|20)\d\d-(0[1-9]|1[0-2])-(0[1-9]|1\d|2[0-8])T([01]\d|2[0-3]):[0-5]\d:[0-5]\d(\.\d{1,9})?Z$",
}
_LEADS_TO = {
    "createFile": {"getFile": "file_id", "deleteFile": "file_id"},
    "createTask": {
        name: "task_id" for name in ("getTask", "getInputLinkage", "getOutputLinkage", "getInputFile", "getOutputFile")
    },
}
_STATUSES = "(PENDING|PROCESSING|COMPLETED|FAILED)"


def describe(max_bytes: int = 1 << 30) -> Json:
    """The document. max_bytes: the largest file that may be registered."""
    _, components = msgspec.json.schema_components(_DOCUMENTS, ref_template="#/components/schemas/{name}")
    schemas: Json = dict(components)
    _loosen(schemas)
    schemas |= {"NewFile": _new_file(max_bytes), "NewTask": _new_task()}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "TurboFiles API, as Mediamill serves it",
            "version": __version__,
            "description": "JSON:API 1.1. Upload and download links are signed and need no token.",
        },
        "servers": [{"url": "/turbofiles"}],
        "security": [{"token": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "schemas": schemas,
            "headers": {
                "Limit": {"description": "Calls a minute.", "schema": {"type": "integer"}},
                "Remaining": {"description": "Calls left now.", "schema": {"type": "integer"}},
                "Location": {"description": "The new resource.", "schema": {"type": "string", "format": "uri"}},
            },
        },
    }


def methods(document: Json) -> Mapping[str, str]:
    """The value of Allow by the pattern of a path: Litestar's own OPTIONS knows those of one handler only."""
    return {
        re.sub(r"\{\w+\}", "[^/]+", path): ", ".join(
            [*(m.upper() for m in item if m != "parameters"), *(["HEAD"] if "get" in item else []), "OPTIONS"]
        )
        for path, item in document["paths"].items()
    }


def _loosen(schemas: Json) -> None:
    """`fields[...]` may leave any attribute or relationship out; instants are of one form."""
    for resource, parts in {
        "FileResource": {"attributes": "FileAttributes"},
        "TaskResource": {"attributes": "TaskAttributes", "relationships": "TaskRelationships"},
    }.items():
        for name, part in parts.items():
            schemas[resource]["properties"][name] = {"$ref": f"#/components/schemas/{part}"}
            schemas[part].pop("required", None)
            for member, schema in schemas[part]["properties"].items():
                if member.endswith("_at"):
                    type = ["string", "null"] if "anyOf" in schema else "string"
                    schemas[part]["properties"][member] = {"type": type, "pattern": _INSTANT}
    for name in ("FileResource", "TaskResource", "Identifier", "UserResource"):
        schemas[name]["required"] = ["type", *schemas[name]["required"]]
    schemas["Version"]["required"] = ["version"]


def _new_file(max_bytes: int) -> Json:
    attributes = {
        "type": "object",
        "properties": {
            "format": {"type": "string", "examples": ["image/png", "png"], "pattern": _MIME},
            "size": {
                "type": "integer",
                "minimum": 1,
                "maximum": max_bytes,
                "description": "Number of bytes of the upload to come.",
            },
        },
        "required": ["format", "size"],
    }
    return _envelope("files", {"attributes": attributes}, ["attributes"])


_MIME = r"^[a-z0-9][a-z0-9+.-]{0,40}/[a-z0-9][a-z0-9+.-]{0,40}$"


def _new_task() -> Json:
    """The documented form; the published client's own (docs/reference/turbofiles.md) is taken as well."""
    words = [word for known in formats.FORMATS for word in (known.mime, *known.names)]
    options = msgspec.json.schema(kinds.named("optimise").options, ref_template="#/{name}")
    known = options["$defs"]["Options"]["properties"]
    known["resize"] = {**options["$defs"]["Resize"], "additionalProperties": True}
    attributes = {
        "type": "object",
        "properties": {
            "format": {
                "type": "object",
                "properties": {
                    "input": {"enum": words, "description": "What the file is; taken from it when absent."},
                    "output": {"enum": words, "description": "What to make of it."},
                },
                "required": ["output"],
            },
            "settings": {"type": "object", "properties": known, "description": "Unknown keys are told, not refused."},
            "public": {"type": "boolean", "description": "Whether anyone may read the result without a signature."},
        },
        "required": ["format"],
    }
    identifier = {
        "type": "object",
        "properties": {"type": {"const": "files"}, "id": {"type": "string"}},
        "required": ["id"],
    }
    linkage = {"type": "object", "properties": {"data": identifier}, "required": ["data"]}
    related = {"type": "object", "properties": {"input": linkage}, "required": ["input"]}
    return _envelope("tasks", {"attributes": attributes, "relationships": related}, ["attributes", "relationships"])


def _envelope(type: str, members: Json, required: list[str]) -> Json:
    data = {"type": "object", "properties": {"type": {"const": type}, **members}, "required": required}
    return {"type": "object", "properties": {"data": data}, "required": ["data"]}


def _paths() -> Json:
    file, task = _path_id("file_id"), _path_id("task_id")
    fields = [_fields("tasks"), _fields("files")]
    files = {
        "post": _operation("createFile", "Register a file, and learn where to PUT its bytes.", 201, "FileDocument",
                           fields, body="NewFile", more=(409, 413, 415, 422)),
        "get": _operation("listFiles", "The files, newest first.", 200, "FilePage", [*_page(), _sort(), *fields]),
    }  # fmt: skip
    one_file = {
        "parameters": [file],
        "get": _operation("getFile", "One file.", 200, "FileDocument", fields, more=(404,)),
        "delete": _operation("deleteFile", "Forget a file and its bytes, now.", 204, None, [], more=(404,)),
    }
    tasks = {
        "post": _operation("createTask", "Convert a file, or make it smaller in its own format.", 201, "TaskDocument",
                           [_include(), *fields], body="NewTask", more=(404, 409, 413, 415, 422)),
        "get": _operation("listTasks", "The tasks, newest first.", 200, "TaskPage",
                          [*_page(), _sort(), _filter(), _include(), *fields]),
    }  # fmt: skip
    paths: Json = {
        "/v1/files": files,
        "/v1/files/{file_id}": one_file,
        "/v1/tasks": tasks,
        "/v1/tasks/{task_id}": {
            "parameters": [task],
            "get": _operation("getTask", "One task.", 200, "TaskDocument", [_include(), *fields], more=(404,)),
        },
    }
    for role in wire.ROLES:
        name = role.capitalize()
        paths[f"/v1/tasks/{{task_id}}/relationships/{role}"] = {
            "parameters": [task],
            "get": _operation(
                f"get{name}Linkage", f"Which file is the {role}.", 200, "LinkageDocument", [], more=(404,)
            ),
        }
        paths[f"/v1/tasks/{{task_id}}/{role}"] = {
            "parameters": [task],
            "get": _operation(
                f"get{name}File", f"The {role} file, or null.", 200, "RelatedDocument", fields, more=(404,)
            ),
        }
    paths["/v1/users/me"] = {"get": _operation("getUser", "Whoever the token belongs to.", 200, "UserDocument", [])}
    return paths


def _operation(
    id: str,
    summary: str,
    status: int,
    schema: str | None,
    parameters: list[Json],
    *,
    body: str | None = None,
    more: tuple[int, ...] = (),
) -> Json:
    good: Json = {"description": "Done.", "headers": _headers(status)}
    if id in _LEADS_TO:
        good["links"] = {
            target: {"operationId": target, "parameters": {name: "$response.body#/data/id"}}
            for target, name in _LEADS_TO[id].items()
        }
    if schema is not None:
        good["content"] = _content(schema)
    errors = {400, 401, 406, 415, 429, 500, *more}
    found: Json = {
        "operationId": id,
        "summary": summary,
        "tags": ["users" if id == "getUser" else "files" if id.endswith(("File", "Files")) else "tasks"],
        "responses": {
            str(status): good,
            **{
                str(code): {"description": text, "content": _content("ErrorDocument")}
                for code, text in _ERRORS.items()
                if code in errors
            },
        },
    }
    if parameters:
        found["parameters"] = parameters
    if body is not None:
        found["requestBody"] = {"required": True, "content": _content(body)}
    return found


def _headers(status: int) -> Mapping[str, Json]:
    names = {"X-Ratelimit-Limit": "Limit", "X-Ratelimit-Remaining": "Remaining"}
    if status == 201:
        names["Location"] = "Location"
    return {name: {"$ref": f"#/components/headers/{component}"} for name, component in names.items()}


def _content(schema: str) -> Json:
    return {MEDIA_TYPE: {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _path_id(name: str) -> Json:
    return {"name": name, "in": "path", "required": True, "schema": _ID}


def _query(name: str, schema: Json, description: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": description}


def _page() -> list[Json]:
    size = {"type": "integer", "minimum": 1, "maximum": 100, "default": 10}
    return [
        _query("page[size]", size, "Items of the page; 100 when both cursors are given."),
        _query("page[after]", _CURSOR, "Items that follow this place."),
        _query("page[before]", _CURSOR, "The items right before this place."),
    ]


def _sort() -> Json:
    return _query("sort", {"type": "string", "enum": ["-created_at", "created_at"]}, "Newest first unless told.")


def _filter() -> Json:
    schema = {"type": "string", "pattern": f"^{_STATUSES}(,{_STATUSES}){{0,3}}$"}
    return _query("filter[status]", schema, "Comma list of statuses.")


def _include() -> Json:
    schema = {"type": "string", "enum": ["", "input", "output", "input,output"]}
    return _query("include", schema, "Which files come along; both unless told.")


def _fields(type: str) -> Json:
    return _query(f"fields[{type}]", {"type": "string"}, "Comma list of the attributes and relationships to show.")
