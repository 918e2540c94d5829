"""Which of the three response profiles a request is answered in (docs/reference/ittybit.md, "Profiles")."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum

from mediamill.core.errors import Invalid

_FLAT_FROM = date(2025, 8, 20)
_CURRENT_FROM = date(2025, 10, 1)
_DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)", re.ASCII)
_SDKS = ("ittybit", "@ittybit/sdk")
VARY = "Accept-Version, X-Fern-SDK-Name, X-Fern-SDK-Version, ACCEPT_VERSION"


class Profile(StrEnum):
    """How answers are written."""

    CURRENT = "current"
    FLAT = "flat"
    ENVELOPE = "envelope"

    @property
    def version(self) -> str:
        """The date that stands for it."""
        return {"current": "2025-10-01", "flat": "2025-08-20", "envelope": "2025-08-19"}[self.value]


def choose(headers: Mapping[str, str]) -> Profile:
    """The profile of a request by its headers (names in lower case). Raises Invalid for a version that is no date."""
    if (asked := headers.get("accept-version")) is not None:
        return _of_version("Accept-Version", asked)
    if headers.get("x-fern-sdk-name", "").strip().lower() in _SDKS:
        return Profile.FLAT if _major(headers.get("x-fern-sdk-version", "")) >= 1 else Profile.ENVELOPE
    if (asked := headers.get("accept_version")) is not None:
        return _of_version("ACCEPT_VERSION", asked)
    return Profile.CURRENT


def _of_version(header: str, asked: str) -> Profile:
    asked = asked.strip()
    if asked.lower() == "latest":
        return Profile.CURRENT
    match = _DATE.fullmatch(asked)
    try:
        day = date(int(match[1]), int(match[2]), int(match[3])) if match else None
    except ValueError:
        day = None
    if day is None:
        raise Invalid(header, "must be a date (YYYY-MM-DD) or latest.")
    if day < _FLAT_FROM:
        return Profile.ENVELOPE
    return Profile.FLAT if day < _CURRENT_FROM else Profile.CURRENT


def _major(version: str) -> int:
    head = version.strip().split(".", 1)[0]
    return int(head) if head.isascii() and head.isdigit() and len(head) < 10 else 0
