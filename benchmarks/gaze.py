"""The kind `gaze_redirect`: frames a second from film to film, against the networks alone, in one run.

    python benchmarks/gaze.py [--seconds 8] [--size 1280x720]

The film is the portrait of tests/media/faces, slowly zoomed. The networks alone read the same pictures out of memory,
with nothing decoded, drawn or encoded, with one thread each or with two, whichever is faster. Both are measured by
turns; the last line is the ratio of the two in the round in the middle: the goal is 0.80 or more.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "src"), str(ROOT)]

import numpy as np  # noqa: E402
from tests.support import av  # noqa: E402 - after the path to it
from tests.support.tools import PlainTools  # noqa: E402

from mediamill.core.gaze import Redirecting  # noqa: E402
from mediamill.engines import gaze  # noqa: E402
from mediamill.engines._frames import Frame, Picture, picture  # noqa: E402

ROUNDS = 3


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=8)
    parser.add_argument("--size", default="1280x720")
    asked = parser.parse_args()
    engine = gaze.Warp()
    if (missing := engine.missing()) is not None:
        raise SystemExit(f"{missing.reason} {missing.remedy}")
    cores = os.cpu_count() or 1
    print(f"{cores} processors, load {os.getloadavg()[0]:.1f}")
    with tempfile.TemporaryDirectory() as folder:
        source = film(Path(folder) / "speaker.mp4", asked.size, asked.seconds)
        frames = [
            np.asarray(shown.to_ndarray(format="yuv420p"), np.uint8).reshape(-1) for shown in av.frames(source)[:90]
        ]
        width, height = (int(side) for side in asked.size.split("x"))
        given = [picture(flat, "yuv420p", width, height) for flat in frames]
        rounds = []
        for _ in range(ROUNDS):
            alone = max(networks(given, threads) for threads in (1, 2))
            rounds.append((alone, whole(engine, source, Path(folder) / "gaze.mp4")))
    rounds.sort(key=lambda one: one[1][0] / one[0][0])
    (alone_rate, alone_s), (rate, each_s) = rounds[ROUNDS // 2]
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    child_mb = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"networks alone {alone_rate:.0f} frames/s, film to film {rate:.0f} frames/s ({asked.size})")
    print(
        f"processors {alone_s * 1e3:.1f} ms a picture for the networks alone, {each_s * 1e3:.1f} ms film to film: "
        f"{cores} allow {cores / each_s:.0f} frames/s"
    )
    print(
        f"peak memory {peak_mb:.0f} MB with {len(frames)} pictures of the comparison, largest ffmpeg {child_mb:.0f} MB"
    )
    print("ratios " + ", ".join(f"{one[1][0] / one[0][0]:.2f}" for one in rounds))
    print(f"ratio {rate / alone_rate:.2f}")


if __name__ == "__main__":
    main()
