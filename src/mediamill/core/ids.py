"""Opaque ids: a prefix that says the noun, then lower-case base-36 of time and randomness."""

from __future__ import annotations

import secrets
import time
from typing import Literal, NewType

TaskId = NewType("TaskId", str)
RunId = NewType("RunId", str)
FileId = NewType("FileId", str)
ProjectId = NewType("ProjectId", str)
KeyId = NewType("KeyId", str)
ConnectionId = NewType("ConnectionId", str)
AutomationId = NewType("AutomationId", str)
ScheduleId = NewType("ScheduleId", str)
OrganisationId = NewType("OrganisationId", str)

Noun = Literal[
    "task",
    "run",
    "file",
    "media",
    "project",
    "key",
    "event",
    "upload",
    "attempt",
    "endpoint",
    "connection",
    "automation",
    "schedule",
    "batch",
    "organisation",
    "composition",
]
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"
_PREFIX: dict[Noun, str] = {
    "task": "t",
    "run": "r",
    "file": "f",
    "media": "m",
    "project": "p",
    "key": "k",
    "event": "e",
    "upload": "u",
    "attempt": "a",
    "endpoint": "w",
    "connection": "c",
    "automation": "o",
    "schedule": "s",
    "batch": "b",
    "organisation": "g",
    "composition": "x",
}


def _base36(number: int, width: int) -> str:
    digits = []
    for _ in range(width):
        number, rest = divmod(number, 36)
        digits.append(_ALPHABET[rest])
    return "".join(reversed(digits))


def new_id(noun: Noun) -> str:
    """A fresh id: one letter for the noun, 9 characters of milliseconds, 11 of randomness (57 bits).

    Only [a-z0-9], so that every dialect can carry it as it is. Time first keeps inserts at the index's right edge.
    """
    return _PREFIX[noun] + _base36(time.time_ns() // 1_000_000, 9) + _base36(secrets.randbits(57), 11)
