"""Server-sent events as bytes."""

from __future__ import annotations

import msgspec

EVENT_STREAM = "text/event-stream"


def event_bytes(name: str, data: object) -> bytes:
    """One event; its data is JSON."""
    return b"event: %s\ndata: %s\n\n" % (name.encode(), msgspec.json.encode(data))
