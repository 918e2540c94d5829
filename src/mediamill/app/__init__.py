"""Builds and wires everything: the one place that sees every room."""

from __future__ import annotations

import sys
from collections.abc import Callable
from importlib import import_module
from typing import TYPE_CHECKING, Any

from mediamill.app._lean import bare_package

if "structlog" not in sys.modules:
    # It loads rich where there is one, to draw tracebacks as nobody here has them drawn: 5 MB in each process.
    sys.modules["rich"] = None  # type: ignore[assignment]  # what the import system takes for "there is none"
    import structlog  # noqa: F401

    del sys.modules["rich"]

# Its package imports its command line, its schedulers and its twin in memory: 2 MB in each process.
bare_package("pgqueuer")

if TYPE_CHECKING:
    from mediamill.app.asgi import api
    from mediamill.app.common import installed, migrate
    from mediamill.app.server import first_key, serve
    from mediamill.app.worker import work

__all__ = ["api", "first_key", "installed", "migrate", "serve", "work"]

_HOMES = {"api": "asgi", "installed": "common", "migrate": "common", "first_key": "server", "serve": "server"}


def __getattr__(name: str) -> Callable[..., Any]:
    # Late, so that a worker never loads the web framework, and the server nothing of the worker's.
    if name in __all__:
        found: Callable[..., Any] = getattr(import_module(f"{__name__}.{_HOMES.get(name, 'worker')}"), name)
        return found
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
