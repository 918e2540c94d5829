"""The blend modes are those of W3C Compositing and Blending Level 1."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from tests.support import looks

from mediamill.core.looks import BLEND_MODES
from mediamill.engines import _look

Formula = Callable[[Any, Any], Any]


def hard_light(b: Any, s: Any) -> Any:
    return np.where(s <= 0.5, b * 2 * s, b + (2 * s - 1) - b * (2 * s - 1))


def soft_light(b: Any, s: Any) -> Any:
    d = np.where(b <= 0.25, ((16 * b - 12) * b + 4) * b, np.sqrt(b))
    return np.where(s <= 0.5, b - (1 - 2 * s) * b * (1 - b), b + (2 * s - 1) * (d - b))


def dodge(b: Any, s: Any) -> Any:
    lit = np.where(s < 1, np.minimum(1, b / np.where(s < 1, 1 - s, 1)), 1)
    return np.where(b == 0, 0, lit)


def burn(b: Any, s: Any) -> Any:
    burnt = np.where(s > 0, 1 - np.minimum(1, (1 - b) / np.where(s > 0, s, 1)), 0)
    return np.where(b == 1, 1, burnt)


# Section 10 of the specification, on straight colours in 0..1.
B: Mapping[str, Formula] = {
    "none": lambda b, s: s,
    "multiply": lambda b, s: b * s,
    "screen": lambda b, s: b + s - b * s,
    "overlay": lambda b, s: hard_light(s, b),
    "darken": np.minimum,
    "lighten": np.maximum,
    "color_dodge": dodge,
    "color_burn": burn,
    "hard_light": hard_light,
    "soft_light": soft_light,
    "difference": lambda b, s: np.abs(b - s),
}


def by_the_book(mode: str, base: Any, top: Any) -> Any:
    """Premultiplied 8-bit pictures composited in floating point."""
    cb, cs = base / 255, top / 255
    ab, as_ = cb[..., 3:], cs[..., 3:]
    straight = [np.divide(c, a, out=np.zeros_like(c), where=a > 0) for c, a in ((cb, ab), (cs, as_))]
    co = cs * (1 - ab) + cb * (1 - as_) + as_ * ab * B[mode](*straight)
    co[..., 3:] = as_ + ab - as_ * ab
    return co * 255


def every_pair() -> tuple[Any, Any]:
    """All pairs of levels, opaque: 256 x 256."""
    level = np.arange(256.0)
    base, top = np.meshgrid(level, level, indexing="ij")
    return looks.solid(np.repeat(base[..., None], 3, 2)), looks.solid(np.repeat(top[..., None], 3, 2))


@pytest.mark.parametrize("mode", sorted(B))
def test_every_pair_of_opaque_levels_is_as_the_specification_says(mode: str) -> None:
    base, top = every_pair()

    assert np.abs(_look.BLENDS[mode](base, top) - by_the_book(mode, base, top)).max() <= 2


@pytest.mark.parametrize("mode", sorted(B))
def test_transparency_is_as_the_specification_says(mode: str) -> None:
    base, top = looks.town(), looks.sticker()
    wrong = np.abs(_look.BLENDS[mode](base, top) - by_the_book(mode, base, top))

    # Almost transparent 8-bit pixels have but a few levels of colour, and the burn and the dodge divide by them.
    assert np.percentile(wrong, 99.5) <= 3
    assert wrong.max() <= 24


@pytest.mark.parametrize("mode", sorted(B))
def test_two_transparent_pictures_make_a_premultiplied_one(mode: str) -> None:
    top = looks.sticker()
    base = np.ascontiguousarray(np.roll(top, 60, axis=1))
    out = _look.BLENDS[mode](base, top)

    assert (out[..., :3] <= out[..., 3:]).all()
    assert np.percentile(np.abs(out - by_the_book(mode, base, top)), 99) <= 4


@pytest.mark.parametrize("mode", sorted(B))
def test_nothing_on_top_changes_nothing(mode: str) -> None:
    base = looks.lake()

    assert np.array_equal(_look.BLENDS[mode](base, np.zeros_like(base)), base)


def test_the_ten_modes_of_the_contract_are_there() -> None:
    assert set(BLEND_MODES) <= set(_look.BLENDS)
    assert len(BLEND_MODES) == 10
