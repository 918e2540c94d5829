"""Make pictures and films larger, with the detail that stretching loses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta, structs

from mediamill.core import formats, processor
from mediamill.core.encode import Container
from mediamill.core.errors import BadMedia, LimitExceeded, NoVideo, Unavailable, Unsupported
from mediamill.core.media import Facts
from mediamill.core.ports import Conversion, Engines, Missing, Report
from mediamill.core.upscaling import MOST_PX, LargerFilm, LargerPicture, Upscaler, Way, enlarged
from mediamill.kinds import Base, Context, Hint, Output, Result
from mediamill.kinds import Options as BaseOptions

_PNG = "image/png"
_ANY_PX = 1 << 20
"""Wider than any picture: one that is to be resized to at most that is not made as small a file as can be, which takes
ten times as long and is of no use in between."""
_LOSSLESS = frozenset({_PNG, "image/bmp", "image/tiff", "image/gif", "image/x-portable-pixmap"})
_KEPT = {"image/jpeg": "image/jpeg", "image/webp": "image/webp"}
_CONTAINERS: dict[str, Container] = {"video/webm": "webm", "video/quicktime": "mov"}
_MIMES: dict[Container, str] = {"mp4": "video/mp4", "mov": "video/quicktime", "webm": "video/webm"}
PATIENCE_S = 300.0
"""What a film may take in the best way before `auto` takes the fast one."""
_MOST_FILM_PX = 8192 * 4320


class Options(BaseOptions, frozen=True, kw_only=True):
    """How much larger, and how."""

    scale: Annotated[float, Meta(ge=1, le=4, description="What each side is multiplied by, any fraction.")] = 2.0
    quality: Annotated[
        Literal["auto", "fast", "best", "restore"],
        Meta(
            description="fast: stretched and sharpened. best: a network's detail, true to the original; about one "
            "360p picture a second. restore: detail made up, for small damaged pictures. auto: best for "
            "pictures and short small films, else fast."
        ),
    ] = "auto"


class SuperResolution(Base[Options]):
    """See the module."""

    name = "super_resolution"
    command = "upscale"
    summary = "Make pictures and films larger, with the detail that stretching loses."
    options = Options
    ports = (Upscaler,)

    def missing(self, engines: Engines) -> Missing | None:
        return engines.lacking(Upscaler)

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        for hint in inputs:
            family = formats.family(hint.mime) if hint.mime is not None else None
            if hint.mime is not None and family not in ("image", "video"):
                raise Unsupported("input", f"{hint.mime} is neither a picture nor a film.")
            if family == "video" and options.quality == "restore":
                raise Unsupported("quality", "films are not restored; there is best.")
        if options.quality != "auto" and not _ways(engines, options.quality):
            missing = engines.lacking(Upscaler)
            remedy = missing.remedy if missing is not None else "Run `mediamill models fetch`."
            raise Unavailable("quality", f"Nothing here makes pictures larger in the way {options.quality}.", remedy)
        return structs.replace(options, scale=float(options.scale))

    def run(self, ctx: Context, options: Options) -> Result:
        [source] = ctx.inputs
        ctx.report("probe", 0.0)
        family = formats.family(source.mime)
        if family not in ("image", "video"):
            raise NoVideo("The input has no picture to make larger.")
        facts = ctx.engines.probe(source.path, source.mime)
        if family == "video" or (source.mime == "image/gif" and (facts.frames or 1) > 1):
            return _film(ctx, options, facts)
        return _picture(ctx, options)


def _ways(engines: Engines, way: Way) -> Sequence[Upscaler]:
    return [engine for engine in engines.offering(Upscaler) if engine.way == way]


def _chosen(ctx: Context, options: Options, pixels: float, *, film: bool) -> tuple[Upscaler, dict[str, Any]]:
    """The engine, and what the caller is told of the choice."""
    wanted: list[Way] = ["best", "fast"] if options.quality == "auto" else [options.quality]
    slow = ""
    for way in wanted:
        for engine in _ways(ctx.engines, way):
            if film and not engine.films:
                continue
            takes_s = pixels * _rounds(options.scale) / engine.px_per_s
            if film and options.quality == "auto" and way == "best" and takes_s > PATIENCE_S:
                slow = f"the best way would take about {takes_s / 60:.0f} minutes here; quality best asks for it"
                continue
            told = {"engine": engine.name, "licence": engine.licence, "quality": way, "scale": options.scale}
            return engine, {**told, **({"chosen_because": slow} if slow else {})}
    raise LimitExceeded(f"Films are not made larger in the way {options.quality}.")


def _rounds(scale: float) -> float:
    """What two passes cost, in first passes."""
    return 5.0 if scale > 2 else 1.0


def _picture(ctx: Context, options: Options) -> Result:
    [source] = ctx.inputs
    began_s = processor.used_s()
    folder = ctx.scratch / "seen"
    folder.mkdir(exist_ok=True)
    still = _converted(ctx, source.path, source.mime, folder / "picture.png", _PNG, {"resize": {"max_width": _ANY_PX}})
    facts = ctx.engines.probe(still, _PNG)
    width, height = facts.width_px or 0, facts.height_px or 0
    if not width or not height:
        raise BadMedia("The picture cannot be read.")
    size = enlarged(width, height, options.scale)
    if size[0] * size[1] > MOST_PX:
        raise LimitExceeded(f"The picture would have {size[0]} x {size[1]} pixels; {MOST_PX // 10**6} million go.")
    engine, details = _chosen(ctx, options, width * height, film=False)
    mime = _KEPT.get(source.mime, _PNG)
    made = ctx.scratch / "larger.png"
    work = LargerPicture(
        source=still,
        target=made,
        size=size,
        lossy=source.mime not in _LOSSLESS,
        began_s=began_s,
        again=mime != _PNG,
        tools=ctx.engines.tools(),
        report=ctx.report,
    )
    details |= engine.picture(work)
    if mime != _PNG:
        made = _converted(ctx, made, _PNG, ctx.scratch / f"larger{formats.suffix(mime)}", mime, {"quality": 92})
    ctx.report("encode", 1.0)
    details |= {"width_px": size[0], "height_px": size[1]}
    name = formats.renamed(source.filename, mime)
    return Result(outputs=[Output(path=made, mime=mime, filename=name)], details=details)


def _converted(ctx: Context, source: Path, mime: str, target: Path, target_mime: str, settings: dict[str, Any]) -> Path:
    if not (converters := ctx.engines.converters((mime, target_mime))):
        raise BadMedia(f"Nothing here reads {mime} as a picture.")
    keys = converters[0].keys((mime, target_mime))
    converters[0].convert(
        Conversion(
            source=source,
            source_mime=mime,
            target=target,
            target_mime=target_mime,
            settings={key: value for key, value in settings.items() if key in keys},
            scratch=target.parent,
            tools=ctx.engines.tools(),
            report=lambda stage, fraction=None: None,
        )
    )
    if not target.is_file():
        raise BadMedia("The picture cannot be read.")
    return target


def _film(ctx: Context, options: Options, facts: Facts) -> Result:
    [source] = ctx.inputs
    width, height = facts.width_px or 0, facts.height_px or 0
    if not width or not height:
        raise NoVideo("The file has no video track, only sound.")
    size = enlarged(width, height, options.scale, even=True)
    if size[0] * size[1] > _MOST_FILM_PX:
        raise LimitExceeded(f"The film would have {size[0]} x {size[1]} pixels; 8192 x 4320 go.")
    count = facts.frames or (facts.frame_rate or 25.0) * (facts.duration_s or 1.0)
    engine, details = _chosen(ctx, options, width * height * count, film=True)
    container = _CONTAINERS.get(source.mime, "mp4")
    target = ctx.scratch / f"larger.{container}"
    work = LargerFilm(
        source=source.path,
        source_mime=source.mime,
        target=target,
        container=container,
        size=size,
        tools=ctx.engines.tools(),
        report=_rising(ctx.report),
    )
    details |= engine.film(work)
    details |= {"width_px": size[0], "height_px": size[1]}
    mime = _MIMES[container]
    name = formats.renamed(source.filename, mime)
    return Result(outputs=[Output(path=target, mime=mime, filename=name)], details=details)


def _rising(report: Report) -> Report:
    reached = 0.0

    def rising(stage: str, fraction: float | None = None) -> None:
        nonlocal reached
        if fraction is not None:
            fraction = reached = max(reached, fraction)
        report(stage, fraction)

    return rising


KIND = SuperResolution()
