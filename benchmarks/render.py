"""How fast timelines are rendered and looked at: the kind `render` against the best ffmpeg filter graph written by hand
for the same picture, and the first frame of a preview. `python -m benchmarks.render`."""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support import scenes
from tests.support.av import ffmpeg
from tests.support.scenes import at, run

from mediamill import fonts
from mediamill.engines._compose_encode import h264

RUNS = 3
WIDE, HIGH = 1920, 1080


def material(folder: Path) -> None:
    """Two noisy 1080p clips with sound, and a logo."""
    for name, source in (("one.mp4", "testsrc2"), ("two.mp4", "testsrc")):
        ffmpeg(
            "-f", "lavfi", "-i", f"{source}=s={WIDE}x{HIGH}:r=30:d=6", "-f", "lavfi", "-i", "sine=440:d=6",
            "-vf", "noise=alls=6:allf=t", "-pix_fmt", "yuv420p", "-c:v", "libx264", "-preset", "veryfast", "-crf", "20",
            "-color_primaries", "bt709", "-color_trc", "bt709", "-colorspace", "bt709", folder / name,
        )  # fmt: skip
    scenes.flat(folder / "logo.png", (255, 0, 128), (258, 130))


def scene(length_s: float) -> dict[str, Any]:
    """Two clips, a picture, a title and a cross dissolve."""
    half = length_s / 2
    return {
        "width": WIDE, "height": HIGH, "duration": length_s,
        "elements": [
            {"type": "video", "id": "a", "source_url": at("one.mp4"), "out_point": min(6, half + 0.5)},
            {"type": "video", "id": "b", "source_url": at("two.mp4"), "time": half - 0.5,
             "out_point": min(6, half + 0.5)},
            {"type": "image", "id": "logo", "source_url": at("logo.png"), "duration": length_s, "x": 1632, "y": 130,
             "width": 258, "height": 130, "z_index": 5},
            {"type": "text", "text": "Two days away", "time": 0.5, "duration": length_s - 1, "font_size": 120,
             "y": "70%", "font_weight": 700, "stroke_color": "#000000", "stroke_width": 6,
             "motion": [{"type": "fade", "time": 0.5, "duration": 0.4}]},
        ],
        "transitions": [{"type": "cross_dissolve", "duration": 1, "from_id": "a", "to_id": "b"}],
    }  # fmt: skip


def by_hand(folder: Path) -> None:
    """The same ten seconds as one filter graph."""
    font = fonts.folder() / "Inter-Bold.otf"
    title = (
        f"drawtext=fontfile={font}:text='Two days away':fontsize=120:fontcolor=white:borderw=6:bordercolor=black:"
        "x=(w-tw)/2:y=756-th/2:alpha='min(1,max(0,(t-0.5)/0.4))':enable='between(t,0.5,9.5)'"
    )
    graph = (
        "[0:v]trim=0:5.5,setpts=PTS-STARTPTS,fps=30[a];[1:v]trim=0:5.5,setpts=PTS-STARTPTS,fps=30[b];"
        f"[a][b]xfade=transition=fade:duration=1:offset=4.5[v];[v][2:v]overlay=1503:65[w];[w]{title},format=yuv420p[o];"
        "[0:a]atrim=0:5.5[x];[1:a]atrim=0:5.5,adelay=4500:all=1[y];"
        "[x][y]amix=inputs=2:normalize=0,apad=whole_dur=10,atrim=0:10[s]"
    )
    ffmpeg(
        "-i", folder / "one.mp4", "-i", folder / "two.mp4", "-loop", "1", "-framerate", "30", "-t", "10",
        "-i", folder / "logo.png", "-filter_complex", graph, "-map", "[o]", "-map", "[s]", "-t", "10",
        *h264(hard=[(135, 165)]), "-c:a", "aac", "-b:a", "192k", "-movflags", "+faststart", folder / "hand.mp4",
    )  # fmt: skip


def took(work: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def main() -> None:
    """Print both tables."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        material(folder)
        request = scene(10)
        print("10 s of 1080p30, two clips, a picture, a title, a cross dissolve")
        for _ in range(RUNS):
            hand_s = took(lambda: by_hand(folder))
            ours_s = took(lambda: run("render", request, folder / "made", folder))
            ratio, speed = ours_s / hand_s, 10 / ours_s
            print(f"  by hand {hand_s:.2f} s, render {ours_s:.2f} s, ratio {ratio:.2f}, {speed:.2f} of real time")
            sys.stdout.flush()
        long = {**scene(60), "at": 31.0}
        run("preview", long, folder / "seen", folder)  # warm
        times = [took(lambda: run("preview", long, folder / "seen", folder)) * 1000 for _ in range(9)]
        print(f"frame of a 60 s scene: median {statistics.median(times):.0f} ms, most {max(times):.0f} ms")


if __name__ == "__main__":
    main()
