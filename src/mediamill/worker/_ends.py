"""What went wrong in a child or around it, as an error of ours."""

from __future__ import annotations

from typing import Any

import structlog

from mediamill.core import errors
from mediamill.core.errors import (
    BadMedia,
    Failed,
    OutOfReach,
    OutOfSpace,
    StorageFull,
    StorageRefused,
    SystemFailure,
    is_full,
)
from mediamill.core.tasks import Task
from mediamill.worker.messages import Broke

log = structlog.get_logger()


def as_error(said: Broke, tail: str) -> Failed:
    """What a child said it ended with; `tail` when it has no last lines of its own."""
    kind: Any = getattr(errors, said.error, BadMedia)
    if not (isinstance(kind, type) and issubclass(kind, Failed)):
        kind = BadMedia
    error: Failed = kind(said.message)
    vars(error)["code"] = said.code  # a refusal found late (unsupported, unavailable) keeps its own
    error.stage = said.stage or None
    error.stderr_tail = said.stderr_tail or tail
    error.private = said.private
    return error


def unforeseen(error: Exception, task: Task, *, hosted: bool) -> Failed:
    """What a task ends with that the worker itself broke at. hosted: it was to be done in the worker."""
    if is_full(error) or isinstance(error, StorageFull):
        log.warning("disk full", task=task.id, kind=task.kind)
        broken: Failed = OutOfSpace()
    elif isinstance(error, StorageRefused):
        broken = OutOfReach()
    else:
        log.error("task broke the worker's own code", task=task.id, kind=task.kind, exc_info=error)
        broken = (SystemFailure if hosted else Failed)("The server failed at this task; its log says more.")
    broken.__cause__ = error
    return broken
