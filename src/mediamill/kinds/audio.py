"""Make a sound from a sound, or from a film's sound track."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from mediamill.core import formats
from mediamill.core.errors import BadMedia, ToolFailed, Unavailable, Unsupported
from mediamill.core.ports import Engines, Missing
from mediamill.core.sound import EBU_R128_LUFS, PeakFinder, Peaks, SoundEdit, SoundEditor
from mediamill.kinds import Base, Context, Hint, Output, Result
from mediamill.kinds import Options as BaseOptions
from mediamill.kinds import _sizes as sizes

FORMATS = ("mp3", "aac", "m4a", "wav", "ogg", "flac", "alac", "opus")
DEFAULT = "mp3"


class Waveform(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The shape of the sound, for a player to draw: a JSON file of peaks, and a picture when asked for."""

    points: Annotated[int, Meta(ge=10, le=100_000, description="At most so many pairs of peaks.")] = 1000
    png: Annotated[bool, Meta(description="Draw it as well.")] = False
    width: Annotated[int, Meta(ge=16, le=8192, description="Width of the picture in pixels.")] = 1200
    height: Annotated[int, Meta(ge=16, le=2048, description="Height of the picture in pixels.")] = 240
    color: Annotated[sizes.Colour, Meta(description="Colour of the wave.")] = "#3B82F6"
    background: Annotated[sizes.Colour, Meta(description="Colour behind it; see-through by default.")] | None = None


class Options(BaseOptions, frozen=True, kw_only=True):
    """How the sound is to be."""

    format: (
        Annotated[
            str,
            Meta(
                max_length=127,
                description="Format to make (mp3). aac is a bare stream, m4a and alac are in an MPEG-4 file.",
                extra_json_schema={"enum": FORMATS},
            ),
        ]
        | None
    ) = None
    quality: Annotated[sizes.Quality, Meta(description="Quality of lossy formats, in words or 0 to 100.")] | None = None
    bitrate: (
        Annotated[int, Meta(ge=32_000, le=320_000, description="Bits a second of lossy formats; before quality.")]
        | None
    ) = None
    start: Annotated[sizes.Seconds, Meta(description="First second to keep.")] | None = None
    end: Annotated[sizes.Seconds, Meta(description="Second to stop at.")] | None = None
    loudness: (
        Annotated[
            float, Meta(ge=-50, le=-5, description="Bring it to this loudness in LUFS; true for EBU R 128's -23.")
        ]
        | bool
        | None
    ) = None
    waveform: Annotated[Waveform, Meta(description="The shape of the sound as JSON, and as a PNG.")] | None = None


class Audio(Base[Options]):
    """See the module. Tags and the cover picture stay where the format has a place for them."""

    name = "audio"
    summary = "Make a sound from a sound, or from a film's sound track."
    options = Options

    def missing(self, engines: Engines) -> Missing | None:
        return engines.lacking(SoundEditor)

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        _editor(_codec(options), engines)
        sizes.check_span(options.start, options.end)
        if options.waveform is not None and (missing := engines.lacking(PeakFinder)) is not None:
            raise Unavailable("waveform", missing.reason, missing.remedy)
        return options

    def run(self, ctx: Context, options: Options) -> Result:
        [source] = ctx.inputs
        ctx.report("probe", 0.0)
        codec = _codec(options)
        editor = _editor(codec, ctx.engines)
        if source.mime not in editor.sources():
            raise BadMedia(f"A sound cannot be made of {source.mime}.")
        facts = ctx.engines.probe(source.path, source.mime)
        start_s, end_s = sizes.span(options.start, options.end, facts.duration_s)
        mime = editor.codecs()[codec]
        target = ctx.scratch / ("result" + formats.suffix(mime))
        rest_s = 0.0 if options.waveform is None else _finder(ctx).cost_s + editor.decode_s(codec)
        reached = 0.0

        def report(stage: str, fraction: float | None = None) -> None:
            nonlocal reached
            reached = max(reached, fraction or 0.0)
            ctx.report(stage, fraction)

        details = editor.edit(
            SoundEdit(
                source=source.path,
                source_mime=source.mime,
                target=target,
                codec=codec,
                start_s=start_s,
                end_s=end_s,
                level=None if options.quality is None else sizes.level(options.quality),
                bitrate_bps=options.bitrate,
                loudness_lufs=_target_lufs(options),
                scratch=ctx.scratch,
                tools=ctx.engines.tools(),
                report=report,
                rest_s=rest_s,
            )
        )
        outputs = [Output(path=target, mime=mime, filename=formats.renamed(source.filename, mime))]
        if options.waveform is not None:
            outputs += _waveform(ctx, outputs[0], options.waveform, (reached, 1.0))
        ignored = sorted(name for name in editor.ignored(codec) if getattr(options, name) is not None)
        more = {"ignored_settings": ignored} if ignored else {}
        return Result(outputs=outputs, details={"engine": editor.name, **details, **more})


def _codec(options: Options) -> str:
    """The bare name of the format: "m4a" for audio/mp4 and its like. Raises Unsupported."""
    word = (DEFAULT if options.format is None else options.format).strip().lower().removeprefix(".")
    if word in FORMATS:
        return word
    found = formats.find(word)
    if found is not None and found.names[0] in FORMATS:
        return found.names[0]
    raise Unsupported("format", f"must be one of {', '.join(FORMATS)}, is {options.format!r}.")


def _editor(codec: str, engines: Engines) -> SoundEditor:
    for editor in engines.offering(SoundEditor):
        if codec in editor.codecs():
            return editor
    missing = engines.lacking(SoundEditor)
    if missing is not None:
        raise Unavailable("format", missing.reason, missing.remedy)
    raise Unavailable("format", f"{codec} cannot be written here.", "Choose another format.")


def _target_lufs(options: Options) -> float | None:
    if options.loudness is None or options.loudness is False:
        return None
    return EBU_R128_LUFS if options.loudness is True else float(options.loudness)


def _finder(ctx: Context) -> PeakFinder:
    for finder in ctx.engines.offering(PeakFinder):
        return finder
    raise ToolFailed("Nothing here finds the peaks of a sound.")


def _waveform(ctx: Context, made: Output, wished: Waveform, span: tuple[float, float]) -> list[Output]:
    """The peaks of what was made, so that they fit what is heard: JSON, and a picture if wished."""
    finder = _finder(ctx)
    peaks = finder.find(made.path, made.mime, wished.points, tools=ctx.engines.tools(), report=ctx.report, span=span)
    table = ctx.scratch / "waveform.json"
    table.write_text(json.dumps(document(peaks), separators=(",", ":")), encoding="utf-8")
    name = formats.renamed(made.filename, "application/json")
    outputs = [Output(path=table, mime="application/json", filename=name, role="waveform")]
    if wished.png:
        picture = ctx.scratch / "waveform.png"
        background = None if wished.background is None else _rgb(wished.background)
        finder.draw(peaks, picture, (wished.width, wished.height), _rgb(wished.color), background)
        name = formats.renamed(made.filename, "image/png")
        outputs.append(Output(path=picture, mime="image/png", filename=name, role="waveform_image"))
    return outputs


def document(peaks: Peaks) -> dict[str, Any]:
    """Peaks in the form of audiowaveform's JSON, version 2, which players' libraries read: one channel, 16 bit,
    lowest and highest by turns. Source: audiowaveform, doc/DataFormat.md."""
    return {
        "version": 2,
        "channels": 1,
        "sample_rate": peaks.sample_rate_hz,
        "samples_per_pixel": peaks.samples_per_point,
        "bits": 16,
        "length": len(peaks.low),
        "data": [value for pair in zip(peaks.low, peaks.high, strict=True) for value in pair],
    }


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


KIND = Audio()
