"""A moment of a clip as a preview decodes it is the frame that the film's decoder gives, bit for bit."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests.support import scenes
from tests.support.av import ffmpeg
from tests.support.scenes import at

from mediamill.engines import _compose_decoding, _compose_glimpse
from mediamill.engines._compose_scene import Scene

X264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")
FILMS: dict[str, tuple[int | str, tuple[str, ...]]] = {
    "b-frames.mp4": (30, ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-g", "60", "-bf", "3")),
    "pyramid.mp4": (30, ("-c:v", "libx264", "-preset", "veryfast", "-pix_fmt", "yuv420p", "-bf", "6")),
    "open.mp4": (30, ("-c:v", "libx264", "-pix_fmt", "yuv420p", "-x264-params", "open-gop=1:keyint=20:bframes=4")),
    "refreshing.mp4": (30, (*X264, "-x264-params", "intra-refresh=1:keyint=30")),
    "slow.mp4": (2, X264),
    "ntsc.mov": ("30000/1001", X264),
    "ten-bits.mp4": (24, ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le")),
    "vp9.webm": (25, ("-c:v", "libvpx-vp9", "-cpu-used", "8", "-deadline", "realtime", "-pix_fmt", "yuv420p")),
}


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media")
    for name, (rate, how) in FILMS.items():
        ffmpeg("-f", "lavfi", "-i", f"testsrc2=s=128x72:r={rate}:d=2.5", *how, folder / name)
    ffmpeg("-display_rotation", "90", "-i", folder / "b-frames.mp4", "-c", "copy", folder / "turned.mp4")
    ffmpeg("-ss", "0.77", "-i", folder / "b-frames.mp4", "-c", "copy", folder / "cut.mp4")
    return folder


@pytest.fixture
def glimpses(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether each frame asked for was decoded in this process."""
    found: list[bool] = []
    real = _compose_glimpse.frame

    def watched(*args: Any, **named: Any) -> Any:
        made = real(*args, **named)
        found.append(made is not None)
        return made

    monkeypatch.setattr(_compose_glimpse, "frame", watched)
    return found


@pytest.mark.parametrize(
    ("name", "size", "how"),
    [
        ("b-frames.mp4", (128, 72), {"in_point": 0.3}),
        ("b-frames.mp4", (200, 112), {"speed": 1.5, "crop_left": 0.1, "flip_horizontal": True, "brightness": 20}),
        ("open.mp4", (128, 72), {"in_point": 0.5133}),
        ("refreshing.mp4", (128, 72), {"in_point": 0.2}),
        ("slow.mp4", (64, 36), {"in_point": 0.3}),
        ("ntsc.mov", (128, 72), {"speed": 0.7}),
        ("ten-bits.mp4", (128, 72), {"in_point": 0.1}),
        ("vp9.webm", (100, 56), {"in_point": 0.4}),
        ("turned.mp4", (72, 128), {"in_point": 0.3}),
        ("cut.mp4", (128, 72), {}),
    ],
)
def test_a_glimpse_holds_the_bits_of_the_film(
    name: str, size: tuple[int, int], how: dict[str, Any], media: Path, tmp_path: Path, glimpses: list[bool]
) -> None:
    clip = {"type": "video", "id": "a", "source_url": at(name), "out_point": 1.6, **how}
    other = {"type": "video", "id": "b", "source_url": at("b-frames.mp4"), "time": 0.8, "in_point": 0.4, "out_point": 1}
    cut = {"type": "cross_dissolve", "duration": 0.4, "from_id": "a", "to_id": "b"}
    request = {"width": size[0], "height": size[1], "frame_rate": random.Random(name).choice([24, 30]), "duration": 1.3,
               "elements": [clip, other], "transitions": [cut]}  # fmt: skip
    job = scenes.job(request, media, tmp_path)

    with Scene(job) as film, Scene(job) as jumper:
        last = film.timeline.frames - 1
        for number, buffer in enumerate(film.frames(0, last + 1)):
            if number in (0, 5, 11, 20, 22, last):
                jumper.seek(number, number + 1)
                assert np.array_equal(jumper.frame(number), buffer), number
            film.canvas.pool.give(buffer)
    assert sum(glimpses) >= 6


@pytest.mark.parametrize("name", ["b-frames.mp4", "pyramid.mp4", "open.mp4", "refreshing.mp4", "vp9.webm", "cut.mp4"])
def test_what_an_earlier_glimpse_left_leads_to_the_same_bits(
    name: str, media: Path, tmp_path: Path, glimpses: list[bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same frame again, the next ones, back, far ahead, and whatever comes to mind."""
    clip = {"type": "video", "id": "a", "source_url": at(name), "out_point": 2.2}
    job = scenes.job({"width": 128, "height": 72, "duration": 1.6, "elements": [clip]}, media, tmp_path)
    with Scene(job) as film:
        last = film.timeline.frames - 1
        whole = [buffer.copy() for buffer in film.frames(0, last + 1)]
    left: list[bool] = []
    real = _compose_decoding.taken

    def watched(*args: Any) -> Any:
        found = real(*args)
        left.append(found is not None)
        return found

    monkeypatch.setattr(_compose_decoding, "taken", watched)
    _compose_decoding.forget()

    asked = [12, 12, 13, 14, 15, 16, 11, 30, last, 31, 2, *random.Random(name).choices(range(last + 1), k=25)]
    with Scene(job) as jumper:
        for number in asked:
            jumper.seek(number, number + 1)
            assert np.array_equal(jumper.frame(number), whole[number]), number

    assert all(glimpses)
    assert sum(left) >= len(asked) // 3


def test_no_more_decoders_wait_than_fit(media: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _compose_decoding.forget()
    with av.open(str(media / "slow.mp4")) as container:
        key = container.streams.video[0]
        waiting = [
            _compose_decoding.Decoding(key=number, begin=0, context=key.codec_context, fed=1) for number in range(5)
        ]
        monkeypatch.setattr(_compose_decoding, "_KEPT_BYTES", 3 * waiting[0].size_bytes)

        for one in waiting:
            _compose_decoding.keep(one)

        assert [_compose_decoding.taken(number, 0, 1, 0) is not None for number in range(5)] == [False] * 2 + [True] * 3


def test_what_cannot_be_told_is_left_to_the_program(
    media: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = {"type": "video", "id": "a", "source_url": at("b-frames.mp4"), "out_point": 1}
    job = scenes.job({"width": 128, "height": 72, "duration": 1, "elements": [clip]}, media, tmp_path)
    with Scene(job) as scene:
        seen = scene.picture(12)

    monkeypatch.setattr(_compose_glimpse, "frame", lambda *_, **__: None)

    with Scene(job) as scene:
        assert np.array_equal(scene.picture(12), seen)
