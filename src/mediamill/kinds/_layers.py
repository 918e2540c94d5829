"""Layers: pictures and lines of text laid over a picture or a film, as the kinds that draw them take them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from mediamill.core.errors import Invalid
from mediamill.core.tasks import Source
from mediamill.kinds._sizes import MAX_SIDE_PX, Colour, Position, Seconds, Size, check_size, check_span

Offset = (
    Annotated[int, Meta(ge=-MAX_SIDE_PX, le=MAX_SIDE_PX)]
    | Annotated[str, Meta(pattern=r"^-?[0-9]{1,3}(\.[0-9]{1,4})?%$")]
)
"""Pixels, or a percentage of the same side of what is drawn on."""
Url = Annotated[str, Meta(min_length=1, max_length=8192)]
MAX_LAYERS = 32


class _Layer(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What both have. An edge fixes the layer to it; an axis without one goes by `position`."""

    width: Annotated[Size, Meta(description="Pixels, or a percentage of what it is drawn on.")] | None = None
    height: Annotated[Size, Meta(description="Pixels, or a percentage of what it is drawn on.")] | None = None
    top: Annotated[Offset, Meta(description="Distance from the upper edge.")] | None = None
    left: Annotated[Offset, Meta(description="Distance from the left edge.")] | None = None
    right: Annotated[Offset, Meta(description="Distance from the right edge.")] | None = None
    bottom: Annotated[Offset, Meta(description="Distance from the lower edge.")] | None = None
    position: Annotated[Position, Meta(description="Where it lies on an axis that has no distance.")] = "center"
    opacity: Annotated[float, Meta(ge=0, le=1, description="0 is not there, 1 hides what is below.")] = 1.0
    start: Annotated[Seconds, Meta(description="Second of the result at which it appears.")] | None = None
    end: Annotated[Seconds, Meta(description="Second of the result at which it goes.")] | None = None


class ImageLayer(_Layer, frozen=True, kw_only=True, tag_field="kind", tag="image"):
    """A picture, named by a URL or by the id of a stored file."""

    url: Annotated[Url, Meta(description="Where the picture is.")] | None = None
    file: Annotated[str, Meta(min_length=1, max_length=255, description="Id of a stored picture.")] | None = None


class TextLayer(_Layer, frozen=True, kw_only=True, tag_field="kind", tag="text"):
    """Lines of text. `width` is where they break."""

    text: Annotated[str, Meta(min_length=1, max_length=5000, description="What it says.")]
    font: Annotated[str, Meta(min_length=1, max_length=100, description="Family of the font (Noto Sans).")] | None = (
        None
    )
    font_size: Annotated[int, Meta(ge=1, le=1000, description="Pixels (a twentieth of the height).")] | None = None
    color: Annotated[Colour, Meta(description="As #RRGGBB.")] = "#ffffff"


AnyLayer = ImageLayer | TextLayer
Layers = Annotated[tuple[AnyLayer, ...], Meta(max_length=MAX_LAYERS)]


def check(layers: Sequence[AnyLayer]) -> None:
    """Raises Invalid for what a schema cannot say."""
    for number, layer in enumerate(layers):
        at = f"layers.{number}"
        check_size(f"{at}.width", layer.width)
        check_size(f"{at}.height", layer.height)
        check_span(layer.start, layer.end, field=f"{at}.end")
        if isinstance(layer, ImageLayer) and (layer.url is None) == (layer.file is None):
            raise Invalid(f"{at}.url", "a picture is named by one of url and file.")


def sources(layers: Sequence[AnyLayer]) -> list[Source]:
    """The pictures to fetch, in order."""
    return [
        Source(url=layer.url) if layer.url is not None else Source(file=layer.file)
        for layer in layers
        if isinstance(layer, ImageLayer)
    ]


def pixels(value: int | str | None, of_px: int) -> int | None:
    """A length on a side of this many pixels."""
    if value is None or isinstance(value, int):
        return value
    return round(of_px * float(value.removesuffix("%")) / 100)


def side(value: int | str | None, of_px: int) -> int | None:
    """A size on a side of this many pixels; never nothing."""
    found = pixels(value, of_px)
    return None if found is None else max(1, found)
