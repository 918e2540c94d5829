"""A kind's options as flags: its JSON Schema in, click options out, and a command line's values back as options.

A nested object becomes flags with its name in front (`resize.width` is --resize-width); what no flag can hold, such as
a list of objects, takes JSON.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import click

Schema = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Flag:
    """One option: where its value goes in the options, and how the command line takes it."""

    path: tuple[str, ...]
    schema: Schema
    required: bool

    @property
    def parameter(self) -> str:
        return "option__" + "__".join(self.path)

    @property
    def name(self) -> str:
        return "--" + "-".join(self.path).replace("_", "-")

    def option(self, *, check_required: bool = True) -> click.Option:
        """The click option."""
        told = [self.schema.get("description"), *(one.get("description") for one in self.schema.get("anyOf", ()))]
        help = str(next((text for text in told if text), ""))
        common: dict[str, Any] = {"required": self.required and check_required, "help": help}
        if self.schema.get("type") == "boolean":
            return click.Option([f"{self.name}/--no-{self.name[2:]}", self.parameter], default=None, **common)
        if self.schema.get("type") == "array" and _is_scalar(self.schema.get("items", {})):
            kind = _type(self.schema["items"])
            return click.Option([self.name, self.parameter], type=kind, multiple=True, default=None, **common)
        return click.Option([self.name, self.parameter], type=_type(self.schema), default=None, **common)


def flags(schema: Schema) -> list[Flag]:
    """Every flag of a JSON Schema as msgspec makes it, in the order of the fields."""
    return list(_walk(schema, schema.get("$defs", {}), (), required=True))


def gather(found: list[Flag], given: Mapping[str, Any]) -> dict[str, Any]:
    """The options as JSON, from the values of a command line; what was not given stays out."""
    options: dict[str, Any] = {}
    for flag in found:
        value = given.get(flag.parameter)
        if value is None or value == ():
            continue
        inner = options
        for part in flag.path[:-1]:
            inner = inner.setdefault(part, {})
        inner[flag.path[-1]] = list(value) if isinstance(value, tuple) else value
    return options


def _walk(schema: Schema, defs: Schema, path: tuple[str, ...], *, required: bool) -> Iterator[Flag]:
    schema = _resolved(schema, defs)
    properties = schema.get("properties")
    if properties is None:
        if path:
            yield Flag(path, schema, required)
        return
    needed = schema.get("required", [])
    for name, inner in properties.items():
        yield from _walk(inner, defs, (*path, name), required=required and name in needed)


def _resolved(schema: Schema, defs: Schema) -> Schema:
    """The schema itself behind references and "or null"; what stood beside a reference (a description) is kept."""
    while "$ref" in schema:
        rest = {name: value for name, value in schema.items() if name != "$ref"}
        schema = {**defs[schema["$ref"].rpartition("/")[2]], **rest}
    choices = [choice for choice in schema.get("anyOf", []) if choice.get("type") != "null"]
    if len(choices) == 1:
        rest = {name: value for name, value in schema.items() if name != "anyOf"}
        return _resolved({**choices[0], **rest}, defs)
    return schema


def _is_scalar(schema: Schema) -> bool:
    return "enum" in schema or schema.get("type") in ("string", "integer", "number")


def _type(schema: Schema) -> click.ParamType[Any]:
    if "enum" in schema and all(isinstance(value, str) for value in schema["enum"]):
        return click.Choice(schema["enum"])
    match schema.get("type"):
        case "string":
            return click.STRING
        case "integer":
            return click.IntRange(schema.get("minimum"), schema.get("maximum"))
        case "number":
            return click.FloatRange(
                schema.get("minimum", schema.get("exclusiveMinimum")),
                schema.get("maximum", schema.get("exclusiveMaximum")),
                min_open="exclusiveMinimum" in schema,
                max_open="exclusiveMaximum" in schema,
            )
    if any(choice.get("type") == "string" for choice in schema.get("anyOf", [])):
        return _NumberOrText()
    return Json()


class Json(click.ParamType[Any]):
    """A JSON value, or @FILE that holds one."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            if value.startswith("@"):
                with open(value[1:], "rb") as file:
                    return json.load(file)
            return json.loads(value)
        except OSError as error:
            self.fail(f"{value[1:]}: {error.strerror}", param, ctx)
        except ValueError as error:
            self.fail(f"not JSON: {error}", param, ctx)


class _NumberOrText(click.ParamType[Any]):
    """Where a schema takes a whole number or a name: `--sheet 2`, `--sheet Totals`."""

    name = "number or text"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        return int(value) if isinstance(value, str) and value.isascii() and value.isdigit() else value
