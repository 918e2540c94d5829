"""A run of a prompt in words: its name, its numbers, and each step as the page shows it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mediamill.core.prompts import PromptRun, status
from mediamill.core.steps import Step
from mediamill.core.tasks import Task

MOST_SHOWN = 20_000
"""Letters of one value on the page; the API has all of it."""
_GIST = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One message of the conversation before the first answer."""

    role: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A function that a model's answer asks for."""

    name: str
    gist: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A step as the page shows it. `text`: what the model said so far; `given`, `result`: of a function, as JSON."""

    step: Step
    opening: Sequence[Told] = ()
    text: str = ""
    calls: Sequence[Call] = ()
    gist: str = ""
    came: str = ""
    """The beginning of what a function returned."""
    given: str = ""
    result: str = ""
    error: str = ""
    made: str | None = None
    """The task or the run that a function made."""
    took_s: float | None = None


def show(step: Step) -> Shown:
    """A step for the page. Whatever a runner of somebody else's wrote is shown as JSON."""
    took_s = (step.finished_at - step.started_at).total_seconds() if step.finished_at else None
    error = _error(step)
    if step.kind == "model":
        said = step.result if isinstance(step.result, Mapping) else {}
        text = said.get("content")
        rest = "" if step.result is None or isinstance(text, str) or error else json_of(step.result)
        return Shown(
            step=step,
            opening=_opening(step.request),
            text=cut(text) if isinstance(text, str) else "",
            calls=[Call(name=name, gist=_short(written)) for name, written in _calls(said)],
            result=rest,
            error=error,
            took_s=took_s,
        )
    given = step.request.get("arguments", step.request)
    return Shown(
        step=step,
        gist=_line(given),
        came="" if step.result is None or error else _line(step.result),
        given=json_of(given),
        result="" if step.result is None else json_of(step.result),
        error=error,
        made=_made(step),
        took_s=took_s,
    )


def name_of(run: Task) -> str:
    """How a run's prompt begins."""
    prompt = run.options.get("prompt")
    text = prompt.strip().split("\n", 1)[0] if isinstance(prompt, str) else ""
    return text[:160] or run.origin.identifier or run.id


def tokens_of(run: PromptRun) -> tuple[int, int]:
    """(read, written), with those of attempts that were lost."""
    used = run.task.details.get("usage") or {}
    return (
        max(run.steps.prompt_tokens, int(used.get("prompt_tokens") or 0)),
        max(run.steps.completion_tokens, int(used.get("completion_tokens") or 0)),
    )


def tokens(run: Task) -> int:
    """Read and written, as the run's own record has it."""
    return int((run.details.get("usage") or {}).get("total_tokens") or 0)


def cents_of(run: PromptRun) -> float:
    """What it has cost."""
    return max(run.steps.cost_cents, float(run.task.details.get("cost_cents") or 0.0))


def cost(cents: float) -> str:
    """0.42 -> "0.42 ¢", 250 -> "$2.50"."""
    if cents >= 100:
        return f"${cents / 100:,.2f}"
    return "0 ¢" if cents == 0 else f"{cents:.2g} ¢" if cents < 1 else f"{cents:.1f} ¢"


def answer_of(run: Task) -> str | None:
    """What a run that is done says, as text, or as JSON where its runner returned something else."""
    output = run.details.get("output")
    if output is None:
        return None
    text = output.get("text") if isinstance(output, Mapping) else output
    return cut(text) if isinstance(text, str) else json_of(output)


def json_of(value: Any) -> str:
    """A value as JSON for reading, and never more of it than a page can hold."""
    if isinstance(value, str):
        return cut(value)
    return cut(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def cut(text: str) -> str:
    """The beginning of a text that is too long for a page."""
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}\n… {len(text) - MOST_SHOWN:,} letters more"


def _opening(request: Mapping[str, Any]) -> list[Told]:
    messages = request.get("messages")
    if not isinstance(messages, list):
        return []
    found = [message for message in messages if isinstance(message, Mapping)]
    return [
        Told(role=str(message.get("role", "")), text=json_of(message.get("content") or message.get("tool_calls") or ""))
        for message in found
    ]


def _calls(said: Mapping[str, Any]) -> list[tuple[str, str]]:
    calls = said.get("calls")
    if not isinstance(calls, list):
        return []
    return [(str(call[1]), str(call[2])) for call in calls if isinstance(call, list | tuple) and len(call) == 3]


def _error(step: Step) -> str:
    if step.state != "failed":
        return ""
    said = step.result.get("error") if isinstance(step.result, Mapping) else None
    if isinstance(said, Mapping):
        return ": ".join(str(said[name]) for name in ("name", "message") if said.get(name))
    return str(said) if said else ""


def _made(step: Step) -> str | None:
    id = step.result.get("id") if isinstance(step.result, Mapping) else None
    made = step.name in ("create_task", "run_prompt") and step.state == "done"
    return id if made and isinstance(id, str) else None


def _line(value: Any) -> str:
    return _short(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str))


def _short(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= _GIST else line[: _GIST - 1] + "…"


def standing(run: Task) -> str:
    """Its status."""
    return status(run).value


WORDS: Mapping[str, Callable[..., Any]] = {
    "prompt_name": name_of,
    "standing": standing,
    "tokens": tokens,
    "spent": tokens_of,
    "cents": cents_of,
    "cost": cost,
    "answer": answer_of,
    "json": json_of,
}
"""What templates say of runs."""
