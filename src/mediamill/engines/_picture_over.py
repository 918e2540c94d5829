"""What a picture becomes beyond its size: laid on a canvas, other pictures and text laid over it. Pillow pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediamill.core.media import Placing, anchored
from mediamill.core.pictures import Colour, Place, TextOver
from mediamill.engines._lettering import lettered
from mediamill.engines._picture import check_size, eight_bit, has_alpha


@dataclass(frozen=True, slots=True, kw_only=True)
class Laid:
    """A picture in RGBA at its final size and strength, and where its corner comes to lie."""

    picture: Any
    left_px: int
    top_px: int


def laid(picture: Any, place: Place, on: tuple[int, int]) -> Laid:
    """A picture as it will lie over one of size `on`."""
    from PIL import Image

    size = _size(picture.size, place)
    check_size(*size)
    picture = eight_bit(picture).convert("RGBA")
    if picture.size != size:
        # Premultiplied, else the colour of what is see-through bleeds into the edges.
        picture = picture.convert("RGBa").resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0).convert("RGBA")
    if place.opacity < 1:
        picture.putalpha(picture.getchannel("A").point([round(value * place.opacity) for value in range(256)]))
    left, top = _corner(place, size, on)
    return Laid(picture=picture, left_px=left, top_px=top)


def text(over: TextOver, on: tuple[int, int], scratch: Path) -> Laid | None:
    """A text as it will lie over a picture of size `on`; None when it leaves no mark."""
    from dataclasses import replace

    width = over.place.width_px or on[0]  # a line that runs out of the picture helps nobody
    drawn = lettered(
        over.text, font=over.font, size_px=over.size_px, colour=over.colour, width_px=width, scratch=scratch
    )
    if drawn is None:
        return None
    return laid(drawn, replace(over.place, width_px=None, height_px=None), on)


def _size(natural: tuple[int, int], place: Place) -> tuple[int, int]:
    width, height = natural
    if place.width_px and place.height_px:
        return place.width_px, place.height_px
    if place.width_px:
        return place.width_px, max(1, round(height * place.width_px / width))
    if place.height_px:
        return max(1, round(width * place.height_px / height)), place.height_px
    return natural


def _corner(place: Place, size: tuple[int, int], on: tuple[int, int]) -> tuple[int, int]:
    left, top = (float(value) for value in anchored(on, size, place.position))
    if place.left_px is not None:
        left = place.left_px
    elif place.right_px is not None:
        left = on[0] - size[0] - place.right_px
    if place.top_px is not None:
        top = place.top_px
    elif place.bottom_px is not None:
        top = on[1] - size[1] - place.bottom_px
    return round(left), round(top)


def plain(placing: Placing) -> bool:
    """Whether the scaled picture is the whole of what is made."""
    return not (placing.padded or placing.cropped)


def composed(picture: Any, placing: Placing, background: Colour | None, over: Sequence[Laid]) -> Any:
    """The scaled picture on its canvas, with everything laid over it in order; as it was when there is nothing."""
    if plain(placing) and not over:
        return picture
    picture = _placed(eight_bit(picture), placing, background)
    if not over:
        return picture
    clear = has_alpha(picture)
    picture = picture.convert("RGBA")
    for each in over:
        _paste(picture, each)
    return picture if clear else picture.convert("RGB")


def _placed(picture: Any, placing: Placing, background: Colour | None) -> Any:
    from PIL import Image

    if plain(placing):
        return picture
    left, top = placing.left_px, placing.top_px
    width, height = placing.width_px, placing.height_px
    beside = picture.width < width or picture.height < height
    if not beside:
        return picture.crop((-left, -top, width - left, height - top))
    if background is not None and not has_alpha(picture):
        ground = Image.new("RGB", (width, height), background)
        ground.paste(picture.convert("RGB"), (left, top))
        return ground
    if background is None:
        ground = Image.new("RGBA", (width, height))
        ground.paste(picture.convert("RGBA"), (left, top))
        return ground
    # A colour behind the whole of it: bars of black beside a picture that stays see-through would look like a fault.
    ground = Image.new("RGBA", (width, height), (*background, 255))
    _paste(ground, Laid(picture=picture.convert("RGBA"), left_px=left, top_px=top))
    return ground.convert("RGB")


def _paste(ground: Any, over: Laid) -> None:
    """Alpha compositing at any place, also partly or wholly outside."""
    left, top = over.left_px, over.top_px
    box = (max(0, -left), max(0, -top), over.picture.width, over.picture.height)
    box = (*box[:2], min(box[2], ground.width - left), min(box[3], ground.height - top))
    if box[2] > box[0] and box[3] > box[1]:
        ground.alpha_composite(over.picture.crop(box), (max(0, left), max(0, top)))
