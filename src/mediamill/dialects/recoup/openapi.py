"""The dialect's OpenAPI 3.1 document."""

from __future__ import annotations

from typing import Any

from mediamill import __version__
from mediamill.dialects.recoup.words import FILTERS, RUNS

Json = dict[str, Any]

_TEXT: Json = {"type": "string"}
_TEXT0: Json = {"type": ["string", "null"]}
_NONEMPTY: Json = {"type": "string", "minLength": 1}
_BOOL: Json = {"type": "boolean"}
_NUMBER: Json = {"type": "number"}
_INT: Json = {"type": "integer"}
_OBJECT: Json = {"type": "object"}
_OBJECT0: Json = {"type": ["object", "null"]}
_ANY: Json = {"description": "Any JSON."}
_AT: Json = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}
_AT0: Json = {"type": ["string", "null"], "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$"}
_UUID: Json = {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}
_RUN_ID: Json = {"type": "string", "pattern": "^run_[a-z0-9]{21,}$"}
_STATUS: Json = {"enum": sorted(FILTERS)}
_ERRORS = {
    400: "A parameter or a field cannot be taken.",
    401: "No key, two, or one that is not known.",
    403: "Not with this account.",
    404: "No such thing for this account.",
    405: "Not with this method.",
    408: "The client fell silent.",
    409: "A request with this key is still at work.",
    413: "The body is too large.",
    422: "Well-formed, and still not possible.",
    429: "Too many calls in this minute.",
    500: "The server failed.",
}


def _ref(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _shape(required: Json, optional: Json | None = None, **more: Any) -> Json:
    return {"type": "object", "properties": {**required, **(optional or {})}, "required": list(required), **more}


_COMMON: Json = {
    "id": _RUN_ID, "status": _STATUS, "taskIdentifier": _TEXT, "createdAt": _AT, "updatedAt": _AT, "isTest": _BOOL,
    "tags": _list(_TEXT), "costInCents": _NUMBER, "baseCostInCents": _NUMBER, "durationMs": _NUMBER, "env": _OBJECT,
    "depth": _INT, "isQueued": _BOOL, "isExecuting": _BOOL, "isWaiting": _BOOL, "isCompleted": _BOOL,
    "isSuccess": _BOOL, "isFailed": _BOOL, "isCancelled": _BOOL,
}  # fmt: skip
_UNSET: Json = {
    "startedAt": _AT, "finishedAt": _AT, "delayedUntil": _AT, "expiredAt": _AT, "idempotencyKey": _TEXT,
    "version": _TEXT, "ttl": _TEXT, "metadata": _OBJECT,
}  # fmt: skip
_UNSET0: Json = {
    "startedAt": _AT0, "finishedAt": _AT0, "delayedUntil": _AT0, "expiredAt": _AT0, "idempotencyKey": _TEXT0,
    "version": _TEXT0, "ttl": {"type": ["string", "number", "null"]}, "metadata": _OBJECT0,
}  # fmt: skip
_FUNCTION: Json = {"enum": ["trigger", "triggerAndWait", "batchTrigger", "batchTriggerAndWait"]}
_ATTEMPT: Json = {
    "id": _TEXT,
    "status": {"enum": ["PENDING", "EXECUTING", "PAUSED", "COMPLETED", "FAILED", "CANCELED"]},
    "createdAt": _AT,
    "updatedAt": _AT,
}
_ERROR: Json = _shape({"message": _TEXT}, {"name": _TEXT, "stackTrace": _TEXT})
_ERROR0: Json = {"anyOf": [_ERROR, {"type": "null"}]}
_TASK: Json = {
    "id": _UUID, "title": _NONEMPTY, "prompt": _NONEMPTY, "schedule": _NONEMPTY, "account_id": _UUID,
    "artist_account_id": _TEXT, "enabled": {"type": ["boolean", "null"]}, "trigger_schedule_id": _TEXT0,
    "recent_runs": {"type": "array", "items": {"$ref": "#/components/schemas/Run"}, "maxItems": 5},
    "upcoming": _list(_AT), "owner_email": _TEXT0, "model": _TEXT0, "timezone": _TEXT0, "created_at": _AT0,
    "updated_at": _AT0, "next_run": _AT0, "last_run": _AT0,
}  # fmt: skip
_OPTIONS: Json = {
    "delay": _TEXT0, "ttl": {"type": ["string", "number", "null"]}, "idempotencyKey": _TEXT0,
    "idempotencyKeyTTL": _TEXT0, "idempotencyKeyOptions": {"anyOf": [_ref("KeyOptions"), {"type": "null"}]},
    "tags": {"anyOf": [_TEXT, _list(_TEXT), {"type": "null"}]}, "maxAttempts": {"type": ["integer", "null"]},
    "maxDuration": {"type": ["number", "null"]}, "metadata": _ANY, "payloadType": _TEXT0, "parentRunId": _TEXT0,
    "priority": {"type": ["number", "null"]}, "test": {"type": ["boolean", "null"]},
}  # fmt: skip
_TRIGGER: Json = {"payload": _ANY, "options": {"anyOf": [_ref("Options"), {"type": "null"}]}}
_CRON: Json = {
    "type": "string",
    "minLength": 9,
    "description": "A cron rule of five fields.",
    "examples": ["30 8 * * MON-FRI"],
}
_NEW: Json = {
    "title": _NONEMPTY, "prompt": _NONEMPTY, "schedule": _CRON,
    "artist_account_id": _UUID,
}  # fmt: skip
_ZONE: Json = {"type": "string", "minLength": 1, "description": "An IANA name.", "examples": ["Europe/Madrid"]}
_SCHEMAS: Json = {
    "Error": _shape(
        {"status": {"const": "error"}},
        {"error": _TEXT, "message": _TEXT, "missing_fields": _list({"type": ["string", "integer"]})},
    ),
    "BareError": _shape({"error": _TEXT}, {"issues": _list(_OBJECT), "details": _list(_OBJECT)}),
    "Run": _shape(
        {
            **_COMMON, **_UNSET0, "batchId": _TEXT0, "triggerFunction": _FUNCTION, "payload": _ANY, "output": _ANY,
            "error": _ERROR0, "attempts": _list(_ref("Attempt")), "attemptCount": _INT, "schedule": _OBJECT0,
            "relatedRuns": _OBJECT0,
        }
    ),
    "RunRow": _shape({**_COMMON, **_UNSET0}),
    "Attempt": _shape({**_ATTEMPT, "startedAt": _AT0, "completedAt": _AT0, "error": _ERROR0}),
    "Task": _shape(_TASK),
    "Tasks": _shape({"status": {"const": "success"}, "tasks": _list(_ref("Task"))}),
    "Runs": _shape(
        {
            "status": {"const": "success"},
            "runs": _list({"anyOf": [_ref("Run"), _ref("RunRow")]}),
        }
    ),
    "Success": _shape({"status": {"const": "success"}}),
    "Whoami": _shape({"status": {"const": "success"}, "accountId": _UUID}),
    "NewTask": _shape(
        _NEW, {"account_id": _UUID, "model": _TEXT, "timezone": _ZONE}, additionalProperties=False
    ),
    "TaskChange": _shape(
        {"id": _UUID},
        {**_NEW, "account_id": _UUID, "enabled": {"type": ["boolean", "null"]}, "model": _NONEMPTY, "timezone": _ZONE},
        additionalProperties=False,
    ),
    "TaskEnd": _shape({"id": _UUID}, {"account_id": {"description": "Whose task it is, if not yours: a uuid."}}),
    "BareRow": _shape(_COMMON, _UNSET),
    "BareRelated": _shape({**_COMMON, "triggerFunction": _FUNCTION}, {**_UNSET, "batchId": _TEXT}),
    "BareRun": _shape(
        {
            **_COMMON,
            "triggerFunction": _FUNCTION,
            "attempts": _list(_shape(_ATTEMPT, {"startedAt": _AT, "completedAt": _AT, "error": _ERROR})),
            "attemptCount": _INT,
            "relatedRuns": _shape(
                {"children": _list(_ref("BareRelated"))}, {"root": _ref("BareRelated"), "parent": _ref("BareRelated")}
            ),
        },
        {**_UNSET, "batchId": _TEXT, "payload": _ANY, "output": _ANY, "error": _ERROR, "schedule": _OBJECT},
    ),
    "RunPage": _shape(
        {"data": _list(_ref("BareRow")), "pagination": _shape({}, {"next": _TEXT, "previous": _TEXT})}
    ),
    "Result": _shape(
        {"ok": _BOOL, "id": _RUN_ID, "taskIdentifier": _TEXT},
        {"output": _TEXT, "outputType": _TEXT, "error": _OBJECT},
    ),
    "RunId": _shape({"id": _RUN_ID}),
    "Id": _shape({"id": _TEXT}),
    "Message": _shape({"message": _TEXT}),
    "Metadata": _shape({"metadata": _OBJECT}),
    "MetadataChange": _shape({}, {"metadata": _OBJECT0, "operations": _list(_OBJECT)}),
    "TagsIn": _shape({"tags": {"anyOf": [_TEXT, _list(_TEXT)]}}),
    "Reschedule": _shape({"delay": _NONEMPTY}),
    "Replay": _shape({}, additionalProperties=False),
    "KeyOptions": _shape({"key": _TEXT}, {"scope": _TEXT}),
    "Options": _shape({}, _OPTIONS),
    "Trigger": _shape({}, _TRIGGER),
    "Item": _shape({"task": _TEXT}, _TRIGGER),
    "Batch": _shape({"items": {**_list(_ref("Item")), "minItems": 1}}),
    "Line": _shape({"index": {"type": "integer", "minimum": 0}, "task": _TEXT}, _TRIGGER),
    "SameTask": _shape({"items": {**_list(_ref("Trigger")), "minItems": 1}}),
    "Triggered": _shape({"id": _RUN_ID, "isCached": _BOOL}),
    "Batched": _shape(
        {"id": _TEXT, "isCached": _BOOL, "runCount": _INT, "runs": _list({"type": ["object", "string"]})}
    ),
    "NewBatch": _shape({"runCount": {"type": "integer", "minimum": 1, "maximum": 500}}, {"idempotencyKey": _TEXT0}),
    "BatchMade": _shape({"id": _TEXT, "runCount": _INT, "isCached": _BOOL}, {"idempotencyKey": _TEXT}),
    "Filled": _shape(
        {"id": _TEXT, "itemsAccepted": _INT, "itemsDeduplicated": _INT, "sealed": _BOOL},
        {"enqueuedCount": _INT, "expectedCount": _INT},
    ),
    "BatchState": _shape(
        {
            "id": _TEXT, "status": {"enum": ["PENDING", "COMPLETED", "PARTIAL_FAILED"]}, "createdAt": _AT,
            "updatedAt": _AT, "runCount": _INT, "runs": _list(_RUN_ID), "processing": _OBJECT,
        }
    ),
    "BatchResults": _shape({"id": _TEXT, "items": _list(_ref("Result"))}),
    "Schedule": _shape(
        {
            "id": _TEXT, "type": {"enum": ["IMPERATIVE", "DECLARATIVE"]}, "task": _TEXT, "active": _BOOL,
            "deduplicationKey": _TEXT, "timezone": _TEXT, "nextRun": _AT0, "environments": _list(_OBJECT),
            "generator": _shape({"type": {"const": "CRON"}, "expression": _TEXT, "description": _TEXT}),
        },
        {"externalId": _TEXT},
    ),
    "SchedulePage": _shape(
        {
            "data": _list(_ref("Schedule")),
            "pagination": _shape({"currentPage": _INT, "totalPages": _INT, "count": _INT}),
        }
    ),
    "NewSchedule": _shape(
        {"task": _NONEMPTY, "cron": _CRON, "deduplicationKey": _NONEMPTY},
        {"externalId": _TEXT0, "timezone": _TEXT0},
    ),
    "ScheduleChange": _shape(
        {"task": _NONEMPTY, "cron": _CRON}, {"externalId": _TEXT0, "timezone": _TEXT0}
    ),
    "Timezones": _shape({"timezones": _list(_TEXT)}),
}  # fmt: skip


def _query(name: str, schema: Json, text: str) -> Json:
    return {"name": name, "in": "query", "schema": schema, "description": text}


_ACCOUNT = _query("account_id", _UUID, "Another account that you share an organisation with.")
_TASK_QUERY = [
    _query("id", _UUID, "That one task."),
    _ACCOUNT,
    _query("artist_account_id", _UUID, "Tasks for that artist."),
    _query("enabled", {"enum": ["true", "false", "1", "0"]}, "Those that fire, or that do not."),
]
_RUN_QUERY = [
    _query("runId", _TEXT, "That one run, whole."),
    _query("limit", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, "How many to show."),
    _ACCOUNT,
]
_BARE_RUN_QUERY = [
    _query("page[size]", {"type": "integer", "minimum": 1, "maximum": 100, "default": 25}, "How many to show."),
    _query("page[after]", _TEXT, "A cursor from `next`."),
    _query("page[before]", _TEXT, "A cursor from `previous`."),
    *(
        _query(f"filter[{name}]", _TEXT, "A comma list.")
        for name in ("status", "taskIdentifier", "version", "tag", "schedule", "batch")
    ),
    _query("filter[isTest]", {"enum": ["true", "false"]}, "Tests, or what is none."),
    *(_query(f"filter[createdAt][{name}]", _TEXT, "Epoch milliseconds or a date.") for name in ("from", "to")),
    _query("filter[createdAt][period]", _TEXT, "As long ago at most, such as 1d."),
]
_SCHEDULE_QUERY = [
    _query("page", {"type": "integer", "minimum": 1, "maximum": 100000, "default": 1}, "Which page."),
    _query("perPage", {"type": "integer", "minimum": 1, "maximum": 100, "default": 20}, "How many to show."),
]
_REPEAT: Json = {
    "name": "x-trigger-request-idempotency-key",
    "in": "header",
    "schema": {"type": "string", "minLength": 1, "maxLength": 200},
    "description": "The same value answers as before.",
}


def describe() -> Json:
    """The document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Recoup API, as Mediamill serves it",
            "version": __version__,
            "description": "Prompts on a schedule, and their runs as Trigger.dev's clients read them. Served at the "
            "bare origin, too: see docs/reference/recoup.md.",
        },
        "servers": [{"url": "/recoup"}],
        "security": [{"bearer": []}],
        "paths": _paths(),
        "components": {
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "Or the same key as x-api-key; one of the two, not both.",
                },
            },
            "schemas": _SCHEMAS,
        },
    }


def _paths() -> Json:
    tasks: Json = {
        "get": _op("listTasks", "Tasks, their newest runs and next firings.", "Tasks", 403, query=_TASK_QUERY),
        "post": _op("createTask", "Make one.", "Tasks", 403, 413, body="NewTask"),
        "patch": _op("changeTask", "Change one.", "Tasks", 403, 404, 413, body="TaskChange"),
        "delete": _op("deleteTask", "Let one go.", "Success", 403, 404, 413, body="TaskEnd"),
    }
    whoami = _op("whoami", "The account of the key.", "Whoami")
    run, task = _part("run"), _part("task")
    paths: Json = {
        "/api/tasks": tasks,
        "/api/tasks/runs": {"get": _op("listTaskRuns", "Runs.", "Runs", 403, 404, query=_RUN_QUERY)},
        "/api/accounts/id": {"get": whoami},
        "/api/v1/runs": {"get": _bare("listRuns", "A page of runs.", "RunPage", query=_BARE_RUN_QUERY)},
        "/api/v3/runs/{run}": {**run, "get": _bare("getRun", "One run.", "BareRun", 404)},
        "/api/v1/runs/{run}/result": {**run, "get": _bare("getResult", "What came of it.", "Result", 404)},
        "/api/v2/runs/{run}/cancel": {**run, "post": _act("cancelRun", "Stop it.", "Id", 404)},
        "/api/v1/runs/{run}/replay": {
            **run, "post": _act("replayRun", "The same again.", "RunId", 404, body="Replay", needed=False)
        },
        "/api/v1/runs/{run}/reschedule": {
            **run, "post": _act("rescheduleRun", "Put it off.", "BareRun", 404, body="Reschedule")
        },
        "/api/v1/runs/{run}/tags": {**run, "post": _act("addTags", "More tags.", "Message", 404, 422, body="TagsIn")},
        "/api/v1/runs/{run}/metadata": {
            **run,
            "get": _bare("getMetadata", "Its metadata.", "Metadata", 404),
            "put": _act("setMetadata", "Other metadata.", "Metadata", 404, body="MetadataChange"),
        },
        "/api/v1/tasks/{task}/trigger": {
            **task, "post": _act("trigger", "Start a run.", "Triggered", 404, 422, body="Trigger", needed=False)
        },
        "/api/v1/tasks/{task}/batch": {
            **task, "post": _act("triggerMany", "Start several.", "Batched", 404, 422, body="SameTask")
        },
        "/api/v2/tasks/batch": {"post": _act("triggerBatch", "Start several.", "Batched", 404, 422, body="Batch")},
        "/api/v3/batches": {"post": _act("createBatch", "A batch to fill.", "BatchMade", 422, body="NewBatch")},
        "/api/v3/batches/{batch}/items": {
            **_part("batch"), "post": _act("fillBatch", "Its runs, line by line.", "Filled", 404, 422, body="Line")
        },
        "/api/v1/batches/{batch}/results": {
            **_part("batch"), "get": _bare("getBatchResults", "What came of it.", "BatchResults", 404)
        },
        "/api/v1/schedules": {
            "get": _bare("listSchedules", "A page of schedules.", "SchedulePage", query=_SCHEDULE_QUERY),
            "post": _act("createSchedule", "Make one, or another of it.", "Schedule", 422, body="NewSchedule"),
        },
        "/api/v1/timezones": {"get": {**_bare("listTimezones", "Names of zones.", "Timezones"), "security": []}},
    }  # fmt: skip
    for n in (1, 2):
        paths[f"/api/v{n}/batches/{{batch}}"] = {
            **_part("batch"),
            "get": _bare(f"getBatchV{n}", "How it stands.", "BatchState", 404),
        }
    schedule = _part("schedule")
    paths["/api/v1/schedules/{schedule}"] = {
        **schedule,
        "get": _bare("getSchedule", "One schedule.", "Schedule", 404),
        "put": _act("changeSchedule", "Make it another.", "Schedule", 404, 422, body="ScheduleChange"),
        "delete": _act("deleteSchedule", "Let it go.", "Id", 404),
    }
    for word in ("activate", "deactivate"):
        paths[f"/api/v1/schedules/{{schedule}}/{word}"] = {
            **schedule,
            "post": _act(f"{word}Schedule", "Whether it fires.", "Schedule", 404),
        }
    return paths


def _part(name: str) -> Json:
    schema = {**_NONEMPTY, "examples": [RUNS]} if name == "task" else _NONEMPTY
    return {"parameters": [{"name": name, "in": "path", "required": True, "schema": schema}]}


def _op(id: str, text: str, schema: str, *more: int, query: list[Json] | None = None, body: str | None = None) -> Json:
    return _operation(id, text, schema, {400, 401, 408, 429, 500, *more}, "Error", query, body)


def _bare(id: str, text: str, schema: str, *more: int, query: list[Json] | None = None) -> Json:
    return _operation(id, text, schema, {400, 401, 408, 429, 500, *more}, "BareError", query, None)


def _act(id: str, text: str, schema: str, *more: int, body: str | None = None, needed: bool = True) -> Json:
    codes = {400, 401, 408, 409, 413, 429, 500, *more}
    return _operation(id, text, schema, codes, "BareError", [_REPEAT], body, needed)


def _operation(
    id: str,
    text: str,
    schema: str,
    codes: set[int],
    error: str,
    parameters: list[Json] | None,
    body: str | None,
    needed: bool = True,
) -> Json:
    good = {"200": {"description": "Done.", "content": _content(_ref(schema))}}
    bad = {str(code): {"description": _ERRORS[code], "content": _content(_ref(error))} for code in sorted(codes)}
    found: Json = {"operationId": id, "summary": text, "responses": {**good, **bad}}
    if parameters:
        found["parameters"] = parameters
    if body:
        found["requestBody"] = {"required": needed, "content": _content(_ref(body))}
    return found


def _content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}
