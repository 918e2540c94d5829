"""The words of a run's status: those that /api/tasks always uses, and the newer ones of Trigger.dev's clients."""

from __future__ import annotations

from collections.abc import Sequence
from typing import assert_never

from mediamill.core.prompts import Status
from mediamill.core.schedules import RUNNER

NAME = "recoup"
RUNS = "customer-prompt-task"
"""What the runner that comes with the install is called here."""

VERSIONED = {"REATTEMPTING": "EXECUTING", "FROZEN": "WAITING", "INTERRUPTED": "FAILED"}
"""The newer word of each older one that callers of the newer version do not know."""
FILTERS: dict[str, Sequence[Status]] = {
    "PENDING_VERSION": [Status.UNSERVED],
    "WAITING_FOR_DEPLOY": [Status.UNSERVED],
    "DELAYED": [Status.DELAYED],
    "QUEUED": [Status.QUEUED],
    "DEQUEUED": [Status.DEQUEUED],
    "EXECUTING": [Status.EXECUTING, Status.DEQUEUED],
    "REATTEMPTING": [Status.REATTEMPTING],
    "FROZEN": [Status.FROZEN],
    "WAITING": [Status.FROZEN],
    "COMPLETED": [Status.COMPLETED],
    "CANCELED": [Status.CANCELED],
    "FAILED": [Status.FAILED],
    "CRASHED": [Status.CRASHED],
    "INTERRUPTED": [Status.INTERRUPTED],
    "SYSTEM_FAILURE": [Status.SYSTEM_FAILURE],
    "EXPIRED": [Status.EXPIRED],
    "TIMED_OUT": [Status.TIMED_OUT],
}
"""What a word of either vocabulary asks for in a filter, told without a version."""
_VERSIONED_FILTERS: dict[str, Sequence[Status]] = {
    "EXECUTING": [Status.EXECUTING, Status.REATTEMPTING],
    "FAILED": [Status.FAILED, Status.INTERRUPTED],
}

_QUEUED = {"QUEUED", "DELAYED", "PENDING_VERSION"}
_EXECUTING = {"EXECUTING", "DEQUEUED", "REATTEMPTING", "FROZEN"}
_COMPLETED = {"COMPLETED", "CANCELED", "FAILED", "CRASHED", "INTERRUPTED", "SYSTEM_FAILURE"}
_ATTEMPTS = {"succeeded": "COMPLETED", "failed": "FAILED", "lost": "FAILED", "cancelled": "CANCELED"}


def status_word(status: Status, *, versioned: bool = False) -> str:
    """What a status is called."""
    word = _word(status)
    if versioned:
        return "DEQUEUED" if status is Status.DEQUEUED else VERSIONED.get(word, word)
    return word


def _word(status: Status) -> str:
    match status:
        case Status.UNSERVED:
            return "PENDING_VERSION"
        case Status.DELAYED:
            return "DELAYED"
        case Status.QUEUED:
            return "QUEUED"
        case Status.DEQUEUED | Status.EXECUTING:
            return "EXECUTING"
        case Status.REATTEMPTING:
            return "REATTEMPTING"
        case Status.FROZEN:
            return "FROZEN"
        case Status.COMPLETED:
            return "COMPLETED"
        case Status.CANCELED:
            return "CANCELED"
        case Status.FAILED:
            return "FAILED"
        case Status.CRASHED:
            return "CRASHED"
        case Status.INTERRUPTED:
            return "INTERRUPTED"
        case Status.SYSTEM_FAILURE:
            return "SYSTEM_FAILURE"
        case Status.EXPIRED:
            return "EXPIRED"
        case Status.TIMED_OUT:
            return "TIMED_OUT"
        case _:
            assert_never(status)


def statuses_of(words: Sequence[str], *, versioned: bool) -> list[Status]:
    """What a filter by words asks for. Raises KeyError for a word of neither vocabulary."""
    found: dict[Status, None] = {}
    for word in words:
        statuses = _VERSIONED_FILTERS.get(word) if versioned else None
        found |= dict.fromkeys(FILTERS[word] if statuses is None else statuses)
    return list(found)


def flags_of(word: str) -> dict[str, bool]:
    """The seven booleans that go with a status as it is called."""
    completed, success = word in _COMPLETED, word == "COMPLETED"
    return {
        "isQueued": word in _QUEUED,
        "isExecuting": word in _EXECUTING,
        "isWaiting": word == "WAITING",
        "isCompleted": completed,
        "isSuccess": success,
        "isFailed": completed and not success,
        "isCancelled": word == "CANCELED",
    }


def attempt_word(state: str, *, begun: bool, waits: bool) -> str:
    """What the state of an attempt is called. begun: it has done something; waits: for what the run has started."""
    if state == "running":
        return "PAUSED" if waits else "EXECUTING" if begun else "PENDING"
    return _ATTEMPTS[state]


def identifier_word(identifier: str) -> str:
    """What a runner is called here."""
    return RUNS if identifier == RUNNER else identifier


def read_identifier(word: str) -> str:
    """The runner of a name here."""
    return RUNNER if word == RUNS else word
