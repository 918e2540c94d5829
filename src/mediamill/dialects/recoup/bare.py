"""What all calls on Trigger.dev's surface share: bodies with their issues, queries with their details, who is meant."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

import msgspec

from mediamill.core.access import Caller
from mediamill.core.errors import NotFound
from mediamill.dialects.recoup import ids
from mediamill.dialects.recoup.call import Call, read_json
from mediamill.dialects.recoup.errors import Fault
from mediamill.dialects.recoup.runs import Owner

T = TypeVar("T")
RUN_NOT_FOUND = "Run not found"
_PATH = re.compile(r"\.([^.\[\]]+)|\[(\d+|\.\.\.)\]")
_MILLISECONDS = re.compile(r"-?[0-9]{1,15}", re.ASCII)


def bad_body(message: str, path: Sequence[str | int] = (), code: str = "custom") -> Fault:
    """The body does not say what it must."""
    return Fault(400, "Invalid request body", {"issues": [{"code": code, "path": list(path), "message": message}]})


def bad_query(message: str, path: Sequence[str]) -> Fault:
    """A parameter does not say what it must."""
    details = [{"code": "custom", "message": message, "path": list(path)}]
    return Fault(400, "Query Error", {"details": details})


def read(call: Call, shape: type[T], *, empty: bool = False) -> T:
    """The body as `shape`; keys it does not know are let be. empty: no body is as an empty object."""
    try:
        found = read_json(b"{}" if empty and not call.raw.strip() else call.raw)
    except Fault as error:
        raise bad_body(str(error), code="invalid_json") from None
    return convert(found, shape)


def convert(value: Any, shape: type[T], at: Sequence[str | int] = ()) -> T:
    """JSON as `shape`. Raises a 400 Fault that says where it is not."""
    try:
        return msgspec.convert(value, shape)
    except msgspec.ValidationError as error:
        reason, _, path = str(error).partition(" - at `")
        inner: list[str | int] = [
            name or (int(number) if number.isdigit() else number) for name, number in _PATH.findall(path.rstrip("`"))
        ]
        if "missing required field" in reason:
            inner.append(reason.split("`")[1])
            reason = "Required"
        raise bad_body(reason, [*at, *inner], "invalid_type") from None


def read_instant(text: str, path: Sequence[str]) -> datetime:
    """Epoch milliseconds, or RFC 3339. Raises a 400 Fault."""
    try:
        if _MILLISECONDS.fullmatch(text):
            return datetime.fromtimestamp(int(text) / 1000, UTC)
        found = datetime.fromisoformat(text.replace(" ", "+"))
        return (found if found.tzinfo is not None else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, OverflowError, OSError):
        raise bad_query("must be epoch milliseconds or a date", path) from None


async def run_of(call: Call) -> tuple[Caller, str]:
    """(the caller as of the project of the run in the path, our id of it). Raises a 404 Fault."""
    try:
        id = ids.read_run(call.ids[0])
    except NotFound:
        raise Fault(404, RUN_NOT_FOUND) from None
    return await call.site.service.accounts.acting(call.caller, task=id), id


async def owner_of(call: Call, caller: Caller) -> Owner:
    """Whose runs they are."""
    return Owner(account_id=(await call.site.service.accounts.of(caller.project_id)).id)
