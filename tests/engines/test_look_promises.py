"""What holds for every look: names, purity, determinism, premultiplied alpha, and that it still looks as it did."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support import look_hashes, looks

from mediamill.core import looks as names
from mediamill.engines import _look
from mediamill.engines._look import Moment

A, B, STICKER = looks.lake(90, 160), looks.town(90, 160), looks.sticker(90, 160)
GOLDEN = json.loads(look_hashes.FILE.read_text(encoding="utf-8"))


def earlier(seconds: float) -> Any:
    return np.roll(STICKER, -round(seconds * 50), axis=1)


def moment(frame: int = 36, seed: int = 0) -> Moment:
    return Moment(t=frame / 30, frame=frame, length_s=4, earlier=earlier, seed=seed)


def test_there_is_a_look_for_every_name_and_no_other() -> None:
    assert set(_look.EFFECTS) == set(names.EFFECTS)
    assert set(_look.TRANSITIONS) == set(names.TRANSITIONS)
    assert set(_look.MOTIONS) == set(names.MOTIONS)
    assert set(_look.EASINGS) == set(names.EASINGS)
    assert set(_look.BLENDS) == {*names.BLEND_MODES, "difference"}


def test_the_counts_are_those_of_the_contract() -> None:
    assert [len(each) for each in (names.EFFECTS, names.TRANSITIONS, names.MOTIONS, names.BLEND_MODES)] == [
        *(46, 31, 43, 10)
    ]
    assert len(set(names.EFFECTS)) == 46
    assert len(names.CAPTION_STYLES) == 6


@pytest.mark.parametrize(
    ("name", "reversed_", "scope", "direction"),
    [
        ("fade", False, "element", "in"),
        ("fade", True, "character", "out"),
        ("zoom_in", True, "element", None),
        ("zoom_in", True, "character", "out"),
        ("bounce", True, "element", "out"),
        ("bounce", True, "character", None),
        ("rotate_cw", False, "character", None),
        ("evaporate", False, "element", "out"),
        ("zoom_out", False, "character", None),
        ("whip_down", False, "character", "out"),
        ("evaporate", True, "element", "out"),
        ("ken_burns_in", False, "element", "whole"),
        ("ken_burns_in", True, "element", None),
        ("loop_breathe", False, "character", "loop"),
        ("loop_breathe", True, "character", None),
        ("loop_orbit", False, "character", None),
    ],
)
def test_directions_are_those_of_the_contract(name: str, reversed_: bool, scope: Any, direction: str | None) -> None:
    assert names.MOTIONS[name].direction(reversed=reversed_, scope=scope) == direction


@pytest.mark.parametrize("name", sorted(_look.EFFECTS))
def test_an_effect_is_pure(name: str) -> None:
    for picture in (A, STICKER):
        before = picture.copy()
        one = _look.EFFECTS[name](picture, moment(), 1.0, {})
        again = _look.EFFECTS[name](picture, moment(), 1.0, {})

        assert np.array_equal(picture, before)
        assert np.array_equal(one, again)
        assert (one.shape, one.dtype, one.flags.c_contiguous) == (picture.shape, np.uint8, True)
        assert (one[..., :3] <= one[..., 3:]).all()
        assert name == "chroma_key" or np.abs(one.astype(int) - picture).mean() > 0.05


@pytest.mark.parametrize("name", sorted(_look.EFFECTS))
def test_an_effect_of_no_intensity_is_none(name: str) -> None:
    assert np.array_equal(_look.EFFECTS[name](STICKER, moment(), 0.0, {}), STICKER)


@pytest.mark.parametrize("name", sorted(set(_look.EFFECTS) - {"mosaic", "mosaic_blur", "mosaic_posterize"}))
def test_a_small_intensity_is_a_small_effect(name: str) -> None:
    little, full = (np.abs(_look.EFFECTS[name](A, moment(), share, {}).astype(int) - A).mean() for share in (0.15, 1.0))

    assert little <= 0.75 * full + 0.5


KEEP_ALPHA = set(_look.EFFECTS) - {
    *("chroma_key", "camera_lens_blur", "camera_lens_blur_bg", "box_blur", "echo", "ghosting", "prism", "mosaic"),
    *("mosaic_blur", "rgb_split", "chromatic_aberration", "displacement_map", "optics_compensation", "glitch"),
    "vhs_overlay",
}


@pytest.mark.parametrize("name", sorted(KEEP_ALPHA))
def test_what_paints_leaves_the_shape(name: str) -> None:
    assert np.array_equal(_look.EFFECTS[name](STICKER, moment(), 1.0, {})[..., 3], STICKER[..., 3])


@pytest.mark.parametrize("name", sorted(_look.TRANSITIONS))
def test_a_transition_is_pure_and_exact_at_its_ends(name: str) -> None:
    for a, b in ((A, B), (A, STICKER), (STICKER, B)):
        before = a.copy(), b.copy()
        for p in (0.02, 0.3, 0.5, 0.98):
            out = _look.TRANSITIONS[name](a, b, p, moment())
            assert np.array_equal(out, _look.TRANSITIONS[name](a, b, p, moment()))
            assert (out.shape, out.dtype, out.flags.c_contiguous) == (a.shape, np.uint8, True)
            assert (out[..., :3] <= out[..., 3:]).all()
        assert np.array_equal(_look.TRANSITIONS[name](a, b, 0.0, moment()), a)
        assert np.array_equal(_look.TRANSITIONS[name](a, b, 1.0, moment()), b)
        assert np.array_equal(a, before[0])
        assert np.array_equal(b, before[1])


@pytest.mark.parametrize("size", [(1, 1), (2, 3), (17, 5), (16, 64), (61, 33)])
def test_odd_and_tiny_pictures_come_out_whole(size: tuple[int, int]) -> None:
    chance = np.random.default_rng(1)
    a, b = (looks.solid(chance.uniform(0, 255, (*size, 3))) for _ in range(2))
    still = Moment(t=0.4, frame=12, length_s=2)

    for name, effect in _look.EFFECTS.items():
        assert effect(a, still, 1.0, {}).shape == a.shape, name
        assert effect(a, still, 0.03, {}).shape == a.shape, name
    for name, transition in _look.TRANSITIONS.items():
        for p in (0.001, 0.5, 0.999):
            assert transition(a, b, p, still).shape == a.shape, name
    for blend in _look.BLENDS.values():
        assert blend(a, b).shape == a.shape
    for name, motion in _look.MOTIONS.items():
        pose = motion(0.5, still)
        out = _look.apply_reveal(_look.apply_pieces(a, pose, still), pose)
        assert _look.apply_blur(out, pose, 64).shape == a.shape, name


def test_another_process_draws_the_same_frame() -> None:
    # What is random is so by the frame's number, not by the process: a preview is the render's frame.
    names_ = ["super8", "glitch", "vhs", "snow", "add_grain"]
    script = (
        "import sys, zlib\n"
        "from tests.support import looks\n"
        f"for name in {names_}: print(zlib.crc32(looks.sample('effects', name, 90, 160).tobytes()))"
    )
    root = Path(__file__).parents[2]
    other = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)

    here = [zlib.crc32(looks.sample("effects", name, 90, 160).tobytes()) for name in names_]
    assert [int(line) for line in other.stdout.split()] == here


def test_seeds_tell_elements_apart() -> None:
    one, two = (_look.EFFECTS["add_grain"](A, moment(seed=seed), 1.0, {}) for seed in (0, 1))

    assert not np.array_equal(one, two)


@pytest.mark.parametrize("family", sorted(look_hashes.FAMILIES))
def test_every_look_looks_as_it_did(family: str) -> None:
    """`python -m tests.support.look_hashes` writes them anew; look at docs/reference/looks.md before you do."""
    assert set(GOLDEN[family]) == set(look_hashes.FAMILIES[family])
    changed = {
        name: found
        for name, known in GOLDEN[family].items()
        if (found := look_hashes.distance(known, look_hashes.of(family, name))) > look_hashes.TOLERANCE
    }

    assert changed == {}


def test_the_hashes_tell_looks_apart() -> None:
    # A tolerance that took one look for another would be no test at all.
    near = [
        (one, other)
        for family in GOLDEN.values()
        for one, other in combinations(family, 2)
        if look_hashes.distance(family[one], family[other]) <= look_hashes.TOLERANCE
    ]

    # The same seen at that instant: an exit is the entrance backwards, one loop ticks where the other runs.
    alike = {
        *(("box_blur", "mosaic_blur"), ("bounce", "bounce_motion"), ("zoom_in", "zoom_out"), ("swing_in", "swing_out")),
        ("loop_rotate", "loop_rotate_smooth"),
    }
    assert set(near) <= alike
