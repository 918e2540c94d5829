"""Sample files made on the spot, for the demo, the acceptance tests and trying things out.

Each maker writes one file and returns its path. Pictures by Pillow, sounds by NumPy, films by the
ffmpeg of the install. Nothing here reads a stranger's bytes.
"""

from __future__ import annotations

import csv
import math
import os
import subprocess
import wave
from pathlib import Path

from mediamill.cli._exit import Exit, Stop

RATE_HZ = 44100
CHORDS = ((220.0, 277.18, 329.63), (196.0, 246.94, 293.66), (174.61, 220.0, 261.63), (220.0, 277.18, 440.0))

LETTER = """# A letter from the mill

Dear reader,

this page was **Markdown** a moment ago. It went to the server as a plain text file, and came back set in type.

| Came in | Went out | Why |
|:--------|:--------:|----:|
| picture | WebP     | smaller |
| sound   | MP3      | plays everywhere |
| film    | WebM     | for the web |

> Grüße, 问候, 안녕, नमस्ते, مرحبا: letters of every script come out as they went in.

1. Nothing had to be installed for it,
2. nothing left this machine,
3. and `mediamill run` does the same for your files.
"""


def picture(folder: Path, width_px: int = 1600, height_px: int = 1000) -> Path:
    """A PNG of hills at dusk: soft gradients and hard edges, as photos and drawings have them."""
    from PIL import Image, ImageDraw, ImageFilter

    sky = Image.linear_gradient("L").resize((width_px, height_px))
    image = Image.composite(Image.new("RGB", sky.size, (255, 176, 110)), Image.new("RGB", sky.size, (38, 46, 92)), sky)
    draw = ImageDraw.Draw(image)
    sun = height_px // 9
    draw.ellipse(
        (width_px * 0.62 - sun, height_px * 0.42 - sun, width_px * 0.62 + sun, height_px * 0.42 + sun), "#fff0c8"
    )
    for number, colour in enumerate(("#8a5a78", "#5c4468", "#352c50", "#171a34")):
        base = height_px * (0.55 + 0.12 * number)
        ridge = [
            (
                x,
                base
                + height_px * 0.05 * math.sin(x / width_px * (5 + 2 * number) + number * 2)
                + height_px * 0.02 * math.sin(x / width_px * 31 + number),
            )
            for x in range(0, width_px + 8, 8)
        ]
        draw.polygon([*ridge, (width_px, height_px), (0, height_px)], fill=colour)
    # Grain, as a sensor makes it: without it every codec looks better than it is.
    grain = Image.effect_noise(image.size, 24).filter(ImageFilter.GaussianBlur(0.6))
    image = Image.blend(image, Image.merge("RGB", (grain, grain, grain)), 0.06)
    target = folder / "hills.png"
    image.save(target)
    return target


def drawing(folder: Path) -> Path:
    """An SVG of a mill."""
    sails = "".join(
        f'<path d="M0-6 L90-14 L90 4 Z" transform="rotate({angle})" fill="#e8d9b5" stroke="#5b4a2f" stroke-width="2"/>'
        for angle in (20, 110, 200, 290)
    )
    target = folder / "mill.svg"
    target.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="320" height="320" viewBox="0 0 320 320">'
        '<rect width="320" height="320" fill="#dcecf5"/><ellipse cx="160" cy="320" rx="220" ry="60" fill="#7fa45b"/>'
        '<path d="M120 290 L138 130 H182 L200 290 Z" fill="#b5533c"/>'
        '<path d="M132 132 L160 92 L188 132 Z" fill="#4a3a55"/>'
        f'<g transform="translate(160 128)">{sails}<circle r="8" fill="#5b4a2f"/></g></svg>\n'
    )
    return target


def sound(folder: Path, seconds: float = 8.0) -> Path:
    """A WAV of four soft chords, stereo."""
    import numpy as np

    at = np.arange(int(seconds * RATE_HZ)) / RATE_HZ
    each = seconds / len(CHORDS)
    hz = np.array(CHORDS)[np.minimum((at / each).astype(int), len(CHORDS) - 1)]
    inside = at % each
    swell = 7000 * np.minimum(inside / 0.05, 1.0) * np.exp(-inside * 1.2)
    # The right side a little sharp: a stereo file whose sides are equal would hide a lost channel.
    sides = [swell * np.sin(2 * np.pi * hz * detune * at[:, None]).sum(axis=1) for detune in (1.0, 1.003)]
    target = folder / "chords.wav"
    with wave.open(str(target), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(np.stack(sides, axis=1).astype("<i2").tobytes())
    return target


def film(folder: Path, soundtrack: Path, seconds: float = 6.0) -> Path:
    """An MP4 of a moving test picture with a sound track, 640x360 at 25 frames a second."""
    from imageio_ffmpeg import get_ffmpeg_exe  # type: ignore[import-untyped]  # the package ships no types

    program = os.environ.get("MEDIAMILL_FFMPEG") or get_ffmpeg_exe()
    target = folder / "film.mp4"
    source = f"testsrc2=size=640x360:rate=25:duration={seconds:g}"
    look = "-c:v libx264 -preset veryfast -crf 20 -pix_fmt yuv420p -c:a aac -b:a 128k -shortest -movflags +faststart"
    argv = [program, "-hide_banner", "-loglevel", "error", "-y", "-nostdin", "-f", "lavfi", "-i", source]
    argv += ["-i", str(soundtrack), *look.split(), str(target)]
    made = subprocess.run(argv, capture_output=True, text=True, check=False)  # noqa: S603 - our own arguments
    if made.returncode:
        raise Stop(Exit.FAILED, f"ffmpeg could not make the sample film: {made.stderr.strip()[-300:]}")
    return target


def letter(folder: Path) -> Path:
    """A Markdown letter with a table, a list, a quotation and several scripts."""
    target = folder / "letter.md"
    target.write_text(LETTER, encoding="utf-8")
    return target


def sheet(folder: Path) -> Path:
    """A CSV table of a year."""
    target = folder / "harvest.csv"
    with target.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file)
        rows.writerow(["month", "sacks", "price"])
        for number, month in enumerate(
            ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
        ):
            rows.writerow([month, 40 + 25 * number % 90, f"{12.5 + number / 4:.2f}"])
    return target
