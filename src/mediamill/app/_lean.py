"""Keeps out of each process what libraries load for others than us: some 10 MB over the server and its worker.

Nothing is taken away: whoever asks for a part that was left out gets it, or is told that it is not there in the way
its library expects of a part that was never installed.
"""

from __future__ import annotations

import sys
from importlib import util
from types import ModuleType
from typing import Any


def bare_package(name: str) -> None:
    """Have a package whose modules can be imported one by one, without all that its front door imports. That opens
    for the first who wants a name of the package itself."""
    if name in sys.modules:
        return
    spec = util.find_spec(name)
    if spec is None or spec.loader is None:
        return
    package, loader = util.module_from_spec(spec), spec.loader

    def wanted(attribute: str) -> Any:
        if attribute.startswith("__") or util.find_spec(f"{name}.{attribute}") is not None:
            raise AttributeError(attribute)  # a module of it: the import system fetches that by itself
        del vars(package)["__getattr__"]
        loader.exec_module(package)
        return getattr(package, attribute)

    vars(package)["__getattr__"] = wanted
    sys.modules[name] = package


def without_optional(name: str, missing: type[Exception], of: str) -> None:
    """Have an optional part of a library not be there: who wants something of it is told so by `missing`."""

    def wanted(attribute: str) -> Any:
        if attribute.startswith("__"):
            raise AttributeError(attribute)  # those who look through all modules mean no harm
        raise missing(of)

    absent = ModuleType(name)
    vars(absent)["__getattr__"] = wanted
    sys.modules.setdefault(name, absent)
