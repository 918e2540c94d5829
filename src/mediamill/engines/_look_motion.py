"""The motions: where an element stands at share p of its entrance, or at second t of a loop.

p is 0 when the element is away and 1 when it is at rest; an exit is asked with p running from 1 to 0. p comes eased, so
motions that spring do so by themselves and look best with `linear`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import TypeAlias

from mediamill.engines._look_base import Moment, smooth
from mediamill.engines._look_pose import REST, Pose

Motion: TypeAlias = Callable[[float, Moment], Pose]


CHARACTER_REACH = 0.12
"""A letter comes from nearby: the ways of its motions are this share of those of an element."""


def of_character(pose: Pose, p: float) -> Pose:
    """The pose of a whole element, brought to the measure of one letter; its box is that of the letter."""
    near = replace(pose, dx=pose.dx * CHARACTER_REACH, dy=pose.dy * CHARACTER_REACH, blur=pose.blur * 0.3)
    return replace(near, opacity=pose.opacity * _seen(p, 0.5)) if pose.dx or pose.dy else near


def linear(p: float) -> float:
    return min(max(p, 0.0), 1.0)


def ease_in(p: float) -> float:
    """Starts slowly."""
    return linear(p) ** 3


def ease_out(p: float) -> float:
    """Ends slowly."""
    return 1 - (1 - linear(p)) ** 3


def ease_in_out(p: float) -> float:
    """Starts and ends slowly."""
    p = linear(p)
    return 4 * p**3 if p < 0.5 else 1 - (2 - 2 * p) ** 3 / 2


EASINGS: Mapping[str, Callable[[float], float]] = MappingProxyType(
    {"linear": linear, "ease_in": ease_in, "ease_out": ease_out, "ease_in_out": ease_in_out}
)


def _seen(p: float, by: float = 0.35) -> float:
    """Opacity of what comes in by moving: it is there soon."""
    return smooth(0, by, p)


def _springing(p: float, swings: float, damping: float) -> float:
    """0 to 1, past it and back, at rest at 1."""
    if p <= 0 or p >= 1:
        return linear(p)
    return 1 - math.exp(-damping * p) * (1 - p) * math.cos(swings * 2 * math.pi * p)


def _bouncing(p: float) -> float:
    """0 to 1 as a ball falls: it meets the ground at 1 four times, lower each time."""
    p = linear(p)
    for until, middle, drop in ((1 / 2.75, 0.0, 1.0), (2 / 2.75, 1.5, 0.75), (2.5 / 2.75, 2.25, 0.9375)):
        if p < until:
            return 7.5625 * (p - middle / 2.75) ** 2 + (0 if drop == 1.0 else drop)
    return min(1.0, 7.5625 * (p - 2.625 / 2.75) ** 2 + 0.984375) if p < 1 else 1.0


def _arriving(motion: Motion) -> Motion:
    """An entrance, which leaves nothing behind once it is over."""
    return lambda p, moment: REST if p >= 1 else motion(p, moment)


def _slide(right: float, down: float) -> Motion:
    def pose(p: float, _: Moment) -> Pose:
        return Pose(dx=-right * (1 - p), dy=-down * (1 - p), opacity=_seen(p, 0.05))

    return pose


def _wipe(left: int, top: int, right: int, bottom: int) -> Motion:
    """The edges named with 1 are those from which the picture is uncovered."""

    def pose(p: float, _: Moment) -> Pose:
        q = 1 - linear(p)
        return Pose(reveal=(q * right, q * bottom, 1 - q * left, 1 - q * top))

    return pose


def _turning(degrees: float) -> Motion:
    def pose(p: float, _: Moment) -> Pose:
        return Pose(rotate=-degrees * (1 - p), scale_x=0.4 + 0.6 * p, scale_y=0.4 + 0.6 * p, opacity=_seen(p, 0.7))

    return pose


def _fade(p: float, _: Moment) -> Pose:
    return Pose(opacity=linear(p))


def _bounce(p: float, _: Moment) -> Pose:
    return Pose(dy=-0.6 * (1 - _bouncing(p)), opacity=_seen(p, 0.15))


def _scaled(scale: float, pose: Pose = REST) -> Pose:
    return replace(pose, scale_x=scale, scale_y=scale)


def _zoom_in(p: float, _: Moment) -> Pose:
    return _scaled(linear(p), Pose(opacity=_seen(p, 0.5)))


def _zoom_out(p: float, _: Moment) -> Pose:
    return _scaled(linear(p), Pose(opacity=_seen(p, 0.5)))


def _swing(p: float, _: Moment) -> Pose:
    """Hangs from its upper edge like a sign."""
    p = linear(p)
    return Pose(rotate_x=-88 * (1 - _springing(p, 2.25, 1.2)), pivot=(0.5, 0.0), opacity=_seen(p, 0.2))


def _elastic_rise(p: float, _: Moment) -> Pose:
    return Pose(dy=0.45 * (1 - _springing(p, 2.25, 3.0)), opacity=_seen(p, 0.25))


def _elastic_drop(p: float, _: Moment) -> Pose:
    """Gathers itself upwards, then falls out below."""
    q = 1 - linear(p)
    away = q * q * (2.7 * q - 1.7)
    return Pose(dy=0.9 * away, scale_y=1 + 0.5 * max(-away, 0) + 0.25 * max(away, 0), opacity=_seen(p, 0.2))


def _tilt_zoom(p: float, _: Moment) -> Pose:
    q = 1 - linear(p)
    return _scaled(1 + 0.6 * q, Pose(rotate=-14 * q, rotate_y=35 * q, opacity=_seen(p, 0.5)))


def _smooth_pop(p: float, _: Moment) -> Pose:
    """Grows a little past its size and settles."""
    p = linear(p)
    past = 1 + 2.70158 * (p - 1) ** 3 + 1.70158 * (p - 1) ** 2
    return _scaled(max(past, 0.0), Pose(opacity=_seen(p, 0.3)))


def _blur(p: float, _: Moment) -> Pose:
    q = 1 - linear(p)
    return Pose(blur=0.045 * q, opacity=_seen(p, 0.6))


def _bounce_motion(p: float, _: Moment) -> Pose:
    """Falls in and is squashed flat by each landing."""
    p = linear(p)
    height = 1 - _bouncing(p)
    landing = max(0.0, 1 - height / 0.06) * (1 - p) * (1 if p > 0.3 else 0)
    squash = 0.55 * landing
    return Pose(
        dy=-0.5 * height, scale_x=1 + 0.6 * squash, scale_y=1 - squash, pivot=(0.5, 1.0), opacity=_seen(p, 0.15)
    )


def _explode(p: float, _: Moment) -> Pose:
    gone = 1 - linear(p)
    return Pose(breakup="explode" if gone > 0 else None, pieces=gone)


def _evaporate(p: float, _: Moment) -> Pose:
    gone = 1 - linear(p)
    return Pose(breakup="evaporate" if gone > 0 else None, pieces=gone, dy=-0.02 * gone)


def _blending(mode: str) -> Motion:
    def pose(p: float, _: Moment) -> Pose:
        return REST if p >= 1 else Pose(blend=mode, opacity=_seen(p, 0.4))

    return pose


def _rubber_in(p: float, _: Moment) -> Pose:
    """Stretches and swings out, wide when it is low."""
    p = linear(p)
    swing = math.exp(-3.2 * p) * (1 - p) * math.cos(2 * math.pi * 2.5 * p)
    return Pose(scale_x=max(1 - swing, 0.0), scale_y=max(1 + 0.6 * swing, 0.05), opacity=_seen(p, 0.15))


def _whip_up(p: float, _: Moment) -> Pose:
    """Shoots up from below, blurred by its speed."""
    p = linear(p)
    q = (1 - p) ** 4
    return Pose(dy=0.9 * q, scale_y=1 + 0.7 * q, rotate=-5 * q, blur=0.012 * q, opacity=_seen(p, 0.12))


def _whip_down(p: float, _: Moment) -> Pose:
    p = linear(p)
    q = (1 - p) ** 4
    return Pose(dy=0.9 * q, scale_y=1 + 0.7 * q, rotate=5 * q, blur=0.012 * q, opacity=_seen(p, 0.12))


def _glitch_pop(p: float, moment: Moment) -> Pose:
    """Jumps in through broken pictures."""
    p = linear(p)
    if p >= 1:
        return REST
    flicker = 1.0 if p > 0.45 or moment.frame % 3 else 0.25
    return _scaled(1 + 0.25 * (1 - p) ** 2, Pose(glitch=(1 - p) ** 0.7, opacity=_seen(p, 0.08) * flicker))


def _drift_in(p: float, _: Moment) -> Pose:
    """Floats in from the left and below, out of soft focus."""
    q = 1 - linear(p)
    return Pose(dx=-0.08 * q, dy=0.05 * q, rotate=-3 * q, blur=0.012 * q, opacity=_seen(p, 0.9))


def _drift_out(p: float, _: Moment) -> Pose:
    """Floats away to the right and upwards."""
    q = 1 - linear(p)
    return Pose(dx=0.08 * q, dy=-0.05 * q, rotate=3 * q, blur=0.012 * q, opacity=_seen(p, 0.9))


def _ken_burns_in(p: float, _: Moment) -> Pose:
    return _scaled(1 + 0.2 * p, Pose(dx=0.025 * p, dy=-0.02 * p))


def _ken_burns_out(p: float, _: Moment) -> Pose:
    return _scaled(1.2 - 0.2 * p, Pose(dx=0.025 * (1 - p), dy=-0.02 * (1 - p)))


def _ken_burns_in_out(p: float, _: Moment) -> Pose:
    there = math.sin(math.pi * linear(p))
    return _scaled(1 + 0.2 * there, Pose(dx=0.025 * there, dy=-0.02 * there))


def _turns(moment: Moment, period_s: float) -> float:
    """How many rounds of a loop are over: whole ones at the end of the window, so that it ends at rest."""
    if moment.length_s > 0:
        period_s = moment.length_s / max(1, round(moment.length_s / period_s))
    return moment.t / period_s


def _wave(moment: Moment, period_s: float) -> float:
    return math.sin(2 * math.pi * _turns(moment, period_s))


def _loop_wiggle(_: float, moment: Moment) -> Pose:
    # Three waves whose rounds do not divide each other look like chance and still close.
    return Pose(
        dx=0.008 * (_wave(moment, 0.7) + 0.5 * _wave(moment, 0.31)),
        dy=0.008 * (_wave(moment, 0.53) - 0.5 * _wave(moment, 0.27)),
        rotate=2.5 * _wave(moment, 0.45),
    )


def _loop_rotate(_: float, moment: Moment) -> Pose:
    """A round in four seconds, in twelve ticks like a clock's hand."""
    turns = _turns(moment, 4.0)
    ticks = math.floor(turns * 12) + smooth(0.6, 1.0, turns * 12 % 1)
    return Pose(rotate=ticks * 30 % 360)


def _loop_rotate_smooth(_: float, moment: Moment) -> Pose:
    return Pose(rotate=_turns(moment, 4.0) * 360 % 360)


def _loop_3d_spin(_: float, moment: Moment) -> Pose:
    return Pose(rotate_y=_turns(moment, 3.0) * 360 % 360)


def _loop_3d_sway(_: float, moment: Moment) -> Pose:
    return Pose(rotate_y=26 * _wave(moment, 3.0), rotate_x=9 * _wave(moment, 1.5))


def _loop_orbit(_: float, moment: Moment) -> Pose:
    """Round a small circle, starting and ending at its place."""
    angle = 2 * math.pi * _turns(moment, 3.0)
    return Pose(dx=0.04 * math.sin(angle), dy=0.04 * (1 - math.cos(angle)))


def _loop_breathe(_: float, moment: Moment) -> Pose:
    return _scaled(1 + 0.045 * (1 - math.cos(2 * math.pi * _turns(moment, 2.4))))


def _loop_shimmer(_: float, moment: Moment) -> Pose:
    """Light runs over it, then rests a while."""
    turn = _turns(moment, 1.8) % 1
    return Pose(shimmer=turn / 0.7 if turn < 0.7 else None)


ARRIVALS: Mapping[str, Motion] = {
    "fade": _fade,
    "slide_up": _slide(0, -1),
    "slide_down": _slide(0, 1),
    "slide_left": _slide(-1, 0),
    "slide_right": _slide(1, 0),
    "rotate_cw": _turning(180),
    "rotate_ccw": _turning(-180),
    "bounce": _bounce,
    "wipe_left": _wipe(0, 0, 1, 0),
    "wipe_right": _wipe(1, 0, 0, 0),
    "wipe_up": _wipe(0, 0, 0, 1),
    "wipe_down": _wipe(0, 1, 0, 0),
    "zoom_in": _zoom_in,
    "swing_in": _swing,
    "elastic_rise": _elastic_rise,
    "tilt_zoom": _tilt_zoom,
    "smooth_pop": _smooth_pop,
    "blur": _blur,
    "bounce_motion": _bounce_motion,
    "explode": _explode,
    "overlay": _blending("overlay"),
    "difference": _blending("difference"),
    "rubber_in": _rubber_in,
    "whip_up": _whip_up,
    "glitch_pop": _glitch_pop,
    "drift_in": _drift_in,
    "zoom_out": _zoom_out,
    "swing_out": _swing,
    "elastic_drop": _elastic_drop,
    "evaporate": _evaporate,
    "whip_down": _whip_down,
    "drift_out": _drift_out,
}
OTHERS: Mapping[str, Motion] = {
    "ken_burns_in": _ken_burns_in,
    "ken_burns_out": _ken_burns_out,
    "ken_burns_in_out": _ken_burns_in_out,
    "loop_wiggle": _loop_wiggle,
    "loop_rotate": _loop_rotate,
    "loop_rotate_smooth": _loop_rotate_smooth,
    "loop_3d_spin": _loop_3d_spin,
    "loop_3d_sway": _loop_3d_sway,
    "loop_orbit": _loop_orbit,
    "loop_breathe": _loop_breathe,
    "loop_shimmer": _loop_shimmer,
}
MOTIONS: Mapping[str, Motion] = MappingProxyType(
    {**{name: _arriving(motion) for name, motion in ARRIVALS.items()}, **OTHERS}
)
