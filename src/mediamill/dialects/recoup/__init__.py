"""The Recoup API: prompts on a schedule and their runs, and the same in the words of Trigger.dev's clients
(docs/reference/recoup.md)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mediamill.core.prompts import KIND
from mediamill.core.tasks import Task
from mediamill.dialects import Dialect, Links
from mediamill.dialects.recoup import runs
from mediamill.dialects.recoup.errors import write_error
from mediamill.dialects.recoup.routes import build
from mediamill.dialects.recoup.words import NAME


def claims(path: str, headers: Mapping[bytes, bytes]) -> bool:
    """Whether a path without our prefix is meant for us: the published clients know no prefix."""
    return path == "/api" or path.startswith("/api/")


def write(task: Task, links: Links) -> Any:
    """A prompt as a run; None for any other kind of task."""
    return runs.bare(runs.common(task, None)) if task.kind == KIND else None


DIALECT = Dialect(
    name=NAME,
    prefix="/recoup",
    build=build,
    claims=claims,
    write_task=write,
    write_error=write_error,
)
