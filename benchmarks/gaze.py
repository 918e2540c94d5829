"""The kind `gaze_redirect`: frames a second from film to film, against the networks alone, in one run.

    python benchmarks/gaze.py [--seconds 4] [--sizes 1920x1080,1280x720,854x480]

The film is the portrait of tests/media/faces, slowly zoomed. The networks alone read the same pictures out of memory,
with nothing decoded, drawn or encoded, with one thread each or with two, whichever is faster. Both are measured by
turns; a row for each size has the ratio of the two in the round in the middle, and the worst one is told again below:
the goal is 0.80 or more. Peak memory is that of a process for the row and its programs, of the film and of one
thrice as long, before anything is kept for the comparison.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

import numpy as np  # noqa: E402
from benchmarks._peak import Peak  # noqa: E402 - after the path to it
from tests.support import av  # noqa: E402
from tests.support.tools import PlainTools  # noqa: E402

from mediamill.core.gaze import Redirecting  # noqa: E402
from mediamill.engines import gaze  # noqa: E402
from mediamill.engines._frames import Frame, Picture, picture  # noqa: E402

ROUNDS = 3
GOAL = 0.80


def film(path: Path, size: str, seconds: float) -> Path:
    zoom = f"zoompan=z='1.2+0.2*sin(on/30)':x='iw*0.1':y='ih*0.05':d=1:s={size}:fps=30,format=yuv420p"
    portrait = ROOT / "tests" / "media" / "faces" / "collins.jpg"
    av.ffmpeg("-loop", "1", "-i", portrait, "-t", str(seconds), "-vf", zoom, "-c:v", "libx264", "-crf", "16", path)
    return path


def used_s() -> float:
    """Processor time of this process and of those it started that have ended."""
    own, ended = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + ended.ru_utime + ended.ru_stime


def networks(given: list[Picture], threads: int) -> tuple[float, float]:
    """Pictures a second, and processor time of one."""
    alone = gaze._Film(1.0, 30, threads)
    alone.find(Frame(0, 0.0, given[0], given[0]))
    start, used = time.perf_counter(), used_s()
    for number, one in enumerate(given):
        alone.find(Frame(number, number / 30, one, one))
    return len(given) / (time.perf_counter() - start), (used_s() - used) / len(given)


def whole(engine: gaze.Warp, source: Path, target: Path) -> tuple[float, float]:
    """The same from film to film."""
    start, used = time.perf_counter(), used_s()
    done = engine.redirect(
        Redirecting(
            source=source,
            source_mime="video/mp4",
            target=target,
            container="mp4",
            intensity=1.0,
            tools=PlainTools(timeout_s=3600),
            report=lambda stage, fraction=None: None,
        )
    )
    return done["frames"] / (time.perf_counter() - start), (used_s() - used) / done["frames"]


@dataclass(frozen=True)
class Row:
    """Of the round in the middle: pictures a second and processor time of one, of the networks alone and the whole."""

    size: str
    alone: tuple[float, float]
    whole: tuple[float, float]
    ratios: list[float]
    peaks: tuple[int, int]

    @property
    def ratio(self) -> float:
        return self.whole[0] / self.alone[0]

    def __str__(self) -> str:
        return (
            f"{self.size:<12}{self.whole[0]:>8.1f}{self.alone[0]:>12.1f}{self.ratio:>7.2f}"
            f"{self.whole[1] * 1e3:>10.1f}{self.alone[1] * 1e3:>16.1f}{CORES / self.whole[1]:>14.1f}"
            f"{self.peaks[0] / 1e6:>8.0f}{self.peaks[1] / 1e6:>8.0f}  "
            + ", ".join(f"{ratio:.2f}" for ratio in self.ratios)
        )


CORES = len(os.sched_getaffinity(0))
HEAD = (
    f"{'':<12}{'whole/s':>8}{'networks/s':>12}{'ratio':>7}{'CPU ms':>10}{'networks CPU ms':>16}{'cores allow/s':>14}"
    f"{'MB':>8}{'x3 MB':>8}  all ratios"
)


def measured(engine: gaze.Warp, size: str, seconds: float, folder: Path) -> Row:
    short, long = film(folder / "short.mp4", size, seconds), film(folder / "long.mp4", size, 3 * seconds)
    target = folder / "gaze.mp4"
    with Peak() as first:
        whole(engine, short, target)
    with Peak() as second:
        whole(engine, long, target)
    width, height = (int(side) for side in size.split("x"))
    frames = [np.asarray(shown.to_ndarray(format="yuv420p"), np.uint8).reshape(-1) for shown in av.frames(short)[:60]]
    given = [picture(flat, "yuv420p", width, height) for flat in frames]
    rounds = []
    for _ in range(ROUNDS):
        alone = max(networks(given, threads) for threads in (1, 2))
        rounds.append((alone, whole(engine, short, target)))
    rounds.sort(key=lambda one: one[1][0] / one[0][0])
    ratios = [one[1][0] / one[0][0] for one in rounds]
    return Row(size, *rounds[ROUNDS // 2], ratios, (first.bytes, second.bytes))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=4)
    parser.add_argument("--sizes", default="1920x1080,1280x720,854x480")
    asked = parser.parse_args()
    engine = gaze.Warp()
    if (missing := engine.missing()) is not None:
        raise SystemExit(f"{missing.reason} {missing.remedy}")
    print(f"{CORES} processors, load {os.getloadavg()[0]:.1f}")
    # Each in a process of its own, or what one has left behind would count as the next one's memory.
    alone = ProcessPoolExecutor(1, mp_context=get_context("spawn"), max_tasks_per_child=1)
    with tempfile.TemporaryDirectory() as folder, alone as pool:
        sizes = asked.sizes.split(",")
        rows = [pool.submit(measured, engine, size, asked.seconds, Path(folder)).result() for size in sizes]
    print(HEAD, *rows, sep="\n")
    worst = min(rows, key=lambda row: row.ratio)
    print(f"worst: {worst.size}, ratio {worst.ratio:.2f} (goal {GOAL:.2f}); load {os.getloadavg()[0]:.1f}")
    return 0 if worst.ratio >= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
