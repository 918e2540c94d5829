"""Mediamill's picture conversions against bare Pillow and bare libvips loops, one process a core, same settings.

    python benchmarks/images.py [--seconds 2] [--megapixels 2 12] [--processes 4] [--pairs "webp>png" …]

For every pair a farm of processes converts the same file over and over, the three ways in turn, for the given time
each; the last column is our pictures a second over those of the faster bare loop.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ["VIPS_CONCURRENCY"] = "1"
sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

SIZES = {2: (1632, 1224), 12: (4000, 3000)}
NAMES = ("jpeg", "png", "webp", "avif")
WIDE = 800


def photo(width: int, height: int) -> Any:
    """Blurred colours at four scales with grain: compresses as a photo does."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(1)
    made = np.zeros((height, width, 3), np.float32)
    for across, strength in ((8, 120), (32, 80), (128, 50), (512, 24)):
        noise = random.random((max(2, across * height // width), across, 3)).astype(np.float32)
        for band in range(3):
            layer = Image.fromarray(noise[..., band]).resize((width, height), Image.Resampling.BICUBIC)
            made[..., band] += np.asarray(layer) * strength
    made += random.normal(0, 2, (height, width, 1)).astype(np.float32)
    return Image.fromarray(made.clip(0, 255).astype(np.uint8))


def by_pillow(source: Path, target: Path, before: str, after: str, wide: int | None) -> None:
    from PIL import AvifImagePlugin, Image

    AvifImagePlugin.DEFAULT_MAX_THREADS = 1
    same = before == after and not wide
    with Image.open(source) as image:
        if wide:
            size = wide, round(image.height * wide / image.width)
            image.draft("RGB", size)
            image = image.resize(size, Image.Resampling.LANCZOS, reducing_gap=3.0)
        options: dict[str, Any] = {
            "jpeg": {"quality": 80, "optimize": True, "progressive": same},
            "png": {"compress_level": 9 if same else 6},
            "webp": {"quality": 80, "method": 4},
            "avif": {"quality": 60, "speed": 8, "max_threads": 1},
        }[after]
        image.save(target, after.upper(), **options)


def by_vips(source: Path, target: Path, before: str, after: str, wide: int | None) -> None:
    import pyvips

    pyvips.cache_set_max(0)
    same = before == after and not wide
    if wide:
        image = pyvips.Image.thumbnail(str(source), wide, height=10_000_000)
    else:
        image = pyvips.Image.new_from_file(str(source), access="sequential")
    options: dict[str, Any] = {
        "jpeg": {"Q": 80, "optimize_coding": True, "interlace": same},
        "png": {"compression": 9 if same else 6, "filter": "all" if same else "sub"},
        "webp": {"Q": 80, "effort": 4},
        "avif": {"Q": 60, "effort": 1, "compression": "av1"},
    }[after]
    image.write_to_file(str(target), **options)


def by_mediamill(source: Path, target: Path, before: str, after: str, wide: int | None) -> None:
    from mediamill.core.ports import Conversion
    from mediamill.engines.raster import CONVERTER

    CONVERTER.convert(
        Conversion(
            source=source,
            source_mime=f"image/{before}",
            target=target,
            target_mime=f"image/{after}",
            settings={"resize": {"width": wide}} if wide else {},
            scratch=target.parent,
            tools=None,  # type: ignore[arg-type]  # no program runs for these pairs
            report=lambda stage, fraction=None: None,
        )
    )


WAYS: dict[str, Callable[[Path, Path, str, str, int | None], None]] = {
    "mediamill": by_mediamill,
    "pillow": by_pillow,
    "vips": by_vips,
}


def loop(job: tuple[Path, Path, str, str, int | None, float]) -> dict[str, tuple[float, int]]:
    """(pictures a second of this process, bytes of the last) by way. The ways take turns, one picture each, so that
    whatever else the machine does slows all alike."""
    source, folder, before, after, wide, seconds = job
    target = folder / f"{os.getpid()}.{after}"
    spent, sizes, count = dict.fromkeys(WAYS, 0.0), {}, 0
    for way in WAYS.values():
        way(source, target, before, after, wide)
    while count == 0 or sum(spent.values()) < seconds * len(WAYS):
        for name, way in WAYS.items():
            start = time.perf_counter()
            way(source, target, before, after, wide)
            spent[name] += time.perf_counter() - start
            sizes[name] = target.stat().st_size
        count += 1
    return {name: (count / spent[name], sizes[name]) for name in WAYS}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2.0)
    parser.add_argument("--megapixels", type=int, nargs="*", default=[2, 12])
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--pairs", nargs="*", help="only these, as the table names them")
    asked = parser.parse_args()
    print(f"{asked.processes} processes; pictures a second (kB of one)")
    print(f"{'':2} {'pair':12} {'resize':6} {'mediamill':>16} {'pillow':>16} {'vips':>16}  ours/best")
    with tempfile.TemporaryDirectory() as name, multiprocessing.get_context("spawn").Pool(asked.processes) as pool:
        folder = Path(name)
        for megapixels in asked.megapixels:
            picture = photo(*SIZES[megapixels])
            for before in NAMES:
                source = folder / f"{megapixels}.{'jpg' if before == 'jpeg' else before}"
                picture.save(
                    source, **({"speed": 9} if before == "avif" else {}), **({} if before == "png" else {"quality": 90})
                )
                for after in NAMES:
                    if asked.pairs and f"{before}>{after}" not in asked.pairs:
                        continue
                    for wide in (None, WIDE):
                        row(pool, asked, source, folder, before, after, wide, megapixels)


def row(
    pool: Any, asked: Any, source: Path, folder: Path, before: str, after: str, wide: int | None, megapixels: int
) -> None:
    job = (source, folder, before, after, wide, asked.seconds)
    done = pool.map(loop, [job] * asked.processes, chunksize=1)
    rates = {way: sum(each[way][0] for each in done) for way in WAYS}
    words = [f"{rates[way]:7.2f} ({done[0][way][1] // 1000:6})" for way in WAYS]
    ratio = rates["mediamill"] / max(rates["pillow"], rates["vips"])
    print(f"{megapixels:2} {before + '>' + after:12} {wide or '':6} {' '.join(words)}  {ratio:5.2f}", flush=True)


if __name__ == "__main__":
    main()
