"""A kind's schema becomes controls, and what was filled in becomes options again."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
import pytest
from msgspec import UNSET, Meta, UnsetType

from mediamill.app.common import installed
from mediamill.core.errors import Invalid
from mediamill.dashboard.choices import Choices
from mediamill.dashboard.forms import fields_of, read_options, write_options
from mediamill.dashboard.new import Given, new_task
from mediamill.kinds import Options


class Box(msgspec.Struct, omit_defaults=True):
    width: Annotated[int, Meta(ge=1, le=9, description="In pixels.")] | UnsetType = UNSET
    height: int | UnsetType = UNSET


class Inner(msgspec.Struct):
    x: int


class Outer(Options, frozen=True, kw_only=True):
    inner: Inner | UnsetType = UNSET


class Sample(Options, frozen=True, kw_only=True):
    box: Box | UnsetType = UNSET
    speed: Annotated[float, Meta(gt=0)] = 1.5
    mode: Literal["fast", "good"] = "good"
    angle: Literal[0, 90, 180] = 0
    loud: bool = False
    colour: Annotated[str, Meta(pattern="^#[0-9a-f]{6}$", max_length=7)] | UnsetType = UNSET
    sheet: Annotated[int, Meta(ge=1)] | Annotated[str, Meta(min_length=1, max_length=20)] | UnsetType = UNSET
    parts: list[Box] = msgspec.field(default_factory=list)
    extra: dict[str, int] = msgspec.field(default_factory=dict)
    maybe: int | None = None
    name: Annotated[str, Meta(description="Needed.")]


FIELDS = fields_of(msgspec.json.schema(Sample))
BY_NAME = {field.name: field for field in FIELDS}


def test_each_type_has_its_control() -> None:
    assert {name: field.control for name, field in BY_NAME.items()} == {
        "o.name": "text",
        "o.box.width": "integer",
        "o.box.height": "integer",
        "o.speed": "number",
        "o.mode": "choice",
        "o.angle": "choice",
        "o.loud": "boolean",
        "o.colour": "text",
        "o.sheet": "text",
        "o.parts": "json",
        "o.extra": "json",
        "o.maybe": "integer",
    }


def test_required_fields_come_first_and_limits_are_kept() -> None:
    assert FIELDS[0].name == "o.name"
    assert FIELDS[0].required
    width = BY_NAME["o.box.width"]
    assert (width.least, width.most, width.description, width.label) == (1, 9, "In pixels.", "box width")
    assert BY_NAME["o.colour"].pattern == "#[0-9a-f]{6}"
    assert BY_NAME["o.mode"].default == "good"
    assert BY_NAME["o.speed"].default == "1.5"


def test_a_field_of_an_optional_structure_is_not_required() -> None:
    [field] = fields_of(msgspec.json.schema(Outer))

    assert (field.name, field.required) == ("o.inner.x", False)


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("o.box.width", "7", {"box": {"width": 7}}),
        ("o.speed", "2", {"speed": 2}),
        ("o.speed", "0.25", {"speed": 0.25}),
        ("o.mode", "fast", {"mode": "fast"}),
        ("o.angle", "90", {"angle": 90}),
        ("o.loud", "true", {"loud": True}),
        ("o.sheet", "3", {"sheet": 3}),
        ("o.sheet", "March", {"sheet": "March"}),
        ("o.name", "12", {"name": "12"}),
        ("o.parts", '[{"width": 2}]', {"parts": [{"width": 2}]}),
        ("o.name", "   ", {}),
    ],
)
def test_what_is_typed_means_a_typed_value(name: str, text: str, value: dict[str, Any]) -> None:
    assert read_options(FIELDS, {name: text}) == value


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("o.box.width", "7.5"),
        ("o.speed", "fast"),
        ("o.speed", "nan"),
        ("o.speed", "inf"),
        ("o.parts", "["),
        ("o.parts", '[{"width": NaN}]'),
        ("o.extra", '{"a": 1e400}'),
        ("o.extra", "[" * 3000),
    ],
)
def test_what_cannot_be_meant_names_its_field(name: str, text: str) -> None:
    with pytest.raises(Invalid) as caught:
        read_options(FIELDS, {name: text})

    assert caught.value.field == "options." + name.removeprefix("o.")


def test_options_survive_the_way_through_a_form() -> None:
    options = {"name": "a", "box": {"width": 3}, "loud": False, "angle": 180, "sheet": 2, "parts": [{"height": 1}]}

    assert read_options(FIELDS, write_options(options)) == options


def test_structures_that_may_be_null_are_laid_flat_too() -> None:
    schema = {
        "properties": {"sheet": {"anyOf": [{"$ref": "#/$defs/Sheet"}, {"type": "null"}], "default": None}},
        "$defs": {"Sheet": {"type": "object", "properties": {"columns": {"type": "integer"}}}},
    }

    [field] = fields_of(schema)

    assert (field.name, field.control) == ("o.sheet.columns", "integer")
    assert read_options([field], {"o.sheet.columns": "3"}) == {"sheet": {"columns": 3}}


@pytest.mark.parametrize("text", ["soon", "2026-02-30T00:00", "0001-01-01T00:00+14:00", "9999-12-31T23:59-14:00"])
def test_an_instant_that_no_clock_shows_is_refused(text: str) -> None:
    given = Given(kind="ping", files=[], urls=[], values={"not_before": text})

    with pytest.raises(Invalid) as caught:
        new_task(given, Choices(installed()))

    assert caught.value.field == "not_before"
