"""What a project used, and how somebody gets one by himself."""

from __future__ import annotations

from dataclasses import dataclass

CODE_DIGITS = 6
CODE_S = 15 * 60.0
"""How long a code is good for."""
MOST_TRIES = 5
"""Wrong codes after which a signup is over."""
MOST_WRONG = 50
"""Codes tried within that time, for all signups together: who signs up a thousand times may not guess as often."""
MOST_WAITING = 1000
"""Signups that may wait for their code at once."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Used:
    """Of a span of time: tasks made, renders completed, the seconds of film that these came to, and bytes served."""

    tasks: int
    renders: int
    render_s: float
    egress_bytes: int
