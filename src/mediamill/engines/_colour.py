"""Colour: into sRGB by a profile, and onto a background."""

from __future__ import annotations

import io
from typing import Any

from mediamill.engines._picture import eight_bit, has_alpha


def to_srgb(image: Any, icc: bytes) -> Any:
    """A Pillow picture as sRGB would show it; unchanged when the profile is broken or for other channels."""
    from PIL import Image, ImageCms

    if icc[16:20] == b"RGB " and b"sRGB" in icc[:4096]:
        return image
    picture = eight_bit(image)
    alpha = picture.getchannel("A") if has_alpha(picture) else None
    colour = picture.convert("L" if icc[16:20] == b"GRAY" else "RGB")
    try:
        profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
        made = ImageCms.profileToProfile(colour, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
    except (ImageCms.PyCMSError, OSError):
        return image
    if not isinstance(made, Image.Image):
        return image
    if alpha is not None:
        made.putalpha(alpha)
    return made


def flat(image: Any, background: tuple[int, int, int]) -> Any:
    """A Pillow picture as L or RGB, what was see-through filled with the background."""
    from PIL import Image

    picture = eight_bit(image)
    if not has_alpha(picture):
        return picture
    ground = Image.new("RGBA", picture.size, (*background, 255))
    ground.alpha_composite(picture.convert("RGBA"))
    return ground.convert("RGB")
