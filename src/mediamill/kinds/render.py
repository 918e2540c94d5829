"""Render a timeline of clips, pictures, text and sound to a film, a GIF or a still."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from mediamill.core import formats
from mediamill.core.compositions import Compositor
from mediamill.core.ports import Engines, Missing
from mediamill.core.tasks import Source
from mediamill.kinds import Base, Context, Hint, Options, Output, Result, _scene


class Kind(Base[Options]):
    """See the module."""

    name = "render"
    summary = "Render a timeline of clips, pictures, text and sound to a film, a GIF or a still."
    options = _scene.options("render")
    inputs = (0, 0)

    def missing(self, engines: Engines) -> Missing | None:
        return engines.lacking(Compositor)

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        _scene.check(_scene.scene(options))
        return options

    def attachments(self, options: Options) -> Sequence[Source]:
        return _scene.sources(_scene.scene(options))

    def run(self, ctx: Context, options: Options) -> Result:
        scene = _scene.scene(options)
        mime = formats.canonical(scene.format)
        assert mime is not None
        target = ctx.scratch / f"rendered.{scene.format}"
        maker = _scene.engine(ctx)
        details = maker.render(_scene.work(ctx, scene), target)
        named: Any = options
        made = Output(path=target, mime=mime, filename=f"{named.output_filename or 'render'}.{scene.format}")
        return Result(outputs=[made], details={"engine": maker.name, **_scene.facts(details, scene)})


KIND = Kind()
