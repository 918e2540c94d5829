"""Shapes and paths of jobs in OpenAPI, and what all parts of the document are written with."""

from __future__ import annotations

from mediamill.dialects.framelane.call import Json
from mediamill.dialects.framelane.jobs import DEFAULT_LISTED, MOST_LISTED, STATUSES, TYPES

TEXT: Json = {"type": "string"}
TEXT0: Json = {"type": ["string", "null"]}
INT: Json = {"type": "integer"}
INT0: Json = {"type": ["integer", "null"]}
NUMBER0: Json = {"type": ["number", "null"]}
BOOL: Json = {"type": "boolean"}
AT: Json = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}
AT0: Json = {**AT, "type": ["string", "null"]}
URL: Json = {"type": "string", "minLength": 10, "maxLength": 2083, "pattern": "^https?://[a-z0-9./-]+$"}
URL0: Json = {**URL, "type": ["string", "null"]}
METADATA: Json = {"type": "object", "additionalProperties": TEXT, "maxProperties": 100}
_SAID = {
    400: "The body is not JSON, or the cursor was not given out here.",
    401: "No key, or one that is not known.",
    402: "The render minutes of this period are used up.",
    403: "The key does not allow this, or its e-mail is not verified.",
    404: "No such thing in this workspace.",
    405: "Not with this method.",
    408: "The client fell silent.",
    409: "The thing is in another state, or the idempotency key was used for another body.",
    413: "The body is too large.",
    422: "A field or a parameter does not hold what it must.",
    429: "Too many calls in this minute.",
    500: "The server failed.",
}


def id_of(word: str) -> Json:
    """The pattern of ids."""
    return {"type": "string", "pattern": f"^{word}_[0-7][0-9A-HJKMNP-TV-Z]{{25}}$"}


def ref(name: str) -> Json:
    """A schema by name."""
    return {"$ref": f"#/components/schemas/{name}"}


def shape(properties: Json) -> Json:
    """An object all of whose properties are always there."""
    return {"type": "object", "properties": properties, "required": list(properties)}


def body(properties: Json, *required: str) -> Json:
    """An object of a request; what is not listed is ignored, and null is as absent."""
    nullable = {name: found if name in required else _or_null(found) for name, found in properties.items()}
    return {"type": "object", "properties": nullable, "required": list(required)}


def _or_null(schema: Json) -> Json:
    if "enum" in schema:
        return {"enum": [*schema["enum"], *([] if None in schema["enum"] else [None])]}
    types = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return {**schema, "type": [*types, *([] if "null" in types else ["null"])]}


def page(items: Json) -> Json:
    """The envelope of a list."""
    return shape({"data": {"type": "array", "items": items}, "next_cursor": TEXT0, "has_more": BOOL})


def query(name: str, schema: Json, text: str) -> Json:
    """A parameter of a query."""
    return {"name": name, "in": "query", "schema": schema, "description": text}


PAGING = [
    query(
        "limit",
        {"type": "integer", "minimum": 1, "maximum": MOST_LISTED, "default": DEFAULT_LISTED},
        "How many to show.",
    ),
    query("cursor", TEXT, "The `next_cursor` of the page before."),
]
IDEMPOTENCY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 255},
    "description": "The same key and body within a day answer the same job, with 200.",
}


def operation(id: str, text: str, good: Json, *errors: int, **more: object) -> Json:
    """An operation with the errors that any has and those named."""
    bad = {
        str(code): {"description": said, "content": content(ref("Error"))}
        for code, said in _SAID.items()
        if code in {401, 403, 404, 422, 429, 500, *errors}
    }
    return {"operationId": id, "summary": text, "responses": {**good, **bad}, **more}


def good(text: str, schema: Json) -> Json:
    """An answer with a body."""
    return {"description": text, "content": content(schema)}


def content(schema: Json) -> Json:
    """JSON of a shape."""
    return {"application/json": {"schema": schema}}


def wanted(schema: Json, *, required: bool = True) -> Json:
    """A request's body."""
    return {"required": required, "content": content(schema)}


def at_id(word: str) -> list[Json]:
    """The id in a path."""
    return [{"name": "id", "in": "path", "required": True, "schema": id_of(word)}]


_OUTPUT = shape({"url": TEXT0, "width": INT0, "height": INT0, "duration": NUMBER0, "size_bytes": INT0})
_FLAGS = ("sentiment_analysis", "entity_detection", "auto_highlights", "content_safety", "iab_categories")
_COMMON: Json = {"source_url": URL, "metadata": METADATA, "webhook_url": URL0}
JOBS: Json = {
    "Error": shape({"error": shape({"code": TEXT, "message": TEXT, "details": {"type": "object"}})}),
    "Job": shape(
        {
            "id": {"type": "string", "pattern": "^(task|render)_[0-7][0-9A-HJKMNP-TV-Z]{25}$"},
            "kind": {"enum": ["task", "render"]},
            "workspace_id": id_of("ws"),
            "status": {"enum": list(STATUSES)},
            "created_at": AT,
            "updated_at": AT,
            "task_type": {"enum": [*TYPES, None]},
            "progress_percent": {"type": "integer", "minimum": 0, "maximum": 100},
            "progress_stage": {"enum": ["downloading", "compositing", "encoding", "uploading", None]},
            "output": {"anyOf": [_OUTPUT, {"type": "null"}]},
            "error": {"anyOf": [shape({"code": TEXT, "message": TEXT}), {"type": "null"}]},
            "metadata": {"type": "object", "additionalProperties": TEXT},
            "completed_at": AT0,
        }
    ),
    "Jobs": page(ref("Job")),
    "NewRemoveBackground": body({**_COMMON, "output_format": {"enum": ["webm", "mov", "png", None]}}, "source_url"),
    "NewGazeRedirect": body({**_COMMON, "intensity": {"type": "number", "minimum": 0, "maximum": 1}}, "source_url"),
    "NewSuperResolution": body({**_COMMON, "scale": {"type": "number", "minimum": 1, "maximum": 4}}, "source_url"),
    "NewTranscribe": body(
        {
            **_COMMON,
            "language": {"type": ["string", "null"], "pattern": "^[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8})*$"},
            "speech_model": {"enum": ["universal-2", "universal-3-pro", "nano"]},
            "word_timings": BOOL,
            "speaker_labels": BOOL,
            "speakers_expected": {"type": ["integer", "null"], "minimum": 1, "maximum": 10},
            "word_boost": {
                "type": "array",
                "items": {"type": "string", "minLength": 1, "maxLength": 200},
                "maxItems": 200,
            },
            **dict.fromkeys(_FLAGS, BOOL),
        },
        "source_url",
    ),
}
_STATUS = query("status", {"enum": list(STATUSES)}, "Only those that stand there.")
_WAIT = query(
    "wait", {"type": "integer", "minimum": 0}, "Answer once it has ended, or after so many seconds, of which 25 count."
)
_REDIRECT: Json = {"302": {"description": "Where the bytes are.", "headers": {"Location": {"schema": TEXT}}}}
_NEW: Json = {"202": good("Taken.", ref("Job")), "200": good("Asked for before.", ref("Job"))}


def _jobs(noun: str, word: str, name: str, filters: list[Json]) -> Json:
    one = good("Here.", ref("Job"))
    return {
        f"/v1/{noun}": {
            "get": operation(
                f"list{name}s",
                "Newest first.",
                {"200": good("Here.", ref("Jobs"))},
                400,
                parameters=[*PAGING, _STATUS, *filters],
            )
        },
        f"/v1/{noun}/{{id}}": {
            "parameters": at_id(word),
            "get": operation(f"get{name}", "One.", {"200": one}, parameters=[_WAIT]),
            "delete": operation(f"cancel{name}", "Stop it.", {"200": one}, 409),
        },
        f"/v1/{noun}/{{id}}/download": {
            "parameters": at_id(word),
            "get": operation(f"download{name}", "The result.", _REDIRECT, 409),
        },
    }


def _creators() -> Json:
    found: Json = {}
    for type, path in TYPES.items():
        name = "".join(part.capitalize() for part in type.split("_"))
        found[f"/v1/tasks/{path}"] = {
            "post": operation(
                f"create{name}",
                f"Make a task of type {type}.",
                _NEW,
                *(400, 408, 409, 413),
                parameters=[IDEMPOTENCY],
                requestBody=wanted(ref(f"New{name}")),
            )
        }
    return found


JOBS_PATHS: Json = {
    **_jobs("tasks", "task", "Task", [query("type", {"enum": list(TYPES)}, "Only those of this type.")]),
    **_creators(),
    **_jobs("renders", "render", "Render", []),
}
