"""Each transition leads from one picture to the other in the way its name says."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.support import looks

from mediamill.engines import _look
from mediamill.engines._look import Moment

H, W = 180, 320
A, B = looks.lake(), looks.town()
RED, BLUE = (looks.solid(np.full((H, W, 3), 0.0) + colour) for colour in ((200, 0, 0), (0, 0, 200)))
STEPS = (0.1, 0.3, 0.5, 0.7, 0.9)


def cut(name: str, p: float, a: Any = A, b: Any = B, frame: int = 7) -> Any:
    return _look.TRANSITIONS[name](a, b, p, Moment(t=p, frame=frame, length_s=1))


def arrived(name: str, p: float) -> Any:
    """How much of the second picture is in each pixel, 0 to 1, told by two colours."""
    return cut(name, p, RED, BLUE)[:, :, 2].astype(float) / 200


def second(name: str, p: float) -> Any:
    """Where the second picture stands alone, and untouched."""
    return (cut(name, p) == B).all(axis=2)


def test_cross_dissolve_is_the_mean_at_half_time() -> None:
    assert np.abs(cut("cross_dissolve", 0.5) - (A.astype(float) + B) / 2).max() <= 1


@pytest.mark.parametrize(("name", "level"), [("dip_to_black", 0), ("dip_to_white", 255)])
def test_dips_pass_through_one_colour(name: str, level: int) -> None:
    assert (cut(name, 0.5)[:, :, :3] == level).all()
    early, late = (cut(name, p)[:, :, :3].astype(float) for p in (0.2, 0.8))
    assert np.corrcoef(early.ravel(), A[:, :, :3].ravel())[0, 1] > 0.95
    assert np.corrcoef(late.ravel(), B[:, :, :3].ravel())[0, 1] > 0.95


@pytest.mark.parametrize(
    ("name", "new"),
    [
        ("wipe_left", (slice(None), slice(W // 2, None))),
        ("wipe_right", (slice(None), slice(0, W // 2))),
        ("wipe_up", (slice(H // 2, None), slice(None))),
        ("wipe_down", (slice(0, H // 2), slice(None))),
    ],
)
def test_wipes_have_one_half_of_each_at_half_time(name: str, new: tuple[slice, slice]) -> None:
    expected = A.copy()
    expected[new] = B[new]

    assert np.array_equal(cut(name, 0.5), expected)


def test_diagonal_wipe_comes_from_the_upper_left_corner() -> None:
    share = arrived("diagonal_wipe", 0.5)

    assert share[:40, :40].min() == 1
    assert share[-40:, -40:].max() == 0
    assert share[H // 2 - 12, W // 2 - 12] == 1
    assert share[H // 2 + 12, W // 2 + 12] == 0


@pytest.mark.parametrize(("name", "axis"), [("barn_doors_horizontal", 1), ("barn_doors_vertical", 0)])
def test_barn_doors_open_from_the_middle(name: str, axis: int) -> None:
    share = arrived(name, 0.5).mean(axis=1 - axis)
    size = share.size

    assert (share[size * 3 // 8 : size * 5 // 8] == 1).all()
    assert (share[: size // 5] == 0).all()
    assert (share[-size // 5 :] == 0).all()


def test_box_wipe_is_a_growing_rectangle() -> None:
    rows, columns = np.nonzero(arrived("box_wipe", 0.5) == 1)

    assert (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1) == (H // 2, W // 2)
    assert rows.size == H * W // 4


def test_band_wipe_comes_in_from_both_sides_in_turn() -> None:
    share = arrived("band_wipe", 0.25)

    assert share[H // 14, 10] == 1
    assert share[H // 14, -10] == 0
    assert share[H * 3 // 14, 10] == 0
    assert share[H * 3 // 14, -10] == 1


def test_gradient_wipe_takes_the_dark_parts_first() -> None:
    ramp = looks.solid(np.tile(np.linspace(0, 255, W)[None, :, None], (H, 1, 3)))
    new = (cut("gradient_wipe", 0.5, ramp, BLUE) == BLUE).all(axis=2)

    assert new[:, : W // 3].all()
    assert not new[:, -W // 3 :].any()


def test_iris_is_a_hexagon_and_turns() -> None:
    def reach(p: float) -> Any:
        # Of the hole's edge from the middle, in each direction.
        share = arrived("iris", p) > 0.4
        ring = cv2.warpPolar(share.astype(np.uint8), (90, 360), (W / 2, H / 2), 90, cv2.WARP_POLAR_LINEAR)
        return ring.sum(axis=1)

    edge = reach(0.3)
    assert edge.max() / edge.min() == pytest.approx(1 / np.cos(np.pi / 6), abs=0.08)
    corners = np.abs(np.fft.rfft(edge - edge.mean()))
    assert np.argmax(corners[:13]) == 6
    turn = np.angle(np.fft.rfft(reach(0.4))[6]) - np.angle(np.fft.rfft(edge)[6])
    assert abs(turn) > 0.2


def test_circle_is_round() -> None:
    rows, columns = np.nonzero(arrived("circle_open", 0.35) > 0.5)

    assert rows.max() - rows.min() == pytest.approx(columns.max() - columns.min(), abs=2)
    assert rows.size == pytest.approx(np.pi / 4 * (rows.max() - rows.min() + 1) ** 2, rel=0.03)


def test_angular_runs_round_like_a_clock() -> None:
    quarter = arrived("angular", 0.25)

    assert quarter[20:70, W // 2 + 20 : -20].min() == 1
    assert quarter[-70:-20].max() == 0
    assert quarter[:, : W // 2 - 10].max() == 0


def test_pinwheel_has_eight_wings() -> None:
    share = arrived("pinwheel", 0.5) > 0.5
    angles = np.linspace(0, 2 * np.pi, 1440, endpoint=False)
    ring = share[(H / 2 + 70 * np.sin(angles)).astype(int), (W / 2 + 70 * np.cos(angles)).astype(int)]

    assert np.count_nonzero(ring != np.roll(ring, 1)) == 16
    assert ring.mean() == pytest.approx(0.5, abs=0.05)


def test_window_slices_are_upright() -> None:
    share = arrived("window_slice", 0.5)

    assert np.abs(share - share[:1]).max() == 0
    row = share[0] > 0.5
    assert np.count_nonzero(row[1:] != row[:-1]) >= 12


def test_heart_has_a_dent_above_and_a_tip_below() -> None:
    share = arrived("heart", 0.45) > 0.5
    rows, columns = np.nonzero(share)
    top, bottom = rows.min(), rows.max()

    lobes = np.flatnonzero(share[top + 2])
    assert np.any(np.diff(lobes) > 3)
    assert np.ptp(np.flatnonzero(share[bottom - 1])) < np.ptp(columns) / 6
    assert abs(columns[rows > bottom - 3].mean() - W / 2) < 3


def test_page_turn_shows_the_back_of_the_page_over_the_first_picture() -> None:
    out = cut("page_turn", 0.45)

    assert np.array_equal(out[:, :40], A[:, :40])
    assert np.abs(out[-30:, -30:].astype(int) - B[-30:, -30:]).mean() < 30
    other = (np.abs(out.astype(int) - A).max(axis=2) > 40) & (np.abs(out.astype(int) - B).max(axis=2) > 40)
    back = out[other]
    assert other.mean() > 0.05
    assert np.median(back[:, :3].min(axis=1)) > 120


def test_page_turn_curls_from_the_lower_right() -> None:
    turned = np.abs(cut("page_turn", 0.2).astype(int) - A).max(axis=2) > 30

    assert turned[-20:, -20:].mean() > 0.65
    assert turned[:20, : W // 2].mean() == 0
    assert turned[-20:].mean() > 2 * turned[:20].mean()


def test_cube_shows_two_sides_in_perspective_on_nothing() -> None:
    out = cut("cube", 0.5, RED, BLUE)
    alpha = out[..., 3] > 128

    assert out[H // 2, W // 4, 0] > 60
    assert out[H // 2, W * 3 // 4, 2] > 60
    heights = alpha.sum(axis=0)
    assert heights[W // 2] > heights[heights > 0].min() + 4
    assert out[0, 0, 3] == 0


def test_doorway_opens_two_wings_before_what_comes_nearer() -> None:
    early, late = (cut("doorway", p, RED, BLUE) for p in (0.35, 0.65))

    def width(out: Any) -> int:
        return int(np.count_nonzero(out[H // 2, :, 2] > out[H // 2, :, 0]))

    assert early[H // 2, 10, 0] > early[H // 2, 10, 2]
    assert early[H // 2, -10, 0] > early[H // 2, -10, 2]
    assert 10 < width(early) < width(late)
    assert early[H // 2, W // 2, 2] < late[H // 2, W // 2, 2]


def test_swirl_twists_round_the_middle_and_leaves_the_corners() -> None:
    line = looks.solid(np.zeros((H, W, 3)))
    line[:, W // 2 - 3 : W // 2 + 4, :3] = 255
    out = cut("swirl", 0.3, line, line)[..., 0]

    # The line lies across the place beside the middle which it never met.
    assert out[40:-40, W // 2 + 10 : W // 2 + 60].max() > 150
    assert out[40:-40, W // 2 - 60 : W // 2 - 10].max() > 150
    assert np.abs(cut("swirl", 0.15)[:8, :8].astype(int) - A[:8, :8]).mean() < 6


def test_water_drop_has_rings_that_run_outwards() -> None:
    flat = looks.solid(np.full((H, W, 3), 100.0))

    def front(p: float) -> int:
        lit = cut("water_drop", p, flat, flat)[H // 2, W // 2 :, 0] > 108
        return int(np.flatnonzero(lit).max())

    assert front(0.1) < front(0.25) < front(0.4)
    ring = cut("water_drop", 0.3, flat, flat)[..., 0] > 108
    assert ring[H // 2, : W // 2].any()
    assert ring[: H // 2, W // 2].any()


def test_dreamy_sways_and_glows() -> None:
    line = looks.solid(np.zeros((H, W, 3)))
    line[88:92, :, :3] = 255
    out = cut("dreamy", 0.5, line, line)[..., 0].astype(float)
    middles = (out**3 * np.arange(H)[:, None]).sum(axis=0) / (out**3).sum(axis=0)

    assert middles.std() > 1
    assert (out > 20).sum(axis=0).mean() > 8


def test_cross_zoom_streaks_away_from_the_middle() -> None:
    ring = looks.solid(np.zeros((H, W, 3)))
    cv2.circle(ring, (W // 2 + 50, H // 2), 3, (255, 255, 255, 255), -1)
    out = cut("cross_zoom", 0.3, ring, ring)[..., 0] > 15
    rows, columns = np.nonzero(out)

    assert np.ptp(columns) > 2 * np.ptp(rows)
    assert columns.max() > W // 2 + 56


def test_color_phase_turns_red_before_green_before_blue() -> None:
    white, black = looks.solid(np.full((4, 4, 3), 255.0)), looks.solid(np.zeros((4, 4, 3)))
    red, green, blue = cut("color_phase", 0.5, black, white)[0, 0, :3]

    assert red > green + 40
    assert green > blue + 40


def test_burn_has_a_glowing_rim_and_char_before_it() -> None:
    flat = looks.solid(np.full((H, W, 3), 128.0))
    out = cut("burn", 0.45, flat, BLUE).astype(int)

    ember = (out[..., 0] > 200) & (out[..., 2] < 120)
    char = out[..., :3].max(axis=2) < 50
    hole = (out == BLUE).all(axis=2)
    assert ember.mean() > 0.005
    assert char.mean() > 0.005
    assert hole[H // 2, W // 2]
    assert not hole[:10, :10].any()


def test_glitch_memories_mixes_blocks_and_parts_colours() -> None:
    early, late = (np.mean([second("glitch_memories", p).mean()]) for p in (0.2, 0.8))

    assert early < late
    out = cut("glitch_memories", 0.5, frame=3)
    assert not np.array_equal(out, cut("glitch_memories", 0.5, frame=4))
    grey_a, grey_b = (np.repeat(picture[:, :, :1], 4, axis=2) for picture in (A, B))
    grey_a[..., 3] = grey_b[..., 3] = 255
    torn = cut("glitch_memories", 0.5, grey_a, grey_b)
    assert np.abs(torn[..., 0].astype(int) - torn[..., 2]).mean() > 3


def test_crosshatch_draws_strokes_one_way_and_then_the_other() -> None:
    def slants(p: float) -> Any:
        # How steady the share is along each diagonal: a stroke along it changes little.
        share = arrived("crosshatch", p)
        return np.abs(share[1:, 1:] - share[:-1, :-1]).mean(), np.abs(share[1:, :-1] - share[:-1, 1:]).mean()

    one, other = slants(0.35)
    assert min(one, other) < 0.5 * max(one, other)
    both = slants(0.84)
    assert min(both) > 0.6 * max(both)


def test_squares_leave_a_wire_mesh() -> None:
    old = arrived("squares_wire", 0.5) < 0.5
    wires = old[:, 10:100].mean(axis=1)

    assert np.count_nonzero((wires[1:] > 0.8) & (wires[:-1] <= 0.8)) >= 5
    assert (
        second("squares_wire", 0.6)[: H // 3, : W // 3].mean()
        > second("squares_wire", 0.6)[-H // 3 :, -W // 3 :].mean()
    )


GRADUAL = set(_look.TRANSITIONS) - {"dip_to_black", "dip_to_white", "glitch_memories", "cube", "doorway", "page_turn"}
# These go by the first picture or by channel; their own tests hold them.
GRADUAL -= {"gradient_wipe", "color_phase"}


@pytest.mark.parametrize("name", sorted(GRADUAL))
def test_the_second_picture_gains_ground(name: str) -> None:
    shares = [arrived(name, p).mean() for p in STEPS]

    assert all(later >= earlier for earlier, later in pairwise(shares))
    assert shares[0] < 0.35
    assert shares[-1] > 0.65


@pytest.mark.parametrize("name", sorted(_look.TRANSITIONS))
def test_no_transition_jumps_at_its_ends(name: str) -> None:
    early, late = cut(name, 0.004).astype(int), cut(name, 0.996).astype(int)

    assert np.abs(early - A).mean() < 6
    assert np.abs(late - B).mean() < 6


def test_every_transition_has_a_test_of_its_name() -> None:
    text = Path(__file__).read_text(encoding="utf-8")

    assert [name for name in _look.TRANSITIONS if f'"{name}"' not in text] == []
