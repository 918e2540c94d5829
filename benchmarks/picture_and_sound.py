"""What the kinds `image` and `audio` add to the bare tools, in one run on the same files.

    PYTHONPATH=src python -m benchmarks.picture_and_sound [--seconds 60] [--rounds 3]

Every row does the same work by hand (ffmpeg in one command or two, or a few lines of Pillow) and by the kind, in turn;
the best round of each counts. The kind's side includes probing, the runner of programs with its limits, and progress.
Goal: at most 1.10 of the tool's time, or 0.15 s above it where both are done before anybody notices.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
from benchmarks.video import runner, source

from mediamill import engines, kinds
from mediamill.core import formats
from mediamill.engines import _ffmpeg
from mediamill.kinds import Context, Input

GOAL, UNNOTICED_S = 1.10, 0.15


def by_kind(name: str, path: Path, folder: Path, **options: Any) -> None:
    """One task of a kind, as a child does it."""
    kind = kinds.named(name)
    installed = engines.open(runner(folder))
    found = formats.by_filename(path.name)
    assert found is not None
    wished = kind.check(msgspec.convert(options, kind.options), [], installed)
    inputs = [Input(path=path, mime=found.mime, filename=path.name)]
    context = Context(inputs=inputs, scratch=folder, engines=installed, report=lambda stage, fraction=None: None)
    kind.run(context, wished)


def by_ffmpeg(*args: str | Path) -> None:
    """The bare program."""
    subprocess.run([_ffmpeg.binary(), "-v", "error", "-nostdin", "-y", *args], check=True)


def by_pillow(path: Path, target: Path) -> None:
    """The same picture in the fewest lines."""
    from PIL import Image, ImageOps

    with Image.open(path) as image:
        image.draft("RGB", (800, 600))
        ImageOps.exif_transpose(image).resize((800, 600), Image.Resampling.LANCZOS, reducing_gap=3.0).save(
            target, quality=80, optimize=True
        )


def took(work: Callable[[], None]) -> float:
    """Seconds."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def rows(
    folder: Path, film: Path, music: Path, photo: Path, middle: int
) -> dict[str, tuple[Callable[[], None], Callable[[], None]]]:
    """What is measured: by hand, and by the kind."""
    out = folder / "hand"
    sprite = "fps=1/2:round=near,scale=160:90:flags=area,tile=10x100"
    return {
        "poster of a 1080p film": (
            lambda: by_ffmpeg(
                "-ss", str(middle), "-i", film, "-frames:v", "1", "-update", "1", out.with_suffix(".jpg")
            ),
            lambda: by_kind("image", film, folder, start=middle),
        ),
        "12 megapixel jpeg to 800 px": (
            lambda: by_pillow(photo, out.with_suffix(".jpg")),
            lambda: by_kind("image", photo, folder, width=800),
        ),
        "sprite, a picture every 2 s": (
            lambda: by_ffmpeg(
                "-i", film, "-an", "-vf", sprite, "-frames:v", "1", "-update", "1", out.with_suffix(".jpg")
            ),
            lambda: by_kind("image", film, folder, sprite={"interval": 2}),
        ),
        "mp3 of a film": (
            lambda: by_ffmpeg("-i", film, "-vn", "-c:a", "libmp3lame", "-b:a", "192k", out.with_suffix(".mp3")),
            lambda: by_kind("audio", film, folder),
        ),
        "opus at -23 LUFS (by hand: loudnorm twice)": (
            lambda: by_loudnorm(music, out.with_suffix(".opus")),
            lambda: by_kind("audio", music, folder, format="opus", loudness=True),
        ),
        "flac with a waveform (by hand: encode, showwavespic)": (
            lambda: by_wave(music, out),
            lambda: by_kind("audio", music, folder, format="flac", waveform={"png": True}),
        ),
    }


def by_loudnorm(path: Path, target: Path) -> None:
    """ffmpeg's own way to a loudness: measure with `loudnorm`, then apply what it found."""
    measure = "loudnorm=I=-23:TP=-1:print_format=json"
    argv: list[str | Path] = [
        _ffmpeg.binary(),
        "-hide_banner",
        "-nostdin",
        "-i",
        path,
        "-af",
        measure,
        "-f",
        "null",
        "-",
    ]
    done = subprocess.run(argv, check=True, capture_output=True, text=True)
    found = json.loads(done.stderr[done.stderr.rindex("{") : done.stderr.rindex("}") + 1])
    measured = ":".join(
        f"measured_{key}={found[f'input_{name}']}"
        for key, name in (("I", "i"), ("TP", "tp"), ("LRA", "lra"), ("thresh", "thresh"))
    )
    level = f"loudnorm=I=-23:TP=-1:{measured}:offset={found['target_offset']}:linear=true"
    by_ffmpeg("-i", path, "-af", level, "-ar", "48000", "-c:a", "libopus", "-b:a", "128k", target)


def by_wave(path: Path, out: Path) -> None:
    """Two commands."""
    by_ffmpeg("-i", path, "-c:a", "flac", "-compression_level", "8", out.with_suffix(".flac"))
    picture = ("-filter_complex", "showwavespic=s=1200x240", "-frames:v", "1", "-update", "1")
    by_ffmpeg("-i", out.with_suffix(".flac"), *picture, out.with_suffix(".png"))


def main() -> int:
    """Print the figures as one JSON object; status 1 when the goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    figures = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        film = source(folder, asked.seconds)
        music, photo = folder / "music.wav", folder / "photo.jpg"
        by_ffmpeg("-f", "lavfi", "-i", f"anoisesrc=c=pink:r=48000:a=0.3:d={5 * asked.seconds}", "-ac", "2", music)
        by_ffmpeg("-f", "lavfi", "-i", "testsrc2=s=4000x3000,noise=alls=20", "-frames:v", "1", "-q:v", "3", photo)
        for what, (hand, ours) in rows(folder, film, music, photo, asked.seconds // 2).items():
            ours()  # imports are not the question
            times = [(took(hand), took(ours)) for _ in range(asked.rounds)]
            theirs, mine = (min(side) for side in zip(*times, strict=True))
            figures[what] = {"by_hand_s": round(theirs, 3), "kind_s": round(mine, 3), "ratio": round(mine / theirs, 2)}
    print(json.dumps(figures, indent=2))
    missed = [f for f in figures.values() if f["ratio"] > GOAL and f["kind_s"] - f["by_hand_s"] > UNNOTICED_S]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
