"""What a runner is given, and what it gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypedDict

from mediamill.core.ids import ProjectId

if TYPE_CHECKING:
    from mediamill.agent.calls import Calls
    from mediamill.agent.journal import Journal, Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """The language model that the operator has set up."""

    base_url: str | None
    api_key: str | None = field(repr=False)
    model: str | None
    timeout_s: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Context:
    """One run. `journal` does steps so that none is done twice; `calls` is what a model may do on this server.

    model: the run's own, to be passed on unchanged; None: the endpoint's. zone: of the schedule, UTC without one.
    """

    task_id: str
    project_id: ProjectId
    prompt: str
    model: str | None
    payload: Any
    zone: str
    account_id: str
    artist_id: str | None
    endpoint: Endpoint
    limits: Limits
    journal: Journal
    calls: Calls
    log: Callable[[str], None]
    """A line for whoever follows the run."""


class Done(TypedDict):
    """What a runner returns. usage: prompt_tokens, completion_tokens, total_tokens; cost: in cents."""

    output: Any
    usage: Mapping[str, int]
    cost: float
