"""The kind `image` on films: posters and sheets of small pictures, looked at frame by frame."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pytest
from PIL import Image
from tests.support.av import BLUE, LIME, RED, WHITE, colours, corners, ffmpeg, film, tone
from tests.support.images import Pixels
from tests.support.media_kinds import run

from mediamill.core.errors import BadMedia, LimitExceeded, NoVideo, RangeEmpty

SECONDS = 8
HUES = [(0, 0, 0), (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 0), (0, 255, 255), (255, 0, 255), (255, 255, 255)]
"""The colour of each second of the film `changing`."""


@pytest.fixture(scope="module")
def changing(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight seconds, each of one colour, one keyframe at the start."""
    return _changing(tmp_path_factory.mktemp("films") / "every second.mp4", "-g", "1000", "-sc_threshold", "0")


def _changing(path: Path, *codec: str) -> Path:
    each = [f"color=c=0x{r:02x}{g:02x}{b:02x}:s=160x90:r=25:d=1" for r, g, b in HUES]
    inputs = [word for one in each for word in ("-f", "lavfi", "-i", one)]
    graph = "".join(f"[{n}]" for n in range(SECONDS)) + f"concat=n={SECONDS}:v=1:a=0"
    ffmpeg(*inputs, "-filter_complex", graph, "-pix_fmt", "yuv420p", "-preset", "ultrafast", *codec, path)
    return path


def pixels(path: Path) -> Pixels:
    with Image.open(path) as made:
        return np.asarray(made.convert("RGB")).astype(int)


def is_hue(found: Pixels, second: int) -> bool:
    return bool(np.abs(found.reshape(-1, 3).mean(axis=0) - HUES[second]).max() < 24)


@pytest.mark.parametrize(("start", "second"), [(0, 0), (2.0, 2), (3.96, 3), (4.5, 4), (7.99, 7)])
def test_the_poster_is_the_moment_asked_for(start: float, second: int, changing: Path, tmp_path: Path) -> None:
    done = run("image", changing, tmp_path / "work", start=start)

    assert (done.result.mime, done.result.filename) == ("image/jpeg", "every second.jpg")
    made = pixels(done.result.path)
    assert made.shape == (90, 160, 3)
    assert is_hue(made, second)
    assert done.reports[-1][1] == 1.0


def test_the_poster_is_found_by_seeking(changing: Path, tmp_path: Path) -> None:
    [argv] = run("image", changing, tmp_path / "work", start=6).argvs

    assert argv.index("-ss") < argv.index("-i")
    assert argv[argv.index("-frames:v") + 1] == "1"


@pytest.mark.parametrize("start", [8, 8.5, 4000])
def test_a_moment_beyond_the_end_fails_as_an_empty_range(start: float, changing: Path, tmp_path: Path) -> None:
    with pytest.raises(RangeEmpty) as failed:
        run("image", changing, tmp_path / "work", start=start)

    assert failed.value.code == "range_empty"


def test_a_sound_has_no_poster(tmp_path: Path) -> None:
    with pytest.raises(NoVideo) as failed:
        run("image", tone(tmp_path / "tone.mp3", seconds=0.5), tmp_path / "work")

    assert failed.value.code == "no_video_stream"


def test_where_the_sound_goes_on_the_last_picture_stands(tmp_path: Path) -> None:
    source = tmp_path / "long.mp4"
    picture = ("-f", "lavfi", "-i", "color=c=blue:s=64x64:r=25:d=1")
    ffmpeg(*picture, "-f", "lavfi", "-i", "sine=d=3", "-pix_fmt", "yuv420p", source)

    made = pixels(run("image", source, tmp_path / "work", start=2.5).result.path)

    assert np.abs(made.reshape(-1, 3).mean(axis=0) - BLUE).max() < 24


def test_posters_are_upright_with_square_pixels_and_sized_as_asked(tmp_path: Path) -> None:
    plain = corners(tmp_path / "plain.mp4", size="320x180", seconds=0.4)
    turned = tmp_path / "turned.mp4"
    ffmpeg("-display_rotation", "90", "-i", plain, "-c", "copy", turned)
    wide = corners(tmp_path / "wide.mp4", "-aspect", "16:9", size="160x180", seconds=0.4)

    upright = pixels(run("image", turned, tmp_path / "a", format="png").result.path)
    square = pixels(run("image", wide, tmp_path / "b", format="png", width="50%").result.path)
    cut = pixels(
        run(
            "image", plain, tmp_path / "c", format="png", width=90, height=90, fit="cover", position="right"
        ).result.path
    )

    assert upright.shape == (320, 180, 3)
    assert [near.tolist() for near in np.round(np.array(colours(upright)) / 255)] == _ones(LIME, WHITE, RED, BLUE)
    assert square.shape == (90, 160, 3)
    assert cut.shape == (90, 90, 3)
    assert [near.tolist() for near in np.round(np.array(colours(cut)) / 255)] == _ones(LIME, LIME, WHITE, WHITE)


def _ones(*found: tuple[int, ...]) -> list[list[float]]:
    return [[value / 255 for value in colour] for colour in found]


CUE = re.compile(r"(\d\d:\d\d:\d\d\.\d{3}) --> (\d\d:\d\d:\d\d\.\d{3})\n(\S+)#xywh=(\d+),(\d+),(\d+),(\d+)\n")


def seconds(clock: str) -> float:
    hours, minutes, rest = clock.split(":")
    return int(hours) * 3600 + int(minutes) * 60 + float(rest)


def cues(text: str) -> list[tuple[float, float, str, tuple[int, ...]]]:
    assert text.startswith("WEBVTT\n\n")
    found = CUE.findall(text)
    assert len(found) == text.count("-->")
    return [(seconds(a), seconds(b), unquote(name), tuple(map(int, box))) for a, b, name, *box in found]


@pytest.mark.parametrize("format", ["jpeg", "png", "webp"])
def test_every_cue_of_a_sprite_shows_its_own_second(format: str, changing: Path, tmp_path: Path) -> None:
    done = run("image", changing, tmp_path / "work", format=format, sprite={"interval": 1, "columns": 3, "width": 80})

    sheet = pixels(done.result.path)
    assert sheet.shape == (3 * 45, 3 * 80, 3)
    found = cues(done.role("vtt").path.read_text())
    assert [(begin, end) for begin, end, _, _ in found] == [(n, n + 1) for n in range(SECONDS)]
    for number, (_, _, name, (left, top, width, height)) in enumerate(found):
        assert name == done.result.filename
        assert (width, height) == (80, 45)
        assert is_hue(sheet[top : top + height, left : left + width], number)
    assert done.role("vtt").filename == "every second.vtt"
    assert done.details["frames_read"] == "all"
    assert done.details["sprite"] == {
        "interval": 1, "count": 8, "columns": 3, "rows": 3, "width": 80, "height": 45,
    }  # fmt: skip


def test_close_keyframes_alone_are_read_where_there_are_some(tmp_path: Path) -> None:
    source = _changing(tmp_path / "often.mp4", "-g", "12", "-sc_threshold", "0")

    quick = run("image", source, tmp_path / "a", sprite={"interval": 1})
    fine = run("image", source, tmp_path / "b", sprite={"interval": 0.5})

    assert (quick.details["frames_read"], fine.details["frames_read"]) == ("keyframes", "all")
    sheet = pixels(quick.result.path)
    for number, (_, _, _, (left, top, width, height)) in enumerate(cues(quick.role("vtt").path.read_text())):
        assert is_hue(sheet[top : top + height, left : left + width], number)
    halves = cues(fine.role("vtt").path.read_text())
    sheet = pixels(fine.result.path)
    assert len(halves) == 16
    for number, (_, _, _, (left, top, width, height)) in enumerate(halves):
        assert is_hue(sheet[top : top + height, left : left + width], number // 2)


def test_a_sprite_by_count_shares_the_film_out_from_its_start(changing: Path, tmp_path: Path) -> None:
    done = run("image", changing, tmp_path / "work", start=4, sprite={"count": 4, "columns": 10})

    found = cues(done.role("vtt").path.read_text())
    assert [(begin, end) for begin, end, _, _ in found] == [(4, 5), (5, 6), (6, 7), (7, 8)]
    sheet = pixels(done.result.path)
    assert sheet.shape == (90, 4 * 160, 3)
    for number, (_, _, _, (left, top, width, height)) in enumerate(found, start=4):
        assert is_hue(sheet[top : top + height, left : left + width], number)


def test_progress_of_a_sprite_never_goes_back(tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", size="320x180", seconds=4)

    told = [fraction for _, fraction in run("image", source, tmp_path / "work", sprite={}).reports]

    numbers = [fraction for fraction in told if fraction is not None]
    assert numbers == sorted(numbers)
    assert numbers[-1] == 1.0


@pytest.mark.parametrize(
    ("sprite", "options", "error"),
    [
        ({"width": 1920, "columns": 100}, {"format": "webp"}, LimitExceeded),
        ({}, {"start": 9}, RangeEmpty),
    ],
)
def test_sprites_that_cannot_be_are_refused(
    sprite: dict[str, Any], options: dict[str, Any], error: type[Exception], changing: Path, tmp_path: Path
) -> None:
    with pytest.raises(error):
        run("image", changing, tmp_path / "work", sprite=sprite, **options)


def test_a_sprite_of_a_picture_or_a_sound_is_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "flat.png")

    with pytest.raises(BadMedia, match="film"):
        run("image", tmp_path / "flat.png", tmp_path / "a", sprite={})
    with pytest.raises(NoVideo):
        run("image", tone(tmp_path / "tone.mp3", seconds=0.5), tmp_path / "b", sprite={})


def test_a_see_through_film_has_a_see_through_poster(tmp_path: Path) -> None:
    alpha = "geq=lum='lum(X,Y)':cb='cb(X,Y)':cr='cr(X,Y)':a='if(lt(X,32),0,255)'"
    half = f"color=red:s=64x64:r=10:d=0.5,format=yuva420p,{alpha}"
    source = tmp_path / "clear.webm"
    ffmpeg("-f", "lavfi", "-i", half, "-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0", source)

    with Image.open(run("image", source, tmp_path / "work", format="png", start=0.2).result.path) as made:
        shown = np.asarray(made.convert("RGBA")).astype(int)

    assert shown[32, 8, 3] < 16
    assert shown[32, 56, 3] > 240
    assert shown[32, 56, 0] > 200
