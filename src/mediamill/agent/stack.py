"""Where an error happened, safe to show and to log: no path of this machine, and no value of any variable."""

from __future__ import annotations

import traceback
from pathlib import Path

_FRAMES = 12


def stack_of(error: BaseException) -> str:
    """Where it happened, by packages and lines: nothing of where they lie on this machine."""
    lines = [f"{getattr(error, 'name', None) or type(error).__name__}: {error}"]
    for frame in reversed(traceback.extract_tb(error.__traceback__)[-_FRAMES:]):
        lines.append(f"    at {frame.name} ({_place(frame.filename)}:{frame.lineno})")
    return "\n".join(lines)


def _place(filename: str) -> str:
    parts = Path(filename).parts
    for root in ("site-packages", "mediamill"):
        if root in parts:
            at = len(parts) - 1 - parts[::-1].index(root)
            return "/".join(parts[at + (root == "site-packages") :])
    return parts[-1] if parts else "?"
