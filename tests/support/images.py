"""Pictures made by recipe, conversions of them, and independent eyes to look at what came out."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from tests.support import heic
from tests.support.tools import PlainTools

from mediamill.core import formats
from mediamill.core.ports import Conversion
from mediamill.engines import Installed, _ffmpeg, heif, image_probe, jxl, raster, svg

Pixels = NDArray[Any]
WIDTH, HEIGHT = 160, 120
INPUTS = [
    "png",
    "jpeg",
    "webp",
    "avif",
    "gif",
    "tiff",
    "bmp",
    "ico",
    "heic",
    "svg",
    "ppm",
    "pgm",
    "pbm",
    "tga",
    "jp2",
    "jxl",
]
OUTPUTS = ["png", "jpeg", "webp", "avif", "gif", "tiff", "bmp", "ico", "ppm", "pgm", "pbm", "jp2", "jxl", "pdf"]
GREY = frozenset({"pgm", "pbm"})


def engines(tools: PlainTools | None = None) -> Installed:
    """The picture engines alone, over a plain process runner."""
    converters = (raster.CONVERTER, heif.CONVERTER, jxl.CONVERTER, svg.CONVERTER)
    return Installed(converters, (image_probe.PROBER,), tools or PlainTools())


def scene(width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """Red, green, blue and grey quarters over a gradient: smooth, so that lossy formats stay near; no symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    shade = (60 * x / width + 40 * y / height).astype(np.uint8)
    made = np.stack([shade] * 3, axis=-1)
    made[: height // 2, : width // 2, 0] += 120
    made[: height // 2, width // 2 :, 1] += 140
    made[height // 2 :, : width // 2, 2] += 130
    made[height // 2 :, width // 2 :] += 90
    return made


def clear(width: int = WIDTH, height: int = HEIGHT) -> Pixels:
    """The scene with a see-through left third."""
    alpha = np.full((height, width, 1), 255, np.uint8)
    alpha[:, : width // 3] = 0
    return np.concatenate([scene(width, height), alpha], axis=-1)


def save(path: Path, pixels: Pixels, **options: Any) -> Path:
    """Pixels by Pillow, in the format of the suffix."""
    Image.fromarray(pixels).save(path, **options)
    return path


def ffmpeg(*args: str | Path) -> bytes:
    """stdout of one quiet ffmpeg."""
    argv = [str(word) for word in (_ffmpeg.binary(), "-v", "error", "-nostdin", "-y", *args)]
    return subprocess.run(argv, check=True, capture_output=True).stdout


def _svg(path: Path, pixels: Pixels) -> Path:
    rects = []
    for y in range(0, HEIGHT, 10):
        for x in range(0, WIDTH, 10):
            r, g, b = pixels[y : y + 10, x : x + 10].mean((0, 1)).astype(int)
            rects.append(f'<rect x="{x}" y="{y}" width="10" height="10" fill="rgb({r},{g},{b})"/>')
    path.write_text(f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{HEIGHT}">{"".join(rects)}</svg>')
    return path


def _jxl(path: Path, pixels: Pixels) -> Path:
    step = save(path.with_suffix(".step.png"), pixels)
    ffmpeg("-i", step, "-c:v", "libjxl", "-distance", "0.5", "-effort", "3", "-f", "image2pipe", path)
    return path


_RECIPES: Mapping[str, Callable[[Path, Pixels], Path]] = {
    "jpeg": lambda path, pixels: save(path, pixels, quality=95, subsampling=0),
    "webp": lambda path, pixels: save(path, pixels, lossless=True),
    "avif": lambda path, pixels: save(path, pixels, quality=95, speed=9),
    "ico": lambda path, pixels: save(path, pixels, sizes=[(WIDTH, HEIGHT)]),
    "pgm": lambda path, pixels: _by_pillow(path, pixels, "L"),
    "pbm": lambda path, pixels: _by_pillow(path, pixels, "1"),
    "heic": heic.write,
    "svg": _svg,
    "jxl": _jxl,
}


def _by_pillow(path: Path, pixels: Pixels, mode: str) -> Path:
    Image.fromarray(pixels).convert(mode).save(path)
    return path


def made(folder: Path, name: str) -> Path:
    """The scene in the format of a bare name."""
    path = folder / f"scene{formats.suffix(mime(name))}"
    return path if path.exists() else _RECIPES.get(name, save)(path, scene())


def mime(name: str) -> str:
    found = formats.canonical(name)
    assert found is not None
    return found


def convert(source: Path, target: str, folder: Path, **settings: Any) -> Path:
    """`source` in the format of a bare name, by the engine of this install."""
    before = formats.by_filename(source.name)
    assert before is not None
    after = mime(target)
    made_at = folder / f"result-{source.stem}-{before.names[0]}{formats.suffix(after)}"
    scratch = folder / "scratch"
    scratch.mkdir(exist_ok=True)
    all_engines = engines()
    converter = all_engines.converter((before.mime, after))
    assert converter is not None
    assert hasattr(converter, "convert")
    converter.convert(
        Conversion(
            source=source,
            source_mime=before.mime,
            target=made_at,
            target_mime=after,
            settings=settings,
            scratch=scratch,
            tools=all_engines.tools(),
            report=lambda stage, fraction=None: None,
        )
    )
    return made_at


def seen(path: Path) -> Pixels:
    """Pixels (height, width, 3 or 4) of a file by a decoder that did not write it."""
    suffix = path.suffix
    if suffix == ".pdf":
        import pypdfium2  # type: ignore[import-untyped]

        with pypdfium2.PdfDocument(path) as document:
            return np.asarray(document[0].render(scale=96 / 72).to_pil().convert("RGB"))
    if suffix in (".jp2", ".jxl"):
        step = path.with_suffix(".seen.png")
        ffmpeg("-i", path, "-frames:v", "1", "-update", "1", step)
        path = step
    elif suffix in (".webp", ".avif", ".gif", ".jpg"):
        import pyvips  # type: ignore[import-untyped]

        image = pyvips.Image.new_from_file(str(path))
        pixels = (image if image.bands > 2 else image.colourspace("srgb")).numpy()
        return np.asarray(pixels)
    with Image.open(path) as opened:
        see_through = opened.mode in ("RGBA", "LA", "PA") or "transparency" in opened.info
        return np.asarray(opened.convert("RGBA" if see_through else "RGB"))


def apart(pixels: Pixels, expected: Pixels, blur_px: int = 8) -> float:
    """How far two pictures are, in levels of 255: the mean over blocks, so that dither and block noise cancel out."""

    def blocks(each: Pixels) -> Pixels:
        image = Image.fromarray(np.ascontiguousarray(each[..., :3].astype(np.uint8)))
        size = max(1, image.width // blur_px), max(1, image.height // blur_px)
        return np.asarray(image.resize(size, Image.Resampling.BOX)).astype(float)

    assert pixels.shape[:2] == expected.shape[:2]
    return float(np.abs(blocks(pixels) - blocks(expected)).mean())


def grey(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels[..., :3]).convert("L").convert("RGB"))
