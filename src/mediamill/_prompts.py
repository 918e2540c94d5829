"""The part of the client that has prompts done, now or by a clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast


class PromptCalls:
    """Calls on runs of prompts and on schedules; a client sends them."""

    def _send(
        self,
        method: str,
        path: str,
        *,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        patience_s: float = 0.0,
        **content: Any,
    ) -> dict[str, Any]:
        raise TypeError("a client sends")

    def start_run(self, prompt: str, *, idempotency_key: str | None = None, **options: Any) -> dict[str, Any]:
        """Have a prompt done: model, payload, tags, metadata, delay, ttl, max_attempts and what else it can be told."""
        headers = {"Idempotency-Key": idempotency_key} if idempotency_key else {}
        body = {"prompt": prompt} | {name: value for name, value in options.items() if value is not None}
        repeatable = idempotency_key is not None
        return self._send("POST", "/mill/prompts", json=body, headers=headers, repeatable=repeatable)

    def start_runs(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        """Have several prompts done, all of them or none."""
        return self._send("POST", "/mill/prompts/batch", json={"items": [dict(item) for item in items]})

    def runs(self, **filters: Any) -> dict[str, Any]:
        """A page of runs: limit, after, before, order, status, identifier, tag, schedule_id, batch_id, is_test, since,
        until."""
        return self._send("GET", "/mill/prompts", params=query_of(filters))

    def run(self, id: str, *, wait_s: int = 0) -> dict[str, Any]:
        """One run with its attempts; with wait_s (at most 60), once it has ended or the time is up."""
        params = {"wait": wait_s} if wait_s else {}
        return self._send("GET", path_of("prompts", id), params=params, patience_s=wait_s)

    def steps(self, id: str) -> list[dict[str, Any]]:
        """What a run has done: model calls and function calls, in order."""
        return cast(list[dict[str, Any]], self._send("GET", path_of("prompts", id, "steps"))["data"])

    def cancel_run(self, id: str) -> dict[str, Any]:
        """End a run with all that it started."""
        return self._send("POST", path_of("prompts", id, "cancel"), repeatable=True)

    def replay_run(self, id: str) -> dict[str, Any]:
        """A new run that asks the same."""
        return self._send("POST", path_of("prompts", id, "replay"))

    def reschedule_run(self, id: str, delay: str) -> dict[str, Any]:
        """Put a delayed run off, or bring it forward: to a duration such as 1h30m from now, or a date."""
        return self._send("POST", path_of("prompts", id, "reschedule"), json={"delay": delay})

    def tag_run(self, id: str, *tags: str) -> dict[str, Any]:
        """Give a run more tags."""
        return self._send("POST", path_of("prompts", id, "tags"), json={"tags": list(tags)}, repeatable=True)

    def describe_run(self, id: str, metadata: Mapping[str, Any]) -> dict[str, Any]:
        """Replace a run's metadata."""
        return self._send("PUT", path_of("prompts", id, "metadata"), json={"metadata": dict(metadata)}, repeatable=True)

    def schedules(self, **filters: Any) -> dict[str, Any]:
        """A page of schedules, each with its next instants: limit, after, before, order, enabled."""
        return self._send("GET", "/mill/schedules", params=query_of(filters))

    def schedule(self, id: str) -> dict[str, Any]:
        """A schedule."""
        return self._send("GET", path_of("schedules", id))

    def create_schedule(self, cron: str, prompt: str, **given: Any) -> dict[str, Any]:
        """A prompt to start by a cron rule: timezone, title, model, overlap, missed, settings and more."""
        return self._send("POST", "/mill/schedules", json={"cron": cron, "prompt": prompt, **given})

    def change_schedule(self, id: str, **changes: Any) -> dict[str, Any]:
        """A schedule with some of it another; enabled=False pauses it."""
        return self._send("PATCH", path_of("schedules", id), json=changes, repeatable=True)

    def remove_schedule(self, id: str) -> None:
        """Forget a schedule."""
        self._send("DELETE", path_of("schedules", id))

    def run_schedule(self, id: str) -> dict[str, Any]:
        """The task that runs a schedule's prompt now."""
        return self._send("POST", path_of("schedules", id, "run"))


def path_of(*parts: str) -> str:
    """Ids come from people: one that holds a slash must not name another address."""
    from urllib.parse import quote

    return "/mill/" + "/".join(quote(part, safe="") for part in parts)


def query_of(filters: Mapping[str, Any]) -> dict[str, Any]:
    """Filters as a query: lists joined, what is not given left out."""
    return {
        name: ",".join(value) if isinstance(value, (list, tuple)) else value
        for name, value in filters.items()
        if value not in (None, (), [])
    }
