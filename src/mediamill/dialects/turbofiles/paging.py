"""Cursors and pages, after the cursor-pagination profile of JSON:API."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from mediamill.dialects.turbofiles.errors import Fault

PROFILE = "https://jsonapi.org/profiles/ethanresnick/cursor-pagination"
DEFAULT_SIZE = 10
MAX_SIZE = 100

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_ID, _LAST_ID = "", "z" * 30  # ids are of [a-z0-9]: these stand before and behind every one
# RFC 3339; a "+" that nobody encoded arrives as a blank.
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(?:\.(\d{1,12}))?(?:[Zz]|([+ -])(\d\d):(\d\d))", re.ASCII)
_OWN = re.compile(r"(\d{1,18})\.([a-z0-9]{1,64})", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A place in a list ordered by (created_at, id), and the word that named it."""

    at: datetime
    id: str
    word: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Which part of a list is asked for."""

    size: int = DEFAULT_SIZE
    after: Place | None = None
    before: Place | None = None
    ascending: bool = False


def read_window(given: Mapping[str, str], *, ascending: bool) -> Window:
    """The `page[...]` parameters. Raises a 400 Fault that names the parameter."""
    for name in given:
        if name not in ("page[size]", "page[after]", "page[before]"):
            raise Fault(400, "invalid_parameter", f"{name} is no parameter here.", parameter=name)
    after = _place(given, "page[after]", exact=_LAST_ID if ascending else _FIRST_ID)
    before = _place(given, "page[before]", exact=_FIRST_ID if ascending else _LAST_ID)
    size = MAX_SIZE if after and before else DEFAULT_SIZE
    if (text := given.get("page[size]")) is not None:
        size = _size(text)
    return Window(size=size, after=after, before=before, ascending=ascending)


def write_cursor(at: datetime, id: str) -> str:
    """The cursor of an item: opaque to callers, so that two items of one microsecond have two."""
    micros = (at - _EPOCH) // timedelta(microseconds=1)
    return base64.urlsafe_b64encode(f"{micros}.{id}".encode()).decode().rstrip("=")


def beside(
    window: Window, ends: tuple[str, str] | None, more: bool
) -> tuple[dict[str, str] | None, dict[str, str] | None]:
    """(prev, next): the cursors of the pages beside this one, or None where there is none.

    ends: cursors of the first and the last item shown; None on an empty page, which leads back to where it came from.
    """
    after, before = window.after, window.before
    first, last = ends or (after.word if after else "", before.word if before else "")
    if after is not None and before is not None:
        # A range ends where it ends: following `next` walks it, and nothing beyond it.
        return None, {"page[after]": last, "page[before]": before.word} if more else None
    if before is not None:
        return {"page[before]": first} if more else None, {"page[after]": last}
    if after is not None:
        return {"page[before]": first}, {"page[after]": last} if more else None
    return None, {"page[after]": last} if more else None


def _size(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not text.strip("0"):
        raise Fault(400, "invalid_parameter", "page[size] must be an integer from 1 to 100.", parameter="page[size]")
    if len(text.lstrip("0")) > 3 or int(text) > MAX_SIZE:
        raise Fault(
            400,
            "invalid_parameter",
            f"page[size] is at most {MAX_SIZE}.",
            parameter="page[size]",
            links={"type": [f"{PROFILE}/max-size-exceeded"]},
            meta={"page": {"maxSize": MAX_SIZE}},
        )
    return int(text)


def _place(given: Mapping[str, str], name: str, *, exact: str) -> Place | None:
    """exact: the id that makes a bare instant leave out the items of that very microsecond."""
    word = given.get(name)
    if word is None:
        return None
    found = _own(word) or _instant(word, exact)
    if found is None:
        raise Fault(400, "invalid_parameter", f"{name} is no cursor of this list.", parameter=name)
    return Place(at=found[0], id=found[1], word=word)


def _own(word: str) -> tuple[datetime, str] | None:
    try:
        text = base64.b64decode(word + "=" * (-len(word) % 4), altchars=b"-_", validate=True).decode("ascii")
        match = _OWN.fullmatch(text)
        return (_EPOCH + timedelta(microseconds=int(match[1])), match[2]) if match else None
    except (ValueError, OverflowError):
        return None


def _instant(word: str, exact: str) -> tuple[datetime, str] | None:
    match = _INSTANT.fullmatch(word)
    if match is None:
        return None
    day, time, digits, sign, hours, minutes = match.groups()
    digits = (digits or "").ljust(6, "0")
    try:
        at = datetime.fromisoformat(f"{day}T{time}.{digits[:6]}+00:00")
        if hours is not None:
            if int(hours) > 23 or int(minutes) > 59:
                return None
            offset = timedelta(hours=int(hours), minutes=int(minutes))
            at = at + offset if sign == "-" else at - offset
    except (ValueError, OverflowError):
        return None
    # Finer than the store keeps: the place is behind every item of the microsecond.
    return at, _LAST_ID if digits[6:].strip("0") else exact
