"""What Mediamill adds to ffmpeg: 30 s of 1080p to 720p H.264, by its converter, by its kind `video`, and by hand.

    PYTHONPATH=src python -m benchmarks.video [--seconds 30] [--rounds 2]

All run in turn in the same process on the same file with the same encoder settings; the best round of each counts.
Ours include probing, the process runner with its limits, and progress. The kind moves the sound as it is, so it is held
against a command that does, and once more with a logo and a title on the film. Goal: each ratio ≤ 1.10. Beside the
ratios of time stand those of processor seconds, which other work on the machine moves less.
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
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


def compared(by_hand: Callable[[], float], ours: Callable[[], float], rounds: int) -> dict[str, float]:
    """The best of some rounds of both, in seconds and in processor seconds, and their ratios."""
    best: dict[str, tuple[float, float]] = {}
    for _ in range(rounds):
        for side, work in (("by_hand", by_hand), ("mediamill", ours)):
            before_s = processor_s()
            took_s = work()
            spent_s = processor_s() - before_s
            known = best.get(side, (took_s, spent_s))
            best[side] = min(known[0], took_s), min(known[1], spent_s)
    (hand_s, hand_cpu_s), (our_s, our_cpu_s) = best["by_hand"], best["mediamill"]
    return {
        "by_hand_s": round(hand_s, 2),
        "mediamill_s": round(our_s, 2),
        "ratio": round(our_s / hand_s, 3),
        "processor_ratio": round(our_cpu_s / hand_cpu_s, 3),
    }


def processor_s() -> float:
    """What this process and all it has waited for have spent."""
    spent = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(one.ru_utime + one.ru_stime for one in spent)


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
        target = folder / "hand.mp4"
        ways: dict[str, tuple[Callable[[], float], Callable[[], float]]] = {
            "converter": (
                lambda: by_hand(path, target, *AAC),
                lambda: through_mediamill(path, folder, "video/mp4", resize={"width": 1280, "height": 720}),
            ),
            "kind": (lambda: by_hand(path, target, "-c:a", "copy"), lambda: by_the_kind(path, folder)),
            "layers": (
                lambda: by_hand(path, target, "-c:a", "copy", layers=(logo, title)),
                lambda: by_the_kind(path, folder, logo=logo),
            ),
        }
        rows = {name: compared(*sides, asked.rounds) for name, sides in ways.items()}
        moved = through_mediamill(path, folder, "video/quicktime")
        mebibytes = path.stat().st_size / (1 << 20)
    print(
        json.dumps(
            {
                "seconds_of_1080p": asked.seconds,
                **rows,
                "goal": GOAL,
                "times_real_time": round(asked.seconds / rows["converter"]["mediamill_s"], 2),
                "remux_s": round(moved, 2),
                "source_mib": round(mebibytes, 1),
            }
        )
    )
    return 0 if all(row["ratio"] <= GOAL for row in rows.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
