"""One decoded picture on its way from a reader to a writer, and the limits every reader keeps.

Pillow and libvips each do some formats faster and some not at all, so a picture may be held by either and is handed
over by memory when the writer is of the other kind.
"""

from __future__ import annotations

import struct
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mediamill.core.errors import BadMedia, LimitExceeded, OutOfSpace, is_full

if TYPE_CHECKING:
    from PIL import Image as pil

MAX_PIXELS = 16384 * 16384
"""Decoded pixels of one picture, read or made: as many as the longest side that `resize` takes, squared."""
MAX_ANIMATION_PIXELS = 1_000_000_000
"""Width x height x frames of an animation that is decoded and encoded frame by frame."""
MAX_HELD_PIXELS = 160_000_000
"""Width x height x frames where all frames must be in memory at once (4 bytes each)."""
MAX_FRAMES = 10_000

Vips = Any
"""A pyvips.Image; the library has no types."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Resize:
    """Where a picture's size is to go; see the TurboFiles contract, section 10."""

    width: int | None = None
    height: int | None = None
    max_width: int | None = None
    max_height: int | None = None

    def fit(self, width: int, height: int) -> tuple[int, int]:
        """The size a picture of this size becomes. Raises LimitExceeded where that is too many pixels."""
        w, h = float(width), float(height)
        if self.width and self.height:
            w, h = self.width, self.height
        elif self.width:
            w, h = self.width, height * self.width / width
        elif self.height:
            w, h = width * self.height / height, self.height
        scale = min(1.0, (self.max_width or w) / w, (self.max_height or h) / h)
        size = max(1, round(w * scale)), max(1, round(h * scale))
        check_size(*size)
        return size


@dataclass(frozen=True, slots=True, kw_only=True)
class Wishes:
    """The settings of an image conversion with their defaults. `background` is (r, g, b), 0-255."""

    resize: Resize
    quality: int | None
    lossless: bool
    strip: bool
    background: tuple[int, int, int]
    loop: int | None
    same_format: bool

    @property
    def small(self) -> bool:
        """Whether the job is to make a file of this format smaller: more effort is worth it."""
        return self.same_format and self.resize == Resize()


def wishes(settings: Mapping[str, Any], *, same_format: bool) -> Wishes:
    """The wishes that a conversion's settings stand for."""
    background = str(settings.get("background", "#FFFFFF"))
    return Wishes(
        resize=Resize(**settings.get("resize", {})),
        quality=settings.get("quality"),
        lossless=settings.get("lossless", False),
        strip=settings.get("strip", True),
        background=(int(background[1:3], 16), int(background[3:5], 16), int(background[5:7], 16)),
        loop=settings.get("loop"),
        same_format=same_format,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Still:
    """One upright picture, held by Pillow or by libvips. Metadata blocks are raw bytes as files carry them."""

    pixels: pil.Image | Vips
    icc: bytes | None = None
    exif: bytes | None = None
    xmp: bytes | None = None

    def pillow(self) -> pil.Image:
        """The pixels in Pillow: mode 1, P, L, LA, RGB, RGBA or I;16 as it was, 16-bit colour cut to 8."""
        from PIL import Image

        if isinstance(self.pixels, Image.Image):
            return self.pixels
        image = self.pixels
        if image.format != "uchar":
            image = image.colourspace("b-w" if image.bands < 3 else "srgb")
        mode = ("L", "LA", "RGB", "RGBA")[image.bands - 1]
        return Image.frombuffer(mode, (image.width, image.height), image.write_to_memory(), "raw", mode, 0, 1)

    def vips(self) -> Vips:
        """The pixels in libvips: b-w, srgb, grey16 or rgb16, with alpha as the last band."""
        from PIL import Image

        if not isinstance(self.pixels, Image.Image):
            return self.pixels
        vips = libvips()
        image = eight_bit(self.pixels) if self.pixels.mode != "I;16" else self.pixels
        kind = "ushort" if image.mode == "I;16" else "uchar"
        made = vips.Image.new_from_memory(image.tobytes(), image.width, image.height, len(image.getbands()), kind)
        space = "grey16" if kind == "ushort" else "srgb" if made.bands > 2 else "b-w"
        return made.copy(interpretation=space)


def has_alpha(image: pil.Image) -> bool:
    """Whether a Pillow picture has any transparency channel or colour."""
    return image.mode in ("RGBA", "LA", "PA", "RGBa", "La") or "transparency" in image.info


def eight_bit(image: pil.Image) -> pil.Image:
    """A Pillow picture as L, LA, RGB or RGBA; palettes spread, 16 bit scaled (Pillow's own convert clips it)."""
    if image.mode in ("L", "RGB", "LA", "RGBA") and "transparency" not in image.info:
        return image
    if image.mode in ("1",):
        return image.convert("L")
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        return _scaled(image)
    if has_alpha(image):
        return image.convert("RGBA")
    if image.mode == "P" and image.palette is not None and image.palette.mode == "RGBA":
        return image.convert("RGBA")
    return image.convert("L" if image.mode == "L" else "RGB")


def _scaled(image: pil.Image) -> pil.Image:
    import numpy as np
    from PIL import Image

    values = np.asarray(image)
    if image.mode == "F" or values.size == 0 or values.min() < 0 or values.max() > 65535:
        values = values.astype(np.float64)
        values = np.nan_to_num(values, nan=0.0, posinf=0.0, neginf=0.0)
        low, high = (0.0, 1.0) if values.min() >= 0 and values.max() <= 1 else (values.min(), values.max())
        return Image.fromarray(((values - low) * (255 / max(high - low, 1e-12)) + 0.5).astype(np.uint8))
    return Image.fromarray(((values.astype(np.uint32) * 255 + 32767) // 65535).astype(np.uint8))


def check_size(width: int, height: int, frames: int = 1, most: int = MAX_ANIMATION_PIXELS) -> None:
    """Raises LimitExceeded for more pixels than we decode or make, BadMedia for none."""
    if width < 1 or height < 1:
        raise BadMedia("The picture has no pixels.")
    if width * height > MAX_PIXELS:
        raise LimitExceeded(f"The picture has {width} x {height} pixels; the limit is {MAX_PIXELS} in all.")
    if frames > MAX_FRAMES or (frames > 1 and width * height * frames > most):
        raise LimitExceeded(f"The animation has {frames} frames of {width} x {height} pixels, more than the limit.")


@contextmanager
def reading() -> Iterator[None]:
    """Names what image libraries raise: anything a file can provoke is BadMedia, memory is LimitExceeded.

    What is written within is named, too: a full disk is OutOfSpace, and no fault of the picture.

    Warnings stay inside: libraries warn about harmless oddities of files, and the one that matters (too many pixels)
    is an error here.
    """
    import pyvips  # type: ignore[import-untyped]
    from PIL import Image

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            yield
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise LimitExceeded(f"The picture has more than {MAX_PIXELS} pixels.") from error
        except MemoryError as error:
            raise LimitExceeded("The picture needs more memory than a task may use.") from error
        except pyvips.Error as error:
            if any(sign in str(error).lower() for sign in _NO_MEMORY):
                raise LimitExceeded("The picture needs more memory than a task may use.") from error
            if any(sign in str(error) for sign in _FULL):
                raise OutOfSpace from error
            raise BadMedia("The picture cannot be read; it is damaged, cut short or of another type.") from error
        except (*_STUMBLES, struct.error) as error:  # Pillow's readers let what they stumble over escape as it is
            if is_full(error):
                raise OutOfSpace from error
            if any(sign in str(error).lower() for sign in _NO_MEMORY):
                raise LimitExceeded("The picture needs more memory than a task may use.") from error
            raise BadMedia("The picture cannot be read; it is damaged, cut short or of another type.") from error


_NO_MEMORY = ("out of memory", "insufficient memory")
"""As libvips and Pillow say it, and libjpeg within them."""
_FULL = ("No space left on device", "Disk quota exceeded")
_STUMBLES = (OSError, ValueError, SyntaxError, TypeError, EOFError, ArithmeticError, LookupError, RuntimeError)


def libvips() -> Any:
    """The pyvips module, set up once: no cache, one thread (one child a core), only loaders fit for hostile bytes."""
    import os

    os.environ.setdefault("VIPS_CONCURRENCY", "1")
    import pyvips

    global _vips_ready
    if not _vips_ready:
        pyvips.cache_set_max(0)
        pyvips.block_untrusted_set(True)
        _vips_ready = True
    return pyvips


_vips_ready = False


def pillow() -> Any:
    """Pillow's Image module, set up once: the pixel limit, no half-read files, one AVIF thread."""
    from PIL import AvifImagePlugin, Image, ImageFile

    Image.MAX_IMAGE_PIXELS = MAX_PIXELS
    ImageFile.LOAD_TRUNCATED_IMAGES = False
    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    return Image
