"""The options of a timeline, made from the tables of `core.compositions`: one shape for `render` and for `preview`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated, Any, Literal, Union

import msgspec
from msgspec import Meta

from mediamill.core import compositions, formats, looks
from mediamill.core._composition_fields import MAX_URL
from mediamill.core.compositions import Composition, Compositor, Field, Fields, Material, Render
from mediamill.core.errors import BadMedia, Invalid
from mediamill.core.matting import Masks, Matter
from mediamill.core.ports import Conversion, Missing
from mediamill.core.tasks import Source
from mediamill.kinds import Context, Input, Options

_ANNOTATED: Any = Annotated
_LITERAL: Any = Literal
_TUPLE: Any = tuple
_UNION: Any = Union
"""Types are put together at run time here, of which a type checker wants to know nothing."""
_FILE = "file:"
_DRAWN = frozenset(
    {"image/png", "image/jpeg", "image/webp", "image/avif", "image/gif", "image/tiff", "image/bmp", "image/jp2"}
)
"""Pictures that are read as they are; others are brought to PNG by the converter of their type."""


def _type(name: str, field: Field) -> Any:
    """The type of one field as msgspec takes it."""
    match field.shape:
        case "number" | "integer":
            bounds = {"ge": field.low, "gt": field.above, "le": field.high}
            kept: dict[str, Any] = {key: value for key, value in bounds.items() if value is not None}
            kind: Any = _ANNOTATED[float if field.shape == "number" else int, Meta(**kept)]
        case "boolean":
            kind = bool
        case "text":
            kind = _ANNOTATED[str, Meta(min_length=field.at_least or None, max_length=field.at_most)]
        case "choice":
            kind = _LITERAL[field.choices]
        case "colour":
            kind = _ANNOTATED[str, Meta(pattern="^#[0-9a-fA-F]{6}([0-9a-fA-F]{2})?$")]
        case "length" | "angle":
            kind = float | str
        case "url":
            kind = _ANNOTATED[str, Meta(min_length=1, max_length=MAX_URL)]
        case "strings":
            kind = dict[str, str]
        case "object":
            kind = _struct(name, field.inner or {})
        case "list":
            entries = _TUPLE[_struct(name, field.inner or {}), ...]
            kind = _ANNOTATED[entries, Meta(max_length=field.at_most, min_length=field.at_least or None)]
    return kind | None if field.nullable else kind


_made: dict[int, Any] = {}


def _struct(name: str, fields: Fields, tag: str | None = None) -> Any:
    """One struct a table, as its name must be one in the schema."""
    if id(fields) not in _made:
        _made[id(fields)] = _new_struct(name, fields, tag)
    return _made[id(fields)]


def _new_struct(name: str, fields: Fields, tag: str | None) -> Any:
    title = "".join(part.capitalize() for part in name.split("_"))
    return msgspec.defstruct(
        title,
        fields_of(fields),
        tag_field="type" if tag else None,
        tag=tag,
        frozen=True,
        kw_only=True,
        omit_defaults=True,
        forbid_unknown_fields=True,
        module=__name__,
    )


def fields_of(fields: Fields) -> list[Any]:
    """Names, types and defaults of a table, as msgspec.defstruct takes them."""
    made: list[Any] = []
    for name, field in fields.items():
        kind = _ANNOTATED[_type(name, field), Meta(description=field.doc)]
        if field.required:
            made.append((name, kind))
        else:
            made.append((name, kind, () if field.shape == "list" else field.default))
    return made


_ELEMENT = _UNION[tuple(_struct(name, fields, tag=name) for name, fields in compositions.ELEMENTS.items())]
_FIELDS = {name: field for name, field in compositions.REQUEST.items() if not name.startswith("output_")}
FORMAT = compositions.REQUEST["output_format"]


_OTHER_NAMES: list[Any] = [
    (
        "output_format",
        _ANNOTATED[_LITERAL[FORMAT.choices] | None, Meta(description="Another name for format.")],
        None,
    ),
    (
        "output_filename",
        Annotated[str, Meta(max_length=200, description="Name of the file made, without its ending.")] | None,
        None,
    ),
]
"""So that a request of the wire contract can be handed over as it is."""


def options(name: str, more: Sequence[Any] = ()) -> type[Options]:
    """The options of a kind that takes a timeline, with its own fields in front."""
    elements = _ANNOTATED[
        _TUPLE[_ELEMENT, ...], Meta(max_length=compositions.MAX_ELEMENTS, description="What is to be seen and heard.")
    ]
    said = ("format", _ANNOTATED[_LITERAL[FORMAT.choices], Meta(description=FORMAT.doc)], FORMAT.default)
    made: Any = msgspec.defstruct(
        "Options",
        [*more, said, *_OTHER_NAMES, *fields_of(_FIELDS), ("elements", elements, ())],
        bases=(Options,),
        frozen=True,
        kw_only=True,
        forbid_unknown_fields=True,
        omit_defaults=True,
        module=f"mediamill.kinds.{name}",
    )
    made.__doc__ = "A timeline: what is to be seen and heard, where and when."
    found: type[Options] = made
    return found


def scene(given: Options, *, own: Sequence[str] = ()) -> Composition:
    """The scene of checked options. own: fields of the kind that are no part of it. Raises Invalid."""
    request = {name: value for name, value in _plain(given).items() if name not in own}
    said = request.pop("format", FORMAT.default)
    request["output_format"] = request.get("output_format") or said
    try:
        return compositions.parse(request)
    except Invalid as error:
        if error.field == "output_format":
            raise Invalid("format", error.reason) from error
        raise


def _plain(given: Options) -> dict[str, Any]:
    found = msgspec.to_builtins(given)
    assert isinstance(found, dict)
    return found


def check(found: Composition) -> None:
    """Raises Invalid with the first of its violations that forbids rendering."""
    for violation in compositions.violations(found):
        if violation.severity == "error":
            raise Invalid(violation.path or "", f"{violation.message} ({violation.code})")


def sources(found: Composition) -> list[Source]:
    """What to fetch, in the order in which it is handed to `run`."""
    return [
        Source(file=url[len(_FILE) :]) if url.lower().startswith(_FILE) else Source(url=url)
        for url in compositions.sources(found)
    ]


def work(ctx: Context, found: Composition) -> Render:
    """The scene with its files, ready to be drawn."""
    needed = compositions.sources(found)
    if len(ctx.inputs) != len(needed):
        raise BadMedia("A file of the scene is missing.")
    pictures = {one["source_url"] for one in found.elements if one["type"] == "image"} | {found.background_url}
    materials = {
        url: _material(ctx, given, number, picture=url in pictures)
        for number, (url, given) in enumerate(zip(needed, ctx.inputs, strict=True))
    }
    _check_families(found, materials)
    return Render(
        scene=found,
        materials=materials,
        scratch=ctx.scratch,
        tools=ctx.engines.tools(),
        report=ctx.report,
        people=_people(ctx, found),
    )


def _people(ctx: Context, found: Composition) -> Masks | None:
    """What tells people from what is behind them, where the scene has a use for it."""
    used = {effect["type"] for element in found.elements for effect in element.get("effects", ())}
    if not used & looks.MATTED:
        return None
    return next((masks for engine in ctx.engines.offering(Matter) if (masks := engine.masks()) is not None), None)


def _material(ctx: Context, given: Input, number: int, *, picture: bool) -> Material:
    if not picture or given.mime in _DRAWN:
        return Material(path=given.path, mime=given.mime)
    converter = ctx.engines.converter((given.mime, "image/png")) if formats.family(given.mime) == "image" else None
    if converter is None or isinstance(converter, Missing):
        raise BadMedia(f"{given.filename} is not a picture that can be drawn: it is {given.mime}.")
    target = ctx.scratch / f"picture-{number}.png"
    converter.convert(
        Conversion(
            source=given.path,
            source_mime=given.mime,
            target=target,
            target_mime="image/png",
            scratch=ctx.scratch,
            tools=ctx.engines.tools(),
            report=lambda stage, fraction=None: None,
        )
    )
    return Material(path=target, mime="image/png")


_TAKES: Mapping[str, tuple[str, ...]] = {"video": ("video",), "audio": ("audio", "video"), "image": ("image",)}


def _check_families(found: Composition, materials: Mapping[str, Material]) -> None:
    """Raises BadMedia where a file is of another kind than its element."""
    for number, element in enumerate(found.elements):
        if "source_url" not in element or not element["visible"]:
            continue
        mime = materials[element["source_url"]].mime
        if formats.family(mime) not in _TAKES[element["type"]]:
            raise BadMedia(f"elements.{number}: the source of a {element['type']} cannot be {mime}.")


def engine(ctx: Context) -> Compositor:
    """The engine that draws."""
    return ctx.engines.offering(Compositor)[0]


def facts(details: Mapping[str, Any], found: Composition) -> dict[str, Any]:
    """What was made, and what was doubtful about it."""
    return {**details, "violations": [asdict(one) for one in compositions.violations(found)]}
