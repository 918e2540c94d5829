"""One page of a PDF as a picture. PDFium draws it, Pillow writes it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mediamill.core.errors import BadMedia, LimitExceeded
from mediamill.core.ports import Conversion

if TYPE_CHECKING:
    import pypdfium2  # type: ignore[import-untyped]
    from PIL import Image

PICTURES = {
    "image/png": "PNG",
    "image/jpeg": "JPEG",
    "image/webp": "WEBP",
    "image/x-portable-pixmap": "PPM",
    "image/x-portable-graymap": "PPM",
    "image/x-portable-bitmap": "PPM",
}
MAX_PIXELS = 100_000_000
KEYS = frozenset({"page", "dpi", "resize", "background"})
LOSSY = frozenset({"image/jpeg", "image/webp"})


def keys(mime: str) -> frozenset[str]:
    """The settings that act on a page picture of this type."""
    extra = {"quality"} if mime in LOSSY else set()
    return KEYS | extra | ({"lossless"} if mime == "image/webp" else set())


@contextmanager
def opened(path: Path) -> Iterator[pypdfium2.PdfDocument]:
    """A PDF, open; says what is wrong with one that cannot be."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(path)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise BadMedia("The PDF is protected by a password.") from error
        raise BadMedia("The PDF is damaged.") from error
    try:
        if len(document) == 0:
            raise BadMedia("The PDF has no pages.")
        yield document
    finally:
        document.close()


def draw(work: Conversion, pdf: Path) -> dict[str, Any]:
    """Write the asked page of `pdf` as the picture `work` wants."""
    import pypdfium2

    number = int(work.settings.get("page", 1))
    dpi = int(work.settings.get("dpi", 150))
    with opened(pdf) as document:
        count = len(document)
        if number > count:
            raise BadMedia(f"There is no page {number}: the document has {count}.")
        try:
            page = document[number - 1]
            width, height = page.get_size()
            if width * height * (dpi / 72) ** 2 > MAX_PIXELS:
                raise LimitExceeded(f"Page {number} at {dpi} dpi is larger than {MAX_PIXELS // 1_000_000} megapixels.")
            fill = _colour(work.settings.get("background", "#FFFFFF"))
            image = page.render(scale=dpi / 72, fill_color=(*fill, 255), may_draw_forms=True).to_pil()
        except pypdfium2.PdfiumError as error:
            raise BadMedia(f"Page {number} of the PDF cannot be drawn.") from error
    work.report("encode", 0.8)
    image = _resized(image.convert("RGB"), work.settings.get("resize") or {})
    _save(image, work, dpi)
    return {"pages": count, "page": number, "width_px": image.width, "height_px": image.height}


def _colour(text: str) -> tuple[int, int, int]:
    value = int(text.lstrip("#"), 16)
    return value >> 16, (value >> 8) & 255, value & 255


def _resized(image: Image.Image, wish: Mapping[str, int]) -> Image.Image:
    """`width`, `height` as asked (one keeps the ratio), then shrunk to fit `max_width`, `max_height`."""
    from PIL import Image

    width, height = image.size
    if "width" in wish and "height" in wish:
        width, height = wish["width"], wish["height"]
    elif "width" in wish:
        width, height = wish["width"], max(1, round(height * wish["width"] / width))
    elif "height" in wish:
        width, height = max(1, round(width * wish["height"] / height)), wish["height"]
    shrink = min(1.0, wish.get("max_width", width) / width, wish.get("max_height", height) / height)
    size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
    if size[0] * size[1] > MAX_PIXELS:
        raise LimitExceeded(f"The picture would be larger than {MAX_PIXELS // 1_000_000} megapixels.")
    return image if size == image.size else image.resize(size, Image.Resampling.LANCZOS)


def _save(image: Image.Image, work: Conversion, dpi: int) -> None:
    options: dict[str, Any] = {}
    match work.target_mime:
        case "image/png":
            options = {"dpi": (dpi, dpi)}
        case "image/jpeg":
            options = {"quality": int(work.settings.get("quality", 80)), "dpi": (dpi, dpi)}
        case "image/webp":
            options = {
                "quality": int(work.settings.get("quality", 80)),
                "lossless": bool(work.settings.get("lossless", False)),
            }
        case "image/x-portable-graymap":
            image = image.convert("L")
        case "image/x-portable-bitmap":
            image = image.convert("1")
    image.save(work.target, PICTURES[work.target_mime], **options)
