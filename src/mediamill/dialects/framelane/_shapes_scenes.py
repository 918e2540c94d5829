"""Shapes and paths of renders, previews and projects in OpenAPI; those of a scene are made from its tables."""

from __future__ import annotations

from mediamill.core.composition_ops import MOST_OPS, OPS
from mediamill.core.compositions import ELEMENTS, MAX_ELEMENTS, REQUEST, Field, Fields
from mediamill.dialects.framelane._shapes import (
    AT,
    BOOL,
    IDEMPOTENCY,
    INT,
    INT0,
    METADATA,
    NUMBER0,
    PAGING,
    TEXT,
    TEXT0,
    URL,
    URL0,
    at_id,
    body,
    good,
    id_of,
    operation,
    page,
    query,
    ref,
    shape,
    wanted,
)
from mediamill.dialects.framelane.call import Json

_COLOUR: Json = {"type": "string", "pattern": "^#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?$"}
_LENGTH: Json = {"type": ["number", "string"], "pattern": "^[0-9]{1,3}%$", "minimum": -10000, "maximum": 10000}
_ANGLE: Json = {"type": ["number", "string"], "pattern": "^[0-9]{1,3}deg$", "minimum": -10000, "maximum": 10000}


def _field(field: Field) -> Json:
    """One field of a scene."""
    match field.shape:
        case "number" | "integer":
            bounds = {"minimum": field.low, "exclusiveMinimum": field.above, "maximum": field.high}
            found: Json = {"type": field.shape, **{name: at for name, at in bounds.items() if at is not None}}
        case "boolean":
            found = dict(BOOL)
        case "text":
            found = {"type": "string", "minLength": field.at_least or 0}
            if field.at_most:
                found["maxLength"] = field.at_most
        case "choice":
            found = {"enum": list(field.choices)}
        case "colour":
            found = dict(_COLOUR)
        case "length":
            found = dict(_LENGTH)
        case "angle":
            found = dict(_ANGLE)
        case "url":
            found = dict(URL)
        case "strings":
            found = dict(METADATA)
        case "object":
            found = _fields(field.inner or {})
        case "list":
            found = {"type": "array", "items": _fields(field.inner or {}), "minItems": field.at_least or 0}
            if field.at_most:
                found["maxItems"] = field.at_most
    found["description"] = field.doc
    if not field.nullable:
        return found
    if "enum" in found:
        return {**found, "enum": [*found["enum"], None]}
    types = found["type"] if isinstance(found["type"], list) else [found["type"]]
    return {**found, "type": [*types, "null"]}


def _fields(fields: Fields) -> Json:
    return {
        "type": "object",
        "properties": {name: _field(field) for name, field in fields.items()},
        "required": [name for name, field in fields.items() if field.required],
    }


def _element(word: str, fields: Fields) -> Json:
    made = _fields(fields)
    return {
        **made,
        "properties": {"type": {"const": word}, **made["properties"]},
        "required": ["type", *made["required"]],
    }


_ELEMENT_NAMES = {word: f"{word.capitalize()}Element" for word in ELEMENTS}
_SENT: Json = {"metadata": METADATA, "webhook_url": URL0, "ingest_external": {"type": ["boolean", "null"]}}
_REQUEST_PROPERTIES: Json = {
    **{name: _field(field) for name, field in REQUEST.items()},
    "elements": {
        "type": "array",
        "maxItems": MAX_ELEMENTS,
        "items": {"oneOf": [ref(name) for name in _ELEMENT_NAMES.values()]},
    },
    **_SENT,
}
_MODES: Json = {
    "dry_run": BOOL,
    "at": {"type": "number", "minimum": 0},
    "window": body(
        {"start": {"type": "number", "minimum": 0}, "end": {"type": "number", "exclusiveMinimum": 0}}, "start", "end"
    ),
    "contact_sheet": body({"frames": {"type": "integer", "minimum": 1, "maximum": 36}}),
}
_BRIEF = shape({"id": TEXT0, "type": TEXT, "time": NUMBER0, "duration": NUMBER0, "label": TEXT0, "source": TEXT0})
_SUMMARY = shape(
    {
        "width": INT0,
        "height": INT0,
        "duration": NUMBER0,
        "frame_rate": INT0,
        "output_format": TEXT0,
        "element_count": INT,
        "transition_count": INT,
        "elements": {"type": "array", "items": _BRIEF},
    }
)
_LOOK = shape(
    {
        "mode": {"enum": ["frame", "window", "contact_sheet"]},
        "url": TEXT,
        "content_type": TEXT,
        "width": INT0,
        "height": INT0,
        "times": {"type": "array", "items": {"type": "number"}},
    }
)
_AUTHOR: Json = {"enum": ["user", "agent"]}
SCENES: Json = {
    **{name: _element(word, ELEMENTS[word]) for word, name in _ELEMENT_NAMES.items()},
    "RenderRequest": {"type": "object", "properties": _REQUEST_PROPERTIES},
    "FilledRequest": {"type": "object", "description": "A render request with every default filled in."},
    "Violation": shape({"code": TEXT, "message": TEXT, "severity": {"enum": ["error", "warning"]}, "path": TEXT0}),
    "Preview": shape(
        {
            "ok": BOOL,
            "violations": {"type": "array", "items": ref("Violation")},
            "preview": {"anyOf": [_LOOK, {"type": "null"}]},
        }
    ),
    "NewPreview": {"type": "object", "properties": {"render_request": ref("RenderRequest"), **_MODES}},
    "Look": {"type": "object", "properties": _MODES},
    "Project": shape(
        {
            "id": id_of("proj"),
            "name": TEXT,
            "version": INT,
            "workspace_id": id_of("ws"),
            "created_at": AT,
            "updated_at": AT,
            "summary": _SUMMARY,
            "render_request": {"anyOf": [ref("FilledRequest"), {"type": "null"}]},
        }
    ),
    "Projects": page(ref("Project")),
    "NewProject": body(
        {"name": {"type": "string", "maxLength": 255}, "author": _AUTHOR},
    ),
    "Ops": body(
        {
            "ops": {
                "type": "array",
                "minItems": 1,
                "maxItems": MOST_OPS,
                "items": {"type": "object", "properties": {"op": {"enum": list(OPS)}}, "required": ["op"]},
            },
            "if_version": INT,
            "author": _AUTHOR,
        },
        "ops",
    ),
    "Edited": shape(
        {
            "version": INT,
            "ok": BOOL,
            "changed_ids": {"type": "array", "items": TEXT},
            "diff": shape(
                {
                    "added_ids": {"type": "array", "items": TEXT},
                    "removed_ids": {"type": "array", "items": TEXT},
                    "transitions_changed": BOOL,
                }
            ),
            "violations": {"type": "array", "items": ref("Violation")},
        }
    ),
}
_TOLD: Json = {
    "Framelane-Violations": {
        "description": "Warnings, where there are any: a JSON list of violations, of those that go into 4000 bytes.",
        "schema": TEXT,
    }
}
_NEW: Json = {
    "202": {**good("Taken.", ref("Job")), "headers": _TOLD},
    "200": {**good("Asked for before.", ref("Job")), "headers": _TOLD},
}
_BODY_ERRORS = (400, 408, 413)
_VIEW = query("view", {"enum": ["summary", "full"]}, "full: with its request.")
SCENES_POSTS: Json = {
    "/v1/renders": {
        "post": operation(
            "createRender",
            "Render a scene.",
            _NEW,
            *(402, 409, *_BODY_ERRORS),
            parameters=[IDEMPOTENCY],
            requestBody=wanted(ref("RenderRequest")),
        )
    }
}
SCENES_PATHS: Json = {
    "/v1/preview": {
        "post": operation(
            "preview",
            "What is doubtful in a scene, and what it looks like.",
            {"200": good("Here.", ref("Preview"))},
            *_BODY_ERRORS,
            requestBody=wanted(ref("NewPreview")),
        )
    },
    "/v1/projects": {
        "get": operation(
            "listProjects", "Newest first.", {"200": good("Here.", ref("Projects"))}, 400, parameters=PAGING
        ),
        "post": operation(
            "createProject",
            "A new one.",
            {"201": good("Made.", ref("Project"))},
            *_BODY_ERRORS,
            parameters=[_VIEW],
            requestBody=wanted(ref("NewProject"), required=False),
        ),
    },
    "/v1/projects/{id}": {
        "parameters": at_id("proj"),
        "get": operation(
            "getProject",
            "One.",
            {"200": good("Here.", ref("Project"))},
            parameters=[_VIEW],
        ),
        "delete": operation("deleteProject", "Let it go.", {"204": {"description": "Gone."}}),
    },
    "/v1/projects/{id}/ops": {
        "parameters": at_id("proj"),
        "post": operation(
            "editProject",
            "A batch of edits.",
            {"200": good("Done.", ref("Edited"))},
            *(409, *_BODY_ERRORS),
            requestBody=wanted(ref("Ops")),
        ),
    },
    "/v1/projects/{id}/preview": {
        "parameters": at_id("proj"),
        "post": operation(
            "previewProject",
            "A look at it.",
            {"200": good("Here.", ref("Preview"))},
            *_BODY_ERRORS,
            requestBody=wanted(ref("Look"), required=False),
        ),
    },
    "/v1/projects/{id}/renders": {
        "parameters": at_id("proj"),
        "post": operation(
            "renderProject", "Render it as it stands.", _NEW, *(402, 409, *_BODY_ERRORS), parameters=[IDEMPOTENCY]
        ),
    },
}
