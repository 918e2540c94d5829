"""Tasks and files as the service would hand them out; give only the fields that matter."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from mediamill.core.files import File, FileState
from mediamill.core.ids import FileId, ProjectId, RunId, TaskId
from mediamill.core.tasks import Attempt, Failure, Input, Output, State, Task

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)


def at(seconds: float) -> datetime:
    """An instant that long after noon."""
    return NOON + timedelta(seconds=seconds)


def file(**given: Any) -> File:
    """A PNG of two kilobytes whose bytes are here."""
    values: dict[str, Any] = {
        "id": FileId("f1"),
        "project_id": ProjectId("default"),
        "filename": "one.png",
        "mime": "image/png",
        "claimed_mime": None,
        "size_bytes": 2048,
        "sha256": "00" * 32,
        "blob_key": "k",
        "state": FileState.READY,
        "facts": {},
        "public": False,
        "dialect": "mill",
        "created_at": NOON,
        "updated_at": NOON,
        "expires_at": None,
    }
    return File(**{**values, **given})


def attempt(number: int, start_s: float, end_s: float | None, state: str = "succeeded", **given: Any) -> Attempt:
    """An attempt from and to seconds after noon."""
    values: dict[str, Any] = {"worker": "w-1", "stage": "work", "stages": [], "error": None, "log": None}
    return Attempt(
        number=number,
        state=state,
        started_at=at(start_s),
        finished_at=None if end_s is None else at(end_s),
        **{**values, **given},
    )


def failure(message: str = "It broke.") -> Failure:
    """A tool's failure."""
    return Failure(code="tool_failed", family="tool", message=message, stage="encode")


def task(**given: Any) -> Task:
    """A convert of one PNG, queued at noon."""
    values: dict[str, Any] = {
        "id": TaskId("t1"),
        "project_id": ProjectId("default"),
        "run_id": RunId("r1"),
        "kind": "convert",
        "dialect": "mill",
        "state": State.QUEUED,
        "stage": None,
        "progress": 0.0,
        "options": {"format": "image/webp"},
        "extra": {},
        "metadata": None,
        "priority": 0,
        "not_before": None,
        "attempt": 0,
        "attempts_left": 3,
        "max_attempts": 3,
        "cancel_requested": False,
        "error": None,
        "details": {},
        "inputs": [Input(file=file(), url=None)],
        "outputs": [],
        "attempts": [],
        "retry_of": None,
        "created_at": NOON,
        "updated_at": NOON,
        "started_at": None,
        "finished_at": None,
    }
    return Task(**{**values, **given})


def output(**given: Any) -> Output:
    """The file that was asked for."""
    return Output(
        file=file(**{"id": FileId("f2"), "filename": "one.webp", "mime": "image/webp", **given}), role="result"
    )
