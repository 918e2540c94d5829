"""The pump: films through functions, picture by picture."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import vision
from tests.support.av import ffmpeg
from tests.support.tools import PlainTools

from mediamill.core import formats
from mediamill.core.errors import BadMedia, LimitExceeded, NoVideo, ToolFailed
from mediamill.engines import _frames
from mediamill.engines._frames import Frame, Job, Pumped

FFV1 = ("-c:v", "ffv1", "-g", "1")
VP9 = ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-crf", "10", "-b:v", "0")


def copy(frame: Frame) -> None:
    for given, made in zip(frame.given.planes, frame.made.planes, strict=True):
        made[...] = given


def pump(source: Path, target: Path, steps: Sequence[_frames.Step] = (copy,), **changed: Any) -> Pumped:
    found = formats.by_filename(source.name)
    assert found is not None
    wanted: dict[str, Any] = {
        "source": source,
        "mime": found.mime,
        "target": target,
        "container": "webm",
        "encoder": [*VP9, "-pix_fmt", "yuv420p"],
        "tools": PlainTools(),
        "report": lambda stage, fraction=None: None,
    }
    return _frames.pump(Job(**{**wanted, **changed}), steps)


def test_every_picture_goes_through_every_step_in_order(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=30000/1001:d=2", *vision.H264, tmp_path / "in.mp4")
    seen: list[tuple[str, int]] = []
    threads = set()

    def first(frame: Frame) -> None:
        threads.add(threading.get_ident())
        seen.append(("first", frame.number))
        frame.note = frame.number * 2

    def second(frame: Frame) -> None:
        threads.add(threading.get_ident())
        assert frame.note == frame.number * 2
        seen.append(("second", frame.number))
        copy(frame)

    pumped = pump(tmp_path / "in.mp4", tmp_path / "out.webm", [first, second])

    assert pumped.frames == 60
    assert [number for step, number in seen if step == "first"] == list(range(60))
    assert [number for step, number in seen if step == "second"] == list(range(60))
    assert len(threads) == 2
    assert vision.rate(tmp_path / "out.webm") == pytest.approx(30000 / 1001, rel=0.001)
    before, after = vision.frames(tmp_path / "in.mp4"), vision.frames(tmp_path / "out.webm")
    assert len(after) == 60
    assert min(vision.ssim(a, b) for a, b in zip(before, after, strict=True)) > 0.9


def test_only_so_many_buffers_are_made_however_long_the_film_is(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x64:r=50:d=6", *vision.H264, tmp_path / "in.mp4")
    buffers = set()

    def look(frame: Frame) -> None:
        buffers.add(frame.made.data.ctypes.data)
        copy(frame)

    pumped = pump(tmp_path / "in.mp4", tmp_path / "out.webm", [look])

    assert pumped.frames == 300
    assert len(buffers) == pumped.slots == _frames.SLOTS
    assert pumped.slot_bytes == 2 * 64 * 64 * 3 // 2


def test_pictures_that_come_as_they_like_keep_their_times(tmp_path: Path) -> None:
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=96x64:r=60:d=2", "-f", "lavfi", "-i", "sine=d=2"),
        *("-vf", r"select='lt(mod(n\,7)\,2)+eq(n\,30)'", "-fps_mode", "vfr", *vision.H264, tmp_path / "in.mp4"),
    )
    pump(tmp_path / "in.mp4", tmp_path / "out.webm")

    before, after = vision.times(tmp_path / "in.mp4"), vision.times(tmp_path / "out.webm")
    assert len(set(np.diff(before).round(3))) > 2
    assert after == pytest.approx(before, abs=0.001)
    assert vision.sounds(tmp_path / "out.webm")[0] == pytest.approx(2.0, abs=0.05)


def test_pictures_that_begin_after_the_sound_stay_in_step_with_it(tmp_path: Path) -> None:
    ffmpeg(
        *("-itsoffset", "0.7", "-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1", "-f", "lavfi", "-i", "sine=d=2"),
        *("-map", "0:v", "-map", "1:a", *VP9, "-c:a", "libopus", tmp_path / "in.webm"),
    )
    pump(tmp_path / "in.webm", tmp_path / "out.webm")

    assert vision.times(tmp_path / "out.webm") == pytest.approx(vision.times(tmp_path / "in.webm"), abs=0.021)
    assert vision.times(tmp_path / "out.webm")[0] > 0.6


def test_a_film_that_lies_on_its_side_comes_upright(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=0.4", *vision.H264, tmp_path / "flat.mp4")
    ffmpeg("-display_rotation", "90", "-i", tmp_path / "flat.mp4", "-c", "copy", tmp_path / "in.mp4")
    sizes = set()

    def look(frame: Frame) -> None:
        sizes.add(frame.given.planes[0].shape)
        copy(frame)

    pump(tmp_path / "in.mp4", tmp_path / "out.webm", [look])

    assert sizes == {(96, 64)}
    assert vision.frames(tmp_path / "out.webm")[0].shape == (96, 64, 4)


def test_odd_sizes_and_other_pixel_formats_come_out_as_they_went_in(tmp_path: Path) -> None:
    pattern = ("-f", "lavfi", "-i", "testsrc=s=95x63:r=10:d=0.5")
    ffmpeg(*pattern, "-c:v", "libvpx-vp9", "-pix_fmt", "yuv420p", tmp_path / "in.webm")
    for pixels in ("yuv420p", "rgb24"):
        pump(tmp_path / "in.webm", tmp_path / "out.webm", given=pixels, made=pixels)
        before, after = vision.frames(tmp_path / "in.webm"), vision.frames(tmp_path / "out.webm")
        assert after[0].shape == (63, 95, 4)
        assert min(vision.ssim(a, b) for a, b in zip(before, after, strict=True)) > 0.9, pixels


def test_progress_counts_pictures_and_never_goes_back(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=4", *vision.H264, tmp_path / "in.mp4")
    said: list[float] = []
    pump(tmp_path / "in.mp4", tmp_path / "out.webm", report=lambda stage, fraction=None: said.append(fraction))
    assert said == sorted(said)
    assert said[-1] == 1.0
    middle = said[len(said) // 2]
    assert 0.45 < middle < 0.56


class OwnError(Exception):
    """A step's."""


def test_what_a_step_raises_ends_both_programs_and_is_raised(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=20", *vision.H264, tmp_path / "in.mp4")

    def fail(frame: Frame) -> None:
        if frame.number == 40:
            raise OwnError
        copy(frame)

    before = threading.active_count()
    with pytest.raises(OwnError):
        pump(tmp_path / "in.mp4", tmp_path / "out.webm", [copy, fail])
    assert threading.active_count() <= before


def test_an_encoder_that_says_no_is_named(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=4", *vision.H264, tmp_path / "in.mp4")
    with pytest.raises(ToolFailed):
        pump(tmp_path / "in.mp4", tmp_path / "out.webm", encoder=["-c:v", "no-such-encoder"])


def test_sounds_and_damaged_films_are_refused(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", tmp_path / "in.mp3")
    with pytest.raises(NoVideo):
        pump(tmp_path / "in.mp3", tmp_path / "out.webm")
    (tmp_path / "in.webm").write_bytes(b"\x1a\x45\xdf\xa3" + b"no film" * 500)
    with pytest.raises(BadMedia):
        pump(tmp_path / "in.webm", tmp_path / "out.webm")


def test_a_film_cut_off_gives_what_there_is_and_says_so(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=4", *FFV1, tmp_path / "whole.mkv")
    content = (tmp_path / "whole.mkv").read_bytes()
    (tmp_path / "in.mkv").write_bytes(content[: len(content) // 2])
    pumped = pump(tmp_path / "in.mkv", tmp_path / "out.webm")
    assert 20 < pumped.frames < 70
    assert "could be read" in pumped.details["incomplete"]


def test_pictures_too_large_for_the_slots_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=96x64:r=25:d=1", *vision.H264, tmp_path / "in.mp4")
    monkeypatch.setattr(_frames, "SLOTS_BYTES", 20_000)
    with pytest.raises(LimitExceeded):
        pump(tmp_path / "in.mp4", tmp_path / "out.webm")
