"""A place in a list as an opaque word."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

from mediamill.core.errors import Invalid
from mediamill.core.tasks import Cursor


def write_cursor(at: datetime, id: str) -> str:
    """An opaque cursor for the place of a row."""
    text = f"{at.astimezone(UTC).isoformat()} {id}"
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_cursor(field: str, cursor: str | None) -> Cursor | None:
    """The place a cursor names. Raises Invalid."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        at, id = base64.b64decode(padded, altchars=b"-_", validate=True).decode("ascii").split(" ")
        instant = datetime.fromisoformat(at)
        if instant.tzinfo is None or not id.isalnum():
            raise ValueError(cursor)
        instant = instant.astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(field, "is not a cursor of ours.") from None
    return Cursor(at=instant, id=id)
