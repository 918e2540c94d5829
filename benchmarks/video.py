"""What the converter adds to ffmpeg: 30 s of 1080p to 720p H.264, through Mediamill's converter and by hand.

    PYTHONPATH=src python -m benchmarks.video [--seconds 30] [--rounds 2]

Both sides run in turn in the same process on the same file with the same encoder settings; the best round of each
counts. The converter's side includes probing, the process runner with its limits, and progress. Goal: ratio ≤ 1.10.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mediamill.core.ports import Conversion
from mediamill.engines import _ffmpeg
from mediamill.engines.ffmpeg import CONVERTER
from mediamill.worker.tool import Limits, ToolRunner

GOAL = 1.10
GIB = 1 << 30


def source(folder: Path, seconds: int) -> Path:
    """A moving pattern with grain and a tone, H.264 and AAC at about 10 Mbit/s."""
    path = folder / "source.mp4"
    picture = f"testsrc2=s=1920x1080:r=30:d={seconds},noise=alls=8:allf=t"
    argv: list[str | Path] = [
        *(_ffmpeg.binary(), "-v", "error", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=d={seconds}"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-b:v", "10M", "-pix_fmt", "yuv420p", "-c:a", "aac", path),
    ]
    subprocess.run(argv, check=True)
    return path


def by_hand(path: Path, target: Path) -> float:
    """Seconds of the plain command."""
    argv: list[str | Path] = [
        *(_ffmpeg.binary(), "-v", "error", "-nostdin", "-y", "-i", path, "-vf", "scale=1280:720,format=yuv420p"),
        *("-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-c:a", "aac", "-b:a", "128k"),
        *("-movflags", "+faststart", target),
    ]
    began = time.perf_counter()
    subprocess.run(argv, check=True)
    return time.perf_counter() - began


def through_mediamill(path: Path, folder: Path, target_mime: str, **settings: object) -> float:
    """Seconds of the same work through the converter."""
    limits = Limits(
        wall_s=600, cpu_s=3600, memory_bytes=4 * GIB, output_bytes=4 * GIB, scratch_bytes=8 * GIB, processes=256
    )
    target = folder / "result.bin"
    tools = ToolRunner(limits=limits, scratch=folder, deadline=time.monotonic() + 600)
    work = Conversion(
        source=path,
        source_mime="video/mp4",
        target=target,
        target_mime=target_mime,
        settings=settings,
        scratch=folder,
        tools=tools,
        report=lambda stage, fraction=None: None,
    )
    began = time.perf_counter()
    CONVERTER.convert(work)
    return time.perf_counter() - began


def main() -> int:
    """Print the figures as one JSON object; status 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=2)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = source(folder, asked.seconds)
        through_mediamill(path, folder, "image/png")  # imports and the first look at the binary are not the question
        hand, ours = [], []
        for _ in range(asked.rounds):
            hand.append(by_hand(path, folder / "hand.mp4"))
            ours.append(through_mediamill(path, folder, "video/mp4", resize={"width": 1280, "height": 720}))
        moved = through_mediamill(path, folder, "video/quicktime")
        mebibytes = path.stat().st_size / (1 << 20)
    ratio = min(ours) / min(hand)
    print(
        json.dumps(
            {
                "seconds_of_1080p": asked.seconds,
                "by_hand_s": round(min(hand), 2),
                "mediamill_s": round(min(ours), 2),
                "ratio": round(ratio, 3),
                "goal": GOAL,
                "times_real_time": round(asked.seconds / min(ours), 2),
                "remux_s": round(moved, 2),
                "source_mib": round(mebibytes, 1),
            }
        )
    )
    return 0 if ratio <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
