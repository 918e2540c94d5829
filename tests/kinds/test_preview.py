"""The kind `preview`: the same pictures as the render, at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.support import scenes
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


def ssim(one: Picture, other: Picture) -> float:
    """Structural similarity of two pictures' luma, with the usual window of 11."""
    a, b = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float64) for picture in (one, other))
    mean = [cv2.GaussianBlur(x, (11, 11), 1.5) for x in (a, b, a * a, b * b, a * b)]
    over = (2 * mean[0] * mean[1] + 6.5025) * (2 * (mean[4] - mean[0] * mean[1]) + 58.5225)
    under = (mean[0] ** 2 + mean[1] ** 2 + 6.5025) * (mean[2] - mean[0] ** 2 + mean[3] - mean[1] ** 2 + 58.5225)
    return float((over / under).mean())


@pytest.mark.parametrize("rate", [24, 30])
def test_a_preview_frame_is_the_frame_of_the_render(rate: int, tmp_path: Path, media: Path) -> None:
    # A lossless film would be the same bits; this one went through x264.
    frames = run("render", busy(frame_rate=rate), tmp_path / "film", media).pictures()

    for number in (0, 7, rate, round(1.5 * rate), round(1.65 * rate), 2 * rate, 3 * rate - 1):
        seen = run("preview", busy(frame_rate=rate, at=number / rate), tmp_path / str(number), media).rgba()
        assert ssim(np.ascontiguousarray(seen[:, :, :3]), frames[number]) >= 0.98, (
            number
        )  # what x264 takes of a test pattern


def test_previews_of_a_moment_and_of_a_part_hold_the_very_same_pixels(tmp_path: Path, media: Path) -> None:
    """Frames of one run, and one that begins in the middle, before anything is encoded."""
    from tests.support.tools import PlainTools

    from mediamill.core import compositions
    from mediamill.core.compositions import Material, Render
    from mediamill.engines._compose_scene import Scene

    composition = compositions.parse(busy(frame_rate=24))
    materials = {
        url: Material(
            path=media / url.removeprefix(scenes.HOST),
            mime={"mp4": "video/mp4", "png": "image/png", "wav": "audio/wav"}[url[-3:]],
        )
        for url in compositions.sources(composition)
    }
    work = Render(scene=composition, materials=materials, scratch=tmp_path, tools=PlainTools(), report=lambda *_: None)

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
