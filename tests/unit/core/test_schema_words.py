"""Every kind of thing that msgspec finds wrong, in words for callers."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import Meta, Struct, field

from mediamill.core import schema_words


class Inner(Struct, forbid_unknown_fields=True):
    width: Annotated[int, Meta(ge=1, le=100)]


class Shape(Struct, forbid_unknown_fields=True):
    number: Annotated[float, Meta(gt=0, lt=5)] = 1
    text: Annotated[str, Meta(min_length=2, max_length=3)] = "aa"
    like: Annotated[str, Meta(pattern="^a$")] = "a"
    items: Annotated[list[int], Meta(min_length=1)] = field(default_factory=list)
    pair: tuple[int, int] = (1, 2)
    entries: Annotated[dict[str, int], Meta(max_length=2)] = field(default_factory=dict)
    word: Literal["a", "b"] = "a"
    either: int | list[int] | None = None
    yes: bool = True
    at: datetime | None = None
    inner: Inner | None = None


@pytest.mark.parametrize(
    ("given", "place", "reason"),
    [
        ({"inner": {"width": 101}}, "inner.width", "must be a whole number of at most 100"),
        ({"inner": {"width": 0}}, "inner.width", "must be a whole number of at least 1"),
        ({"inner": {"width": 1.5}}, "inner.width", "must be a whole number, not a fraction"),
        ({"inner": {}}, "inner.width", "is required"),
        ({"inner": {"width": 1, "colour": 2}}, "inner.colour", "is not known"),
        ({"colour": 2}, "colour", "is not known"),
        ({"number": 0}, "number", "must be a number of more than 0"),
        ({"number": 5}, "number", "must be a number of less than 5"),
        ({"number": "1"}, "number", "must be a number, not text"),
        ({"text": "a"}, "text", "must be text of at least 2 characters"),
        ({"text": "aaaa"}, "text", "must be text of at most 3 characters"),
        ({"like": "b"}, "like", "must be text that matches ^a$"),
        ({"items": []}, "items", "must be a list of at least 1 item"),
        ({"items": [1, "a"]}, "items.1", "must be a whole number, not text"),
        ({"pair": [1]}, "pair", "must be a list of 2 items, not 1"),
        ({"entries": {"a": 1, "b": 2, "c": 3}}, "entries", "must be an object of at most 2 entries"),
        ({"entries": {"a": "b"}}, "entries", "must be a whole number, not text"),
        ({"word": "c"}, "word", "may not be 'c'"),
        ({"either": "a"}, "either", "must be a whole number or a list or null, not text"),
        ({"yes": 1}, "yes", "must be true or false, not a whole number"),
        ({"at": "soon"}, "at", "must be a date and time as RFC 3339 has them"),
        ([], "", "must be an object, not a list"),
    ],
)
def test_what_is_wrong_is_said_in_words(given: Any, place: str, reason: str) -> None:
    with pytest.raises(msgspec.ValidationError) as caught:
        msgspec.convert(given, Shape)

    assert schema_words.read(str(caught.value)) == (place, reason)


def test_what_is_not_known_stays_as_it_is() -> None:
    assert schema_words.read("Invalid UUID - at `$.id`") == ("id", "Invalid UUID")
