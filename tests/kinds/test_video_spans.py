"""Parts of films: as long as asked for, beginning with what is on the screen then."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image
from tests.support import films
from tests.support.av import convert, ffmpeg
from tests.support.tools import PlainTools

from mediamill.core import formats
from mediamill.engines import _film_frame

GREY = "nullsrc=s=160x120:r={rate}:d=4,geq=lum='16+2*N':cb=128:cr=128"
"""A film whose pictures tell their number by their light."""
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-qp", "8", "-g", "40", "-bf", "2")
HELD = ("-vf", "select='lt(n,20)+gt(n,60)'", "-fps_mode", "vfr")
"""Nothing new comes between the pictures 19 and 61, as in the recording of a screen."""
SOURCES: dict[str, tuple[Fraction, tuple[str, ...]]] = {
    "in.mp4": (Fraction(25), H264),
    "in.ts": (Fraction(25), H264),
    "ntsc.mkv": (Fraction(24000, 1001), H264),
    "in.webm": (Fraction(25), ("-c:v", "libvpx", "-b:v", "2M", "-g", "40", "-deadline", "realtime")),
    "held.mkv": (Fraction(25), (*HELD, *H264)),
    "held.mp4": (Fraction(25), (*HELD, *H264, "-video_track_timescale", "90000")),
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("films")
    for name, (rate, codecs) in SOURCES.items():
        sound = ("-f", "lavfi", "-i", "sine=r=48000:d=4")
        ffmpeg("-f", "lavfi", "-i", GREY.format(rate=rate), *sound, *codecs, folder / name)
    return folder


def shown(path: Path) -> tuple[list[tuple[float, float]], float, float]:
    """(second, number in the source) of every picture; how long the pictures and the sound last."""
    with av.open(str(path)) as container:
        pictures = [
            (float(frame.time or 0), float(frame.to_ndarray(format="gray").mean()) * 219 / 255 / 2)
            for frame in container.decode(video=0)
        ]
        stream = container.streams.video[0]
        lasts_s = float((stream.duration or 0) * (stream.time_base or 0))
    with av.open(str(path)) as container:
        heard_s = sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))
    return pictures, lasts_s, heard_s


def is_of(name: str, number: float, at_s: float, slack_s: float = 0.0) -> bool:
    """Whether the picture of this number is on the screen at an instant."""
    rate = float(SOURCES[name][0])
    wanted = {int((at_s + off) * rate + 0.01) for off in (-slack_s, 0.0, slack_s)}
    held = {19 if name.startswith("held") and 20 <= one < 61 else one for one in wanted}
    return any(abs(number - one) < 1.2 for one in held)


@pytest.mark.parametrize("name", SOURCES)
def test_a_part_is_what_was_on_the_screen_for_as_long_as_was_asked(made: Path, tmp_path: Path, name: str) -> None:
    rate = float(SOURCES[name][0])
    found = formats.by_filename(name)
    assert found is not None
    for start, end in ((1.01, 2.01), (0.513, 2.777), (1.99, 2.5)):
        lasts_s = end - start
        cut = films.make(made / name, tmp_path / "cut", start=start, end=end, width=80)
        turned = convert(made / name, found.mime, "video/mp4", tmp_path / "turned", start=start, duration=lasts_s)

        for path in (cut.path, turned.path):
            pictures, seen_s, heard_s = shown(path)
            assert abs(seen_s - lasts_s) < 1 / rate, (path, start)
            assert abs(heard_s - lasts_s) <= 1024 / 48000 + 0.0001, (path, start)
            assert pictures[0][0] == 0, (path, start, pictures[:4])
            for at, number in pictures:
                assert is_of(name, number, start + at, 0.5 / rate), (path, start, at, number)


@pytest.mark.parametrize("name", ["in.ts", "held.mp4"])
def test_a_moment_is_the_picture_that_is_on_the_screen_then(made: Path, tmp_path: Path, name: str) -> None:
    mime = "video/mp2t" if name.endswith("ts") else "video/mp4"
    for at_s in (0.0, 0.79, 1.5, 2.41, 3.5):
        kept, _ = _film_frame.frame(made / name, mime, at_s, (80, 60), scratch=tmp_path, tools=PlainTools())
        turned = convert(made / name, mime, "image/png", tmp_path / "still", **({"start": at_s} if at_s else {}))

        for path in (kept, turned.path):
            with Image.open(path) as image:
                number = float(np.asarray(image.convert("L")).mean()) * 219 / 255 / 2
            assert is_of(name, number, at_s), (path, at_s, number)


def test_layers_lie_where_they_should_in_the_time_of_the_part(made: Path, tmp_path: Path) -> None:
    Image.new("RGB", (40, 40), (255, 255, 255)).save(tmp_path / "white.png")
    layer = {"kind": "image", "url": "https://a.example/w.png", "left": 0, "top": 0, "start": 0.4, "end": 0.8}

    cut = films.make(made / "in.ts", tmp_path / "cut", tmp_path / "white.png", start=1.5, end=2.5, layers=[layer])

    with av.open(str(cut.path)) as container:
        lit = [
            float(f.time or 0) for f in container.decode(video=0) if f.to_ndarray(format="gray")[:30, :30].min() > 230
        ]
    assert abs(lit[0] - 0.4) < 0.041
    assert abs(lit[-1] - 0.76) < 0.041


def test_streams_without_times_and_films_whose_picture_comes_late(tmp_path: Path) -> None:
    grey = ("-f", "lavfi", "-i", GREY.format(rate=25))
    bare, late = tmp_path / "bare.mpg", tmp_path / "late.mkv"
    ffmpeg(*grey, "-c:v", "mpeg2video", "-q:v", "2", "-f", "mpeg2video", bare)
    ffmpeg("-itsoffset", "1", *grey, "-f", "lavfi", "-i", "sine=d=4", *H264, "-t", "4", late)

    cut = films.make(bare, tmp_path / "bare", start=2.01, end=3.01, width=80)
    begun = films.make(late, tmp_path / "late", start=0.53, end=1.53, width=80)

    with av.open(str(cut.path)) as container:
        greys = [float(f.to_ndarray(format="gray").mean()) * 219 / 255 / 2 for f in container.decode(video=0)]
    assert len(greys) == 25
    assert abs(greys[0] - 50) < 1.2
    pictures, _, heard_s = shown(begun.path)
    assert abs(pictures[0][0] - 0.47) < 0.041
    assert abs(heard_s - 1.0) < 0.03


def test_a_moving_picture_of_a_part_lasts_as_long_as_was_asked(made: Path, tmp_path: Path) -> None:
    for name, mime in (("in.ts", "video/mp2t"), ("held.mp4", "video/mp4")):
        turned = convert(made / name, mime, "image/gif", tmp_path / name, start=1.01, duration=1.0, fps=10)

        with Image.open(turned.path) as image:
            lasts_ms = 0
            for number in range(getattr(image, "n_frames", 1)):
                image.seek(number)
                lasts_ms += image.info["duration"]
        assert lasts_ms == 1000, name
