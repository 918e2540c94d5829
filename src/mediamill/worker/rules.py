"""What holds for every task of a worker."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field

from mediamill.worker.tool import Limits


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Limits and lists that the operator's settings give."""

    limits: Limits
    max_fetch_bytes: int
    retry_first_s: float
    retry_cap_s: float
    light: Set[str] = frozenset()
    """Kinds of which many are done at one go."""
    lifetime_s: Mapping[str, float | None] = field(default_factory=dict)
    """By dialect; None: kept until deleted."""
