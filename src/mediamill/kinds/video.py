"""Make a film for playing: another size, codec, container or part of it, with layers and subtitles."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from msgspec import Meta, structs

from mediamill.core import formats
from mediamill.core.encode import CODECS, DEEP, Codec, Container, Film, FilmMaker, Layer, Lettering
from mediamill.core.errors import BadMedia, Invalid, NoVideo, Unavailable, Unsupported
from mediamill.core.media import Facts, Placing
from mediamill.core.ports import Conversion, Converter, Engines, Missing
from mediamill.core.tasks import Source
from mediamill.kinds import Base, Context, Hint, Input, Output, Result, _layers, _sizes
from mediamill.kinds import Options as BaseOptions
from mediamill.kinds._layers import AnyLayer, ImageLayer, Layers, Url
from mediamill.kinds._sizes import Colour, Fit, Position, Quality, Seconds, Size

SRT, VTT = "application/x-subrip", "text/vtt"


class Options(BaseOptions, frozen=True, kw_only=True):
    """What to make of the input."""

    format: Annotated[
        str, Meta(description="Container: mp4, webm or mov.", extra_json_schema={"enum": list(CODECS)})
    ] = "mp4"
    codec: (
        Annotated[Codec, Meta(description="Codec (h264; vp9 in webm); h265 and av1 are smaller and slower.")] | None
    ) = None
    quality: Annotated[Quality, Meta(description="A word or 0 to 100 (medium).")] | None = None
    bitrate: (
        Annotated[
            int, Meta(ge=300_000, le=60_000_000, description="Bits a second of the picture; with quality: at most.")
        ]
        | None
    ) = None
    width: Annotated[Size, Meta(description="Width in pixels, or as 50%.")] | None = None
    height: Annotated[Size, Meta(description="Height in pixels, or as 50%.")] | None = None
    fit: Annotated[Fit, Meta(description="When both sides are given: stretch, crop or pad.")] = "fill"
    position: Annotated[Position, Meta(description="What a crop keeps, where padding leaves the picture.")] = "center"
    background: Annotated[Colour, Meta(description="Colour of padding, as #RRGGBB.")] = "#000000"
    fps: Annotated[float, Meta(ge=1, le=60, description="Frames a second (as they come).")] | None = None
    start: Annotated[Seconds, Meta(description="First second to keep.")] | None = None
    end: Annotated[Seconds, Meta(description="Second to stop at.")] | None = None
    frames: Annotated[int, Meta(ge=1, le=10_000_000, description="Stop after so many frames.")] | None = None
    layers: Annotated[Layers, Meta(description="Pictures and text to lay over the film, the last on top.")] = ()
    no_audio: Annotated[bool, Meta(description="Leave the sound out.")] = False
    subtitle_url: Annotated[Url, Meta(description="A WebVTT or SubRip file, kept as a track of the film.")] | None = (
        None
    )
    subtitle_file: (
        Annotated[str, Meta(min_length=1, max_length=255, description="Id of a stored file, in place of its URL.")]
        | None
    ) = None
    subtitle_style: (
        Annotated[Literal["burn_in"], Meta(description="burn_in draws the subtitles into the picture.")] | None
    ) = None
    hdr: Annotated[
        Literal["sdr", "keep"], Meta(description="High dynamic range: toned down for every screen, or kept.")
    ] = "sdr"

    @property
    def subtitled(self) -> bool:
        """Whether subtitles are named."""
        return self.subtitle_url is not None or self.subtitle_file is not None


class Video(Base[Options]):
    """See the module."""

    name = "video"
    summary = "Make a film for playing: another size, codec, container or part of it, with layers and subtitles."
    options = Options

    def missing(self, engines: Engines) -> Missing | None:
        return engines.lacking(FilmMaker)

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        container = _container(options.format)
        codec = options.codec or CODECS[container][0]
        if codec not in CODECS[container]:
            raise Unsupported("codec", f"{codec} does not go into {container}; {', '.join(CODECS[container])} do.")
        if options.hdr == "keep" and codec not in DEEP:
            raise Unsupported("hdr", f"{codec} is not played with high dynamic range; {_either(container)}.")
        if options.subtitle_url is not None and options.subtitle_file is not None:
            raise Invalid("subtitle_file", "name the subtitles by one of subtitle_url and subtitle_file.")
        if options.subtitle_style is not None and not options.subtitled:
            raise Invalid("subtitle_style", "there is no subtitle_url to style.")
        _sizes.check_size("width", options.width)
        _sizes.check_size("height", options.height)
        _sizes.check_span(options.start, options.end)
        _layers.check(options.layers)
        if not any(codec in engine.codecs for engine in engines.offering(FilmMaker)):
            raise Unavailable("codec", f"Nothing here encodes {codec}.", "Install an ffmpeg that does.")
        return structs.replace(options, format=container, codec=codec)

    def attachments(self, options: Options) -> Sequence[Source]:
        subtitles = [Source(url=options.subtitle_url, file=options.subtitle_file)] if options.subtitled else []
        return [*_layers.sources(options.layers), *subtitles]

    def run(self, ctx: Context, options: Options) -> Result:
        source, *attached = ctx.inputs
        container = _container(options.format)
        codec = options.codec or CODECS[container][0]
        ctx.report("probe", 0.0)
        facts = _facts(ctx, source)
        start_s, end_s = _sizes.span(options.start, options.end, facts.duration_s)
        placing = _placing(options, facts)
        subtitles = None
        if options.subtitled:
            *attached, track = attached
            subtitles = _subtitles(ctx, track)
        target, track_made = ctx.scratch / f"film.{container}", ctx.scratch / "track.srt"
        [maker, *_] = [engine for engine in ctx.engines.offering(FilmMaker) if codec in engine.codecs]
        details = maker.make(
            Film(
                source=source.path,
                source_mime=source.mime,
                target=target,
                container=container,
                codec=codec,
                placing=placing,
                background=options.background,
                quality=None if options.quality is None else _sizes.level(options.quality),
                bitrate_bps=options.bitrate,
                fps=options.fps,
                start_s=start_s,
                end_s=end_s,
                frames=options.frames,
                layers=_laid(ctx, options.layers, attached, placing, facts),
                sound=not options.no_audio,
                subtitles=subtitles,
                burn_in=options.subtitle_style == "burn_in",
                track=track_made,
                keep_hdr=options.hdr == "keep",
                scratch=ctx.scratch,
                tools=ctx.engines.tools(),
                report=ctx.report,
            )
        )
        mime = formats.canonical(container)
        assert mime is not None
        made = Output(path=target, mime=mime, filename=formats.renamed(source.filename, mime))
        return Result(
            outputs=[made, *_sidecar(ctx, source, track_made)],
            details={"engine": maker.name, "codec": codec, **details},
        )


def _container(word: str) -> Container:
    for container in CODECS:
        if word.strip().lower() == container:
            return container
    raise Unsupported("format", f"must be one of {', '.join(CODECS)}, is {word!r}.")


def _either(container: Container) -> str:
    deep = [codec for codec in CODECS[container] if codec in DEEP]
    return f"{' and '.join(deep)} are" if len(deep) > 1 else f"{deep[0]} is"


def _facts(ctx: Context, source: Input) -> Facts:
    family = formats.family(source.mime)
    if family == "audio":
        raise NoVideo("The input is a sound; there is no picture to make a film of.")
    if family != "video" and source.mime != "image/gif":
        raise BadMedia("The input is neither a film nor an animated GIF.")
    facts = ctx.engines.probe(source.path, source.mime)
    if facts.width_px is None or facts.height_px is None:
        raise NoVideo("The input has no pictures, only sound.")
    return facts


def _placing(options: Options, facts: Facts) -> Placing | None:
    if options.width is None and options.height is None:
        return None
    of = facts.width_px or 1, facts.height_px or 1
    placed = _sizes.placing(of, options.width, options.height, fit=options.fit, position=options.position, even=True)
    return None if (placed.width_px, placed.height_px) == of else placed  # the size it has: nothing to do


def _converted(ctx: Context, source: Input, mime: str, target: Path, settings: dict[str, object]) -> Path:
    """An attached file in the one form that is worked with, read by the converter of its type and by nothing else."""
    converter = ctx.engines.converter((source.mime, mime))
    if converter is None or isinstance(converter, Missing):
        raise BadMedia(f"{source.filename} cannot be used here: it is {source.mime}.")
    done: Converter = converter
    done.convert(
        Conversion(
            source=source.path,
            source_mime=source.mime,
            target=target,
            target_mime=mime,
            settings=settings,
            scratch=ctx.scratch,
            tools=ctx.engines.tools(),
            report=_silent,
        )
    )
    return target


def _silent(stage: str, fraction: float | None = None) -> None:
    """The parts are not the whole."""


def _subtitles(ctx: Context, track: Input) -> Path:
    if track.mime not in (SRT, VTT):
        raise BadMedia("The subtitles are neither WebVTT nor SubRip.")
    return _converted(ctx, track, SRT, ctx.scratch / "subtitles.srt", {})


def _sidecar(ctx: Context, source: Input, track: Path) -> list[Output]:
    """The subtitles that became a track, as WebVTT too: browsers show no track of an MP4."""
    if not track.is_file():
        return []
    given = Input(path=track, mime=SRT, filename=source.filename)
    made = _converted(ctx, given, VTT, ctx.scratch / "subtitles.vtt", {})
    return [Output(path=made, mime=VTT, filename=formats.renamed(source.filename, VTT), role="subtitles")]


def _laid(
    ctx: Context, layers: Sequence[AnyLayer], attached: Sequence[Input], placing: Placing | None, facts: Facts
) -> list[Layer]:
    wide, high = (placing.width_px, placing.height_px) if placing else (facts.width_px or 1, facts.height_px or 1)
    pictures = iter(attached)
    made = []
    for number, layer in enumerate(layers):
        width, height = _layers.side(layer.width, wide), _layers.side(layer.height, high)
        picture = lettering = None
        if isinstance(layer, ImageLayer):
            given = next(pictures)
            if formats.family(given.mime) != "image":
                raise BadMedia(f"Layer {number + 1} is no picture.")
            resize = {name: side for name, side in (("width", width), ("height", height)) if side is not None}
            settings: dict[str, object] = {"resize": resize} if resize else {}
            picture = _converted(ctx, given, "image/png", ctx.scratch / f"layer-{number}.png", settings)
        else:
            lettering = Lettering(
                text=layer.text,
                size_px=layer.font_size or max(8, round(high / 20)),
                colour=layer.color,
                font=layer.font,
                width_px=width,
            )
        made.append(
            Layer(
                picture=picture,
                lettering=lettering,
                width_px=width if picture else None,
                height_px=height if picture else None,
                left_px=_layers.pixels(layer.left, wide),
                top_px=_layers.pixels(layer.top, high),
                right_px=_layers.pixels(layer.right, wide),
                bottom_px=_layers.pixels(layer.bottom, high),
                position=layer.position,
                opacity=layer.opacity,
                start_s=layer.start,
                end_s=layer.end,
            )
        )
    return made


KIND = Video()
