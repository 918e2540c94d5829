"""What went wrong in a child, as an error of ours."""

from __future__ import annotations

import signal
from typing import Any

from mediamill.core import errors
from mediamill.core.errors import BadMedia, Failed
from mediamill.worker.messages import Broke


def as_error(said: Broke, tail: str) -> Failed:
    """What a child said it ended with; `tail` when it has no last lines of its own."""
    kind: Any = getattr(errors, said.error, BadMedia)
    if not (isinstance(kind, type) and issubclass(kind, Failed)):
        kind = BadMedia
    error: Failed = kind(said.message)
    vars(error)["code"] = said.code  # a refusal found late (unsupported, unavailable) keeps its own
    error.stage = said.stage or None
    error.stderr_tail = said.stderr_tail or tail
    error.private = said.private
    return error


def signal_name(number: int) -> str:
    """As SIGKILL."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
