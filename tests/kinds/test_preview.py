"""The kind `preview`: the same pictures as the render, at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.support import scenes, vision
from tests.support.scenes import Picture, at, run

from mediamill.core.errors import Invalid, RangeEmpty


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    scenes.ffmpeg("-f", "lavfi", "-i", "testsrc2=s=640x360:r=30:d=3", "-pix_fmt", "yuv420p", folder / "a.mp4")
    scenes.ffmpeg("-f", "lavfi", "-i", "testsrc=s=640x360:r=25:d=3", "-pix_fmt", "yuv420p", folder / "b.mp4")
    scenes.flat(folder / "green.png", (0, 255, 0))
    scenes.tone(folder / "tone.wav", seconds=2)
    return folder


def busy(**request: Any) -> dict[str, Any]:
    """Two clips, a picture, a title and a dissolve."""
    return {
        "width": 640, "height": 360, "duration": 3, **request,
        "elements": [
            {"type": "video", "id": "a", "source_url": at("a.mp4"), "in_point": 0.4, "out_point": 1.9},
            {"type": "video", "id": "b", "source_url": at("b.mp4"), "time": 1.5, "in_point": 0.5, "out_point": 2,
             "effects": [{"type": "echo", "intensity": 60}] if request.get("frame_rate") == 24 else []},
            {"type": "image", "id": "logo", "source_url": at("green.png"), "duration": 3, "x": "85%", "y": "15%",
             "width": "20%", "height": "20%", "z_index": 2, "z_rotation": 15, "opacity": 70,
             "motion": [{"type": "loop_wiggle", "time": 0, "duration": 3}]},
            {"type": "text", "text": "Two days away", "duration": 3, "font_size": 60, "y": "75%", "font_weight": 700,
             "motion": [{"type": "fade", "time": 0, "duration": 1}]},
            {"type": "audio", "source_url": at("tone.wav"), "out_point": 2},
        ],
        "transitions": [{"type": "cross_dissolve", "duration": 0.6, "from_id": "a", "to_id": "b"}],
    }  # fmt: skip


def photographed(folder: Path, name: str, *, drift: float) -> None:
    """A film of a photograph over which the camera goes."""
    photo = vision.photo(name)
    wide = photo.shape[1] * 0.85
    scale = wide / 960
    shown: list[Picture] = []
    for number in range(60):
        left, top = number * drift, (photo.shape[0] - 540 * scale) / 2
        onto = np.array([[scale, 0, left], [0, scale, top]])
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        seen = cv2.warpAffine(photo, onto, (960, 540), flags=flags, borderMode=cv2.BORDER_REPLICATE)
        shown.append(seen.astype(np.uint8))
    h264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "18", "-pix_fmt", "yuv420p", "-bf", "2")
    vision.film(folder / f"{name}.mp4", shown, *h264, rate=30)


@pytest.mark.parametrize("rate", [24, 30])
def test_a_preview_frame_is_the_frame_of_the_render(rate: int, tmp_path: Path) -> None:
    photographed(tmp_path, "cat", drift=0.3)
    photographed(tmp_path, "astronaut", drift=0.5)
    Image.fromarray(vision.photo("cup")).save(tmp_path / "cup.png")
    request = {
        "width": 960, "height": 540, "duration": 2, "frame_rate": rate,
        "elements": [
            {"type": "video", "id": "a", "source_url": at("cat.mp4"), "out_point": 1.3},
            {"type": "video", "id": "b", "source_url": at("astronaut.mp4"), "time": 1, "in_point": 0.2,
             "out_point": 1.2},
            {"type": "image", "id": "cup", "source_url": at("cup.png"), "duration": 2, "x": "85%", "y": "20%",
             "width": "20%", "height": "25%", "z_index": 2, "z_rotation": 8, "border_radius": 12, "opacity": 90,
             "motion": [{"type": "loop_wiggle", "time": 0, "duration": 3}]},
            {"type": "text", "text": "Two days away", "duration": 2, "font_size": 72, "y": "78%", "font_weight": 700,
             "motion": [{"type": "slide_up", "time": 0, "duration": 0.5}]},
        ],
        "transitions": [{"type": "cross_dissolve", "duration": 0.6, "from_id": "a", "to_id": "b"}],
    }  # fmt: skip
    numbers = [0, 7, rate // 2, rate, round(1.1 * rate), round(1.3 * rate), round(1.6 * rate), 2 * rate - 1]
    film = run("render", request, tmp_path / "film", tmp_path)

    shown, stored = film.pictures(), scenes.lights(film.path)

    alike = {}
    for number in numbers:
        seen = run("preview", {**request, "at": number / rate}, tmp_path / str(number), tmp_path).rgba()
        alike[number] = round(vision.ssim(scenes.light(seen), stored[number]), 4)
        apart = np.abs(seen[:, :, :3].astype(float) - shown[number]).mean(axis=(0, 1))
        assert apart.max() < 3, (number, apart)  # of 255, in red, green or blue
    assert min(alike.values()) >= 0.99, str(alike)


def panned(path: Path, name: str, size: tuple[int, int], *, beginning: float) -> None:
    """A second of a photograph over which the camera is swung to and fro."""
    photo, (wide, high) = vision.photo(name), size
    scale = photo.shape[1] * 0.85 / wide
    room = photo.shape[1] * 0.15, max(0.0, photo.shape[0] - high * scale)
    shown: list[Picture] = []
    for number in range(30):
        turn = beginning + 0.3 * number
        left, top = room[0] * (0.5 + 0.5 * np.sin(turn)), room[1] * (0.5 + 0.5 * np.cos(0.7 * turn))
        flags = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
        onto = np.array([[scale, 0, left], [0, scale, top]])
        seen = cv2.warpAffine(photo, onto, size, flags=flags, borderMode=cv2.BORDER_REFLECT)
        shown.append(seen.astype(np.uint8))
    h264 = ("-c:v", "libx264", "-preset", "veryfast", "-crf", "14", "-pix_fmt", "yuv420p", "-bf", "2")
    vision.film(path, shown, *h264, rate=30)


@pytest.mark.parametrize(
    ("size", "made"), [((320, 180), "mp4"), ((640, 360), "mp4"), ((1280, 720), "mp4"), ((640, 360), "webm")], ids=str
)
def test_a_preview_of_quick_pans_in_a_dissolve_is_the_frame_of_the_render(
    size: tuple[int, int], made: str, tmp_path: Path
) -> None:
    panned(tmp_path / "cup.mp4", "cup", size, beginning=0.3)
    panned(tmp_path / "astronaut.mp4", "astronaut", size, beginning=1.4)
    request = {
        "width": size[0], "height": size[1], "duration": 1.2, "output_format": made,
        "elements": [
            {"type": "video", "id": "a", "source_url": at("cup.mp4"), "out_point": 0.9},
            {"type": "video", "id": "b", "source_url": at("astronaut.mp4"), "time": 0.4, "out_point": 0.8},
        ],
        "transitions": [{"type": "cross_dissolve", "duration": 0.6, "from_id": "a", "to_id": "b"}],
    }  # fmt: skip
    film = run("render", request, tmp_path / "film", tmp_path)
    stored = scenes.lights(film.path)

    assert film.path.suffix == f".{made}"
    alike = {}
    for number in (4, 12, 20, 30):
        seen = run("preview", {**request, "at": number / 30}, tmp_path / str(number), tmp_path).rgba()
        alike[number] = round(vision.ssim(scenes.light(seen), stored[number]), 4)
    assert min(alike.values()) >= 0.99, str(alike)


def test_a_preview_of_a_gif_has_the_colours_that_the_gif_has(tmp_path: Path) -> None:
    panned(tmp_path / "cup.mp4", "cup", (320, 180), beginning=0.3)
    request = {
        "width": 320, "height": 180, "duration": 1, "frame_rate": 10, "output_format": "gif",
        "elements": [
            {"type": "video", "source_url": at("cup.mp4"), "effects": [{"type": "glitch", "intensity": 80}]},
            {"type": "text", "text": "Soon", "duration": 1, "font_size": 40, "y": "80%"},
        ],
    }  # fmt: skip
    with Image.open(run("render", request, tmp_path / "film", tmp_path).path) as image:
        assert getattr(image, "n_frames", 1) == 10
        alike = {}
        for number in (0, 3, 6, 9):
            image.seek(number)
            shown = np.asarray(image.convert("RGB"))
            seen = run("preview", {**request, "at": number / 10}, tmp_path / str(number), tmp_path).rgba()[:, :, :3]
            alike[number] = round(vision.ssim(seen, shown), 4)
    assert min(alike.values()) >= 0.99, str(alike)


def test_previews_of_a_moment_and_of_a_part_hold_the_very_same_pixels(tmp_path: Path, media: Path) -> None:
    """Frames of one run, and one that begins in the middle, before anything is encoded."""
    from mediamill.engines._compose_scene import Scene

    work = scenes.job(busy(frame_rate=24), media, tmp_path)

    with Scene(work) as film, Scene(work) as jumper:
        for number, buffer in enumerate(film.frames(0, 72)):
            if number in (0, 20, 33, 36, 39, 50, 71):
                jumper.seek(number)
                assert np.array_equal(buffer, jumper.frame(number)), number
            film.canvas.pool.give(buffer)


def test_a_window_is_a_small_clip_with_its_sound(tmp_path: Path, media: Path) -> None:
    made = run("preview", busy(window={"start": 0.5, "end": 1.5}), tmp_path, media)

    assert made.output.mime == "video/mp4"
    assert len(made.pictures()) == 30
    assert scenes.samples(made.path).shape[1] == pytest.approx(48000, abs=2500)
    assert made.details["times"] == [0.5, 1.5]


def test_a_sheet_shows_what_changes(tmp_path: Path, media: Path) -> None:
    made = run("preview", busy(), tmp_path, media)

    times = made.details["times"]
    assert len(times) == 9
    assert times == sorted(times)
    assert any(abs(time - 1.5) < 0.1 for time in times)  # the dissolve
    assert made.picture().shape == (3 * 180, 3 * 320, 3)


def test_a_sheet_has_as_many_frames_as_are_asked_for(tmp_path: Path, media: Path) -> None:
    made = run("preview", busy(contact_sheet={"frames": 4}), tmp_path, media)

    assert len(made.details["times"]) == 4


def test_doubts_ride_along(tmp_path: Path, media: Path) -> None:
    late = {"type": "text", "text": "late", "time": 5, "duration": 1}
    made = run("preview", {"duration": 1, "width": 64, "height": 64, "elements": [late], "at": 0}, tmp_path, media)

    assert [one["code"] for one in made.details["violations"]] == ["ELEMENT_AFTER_END"]


@pytest.mark.parametrize(
    ("mode", "error"),
    [
        ({"at": 99}, RangeEmpty),
        ({"at": 0, "window": {"start": 0, "end": 1}}, Invalid),
        ({"window": {"start": 2, "end": 1}}, Invalid),
    ],
)
def test_a_moment_that_is_not_there_is_refused(
    mode: dict[str, Any], error: type[Exception], tmp_path: Path, media: Path
) -> None:
    with pytest.raises(error):
        run("preview", busy(**mode), tmp_path, media)
