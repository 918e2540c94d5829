"""The Ittybit API in its three response profiles (docs/reference/ittybit.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mediamill.core.tasks import Task
from mediamill.dialects import Dialect, Links
from mediamill.dialects.ittybit import flat
from mediamill.dialects.ittybit.current import write_task
from mediamill.dialects.ittybit.errors import blank_meta, write_error
from mediamill.dialects.ittybit.events import write_event
from mediamill.dialects.ittybit.objects import NAME, address
from mediamill.dialects.ittybit.profile import Profile
from mediamill.dialects.ittybit.routes import build
from mediamill.dialects.ittybit.words import worded
from mediamill.dialects.ittybit.workflow import plan

_OURS = re.compile(
    r"/(tasks|tasks-config|runs|files|media|automations|webhooks|events|connections|keys|signatures|jobs)(/.*)?"
)


def claims(path: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a path without our prefix is meant for us: the published clients know no prefix."""
    return _OURS.fullmatch(path) is not None


def write(task: Task, links: Links) -> Any:
    """The task in the profile it was asked for in; None when it cannot be worded here."""
    if not worded(task):
        return None
    profile = task.extra.get("profile") if task.dialect == NAME else None
    if profile in (Profile.FLAT, Profile.ENVELOPE):
        shown = flat.write_task(task, links)
        return shown if profile == Profile.FLAT else {"meta": blank_meta(), "data": shown, "error": None, "links": {}}
    return write_task(task, links)


DIALECT = Dialect(
    name=NAME,
    prefix="/ittybit",
    build=build,
    claims=claims,
    write_task=write,
    write_error=write_error,
    write_event=write_event,
    plan=plan,
    address=address,
)
