"""Turn the eyes of those who speak in a film to the camera; all else stays as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from msgspec import Meta

from mediamill.core import formats
from mediamill.core.errors import NoVideo, Unsupported
from mediamill.core.gaze import Redirecting, Redirector
from mediamill.core.ports import Engines, Missing
from mediamill.kinds import Base, Context, Hint, Output, Result
from mediamill.kinds import Options as BaseOptions

_WEBM = "video/webm"


class Options(BaseOptions, frozen=True, kw_only=True):
    """How far."""

    intensity: Annotated[
        float, Meta(ge=0, le=1, description="0 leaves the eyes as they are, 1 looks fully at the camera.")
    ] = 1.0


class GazeRedirect(Base[Options]):
    """See the module."""

    name = "gaze_redirect"
    command = "gaze"
    summary = "Turn the eyes of those who speak in a film to the camera."
    options = Options
    ports = (Redirector,)

    def missing(self, engines: Engines) -> Missing | None:
        return engines.lacking(Redirector)

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        for hint in inputs:
            if hint.mime is not None and formats.family(hint.mime) != "video":
                raise Unsupported("input", f"{hint.mime} is no film; eyes are turned in films.")
        return options

    def run(self, ctx: Context, options: Options) -> Result:
        [source] = ctx.inputs
        ctx.report("probe", 0.0)
        if formats.family(source.mime) != "video":
            raise NoVideo("The input is no film; eyes are turned in films.")
        container: Literal["mp4", "webm"] = "webm" if source.mime == _WEBM else "mp4"
        mime = f"video/{container}"
        engine = ctx.engines.offering(Redirector)[0]
        target = ctx.scratch / f"gaze.{container}"
        details = engine.redirect(
            Redirecting(
                source=source.path,
                source_mime=source.mime,
                target=target,
                container=container,
                intensity=options.intensity,
                tools=ctx.engines.tools(),
                report=ctx.report,
            )
        )
        name = formats.renamed(source.filename, mime)
        return Result(
            outputs=[Output(path=target, mime=mime, filename=name)],
            details={"engine": engine.name, "licence": engine.licence, **details},
        )


KIND = GazeRedirect()
