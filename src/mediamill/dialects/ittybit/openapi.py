"""The dialect's OpenAPI 3.1 document, of profile `current`; the older profiles say the same in other forms."""

from __future__ import annotations

from typing import Any

from mediamill import __version__
from mediamill.core.automations import MEDIA_CREATED
from mediamill.dialects.ittybit import jobs
from mediamill.dialects.ittybit.events import TOPICS
from mediamill.dialects.ittybit.status import STATUSES
from mediamill.dialects.ittybit.words import KINDS

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_TEXT0: Json = {"type": ["string", "null"]}
_INT: Json = {"type": "integer"}
_INT0: Json = {"type": ["integer", "null"]}
_NUMBER0: Json = {"type": ["number", "null"]}
_BOOL: Json = {"type": "boolean"}
_BOOL0: Json = {"type": ["boolean", "null"]}
_OBJECT: Json = {"type": "object"}
_OBJECT0: Json = {"type": ["object", "null"]}
_ISO: Json = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}
_PERCENT: Json = {"type": ["integer", "null"], "minimum": 0, "maximum": 100}
_NAME: Json = {"type": ["string", "null"], "minLength": 1, "maxLength": 255, "pattern": r"\S"}
_CAPTION: Json = {**_NAME, "maxLength": 4096}
_FOLDER: Json = {
    "type": ["string", "null"],
    "maxLength": 200,
    "pattern": "^[A-Za-z0-9_-]{1,40}(/[A-Za-z0-9_-]{1,40}){0,3}$",
}
_URL: Json = {"type": "string", "minLength": 10, "maxLength": 8192, "pattern": "^(https?|s3)://[a-z0-9./-]+$"}
_METADATA: Json = {"type": ["object", "null"], "description": "Yours; at most 16 KiB of JSON."}
_ERRORS = {
    400: "A parameter cannot be taken; the message names it.",
    401: "No key, or one that is not known.",
    403: "The key or the signature does not allow this.",
    404: "No such thing for this key.",
    405: "Not with this method.",
    408: "The client fell silent.",
    409: "The thing is in another state, or the idempotency key was used for another body.",
    413: "The body is too large.",
    429: "Too many calls in this minute.",
    500: "The server failed.",
}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _or_null(name: str) -> Json:
    return {"anyOf": [_ref(name), {"type": "null"}]}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _shape(properties: Json, optional: Json | None = None) -> Json:
    return {"type": "object", "properties": {**properties, **(optional or {})}, "required": list(properties)}


def _id(word: str) -> Json:
    return {"type": "string", "pattern": f"^{word}_[a-z0-9]{{10,}}$"}


_SIDE: Json = {
    "kind": {"enum": ["url", "s3", "internal"]},
    "url": _TEXT0, "filename": _TEXT0, "filesize": _INT0, "mimetype": _TEXT0, "width": _INT0, "height": _INT0,
    "duration": _NUMBER0, "bitrate": _INT0, "framerate": _NUMBER0,
}  # fmt: skip
_TIMES: Json = {"created_at": _INT, "updated_at": _INT}
_SPAN: Json = {**_TIMES, "started_at": _INT0, "finished_at": _INT0}
_SCHEMAS: Json = {
    "Error": _shape({"kind": {"type": "string", "minLength": 1}, "message": {"type": "string", "minLength": 1}}),
    "Message": _shape({"message": _TEXT}),
    "Codecs": _shape(
        {
            "video": {"anyOf": [_shape({"name": _TEXT, "profile": _TEXT0, "level": _TEXT0}), {"type": "null"}]},
            "audio": {
                "anyOf": [
                    _shape({"name": _TEXT, "sample_rate": _INT0, "channels": _INT0, "bitrate": _INT0}),
                    {"type": "null"},
                ]
            },
        }
    ),
    "Side": _shape({**_SIDE, "codecs": _or_null("Codecs")}),
    "Failure": _shape({"kind": _TEXT, "message": _TEXT}),
    "Task": _shape(
        {
            "id": _id("task"),
            "object": {"const": "task"},
            "kind": {"enum": list(KINDS)},
            "status": {"enum": list(STATUSES)},
            "progress": _PERCENT,
            "input": _or_null("Side"),
            "output": _or_null("Side"),
            "error": _or_null("Failure"),
            "metadata": _OBJECT0,
            "created_by": _id("run"),
            "run_id": _id("run"),
            "parent_id": {"anyOf": [_id("task"), {"type": "null"}]},
            "options": _OBJECT,
            "inputs": _list(_ref("Side")),
            "outputs": _list(_ref("Side")),
            **_SPAN,
        },
        {
            "title": _TEXT0, "description": _TEXT0, "tags": _list(_TEXT), "languages": _list(_TEXT), "results": _OBJECT,
            "details": _OBJECT,
        },
    ),
    "Run": _shape(
        {
            "id": _id("run"),
            "object": {"const": "run"},
            "status": {"enum": list(STATUSES)},
            "progress": _PERCENT,
            "tasks": _list(_shape({"id": _id("task"), "kind": _TEXT, "status": _TEXT, "progress": _PERCENT})),
            "error": _or_null("Failure"),
            "metadata": _OBJECT,
            "created_by": _TEXT0,
            **_SPAN,
        }
    ),
    "Automation": _shape(
        {
            "id": _id("auto"),
            "object": {"const": "automation"},
            "name": _TEXT0,
            "description": _TEXT0,
            "workflow": _list(_OBJECT),
            "status": {"enum": ["active", "paused"]},
            "problem": _TEXT0,
            **_TIMES,
        },
        {"trigger": _OBJECT, "created": _ISO, "updated": _ISO},
    ),
    "Endpoint": _shape(
        {
            "id": _id("we"),
            "object": {"const": "webhook_endpoint"},
            "url": _TEXT,
            "topics": _list({"enum": list(TOPICS)}),
            "status": {"enum": ["active", "paused"]},
            **_TIMES,
        },
        {"secret": _TEXT, "reason": _TEXT},
    ),
    "Event": _shape(
        {
            "id": _id("evt"),
            "object": {"const": "event"},
            "kind": {"enum": list(TOPICS)},
            "data": {"anyOf": [_ref("Task"), _ref("Run")]},
            "created_at": _INT,
        }
    ),
    "Connection": _shape(
        {
            "id": _id("con"),
            "object": {"const": "storage_connection"},
            "kind": {"const": "s3"},
            "name": _TEXT,
            "endpoint": _TEXT,
            "region": _TEXT,
            "access_key_id": _TEXT,
            "secret_access_key": {"const": "****"},
            "is_default": _BOOL,
            **_TIMES,
        }
    ),
    "Key": _shape(
        {
            "id": _id("key"),
            "object": {"const": "key"},
            "name": _TEXT,
            "status": {"enum": ["active", "paused"]},
            **_TIMES,
        },
        {"secret": _TEXT, "key": _TEXT},
    ),
    "File": _shape(
        {
            "id": _id("file"),
            "media_id": {"anyOf": [_id("med"), {"type": "null"}]},
            "object": {"enum": ["source", "track", "intelligence"]},
            "kind": _TEXT0,
            "type": _TEXT,
            "filesize": _INT,
            "url": _TEXT,
            "status": {"enum": ["waiting", "processing", "ready", "failed"]},
            "created": _ISO,
            "updated": _ISO,
        },
        {
            "filename": _TEXT, "folder": _TEXT0, "ref": _TEXT0, "metadata": _OBJECT0, "original": _BOOL,
            "width": _INT0, "height": _INT0, "duration": _NUMBER0, "fps": _NUMBER0, "bitrate": _INT0,
            "codec": _TEXT0, "container": _TEXT0, "frames": _INT0, "animated": _BOOL0, "transparency": _BOOL0,
            "orientation": _TEXT0, "rotation": _INT0, "created_by": _TEXT0,
        },
    ),
    "Media": _shape(
        {
            "id": _id("med"),
            "object": {"const": "media"},
            "kind": _TEXT0,
            "title": _TEXT0,
            "alt": _TEXT0,
            "width": _INT0,
            "height": _INT0,
            "duration": _NUMBER0,
            "files": _list(_ref("File")),
            "urls": {"type": "object", "additionalProperties": _TEXT},
            "background": _TEXT0,
            "metadata": _OBJECT0,
            "created": _ISO,
            "updated": _ISO,
        }
    ),
    "Signature": _shape(
        {
            "domain": _TEXT,
            "filename": _TEXT,
            "folder": _TEXT0,
            "expiry": _INT,
            "method": {"enum": ["get", "put"]},
            "signature": _TEXT,
            "url": _TEXT,
        }
    ),
    "Job": _shape(
        {
            "id": _id("job"),
            "object": {"const": "job"},
            "kind": {"enum": list(jobs.KINDS)},
            "input": _TEXT0,
            "output": _TEXT0,
            "options": _OBJECT,
            "metadata": _OBJECT0,
            "status": {"enum": ["queued", "processing", "succeeded", "failed", "cancelled"]},
            "error": _or_null("Failure"),
            "tasks": _list(_OBJECT),
            **_SPAN,
        }
    ),
    "Catalogue": {
        "type": "object",
        "additionalProperties": _shape({"kind": _TEXT, "available": _BOOL, "reason": _TEXT0, "options": _OBJECT}),
    },
}  # fmt: skip


def _body(properties: Json, *required: str) -> Json:
    return {"type": "object", "properties": properties, "required": list(required)}


_ITEM: Json = {
    "kind": {"enum": list(KINDS)},
    "url": {**_URL, "type": ["string", "null"]},
    "file_id": {"anyOf": [_id("file"), {"type": "null"}]},
    "options": _OBJECT0,
    "metadata": _METADATA,
    "filename": _NAME,
    "folder": _FOLDER,
    "ref": _NAME,
}
_TRIGGER: Json = {
    "anyOf": [_shape({"kind": {"const": "event"}, "event": {"const": MEDIA_CREATED}}), {"type": "null"}],
}
_AUTOMATION: Json = {
    "name": {"type": ["string", "null"], "maxLength": 200},
    "description": {"type": ["string", "null"], "maxLength": 2000},
    "workflow": {"type": "array", "items": _body({"kind": {"enum": list(KINDS)}}, "kind"), "minItems": 1},
    "status": {"enum": ["active", "paused"]},
    "trigger": _TRIGGER,
}
_TOPIC_LIST: Json = {"type": "array", "items": {"enum": list(TOPICS)}, "minItems": 1}
_HOOK: Json = {"type": "string", "pattern": "^https://[a-z0-9]{1,20}\\.example/[a-z]{0,20}$"}
_PLAIN: Json = {"type": "string", "minLength": 1, "maxLength": 1024, "pattern": "^[ -~]+$"}
_CONNECTION: Json = {
    "name": {**_PLAIN, "maxLength": 200, "pattern": r"\S"},
    "endpoint": {"type": "string", "pattern": "^https://[a-z0-9]{1,20}\\.example$"},
    "region": {"type": "string", "pattern": "^[a-z0-9-]{1,64}$"},
    "access_key_id": _PLAIN,
    "secret_access_key": _PLAIN,
    "is_default": _BOOL0,
}
_BODIES: Json = {
    "NewTask": _body(_ITEM, "kind"),
    "NewRun": _body(
        {"tasks": {"type": "array", "items": _ref("NewTask"), "minItems": 1, "maxItems": 100},
         "url": {**_URL, "type": ["string", "null"]}, "metadata": _METADATA},
        "tasks",
    ),
    "NewAutomation": _body(_AUTOMATION, "workflow"),
    "AutomationChange": _body(_AUTOMATION),
    "Start": _body({"url": _URL, "metadata": _METADATA}),
    "NewEndpoint": _body(
        {"url": _HOOK, "topics": _TOPIC_LIST, "status": {"enum": ["active", "paused", None]}}, "url", "topics"
    ),
    "EndpointChange": _body(
        {"url": {**_HOOK, "type": ["string", "null"]}, "topics": _TOPIC_LIST,
         "status": {"enum": ["active", "paused", None]}}
    ),
    "NewConnection": _body(
        _CONNECTION, "name", "endpoint", "region", "access_key_id", "secret_access_key"
    ),
    "ConnectionChange": _body({name: {**v, "type": [v["type"], "null"]} if v.get("type") == "string" else v
                               for name, v in _CONNECTION.items()}),
    "NewKey": _body({"name": {"type": ["string", "null"], "minLength": 1, "maxLength": 200, "pattern": r"\S"}}),
    "NewFile": _body(
        {"url": _URL, "media_id": {"anyOf": [_id("med"), {"type": "null"}]}, "filename": _NAME, "folder": _FOLDER,
         "ref": _NAME, "metadata": _METADATA},
        "url",
    ),
    "FileChange": _body(
        {"filename": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"\S"}, "folder": _FOLDER,
         "ref": _NAME, "metadata": _METADATA}
    ),
    "MediaChange": _body({"title": _CAPTION, "alt": _CAPTION, "metadata": _METADATA}),
    "NewSignature": _body(
        {"filename": {"type": "string", "pattern": "^[A-Za-z0-9_-]{1,40}$"}, "folder": _FOLDER,
         "expiry": {"type": ["integer", "null"], "description": "Seconds since 1970, in the future."},
         "method": {"enum": ["get", "put", None]}},
        "filename",
    ),
    "NewJob": _body(
        {"kind": {"enum": list(jobs.KINDS)}, "input": _URL, "options": _OBJECT0, "metadata": _METADATA},
        "kind", "input",
    ),
}  # fmt: skip


def _query(name: str, schema: Json, text: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": text}


_LIMIT = _query("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, "How many to show.")
_ORDER = _query("order", {"type": "string", "enum": ["desc", "asc"]}, "Newest first unless told.")
_PAGE = _query("page", {"type": "integer", "minimum": 1, "maximum": 1_000_000, "default": 1}, "Which page.")


def _cursors(word: str) -> list[Json]:
    return [
        _LIMIT,
        _ORDER,
        _query("after", _id(word), "Items that follow this one in the order asked for."),
        _query("before", _id(word), "The items right before this one."),
    ]


_STATUS = _query("status", {"type": "string", "enum": list(STATUSES)}, "Only those that stand there.")
_KIND = _query("kind", {"type": "string", "enum": list(KINDS)}, "Only those of this kind.")
_RUN = [
    _query(name, {"type": "string", "minLength": 1}, "Only those of this run.") for name in ("run_id", "created_by")
]
_IDEMPOTENCY = {
    "name": "Idempotency-Key",
    "in": "header",
    "schema": {"type": "string", "minLength": 16, "maxLength": 32},
    "description": "16 to 32 characters; the same key and body within a day answer what was answered, with 200.",
}


def describe() -> Json:
    """The document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ittybit API, as Mediamill serves it",
            "version": __version__,
            "description": "Profile `current`. `Accept-Version: 2025-08-20` (and the published clients' own headers) "
            "choose older forms of the same: see docs/reference/ittybit.md.",
        },
        "servers": [{"url": "/ittybit"}],
        "security": [{"key": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
            "schemas": {**_SCHEMAS, **_BODIES},
        },
    }


def _paths() -> Json:
    paths: Json = {
        "/tasks-config": {"get": _get("getTasksConfig", "The kinds and their options.", _ref("Catalogue"), [])},
        "/signatures": {"post": _post("createSignature", "A signed URL.", "Signature", "NewSignature", status=200)},
    }
    paths |= _noun("tasks", "task", "Task", [*_cursors("task"), _STATUS, _KIND, *_RUN], post="NewTask", more=(404,))
    paths["/tasks/{id}/cancel"] = _action("task", "cancelTask", "Stop it.", "Task")
    paths |= _noun("runs", "run", "Run", [*_cursors("run"), _STATUS], post="NewRun", more=(404,))
    paths["/runs/{id}/cancel"] = _action("run", "cancelRun", "Stop all of it.", "Run")
    paths |= _noun(
        "automations", "auto", "Automation", _cursors("auto"), post="NewAutomation", patch="AutomationChange",
        delete=True, more=(404,),
    )  # fmt: skip
    paths["/automations/{id}/run"] = _action("auto", "runAutomation", "Start it.", "Run", body="Start", status=201)
    paths |= _noun(
        "webhooks/endpoints", "we", "Endpoint", _cursors("we"), post="NewEndpoint", patch="EndpointChange", delete=True
    )
    topics = _query("kind", {"type": "string", "enum": list(TOPICS)}, "Only those of this topic.")
    paths |= _noun("events", "evt", "Event", [*_cursors("evt"), topics])
    paths |= _noun(
        "connections", "con", "Connection", _cursors("con"), post="NewConnection", patch="ConnectionChange", delete=True
    )
    keys = _noun("keys", "key", "Key", _cursors("key"), post="NewKey", delete=True)
    del keys["/keys/{id}"]["get"]
    keys["/keys"]["post"]["requestBody"]["required"] = False
    paths |= keys
    paths |= _noun(
        "files", "file", "File", [_PAGE, _LIMIT, _ORDER], post="NewFile", patch="FileChange", delete=True, more=(404,)
    )
    paths["/files"]["post"]["responses"]["202"] = _good("Still on its way.", _ref("File"))
    paths |= _noun(
        "media", "med", "Media", [_PAGE, _LIMIT, _ORDER], post="MediaChange", patch="MediaChange", delete=True
    )
    paths["/media"]["post"]["requestBody"]["required"] = False
    return paths | _noun("jobs", "job", "Job", _cursors("job"), post="NewJob", more=(404,))


def _noun(
    path: str,
    word: str,
    schema: str,
    parameters: list[Json],
    *,
    post: str | None = None,
    patch: str | None = None,
    delete: bool = False,
    more: tuple[int, ...] = (),
) -> Json:
    one: Json = {
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": _id(word)}],
        "get": _get(f"get{schema}", "One.", _ref(schema), [], 404),
    }
    if patch:  # absent fields are let be, and so is an absent body
        one["patch"] = _post(f"change{schema}", "Change it.", schema, patch, status=200, more=(404,))
        del one["patch"]["parameters"]
        one["patch"]["requestBody"]["required"] = False
    if delete:
        one["delete"] = _operation(f"delete{schema}", "Let it go.", {"200": _good("Gone.", _ref("Message"))}, 404)
    many: Json = {"get": _get(f"list{schema}s", "A page of them.", _list(_ref(schema)), parameters)}
    if post:
        many["post"] = _post(f"create{schema}", "Make one.", schema, post, more=more)
        if "get" in one:
            many["post"]["responses"]["201"]["links"] = {
                "get": {"operationId": f"get{schema}", "parameters": {"id": "$response.body#/id"}}
            }
    return {f"/{path}": many, f"/{path}/{{id}}": one}


def _action(word: str, id: str, text: str, schema: str, *, body: str | None = None, status: int = 200) -> Json:
    found = _operation(id, text, {str(status): _good("Done.", _ref(schema))}, 404, 409)
    if status != 200:
        found["responses"]["200"] = _good("Answered before.", _ref(schema))
    found["parameters"] = [_IDEMPOTENCY]
    if body:
        found["requestBody"] = {"content": _content(_ref(body))}
    return {"parameters": [{"name": "id", "in": "path", "required": True, "schema": _id(word)}], "post": found}


def _get(id: str, text: str, schema: Json, parameters: list[Json], *more: int) -> Json:
    found = _operation(id, text, {"200": _good("Here.", schema)}, *more)
    if parameters:
        found["parameters"] = parameters
    return found


def _post(id: str, text: str, schema: str, body: str, *, status: int = 201, more: tuple[int, ...] = ()) -> Json:
    found = _operation(id, text, {str(status): _good("Done.", _ref(schema))}, 409, 413, *more)
    found["responses"].setdefault("200", _good("Answered before.", _ref(schema)))
    found["requestBody"] = {"required": True, "content": _content(_ref(body))}
    found["parameters"] = [_IDEMPOTENCY]
    return found


def _operation(id: str, text: str, good: Json, *more: int) -> Json:
    errors = {400, 401, 403, 408, 429, 500, *more}
    bad = {
        str(code): {"description": said, "content": _content(_ref("Error"))}
        for code, said in _ERRORS.items()
        if code in errors
    }
    return {"operationId": id, "summary": text, "responses": {**good, **bad}}


def _good(text: str, schema: Json) -> Json:
    return {"description": text, "content": _content(schema)}


def _content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}
