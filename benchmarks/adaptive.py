"""What packaging adds to ffmpeg: a whole ladder through the kind's engine and by hand, and how soon something plays.

    PYTHONPATH=src python -m benchmarks.adaptive [--seconds 60] [--rounds 2] [--long] [--served]

The command by hand is the best single one we know for the same rungs: one decode, each rung scaled from the one above,
the same encoder settings, five pictures and a sound in fragmented MP4. Our side adds probing, the early package, the
process runner, the segment indexes and both manifests. Both run in turn on the same file; the best round of each
counts. Processor time is given beside the clock's, for machines that do other things as well. Goals: ratio 1.10; the
first package of 60 s within 3 s, of 10 min (--long) within 10 s of the kind's start.
"""

from __future__ import annotations

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks._server import serving

from mediamill import engines
from mediamill.core.adaptive import ladder
from mediamill.engines import _ffmpeg
from mediamill.kinds import Context, Input, Output, adaptive_video
from mediamill.worker.tool import Limits, ToolRunner

GOAL, FIRST_S, FIRST_LONG_S = 1.10, 3.0, 10.0
GIB = 1 << 30


def source(folder: Path, seconds: int) -> Path:
    """1080p30 H.264 with grain and AAC at about 10 Mbit/s; longer ones repeat a minute without encoding it again."""
    path, minute = folder / f"source-{seconds}.mp4", min(seconds, 60)
    once = folder / f"once-{minute}.mp4"
    picture = f"testsrc2=s=1920x1080:r=30:d={minute},noise=alls=8:allf=t"
    if not once.exists():
        _ffmpeg_plain(
            *("-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=r=48000:d={minute}", "-pix_fmt", "yuv420p"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-b:v", "10M", "-g", "60", "-c:a", "aac", once),
        )
    _ffmpeg_plain("-stream_loop", str(max(0, seconds // 60 - 1)), "-i", once, "-c", "copy", path)
    return path


def _ffmpeg_plain(*args: str | Path) -> None:
    argv: list[str | Path] = [_ffmpeg.binary(), "-v", "error", "-nostdin", "-y", *args]
    subprocess.run(argv, check=True)


def _cpu_s() -> float:
    return sum(
        usage.ru_utime + usage.ru_stime
        for usage in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def by_hand(path: Path, folder: Path) -> tuple[float, float]:
    """Seconds of the plain command by the clock, and of the processor."""
    rungs = ladder(1920, 1080)
    graph = "[0:v]format=yuv420p,split[v0][s0]"
    for n, rung in enumerate(rungs[1:], 1):
        last = n == len(rungs) - 1
        scaled = f"[s{n - 1}]scale={rung.width_px}:{rung.height_px}:flags=bicubic"
        graph += f";{scaled}" + (f"[v{n}]" if last else f",split[v{n}][s{n}]")
    args: list[str | Path] = ["-i", path, "-filter_complex", graph]
    for n, rung in enumerate(rungs):
        bps = rung.bitrate_bps
        args += ["-map", f"[v{n}]", "-c:v", "libx264", "-preset", "veryfast", "-profile:v", "high"]
        args += ["-b:v", str(bps), "-maxrate", str(int(bps * 1.2)), "-bufsize", str(2 * bps), "-qmin", "12"]
        args += ["-g", "60", "-keyint_min", "60", "-sc_threshold", "0"]
        args += ["-movflags", "cmaf+frag_keyframe+delay_moov", "-f", "mp4", folder / f"hand-{n}.mp4"]
    args += ["-map", "0:a", "-c:a", "aac", "-b:a", "64k", "-movflags", "cmaf+delay_moov"]
    began, cpu_s = time.perf_counter(), _cpu_s()
    _ffmpeg_plain(*args, "-frag_duration", "500000", "-f", "mp4", folder / "hand-a.mp4")
    return time.perf_counter() - began, _cpu_s() - cpu_s


@dataclass
class Ran:
    """One package: when it was all there, when the first of it was, and how far progress was from the time it took."""

    took_s: float = 0.0
    cpu_s: float = 0.0
    first_s: float = 0.0
    way: str = ""
    astray: float = 0.0


class _Seen(Exception):
    """The first package is there, which is all that was asked."""


def through_mediamill(path: Path, folder: Path, *, only_first: bool = False) -> Ran:
    """The same work through the kind, in the process runner."""
    scratch = folder / "scratch"
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir()
    limits = Limits(
        wall_s=3600, cpu_s=36000, memory_bytes=4 * GIB, output_bytes=8 * GIB, scratch_bytes=16 * GIB, processes=256
    )
    found = engines.open(ToolRunner(limits=limits, scratch=scratch, deadline=time.monotonic() + 3600))
    ran, reports = Ran(), []
    began, cpu_s = time.perf_counter(), _cpu_s()

    def report(stage: str, fraction: float | None = None) -> None:
        if stage == "encode" and fraction is not None:
            reports.append((time.perf_counter() - began, fraction))

    def publish(outputs: Sequence[Output]) -> None:
        ran.first_s = time.perf_counter() - began
        if only_first:
            raise _Seen

    given = Input(path=path, mime="video/mp4", filename=path.name)
    context = Context(inputs=[given], scratch=scratch, engines=found, report=report, publish=publish)
    try:
        result = adaptive_video.KIND.run(context, adaptive_video.Options())
    except _Seen:
        return ran
    ran.took_s, ran.cpu_s = time.perf_counter() - began, _cpu_s() - cpu_s
    ran.way = result.details["early"]["way"]
    ran.astray = max(abs(fraction - at_s / ran.took_s) for at_s, fraction in reports)
    return ran


def served(path: Path) -> float:
    """Seconds from a task's acceptance by a server that has done nothing yet to its first package in the task."""
    with serving() as server:
        file = server.upload(path.name, path.read_bytes())
        began = time.perf_counter()
        task = server.call("POST", "/mill/tasks", {"kind": "adaptive_video", "inputs": [{"file": file}]})
        while not task["outputs"]:
            if task["state"] == "failed":
                raise RuntimeError(task["error"]["message"])
            time.sleep(0.05)
            task = server.call("GET", f"/mill/tasks/{task['id']}")
        took_s = time.perf_counter() - began
        server.call("POST", f"/mill/tasks/{task['id']}/cancel")
        return took_s


def main() -> int:
    """Print the figures as one JSON object; status 1 when a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--long", action="store_true", help="also the first package of ten minutes")
    parser.add_argument("--served", action="store_true", help="the first packages also from a server's acceptance on")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="mediamill-bench-") as name:
        folder = Path(name)
        path = source(folder, asked.seconds)
        hand, ours = [], []
        for _ in range(asked.rounds):
            hand.append(by_hand(path, folder))
            ours.append(through_mediamill(path, folder))
        served_s = served(path) if asked.served else None
        served_long_s = served(source(folder, 600)) if asked.served and asked.long else None
        long_s = through_mediamill(source(folder, 600), folder, only_first=True).first_s if asked.long else None
    best = min(ours, key=lambda ran: ran.took_s)
    ratio, first_s = best.took_s / min(s for s, _ in hand), min(ran.first_s for ran in ours)
    print(
        json.dumps(
            {
                "seconds_of_1080p": asked.seconds,
                "by_hand_s": [round(s, 2) for s, _ in hand],
                "mediamill_s": [round(ran.took_s, 2) for ran in ours],
                "ratio": round(ratio, 3),
                "goal": GOAL,
                "cpu_ratio": round(min(ran.cpu_s for ran in ours) / min(s for _, s in hand), 3),
                "first_playable_s": round(first_s, 2),
                "first_playable_way": best.way,
                "first_playable_goal_s": FIRST_S,
                "first_playable_of_10_min_s": None if long_s is None else round(long_s, 2),
                "first_playable_served_s": None if served_s is None else round(served_s, 2),
                "first_playable_of_10_min_served_s": None if served_long_s is None else round(served_long_s, 2),
                "progress_off_by": round(min(ran.astray for ran in ours), 3),
            }
        )
    )
    late = max(first_s, served_s or 0.0) > FIRST_S or max(long_s or 0.0, served_long_s or 0.0) > FIRST_LONG_S
    return 1 if ratio > GOAL or late else 0


if __name__ == "__main__":
    sys.exit(main())
