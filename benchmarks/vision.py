"""What cutting out and making larger cost beside their networks alone, and how much memory they take.

    PYTHONPATH=src:. python -m benchmarks.vision [--pictures 90] [--heights 1080,720,480]

Films: the kind's whole way, from file to file, for people and for things, against the same steps on frames that are
decoded already, with nothing to encode ("model alone", with as many threads as make that the fastest), against the
coder's steps on pictures that are cut out already ("codec alone"; its processor time includes decoding the source),
and against both one after the other, as a loop without overlap would. ffmpeg coding the same pictures with the same
settings out of a file of raw ones stands below, for comparison; where ffmpeg is the coder, it is "codec alone"
itself. Processor time per picture of both gives what the cores allow: nothing is faster than `cores / (model's +
codec's)`, the column "of cores"; "of 1by1" is the share of no overlap. The model alone is measured in several ways,
the fastest of them twice; its faster run counts. There is a row for each height, and the worst ratio again below.
Peak memory is that of a process for the row and its programs, for a film and for one three times as long, which is
the one that is timed. Pictures: networks against Lanczos on photographs made smaller, by SSIM and GMSD (unevenness of
edges, 0 is the original). LPIPS wants weights that no package index has; GMSD follows people's judgement of sharpness
nearly as well and is worked out from the pixels alone. Goal: 0.80 of the frame rate of the model alone, whatever the
cores allow; memory of the long film within 10 % of the short one's.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path
from typing import Protocol

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the worker's children have it

import numpy as np
from benchmarks._peak import Peak
from numpy.typing import NDArray
from PIL import Image
from tests.support import models as kept
from tests.support import vision
from tests.support.tools import PlainTools

from mediamill import models
from mediamill.core.matting import FilmCut, FilmFormat, Matter
from mediamill.core.upscaling import LargerFilm
from mediamill.engines import (
    _ffmpeg,
    _frames,
    _matting_film,
    _matting_onnx,
    _upscale_tiles,
    matting_selfie,
    matting_things,
    upscale_ncnn,
)

GOAL = 0.80
UPSCALED_PX = 2_400_000
"""Of the films made larger, all their pictures' squared heights together: some seconds' work each."""
H264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "20", "-pix_fmt", "yuv420p")
FFMPEG: dict[FilmFormat, tuple[str, ...]] = {
    "webm": (
        *("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0", "-crf", "30", "-b:v", "0"),
        *("-deadline", "realtime", "-cpu-used", "6", "-lag-in-frames", "0", "-tile-columns", "2"),
    ),
    "mov": ("-c:v", "prores_ks", "-profile:v", "4444", "-pix_fmt", "yuva444p10le", "-alpha_bits", "8", "-q:v", "1"),
}
"""What the coders of films cut out would be in ffmpeg."""


def quiet(stage: str, fraction: float | None = None) -> None:
    """Nobody watches."""


def film(path: Path, height: int, pictures: int) -> Path:
    """The astronaut before the camera, which moves a little, with grain."""
    width = height * 16 // 9 // 2 * 2
    moves = f"scale={width}:-1:out_range=tv,crop={width}:{height}:0:'(ih-oh)*(0.2+0.1*sin(t*2))',noise=alls=4:allf=t"
    argv: list[str | Path] = [
        *(_ffmpeg.binary(), "-v", "error", "-y", "-loop", "1", "-i", vision.PICTURES / "astronaut.jpg"),
        *("-vf", moves, "-r", "30", "-frames:v", str(pictures), *H264, path),
    ]
    subprocess.run(argv, check=True)
    return path


@dataclass(frozen=True)
class Spent:
    """What some work took a picture, of the clock and of processors."""

    rate: float
    cpu_s: float


def timed(work: Callable[[], object], count: int) -> Spent:
    """Work on so many pictures, with the processor time of this process and of programs that ended."""
    spent, began = sum(os.times()[:4]), time.perf_counter()
    work()
    return Spent(count / (time.perf_counter() - began), (sum(os.times()[:4]) - spent) / count)


def decoded(path: Path, pixels: str, size: tuple[int, int], most: int) -> list[NDArray[np.uint8]]:
    argv: list[str | Path] = [_ffmpeg.binary(), "-v", "error", "-i", path, "-frames:v", str(most), "-f", "rawvideo"]
    raw = subprocess.run([*argv, "-pix_fmt", pixels, "-"], check=True, capture_output=True).stdout
    one = _frames.picture_bytes(pixels, *size)
    return [np.frombuffer(raw[at : at + one], np.uint8) for at in range(0, len(raw), one)]


def alone(
    path: Path,
    given: str,
    made: str,
    size: tuple[int, int],
    made_size: tuple[int, int],
    steps: Sequence[_frames.Step],
    most: int,
) -> Spent:
    """The steps, each in a thread as in the pump, on frames that lie ready."""
    blank = _frames.picture(np.zeros(_frames.picture_bytes(made, *made_size), np.uint8), made, *made_size)
    frames = [
        _frames.Frame(n, n / 30, _frames.picture(data, given, *size), blank)
        for n, data in enumerate(decoded(path, given, size, most))
    ]
    return through(frames, steps)


def through(frames: Sequence[_frames.Frame], steps: Sequence[_frames.Step]) -> Spent:
    import queue

    lines: list[queue.SimpleQueue[_frames.Frame | None]] = [queue.SimpleQueue() for _ in range(len(steps) + 1)]
    for frame in frames:
        lines[0].put(frame)
    lines[0].put(None)

    def run(at: int, step: _frames.Step) -> None:
        while (frame := lines[at].get()) is not None:
            step(frame)
            lines[at + 1].put(frame)
        lines[at + 1].put(None)

    threads = [threading.Thread(target=run, args=(at, step)) for at, step in enumerate(steps)]

    def work() -> None:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    return timed(work, len(frames))


def codec(
    source: Path, cut: Path, decoder: Sequence[str], pixels: str, encoder: Sequence[str], target: Path, most: int
) -> Spent:
    """ffmpeg encoding what is in `cut`, raw; its processor time includes decoding the source."""
    raw = target.with_suffix(".nut")
    ffmpeg: list[str | Path] = [_ffmpeg.binary(), "-v", "error", "-y"]
    as_raw: list[str | Path] = ["-frames:v", str(most), "-an", "-c:v", "rawvideo", "-pix_fmt", pixels, raw]
    subprocess.run([*ffmpeg, *decoder, "-i", cut, *as_raw], check=True)
    encoded = timed(lambda: subprocess.run([*ffmpeg, "-i", raw, *encoder, target], check=True), most)
    raw.unlink()
    return Spent(encoded.rate, encoded.cpu_s + opened(source, most).cpu_s)


def opened(source: Path, most: int) -> Spent:
    """ffmpeg decoding the source."""
    nothing: list[str | Path] = ["-frames:v", str(most), "-f", "null", "-"]
    ffmpeg: list[str | Path] = [_ffmpeg.binary(), "-v", "error", "-i", source]
    return timed(lambda: subprocess.run([*ffmpeg, *nothing], check=True), most)


def coded(source: Path, size: tuple[int, int], word: FilmFormat, target: Path, most: int) -> tuple[Spent, Spent]:
    """The coder's steps on pictures cut out of the source, and ffmpeg with the same settings on the same pictures, raw;
    the processor time of both includes decoding the source. Where ffmpeg is the coder, it is both."""
    pictures = []
    cutting = steps(size, matting_selfie._Network(1))
    for n, data in enumerate(decoded(source, "yuv420p", size, most)):
        blank = np.zeros(_frames.picture_bytes("yuva420p", *size), np.uint8)
        frame = _frames.Frame(
            n, n / 30, *(_frames.picture(d, f"yuv{a}420p", *size) for d, a in ((data, ""), (blank, "a")))
        )
        for step in cutting:
            step(frame)
        pictures.append(frame.made)
    frames = [_frames.Frame(n, n / 30, picture, picture) for n, picture in enumerate(pictures)]
    raw = target.with_suffix(".yuv")
    with raw.open("wb") as file:
        for picture in pictures:
            file.write(picture.data.tobytes())
    given = ("-f", "rawvideo", "-pix_fmt", "yuva420p", "-s", f"{size[0]}x{size[1]}", "-r", "30", "-i", raw)
    argv: list[str | Path] = [_ffmpeg.binary(), "-v", "error", "-y", *given, *FFMPEG[word], target]
    theirs = timed(lambda: subprocess.run(argv, check=True), most)
    raw.unlink()
    decoding = opened(source, most).cpu_s
    theirs = Spent(theirs.rate, theirs.cpu_s + decoding)
    if word not in _matting_film.CODERS:
        return theirs, theirs
    coder = _matting_film.CODERS[word]()
    made: list[int] = []
    coding = coder.steps(size, Fraction(30), {"color_range": "tv"})
    ours = through(frames, [*coding, lambda frame: made.append(len(coder.packed(frame)))])
    print(f"{word}: {sum(made) / most:.0f} bytes a picture, ffmpeg {target.stat().st_size / most:.0f}")
    return Spent(ours.rate, ours.cpu_s + decoding), theirs


@dataclass(frozen=True)
class Row:
    """One line of the table. short, long: bytes at the peak, of a film and of one thrice as long."""

    what: str
    whole: Spent
    model: Spent
    bare: Spent
    short: int
    long: int

    def holds(self) -> bool:
        return self.whole.rate >= GOAL * self.model.rate and self.long <= 1.1 * self.short

    def __str__(self) -> str:
        one_by_one = 1 / (1 / self.model.rate + 1 / self.bare.rate)
        allowed = min(self.model.rate, self.bare.rate, CORES / (self.model.cpu_s + self.bare.cpu_s))
        milliseconds = " + ".join(f"{1000 * spent.cpu_s:.1f}" for spent in (self.model, self.bare))
        return (
            f"{self.what:<30}{self.whole.rate:>8.2f}{self.model.rate:>8.2f}{self.bare.rate:>8.2f}"
            f"{self.whole.rate / self.model.rate:>7.2f}{self.whole.rate / allowed:>9.2f}"
            f"{self.whole.rate / one_by_one:>9.2f}{1000 * self.whole.cpu_s:>10.1f}{milliseconds:>16}"
            f"{self.short / 1e6:>8.0f}{self.long / 1e6:>8.0f}"
        )


CORES = len(os.sched_getaffinity(0))
HEAD = (
    f"{'':<30}{'whole/s':>8}{'model/s':>8}{'codec/s':>8}{'ratio':>7}{'of cores':>9}{'of 1by1':>9}"
    f"{'CPU ms':>10}{'model + codec':>16}{'MB':>8}{'x3 MB':>8}"
)


Networks = Callable[[int], "Seeing"]
"""A network that works with so many threads."""


class Seeing(Protocol):
    """A network for masks, and what it wants to see a picture of some width and height as."""

    def __call__(self, rgb: NDArray[np.float32], /) -> NDArray[np.float32]: ...

    def size(self, width: int, height: int) -> tuple[int, int]: ...


def steps(size: tuple[int, int], network: Seeing, *, quick: bool = False) -> list[_frames.Step]:
    """What cuts out by a network."""
    edges = _matting_film.Edges(*size)
    see = _matting_film.See(network.size(*size), "bt709", edges)
    return _matting_film.steps(see, _matting_film.Look(network), edges, _matting_film.Lay(edges), quick=quick)


def people(folder: Path, height: int, many: int) -> list[Row]:
    ways = [(threads, *how) for threads in (1, 2, 4) for how in ((True, False), (False, False), (True, True))]
    return matting(folder, height, many, matting_selfie.Selfie(), matting_selfie._Network, ways)


def things(folder: Path, height: int, many: int) -> list[Row]:
    masks = _matting_onnx.Masks(matting_things.MODEL)
    ways = [(0, True, False), (0, False, False)]  # as many threads as there are processors
    return matting(folder, height, many, matting_things.Things(), lambda _: masks, ways)


def matting(
    folder: Path,
    height: int,
    many: int,
    engine: Matter,
    network: Networks,
    ways: Sequence[tuple[int, bool, bool]],
) -> list[Row]:
    """ways: threads of the network alone, whether the steps' sums may have more than one, and whether short steps are
    taken in turn."""
    made = []
    short = film(folder / "short.mp4", height, many)
    long = film(folder / "long.mp4", height, 3 * many)
    width = height * 16 // 9 // 2 * 2
    size, most = (width, height), min(60, many)

    def model(threads: int, shared: bool, quick: bool) -> Spent:
        with nullcontext() if shared else _frames.one_thread_each():
            return alone(short, "yuv420p", "yuva420p", size, size, steps(size, network(threads), quick=quick), most)

    for word in FFMPEG:
        target = folder / f"cut.{word}"

        def cut(source: Path, target: Path = target, word: FilmFormat = word) -> None:
            engine.film(
                FilmCut(
                    source=source,
                    source_mime="video/mp4",
                    target=target,
                    format=word,
                    tools=PlainTools(timeout_s=3600),
                    report=quiet,
                )
            )

        with Peak() as first:
            cut(short)
        with Peak() as second:
            whole = timed(lambda: cut(long), 3 * many)
        found = {way: model(*way) for way in ways}
        best = max(found, key=lambda way: found[way].rate)
        fastest = max(found[best], model(*best), key=lambda spent: spent.rate)
        bare, theirs = coded(short, size, word, folder / f"bare.{word}", most)
        made.append(Row(f"{engine.name} {height}p {word}", whole, fastest, bare, first.bytes, second.bytes))
        print(f"  ffmpeg alone codes {word} at {theirs.rate:.2f}/s in {1000 * theirs.cpu_s:.1f} ms of processors")
    return made


def upscaling(folder: Path, height: int, many: int) -> Row:
    """From half of a height to the height."""
    short, long = film(folder / "s.mp4", height // 2, many), film(folder / "l.mp4", height // 2, 3 * many)
    target = folder / "larger.mp4"
    engine = upscale_ncnn.Photo()
    size = height // 2 * 16 // 9 // 2 * 2, height // 2
    large = 2 * size[0], 2 * size[1]

    def enlarge(source: Path) -> None:
        engine.film(
            LargerFilm(
                source=source,
                source_mime="video/mp4",
                target=target,
                container="mp4",
                size=large,
                tools=PlainTools(timeout_s=3600),
                report=quiet,
            )
        )

    loaded, _ = upscale_ncnn._opened(upscale_ncnn.Photo.noisy)
    network = _upscale_tiles.Network(loaded.answer("Input1", "Eltwise4", 7), 2, 7, 192)

    def draw(frame: _frames.Frame) -> None:
        frame.made.planes[0][...] = _upscale_tiles.enlarge(frame.given.planes[0], large, network)

    with Peak() as first:
        enlarge(short)  # the network's pools grow once
    with Peak() as second:
        whole = timed(lambda: enlarge(long), 3 * many)
    model = max(
        (alone(short, "rgb24", "rgb24", size, large, [draw], max(2, many // 2)) for _ in range(2)),
        key=lambda spent: spent.rate,
    )
    coder = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p")
    bare = codec(short, target, (), "rgb24", coder, folder / "bare.mp4", many)
    return Row(f"upscale {height // 2}p to {height}p", whole, model, bare, first.bytes, second.bytes)


def pictures() -> list[bool]:
    held = []
    loaded, _ = upscale_ncnn._opened(upscale_ncnn.Photo.clean)
    network = _upscale_tiles.Network(loaded.answer("Input1", "Eltwise4", 7), 2, 7, 192)
    restorer, _ = upscale_ncnn._opened(upscale_ncnn.Restore.model)
    restoring = _upscale_tiles.Network(restorer.answer("data", "output", 0), 4, 10, 108)
    for scale in (2, 3, 4):
        found: dict[str, list[tuple[float, float]]] = {"lanczos": [], "best": [], "restore": []}
        for name in ("astronaut", "cup", "cat"):
            whole = vision.photo(name)
            left = (whole.shape[1] - 192) // 2
            original = whole[20:212, left : left + 192]
            side = 192 // scale
            small = np.asarray(Image.fromarray(original).resize((side, side), Image.Resampling.BICUBIC))
            made = {
                "lanczos": np.asarray(Image.fromarray(small).resize((192, 192), Image.Resampling.LANCZOS)),
                "best": _upscale_tiles.enlarge(small, (192, 192), network),
                "restore": _upscale_tiles.enlarge(small, (192, 192), restoring),
            }
            for way, picture in made.items():
                found[way].append((vision.ssim(original, picture), vision.gmsd(original, picture)))
        means = {way: np.mean(rows, 0) for way, rows in found.items()}
        print(
            f"pictures x{scale}  "
            + "   ".join(f"{way}: SSIM {ssim:.4f} GMSD {gmsd:.4f}" for way, (ssim, gmsd) in means.items()),
            flush=True,
        )
        held.append(bool(means["best"][0] > means["lanczos"][0] and means["best"][1] < means["lanczos"][1]))
    return held


def main() -> int:
    parser = argparse.ArgumentParser(description="Vision against its parts alone.")
    parser.add_argument("--pictures", type=int, default=90, help="of the shorter films cut out")
    parser.add_argument("--heights", default="1080,720,480")
    asked = parser.parse_args()
    os.environ[models.SETTING] = str(kept.folder("selfie", "waifu2x", "realesrgan"))
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        folder, heights = Path(name), [int(height) for height in asked.heights.split(",")]
        # Each in a process of its own, or what one has left behind would count as the next one's memory.
        with ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1) as pool:
            for height in heights:
                rows += pool.submit(people, folder, height, asked.pictures).result()
            for height in heights:
                rows += pool.submit(things, folder, height, max(10, asked.pictures // 4)).result()
            for height in heights:
                rows.append(pool.submit(upscaling, folder, height, max(4, UPSCALED_PX // height**2)).result())
        held = [*(row.holds() for row in rows), *pictures()]
    print(HEAD, *rows, sep="\n")
    worst = min(rows, key=lambda row: row.whole.rate / row.model.rate)
    print(f"worst: {worst.what}, {worst.whole.rate / worst.model.rate:.2f} of the model alone (goal {GOAL:.2f})")
    print(f"load {os.getloadavg()[0]:.1f}; {sum(held)} of {len(held)} goals held")
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
