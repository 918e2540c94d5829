"""Make a film or a sound ready for adaptive streaming."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mediamill import kinds
from mediamill.core import formats
from mediamill.core.adaptive import Caption, File, Frame, Order, Packager, Rung, Seen, ladder
from mediamill.core.errors import BadMedia, Invalid, NoSound, Unavailable, Unsupported
from mediamill.core.ports import Engines, Missing
from mediamill.core.tasks import Source
from mediamill.kinds import Base, Context, Hint, Output, Result
from mediamill.kinds._layers import Url
from mediamill.kinds._sizes import (
    Colour,
    Fit,
    Position,
    Quality,
    Seconds,
    Size,
    check_size,
    check_span,
    level,
    placing,
    span,
    whole,
)

FACTORS = (0.5, 0.7, 1.0, 1.3, 1.6)
"""What each step of quality makes of the ladder's bit rates."""
_MOST_SUBTITLES = 32


class Subtitle(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A subtitle file to go along as a track of its own."""

    url: Annotated[Url, Meta(description="Where it is: WebVTT or SubRip.")] | None = None
    file: (
        Annotated[str, Meta(min_length=1, max_length=255, description="Id of a stored file, in place of its URL.")]
        | None
    ) = None
    label: Annotated[str, Meta(max_length=100, description="Its name in a player's menu.")] | None = None
    language: (
        Annotated[
            str, Meta(pattern=r"^[A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*$", description="Its language, as en or pt-BR.")
        ]
        | None
    ) = None
    default: Annotated[bool, Meta(description="Whether players show it unasked.")] = False


class Options(kinds.Options, frozen=True, kw_only=True):
    """How to make it ready."""

    format: Annotated[Literal["hls", "dash"], Meta(description="Manifest to hand out (hls).")] = "hls"
    width: Annotated[Size, Meta(description="Most pixels across, or a part of the input's.")] | None = None
    height: Annotated[Size, Meta(description="Most pixels down, or a part of the input's.")] | None = None
    fit: Annotated[Fit, Meta(description="With width and height: fill stretches, cover crops, contain pads.")] = "fill"
    position: Annotated[Position, Meta(description="What stays when cropped, or where it lies when padded.")] = "center"
    background: Annotated[Colour, Meta(description="Colour of the padding (#000000).")] = "#000000"
    quality: (
        Annotated[Quality, Meta(description="very_low to very_high, or 0 to 100: the ladder's bit rates (medium).")]
        | None
    ) = None
    start: Annotated[Seconds, Meta(description="First second to keep.")] | None = None
    end: Annotated[Seconds, Meta(description="Second to stop at.")] | None = None
    mute_video: Annotated[bool, Meta(description="Leave the picture out: a package of sound alone.")] = False
    subtitles: Annotated[
        tuple[Subtitle, ...],
        Meta(max_length=_MOST_SUBTITLES, description="Subtitle files to go along as tracks of their own."),
    ] = ()


class AdaptiveVideo(Base[Options]):
    """See the module."""

    name = "adaptive_video"
    summary = "Make a film or a sound ready for adaptive streaming: HLS and DASH from one set of files."
    options = Options
    package = True

    def missing(self, engines: Engines) -> Missing | None:
        return engines.lacking(Packager)

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        lacking = engines.lacking(Packager)
        if lacking is not None:
            raise Unavailable("kind", lacking.reason, lacking.remedy)
        check_size("width", options.width)
        check_size("height", options.height)
        check_span(options.start, options.end)
        for number, subtitle in enumerate(options.subtitles):
            if (subtitle.url is None) == (subtitle.file is None):
                raise Invalid(f"subtitles.{number}.url", "a subtitle file is named by one of url and file.")
        if sum(subtitle.default for subtitle in options.subtitles) > 1:
            raise Invalid("subtitles", "at most one can be the default.")
        for hint in inputs:
            if hint.mime is not None and not _plays(hint.mime):
                raise Unsupported("", f"{hint.mime} is neither a film nor a sound.")
        return options

    def attachments(self, options: Options) -> Sequence[Source]:
        return [Source(url=subtitle.url, file=subtitle.file) for subtitle in options.subtitles]

    def run(self, ctx: Context, options: Options) -> Result:
        source, *attached = ctx.inputs
        ctx.report("probe", 0.0)
        packager = ctx.engines.offering(Packager)[0]
        seen = packager.look(source.path, source.mime)
        start_s, end_s = span(options.start, options.end, seen.duration_s)
        frame, rungs = (None, ()) if options.mute_video else _pictures(seen, options)
        if not rungs and not seen.sounds:
            raise NoSound("The file has no sound track.")
        made = packager.package(
            Order(
                source=source.path,
                mime=source.mime,
                stem=_stem(source.filename),
                manifest=options.format,
                start_s=start_s,
                end_s=end_s,
                rungs=rungs,
                frame=frame,
                asked=options.width is not None or options.height is not None,
                captions=_captions(options.subtitles, attached),
                scratch=ctx.scratch,
                tools=ctx.engines.tools(),
                report=ctx.report,
                show=lambda files: ctx.publish(_early(files)),
            )
        )
        parts = [_output(file, "part") for file in made.parts]
        return Result(outputs=[_output(made.manifest, "result"), *parts], details=made.details)


def _plays(mime: str) -> bool:
    return formats.family(mime) in ("video", "audio") or mime == "image/gif"


def _pictures(seen: Seen, options: Options) -> tuple[Frame | None, tuple[Rung, ...]]:
    """The highest rung's frame and all rungs: in the shape asked for, nowhere larger than the source."""
    if seen.width_px is None or seen.height_px is None:
        return None, ()
    of = seen.width_px, seen.height_px
    wanted = placing(of, options.width, options.height, fit=options.fit, position=options.position, even=True)
    shrink = min(1.0, of[0] / wanted.scaled_width_px, of[1] / wanted.scaled_height_px, of[1] / wanted.height_px)
    factor = 1.0 if options.quality is None else FACTORS[level(options.quality)]
    # The nearest whole pixel: a shape rounded to even sides must not cost a rung by a hair.
    shape = whole(wanted.width_px * shrink), min(of[1], whole(wanted.height_px * shrink))
    rungs = ladder(*shape, factor)
    best = rungs[0]
    placed = placing(of, best.width_px, best.height_px, fit=options.fit, position=options.position, even=True)
    frame = Frame(
        width_px=placed.width_px,
        height_px=placed.height_px,
        scaled_width_px=placed.scaled_width_px,
        scaled_height_px=placed.scaled_height_px,
        left_px=placed.left_px,
        top_px=placed.top_px,
        background=options.background,
    )
    return frame, rungs


def _captions(asked: Sequence[Subtitle], attached: Sequence[kinds.Input]) -> list[Caption]:
    captions = []
    for number, (subtitle, file) in enumerate(zip(asked, attached, strict=True)):
        if file.mime not in ("text/vtt", "application/x-subrip"):
            raise BadMedia(f"subtitles.{number}: a subtitle file must be WebVTT or SubRip, this is {file.mime}.")
        captions.append(
            Caption(
                path=file.path,
                mime=file.mime,
                label=subtitle.label or subtitle.language or f"Subtitles {number + 1}",
                language=subtitle.language,
                default=subtitle.default,
            )
        )
    return captions


def _stem(filename: str) -> str:
    stem, dot, _ = filename.rpartition(".")
    return (stem if dot else filename) or "package"


def _early(files: Sequence[File]) -> list[Output]:
    manifest, *parts = files
    return [_output(manifest, "early"), *(_output(part, "part") for part in parts)]


def _output(file: File, role: str) -> Output:
    return Output(path=file.path, mime=file.mime, filename=file.filename, role=role)


KIND = AdaptiveVideo()
