"""The pixels of compositions: planes and RGBA say the same, and laying one on the other is what the formulas say."""

from __future__ import annotations

import numpy as np
import pytest

from mediamill.engines import _compose_pixels as pixels
from mediamill.engines._compose_canvas import Pixels, Planes, Raw
from mediamill.engines._compose_pixels import Patch
from mediamill.engines._look_base import Picture, premultiplied

CANVAS = 64, 36


def noise(seed: int, *, alpha: bool) -> Picture:
    """A soft picture of the canvas' size."""
    chance = np.random.default_rng(seed)
    small = chance.integers(0, 256, (4, 6, 4), dtype=np.uint8)
    import cv2

    full = cv2.resize(small, CANVAS, interpolation=cv2.INTER_CUBIC)
    mask = np.ascontiguousarray(full[:, :, 3]) if alpha else np.full(CANVAS[::-1], 255, np.uint8)
    return premultiplied(np.ascontiguousarray(full), mask)


def test_a_picture_survives_being_coded() -> None:
    picture = noise(1, alpha=False)
    buffer = np.empty(pixels.planar_bytes(*CANVAS), np.uint8)

    pixels.into_planes(picture, buffer)

    assert np.abs(pixels.to_rgba(buffer, *CANVAS).astype(int) - picture).mean() < 4


@pytest.mark.parametrize(
    ("rgb", "yuv"),
    [((255, 255, 255), (235, 128, 128)), ((0, 0, 0), (16, 128, 128)), ((255, 0, 0), (63, 102, 240))],
)
def test_colours_are_coded_as_bt709_has_them(rgb: tuple[int, int, int], yuv: tuple[int, int, int]) -> None:
    assert pixels.coded(*rgb) == yuv


@pytest.mark.parametrize("opacity", [1.0, 0.4])
@pytest.mark.parametrize("place", [(0, 0), (7, 5), (-9, -4), (50, 30)])
def test_both_canvases_draw_the_same(opacity: float, place: tuple[int, int]) -> None:
    ground, above = noise(2, alpha=False), noise(3, alpha=True)[:20, :30]
    made = []
    for kind in (Planes, Pixels):
        canvas = kind(*CANVAS, (0, 0, 0, 255), ground)
        canvas.begin()
        canvas.draw(Patch(np.ascontiguousarray(above), *place), opacity)
        made.append(canvas.picture(canvas.finish()).astype(int))

    assert np.abs(made[0] - made[1]).mean() < 4
    assert np.abs(made[0] - made[1]).max() < 100  # half the colour resolution, at an edge


def test_a_frame_that_fills_the_canvas_becomes_it() -> None:
    canvas = Planes(*CANVAS, (0, 0, 0, 255), None)
    buffer = canvas.pool.take()
    buffer[:] = 90

    canvas.begin()
    taken = canvas.place(Raw(buffer, *CANVAS, fresh=True))

    assert taken
    assert canvas.finish() is buffer


def test_a_frame_that_is_needed_again_is_copied() -> None:
    canvas = Planes(*CANVAS, (0, 0, 0, 255), None)
    buffer = canvas.pool.take()
    buffer[:] = 90

    canvas.begin()
    assert not canvas.place(Raw(buffer, *CANVAS, fresh=False))
    made = canvas.finish()

    assert made is not buffer
    assert (made == 90).all()


def test_frames_are_used_again() -> None:
    pool = pixels.Pool(100)
    first = pool.take()
    pool.give(first)

    assert pool.take() is first
