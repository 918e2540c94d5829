"""Whether packages are there, without importing them."""

from __future__ import annotations

import importlib.util

from mediamill.core.ports import Missing


def lacking(*modules: str) -> Missing | None:
    """Which of the packages is not installed, or None."""
    for name in modules:
        if importlib.util.find_spec(name) is None:
            return Missing(reason=f"{name} is not installed.", remedy="Install the whole of Mediamill.")
    return None
