"""Cut people and things out of pictures and films, with transparency behind them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal

from msgspec import Meta

from mediamill.core import formats, processor
from mediamill.core.errors import BadMedia, NoSubject, NoVideo, ToolFailed, Unsupported
from mediamill.core.matting import FilmCut, Matter, PictureCut
from mediamill.core.ports import Conversion, Engines, Missing, Rising
from mediamill.kinds import Base, Context, Hint, Output, Result
from mediamill.kinds import Options as BaseOptions

_PNG = "image/png"
_ANY_PX = 1 << 20
"""Wider than any picture: one that is to be resized to at most that is not made as small a file as can be, which takes
ten times as long and is of no use in between."""
_FILMS = {"webm": "video/webm", "mov": "video/quicktime"}


class Options(BaseOptions, frozen=True, kw_only=True):
    """What to make."""

    format: (
        Annotated[
            Literal["webm", "mov", "png"],
            Meta(
                description="webm (VP9), mov (ProRes 4444) or png, all with transparency; webm for a film by default, "
                "png for a picture. png of a film is its first picture."
            ),
        ]
        | None
    ) = None


class RemoveBackground(Base[Options]):
    """See the module."""

    name = "remove_background"
    command = "matte"
    summary = "Cut people and things out of pictures and films, with transparency behind them."
    options = Options
    ports = (Matter,)

    def missing(self, engines: Engines) -> Missing | None:
        return engines.lacking(Matter)

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        for hint in inputs:
            family = formats.family(hint.mime) if hint.mime is not None else None
            if hint.mime is not None and family not in ("image", "video"):
                raise Unsupported("input", f"{hint.mime} is neither a picture nor a film.")
            if family == "image" and hint.mime != "image/gif" and options.format in _FILMS:
                raise _no_film(options.format)
        return options

    def run(self, ctx: Context, options: Options) -> Result:
        [source] = ctx.inputs
        report = Rising(ctx.report)
        report("probe", 0.0)
        began_s = processor.used_s()
        if formats.family(source.mime) not in ("image", "video"):
            raise NoVideo("The input has no picture to cut anything out of.")
        facts = ctx.engines.probe(source.path, source.mime)
        moving = formats.family(source.mime) == "video" or (source.mime == "image/gif" and (facts.frames or 1) > 1)
        word = options.format or ("webm" if moving else "png")
        if word == "png":
            mime, target = _PNG, ctx.scratch / "cut.png"
            still = _still(ctx)
            picture = PictureCut(source=still, target=target, report=report, began_s=began_s)
            details = _asked(ctx, lambda engine, others: engine.picture(replace(picture, others=others)))
        elif not moving:
            raise _no_film(word)
        else:
            mime, target = _FILMS[word], ctx.scratch / f"cut.{word}"
            film = FilmCut(
                source=source.path,
                source_mime=source.mime,
                target=target,
                format="mov" if word == "mov" else "webm",
                tools=ctx.engines.tools(),
                report=report,
            )
            details = _asked(ctx, lambda engine, others: engine.film(replace(film, others=others)))
        name = formats.renamed(source.filename, mime)
        return Result(outputs=[Output(path=target, mime=mime, filename=name)], details=details)


def _no_film(word: str | None) -> Unsupported:
    return Unsupported("format", f"a picture becomes png; {word} is for films.")


def _asked(ctx: Context, work: Callable[[Matter, bool], Mapping[str, Any]]) -> dict[str, Any]:
    """Ask one engine after another, the best first, until one finds something in front; each is told whether others are
    asked after it. Raises the last NoSubject."""
    engines = ctx.engines.offering(Matter)
    for engine in engines:
        others = engine is not engines[-1]
        try:
            facts = work(engine, others)
        except NoSubject:
            if not others:
                raise
            continue
        return {"engine": engine.name, "licence": engine.licence, "quality": engine.care, **facts}
    raise ToolFailed("Nothing here cuts anything out.")


def _still(ctx: Context) -> Path:
    """The input as a PNG file: a picture upright, a film's first picture."""
    [source] = ctx.inputs
    if not (converters := ctx.engines.converters((source.mime, _PNG))):
        raise BadMedia(f"Nothing here reads {source.mime} as a picture.")
    folder = ctx.scratch / "seen"
    folder.mkdir(exist_ok=True)
    target = folder / "picture.png"
    converters[0].convert(
        Conversion(
            source=source.path,
            source_mime=source.mime,
            target=target,
            target_mime=_PNG,
            settings={"resize": {"max_width": _ANY_PX}} if "resize" in converters[0].keys((source.mime, _PNG)) else {},
            scratch=folder,
            tools=ctx.engines.tools(),
            report=lambda stage, fraction=None: None,
        )
    )
    if not target.is_file():
        raise BadMedia("The picture cannot be read.")
    return target


KIND = RemoveBackground()
