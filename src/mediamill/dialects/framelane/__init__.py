"""The Framelane API: AI media tasks and timeline renders (docs/reference/framelane.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mediamill.core.tasks import Task
from mediamill.dialects import Dialect, Links
from mediamill.dialects.framelane.call import NAME
from mediamill.dialects.framelane.errors import write_error
from mediamill.dialects.framelane.events import address_secret, sign_event, write_event
from mediamill.dialects.framelane.jobs import worded, write_job
from mediamill.dialects.framelane.routes import DOCUMENT, build

_OTHERS = b"application/vnd.api+json"
"""What TurboFiles' clients say; /v1 is theirs then, as are these paths of it always."""
_THEIRS = re.compile(
    r"/v1/(files|users|tasks/[^/]*/(relationships|input|output)|tasks/(?=[a-z]*[0-9])[a-z0-9]{9,})(/.*)?", re.ASCII
)
"""The last are ids as they write them: ours have a prefix, and no creator has a digit in its name."""


def claims(path: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a path without our prefix is meant for us: clients know the bare origin as their base."""
    if (path not in ("/v1", DOCUMENT) and not path.startswith("/v1/")) or _THEIRS.fullmatch(path):
        return False
    return not any(_OTHERS in headers.get(name, b"").lower() for name in (b"accept", b"content-type"))


def write(task: Task, links: Links) -> Any:
    """The job; None when it cannot be worded here."""
    return write_job(task, links) if worded(task) else None


DIALECT = Dialect(
    name=NAME,
    prefix="/framelane",
    build=build,
    claims=claims,
    write_task=write,
    write_error=write_error,
    write_event=write_event,
    sign_event=sign_event,
    address_secret=address_secret,
    most_bytes=lambda settings: settings.framelane_max_bytes,
    patience_s=10.0,
)
