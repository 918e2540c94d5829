"""Bodies and queries of /api/tasks: strict, and the first field that is not as it must be is the one that is told."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec

from mediamill.dialects.recoup.call import kind_of
from mediamill.dialects.recoup.errors import Fault, missing

_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE | re.ASCII)
_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}
_DIGITS = re.compile(r"[0-9]{1,4}", re.ASCII)
DEFAULT_LIMIT = 20
MOST_LIMIT = 100

Field = Callable[[str, Any], Any]
"""(name, value) to the value that is kept; raises a 400 Fault."""
ABSENT: Any = object()
"""The value of a field that was not sent, for those that must be."""


def strict(body: Mapping[str, Any], fields: Mapping[str, Field], required: Sequence[str]) -> dict[str, Any]:
    """The fields that were sent, read in the order of `fields`; any other key is refused."""
    found = {}
    for name, read in fields.items():
        if name in body:
            found[name] = read(name, body[name])
        elif name in required:
            read(name, ABSENT)
    unknown = [key for key in body if key not in fields]
    if unknown:
        said = ", ".join(msgspec.json.encode(key).decode() for key in unknown[:20])
        raise missing([], f"Unrecognized key{'s' if len(unknown) > 1 else ''}: {said}")
    return found


def needed_text(name: str, value: Any) -> str:
    """A string that must be there and not be empty."""
    if value is ABSENT or value == "":
        raise missing([name], f"{name} parameter is required")
    return _text(name, value)


def changed_text(name: str, value: Any) -> str:
    """A string that may be left out, and not be empty."""
    if not isinstance(value, str) or not value:
        raise missing([name], f"{name} must be a non-empty string")
    return value


def free_text(name: str, value: Any) -> str | None:
    """A string, where the empty one is as none."""
    return _text(name, value) or None


def zone(name: str, value: Any) -> str:
    """The name of a time zone; whether there is one of that name is for the service to say."""
    if not isinstance(value, str) or not value:
        raise bad_zone()
    return value


def needed_uuid(name: str, value: Any) -> str:
    """A uuid that must be there; its absence is told as that of any text."""
    if value is ABSENT or value == "":
        raise missing([name], f"{name} parameter is required")
    return uuid(name, value)


def uuid(name: str, value: Any) -> str:
    """A uuid, in lower case."""
    if not isinstance(value, str) or not _UUID.fullmatch(value):
        raise missing([name], f"{name} must be a valid UUID")
    return value.lower()


def boolean_or_null(name: str, value: Any) -> bool | None:
    """true, false or null."""
    if value is not None and not isinstance(value, bool):
        raise missing([name], f"Invalid input: expected boolean, received {kind_of(value)}")
    return value


def bad_zone() -> Fault:
    """There is no such time zone."""
    return missing(["timezone"], "timezone must be a valid IANA time zone")


def bad_cron(reason: str) -> Fault:
    """The expression is none, or one that is never due."""
    return missing(["schedule"], f"schedule must be a valid cron expression: {reason}")


def query_uuid(query: Mapping[str, str], name: str) -> str | None:
    """A uuid of the query, or None where it is absent."""
    value = query.get(name)
    return None if value is None else uuid(name, value)


def query_boolean(query: Mapping[str, str], name: str) -> bool | None:
    """A boolean of the query, or None where it is absent."""
    value = query.get(name)
    if value is None:
        return None
    if value.lower() not in _BOOLEANS:
        raise missing([name], f"{name} must be true, false, 1 or 0")
    return _BOOLEANS[value.lower()]


def query_limit(query: Mapping[str, str]) -> int:
    """How many runs to show. Its fault names no fields."""
    value = query.get("limit")
    if value is None:
        return DEFAULT_LIMIT
    number = int(value) if _DIGITS.fullmatch(value) else 0
    if not 1 <= number <= MOST_LIMIT:
        raise Fault(400, f"limit must be an integer between 1 and {MOST_LIMIT}")
    return number


def _text(name: str, value: Any) -> str:
    if not isinstance(value, str):
        raise missing([name], f"Invalid input: expected string, received {kind_of(value)}")
    return value
