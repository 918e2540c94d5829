"""Sizes, fits, qualities and times as the kinds that make pictures and films share them."""

from __future__ import annotations

import msgspec
import pytest

from mediamill.core.errors import Invalid, LimitExceeded, RangeEmpty
from mediamill.kinds import _sizes
from mediamill.kinds._sizes import Placing, placing


def on_canvas(placed: Placing) -> tuple[int, int]:
    return placed.width_px, placed.height_px


def scaled(placed: Placing) -> tuple[int, int]:
    return placed.scaled_width_px, placed.scaled_height_px


def test_neither_side_keeps_the_inputs_size() -> None:
    placed = placing((321, 179))
    assert on_canvas(placed) == scaled(placed) == (321, 179)
    assert not placed.padded
    assert not placed.cropped


def test_one_side_keeps_the_ratio() -> None:
    assert on_canvas(placing((1920, 1080), width=320)) == (320, 180)
    assert on_canvas(placing((1920, 1080), height=360)) == (640, 360)
    assert on_canvas(placing((1000, 333), width=500)) == (500, 167)  # 166.5 goes to the nearest pixel, up


def test_a_percentage_is_of_the_inputs_same_side() -> None:
    assert on_canvas(placing((1920, 1080), width="50%")) == (960, 540)
    assert on_canvas(placing((1920, 1080), height="25%")) == (480, 270)
    assert on_canvas(placing((1920, 1080), width="50%", height="100%")) == (960, 1080)
    assert on_canvas(placing((200, 100), width="12.5%")) == (25, 13)


def test_films_go_down_to_even_sides() -> None:
    assert on_canvas(placing((1000, 333), width=501, even=True)) == (500, 166)
    assert on_canvas(placing((321, 179), even=True)) == (320, 178)
    assert on_canvas(placing((1000, 10), width=1, even=True)) == (2, 2)


def test_a_side_is_never_nothing() -> None:
    assert on_canvas(placing((8000, 2), width=10)) == (10, 1)


def test_fill_stretches() -> None:
    placed = placing((320, 180), 100, 100)
    assert (on_canvas(placed), scaled(placed)) == ((100, 100), (100, 100))


def test_contain_shows_all_of_the_picture_and_pads() -> None:
    placed = placing((320, 180), 100, 100, fit="contain")
    assert (on_canvas(placed), scaled(placed)) == ((100, 100), (100, 56))
    assert (placed.left_px, placed.top_px) == (0, 22)
    assert placed.padded
    assert not placed.cropped


def test_cover_leaves_no_gap_and_crops() -> None:
    placed = placing((320, 180), 100, 100, fit="cover")
    assert (on_canvas(placed), scaled(placed)) == ((100, 100), (178, 100))
    assert (placed.left_px, placed.top_px) == (-39, 0)
    assert placed.cropped
    assert not placed.padded


@pytest.mark.parametrize(
    ("position", "corner"),
    [
        ("center", (0, 22)),
        ("top", (0, 0)),
        ("bottom", (0, 44)),
        ("left", (0, 22)),
        ("top_right", (0, 0)),
        ("bottom_left", (0, 44)),
    ],
)
def test_padding_is_anchored(position: _sizes.Position, corner: tuple[int, int]) -> None:
    placed = placing((320, 180), 100, 100, fit="contain", position=position)
    assert (placed.left_px, placed.top_px) == corner


@pytest.mark.parametrize(
    ("position", "left"), [("center", -39), ("left", 0), ("right", -78), ("top", -39), ("bottom_right", -78)]
)
def test_cropping_is_anchored(position: _sizes.Position, left: int) -> None:
    assert placing((320, 180), 100, 100, fit="cover", position=position).left_px == left


def test_even_placing_is_even_throughout() -> None:
    for fit in ("cover", "contain"):
        for of in ((321, 181), (199, 400), (640, 359)):
            placed = placing(of, 151, 99, fit=fit, even=True)
            numbers = (*on_canvas(placed), *scaled(placed), placed.left_px, placed.top_px)
            assert all(number % 2 == 0 for number in numbers), (fit, of)


def test_rounding_leaves_neither_a_gap_nor_a_hairline() -> None:
    for width in range(90, 110):
        for height in range(45, 65):
            cover = placing((1919, 1081), width, height, fit="cover")
            contain = placing((1919, 1081), width, height, fit="contain")
            assert cover.scaled_width_px >= width
            assert cover.scaled_height_px >= height
            assert contain.scaled_width_px <= width
            assert contain.scaled_height_px <= height
            assert contain.scaled_width_px == width or contain.scaled_height_px == height


def test_a_computed_side_has_a_limit() -> None:
    with pytest.raises(LimitExceeded, match="8192"):
        placing((4000, 100), width="400%")
    with pytest.raises(LimitExceeded, match="8192"):
        placing((4000, 10), height=1000)
    assert on_canvas(placing((9000, 100))) == (9000, 100)


def test_nothing_percent_is_refused() -> None:
    for good in (None, 1, "0.1%", "50%"):
        _sizes.check_size("width", good)
    with pytest.raises(Invalid) as caught:
        _sizes.check_size("width", "0%")
    assert caught.value.field == "width"


@pytest.mark.parametrize("wrong", [0, -1, 8193, "50", "50 %", "-5%", "%", "1e2%", "٥%", 1.5])
def test_other_sizes_are_no_sizes(wrong: object) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(wrong, _sizes.Size)


def test_qualities_are_five_words_or_five_equal_ranges() -> None:
    assert [_sizes.level(word) for word in _sizes.WORDS] == [0, 1, 2, 3, 4]
    numbers = [_sizes.level(number) for number in (0, 19, 20, 39, 40, 59, 60, 79, 80, 100)]
    assert numbers == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]
    for right in ("medium", 0, 100):
        msgspec.convert(right, _sizes.Quality)
    for wrong in ("best", -1, 101, "50", True):
        with pytest.raises(msgspec.ValidationError):
            msgspec.convert(wrong, _sizes.Quality)


def test_the_end_must_come_after_the_start() -> None:
    _sizes.check_span(None, None)
    _sizes.check_span(1.0, None)
    _sizes.check_span(1.0, 1.5)
    for start, end in ((1.0, 1.0), (2.0, 1.0), (None, 0.0)):
        with pytest.raises(Invalid) as caught:
            _sizes.check_span(start, end)
        assert caught.value.field == "end"


def test_times_beyond_the_end_leave_nothing() -> None:
    for start, end in ((10.0, None), (12.0, None), (12.0, 13.0), (1.0, 10.5)):
        with pytest.raises(RangeEmpty) as caught:
            _sizes.span(start, end, 10.0)
        assert caught.value.code == "range_empty"


def test_times_within_are_kept() -> None:
    assert _sizes.span(None, None, 10.0) == (0.0, None)
    assert _sizes.span(2.0, 5.0, 10.0) == (2.0, 5.0)
    assert _sizes.span(9.99, None, 10.0) == (9.99, None)
    assert _sizes.span(0.0, 10.05, 10.0) == (0.0, None)  # a rounded duration
    assert _sizes.span(3.0, 4.0, None) == (3.0, 4.0)
    assert _sizes.span(0.0, None, 0.0) == (0.0, None)
