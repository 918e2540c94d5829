"""Reading a timeline request by its tables: every value checked, every default filled in, unknown keys left out."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

from mediamill.core._composition_fields import MAX_URL, Field, Fields
from mediamill.core.errors import Invalid

_COLOUR = re.compile(r"#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?")
_NUMBER = r"[+-]?(?:[0-9]{1,9}(?:\.[0-9]{0,9})?|\.[0-9]{1,9})"
_LENGTH = re.compile(rf"({_NUMBER})\s*(px|%)?")
_ANGLE = re.compile(rf"({_NUMBER})\s*(deg|°|rad)?")
_URL = re.compile(r"(?:https?://[^\s/]|s3://[^\s/]|file:[A-Za-z0-9_-])\S*", re.I)
_MOST = 1e9
"""No number of a scene is larger: pixels, seconds and percentages all end long before."""


def read(fields: Fields, given: Any, path: str) -> dict[str, Any]:
    """The object with every field of its table. Raises Invalid with the dotted path of what is wrong."""
    if not isinstance(given, Mapping):
        raise Invalid(path, "must be an object.")
    found: dict[str, Any] = {}
    for name, field in fields.items():
        at = f"{path}.{name}" if path else name
        if name not in given:
            if field.required:
                raise Invalid(at, "is required.")
            found[name] = (
                [] if field.shape == "list" else dict(field.default) if field.shape == "strings" else field.default
            )
        elif given[name] is None:
            if not field.nullable:
                raise Invalid(at, "must not be null.")
            found[name] = None
        else:
            found[name] = _value(field, given[name], at)
    return found


def _value(field: Field, given: Any, at: str) -> Any:
    match field.shape:
        case "number":
            return _number(field, given, at)
        case "integer":
            value = _number(field, given, at)
            if value != int(value):
                raise Invalid(at, "must be a whole number.")
            return int(value)
        case "boolean":
            if not isinstance(given, bool):
                raise Invalid(at, "must be true or false.")
            return given
        case "text":
            return _text(field, given, at)
        case "choice":
            if given not in field.choices or not isinstance(given, str):
                raise Invalid(at, f"must be one of {', '.join(field.choices)}.")
            return given
        case "colour":
            if not isinstance(given, str) or not _COLOUR.fullmatch(given):
                raise Invalid(at, "must be a colour as #RRGGBB or #RRGGBBAA.")
            return given
        case "length" | "angle":
            return _measure(field, given, at)
        case "url":
            if not isinstance(given, str) or not 1 <= len(given) <= MAX_URL or not _URL.fullmatch(given):
                raise Invalid(at, f"must be an absolute http or https URL of at most {MAX_URL} characters.")
            return given
        case "strings":
            if not isinstance(given, Mapping) or not all(
                isinstance(key, str) and isinstance(value, str) for key, value in given.items()
            ):
                raise Invalid(at, "must map strings to strings.")
            return dict(given)
        case "object":
            return read(field.inner or {}, given, at)
        case "list":
            return _list(field, given, at)


def _number(field: Field, given: Any, at: str) -> float:
    if isinstance(given, bool) or not isinstance(given, int | float):
        raise Invalid(at, "must be a number.")
    if isinstance(given, float) and not math.isfinite(given):
        raise Invalid(at, "must be a finite number.")
    if abs(given) > _MOST:
        raise Invalid(at, "is out of all proportion.")
    if field.low is not None and field.high is not None and not field.low <= given <= field.high:
        raise Invalid(at, f"must be between {field.low:g} and {field.high:g}.")
    if field.low is not None and given < field.low:
        raise Invalid(at, f"must be {field.low:g} or more.")
    if field.above is not None and given <= field.above:
        raise Invalid(at, f"must be greater than {field.above:g}.")
    if field.high is not None and given > field.high:
        raise Invalid(at, f"must be {field.high:g} or less.")
    return given


def _text(field: Field, given: Any, at: str) -> str:
    if not isinstance(given, str):
        raise Invalid(at, "must be a string.")
    if len(given) < field.at_least:
        raise Invalid(at, "must not be empty.")
    if field.at_most is not None and len(given) > field.at_most:
        raise Invalid(at, f"must have at most {field.at_most} characters.")
    if "\0" in given or any("\ud800" <= letter <= "\udfff" for letter in given):
        raise Invalid(at, "has characters that are no text.")
    return given


def _measure(field: Field, given: Any, at: str) -> int | float | str:
    angle = field.shape == "angle"
    if isinstance(given, str):
        if not (_ANGLE if angle else _LENGTH).fullmatch(given.strip()):
            raise Invalid(
                at, "must be degrees, or as 45deg or 0.5rad." if angle else "must be pixels, or as 12px or 50%."
            )
        return given.strip()
    return _number(field, given, at)


def _list(field: Field, given: Any, at: str) -> list[dict[str, Any]]:
    if not isinstance(given, list | tuple):
        raise Invalid(at, "must be a list.")
    if len(given) < field.at_least:
        raise Invalid(at, "must not be empty.")
    if field.at_most is not None and len(given) > field.at_most:
        raise Invalid(at, f"must have at most {field.at_most} entries.")
    return [read(field.inner or {}, one, f"{at}.{number}") for number, one in enumerate(given)]


def length(value: float | str, of_px: float) -> float:
    """Pixels of a length on an axis of that many."""
    if not isinstance(value, str):
        return float(value)
    found = _LENGTH.fullmatch(value)
    assert found is not None
    number = float(found[1])
    return of_px * number / 100 if found[2] == "%" else number


def factor(value: float | str) -> float:
    """A scale: "150%" is 1.5, and so is 150, as a bare number of a scale is percent too."""
    return length(value, 1) if isinstance(value, str) and value.endswith("%") else length(value, 1) / 100


def degrees(value: float | str) -> float:
    """An angle in degrees."""
    if not isinstance(value, str):
        return float(value)
    found = _ANGLE.fullmatch(value)
    assert found is not None
    number = float(found[1])
    return math.degrees(number) if found[2] == "rad" else number


def colour(value: str) -> tuple[int, int, int, int]:
    """Red, green, blue and alpha of #RRGGBB or #RRGGBBAA."""
    parts = bytes.fromhex(value[1:])
    return parts[0], parts[1], parts[2], parts[3] if len(parts) == 4 else 255
