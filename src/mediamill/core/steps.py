"""What an agent did, step by step: written before a step takes effect and again when it is over, so that a later
attempt goes on after the last finished step and repeats no effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One model call or one function call of a run. number: from 1, in the order they were begun.

    A model call's `result` holds the answer's message, a function call's what is told to the model. A step that was
    begun and never ended belongs to an attempt that was lost: its effect, if it has one, is keyed by task and number.
    """

    task_id: str
    number: int
    attempt: int
    kind: Literal["model", "call"]
    name: str
    """The model, or the function."""
    request: Mapping[str, Any]
    state: Literal["begun", "done", "failed"]
    result: Any
    prompt_tokens: int
    completion_tokens: int
    cost_cents: float
    started_at: datetime
    finished_at: datetime | None
