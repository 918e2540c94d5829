"""The matte's own sums: a guided filter, and its answer laid only where a film's edge is."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from mediamill.engines import _frames, _matting, _matting_film

Plane = NDArray[np.float32]


def disc(height: int, width: int, middle: tuple[float, float], soft: float = 0.02) -> Plane:
    """A round mask with a soft rim; `middle` (x, y) in shares."""
    y, x = np.mgrid[:height, :width]
    away = np.hypot((x + 0.5) / width - middle[0], (y + 0.5) / height - middle[1])
    return np.asarray(np.clip((0.22 - away) / soft + 0.5, 0, 1), np.float32)


def frame(width: int, height: int, number: int, mask: Plane) -> _frames.Frame:
    """A noisy picture whose disc is bright and red, as a step of a film gets it."""
    rng = np.random.default_rng(number)
    given = _frames.picture(
        np.zeros(_frames.picture_bytes("yuv420p", width, height), np.uint8), "yuv420p", width, height
    )
    for plane, back, front in zip(given.planes, (60, 130, 110), (170, 110, 160), strict=True):
        seen = cv2.resize(mask, plane.shape[::-1])
        plane[...] = np.clip(back + (front - back) * seen + rng.normal(0, 4, plane.shape), 16, 235)
    made = _frames.picture(
        np.zeros(_frames.picture_bytes("yuva420p", width, height), np.uint8), "yuva420p", width, height
    )
    return _frames.Frame(number, number / 30, given, made)


def whole(mask: Plane, planes: tuple[NDArray[np.uint8], ...], size: tuple[int, int]) -> NDArray[np.uint8]:
    """The matte with the filter's answer enlarged all over the picture."""
    small = [cv2.resize(plane, size, interpolation=cv2.INTER_AREA) for plane in planes]
    firm = _matting.firm(np.asarray(cv2.resize(mask, size), np.float32))
    found = _matting.Windows()(firm, small, max(2, round(max(size) / 128)))
    y, u, v = planes
    full = [cv2.resize(np.ascontiguousarray(one), y.shape[::-1]) for one in found]
    colours = [cv2.resize(plane, y.shape[::-1]).astype(np.float32) for plane in (u, v)]
    return _matting.to_bytes(full[0] * y + full[1] * colours[0] + full[2] * colours[1] + full[3])


def test_the_filter_solves_each_windows_equations() -> None:
    rng = np.random.default_rng(1)
    mask = rng.random((9, 11)).astype(np.float32)
    guide = [rng.integers(0, 256, mask.shape).astype(np.uint8) for _ in range(3)]

    def mean(plane: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray(cv2.blur(plane.astype(np.float64), (5, 5), borderType=cv2.BORDER_REFLECT))

    colours = [one.astype(np.float64) for one in guide]
    means, level = [mean(one) for one in colours], mean(mask.astype(np.float64))
    spread = np.array(
        [
            [mean(a * b) - m * n for b, n in zip(colours, means, strict=True)]
            for a, m in zip(colours, means, strict=True)
        ]
    )
    along = np.array([mean(a * mask) - m * level for a, m in zip(colours, means, strict=True)])
    slopes = np.linalg.solve(
        spread.transpose(2, 3, 0, 1) + 1e-3 * 255**2 * np.eye(3), along.transpose(1, 2, 0)[..., None]
    )[..., 0].transpose(2, 0, 1)
    constant = level - sum(slope * m for slope, m in zip(slopes, means, strict=True))
    found = _matting.Windows()(mask, guide, 2)
    for one, wanted in zip(found, (*slopes, constant), strict=True):
        assert np.allclose(one, mean(wanted), atol=2e-5)


@pytest.mark.parametrize("size", [(640, 360), (426, 240), (854, 480), (202, 354), (1280, 722)])
def test_a_matte_laid_in_tiles_is_the_one_of_the_whole_picture(size: tuple[int, int]) -> None:
    mask = disc(256, 256, (0.45, 0.5))
    one = frame(*size, 0, mask)
    edges = _matting_film.Edges(*size)
    one.note = mask, None, edges.guide(one.given.planes)
    edges(one)
    worked = len(one.note.edge[0]) / one.note.solid.size
    _matting_film.Lay(edges)(one)
    wanted = whole(mask, one.given.planes, (round(size[0] / edges.scale), round(size[1] / edges.scale)))
    made = one.made.planes[3]
    off = np.abs(made.astype(int) - wanted)
    assert worked < 0.75  # most of what is clear and solid is not worked out
    assert made.min() == 0
    assert made.max() == 255
    assert off.mean() < 0.4
    assert np.percentile(off, 99.5) < 24  # where nothing is between the filter's pixels and the picture's


def test_what_the_edge_has_left_is_clear_and_what_it_has_reached_solid() -> None:
    size = (320, 180)
    edges = _matting_film.Edges(*size)
    lay = _matting_film.Lay(edges)
    steady = _matting.Steady()
    made: list[NDArray[np.uint8]] = []
    for number in range(16):
        mask = disc(256, 256, (0.25 + 0.03 * number, 0.5))
        one = frame(*size, number, mask)
        held, hold = steady(mask, np.asarray(cv2.resize(one.given.planes[0], (256, 256)) / 219, np.float32))
        one.note = held, hold, edges.guide(one.given.planes)
        edges(one)
        lay(one)
        made.append(one.made.planes[3].copy())
        true = cv2.resize(mask, size)
        assert made[-1][true > 0.99].mean() > 250, number
        assert made[-1][true < 0.01].mean() < 4, number
    assert edges.rooms.qsize() == 1  # one picture was under way at a time, and its memory came back


def test_a_picture_without_an_edge_is_clear_all_over() -> None:
    size = (320, 180)
    edges = _matting_film.Edges(*size)
    one = frame(*size, 0, np.zeros((256, 256), np.float32))
    one.note = np.zeros((256, 256), np.float32), None, edges.guide(one.given.planes)
    edges(one)
    _matting_film.Lay(edges)(one)
    assert not one.made.planes[3].any()
    assert {int(plane.min()) for plane in one.made.planes[:3]} == {16, 128}
    assert {int(plane.max()) for plane in one.made.planes[:3]} == {16, 128}
