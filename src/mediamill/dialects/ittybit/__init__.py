"""The Ittybit API in its three response profiles (docs/reference/ittybit.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from mediamill.core.tasks import Task
from mediamill.dialects import Dialect, Links
from mediamill.dialects.ittybit.current import write_task
from mediamill.dialects.ittybit.errors import write_error
from mediamill.dialects.ittybit.objects import NAME
from mediamill.dialects.ittybit.routes import build
from mediamill.dialects.ittybit.words import worded

_OURS = re.compile(
    r"/(tasks|tasks-config|runs|files|media|automations|webhooks|events|connections|keys|signatures|jobs)(/.*)?"
)


def claims(path: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a path without our prefix is meant for us: the published clients know no prefix."""
    return _OURS.fullmatch(path) is not None


def write(task: Task, links: Links) -> Any:
    """The task in profile `current`; None when it cannot be worded here."""
    return write_task(task, links) if worded(task) else None


DIALECT = Dialect(name=NAME, prefix="/ittybit", build=build, claims=claims, write_task=write, write_error=write_error)
