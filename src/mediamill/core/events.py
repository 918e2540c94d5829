"""What happened, for webhooks and streams. Written in the transaction of the change itself (the outbox)."""

from __future__ import annotations

from enum import StrEnum


class EventType(StrEnum):
    """One word a change; dialects have their own names for these."""

    TASK_CREATED = "task.created"
    TASK_STARTED = "task.started"
    TASK_UPDATED = "task.updated"  # a result was published early
    TASK_PROGRESS = "task.progress"  # a tenth further; written where somebody asked for it
    TASK_SUCCEEDED = "task.succeeded"
    TASK_FAILED = "task.failed"
    TASK_CANCELLED = "task.cancelled"
    RUN_CREATED = "run.created"
    RUN_UPDATED = "run.updated"
    RUN_PROGRESS = "run.progress"  # a tenth further; as of a task
    RUN_SUCCEEDED = "run.succeeded"
    RUN_FAILED = "run.failed"
    RUN_CANCELLED = "run.cancelled"
    FILE_READY = "file.ready"
