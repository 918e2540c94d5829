"""A form from a kind's JSON Schema, and the options back from what was filled in.

Field names are dotted paths below `o.`: o.resize.width. What is left empty is not sent, so a kind's defaults hold.
Anything a plain control cannot hold is typed as JSON.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from mediamill.core.errors import Invalid

PREFIX = "o."
Control = Literal["integer", "number", "boolean", "choice", "text", "json"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Choice:
    """One entry of a list to choose from."""

    value: str
    label: str
    group: str = ""
    word: Any = None
    """What is meant where that is not the text itself: a number, true."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One control. `path` is its place in the options, `name` the form's name for it."""

    path: tuple[str, ...]
    control: Control
    description: str = ""
    required: bool = False
    default: str = ""
    least: float | None = None
    most: float | None = None
    longest: int | None = None
    pattern: str | None = None
    numeric: bool = False
    """A text that means a number when it looks like one."""
    choices: Sequence[Choice] = ()

    @property
    def name(self) -> str:
        return PREFIX + ".".join(self.path)

    @property
    def label(self) -> str:
        return " ".join(self.path).replace("_", " ")


def fields_of(schema: Mapping[str, Any]) -> list[Field]:
    """The controls of a schema, required ones first, else in its order; structures within it are laid flat."""
    defs: Mapping[str, Any] = schema.get("$defs", {})
    found = list(_properties(_resolved(schema, defs), defs, (), True))
    return sorted(found, key=lambda field: not field.required)


def read_options(fields: Sequence[Field], given: Mapping[str, str]) -> dict[str, Any]:
    """The options that a filled-in form means. Raises Invalid with the field's dotted path."""
    options: dict[str, Any] = {}
    for field in fields:
        text = given.get(field.name, "").strip()
        if not text:
            continue
        place = options
        for part in field.path[:-1]:
            place = place.setdefault(part, {})
        place[field.path[-1]] = _value(field, text)
    return options


def write_options(options: Mapping[str, Any], path: tuple[str, ...] = ()) -> dict[str, str]:
    """Options as a form's values: for asking the same again with changes."""
    found: dict[str, str] = {}
    for name, value in options.items():
        here = (*path, name)
        if isinstance(value, Mapping):
            found |= write_options(value, here)
        elif isinstance(value, str):
            found[PREFIX + ".".join(here)] = value
        else:
            found[PREFIX + ".".join(here)] = json.dumps(value)
    return found


def _properties(
    schema: Mapping[str, Any], defs: Mapping[str, Any], path: tuple[str, ...], needed: bool
) -> Iterator[Field]:
    required = set(schema.get("required", ())) if needed else set()
    for name, raw in schema.get("properties", {}).items():
        inner = _resolved(raw, defs)
        here = (*path, name)
        if inner.get("type") == "object" and inner.get("properties"):
            yield from _properties(inner, defs, here, name in required)
        else:
            yield _field(here, inner, defs, name in required)


def _field(path: tuple[str, ...], schema: Mapping[str, Any], defs: Mapping[str, Any], required: bool) -> Field:
    branches = [_resolved(branch, defs) for branch in schema.get("anyOf", ())]
    branches = [branch for branch in branches if branch.get("type") != "null"] or [schema]
    first = branches[0]
    description = schema.get("description") or next((b["description"] for b in branches if "description" in b), "")
    default = schema.get("default")
    common: dict[str, Any] = {
        "path": path,
        "description": description,
        "required": required,
        "default": "" if default is None else default if isinstance(default, str) else json.dumps(default),
    }
    words = [word for branch in branches for word in _words(branch)]
    if words and all(_words(branch) for branch in branches):
        choices = [
            Choice(value=w, label=w) if isinstance(w, str) else Choice(value=json.dumps(w), label=json.dumps(w), word=w)
            for w in words
        ]
        return Field(control="choice", choices=choices, **common)
    types = {branch.get("type") for branch in branches}
    if types <= {"integer", "number"}:
        control: Control = "integer" if types == {"integer"} else "number"
        least, most = first.get("minimum", first.get("exclusiveMinimum")), first.get("maximum")
        return Field(
            control=control, least=least, most=most if most is not None else first.get("exclusiveMaximum"), **common
        )
    if types == {"boolean"}:
        return Field(control="boolean", **common)
    if types <= {"string", "integer", "number"}:
        text = next(branch for branch in branches if branch.get("type") == "string")
        alone = len(types) == 1
        return Field(
            control="text",
            longest=text.get("maxLength"),
            pattern=_anchored(text.get("pattern")) if alone else None,
            numeric=not alone,
            **common,
        )
    return Field(control="json", **common)


def _anchored(pattern: str | None) -> str | None:
    """A schema's pattern as HTML wants it: always of the whole value there, anywhere in it here."""
    if pattern is None:
        return None
    head = "" if pattern.startswith("^") else ".*"
    tail = "" if pattern.endswith("$") else ".*"
    return head + pattern.removeprefix("^").removesuffix("$") + tail


def _words(schema: Mapping[str, Any]) -> list[Any]:
    return [schema["const"]] if "const" in schema else list(schema.get("enum", ()))


def _resolved(schema: Mapping[str, Any], defs: Mapping[str, Any]) -> Mapping[str, Any]:
    while "$ref" in schema:
        target = defs[schema["$ref"].rsplit("/", 1)[1]]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    choices = [choice for choice in schema.get("anyOf", ()) if choice.get("type") != "null"]
    if len(choices) == 1:  # "or null" is what an empty control means
        rest = {key: value for key, value in schema.items() if key != "anyOf"}
        return _resolved({**choices[0], **rest}, defs)
    return schema


def _value(field: Field, text: str) -> Any:
    where = "options." + ".".join(field.path)
    try:
        if field.control == "integer":
            return int(text)
        if field.control == "number":
            return _number(text)
        if field.control in ("boolean", "json"):
            return msgspec.json.decode(text)  # it takes neither NaN nor numbers without bounds
    except (ValueError, RecursionError):
        wanted = {"integer": "a whole number", "number": "a number", "boolean": "true or false"}
        raise Invalid(where, f"must be {wanted.get(field.control, 'JSON')}.") from None
    if field.control == "choice":
        return next((c.word for c in field.choices if c.value == text and c.word is not None), text)
    if field.numeric and text.isascii() and text.isdigit():
        return int(text)
    return text


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(text)
    return int(value) if value.is_integer() else value
