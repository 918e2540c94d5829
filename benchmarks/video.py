"""What Mediamill adds to ffmpeg: 30 s of 1080p to 720p H.264, by its converter, by its kind `video`, and by hand.

    PYTHONPATH=src python -m benchmarks.video [--seconds 30] [--rounds 2]

All run in turn in the same process on the same file with the same encoder settings; the best round of each counts.
Ours include probing, the process runner with its limits, and progress. The kind moves the sound as it is, so it is held
against a command that does, and once more with a logo and a title on the film. Goal: each ratio ≤ 1.10.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from mediamill import engines
from mediamill.core.ports import Conversion
from mediamill.engines import _ffmpeg
from mediamill.engines.ffmpeg import CONVERTER
from mediamill.kinds import Context, Input, _layers, video
from mediamill.worker.tool import Limits, ToolRunner

GOAL = 1.10
GIB = 1 << 30


def source(folder: Path, seconds: int, name: str = "source.mp4") -> Path:
    """A moving pattern with grain and a tone, H.264 and AAC at about 10 Mbit/s."""
    path = folder / name
    picture = f"testsrc2=s=1920x1080:r=30:d={seconds},noise=alls=8:allf=t"
    argv: list[str | Path] = [
        *(_ffmpeg.binary(), "-v", "error", "-f", "lavfi", "-i", picture, "-f", "lavfi", "-i", f"sine=d={seconds}"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-b:v", "10M", "-pix_fmt", "yuv420p", "-c:a", "aac", path),
    ]
    subprocess.run(argv, check=True)
    return path


def picture(folder: Path, name: str, size: str) -> Path:
    """A half see-through box as PNG."""
    path = folder / f"{name}.png"
    box = f"color=0xff0080@0.5:s={size},format=rgba"
    argv = [str(_ffmpeg.binary()), "-v", "error", "-f", "lavfi", "-i", box, "-frames:v", "1", str(path)]
    subprocess.run(argv, check=True)
    return path


AAC = ("-c:a", "aac", "-b:a", "128k")


def by_hand(path: Path, target: Path, *sound: str, layers: tuple[Path, ...] = ()) -> float:
    """Seconds of the plain command; `layers` lie in the upper left corner and in the middle."""
    chain = "[0:v]scale=1280:720,format=yuv420p"
    for number, place in zip(range(1, len(layers) + 1), ("20:20", "(W-w)/2:(H-h)/2"), strict=False):
        chain += f"[a{number}];[a{number}][{number}:v]overlay={place}"
    argv: list[str | Path] = [*(_ffmpeg.binary(), "-v", "error", "-nostdin", "-y", "-i", path)]
    for layer in layers:
        argv += ["-i", layer]
    argv += ["-filter_complex", f"{chain}[v]", "-map", "[v]", "-map", "0:a", *sound]
    argv += ["-c:v", "libx264", "-preset", "veryfast", "-crf", "23", "-movflags", "+faststart", target]
    began = time.perf_counter()
    subprocess.run(argv, check=True)
    return time.perf_counter() - began


def runner(folder: Path) -> ToolRunner:
    """Starts programs as the worker's children do."""
    limits = Limits(
        wall_s=600, cpu_s=3600, memory_bytes=4 * GIB, output_bytes=4 * GIB, scratch_bytes=8 * GIB, processes=256
    )
    return ToolRunner(limits=limits, scratch=folder, deadline=time.monotonic() + 600)


def by_the_kind(path: Path, folder: Path, *, logo: Path | None = None) -> float:
    """Seconds of the same work by the kind `video`."""
    options = video.Options(width=1280)
    inputs = [Input(path=path, mime="video/mp4", filename=path.name)]
    if logo is not None:
        corner = _layers.ImageLayer(url="http://files.example/logo.png", left=20, top=20)
        options = video.Options(width=1280, layers=(corner, _layers.TextLayer(text="Title", font_size=80)))
        inputs.append(Input(path=logo, mime="image/png", filename="logo.png"))
    installed = engines.open(runner(folder))
    context = Context(inputs=inputs, scratch=folder, engines=installed, report=lambda stage, fraction=None: None)
    began = time.perf_counter()
    video.KIND.run(context, video.KIND.check(options, [], installed))
    return time.perf_counter() - began


def through_mediamill(path: Path, folder: Path, target_mime: str, **settings: object) -> float:
    """Seconds of the same work through the converter."""
    target = folder / "result.bin"
    tools = runner(folder)
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
        logo, title = picture(folder, "logo", "300x120"), picture(folder, "title", "200x80")
        by_the_kind(source(folder, 1, name="short.mp4"), folder, logo=logo)
        hand, ours, hand_copied, kind, hand_laid, laid = [], [], [], [], [], []
        for _ in range(asked.rounds):
            hand.append(by_hand(path, folder / "hand.mp4", *AAC))
            ours.append(through_mediamill(path, folder, "video/mp4", resize={"width": 1280, "height": 720}))
            hand_copied.append(by_hand(path, folder / "hand.mp4", "-c:a", "copy"))
            kind.append(by_the_kind(path, folder))
            hand_laid.append(by_hand(path, folder / "hand.mp4", "-c:a", "copy", layers=(logo, title)))
            laid.append(by_the_kind(path, folder, logo=logo))
        moved = through_mediamill(path, folder, "video/quicktime")
        mebibytes = path.stat().st_size / (1 << 20)
    ratio, kind_ratio, laid_ratio = (
        min(mine) / min(theirs) for mine, theirs in ((ours, hand), (kind, hand_copied), (laid, hand_laid))
    )
    print(
        json.dumps(
            {
                "seconds_of_1080p": asked.seconds,
                "by_hand_s": round(min(hand), 2),
                "mediamill_s": round(min(ours), 2),
                "ratio": round(ratio, 3),
                "kind_by_hand_s": round(min(hand_copied), 2),
                "kind_s": round(min(kind), 2),
                "kind_ratio": round(kind_ratio, 3),
                "layers_by_hand_s": round(min(hand_laid), 2),
                "layers_s": round(min(laid), 2),
                "layers_ratio": round(laid_ratio, 3),
                "goal": GOAL,
                "times_real_time": round(asked.seconds / min(ours), 2),
                "remux_s": round(moved, 2),
                "source_mib": round(mebibytes, 1),
            }
        )
    )
    return 0 if max(ratio, kind_ratio, laid_ratio) <= GOAL else 1


if __name__ == "__main__":
    sys.exit(main())
