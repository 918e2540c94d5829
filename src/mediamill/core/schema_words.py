"""What msgspec says is wrong with a value: where it is, and why in words for callers."""

from __future__ import annotations

import re

_TYPES = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "array": "a list",
    "object": "an object",
    "datetime": "a date and time",
}
_PARTS = {"str": "character", "array": "item", "object": "entry"}
_BOUNDS = {">=": "at least ", "<=": "at most ", ">": "more than ", "<": "less than ", "": ""}
_EXPECTED = re.compile(
    r"Expected `(?P<types>[^`]+)`"
    r"(?: of length (?P<length>[<>]?=?) ?(?P<count>\d+)| (?P<bound>[<>]=?) (?P<number>\S+)"
    r"| matching regex '(?P<like>.*)')?"
    r"(?:, got `?(?P<got>[^`]+)`?)?"
)
_INSTANT = "Invalid RFC3339 encoded datetime"


def read(message: str) -> tuple[str, str]:
    """A dotted path, "" for the whole, and the reason: "Expected `int` <= 100 - at `$.size.width`" is ("size.width",
    "must be a whole number of at most 100")."""
    reason, _, path = message.partition(" - at `")
    field = path.rstrip("`").removeprefix("$").replace("[", ".").replace("]", "").strip(".")
    for known, said in (("unknown field `", "is not known"), ("missing required field `", "is required")):
        if known in reason:
            return f"{field}.{reason.split('`')[1]}".lstrip("."), said
    return field, _said(reason)


def _said(reason: str) -> str:
    if reason == _INSTANT:
        return "must be a date and time as RFC 3339 has them"
    if reason.startswith("Invalid enum value "):
        return f"may not be {reason.removeprefix('Invalid enum value ')}"
    found = _EXPECTED.fullmatch(reason)
    if found is None:
        return reason
    types = found["types"].split(" | ")
    words = "must be " + " or ".join(_TYPES.get(name, name) for name in types)
    if found["count"] is not None:
        part = _PARTS.get(types[0], "item")
        many = part if found["count"] == "1" else f"{part.removesuffix('y')}ies" if part.endswith("y") else f"{part}s"
        words += f" of {_BOUNDS[found['length']]}{found['count']} {many}"
    elif found["bound"] is not None:
        words += f" of {_BOUNDS[found['bound']]}{found['number'].removesuffix('.0')}"
    elif found["like"] is not None:
        words += f" that matches {found['like']}"
    got = found["got"]
    if got is None:
        return words
    return f"{words}, not {'a fraction' if got == 'float' and 'int' in types else _TYPES.get(got, got)}"
