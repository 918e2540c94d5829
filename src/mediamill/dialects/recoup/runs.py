"""A run as it is shown: whole with nulls on /api/tasks, without what is unset where Trigger.dev's clients read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

from mediamill import __version__
from mediamill.core.prompts import STAGE_WAITS, PromptRun, Said, Status, status
from mediamill.core.tasks import Attempt, Failure, Task
from mediamill.cron import describe
from mediamill.dialects.recoup import ids
from mediamill.dialects.recoup.words import attempt_word, flags_of, identifier_word, status_word

Json = dict[str, Any]

ENV_ID, ENV_NAME = "env_local", "prod"
_UNITS = ((604800, "w"), (86400, "d"), (3600, "h"), (60, "m"), (1, "s"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """Whose runs they are: what every one of them is tagged with."""

    account_id: str

    @property
    def tag(self) -> str:
        """The tag that finds an account's runs."""
        return f"account:{self.account_id}"


def instant(at: datetime | None) -> str | None:
    """RFC 3339 in UTC with milliseconds, or None."""
    if at is None:
        return None
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z"


def said_of(task: Task) -> Said:
    """What was given with it, to be said again."""
    return cast(Said, task.extra.get("prompt") or {})


def common(task: Task, owner: Owner | None, *, versioned: bool = False) -> Json:
    """What a run says of itself wherever it is shown. owner: None leaves its tags as they are stored."""
    said, stands = said_of(task), status(task)
    word = status_word(stands, versioned=versioned)
    given = said.get("delayed_until")
    details = task.details
    return {
        "id": ids.run(task.id),
        "status": word,
        "taskIdentifier": identifier_word(task.origin.identifier or task.kind),
        "createdAt": instant(task.created_at),
        "updatedAt": instant(task.updated_at),
        "startedAt": instant(task.started_at),
        "finishedAt": instant(task.finished_at),
        "delayedUntil": instant(datetime.fromisoformat(given)) if given else None,
        "expiredAt": instant(task.finished_at) if stands is Status.EXPIRED else None,
        "idempotencyKey": said.get("idempotency_key"),
        "version": __version__ if task.started_at is not None else None,
        "isTest": bool(said.get("is_test")),
        "ttl": said.get("ttl") if said.get("ttl") is not None else _seconds(task.origin.ttl_s),
        "tags": _tags(task, owner),
        "metadata": dict(task.metadata) if task.metadata is not None else None,
        "costInCents": details.get("cost_cents") or 0,
        "baseCostInCents": 0,
        "durationMs": round(details.get("duration_ms") or 0),
        "env": {"id": ENV_ID, "name": ENV_NAME, "user": None},
        "depth": task.origin.depth,
        **flags_of(word),
        "taskKind": "SCHEDULED" if task.origin.due_at is not None else "STANDARD",
    }


def related(task: Task, owner: Owner, *, versioned: bool = False) -> Json:
    """A run beside another: without payload, output, attempts."""
    return {
        **common(task, owner, versioned=versioned),
        "batchId": ids.batch(task.origin.batch_id) if task.origin.batch_id else None,
        "triggerFunction": said_of(task).get("function", "trigger"),
    }


def whole(run: PromptRun, owner: Owner, *, versioned: bool = False) -> Json:
    """All of a run."""
    task = run.task
    said, stands = said_of(task), status(task)
    relatives: Json = {}
    if run.root is not None and run.root.id != task.id:
        relatives["root"] = related(run.root, owner, versioned=versioned)
    if run.parent is not None:
        relatives["parent"] = related(run.parent, owner, versioned=versioned)
    relatives["children"] = [related(child, owner, versioned=versioned) for child in run.children]
    attempts = [] if stands is Status.EXPIRED else [_attempt(task, one, stands) for one in task.attempts]
    found = related(task, owner, versioned=versioned)
    if not task.state.final:  # its own record follows at the end of each attempt
        found["costInCents"] = max(found["costInCents"], run.steps.cost_cents)
    return {
        **found,
        "payload": said.get("payload"),
        "output": task.details.get("output") if stands is Status.COMPLETED else None,
        "error": error(task.error),
        "attempts": attempts,
        "attemptCount": len(attempts),
        # One that somebody started by hand has none, also where it is a task's.
        "schedule": _schedule(said.get("schedule")) if task.origin.due_at is not None else None,
        "relatedRuns": relatives,
    }


def error(failure: Failure | None) -> Json | None:
    """Why it failed."""
    if failure is None:
        return None
    return {"message": failure.message, "name": failure.name or _name(failure.code), "stackTrace": failure.stack or ""}


def bare(run: Json) -> Json:
    """A run as Trigger.dev's clients read it: they take null for a date, or not at all. Its ttl is text there."""
    found = {name: value for name, value in run.items() if value is not None}
    if "payload" in run and run["payload"] is not None:
        found["payload"] = run["payload"]
    found["env"] = {name: value for name, value in run["env"].items() if value is not None}
    if isinstance(found.get("ttl"), int | float):
        found["ttl"] = duration(found["ttl"])
    if "schedule" in found:
        found["schedule"] = {name: value for name, value in found["schedule"].items() if value is not None}
    for one in found.get("attempts", ()):
        for name in [name for name, value in one.items() if value is None]:
            del one[name]
    if "relatedRuns" in found:
        found["relatedRuns"] = {
            name: [bare(one) for one in value] if isinstance(value, list) else bare(value)
            for name, value in found["relatedRuns"].items()
        }
    return found


def duration(seconds: float) -> str:
    """Seconds as `1h30m`."""
    left, found = round(seconds), ""
    for each, unit in _UNITS:
        count, left = divmod(left, each)
        found += f"{count}{unit}" if count else ""
    return found or "0s"


def _attempt(task: Task, one: Attempt, stands: Status) -> Json:
    waits = stands is Status.FROZEN or one.stage == STAGE_WAITS
    word = attempt_word(one.state, begun=stands is not Status.DEQUEUED, waits=waits)
    return {
        "id": ids.attempt(task.id, one.number),
        "status": word,
        "createdAt": instant(one.started_at),
        "updatedAt": instant(one.finished_at or max(one.started_at, task.updated_at)),
        "startedAt": instant(one.started_at) if word != "PENDING" else None,
        "completedAt": instant(one.finished_at),
        "error": error(one.error) if one.state in ("failed", "lost") else None,
    }


def _tags(task: Task, owner: Owner | None) -> list[str]:
    tags = list(task.origin.tags)
    return tags if owner is None or owner.tag in tags else [owner.tag, *tags]


def _seconds(ttl_s: float | None) -> str | None:
    return None if ttl_s is None else duration(ttl_s)


def _name(code: str) -> str:
    """A class-like name of an error that has only a code."""
    return "".join(part.capitalize() for part in code.split("_")) or "Error"


def _schedule(given: Mapping[str, Any] | None) -> Json | None:
    if not given or not given.get("token"):
        return None
    return {
        "id": given["token"],
        "externalId": given.get("external_id"),
        "deduplicationKey": given.get("dedup_key"),
        "generator": {"type": "CRON", "expression": given["cron"], "description": describe(given["cron"])},
    }
