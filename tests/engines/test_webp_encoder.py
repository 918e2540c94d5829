"""WebP written while libwebp tells how far it is: the bytes that Pillow writes, and nothing swallowed."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from mediamill.core.errors import ToolFailed
from mediamill.engines import _picture_write, _webp_course, _webp_encoder
from mediamill.engines._expected import Course
from mediamill.engines._picture import Resize, Still, Wishes


def _picture(mode: str, size: tuple[int, int] = (333, 500)) -> Any:
    across, down = np.meshgrid(np.arange(size[0]), np.arange(size[1]))
    planes = [(across * n + down * 2) % 256 for n in range(1, 1 + len(mode))]
    return Image.fromarray(np.stack(planes, 2).astype(np.uint8), mode=None if mode == "RGB" else "RGBA")


def _by_pillow(picture: Any, **settings: Any) -> bytes:
    made = io.BytesIO()
    picture.save(made, "WEBP", **settings)
    return made.getvalue()


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("lossless", [False, True])
def test_the_bytes_are_pillows_and_it_is_told_how_far_it_is(mode: str, lossless: bool) -> None:
    picture, said = _picture(mode), list[int]()

    made = _webp_encoder.encode(picture, {}, quality=71, method=4, lossless=lossless, tell=said.append)

    assert made == _by_pillow(picture, quality=71, method=4, lossless=lossless, exact=lossless)
    assert len(said) > 20
    assert said == sorted(said)
    assert said[-1] <= 100


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_metadata_are_written_as_pillow_writes_them(mode: str) -> None:
    picture = _picture(mode)
    exif = Image.Exif()
    exif[0x010E] = "a hill"
    blocks = {"icc_profile": b"profile of odd length", "exif": exif.tobytes(), "xmp": b"<x/>"}

    made = _webp_encoder.encode(picture, blocks, quality=80, method=4, lossless=False, tell=lambda _: None)

    assert made == _by_pillow(picture, quality=80, method=4, **blocks)


def test_what_fails_in_telling_ends_the_coding_and_is_passed_on() -> None:
    told: list[int] = []

    def tell(percent: int) -> None:
        told.append(percent)
        raise OSError("nobody listens")

    with pytest.raises(OSError, match="nobody listens"):
        _webp_encoder.encode(_picture("RGB"), {}, quality=80, method=4, lossless=False, tell=tell)
    assert len(told) == 1


def test_settings_that_libwebp_does_not_take_are_a_failure_of_the_tool() -> None:
    with pytest.raises(ToolFailed):
        _webp_encoder.encode(_picture("RGB"), {}, quality=80, method=17, lossless=False, tell=lambda _: None)


def test_without_a_known_libwebp_pillow_writes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert _picture_write.tells("image/webp")
    monkeypatch.setattr(_webp_encoder, "library", lambda: None)
    target = tmp_path / "made.webp"
    wishes = Wishes(
        resize=Resize(), quality=60, lossless=False, strip=True, background=(0, 0, 0), loop=None, same_format=False
    )

    assert not _picture_write.tells("image/webp")
    _picture_write.write(Still(pixels=_picture("RGB")), target, "image/webp", wishes)

    assert target.read_bytes() == _by_pillow(_picture("RGB"), quality=60, method=4)


def test_a_half_that_shows_nothing_is_expected_to_take_less() -> None:
    picture = Image.effect_noise((640, 640), 60).convert("RGB")
    picture.paste((255, 255, 255), (0, 320, 640, 640))

    coding, writing = _webp_course.bands(picture, 80)

    assert len(coding) == 20
    assert min(coding[:10]) > 2 * max(coding[10:])
    assert writing > 0


@pytest.mark.parametrize("asked", [True, False])
def test_what_is_to_come_grows_less_with_every_step(asked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not asked:
        monkeypatch.setattr(_webp_course, "held_bytes", lambda: None)
    seconds = iter(range(1, 1000))
    monkeypatch.setattr(_webp_course, "used_s", lambda: float(next(seconds)))
    monkeypatch.setattr(_webp_course, "slowness", lambda: 1e6)
    course, to_come_s = Course(lambda stage, fraction=None: None, "encode"), list[float]()
    monkeypatch.setattr(course, "at", lambda now_s, later_s=0.0: to_come_s.append(now_s + later_s))
    tell = _webp_course.Lossy(course, _picture("RGB", (640, 640)), 80)

    for percent in (*range(1, 39), 58, 99):
        tell(percent)

    coding_s = to_come_s[20:]
    assert coding_s[-1] == 0
    assert coding_s[5:] == sorted(coding_s[5:], reverse=True)


def test_lossless_is_expected_step_by_step_as_its_sample_was() -> None:
    course, at = Course(lambda stage, fraction=None: None, "encode"), list[tuple[float, float]]()
    course.at = lambda now_s, later_s=0.0: at.append((now_s, later_s))  # type: ignore[method-assign]

    tell = _webp_course.Lossless(course, [(1, 1.0), (50, 3.0), (100, 4.0)], 10)
    for percent in (1, 30, 50, 100):
        tell(percent)

    assert at == [(10, 30), (20, 10), (20, 10), (10, 0), (0, 0)]
