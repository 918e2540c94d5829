"""Raster files into a `Still`: upright, at its wished size, with its colour profile.

Which library reads is a matter of measurement (docs/why/images.md): libvips decodes PNG and shrinks WebP while
loading two to three times faster, Pillow decodes AVIF six times faster, and for JPEG the one that will also write.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from mediamill.engines._picture import Resize, Still, Vips, check_size, eight_bit, libvips, pillow

PILLOW_FORMATS: dict[str, tuple[str, ...]] = {
    "image/png": ("PNG",),
    "image/jpeg": ("JPEG",),
    "image/webp": ("WEBP",),
    "image/avif": ("AVIF",),
    "image/gif": ("GIF",),
    "image/tiff": ("TIFF",),
    "image/bmp": ("BMP", "DIB"),
    "image/x-icon": ("ICO",),
    "image/x-portable-pixmap": ("PPM",),
    "image/x-portable-graymap": ("PPM",),
    "image/x-portable-bitmap": ("PPM",),
    "image/x-tga": ("TGA",),
    "image/jp2": ("JPEG2000",),
}
"""The only readers a file of a type may reach, whatever its bytes say."""

_COMPRESSION, _COLOURS, _PLANES, _TILE_WIDTH = 259, 262, 284, 322
_OLD_JPEG, _LAB = 6, (8, 9, 10)
"""Tags of TIFF 6.0 and values of theirs."""
_VIPS_LOADERS = {"image/png": "pngload", "image/jpeg": "jpegload", "image/webp": "webpload", "image/tiff": "tiffload"}
_BY_VIPS = ("image/png", "image/tiff")
"""Targets that libvips writes best."""
TURNS = {2: 0, 3: 3, 4: 1, 5: 5, 6: 4, 7: 6, 8: 2}
"""EXIF orientation -> Pillow's Transpose, as ImageOps.exif_transpose has it."""


def read(source: Path, mime: str, resize: Resize, target_mime: str) -> Still:
    """The first picture in a file. Raises BadMedia, LimitExceeded; wrap in `_picture.reading`."""
    if mime == "image/tiff" and _beyond_vips(source):
        return _read_pillow(source, mime, resize)
    if mime in _VIPS_LOADERS and (
        mime in ("image/png", "image/tiff") or target_mime in _BY_VIPS or (mime == "image/webp" and resize != Resize())
    ):
        return _read_vips(source, mime, resize)
    return _read_pillow(source, mime, resize)


def _beyond_vips(source: Path) -> bool:
    """Whether a TIFF is of a kind that libvips has no loader for: its planes tiled one by one, old JPEG, or Lab."""
    from PIL import UnidentifiedImageError

    try:
        with open_pillow(source, "image/tiff") as image:
            tags = image.tag_v2
            tiled_planes = tags.get(_PLANES) == 2 and _TILE_WIDTH in tags
            return tiled_planes or tags.get(_COMPRESSION) == _OLD_JPEG or tags.get(_COLOURS) in _LAB
    except UnidentifiedImageError:
        return False


def orientation(image: Any) -> int:
    """How a Pillow picture says that it is turned: 1 to 8; 1 where what it says of itself is damaged."""
    try:
        turned = image.getexif().get(0x0112, 1)
    except Exception:  # Pillow raises half a dozen kinds
        return 1
    return turned if turned in TURNS else 1


def open_pillow(source: Path, mime: str) -> Any:
    """A Pillow image with its header read and its size checked, nothing decoded."""
    image = pillow().open(source, formats=PILLOW_FORMATS[mime])
    check_size(*image.size)
    return image


def _read_vips(source: Path, mime: str, resize: Resize) -> Still:
    vips = libvips()
    load = getattr(vips.Image, _VIPS_LOADERS[mime])
    # libtiff calls what is cut short an error, and warns of every private tag.
    strict = {"fail_on": "error" if mime == "image/tiff" else "truncated"}
    header = load(str(source), access="sequential", **strict)
    check_size(header.width, header.height)
    if header.interpretation not in ("srgb", "rgb", "b-w", "rgb16", "grey16", "multiband", "cmyk"):
        return _read_pillow(source, mime, resize)  # Lab, float and stranger TIFFs
    if header.format not in ("uchar", "ushort") or header.bands > 4 + (header.interpretation == "cmyk"):
        return _read_pillow(source, mime, resize)
    turned = header.get("orientation") if header.get_typeof("orientation") else 1
    width, height = (header.height, header.width) if turned in (5, 6, 7, 8) else (header.width, header.height)
    size = resize.fit(width, height)
    if size != (width, height) and mime != "image/tiff" and header.interpretation != "cmyk":
        image = vips.Image.thumbnail(str(source), size[0], height=size[1], size="force", **strict)
    else:
        # Turning needs the whole picture; a plain copy can stream.
        image = header if turned == 1 else load(str(source), access="random", **strict).autorot()
        if image.interpretation == "cmyk":
            image = image.icc_transform("srgb", embedded=True, input_profile="cmyk", intent="relative")
            image.remove("icc-profile-data")
        if size != (width, height):
            image = image.thumbnail_image(size[0], height=size[1], size="force")
    return Still(pixels=_named(image), icc=_block(image, "icc-profile-data"), **_metadata_vips(image))


def _named(image: Vips) -> Vips:
    """Bands named by what they are: some TIFFs call grey or RGB "multiband"."""
    if image.interpretation in ("multiband", "rgb"):
        wide = image.format == "ushort"
        grey = image.bands < 3
        return image.copy(interpretation=("grey16" if wide else "b-w") if grey else ("rgb16" if wide else "srgb"))
    return image


def _block(image: Vips, name: str) -> bytes | None:
    return bytes(image.get(name)) if image.get_typeof(name) else None


def _metadata_vips(image: Vips) -> dict[str, bytes | None]:
    return {"exif": _upright_exif(_block(image, "exif-data")), "xmp": _block(image, "xmp-data")}


def _upright_exif(exif: bytes | None) -> bytes | None:
    """The same block with its orientation tag taken away: the pixels are upright now. None where it is damaged."""
    if not exif:
        return None
    block = pillow().Exif()
    try:
        block.load(exif)
        block.pop(0x0112, None)
        return bytes(block.tobytes())
    except Exception:  # as above; the picture is no worse without
        return None


def _read_pillow(source: Path, mime: str, resize: Resize) -> Still:
    with open_pillow(source, mime) as image:
        if mime == "image/jpeg" and image.mode == "CMYK":
            return _read_vips(source, mime, resize)  # libvips has a press profile for files that carry none
        return _loaded(image, mime, resize)


def _loaded(image: Any, mime: str, resize: Resize) -> Still:
    icc = image.info.get("icc_profile")
    turned = orientation(image)
    # Pillow gives the size of a TIFF as displayed, and turns it while loading.
    size = resize.fit(*(image.size[::-1] if turned in (5, 6, 7, 8) and mime != "image/tiff" else image.size))
    if mime == "image/jpeg" and size[0] < image.width and size[1] < image.height:
        image.draft(None, size if turned < 5 else size[::-1])
    image.load()
    exif, xmp = image.info.get("exif"), image.info.get("xmp")
    if (turned := orientation(image)) != 1:
        image = image.transpose(TURNS[turned])
    if image.size != size:
        image = resized(image, size)
    if image.mode in ("CMYK", "LAB", "HSV", "YCbCr"):
        image, icc = _to_rgb(image, icc), None
    return Still(
        pixels=image,
        icc=icc or None,
        exif=_upright_exif(exif) if isinstance(exif, bytes) else None,
        xmp=xmp if isinstance(xmp, bytes) else None,
    )


def resized(image: Any, size: tuple[int, int]) -> Any:
    """A Pillow picture at another size: Lanczos, after a cheap box shrink when three times larger."""
    from PIL import Image

    smooth = image if image.mode in ("I", "F") else eight_bit(image)
    return smooth.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)


def _to_rgb(image: Any, icc: bytes | None) -> Any:
    """A press or Lab picture in sRGB: by its own profile where it has a sound one."""
    import io

    from PIL import ImageCms

    if icc and image.mode in ("CMYK", "LAB"):
        try:
            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            made = ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), outputMode="RGB")
            if made is not None:
                return made
        except ImageCms.PyCMSError:
            pass  # a profile for other channels than these: as if there were none
    if image.mode == "LAB":
        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        return ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB")
    return image.convert("RGB")
