"""Make a picture from a picture, or from a moment of a film."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from mediamill.core import formats
from mediamill.core.errors import BadMedia, Invalid, LimitExceeded, NoVideo, Unavailable, Unsupported
from mediamill.core.pictures import (
    Colour,
    Over,
    PictureEdit,
    PictureEditor,
    PictureOver,
    Place,
    Sheet,
    SheetMaker,
    TextOver,
)
from mediamill.core.ports import Engines, Missing
from mediamill.core.tasks import Source
from mediamill.kinds import Base, Context, Hint, Input, Output, Result, _layers
from mediamill.kinds import Options as BaseOptions
from mediamill.kinds import _sizes as sizes
from mediamill.kinds._layers import Layers, TextLayer

FORMATS = ("jpeg", "png", "webp", "avif", "gif", "heic")
_CLEAR = frozenset({"image/png", "image/webp", "image/avif", "image/gif"})
"""Targets that can be see-through."""
_LONGEST_PX = {"image/webp": 16383, "image/avif": 16384, "image/heic": 8192}
_MAX_SHEET_PX = 100_000_000
_MAX_CELLS = 10_000
_CELLS = 100
_CELL_PX = 160


class Sprite(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A sheet of small pictures of a film, for a player's bar. By itself one a second, at most a hundred."""

    interval: Annotated[float, Meta(ge=0.1, le=86400, description="Seconds from one picture to the next.")] | None = (
        None
    )
    count: Annotated[int, Meta(ge=1, le=_MAX_CELLS, description="How many pictures.")] | None = None
    columns: Annotated[int, Meta(ge=1, le=100, description="Pictures in a row.")] = 10
    width: Annotated[int, Meta(ge=16, le=1920, description="Width of each in pixels.")] = _CELL_PX


class Options(BaseOptions, frozen=True, kw_only=True):
    """How the picture is to be."""

    format: (
        Annotated[
            str,
            Meta(
                max_length=127,
                description="Format to make; the input's own by default, JPEG from a film, else PNG.",
                extra_json_schema={"enum": FORMATS},
            ),
        ]
        | None
    ) = None
    quality: Annotated[sizes.Quality, Meta(description="Quality of lossy formats, in words or 0 to 100.")] = "medium"
    width: Annotated[sizes.Size, Meta(description="Width in pixels, or a part of the input's as 50%.")] | None = None
    height: Annotated[sizes.Size, Meta(description="Height in pixels, or a part of the input's.")] | None = None
    fit: Annotated[sizes.Fit, Meta(description="With both sides: stretch, cut to cover, or pad to contain.")] = "fill"
    position: Annotated[sizes.Position, Meta(description="What stays when cutting, and where it lies in padding.")] = (
        "center"
    )
    background: (
        Annotated[
            str,
            Meta(
                pattern="^(#[0-9a-fA-F]{6}|transparent)$",
                description="Padding and what lies behind: #RRGGBB; transparent where the format can, else black.",
            ),
        ]
        | None
    ) = None
    start: Annotated[sizes.Seconds, Meta(description="Which moment of a film, in seconds.")] | None = None
    layers: Annotated[Layers, Meta(description="Pictures and text to lay over it, the last on top.")] = ()
    sprite: Annotated[Sprite, Meta(description="A sheet of small pictures of a film, with a WebVTT file.")] | None = (
        None
    )


class Image(Base[Options]):
    """See the module. Upright, in sRGB, without metadata; what moves goes on moving where the format can."""

    name = "image"
    summary = "Make a picture from a picture, or from a moment of a film."
    options = Options

    def missing(self, engines: Engines) -> Missing | None:
        return engines.lacking(PictureEditor)

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        if options.format is not None:
            _target(options.format, engines)
        for field in ("width", "height"):
            sizes.check_size(field, getattr(options, field))
        _layers.check(options.layers)
        if options.sprite is not None:
            _check_sprite(options)
            if options.format is not None and formats.canonical(options.format) == "image/heic":
                raise Unsupported("format", "a sprite is not written as HEIC.")
            if (missing := engines.lacking(SheetMaker)) is not None:
                raise Unavailable("sprite", missing.reason, missing.remedy)
        return options

    def attachments(self, options: Options) -> Sequence[Source]:
        return _layers.sources(options.layers)

    def run(self, ctx: Context, options: Options) -> Result:
        source, *attached = ctx.inputs
        ctx.report("probe", 0.0)
        if options.sprite is not None:
            return _sheet(ctx, source, options, options.sprite)
        editor = _editor(ctx, source)
        target_mime = _target(options.format or _same(source.mime), ctx.engines)
        facts = ctx.engines.probe(source.path, source.mime)
        if facts.width_px is None or facts.height_px is None:
            raise NoVideo("The file has no picture, only sound.")
        if _is_film(source) and facts.duration_s is not None and (options.start or 0) > 0:
            sizes.span(options.start, None, facts.duration_s)
        placing = sizes.placing(
            (facts.width_px, facts.height_px), options.width, options.height, fit=options.fit, position=options.position
        )
        background = _colour(options.background)
        target = ctx.scratch / ("result" + formats.suffix(target_mime))
        details = editor.edit(
            PictureEdit(
                source=source.path,
                source_mime=source.mime,
                target=target,
                target_mime=target_mime,
                placing=placing,
                background=background or (None if target_mime in _CLEAR else (0, 0, 0)),
                over=_over(options, attached, (placing.width_px, placing.height_px), editor),
                level=sizes.level(options.quality),
                flat=background or (255, 255, 255),
                at_s=options.start or 0.0,
                scratch=ctx.scratch,
                tools=ctx.engines.tools(),
                report=ctx.report,
            )
        )
        return Result(
            outputs=[Output(path=target, mime=target_mime, filename=formats.renamed(source.filename, target_mime))],
            details={"engine": editor.name, **details},
        )


def _target(word: str, engines: Engines) -> str:
    """The canonical type of a format's name. Raises Unsupported, Unavailable."""
    mime = formats.canonical(word)
    known = {formats.canonical(name) for name in FORMATS}
    if mime is None or mime not in known:
        raise Unsupported("format", f"must be one of {', '.join(FORMATS)}, is {word!r}.")
    for editor in engines.offering(PictureEditor):
        if mime in editor.targets():
            return mime
    raise Unavailable("format", f"{word} cannot be written here.", "Choose jpeg, png, webp, avif or gif.")


def _same(mime: str) -> str:
    """The format of an input that asks for none: its own; JPEG of films and of photos, PNG of the rest."""
    found = formats.by_mime(mime)
    if found.names[0] in FORMATS:
        return found.names[0]
    return "jpeg" if found.family == "video" else "png"


def _is_film(source: Input) -> bool:
    return formats.family(source.mime) in ("video", "audio")


def _editor(ctx: Context, source: Input) -> PictureEditor:
    for editor in ctx.engines.offering(PictureEditor):
        if source.mime in editor.sources():
            return editor
    raise BadMedia(f"A picture cannot be made of {source.mime}.")


def _colour(background: str | None) -> Colour | None:
    if background is None or background == "transparent":
        return None
    return int(background[1:3], 16), int(background[3:5], 16), int(background[5:7], 16)


def _over(options: Options, attached: Sequence[Input], on: tuple[int, int], editor: PictureEditor) -> list[Over]:
    """The layers in pixels of the picture they lie on; the times a layer of a film has mean nothing here."""
    made: list[Over] = []
    files = iter(attached)
    wide, high = on
    for number, layer in enumerate(options.layers):
        place = Place(
            width_px=_layers.side(layer.width, wide),
            height_px=_layers.side(layer.height, high),
            left_px=_layers.pixels(layer.left, wide),
            top_px=_layers.pixels(layer.top, high),
            right_px=_layers.pixels(layer.right, wide),
            bottom_px=_layers.pixels(layer.bottom, high),
            position=layer.position,
            opacity=layer.opacity,
        )
        if isinstance(layer, TextLayer):
            made.append(
                TextOver(
                    text=layer.text,
                    font=layer.font,
                    size_px=layer.font_size or max(8, round(high / 20)),
                    colour=_colour(layer.color) or (255, 255, 255),
                    place=place,
                )
            )
            continue
        file = next(files)
        if file.mime not in editor.sources() or _is_film(file):
            raise BadMedia(f"Layer {number + 1} is no picture, it is {file.mime}.")
        made.append(PictureOver(path=file.path, mime=file.mime, place=place))
    return made


def _check_sprite(options: Options) -> None:
    sprite = options.sprite
    assert sprite is not None
    if sprite.interval is not None and sprite.count is not None:
        raise Invalid("sprite.count", "give an interval or a count, not both.")
    for field in ("width", "height", "layers"):
        if getattr(options, field) not in (None, ()):
            raise Invalid(field, "has no meaning with a sprite.")


def _sheet(ctx: Context, source: Input, options: Options, sprite: Sprite) -> Result:
    """The sheet and the WebVTT file that says which part of it shows which time."""
    found = [maker for maker in ctx.engines.offering(SheetMaker) if source.mime in maker.sources()]
    if not found:
        raise BadMedia(f"A sheet of small pictures needs a film, not {source.mime}.")
    facts = ctx.engines.probe(source.path, source.mime)
    if facts.width_px is None or facts.height_px is None:
        raise NoVideo("The file has no pictures, only sound.")
    if not facts.duration_s:
        raise BadMedia("The film does not say how long it is.")
    start_s, _ = sizes.span(options.start, None, facts.duration_s)
    target_mime = _target(options.format or "jpeg", ctx.engines)
    height = max(1, round(facts.height_px * sprite.width / facts.width_px))
    step_s, count = _steps(sprite, facts.duration_s - start_s, height, target_mime)
    target = ctx.scratch / ("result" + formats.suffix(target_mime))
    sheet = Sheet(
        source=source.path,
        source_mime=source.mime,
        target=target,
        target_mime=target_mime,
        start_s=start_s,
        step_s=step_s,
        count=count,
        columns=min(sprite.columns, count),
        cell_width_px=sprite.width,
        cell_height_px=height,
        level=sizes.level(options.quality),
        scratch=ctx.scratch,
        tools=ctx.engines.tools(),
        report=ctx.report,
    )
    details = found[0].sheet(sheet)
    filename = formats.renamed(source.filename, target_mime)
    track = ctx.scratch / "sprite.vtt"
    track.write_text(webvtt(sheet, filename, facts.duration_s), encoding="utf-8")
    shape: dict[str, Any] = {
        "interval": round(step_s, 3),
        "count": count,
        "columns": sheet.columns,
        "rows": sheet.rows,
        "width": sprite.width,
        "height": height,
    }
    return Result(
        outputs=[
            Output(path=target, mime=target_mime, filename=filename),
            Output(path=track, mime="text/vtt", filename=formats.renamed(source.filename, "text/vtt"), role="vtt"),
        ],
        details={"engine": found[0].name, "sprite": shape, **details},
    )


def _steps(sprite: Sprite, duration_s: float, height: int, target_mime: str) -> tuple[float, int]:
    """(seconds a cell, number of cells); the seconds grow where so many cells would not fit into one picture.

    Raises LimitExceeded when not even one row fits.
    """
    columns = sprite.columns
    longest = _LONGEST_PX.get(target_mime, 32768)
    if columns * sprite.width > longest:
        raise LimitExceeded(f"{columns} pictures of {sprite.width} px are wider than the format's {longest} px.")
    rows = min(longest // height, _MAX_SHEET_PX // (columns * sprite.width * height))
    most = min(_MAX_CELLS, rows * columns)
    if most < 1:
        raise LimitExceeded("The small pictures are larger than one picture may be.")
    if sprite.interval is not None:
        count = max(1, -int(-duration_s // sprite.interval))
        if count <= most:
            return sprite.interval, count
    else:
        most = min(most, sprite.count or min(_CELLS, max(1, int(duration_s))))
    return duration_s / most, most


def webvtt(sheet: Sheet, filename: str, end_s: float) -> str:
    """The track: a cue a cell, naming its part of the picture by a spatial fragment (Media Fragments URI 1.0)."""
    from urllib.parse import quote

    lines = ["WEBVTT", ""]
    for number in range(sheet.count):
        begin = sheet.start_s + number * sheet.step_s
        end = end_s if number == sheet.count - 1 else min(end_s, begin + sheet.step_s)
        left, top = sheet.corner(number)
        part = f"{left},{top},{sheet.cell_width_px},{sheet.cell_height_px}"
        lines += [f"{_clock(begin)} --> {_clock(end)}", f"{quote(filename)}#xywh={part}", ""]
    return "\n".join(lines)


def _clock(seconds: float) -> str:
    whole_ms = round(seconds * 1000)
    minutes, ms = divmod(whole_ms, 60_000)
    return f"{minutes // 60:02d}:{minutes % 60:02d}:{ms // 1000:02d}.{ms % 1000:03d}"


KIND = Image()
