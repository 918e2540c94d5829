"""Shapes and paths of uploads, imports, webhooks, keys and the workspace in OpenAPI."""

from __future__ import annotations

from mediamill.dialects.framelane._shapes import (
    AT,
    AT0,
    BOOL,
    INT,
    INT0,
    NUMBER0,
    PAGING,
    TEXT,
    TEXT0,
    URL,
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
from mediamill.dialects.framelane.events import EVENTS
from mediamill.dialects.framelane.uploads import TYPES
from mediamill.dialects.framelane.workspace import PERIODS

_NAME: Json = {"type": "string", "minLength": 1, "maxLength": 255, "pattern": r"\S"}
_SIZE: Json = {"type": "number", "minimum": 0}
_EMAIL: Json = {"type": "string", "pattern": "^[a-z]{1,20}@[a-z]{1,20}[.]example$"}
_WORKSPACE: Json = {
    "id": id_of("ws"),
    "name": TEXT,
    "created_at": AT,
    "email": TEXT0,
    "email_verified": BOOL,
    "plan": {"enum": ["free", "pro", "enterprise"]},
    "plan_status": {"enum": ["active", "past_due", "cancelled", "trialing"]},
}
_WEBHOOK: Json = {
    "id": id_of("wh"),
    "url": TEXT,
    "events": {"type": "array", "items": {"enum": list(EVENTS)}},
    "enabled": BOOL,
    "created_at": AT,
    "last_delivery_at": AT0,
}
_KEY: Json = {
    "id": {"type": "string", "pattern": "^key_"},
    "name": TEXT,
    "key_prefix": TEXT,
    "created_at": AT,
    "last_used_at": AT0,
    "revoked_at": AT0,
}
_EVENT_LIST: Json = {"type": "array", "items": {"enum": list(EVENTS)}}
_SOME: Json = {"type": "array", "items": {"type": "object"}}
WORKSPACE: Json = {
    "Workspace": shape({**_WORKSPACE, "webhook_secret": TEXT}),
    "WorkspaceChange": body({"name": _NAME}, "name"),
    "Usage": shape(
        {
            "period_start": AT,
            "period_end": AT,
            "render_minutes": {"type": "number"},
            "task_count": INT,
            "egress_bytes": INT,
            "render_minutes_limit": NUMBER0,
            "renders_count": INT0,
        }
    ),
    "Asset": shape(
        {
            "id": id_of("asset"),
            "source_url": TEXT,
            "kind": {"enum": ["video", "audio"]},
            "duration": NUMBER0,
            "width": INT0,
            "height": INT0,
            "created_at": AT,
        }
    ),
    "Assets": page(ref("Asset")),
    "Key": shape(_KEY),
    "Keys": page(ref("Key")),
    "KeyMade": shape({**_KEY, "key": TEXT}),
    "NewKey": body({"name": _NAME}, "name"),
    "NewSignup": body({"workspace_name": _NAME, "email": _EMAIL}, "workspace_name", "email"),
    "Signup": shape({"api_key": TEXT, "workspace": shape(_WORKSPACE), "email_verified": BOOL}),
    "Verify": body({"email": _EMAIL, "otp_code": {"type": "string", "pattern": "^[0-9]{6}$"}}, "email", "otp_code"),
    "Verified": shape({"workspace_id": id_of("ws"), "email_verified": BOOL}),
    "Webhook": shape(_WEBHOOK),
    "Webhooks": page(ref("Webhook")),
    "WebhookMade": shape({**_WEBHOOK, "secret": TEXT}),
    "NewWebhook": body({"url": URL, "events": _EVENT_LIST}, "url"),
    "WebhookChange": body({"url": URL, "events": _EVENT_LIST, "enabled": BOOL}),
    "Secret": shape({"secret": TEXT}),
    "Delivery": shape(
        {
            "id": TEXT,
            "delivery_id": TEXT,
            "webhook_id": id_of("wh"),
            "event_type": TEXT,
            "attempt_number": INT,
            "status": {"enum": ["pending", "succeeded", "failed", "dead"]},
            "created_at": AT,
            "job_id": TEXT0,
            "status_code": INT0,
            "response_body": TEXT0,
            "attempted_at": AT0,
            "next_retry_at": AT0,
        }
    ),
    "Deliveries": page(ref("Delivery")),
    "NewUpload": body(
        {
            "content_type": {"enum": list(TYPES)},
            "filename": {"type": "string", "minLength": 1, "maxLength": 255},
            "duration": _SIZE,
            "width": _SIZE,
            "height": _SIZE,
        },
        "content_type",
    ),
    "Upload": shape({"upload_url": TEXT, "source_url": TEXT, "expires_at": AT}),
    "NewImport": body({"url": URL, "filename": {"type": "string", "minLength": 1, "maxLength": 255}}, "url"),
    "Import": shape(
        {
            "id": id_of("import"),
            "status": {"enum": ["processing", "ready", "failed"]},
            "source_url": TEXT0,
            "error": {"anyOf": [shape({"code": TEXT, "message": TEXT}), {"type": "null"}]},
            "created_at": AT,
        }
    ),
    "Capabilities": body(
        {
            "api_version": TEXT,
            **dict.fromkeys(("effects", "motions", "transitions", "blend_modes", "element_types", "tasks"), _SOME),
        },
        "api_version",
    ),
}
_BODY_ERRORS = (400, 408, 413)
_GONE: Json = {"204": {"description": "Gone."}}


def _one(schema: str, text: str = "Here.", status: str = "200") -> Json:
    return {status: good(text, ref(schema))}


def _open(found: Json) -> Json:
    """Needs no key."""
    return {**found, "security": []}


WORKSPACE_PATHS: Json = {
    "/v1/capabilities": {
        "get": _open(operation("getCapabilities", "What this server does.", _one("Capabilities"))),
    },
    "/v1/uploads": {
        "post": operation(
            "createUpload",
            "Where to PUT bytes.",
            _one("Upload", "Made.", "201"),
            *_BODY_ERRORS,
            requestBody=wanted(ref("NewUpload")),
        )
    },
    "/v1/imports": {
        "post": operation(
            "createImport",
            "Fetch a URL.",
            _one("Import", "Taken.", "202"),
            *_BODY_ERRORS,
            requestBody=wanted(ref("NewImport")),
        )
    },
    "/v1/imports/{id}": {
        "parameters": at_id("import"),
        "get": operation("getImport", "One.", _one("Import")),
    },
    "/v1/workspace": {
        "get": operation("getWorkspace", "The caller's own.", _one("Workspace")),
        "patch": operation(
            "changeWorkspace",
            "Its name.",
            _one("Workspace"),
            *_BODY_ERRORS,
            requestBody=wanted(ref("WorkspaceChange")),
        ),
        "delete": operation("deleteWorkspace", "End it.", _GONE),
    },
    "/v1/workspace/usage": {
        "get": operation(
            "getUsage",
            "What was used.",
            _one("Usage"),
            parameters=[query("period", {"enum": list(PERIODS)}, "The last so many days; else this month.")],
        )
    },
    "/v1/workspace/assets": {
        "get": operation("listAssets", "Films and sounds.", _one("Assets"), 400, parameters=PAGING)
    },
    "/v1/api-keys": {
        "get": operation("listKeys", "Newest first.", _one("Keys"), 400, parameters=PAGING),
        "post": operation(
            "createKey",
            "A new one.",
            _one("KeyMade", "Made.", "201"),
            *_BODY_ERRORS,
            requestBody=wanted(ref("NewKey")),
        ),
    },
    "/v1/api-keys/{id}": {
        "parameters": [{"name": "id", "in": "path", "required": True, "schema": {"type": "string"}}],
        "delete": operation("revokeKey", "End it.", _GONE),
    },
    "/v1/signup": {
        "post": _open(
            operation(
                "signUp",
                "A new workspace and its key.",
                _one("Signup", "Made.", "201"),
                *_BODY_ERRORS,
                requestBody=wanted(ref("NewSignup")),
            )
        )
    },
    "/v1/signup/verify": {
        "post": _open(
            operation("verify", "Wake the key.", _one("Verified"), *_BODY_ERRORS, requestBody=wanted(ref("Verify")))
        )
    },
    "/v1/webhooks": {
        "get": operation("listWebhooks", "Newest first.", _one("Webhooks"), 400, parameters=PAGING),
        "post": operation(
            "createWebhook",
            "A new one.",
            _one("WebhookMade", "Made.", "201"),
            *_BODY_ERRORS,
            requestBody=wanted(ref("NewWebhook")),
        ),
    },
    "/v1/webhooks/{id}": {
        "parameters": at_id("wh"),
        "get": operation("getWebhook", "One.", _one("Webhook")),
        "patch": operation(
            "changeWebhook",
            "Change it.",
            _one("Webhook"),
            *_BODY_ERRORS,
            requestBody=wanted(ref("WebhookChange"), required=False),
        ),
        "delete": operation("deleteWebhook", "Forget it.", _GONE),
    },
    "/v1/webhooks/{id}/rotate-secret": {
        "parameters": at_id("wh"),
        "post": operation("rotateSecret", "A new secret; the old one stops.", _one("Secret")),
    },
    "/v1/webhooks/{id}/deliveries": {
        "parameters": at_id("wh"),
        "get": operation("listDeliveries", "Every attempt.", _one("Deliveries"), 400, parameters=PAGING),
    },
}
