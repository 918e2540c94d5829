"""What an agent did, step by step: written before a step takes effect and again when it is over, so that a later
attempt goes on after the last finished step and repeats no effect."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
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


class Hold(StrEnum):
    """What became of a write under an attempt's fence."""

    HELD = "held"
    LOST = "lost"  # another attempt has taken over; nothing was written
    CANCELLED = "cancelled"  # a caller has asked for the end; nothing was written


@dataclass(frozen=True, slots=True, kw_only=True)
class Begin:
    """A step about to take effect. metadata: what the run says of itself from now on, laid over what it said."""

    number: int
    kind: Literal["model", "call"]
    name: str
    request: Mapping[str, Any]
    metadata: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Webhook:
    """A post that is an effect of a step: written with its end, sent as all webhooks are."""

    url: str
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class End:
    """A step that is over. details: of the task, laid over what they were."""

    number: int
    state: Literal["done", "failed"]
    result: Any
    prompt_tokens: int = 0
    completion_tokens: int = 0
    cost_cents: float = 0.0
    details: Mapping[str, Any]
    metadata: Mapping[str, Any]
    webhook: Webhook | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Some letters of a model's answer while it comes. offset: how many came before."""

    task_id: str
    number: int
    offset: int
    text: str
