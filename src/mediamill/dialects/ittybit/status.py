"""Where a task stands, in this dialect's words; and which tasks a word means."""

from __future__ import annotations

from mediamill.core.tasks import Filter, State, Task
from mediamill.dialects.ittybit.errors import invalid

STATUSES = ("waiting", "validating", "queued", "processing", "finishing", "succeeded", "failed", "cancelled")
_LEGACY = {
    "waiting": "pending",
    "validating": "waiting",
    "queued": "waiting",
    "processing": "processing",
    "finishing": "processing",
    "succeeded": "completed",
    "failed": "failed",
    "cancelled": "cancelled",
}
STORING = "store"
"""The stage in which results are stored."""


def status_of(task: Task) -> str:
    """One of STATUSES."""
    state = task.state
    if state.final:
        return state.value
    if state is State.WAITING:
        return "waiting"
    if state is State.INGESTING:
        return "validating" if task.attempt else "waiting"
    if state is State.RUNNING:
        return "finishing" if task.stage == STORING else "processing"
    return "queued" if task.started_at is None else "processing"  # between two attempts it goes on, to its caller


def legacy(status: str) -> str:
    """The word of the two older profiles."""
    return _LEGACY[status]


def progress_of(task: Task, status: str) -> int | None:
    """Whole percent; None until the work has begun."""
    if status == "succeeded":
        return 100
    if status == "finishing":
        return 99
    if task.started_at is None:
        return None
    return min(99, int(task.progress * 100 + 1e-6))


_OLD = {
    "pending": Filter(states=[State.WAITING, State.INGESTING], attempted=False),
    # Of the older words this one is a newer one as well: either meaning is shown.
    "waiting": Filter(states=[State.WAITING, State.INGESTING, State.QUEUED, State.DELAYED], started=False),
    "processing": Filter(states=[State.RUNNING, State.QUEUED, State.DELAYED], started=True),
    "completed": Filter(states=[State.SUCCEEDED]),
}
_NEW = {
    "waiting": Filter(states=[State.WAITING, State.INGESTING], attempted=False),
    "validating": Filter(states=[State.INGESTING], attempted=True),
    "queued": Filter(states=[State.QUEUED, State.DELAYED], started=False),
    "processing": Filter(states=[State.RUNNING, State.QUEUED, State.DELAYED], started=True, storing=False),
    "finishing": Filter(states=[State.RUNNING], storing=True),
    "succeeded": Filter(states=[State.SUCCEEDED]),
    "failed": Filter(states=[State.FAILED]),
    "cancelled": Filter(states=[State.CANCELLED]),
}


def filter_of(word: str, *, old_words: bool) -> Filter:
    """Which tasks a status means. Raises a 400 Fault that names the words."""
    known = {**_NEW, **_OLD} if old_words else _NEW
    if word not in known:
        raise invalid(f"status must be one of {', '.join(known if old_words else STATUSES)}.")
    return known[word]
