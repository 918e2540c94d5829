"""/api/v1/runs and its kin: lists by filter and cursor, one run whole, and what can be done to one."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeGuard

import msgspec

from mediamill import __version__
from mediamill.core.errors import Conflict, Invalid, NotFound
from mediamill.core.prompts import PromptFilter, PromptRun, Status, parse_duration, read_delay, status
from mediamill.core.tasks import Cursor, Page, Task
from mediamill.dialects.recoup import bare, ids, runs
from mediamill.dialects.recoup.call import Call, Reply, Route
from mediamill.dialects.recoup.errors import Fault
from mediamill.dialects.recoup.words import identifier_word, read_identifier, statuses_of
from mediamill.web.cursors import read_cursor, write_cursor

DEFAULT_SIZE, MOST_SIZE = 25, 100
_INTERNAL = {
    Status.CANCELED: "TASK_RUN_CANCELLED",
    Status.TIMED_OUT: "MAX_DURATION_EXCEEDED",
    Status.CRASHED: "TASK_RUN_CRASHED",
    Status.INTERRUPTED: "GRACEFUL_EXIT_TIMEOUT",
    Status.SYSTEM_FAILURE: "UNSPECIFIED_ERROR",
}
"""Ends that a client knows by a code and not as an error of the run's own."""
_UNBEGUN = {Status.UNSERVED, Status.DELAYED, Status.QUEUED, Status.EXPIRED}
"""No version is known of these: nothing has worked at them."""


async def list_runs(call: Call) -> Reply:
    """A page of the caller's runs, newest first."""
    page, filter = _page(call), await _filter(call)
    if filter is None:
        return Reply(body={"data": [], "pagination": {}})
    listed = await call.site.service.prompts.list(call.caller, page, filter)
    owner = await bare.owner_of(call, call.caller)
    data = [runs.bare(runs.common(task, owner, versioned=call.versioned)) for task in listed.items]
    around: dict[str, str] = {}
    if listed.items:
        first, last = listed.items[0], listed.items[-1]
        if listed.more if page.before is None else True:
            around["next"] = write_cursor(last.created_at, last.id)
        if listed.more if page.before is not None else page.after is not None:
            around["previous"] = write_cursor(first.created_at, first.id)
    return Reply(body={"data": data, "pagination": around})


async def get_run(call: Call) -> Reply:
    """One run with payload, output, attempts."""
    caller, run = await _run(call)
    owner = await bare.owner_of(call, caller)
    return Reply(body=runs.bare(runs.whole(run, owner, versioned=call.versioned)))


async def get_result(call: Call) -> Reply:
    """What came of a run that is over."""
    _, run = await _run(call)
    if not run.task.state.final:
        raise Fault(404, "Run either doesn't exist or is not finished")
    return Reply(body=result(run.task))


async def cancel(call: Call) -> Reply:
    """Stop a run and all that it started; one that is over is left as it is."""
    caller, id = await bare.run_of(call)
    try:
        await call.site.service.prompts.cancel(caller, id)
    except NotFound:
        raise Fault(404, bare.RUN_NOT_FOUND) from None
    except Conflict:
        pass  # it is over already, which is what was wanted
    return Reply(body={"id": call.ids[0]})


class Reschedule(msgspec.Struct, kw_only=True):
    """When a delayed run is to start."""

    delay: str


async def reschedule(call: Call) -> Reply:
    """Put a delayed run off, or bring it forward."""
    body = bare.read(call, Reschedule)
    caller, id = await bare.run_of(call)
    try:
        at = read_delay(body.delay, datetime.now(UTC))
        await call.site.service.prompts.reschedule(caller, id, at)
    except Invalid as error:
        raise bare.bad_body(error.reason, ["delay"]) from None
    except Conflict as error:
        raise Fault(400, str(error)) from None
    except NotFound:
        raise Fault(404, bare.RUN_NOT_FOUND) from None
    return await get_run(call)


class Tags(msgspec.Struct, kw_only=True):
    """Tags to add."""

    tags: str | list[str]


async def add_tags(call: Call) -> Reply:
    """Give a run more tags."""
    given = bare.read(call, Tags).tags
    tags = [given] if isinstance(given, str) else given
    caller, id = await bare.run_of(call)
    try:
        await call.site.service.prompts.add_tags(caller, id, tags)
    except NotFound:
        raise Fault(404, bare.RUN_NOT_FOUND) from None
    except Invalid as error:
        if error.field != "tags":
            raise bare.bad_body(error.reason, [int(p) if p.isdigit() else p for p in error.field.split(".")]) from None
        raise Fault(422, f"Tags {error.reason}") from None
    return Reply(body={"message": f"Successfully set {len(tags)} new tags."})


async def get_metadata(call: Call) -> Reply:
    """A run's metadata."""
    _, run = await _run(call)
    return Reply(body={"metadata": dict(run.task.metadata or {})})


class Metadata(msgspec.Struct, kw_only=True):
    """All of a run's metadata, or changes to it."""

    metadata: dict[str, Any] | None = None
    operations: list[dict[str, Any]] = []


async def set_metadata(call: Call) -> Reply:
    """Replace a run's metadata, or change some of it."""
    body = bare.read(call, Metadata)
    caller, id = await bare.run_of(call)
    prompts = call.site.service.prompts
    try:
        found = body.metadata
        if found is None:
            found = dict((await prompts.get(caller, id)).task.metadata or {})
        for n, operation in enumerate(body.operations):
            _operate(found, operation, n)
        await prompts.set_metadata(caller, id, found)
    except NotFound:
        raise Fault(404, bare.RUN_NOT_FOUND) from None
    except Invalid as error:
        raise bare.bad_body(error.reason, ["metadata"]) from None
    return Reply(body={"metadata": found})


def result(task: Task) -> dict[str, Any]:
    """How a run ended, in the words of those who wait for it."""
    said: dict[str, Any] = {
        "id": ids.run(task.id),
        "taskIdentifier": identifier_word(task.origin.identifier or ""),
    }
    stands = status(task)
    if stands is Status.COMPLETED:
        output = task.details.get("output")
        if output is None:
            return {"ok": True, **said, "outputType": "application/json"}
        return {"ok": True, **said, "output": msgspec.json.encode(output).decode(), "outputType": "application/json"}
    failure = runs.error(task.error)
    code = _INTERNAL.get(stands)
    if code is not None:
        message = "The run was cancelled." if failure is None else failure["message"]
        return {"ok": False, **said, "error": {"type": "INTERNAL_ERROR", "code": code, "message": message}}
    return {"ok": False, **said, "error": {"type": "BUILT_IN_ERROR", **(failure or {})}}


async def _run(call: Call) -> tuple[Any, PromptRun]:
    caller, id = await bare.run_of(call)
    try:
        return caller, await call.site.service.prompts.get(caller, id)
    except NotFound:
        raise Fault(404, bare.RUN_NOT_FOUND) from None


def _page(call: Call) -> Page:
    size = DEFAULT_SIZE
    given = call.query.get("page[size]")
    if given is not None:
        size = int(given) if given.isascii() and given.isdigit() and len(given) < 5 else 0
        if not 1 <= size <= MOST_SIZE:
            raise bare.bad_query(f"must be a number from 1 to {MOST_SIZE}", ["page", "size"])
    cursors: dict[str, Cursor | None] = {}
    for name in ("after", "before"):
        try:
            cursors[name] = read_cursor(name, call.query.get(f"page[{name}]"))
        except Invalid as error:
            raise bare.bad_query(error.reason, ["page", name]) from None
    # A client that turns back still sends where it came from.
    after = cursors["after"] if cursors["before"] is None else None
    return Page(limit=size, after=after, before=cursors["before"])


@dataclass(slots=True)
class _Asked:
    """The parts of a filter that are joined with others' before they are put."""

    tags: Sequence[str] | None = None
    schedules: set[str] | None = None
    statuses: Sequence[Status] | None = None


async def _filter(call: Call) -> PromptFilter | None:
    """What the query asks for; None for what matches nothing."""
    asked = _Asked()
    if (words := _listed(call, "status")) is not None:
        try:
            asked.statuses = statuses_of(words, versioned=call.versioned)
        except KeyError as error:
            raise bare.bad_query(f"Invalid status: {error.args[0][:100]}", ["filter", "status"]) from None
    if (versions := _listed(call, "version")) is not None:
        if __version__ not in versions:
            return None
        served = [one for one in Status if one not in _UNBEGUN]
        asked.statuses = [one for one in asked.statuses or served if one in served]
    if not await _tags(call, asked) or not await _schedule(call, asked):
        return None
    batch_id = None
    if (batch := call.query.get("filter[batch]")) is not None:
        try:
            batch_id = ids.read_batch(batch)
        except NotFound:
            return None
    identifiers = _listed(call, "taskIdentifier")
    since, until = _span(call)
    return PromptFilter(
        statuses=asked.statuses,
        identifiers=None if identifiers is None else [read_identifier(word) for word in identifiers],
        tags=asked.tags,
        schedule_ids=None if asked.schedules is None else sorted(asked.schedules),
        batch_id=batch_id,
        is_test=_boolean(call, "isTest"),
        created_from=since,
        created_to=until,
    )


async def _tags(call: Call, asked: _Asked) -> bool:
    """Whether the tags asked for can be on any run."""
    tags = _listed(call, "tag")
    if tags is None:
        return True
    if (await bare.owner_of(call, call.caller)).tag in tags:
        return True  # every run of the caller's has it, and any one of the tags will do
    asked.tags = tags
    return True


async def _schedule(call: Call, asked: _Asked) -> bool:
    """Whether there is a schedule as asked for."""
    token = call.query.get("filter[schedule]")
    if token is None:
        return True
    try:
        caller, id = await call.site.service.accounts.schedule_called(call.caller, token)
    except NotFound:
        return False
    if caller.project_id != call.caller.project_id:
        return False  # a list is of the caller's own
    asked.schedules = {id}
    return True


def _span(call: Call) -> tuple[datetime | None, datetime | None]:
    found: dict[str, datetime | None] = {}
    for name in ("from", "to"):
        given = call.query.get(f"filter[createdAt][{name}]")
        found[name] = None if given is None else bare.read_instant(given, ["filter", "createdAt", name])
    period = call.query.get("filter[createdAt][period]")
    if period is not None:
        seconds = parse_duration(period)
        if seconds is None or seconds > 100 * 365 * 86400:
            raise bare.bad_query("must be a duration such as 1d", ["filter", "createdAt", "period"])
        since = datetime.now(UTC) - timedelta(seconds=seconds)
        found["from"] = max(found["from"], since) if found["from"] is not None else since
    until = found["to"]
    if until is not None and until.microsecond % 1000 == 0:
        # All of that millisecond: instants are shown without what is below, and a client gives what it was shown.
        until = until.replace(microsecond=until.microsecond + 999)
    return found["from"], until


def _listed(call: Call, name: str) -> list[str] | None:
    """The words of a comma list; None where it is absent or empty."""
    found = [word for word in call.query.get(f"filter[{name}]", "").split(",") if word]
    return found or None


def _boolean(call: Call, name: str) -> bool | None:
    given = call.query.get(f"filter[{name}]")
    if given is None:
        return None
    if given not in ("true", "false"):
        raise bare.bad_query("must be true or false", ["filter", name])
    return given == "true"


def _operate(metadata: dict[str, Any], operation: Mapping[str, Any], n: int) -> None:
    """One change of a client's, to a key of the first level."""
    kind, key, value = operation.get("type"), operation.get("key"), operation.get("value")
    if kind == "update" and isinstance(value, dict):
        metadata.clear()
        metadata.update(value)
        return
    if not isinstance(key, str):
        raise bare.bad_body("must be a string", ["operations", n, "key"])
    key, there = key.removeprefix("$."), metadata.get(key.removeprefix("$."))
    match kind:
        case "set":
            metadata[key] = value
        case "delete":
            metadata.pop(key, None)
        case "append":
            metadata[key] = [*there, value] if isinstance(there, list) else [value]
        case "remove":
            if isinstance(there, list):
                metadata[key] = [one for one in there if one != value]
        case "increment" if _is_number(value):
            metadata[key] = _sum(there if _is_number(there) else 0, value, n)
        case _:
            raise bare.bad_body("is no change of metadata", ["operations", n])


def _is_number(value: Any) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _sum(there: float, value: float, n: int) -> float:
    """Raises a 400 Fault where JSON has no number for it."""
    try:
        found = there + value
        if math.isfinite(found):
            return found
    except OverflowError:
        pass  # a whole number beyond every fraction, and a fraction
    raise bare.bad_body("makes a number that is too large", ["operations", n, "value"])


ROUTES = [
    Route("GET", "/api/v1/runs", list_runs),
    Route("GET", "/api/v3/runs/{}", get_run),
    Route("GET", "/api/v1/runs/{}/result", get_result),
    Route("POST", "/api/v2/runs/{}/cancel", cancel),
    Route("POST", "/api/v1/runs/{}/reschedule", reschedule),
    Route("POST", "/api/v1/runs/{}/tags", add_tags),
    Route("GET", "/api/v1/runs/{}/metadata", get_metadata),
    Route("PUT", "/api/v1/runs/{}/metadata", set_metadata),
]
