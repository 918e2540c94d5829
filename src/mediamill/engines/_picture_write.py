"""A `Still` into a file of the wished format, at efforts chosen by measurement (docs/why/images.md)."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mediamill.core.errors import LimitExceeded
from mediamill.engines import _picture_pdf, _webp_encoder
from mediamill.engines._colour import flat, to_srgb
from mediamill.engines._picture import Still, Vips, Wishes, eight_bit, has_alpha, libvips

_LONGEST = {"image/webp": 16383, "image/jpeg": 65500, "image/gif": 65535}
"""Longest side a format can hold (its own fields' widths; libjpeg stops at 65500)."""

JPEG_QUALITY, WEBP_QUALITY, AVIF_QUALITY = 80, 80, 60
WEBP_METHOD = 4
AVIF_SPEED = 8
_LARGE_PX, THREADS = 1_000_000, 4
"""Pictures from which on a coder may use several threads: smaller ones are done before these have begun."""


Telling = Callable[[Any], Callable[[int], None]]
"""Gets a picture as it is about to be written, and makes of it what is told libwebp's per cent."""


def tells(mime: str) -> bool:
    """Whether the coder of a type tells how far it is."""
    return mime == "image/webp" and _webp_encoder.library() is not None


def check_sides(still: Still, mime: str) -> None:
    """Raises LimitExceeded when the format cannot hold a picture of this size."""
    longest = _LONGEST.get(mime)
    if longest and max(still.pixels.width, still.pixels.height) > longest:
        raise LimitExceeded(f"This format holds at most {longest} pixels a side; ask for a resize.")


def write(still: Still, target: Path, mime: str, wishes: Wishes, telling: Telling | None = None) -> None:
    """`telling`: for types that tell. Raises LimitExceeded when the format cannot hold a picture of this size."""
    check_sides(still, mime)
    if wishes.strip:
        still = Still(pixels=still.pixels, icc=still.icc)
    if telling is not None:
        _webp(still, target, wishes, telling)
    else:
        _WRITERS[mime](still, target, wishes)


def _metadata(still: Still) -> dict[str, bytes]:
    blocks = {"icc_profile": still.icc, "exif": still.exif, "xmp": still.xmp}
    return {name: block for name, block in blocks.items() if block}


def _vips_with_metadata(still: Still) -> tuple[Vips, dict[str, Any]]:
    """The picture with exactly the blocks to keep, and the saver's option that keeps them."""
    vips = libvips()
    image = still.vips().copy()
    for field in image.get_fields():
        if field.startswith("exif-") or field in ("xmp-data", "iptc-data", "orientation", "icc-profile-data"):
            image.remove(field)
    for name, block in (("icc-profile-data", still.icc), ("exif-data", still.exif), ("xmp-data", still.xmp)):
        if block:
            image.set_type(vips.GValue.blob_type, name, block)
    return image, {"keep": "icc" if not (still.exif or still.xmp) else "all"}


def _png(still: Still, target: Path, wishes: Wishes) -> None:
    from PIL import Image

    small = wishes.small
    pixels = still.pixels
    if isinstance(pixels, Image.Image) and pixels.mode in ("1", "P"):
        pixels.save(target, "PNG", optimize=small, compress_level=9 if small else 6, **_metadata(still))
        return
    image, keep = _vips_with_metadata(still)
    # "sub" costs nothing against no filter and saves a third on photos; all filters at level 9 when size is the point.
    if not small:
        image.pngsave(str(target), compression=6, filter="sub", **keep)
        return
    image = image.copy_memory()
    made = _leaner(image).pngsave_buffer(compression=9, filter="all", **keep)
    few = _few_colours(image)
    if few is not None:
        indexed = io.BytesIO()
        few.save(indexed, "PNG", optimize=True, **_metadata(still))
        made = min(made, indexed.getvalue(), key=len)
    target.write_bytes(made)


def _few_colours(image: Vips) -> Any:
    """The picture as an exact palette of at most 256 colours, or None when it has more."""
    if image.format != "uchar" or image.width * image.height > 64_000_000:
        return None
    picture: Any = Still(pixels=image).pillow()
    if picture.mode == "L":
        return None
    colours = picture.getcolors(256)
    if colours is None:
        return None
    if picture.mode == "LA":
        picture = picture.convert("RGBA")
        colours = picture.getcolors(256)
    return _palette(picture, [c for _, c in colours])


def _palette(picture: Any, colours: list[tuple[int, ...]]) -> Any:
    import numpy as np
    from PIL import Image

    colours = sorted(colours, key=lambda c: (c[3] if len(c) == 4 else 255, c))  # see-through first: a short tRNS
    pixels = np.asarray(picture).astype(np.uint32)
    keys = sum(pixels[..., band] << (8 * band) for band in range(pixels.shape[2]))
    known = np.array([sum(value << (8 * band) for band, value in enumerate(c)) for c in colours], np.uint32)
    order = np.argsort(known)
    made = Image.fromarray(order[np.searchsorted(known, keys, sorter=order)].astype(np.uint8), "P")
    made.putpalette([value for c in colours for value in c[:3]], "RGB")
    alphas = bytes(c[3] for c in colours if len(c) == 4 and c[3] < 255)
    if alphas:
        made.info["transparency"] = alphas
    return made


def _leaner(image: Vips) -> Vips:
    """Without an alpha that hides nothing, and grey where all colours are."""
    top = 65535 if image.format == "ushort" else 255
    if image.bands in (2, 4) and image[image.bands - 1].min() == top:
        image = image[: image.bands - 1]
    if image.bands >= 3 and not image.get_typeof("icc-profile-data") and _is_grey(image):
        grey = image[0] if image.bands == 3 else image[0].bandjoin(image[3])
        image = grey.copy(interpretation="grey16" if top == 65535 else "b-w")
    return image


def _is_grey(image: Vips) -> bool:
    return bool((image[0] - image[1]).abs().max() == 0 and (image[1] - image[2]).abs().max() == 0)


def _tiff(still: Still, target: Path, wishes: Wishes) -> None:
    from PIL import Image

    if isinstance(still.pixels, Image.Image) and still.pixels.mode == "1":
        still.pixels.save(target, "TIFF", compression="group4", **_metadata(still))
        return
    image, keep = _vips_with_metadata(still)
    image.tiffsave(str(target), compression="deflate", predictor="horizontal", **keep)


def _jpeg(still: Still, target: Path, wishes: Wishes) -> None:
    from PIL import Image

    quality = wishes.quality or JPEG_QUALITY
    if isinstance(still.pixels, Image.Image):
        picture = flat(still.pixels, wishes.background)
        picture.save(
            target,
            "JPEG",
            quality=quality,
            optimize=True,
            progressive=wishes.small,
            **_metadata(_fitting(still, picture)),
        )
        return
    image, keep = _vips_with_metadata(still)
    if image.bands in (2, 4):
        scale = 257 if image.format == "ushort" else 1
        fill = [value * scale for value in wishes.background]
        image = image.flatten(background=fill if image.bands == 4 else fill[:1])
    if image.format != "uchar":
        image = image.colourspace("b-w" if image.bands < 3 else "srgb")
    image.jpegsave(str(target), Q=quality, optimize_coding=True, interlace=wishes.small, **keep)


def _fitting(still: Still, picture: Any) -> Still:
    """Without a profile that is for another number of channels than the picture has."""
    grey = still.icc is not None and still.icc[16:20] == b"GRAY"
    if still.icc is None or grey == (picture.mode in ("L", "LA")):
        return still
    return Still(pixels=picture, exif=still.exif, xmp=still.xmp)


def _colour_and_alpha(still: Still) -> tuple[Any, Still]:
    """RGB or RGBA for the formats that know nothing else; a grey profile is applied, since it cannot be carried."""
    picture = eight_bit(still.pillow())
    if still.icc is not None and still.icc[16:20] == b"GRAY":
        return to_srgb(picture, still.icc), Still(pixels=picture, exif=still.exif, xmp=still.xmp)
    return picture if picture.mode in ("RGB", "RGBA") else picture.convert(
        "RGBA" if has_alpha(picture) else "RGB"
    ), still


def _webp(still: Still, target: Path, wishes: Wishes, telling: Telling | None = None) -> None:
    picture, still = _colour_and_alpha(still)
    quality = wishes.quality or (75 if wishes.lossless else WEBP_QUALITY)
    settings: dict[str, Any] = {"quality": quality, "method": WEBP_METHOD, "lossless": wishes.lossless}
    if telling is None:
        picture.save(target, "WEBP", **settings, exact=wishes.lossless, **_metadata(still))
    else:
        target.write_bytes(_webp_encoder.encode(picture, _metadata(still), **settings, tell=telling(picture)))


def _avif(still: Still, target: Path, wishes: Wishes) -> None:
    picture, still = _colour_and_alpha(still)
    lossless: dict[str, Any] = {"subsampling": "4:4:4", "quality": 100} if wishes.lossless else {}
    count = THREADS if picture.width * picture.height > _LARGE_PX else 1
    options = {"quality": wishes.quality or AVIF_QUALITY, "speed": AVIF_SPEED, **lossless}
    picture.save(target, "AVIF", max_threads=count, **options, **_metadata(still))


def in_srgb(still: Still) -> Still:
    """The same picture with sRGB values and no profile."""
    if still.icc is None:
        return still
    if still.pixels.__class__.__name__ == "Image" and hasattr(still.pixels, "icc_transform"):
        kept = still.pixels.format == "ushort"
        image = still.pixels.icc_transform("srgb", embedded=True, depth=16 if kept else 8)
        return Still(pixels=image, exif=still.exif, xmp=still.xmp)
    return Still(pixels=_srgb(still), exif=still.exif, xmp=still.xmp)


def _srgb(still: Still) -> Any:
    """The picture in sRGB, for formats that cannot say otherwise."""
    picture = still.pillow()
    return to_srgb(picture, still.icc) if still.icc else picture


def _gif(still: Still, target: Path, wishes: Wishes) -> None:
    paletted(_srgb(still)).save(target, "GIF", optimize=True)


def paletted(picture: Any) -> Any:
    """A Pillow picture in at most 256 colours: exactly, or dithered to its own best; alpha becomes one clear colour.

    libvips' quantiser is a little better and a hundred times slower.
    """
    if picture.mode in ("1", "L", "P"):
        return picture
    picture = eight_bit(picture)
    if not has_alpha(picture):
        exact = picture.getcolors(256)
        if exact is not None:
            return _palette(picture, [colour for _, colour in exact])
        return _quantised(picture.convert("RGB"), 256)
    clear = picture.getchannel("A").point(lambda value: 255 if value < 128 else 0)
    colours = picture.convert("RGB")
    colours.paste((0, 0, 0), mask=clear)
    exact = colours.getcolors(255)
    made = _palette(colours, [colour for _, colour in exact]) if exact is not None else _quantised(colours, 255)
    if clear.getbbox():
        made.paste(255, mask=clear)
        made.info["transparency"] = 255
    return made


_SAMPLED_PX = 200_000


def _quantised(picture: Any, colours: int) -> Any:
    """A palette from a sample of the pixels by octree, then all pixels dithered to it: as true as a median cut of all
    pixels (2 MP: 3.0 levels off against 6.4) in a thirtieth of the time."""
    from PIL import Image

    step = max(1.0, (picture.width * picture.height / _SAMPLED_PX) ** 0.5)
    size = max(1, round(picture.width / step)), max(1, round(picture.height / step))
    sample = picture.resize(size, Image.Resampling.NEAREST).quantize(colours, method=Image.Quantize.FASTOCTREE)
    return picture.quantize(palette=sample, dither=Image.Dither.FLOYDSTEINBERG)


def _bmp(still: Still, target: Path, wishes: Wishes) -> None:
    picture = _srgb(still)
    if picture.mode not in ("1", "P") or has_alpha(picture):
        picture = flat(picture, wishes.background)
    picture.save(target, "BMP")


def _ico(still: Still, target: Path, wishes: Wishes) -> None:
    """The usual sizes up to the picture's own, each on a square, see-through where the picture is not square."""
    from PIL import Image

    picture = eight_bit(_srgb(still)).convert("RGBA")
    side = min(256, max(picture.size))
    picture.thumbnail((side, side), Image.Resampling.LANCZOS, reducing_gap=3.0)
    square = Image.new("RGBA", (side, side))
    square.paste(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    sizes = sorted({s for s in (16, 24, 32, 48, 64, 128, 256) if s < side} | {side})
    square.save(target, "ICO", sizes=[(s, s) for s in sizes])


def _ppm(still: Still, target: Path, wishes: Wishes) -> None:
    flat(_srgb(still), wishes.background).convert("RGB").save(target, "PPM")


def _pgm(still: Still, target: Path, wishes: Wishes) -> None:
    flat(_srgb(still), wishes.background).convert("L").save(target, "PPM")


def _pbm(still: Still, target: Path, wishes: Wishes) -> None:
    picture = _srgb(still)
    if picture.mode != "1":
        picture = flat(picture, wishes.background).convert("L").convert("1")  # Floyd-Steinberg
    picture.save(target, "PPM")


def _jp2(still: Still, target: Path, wishes: Wishes) -> None:
    picture = _srgb(still)
    picture = picture if picture.mode == "I;16" else eight_bit(picture)
    lossy: dict[str, Any] = {}
    if wishes.quality is not None and wishes.quality < 100:
        # OpenJPEG takes a peak signal-to-noise ratio: 30 dB is rough, 50 dB beyond the eye.
        lossy = {"quality_mode": "dB", "quality_layers": [28 + wishes.quality * 0.22], "irreversible": True}
    picture.save(target, "JPEG2000", **lossy)


def _pdf(still: Still, target: Path, wishes: Wishes) -> None:
    picture = _srgb(still)
    if picture.mode != "1":
        picture = flat(picture, wishes.background)
    _picture_pdf.write(picture, target, wishes.quality)


_WRITERS = {
    "image/png": _png,
    "image/jpeg": _jpeg,
    "image/webp": _webp,
    "image/avif": _avif,
    "image/gif": _gif,
    "image/tiff": _tiff,
    "image/bmp": _bmp,
    "image/x-icon": _ico,
    "image/x-portable-pixmap": _ppm,
    "image/x-portable-graymap": _pgm,
    "image/x-portable-bitmap": _pbm,
    "image/jp2": _jp2,
    "application/pdf": _pdf,
}
TARGETS: tuple[str, ...] = tuple(_WRITERS)
