"""What a render will come to, for servers that limit the minutes a project may have of a month."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mediamill.core import compositions
from mediamill.core.dispatch import Meter
from mediamill.core.files import File

KIND = "render"


def meter_of(kind: str, options: Mapping[str, Any], files: Sequence[File | None], most_s: float | None) -> Meter | None:
    """The meter of a checked task; None where nothing is counted. files: those that the options name, in order.

    A lone clip whose length is not known yet reserves as much as a film may have, until it has ended: others wait with
    the rest of the month rather than use it twice.
    """
    if most_s is None or kind != KIND:
        return None
    format = options.get("output_format") or options.get("format") or compositions.FORMATS[0]
    scene = compositions.parse({**options, "output_format": format})
    clip_s = files[0].facts.get("duration_s") if files and files[0] is not None else None
    seconds = compositions.lasts(scene, clip_s)
    return Meter(seconds=seconds, reserved_s=compositions.MAX_DURATION_S if seconds is None else seconds, most_s=most_s)
