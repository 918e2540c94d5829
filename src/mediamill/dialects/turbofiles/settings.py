"""Which settings keys there are: those of the `optimise` kind's own schema, so that nothing is listed twice."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec

from mediamill import kinds

Known = Mapping[str, "Known | None"]


def split(settings: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """(the settings a kind takes, the dotted names of those nobody knows)."""
    return _split(settings, known(), "")


@cache
def known() -> Known:
    """Every key; an object's value holds its own keys, any other's is None."""
    schema = msgspec.json.schema(kinds.named("optimise").options)
    return _keys(schema, schema["$defs"])


def _keys(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Known:
    if "$ref" in schema:
        schema = defs[schema["$ref"].rsplit("/", 1)[1]]
    found: dict[str, Known | None] = {}
    for name, value in schema["properties"].items():
        found[name] = _keys(value, defs) if "$ref" in value else None
    return found


def _split(settings: Mapping[str, Any], keys: Known, root: str) -> tuple[dict[str, Any], list[str]]:
    kept: dict[str, Any] = {}
    ignored: list[str] = []
    for name, value in settings.items():
        inner = keys.get(name)
        if name not in keys:
            ignored.append(root + name)
        elif inner is not None and isinstance(value, dict):
            kept[name], more = _split(value, inner, f"{root}{name}.")
            ignored += more
        else:
            kept[name] = value
    return kept, ignored
