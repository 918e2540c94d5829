"""Colours along the edge of a matte: those of what is in front, and not of what was behind."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mediamill.engines import _matting, _matting_colours

FRONT, BACK = (150, 110), (90, 200)
"""Cr and Cb of skin before a blue wall."""


def disc(side: int, soft: float) -> NDArray[np.float32]:
    y, x = np.mgrid[:side, :side]
    away = np.hypot(x + 0.5 - side / 2, y + 0.5 - side / 2)
    return np.asarray(np.clip((side * 0.3 - away) / soft + 0.5, 0, 1), np.float32)


@pytest.mark.parametrize("side", [40, 300])
def test_the_colour_behind_goes_from_the_edge_and_nothing_changes_inside(side: int) -> None:
    cover = disc(side, 4)
    spilled = cv2.GaussianBlur(disc(side, 2), (0, 0), 1.5)  # the camera's colours are less sharp than the matte
    matte = np.asarray(np.rint(cover * 255), np.uint8)
    planes = [
        np.asarray(np.rint(back + (front - back) * spilled), np.uint8) for front, back in zip(FRONT, BACK, strict=True)
    ]

    made = _matting_colours.own(planes, matte)

    seen = matte > 8
    for before, after, front, back in zip(planes, made, FRONT, BACK, strict=True):
        was = (np.abs(before.astype(int) - front) * cover)[seen].max()
        left = (np.abs(after.astype(int) - front) * cover)[seen].max()
        assert was > 0.15 * abs(front - back)
        assert left < 0.25 * was
        deep = disc(side, 0.1) * (cv2.erode(matte, np.ones((9, 9), np.uint8)) == 255) > 0
        assert np.array_equal(after[deep], before[deep])
        assert np.array_equal(after[:4], before[:4])  # far outside


@pytest.mark.parametrize("level", [0, 255, 128])
def test_a_matte_without_anything_solid_beside_its_edge_leaves_colours_alone(level: int) -> None:
    rng = np.random.default_rng(1)
    planes = [rng.integers(0, 256, (30, 40)).astype(np.uint8) for _ in range(2)]

    made = _matting_colours.own(planes, np.full((30, 40), level, np.uint8))

    assert all(np.array_equal(before, after) for before, after in zip(planes, made, strict=True))


def test_a_picture_cut_out_of_a_blue_wall_shines_blue_nowhere() -> None:
    cover = disc(201, 3)
    spilled = cv2.GaussianBlur(disc(201, 2), (0, 0), 1.2)[..., None]
    skin, wall = np.array([200, 150, 130], np.float32), np.array([40, 60, 230], np.float32)
    rgb = np.asarray(np.rint(wall + (skin - wall) * spilled), np.uint8)

    made = _matting.without_background(rgb, np.asarray(np.rint(cover * 255), np.uint8))

    blue = (made[..., 2].astype(int) - made[..., 0]) * cover
    assert ((rgb[..., 2].astype(int) - rgb[..., 0]) * cover).max() > 20
    assert blue.max() <= 4
    assert np.array_equal(made[100, 100], rgb[100, 100])
    assert not made[0].any()
