"""Look at a timeline before it is rendered: one frame, a short small clip, or a sheet of telling moments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from mediamill.core import formats
from mediamill.core.compositions import Compositor
from mediamill.core.errors import Invalid
from mediamill.core.ports import Engines, Missing
from mediamill.core.tasks import Source
from mediamill.kinds import Base, Context, Hint, Options, Output, Result, _scene

MAX_WINDOW_S = 60.0


class Window(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A part of the film."""

    start: Annotated[float, Meta(ge=0, description="First second.")]
    end: Annotated[float, Meta(gt=0, description="Second to stop at.")]


class Sheet(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A grid of moments."""

    frames: Annotated[int, Meta(ge=1, le=36, description="How many.")] = 9


_OWN = ("at", "window", "contact_sheet")
_FIELDS: Sequence[Any] = [
    ("at", Annotated[float, Meta(ge=0, description="One frame: that of this second.")] | None, None),
    ("window", Annotated[Window | None, Meta(description="A short, small clip.")], None),
    ("contact_sheet", Annotated[Sheet | None, Meta(description="A grid of frames (the default, of 9).")], None),
]


class Kind(Base[Options]):
    """See the module."""

    name = "preview"
    summary = "Look at a timeline before it is rendered: one frame, a short small clip, or a sheet of telling moments."
    options = _scene.options("preview", _FIELDS)
    inputs = (0, 0)
    queue = "io"
    """Somebody waits for it: it does not stand in line behind the renders."""

    def missing(self, engines: Engines) -> Missing | None:
        return engines.lacking(Compositor)

    def check(self, options: Options, inputs: Sequence[Hint], engines: Engines) -> Options:
        wished: Any = options
        modes = [name for name in _OWN if getattr(wished, name) is not None]
        if len(modes) > 1:
            raise Invalid(modes[1], f"{modes[0]} is given already.")
        window = wished.window
        if window is not None and not 0 < window.end - window.start <= MAX_WINDOW_S:
            raise Invalid("window.end", f"must lie after the start, by {MAX_WINDOW_S:g} s at most.")
        _scene.check(_scene.scene(options, own=_OWN))
        return options

    def attachments(self, options: Options) -> Sequence[Source]:
        return _scene.sources(_scene.scene(options, own=_OWN))

    def run(self, ctx: Context, options: Options) -> Result:
        wished: Any = options
        scene = _scene.scene(options, own=_OWN)
        work, maker = _scene.work(ctx, scene), _scene.engine(ctx)
        ctx.report("probe", 0.0)
        if wished.at is not None:
            target, mode = ctx.scratch / "frame.png", "frame"
            details = maker.frame(work, wished.at, target)
        elif wished.window is not None:
            target, mode = ctx.scratch / "clip.mp4", "window"
            details = maker.clip(work, wished.window.start, wished.window.end, target)
        else:
            target, mode = ctx.scratch / "sheet.jpg", "contact_sheet"
            details = maker.sheet(work, (wished.contact_sheet or Sheet()).frames, target)
        ctx.report("encode", 1.0)
        mime = formats.canonical(target.suffix[1:])
        assert mime is not None
        found = {"engine": maker.name, "mode": mode, **_scene.facts(details, scene)}
        return Result(outputs=[Output(path=target, mime=mime, filename=target.name)], details=found)


KIND = Kind()
