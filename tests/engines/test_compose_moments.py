"""Whatever looks back, moves or holds: a moment looked at by itself has the very pixels that the film has there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support import scenes, vision
from tests.support.av import ffmpeg
from tests.support.scenes import at

from mediamill.core import looks
from mediamill.core.compositions import Render
from mediamill.engines import _compose_glimpse
from mediamill.engines._compose_scene import Scene

RATE = 8
X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-bf", "2", "-pix_fmt", "yuv420p")
COVER = {
    "type": "image", "id": "cover", "source_url": at("green.png"), "time": 1, "duration": 0.3, "z_index": 9,
    "width": "200%", "height": "200%",
}  # fmt: skip
"""For some frames nothing else is to be seen."""


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    Image.fromarray(vision.photo("cup")).resize((96, 72)).save(folder / "cup.png")
    scenes.flat(folder / "green.png", (0, 200, 0), (64, 36))
    moving = ("-f", "lavfi", "-i")
    ffmpeg(*moving, "mandelbrot=s=64x36:r=16:end_scale=0.01:end_pts=40", "-t", "2", *X264, folder / "a.mp4")
    ffmpeg(*moving, "testsrc2=s=64x36:r=30:d=1.5", *X264, folder / "b.mp4")
    ffmpeg(*moving, "testsrc2=s=64x36:r=1:d=3", *X264, folder / "slow.mp4")
    pages = ("-vf", "select='lt(t,0.5)+gt(t,2)'", "-fps_mode", "vfr")
    ffmpeg(*moving, "testsrc2=s=64x36:r=20:d=3", *pages, *X264, folder / "pages.mp4")
    return folder


def work(folder: Path, *elements: dict[str, Any], **request: Any) -> Render:
    scene = {"width": 64, "height": 36, "frame_rate": RATE, "duration": 1.9, **request, "elements": list(elements)}
    return scenes.job(scene, folder, folder)


def apart(job: Render, every: int = 1, length: int = 1) -> list[int]:
    """The frames that another look begun right there has otherwise."""
    with Scene(job) as film, Scene(job) as jumper:
        whole = [buffer.copy() for buffer in film.frames(0, film.timeline.frames)]
        starts = range(0, len(whole) - length + 1, every)
        return [
            first + number
            for first in starts
            for number, buffer in enumerate(jumper.frames(first, first + length))
            if not np.array_equal(buffer, whole[first + number])
        ]


def late(kind: str, name: str, **more: Any) -> dict[str, Any]:
    """An element that starts late, is hidden at first, and is gone before its end."""
    how: dict[str, Any] = {"out_point": 1.6} if kind == "video" else {"duration": 1.6}
    fades = [
        {"type": "fade", "time": 0.6, "duration": 0.2},
        {"type": "fade", "time": 1.5, "duration": 0.2, "reversed": True},
    ]
    return {"type": kind, "id": "x", "source_url": at(name), "time": 0.2, "motion": fades, **how, **more}


def test_effects_make_the_same_of_a_moment(media: Path) -> None:
    found = {}
    for name in looks.SUPPORTED_EFFECTS:
        effects = [{"type": name, "intensity": 80}]
        found[f"{name} of a picture"] = apart(work(media, late("image", "cup.png", effects=effects), COVER), 2)
    for name in ("echo", "ghosting", "vhs"):
        effects = [{"type": name, "intensity": 80}]
        found[f"{name} of a clip"] = apart(work(media, late("video", "a.mp4", effects=effects), COVER))
    for name in ("blur", "noise", "sharpness", "vignette"):
        found[name] = apart(work(media, late("image", "cup.png", **{name: 50}), COVER), 3)
    assert {name: frames for name, frames in found.items() if frames} == {}


def moving() -> Iterator[tuple[str, dict[str, Any]]]:
    text = {"type": "text", "id": "x", "text": "Ab cd", "font_size": 14, "time": 0.2, "duration": 1.6}
    for name in looks.SUPPORTED_MOTIONS:
        known = looks.MOTIONS[name]
        for scope in known.scopes:
            for reversed in (False, True):
                if known.direction(reversed=reversed, scope=scope) is None:
                    continue
                motion = {"type": name, "scope": scope, "reversed": reversed, "time": 0.5, "duration": 0.6}
                if scope == "character":
                    yield f"{name} of letters", {**text, "motion": [{**motion, "delay": 0.05}]}
                else:
                    yield f"{name} of a picture", late("image", "cup.png", motion=[motion])
    for style in looks.CAPTION_STYLES:
        words = [{"text": word, "start": 0.2 + n * 0.8, "end": 0.9 + n * 0.8} for n, word in enumerate(("Ab", "cd"))]
        said = {"style": style, "words": words}
        yield f"captions, {style}", {**text, "background_color": "#ff0000", "word_animation": said}
    yield "typewriter", {**text, "animation_preset": "typewriter"}


def test_motion_and_captions_are_the_same_at_a_moment(media: Path) -> None:
    found = {name: apart(work(media, element, COVER), 3) for name, element in moving()}
    assert {name: frames for name, frames in found.items() if frames} == {}


def test_transitions_of_clips_that_echo_are_the_same_at_a_moment(media: Path) -> None:
    found = {}
    for name in looks.SUPPORTED_TRANSITIONS:
        one = late("image", "cup.png", id="a", time=0, duration=1, motion=[])
        other = late("image", "green.png", id="b", time=1, duration=0.9, motion=[])
        cut = [{"type": name, "duration": 0.6, "from_id": "a", "to_id": "b"}]
        found[name] = apart(work(media, one, other, transitions=cut), 3)
    echo = [{"type": "echo"}]
    clips = [
        late("video", "a.mp4", id="a", time=0, out_point=1, effects=echo),
        late("video", "b.mp4", id="b", time=1, out_point=0.9, effects=echo),
    ]
    cut = [{"type": "wipe_left", "duration": 0.6, "from_id": "a", "to_id": "b"}]
    found["clips"] = apart(work(media, *clips, transitions=cut))
    assert {name: frames for name, frames in found.items() if frames} == {}


@pytest.mark.parametrize("within", [True, False], ids=["in this process", "by the program"])
@pytest.mark.parametrize(("rate", "in_point", "speed"), [(12, 0.92, 0.7), (50, 0.31, 1.9), (7, 0.7, 1)])
def test_a_clip_that_has_ended_holds_the_same_frame(
    rate: int, in_point: float, speed: float, within: bool, media: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last frame of a file may or may not have its turn, and is held while it goes over into another."""
    if not within:
        monkeypatch.setattr(_compose_glimpse, "can", lambda _: False)
    clip = {"type": "video", "id": "a", "source_url": at("b.mp4"), "in_point": in_point, "speed": speed}
    other = {"type": "video", "id": "b", "source_url": at("a.mp4"), "time": (1.5 - in_point) / speed, "out_point": 0.8}
    cut = [{"type": "wipe_left", "duration": 0.8, "from_id": "a", "to_id": "b"}]
    assert apart(work(media, clip, other, transitions=cut, frame_rate=rate), max(1, rate // 12)) == []


@pytest.mark.parametrize("name", ["slow.mp4", "pages.mp4"])
@pytest.mark.parametrize(("effects", "length"), [([{"type": "echo"}], 1), ([], 3)], ids=["echo", "window"])
def test_a_frame_that_is_shown_for_long_is_there_in_the_midst(
    name: str, effects: list[dict[str, Any]], length: int, media: Path
) -> None:
    clip = {"type": "video", "id": "a", "source_url": at(name), "in_point": 0.3, "effects": effects}
    assert apart(work(media, clip, frame_rate=20, duration=2.4), 4, length) == []


def test_a_slow_film_begins_with_the_frame_of_its_in_point(media: Path) -> None:
    clip = {"type": "video", "id": "a", "source_url": at("slow.mp4")}
    with Scene(work(media, clip, frame_rate=20)) as scene:
        first = scene.picture(0)
    with Scene(work(media, {**clip, "in_point": 0.6}, frame_rate=20)) as scene:
        assert np.array_equal(scene.picture(0), first)  # it is shown for a second
        assert not np.array_equal(scene.picture(9), first)


def test_an_echo_of_what_is_cropped_away_waits_for_nothing(media: Path) -> None:
    clip = late("video", "a.mp4", crop_left=0.6, crop_right=0.6, effects=[{"type": "echo"}])
    assert apart(work(media, clip), 5) == []
