"""Starting a run, and an old one again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec

from mediamill.core.access import Caller
from mediamill.core.errors import Conflict, Invalid, NotFound
from mediamill.core.prompts import (
    KEY_LIFETIME_S,
    MOST_KEY,
    NewPrompt,
    Settings,
    parse_duration,
    read_delay,
    read_ttl,
)
from mediamill.core.schedules import RUNNER, Schedule
from mediamill.dialects.recoup import bare, ids, reading
from mediamill.dialects.recoup.call import Call, Reply, Route
from mediamill.dialects.recoup.errors import Fault
from mediamill.dialects.recoup.words import NAME, identifier_word, read_identifier
from mediamill.web.table import JSON_BYTES


class KeyOptions(msgspec.Struct, kw_only=True):
    """The key as the caller wrote it: clients send a hash of it to compare, and this to be shown."""

    key: str
    scope: str = "run"


class Options(msgspec.Struct, kw_only=True, rename="camel"):
    """How a run is to be done. What else clients send (machines, queues, versions) has no meaning here."""

    delay: str | None = None
    ttl: str | int | float | None = None
    idempotency_key: str | None = None
    idempotency_key_ttl: str | None = msgspec.field(default=None, name="idempotencyKeyTTL")
    idempotency_key_options: KeyOptions | None = None
    tags: str | list[str] | None = None
    max_attempts: int | None = None
    max_duration: float | None = None
    metadata: Any = None
    metadata_type: str | None = None
    payload_type: str | None = None
    parent_run_id: str | None = None
    priority: float | None = None
    test: bool | None = None


class Trigger(msgspec.Struct, kw_only=True):
    """A run to start."""

    payload: Any = None
    options: Options | None = None


class Item(Trigger, kw_only=True):
    """One of a batch."""

    task: str


class Replay(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """A run again, just as it was."""


async def trigger(call: Call) -> Reply:
    """Start a run; a key that was used before answers the run it was used for."""
    body = bare.read(call, Trigger, empty=True)
    new = await read_new(call, call.ids[0], body)
    try:
        task, fresh = await call.site.service.prompts.trigger(call.caller, new)
    except (Invalid, NotFound, Conflict) as error:
        raise told(error, call.ids[0]) from None
    return Reply(body={"id": ids.run(task.id), "isCached": not fresh})


async def replay(call: Call) -> Reply:
    """A new run that asks the same."""
    if call.raw.strip():
        bare.read(call, Replay)
    caller, id = await bare.run_of(call)
    try:
        task = await call.site.service.prompts.replay(caller, id)
    except NotFound:
        raise Fault(404, bare.RUN_NOT_FOUND) from None
    return Reply(body={"id": ids.run(task.id)})


async def read_new(
    call: Call, word: str, body: Trigger, at: Sequence[str | int] = (), *, function: str = "trigger"
) -> NewPrompt:
    """A run as it was asked for. Raises a 400 Fault."""
    given = body.options or Options()
    identifier = read_identifier(word)
    payload = _payload(body.payload, given.payload_type, [*at, "payload"])
    if len(msgspec.json.encode(payload)) > JSON_BYTES:
        raise Fault(413, f"A payload may have {JSON_BYTES} bytes")
    schedule = await _scheduled(call, identifier, payload)
    try:
        tags = [given.tags] if isinstance(given.tags, str) else given.tags or []
        delay = None if given.delay is None else read_delay(given.delay, datetime.now(UTC))
        settings = Settings(
            max_attempts=call.site.settings.run_max_attempts if given.max_attempts is None else given.max_attempts,
            max_duration_s=_positive(given.max_duration, "maxDuration"),
            ttl_s=read_ttl(given.ttl),
            priority=max(-100, min(100, round(given.priority or 0))),
            tags=tags,
            metadata=_metadata(given, at),
        )
        return NewPrompt(
            identifier=identifier,
            prompt=None if schedule is None else schedule.prompt,
            model=None if schedule is None else schedule.model,
            payload=payload,
            settings=settings,
            schedule_id=None if schedule is None else schedule.id,
            not_before=delay,
            ttl=given.ttl,
            caller_id=None if given.parent_run_id is None else _parent(given.parent_run_id),
            idempotency_key=_key(given),
            shown_key=_shown_key(given),
            idempotency_s=_key_s(given),
            is_test=bool(given.test),
            function=function,
            server_tags=await _server_tags(call, call.caller, schedule),
            dialect=NAME,
        )
    except Invalid as error:
        raise bare.bad_body(error.reason, [*at, *_path(error.field)]) from None


async def _server_tags(call: Call, caller: Caller, schedule: Schedule | None) -> list[str]:
    owner = await bare.owner_of(call, caller)
    return [owner.tag, *([] if schedule is None else [f"task:{schedule.uuid}"])]


async def _scheduled(call: Call, identifier: str, payload: Any) -> Schedule | None:
    """The task that a payload names: this is how one of them is run now."""
    if identifier != RUNNER or not isinstance(payload, Mapping):
        return None
    try:
        uuid = reading.uuid("externalId", payload.get("externalId"))
        found: Schedule = await call.site.service.schedules.get(call.caller, uuid)
    except (Fault, NotFound):
        return None
    return found


def _payload(payload: Any, kind: str | None, at: Sequence[str | int]) -> Any:
    """The payload as it was before the client wrote it as text. at: where in the body it is."""
    if kind is None or not isinstance(payload, str):
        return payload
    if kind == "application/store":
        raise bare.bad_body("payloads in a store of yours are not taken", [*at[:-1], "options", "payloadType"])
    if kind not in ("application/json", "application/super+json"):
        return payload
    try:
        found = msgspec.json.decode(payload)
    except (msgspec.DecodeError, RecursionError, ValueError):
        raise bare.bad_body("is not JSON", at) from None
    if kind == "application/super+json":
        if not isinstance(found, dict) or "json" not in found:
            raise bare.bad_body("is not what its type says", at)
        return found["json"]
    return found


def _metadata(given: Options, at: Sequence[str | int]) -> Mapping[str, Any] | None:
    found = given.metadata
    if isinstance(found, str) and given.metadata_type in (None, "application/json", "application/super+json"):
        found = _payload(found, given.metadata_type or "application/json", [*at, "options", "metadata"])
    if found is not None and not isinstance(found, dict):
        raise Invalid("metadata", "must be an object.")
    return found


def _key(given: Options) -> str | None:
    if given.idempotency_key is not None and not 1 <= len(given.idempotency_key) <= MOST_KEY:
        raise Invalid("idempotencyKey", f"must be 1 to {MOST_KEY} characters.")
    return given.idempotency_key


def _shown_key(given: Options) -> str | None:
    shown = given.idempotency_key_options
    if given.idempotency_key is None or shown is None:
        return given.idempotency_key
    if len(shown.key) > MOST_KEY:
        raise Invalid("idempotencyKeyOptions.key", f"must be at most {MOST_KEY} characters.")
    return shown.key


def _key_s(given: Options) -> float:
    if given.idempotency_key_ttl is None:
        return KEY_LIFETIME_S
    seconds = parse_duration(given.idempotency_key_ttl)
    if not seconds:
        raise Invalid("idempotencyKeyTTL", "must be a duration such as 1h30m.")
    return min(seconds, 10 * KEY_LIFETIME_S)


def _positive(value: float | None, field: str) -> float | None:
    if value is not None and not 0 < value < 1e9:
        raise Invalid(field, "must be a number of seconds above 0.")
    return value


def _parent(word: str) -> str:
    try:
        return ids.read_run(word)
    except NotFound:
        raise Invalid("parentRunId", "is not a run.") from None


def told(error: Invalid | NotFound | Conflict, identifier: str) -> Fault:
    """What the service found, in this dialect's terms."""
    if isinstance(error, Invalid):
        return bare.bad_body(error.reason, _path(error.field))
    if isinstance(error, Conflict):
        return Fault(422, str(error))
    if error.noun == "runner":
        return Fault(404, f"Task with identifier '{identifier_word(error.id)}' not found")
    return Fault(404, bare.RUN_NOT_FOUND)


def _path(field: str) -> list[str | int]:
    """Where in the body a field of ours is: all but the items of a batch are options."""
    parts: list[str | int] = [int(part) if part.isdigit() else _THEIRS.get(part, part) for part in field.split(".")]
    at = 2 if parts[0] == "items" and len(parts) > 1 else 0
    if parts[at:] == ["options"]:
        return [*parts[:at], "payload"]  # of the options of our kind, it alone can be too deep
    return [*parts[:at], "options", *parts[at:]] if parts[at:] and parts != ["items"] else parts


_THEIRS = {"max_attempts": "maxAttempts", "idempotency_key": "idempotencyKey", "idempotency_s": "idempotencyKeyTTL"}
ROUTES = [
    Route("POST", "/api/v1/tasks/{}/trigger", trigger, most=2 * JSON_BYTES),
    Route("POST", "/api/v1/runs/{}/replay", replay),
]
