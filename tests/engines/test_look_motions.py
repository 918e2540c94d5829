"""Each motion moves an element in the way its name says, and leaves it at rest."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import looks

from mediamill.core.looks import MOTIONS
from mediamill.engines import _look
from mediamill.engines._look import REST, Moment, Pose

CANVAS = (320, 180)
BOX = (80.0, 40.0, 160.0, 100.0)
STEPS = [n / 40 for n in range(41)]


def pose(name: str, p: float, t: float = 0.0, length_s: float = 0.0) -> Pose:
    return _look.MOTIONS[name](p, Moment(t=t, frame=round(t * 30), length_s=length_s))


def looped(name: str, t: float, length_s: float = 12.0) -> Pose:
    return pose(name, 1.0, t, length_s)


def place(pose: Pose, x: float, y: float) -> tuple[float, float]:
    """Where a point of the element's box, in shares of it, comes to lie on the canvas."""
    point = pose.matrix(BOX, CANVAS) @ (BOX[0] + x * BOX[2], BOX[1] + y * BOX[3], 1)
    return float(point[0] / point[2]), float(point[1] / point[2])


ARRIVING = sorted(name for name, motion in MOTIONS.items() if motion.element & {"in", "out"})


@pytest.mark.parametrize("name", ARRIVING)
def test_an_arrival_starts_hidden_and_ends_at_rest(name: str) -> None:
    start = pose(name, 0)

    assert start.hidden
    assert pose(name, 1) == REST
    last = pose(name, 0.998)
    for corner in ((0, 0), (1, 0), (1, 1), (0, 1)):
        assert place(last, *corner) == pytest.approx(place(REST, *corner), abs=4)
    assert last.opacity > 0.95


@pytest.mark.parametrize("name", sorted(MOTIONS))
def test_no_motion_jumps(name: str) -> None:
    if MOTIONS[name].element == {"loop"}:
        poses = [looped(name, n / 120) for n in range(1440)]
    else:
        poses = [pose(name, n / 400) for n in range(1, 401)]

    for one, other in pairwise(poses):
        if one.hidden or other.hidden or name == "glitch_pop":
            continue
        (x0, y0), (x1, y1) = place(one, 0.5, 0.5), place(other, 0.5, 0.5)
        assert np.hypot(x1 - x0, y1 - y0) < 12
        assert abs(one.scale_x - other.scale_x) < 0.08


@pytest.mark.parametrize(
    ("name", "right", "down"),
    [("slide_up", 0, -1), ("slide_down", 0, 1), ("slide_left", -1, 0), ("slide_right", 1, 0)],
)
def test_slides_come_from_outside_the_canvas_and_go_their_way(name: str, right: int, down: int) -> None:
    (x0, y0), (x1, y1) = place(pose(name, 0.0), 0.5, 0.5), place(pose(name, 0.6), 0.5, 0.5)

    assert (np.sign(x1 - x0), np.sign(y1 - y0)) == (right, down)
    assert max(abs(x0 - 160) / 320, abs(y0 - 90) / 180) == pytest.approx(1)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("wipe_left", (0.7, 0, 1, 1)),
        ("wipe_right", (0, 0, 0.3, 1)),
        ("wipe_up", (0, 0.7, 1, 1)),
        ("wipe_down", (0, 0, 1, 0.3)),
    ],
)
def test_wipes_uncover_the_box_their_way(name: str, shown: tuple[float, ...]) -> None:
    assert pose(name, 0.3).reveal == pytest.approx(shown)


def test_fade_is_opacity_alone() -> None:
    assert pose("fade", 0.3) == Pose(opacity=0.3)


@pytest.mark.parametrize(("name", "way"), [("rotate_cw", 1), ("rotate_ccw", -1)])
def test_rotations_turn_their_way(name: str, way: int) -> None:
    angles = [pose(name, p).rotate * way for p in STEPS]

    assert angles == sorted(angles)
    assert angles[0] <= -90
    # Clockwise on the screen: what is right of the middle goes down.
    _, before = place(Pose(rotate=0), 1, 0.5)
    assert place(Pose(rotate=20), 1, 0.5)[1] > before


def heights(name: str) -> Any:
    return np.array([90 - place(pose(name, p), 0.5, 0.5)[1] for p in np.linspace(0.01, 1, 400)])


@pytest.mark.parametrize("name", ["bounce", "bounce_motion"])
def test_bounces_fall_and_meet_the_ground_again_and_again(name: str) -> None:
    up = -np.array([pose(name, p).dy for p in np.linspace(0, 1, 400)])

    assert up.min() > -1e-9
    low = (up[1:-1] < up[:-2]) & (up[1:-1] <= up[2:]) & (up[1:-1] < 0.01)
    assert np.count_nonzero(low) >= 3
    assert up[0] > 0.4


def test_bounce_motion_is_squashed_on_landing_and_stands_on_its_foot() -> None:
    squashed = min((pose("bounce_motion", p) for p in np.linspace(0.3, 1, 200)), key=lambda one: one.scale_y)

    assert squashed.scale_y < 0.85
    assert squashed.scale_x > 1.05
    assert place(squashed, 0.5, 1.0)[1] == pytest.approx(BOX[1] + BOX[3], abs=4)


def sizes(name: str) -> Any:
    return np.array([pose(name, p).scale_x for p in STEPS])


@pytest.mark.parametrize("name", ["zoom_in", "zoom_out"])
def test_zooms_grow_from_nothing_and_shrink_to_it(name: str) -> None:
    assert (np.diff(sizes(name)) > 0).all()
    assert sizes(name)[0] == 0


@pytest.mark.parametrize("name", ["smooth_pop", "rubber_in"])
def test_pops_go_past_their_size(name: str) -> None:
    assert sizes(name).max() > 1.05


def test_rubber_is_wide_when_it_is_low() -> None:
    poses = [pose("rubber_in", p) for p in STEPS[2:30]]

    assert any(one.scale_x > 1.03 and one.scale_y < 0.99 for one in poses)
    assert any(one.scale_x < 0.97 and one.scale_y > 1.01 for one in poses)


@pytest.mark.parametrize("name", ["swing_in", "swing_out"])
def test_swings_hang_from_the_upper_edge(name: str) -> None:
    angles = [pose(name, p).rotate_x for p in STEPS]

    assert min(angles) < -60
    assert max(angles) > 10
    for p in (0.1, 0.3, 0.6):
        assert place(pose(name, p), 0.2, 0) == pytest.approx(place(REST, 0.2, 0))


def test_elastic_rise_comes_from_below_and_overshoots() -> None:
    up = -np.array([pose("elastic_rise", p).dy for p in STEPS])

    assert up[1] < -0.2
    assert up.max() > 0.05


def test_elastic_drop_gathers_itself_and_falls() -> None:
    leaving = [pose("elastic_drop", 1 - q) for q in STEPS]

    assert min(one.dy for one in leaving) < -0.02
    assert leaving[-2].dy > 0.6


def test_tilt_zoom_comes_nearer_and_straightens() -> None:
    early, late = pose("tilt_zoom", 0.3), pose("tilt_zoom", 0.8)

    assert early.scale_x > late.scale_x > 1
    assert abs(early.rotate) > abs(late.rotate) > 0
    assert early.rotate_y > late.rotate_y > 0


def test_blur_comes_into_focus() -> None:
    assert pose("blur", 0.2).blur > pose("blur", 0.6).blur > 0
    scene = looks.town()
    soft = _look.apply_blur(scene, pose("blur", 0.3), 180)
    assert (
        np.abs(np.diff(soft[..., 0].astype(int), axis=1)).mean()
        < 0.4 * np.abs(np.diff(scene[..., 0].astype(int), axis=1)).mean()
    )


@pytest.mark.parametrize("name", ["overlay", "difference"])
def test_blend_motions_are_put_on_with_their_blend(name: str) -> None:
    assert pose(name, 0.5).blend == name
    assert name in _look.BLENDS


@pytest.mark.parametrize(("name", "way"), [("whip_up", -1), ("whip_down", 1)])
def test_whips_are_fast_stretched_and_blurred(name: str, way: int) -> None:
    moving = pose(name, 0.12)

    assert moving.dy > 0.3  # whip_up comes from below, whip_down leaves there
    assert moving.scale_y > 1.2
    assert moving.blur > 0
    assert abs(pose(name, 0.6).dy) < 0.05
    assert np.sign(moving.rotate) == way


@pytest.mark.parametrize(("name", "way"), [("drift_in", -1), ("drift_out", 1)])
def test_drifts_are_slow_and_slanting(name: str, way: int) -> None:
    moving = pose(name, 0.5)

    assert np.sign(moving.dx) == way == -np.sign(moving.dy)
    assert abs(moving.dx) < 0.1
    assert 0 < moving.opacity < 1


def pixels(name: str, p: float, frame: int = 14) -> Any:
    element = np.ascontiguousarray(looks.town()[40:140, 80:240])
    back = looks.solid(np.zeros((180, 320, 3)))
    return looks.put(back, element, name, p, Moment(t=0.5, frame=frame))


def test_explode_puts_flying_pieces_together() -> None:
    early, late = (pixels("explode", p)[..., :3].max(axis=2) > 12 for p in (0.45, 0.9))

    assert early[:38].any() or early[142:].any() or early[:, :78].any() or early[:, 242:].any()
    assert early.sum() < 0.7 * late.sum()


def test_evaporate_goes_from_the_top() -> None:
    out = pixels("evaporate", 0.55).astype(float).sum(axis=2) - 255
    whole = pixels("fade", 1.0).astype(float).sum(axis=2) - 255

    top, bottom = (out[rows, 80:240].sum() / whole[rows, 80:240].sum() for rows in (slice(45, 70), slice(115, 138)))
    assert top < 0.6 * bottom


def test_glitch_pop_breaks_colours_and_rows_and_flickers() -> None:
    out = pixels("glitch_pop", 0.5)

    assert np.abs(out[50:130, 90:230, 0].astype(int) - pixels("fade", 1.0)[50:130, 90:230, 0]).mean() > 10
    assert len({pose("glitch_pop", 0.3, frame / 30).opacity for frame in range(3)}) == 2


@pytest.mark.parametrize(
    ("name", "start", "middle", "end"),
    [("ken_burns_in", 1, 1.1, 1.2), ("ken_burns_out", 1.2, 1.1, 1), ("ken_burns_in_out", 1, 1.2, 1)],
)
def test_ken_burns_zooms_over_the_window(name: str, start: float, middle: float, end: float) -> None:
    assert [pose(name, p).scale_x for p in (0, 0.5, 1)] == pytest.approx([start, middle, end])


LOOPS = sorted(name for name, motion in MOTIONS.items() if motion.element == {"loop"})


@pytest.mark.parametrize("name", LOOPS)
@pytest.mark.parametrize("length_s", [2.0, 5.3, 12.0])
def test_a_loop_starts_and_ends_where_it_stands(name: str, length_s: float) -> None:
    for t in (0.0, length_s):
        one = looped(name, t, length_s)
        for corner in ((0, 0), (1, 0), (1, 1)):
            assert place(one, *corner) == pytest.approx(place(REST, *corner), abs=0.01)
    away: Callable[[float], bool] = lambda t: looped(name, t, length_s) != REST  # noqa: E731
    assert any(away(length_s * share) for share in (0.1, 0.37, 0.6))


def test_wiggle_is_small_and_quick() -> None:
    ways = np.array([looped("loop_wiggle", t / 60).dx for t in range(120)])

    assert 0.004 < np.abs(ways).max() < 0.03
    assert np.count_nonzero(np.diff(np.sign(ways))) >= 4


def test_loop_rotate_ticks_and_its_smooth_sister_does_not() -> None:
    ticking = np.diff([looped("loop_rotate", t / 60).rotate for t in range(60)])
    smooth = np.diff([looped("loop_rotate_smooth", t / 60).rotate for t in range(60)])

    assert (ticking == 0).mean() > 0.3
    assert smooth == pytest.approx(smooth[0])
    assert smooth[0] > 0


def test_spin_turns_over_and_sway_does_not() -> None:
    spin = [looped("loop_3d_spin", t / 10) for t in range(30)]
    sway = [looped("loop_3d_sway", t / 10) for t in range(30)]

    assert min(place(one, 1, 0.5)[0] - place(one, 0, 0.5)[0] for one in spin) < -100
    assert 15 < max(abs(one.rotate_y) for one in sway) < 45


def test_the_side_that_turns_away_is_smaller() -> None:
    away = Pose(rotate_y=40)
    tall = [place(away, x, 1)[1] - place(away, x, 0)[1] for x in (0, 1)]
    assert tall[0] > tall[1]

    back = Pose(rotate_x=40)
    wide = [place(back, 1, y)[0] - place(back, 0, y)[0] for y in (0, 1)]
    assert wide[0] < wide[1]


def test_orbit_is_a_circle_on_the_canvas_sides() -> None:
    poses = [looped("loop_orbit", t / 20) for t in range(60)]
    middle = (0.0, 0.04)

    assert [np.hypot(one.dx - middle[0], one.dy - middle[1]) for one in poses] == pytest.approx([0.04] * 60)


def test_breathing_swells_and_returns() -> None:
    grown = [looped("loop_breathe", t / 20).scale_x for t in range(48)]

    assert min(grown) == pytest.approx(1, abs=0.001)
    assert 1.05 < max(grown) < 1.2


def test_shimmer_is_light_that_runs_to_the_right() -> None:
    scene = looks.town()
    lit = []
    for t in (0.4, 0.7):
        light = _look.apply_pieces(scene, looped("loop_shimmer", t), Moment()).astype(int) - scene
        assert light.min() >= 0
        lit.append(float((light[..., 0].sum(axis=0) * np.arange(320)).sum() / light[..., 0].sum()))
    assert lit[0] + 30 < lit[1]


def test_shimmer_stays_on_the_element() -> None:
    element = looks.sticker()

    assert (_look.apply_pieces(element, Pose(shimmer=0.5), Moment())[element[..., 3] == 0] == 0).all()


def test_poses_add_up() -> None:
    both = Pose(dx=0.1, scale_x=2, opacity=0.5, reveal=(0, 0, 0.5, 1)) * Pose(
        dx=0.2, scale_x=3, opacity=0.5, reveal=(0.2, 0, 1, 1), blend="overlay"
    )

    assert (both.dx, both.scale_x, both.opacity) == pytest.approx((0.3, 6, 0.25))
    assert both.reveal == (0.2, 0, 0.5, 1)
    assert both.blend == "overlay"
    assert Pose(rotate=5) * REST == Pose(rotate=5) == REST * Pose(rotate=5)


def test_a_reveal_cuts_on_fractions_of_a_pixel() -> None:
    out = _look.apply_reveal(looks.solid(np.full((10, 10, 3), 200.0)), Pose(reveal=(0.25, 0, 1, 1)))

    assert out[5, :4, 3].tolist() == [0, 0, 128, 255]
    assert (out[..., :3] <= out[..., 3:]).all()


@pytest.mark.parametrize("part", [Pose(breakup="explode", pieces=0.4), Pose(breakup="evaporate", pieces=0.4)])
def test_pieces_of_the_transparent_stay_premultiplied(part: Pose) -> None:
    for one in (part, part * Pose(glitch=0.5, bright=0.4, shimmer=0.5)):
        out = _look.apply_pieces(looks.sticker(), one, Moment())
        assert (out[..., :3] <= out[..., 3:]).all()


def test_a_letter_goes_a_short_way() -> None:
    whole = pose("slide_up", 0.5)
    letter = _look.of_character(whole, 0.5)

    assert letter.dy == pytest.approx(whole.dy * 0.12)
    assert _look.of_character(pose("zoom_in", 0.5), 0.5) == pose("zoom_in", 0.5)


@pytest.mark.parametrize("name", sorted(_look.EASINGS))
def test_easings_run_from_0_to_1_and_never_back(name: str) -> None:
    values = [_look.EASINGS[name](p) for p in STEPS]

    assert (values[0], values[-1]) == (0, 1)
    assert values == sorted(values)


def test_easings_are_slow_where_they_say() -> None:
    slow_start = {name: ease(0.1) < 0.1 for name, ease in _look.EASINGS.items()}
    slow_end = {name: ease(0.9) > 0.9 for name, ease in _look.EASINGS.items()}

    assert slow_start == {"linear": False, "ease_in": True, "ease_out": False, "ease_in_out": True}
    assert slow_end == {"linear": False, "ease_in": False, "ease_out": True, "ease_in_out": True}


def test_every_motion_has_a_test_of_its_name() -> None:
    text = Path(__file__).read_text(encoding="utf-8")

    assert [name for name in _look.MOTIONS if f'"{name}"' not in text] == []
