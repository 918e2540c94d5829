"""Conditions on an input: whether what comes after a task is to be done."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mediamill.core import formats
from mediamill.core.described import animated, container, described, orientation
from mediamill.core.errors import Invalid

OPERATORS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "contains", "exists")
_ORDERED = frozenset({"gt", "gte", "lt", "lte"})
METADATA = "metadata."
_IGNORED = "media."
_WRITTEN = re.compile(r"[+-]?(?:[0-9]{1,300}(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_FACTS = {"sample_rate": "sample_rate_hz", "rotation": "rotation_deg", "transparency": "has_alpha"}
"""What callers know a fact by. Every fact of a probe can also be asked for under its own name."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One thing that must hold. prop: "width", "kind", …, or "metadata.<key>"."""

    prop: str
    operator: str = "eq"
    value: Any = None


def check(conditions: Sequence[Condition]) -> None:
    """Raises Invalid for what can never be answered."""
    for n, condition in enumerate(conditions):
        where = f"conditions.{n}"
        value = condition.value
        if not _key(condition.prop):
            raise Invalid(f"{where}.prop", "must name a property of the input, or metadata.<key>.")
        if condition.operator not in OPERATORS:
            raise Invalid(f"{where}.operator", f"must be one of {', '.join(OPERATORS)}.")
        if condition.operator in _ORDERED and _number(value) is None:
            raise Invalid(f"{where}.value", f"must be a number for {condition.operator}.")
        if condition.operator == "in" and not isinstance(value, list | tuple):
            raise Invalid(f"{where}.value", "must be a list for in.")
        if condition.operator == "exists" and not (value is None or isinstance(value, bool)):
            raise Invalid(f"{where}.value", "must be true or false for exists.")
        if condition.operator in ("eq", "ne", "contains") and isinstance(value, Mapping | list | tuple):
            raise Invalid(f"{where}.value", f"must be text, a number, true, false or null for {condition.operator}.")


def properties(
    *,
    mime: str,
    filename: str,
    size_bytes: int,
    facts: Mapping[str, Any],
    metadata: Mapping[str, Any],
    url: str | None = None,
) -> dict[str, Any]:
    """What conditions can ask of a file and of the caller's metadata (under "metadata.<key>"). url: where it was read.

    What an object holds is also there by its path: codecs.video.name.
    """
    shown = described(mime=mime, size_bytes=size_bytes, facts=facts)
    codecs = shown["codecs"] or {}
    stream = codecs.get("video") or codecs.get("audio") or {}
    found: dict[str, Any] = dict(facts) | {name: facts.get(fact) for name, fact in _FACTS.items()} | shown
    found |= {
        "kind": formats.family(mime),
        "type": mime,
        "url": url,
        "filename": filename,
        "fps": shown["framerate"],
        "codec": stream.get("name"),
        "container": container(mime),
        "orientation": orientation(shown["width"], shown["height"]),
        "animated": animated(mime, facts),
    }
    return found | _paths("codecs.", codecs) | none(metadata)


def none(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """As `properties`, where there is no file."""
    return _paths(METADATA, metadata)


def evaluate(conditions: Sequence[Condition], props: Mapping[str, Any]) -> dict[str, Any]:
    """{passed, failed, continue}: each condition with what was found for it; all must pass to go on.

    A property that is not there is null: equal to null only, in a list only with null, and neither less nor more than
    anything. Numbers are also compared with text that is one, and text with numbers, as form fields bring them.
    """
    passed: list[dict[str, Any]] = []
    failed: list[dict[str, Any]] = []
    for condition in conditions:
        found = props.get(_key(condition.prop))
        told = {"prop": condition.prop, "operator": condition.operator, "value": condition.value, "found": found}
        (passed if holds(condition.operator, found, condition.value) else failed).append(told)
    return {"passed": passed, "failed": failed, "continue": not failed}


def holds(operator: str, found: Any, value: Any) -> bool:
    """Whether what was found stands to the value as the operator says."""
    if operator == "exists":
        return (found is not None) == (value is not False)
    if operator == "eq":
        return _same(found, value)
    if operator == "ne":
        return not _same(found, value)
    if operator == "in":
        return any(_same(found, one) for one in value)
    if operator == "contains":
        if isinstance(found, Mapping):
            return any(holds("contains" if isinstance(one, Mapping) else "eq", one, value) for one in found.values())
        if isinstance(found, list | tuple):
            return any(_same(one, value) for one in found)
        return isinstance(found, str) and value is not None and _text(value) in found
    left, right = _number(found), _number(value)
    if left is None or right is None:
        return False
    return {"gt": left > right, "gte": left >= right, "lt": left < right, "lte": left <= right}[operator]


def _key(prop: str) -> str:
    key = prop.strip()
    return key.removeprefix(_IGNORED) if not key.startswith(METADATA) else key


def _paths(root: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """Every value under its path: {"a": {"b": 1}} in metadata can be asked for as metadata.a and as metadata.a.b."""
    found: dict[str, Any] = {}
    left: list[tuple[str, Any]] = [(root + str(key), value) for key, value in given.items()]
    while left:
        path, value = left.pop()
        found.setdefault(path, value)
        if isinstance(value, Mapping):
            left += [(f"{path}.{key}", inner) for key, inner in value.items()]
    return found


def _same(left: Any, right: Any) -> bool:
    if left is None or right is None:
        return left is right
    if isinstance(left, bool) or isinstance(right, bool):
        return _text(left) == _text(right)
    one, other = _number(left), _number(right)
    if one is not None and other is not None:
        return one == other
    if isinstance(left, str | int | float) and isinstance(right, str | int | float):
        return _text(left) == _text(right)
    return bool(left == right)


def _number(value: Any) -> int | float | None:
    """The number a value is, or is written as; true and false are none. Whole ones stay exact, however large."""
    if isinstance(value, bool):
        return None
    if isinstance(value, str):
        if not _WRITTEN.fullmatch(value.strip()):
            return None
        value = int(value) if value.strip("+- ").isdecimal() else float(value)
    if not isinstance(value, int | float):
        return None
    return value if value - value == 0 else None  # nan and infinity compare with nothing


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
