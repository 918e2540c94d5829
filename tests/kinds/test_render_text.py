"""Texts and captions of the kind `render`: where they lie, what they show at which moment, in any script."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.support.scenes import Picture, run, scene

WORDS = ("alpha", "beta", "gamma")
SAID = [{"text": word, "start": number * 0.5, "end": (number + 1) * 0.5} for number, word in enumerate(WORDS)]


def text(said: str = "Hill", **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": said, "duration": 2, "font_size": 40, **fields}


def shown(folder: Path, element: dict[str, Any], at_s: float = 0.0, **request: Any) -> Picture:
    """One frame of a 320 x 120 scene."""
    whole = {**scene(element, **request), "width": 320, "height": 120, "at": at_s}
    return run("preview", whole, folder, folder).rgba()[:, :, :3]


def ink(picture: Picture, ground: tuple[int, int, int] = (0, 0, 0)) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what is not ground."""
    there = (np.abs(picture.astype(int) - np.array(ground)) > 60).any(axis=2)
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def marked(picture: Picture, colour: tuple[int, int, int]) -> tuple[int, int] | None:
    """The columns in which that colour stands."""
    there = (np.abs(picture.astype(int) - np.array(colour)) < 40).all(axis=2).any(axis=0)
    columns = np.flatnonzero(there)
    return (int(columns[0]), int(columns[-1]) + 1) if len(columns) else None


def test_text_stands_in_the_middle_of_its_box(tmp_path: Path) -> None:
    left, top, right, bottom = ink(shown(tmp_path, text("HOH")))

    assert (left + right) / 2 == pytest.approx(160, abs=2)
    assert (top + bottom) / 2 == pytest.approx(60, abs=4)
    assert bottom - top == pytest.approx(40 * 0.73, abs=3)  # capitals of Inter


@pytest.mark.parametrize(("align", "edge"), [("left", 0), ("right", 2)])
def test_alignment_keeps_to_the_edge_of_the_box(align: str, edge: int, tmp_path: Path) -> None:
    found = ink(shown(tmp_path, text("HOH", text_align=align, width=200)))

    assert found[edge] == pytest.approx({0: 60, 2: 260}[edge], abs=5)


def test_lines_break_at_the_width_unless_told_not_to(tmp_path: Path) -> None:
    long = "one two three four"

    wrapped = ink(shown(tmp_path / "a", text(long, width=160, font_size=30)))
    single = ink(shown(tmp_path / "b", text(long, width=160, font_size=30, text_wrap="nowrap")))

    assert wrapped[2] - wrapped[0] <= 162
    assert wrapped[3] - wrapped[1] > 1.7 * (single[3] - single[1])
    assert single[2] - single[0] > 200


def test_leading_and_tracking_spread_lines_and_letters(tmp_path: Path) -> None:
    two = {"said": "HH HH", "width": 90, "font_size": 30}
    plain, wide = ink(shown(tmp_path / "a", text(**two))), ink(shown(tmp_path / "b", text(**two, leading=2)))
    narrow, spaced = ink(shown(tmp_path / "c", text("HHH"))), ink(shown(tmp_path / "d", text("HHH", tracking=10)))

    assert (wide[3] - wide[1]) - (plain[3] - plain[1]) == pytest.approx(24, abs=3)
    assert (spaced[2] - spaced[0]) - (narrow[2] - narrow[0]) == pytest.approx(20, abs=6)


def test_weight_and_style_change_the_letters(tmp_path: Path) -> None:
    amounts = [
        int((shown(tmp_path / str(number), text("Hamburg", **how)) > 128).sum())
        for number, how in enumerate(({"font_weight": 300}, {}, {"font_style": "bold"}, {"font_weight": 900}))
    ]
    assert amounts == sorted(amounts)
    assert amounts[3] > 1.5 * amounts[0]


@pytest.mark.parametrize(
    "said",
    ["مرحبا بالعالم", "नमस्ते दुनिया", "שלום עולם", "こんにちは世界", "你好世界", "한국어", "สวัสดี", "Ελληνικά Русский"],
)
def test_scripts_are_set_in_fonts_that_have_them(said: str, tmp_path: Path) -> None:
    picture = shown(tmp_path / "a", text(said, font_size=32))
    boxes = shown(tmp_path / "b", text("\U000f0000" * len(said.replace(" ", "")), font_size=32))

    seen = ink(picture)
    assert seen[2] - seen[0] > 40
    missing = ink(boxes)
    part = boxes[missing[1] : missing[3], missing[0] : missing[2]]
    assert part.shape != picture[seen[1] : seen[3], seen[0] : seen[2]].shape


def test_arabic_is_joined_and_runs_from_the_right(tmp_path: Path) -> None:
    joined = ink(shown(tmp_path / "a", text("سلام", font_size=40)))
    apart = ink(shown(tmp_path / "b", text("س\u200cل\u200cا\u200cم", font_size=40)))

    assert joined[2] - joined[0] < apart[2] - apart[0]


@pytest.mark.parametrize(
    ("said", "side"), [("שלום abc", 1), ("abc שלום", 0), ("123 שלום abc", 1), ("abc\nשלום abc", 1)]
)
def test_a_line_runs_to_the_side_of_its_first_letters(said: str, side: int, tmp_path: Path) -> None:
    """Its last word is said: to the left of the rest in a line that begins in Hebrew."""
    words = [{"text": word, "start": n, "end": n + 1} for n, word in enumerate(said.split())]
    spoken = {"style": "color", "words": words}
    element = text(said, font_size=32, duration=9, background_color="#00ff00", word_animation=spoken)

    found = marked(shown(tmp_path, element, at_s=len(words) - 0.5, duration=9), (0, 255, 0))

    assert found is not None
    middle = (found[0] + found[1]) / 2
    assert middle < 150 if side else middle > 170


def test_the_sign_of_a_direction_leaves_no_trace(tmp_path: Path) -> None:
    """It is not drawn, and takes no room at the edge of the box."""
    found = ink(shown(tmp_path, text("שלום", text_align="right", width=200)))

    assert found[2] == pytest.approx(260, abs=5)


def test_emoji_have_colours(tmp_path: Path) -> None:
    picture = shown(tmp_path, text("🎉❤", font_size=60)).astype(int)

    assert (picture.max(axis=2) - picture.min(axis=2) > 80).sum() > 100


def test_emoji_of_several_signs_are_one_picture(tmp_path: Path) -> None:
    one = ink(shown(tmp_path / "one", text("👍", font_size=60)))
    wide = one[2] - one[0]
    for number, said in enumerate(
        (
            "👍🏿",
            "👩🏾\u200d🚀",
            "🇩🇪",
            "1\ufe0f\u20e3",
            "🏴\U000e0067\U000e0062\U000e0073\U000e0063\U000e0074\U000e007f",
        )
    ):
        found = ink(shown(tmp_path / str(number), text(said, font_size=60)))
        assert found[2] - found[0] < 1.4 * wide, said

    plain, dark = (shown(tmp_path / said, text(said, font_size=60)).max() for said in ("👍", "👍🏿"))
    assert dark < plain


def test_emoji_of_several_signs_move_as_one() -> None:
    from mediamill.engines._compose_type import clusters

    assert clusters("a👍🏽🇩🇪🇯🇵1\ufe0f\u20e3") == [(0, 1), (1, 3), (3, 5), (5, 7), (7, 10)]


def test_ideographs_wrap_anywhere(tmp_path: Path) -> None:
    found = ink(shown(tmp_path, text("日本語の折り返しの試験です", width=140, font_size=24)))

    assert found[2] - found[0] <= 142
    assert found[3] - found[1] > 60


def test_outline_plate_and_shadow_are_drawn(tmp_path: Path) -> None:
    hollow = shown(tmp_path / "a", text("I", stroke=True, stroke_width=3, font_size=90, font_weight=900))
    outlined = shown(tmp_path / "b", text("I", stroke_color="#ff0000", stroke_width=0.1, font_size=90))
    plate = shown(tmp_path / "c", text("I", background=True, background_color="#00ff00", x_padding=20, y_padding=5))
    shadow = shown(tmp_path / "d", text("I", shadow=True, shadow_color="#0000ff", shadow_x=20))

    assert hollow[60, 160].max() < 60  # nothing inside
    assert marked(hollow, (255, 255, 255)) is not None
    assert outlined[60, 160].min() > 200
    left, right = marked(outlined, (255, 0, 0)) or (0, 0)
    white = marked(outlined, (255, 255, 255)) or (0, 0)
    assert left < white[0] < white[1] < right
    green = marked(plate, (0, 255, 0)) or (0, 0)
    assert green[1] - green[0] == pytest.approx(50, abs=8)
    blue = marked(shadow, (0, 0, 255)) or (0, 0)
    assert blue[0] > 170


def caption(style: str, **fields: Any) -> dict[str, Any]:
    animation = {"style": style, "words": SAID}
    return text(" ".join(WORDS), font_size=30, word_animation=animation, background_color="#ff0000", **fields)


@pytest.mark.parametrize("style", ["box", "color"])
def test_the_word_that_is_said_is_marked(style: str, tmp_path: Path) -> None:
    places = [marked(shown(tmp_path / str(n), caption(style), at_s=n * 0.5 + 0.25), (255, 0, 0)) for n in range(3)]
    after = marked(shown(tmp_path / "after", caption(style), at_s=1.8), (255, 0, 0))

    assert all(places)
    starts = [place[0] for place in places if place]
    assert starts == sorted(starts)
    assert after is None
    assert all(one[1] <= other[0] + 2 for one, other in itertools.pairwise(places) if one and other)


def test_color_draws_the_word_and_box_a_box_behind_it(tmp_path: Path) -> None:
    boxed, coloured = (shown(tmp_path / style, caption(style), at_s=0.25) for style in ("box", "color"))

    def red(picture: Picture) -> int:
        return int((np.abs(picture.astype(int) - (255, 0, 0)) < 40).all(axis=2).sum())

    assert red(boxed) > 3 * red(coloured) > 0


def test_glow_dims_the_words_that_are_not_said(tmp_path: Path) -> None:
    picture = shown(tmp_path, caption("glow"), at_s=0.75)
    left, _, right, _ = ink(picture)
    third = (right - left) // 3

    bright = [picture[:, left + n * third : left + (n + 1) * third].max(axis=2).max() for n in range(3)]
    assert bright[1] > 240 > bright[0]
    assert bright[2] < 200


def test_scale_pop_enlarges_the_word_that_is_said(tmp_path: Path) -> None:
    before = ink(shown(tmp_path / "a", caption("scale_pop"), at_s=1.8))
    popped = ink(shown(tmp_path / "b", caption("scale_pop"), at_s=0.12))

    assert popped[0] < before[0] - 2
    assert popped[3] - popped[1] > before[3] - before[1]


@pytest.mark.parametrize("style", ["slide_up", "fly_in"])
def test_words_come_when_they_are_said_and_stay(style: str, tmp_path: Path) -> None:
    rights = [ink(shown(tmp_path / str(n), caption(style), at_s=n * 0.5 + 0.45))[2] for n in range(3)]
    first = ink(shown(tmp_path / "first", caption(style), at_s=0.05))
    rest = ink(shown(tmp_path / "rest", caption(style), at_s=0.45))

    assert rights == sorted(rights)
    assert rights[0] < rights[1] < rights[2]
    assert (first[1] > rest[1]) if style == "slide_up" else (first[0] > rest[0])


def test_characters_come_one_after_another(tmp_path: Path) -> None:
    motion = [{"type": "fade", "time": 0, "duration": 0.3, "delay": 0.2, "scope": "character"}]
    coming = text("HHHH", motion=motion)

    rights = [ink(shown(tmp_path / str(n), coming, at_s=at_s))[2] for n, at_s in enumerate((0.25, 0.45, 0.65, 1.5))]
    assert rights == sorted(rights)
    assert rights[0] < rights[3]
    still = shown(tmp_path / "still", text("HHHH"))
    assert np.abs(shown(tmp_path / "end", coming, at_s=1.5).astype(int) - still).max() <= 2


def test_a_caption_whose_words_are_not_in_its_text_shows_the_words(tmp_path: Path) -> None:
    element = {**caption("color"), "text": "something else"}

    assert marked(shown(tmp_path, element, at_s=0.25), (255, 0, 0)) is not None


LETTERS = [{"type": "fade", "time": 0, "duration": 0.3, "delay": 0.2, "scope": "character"}]


def test_a_plate_stands_behind_characters_that_come(tmp_path: Path) -> None:
    plate = {"background": True, "background_color": "#0000ff", "x_padding": 8, "y_padding": 6, "border_radius": 4}
    element = text("abcde", motion=LETTERS, **plate)

    first, midway, whole = (shown(tmp_path / str(at_s), element, at_s) for at_s in (0.0, 0.6, 1.9))

    assert ink(first) == ink(midway) == ink(whole)
    assert marked(first, (0, 0, 255)) == marked(whole, (0, 0, 255))
    assert marked(first, (255, 255, 255)) is None
    assert marked(midway, (255, 255, 255))[1] < marked(whole, (255, 255, 255))[1]  # type: ignore[index]


@pytest.mark.parametrize(
    ("style", "of"), [("box", (0, 0, 255)), ("color", (0, 0, 255)), ("glow", (255, 255, 255))]
)  # fmt: skip
def test_a_captions_word_stands_out_while_its_characters_come(
    style: str, of: tuple[int, int, int], tmp_path: Path
) -> None:
    said = {"style": style, "words": SAID}
    element = text(" ".join(WORDS), font_size=30, background_color="#0000ff" if style != "glow" else "#ffffff")
    quick = [{**LETTERS[0], "duration": 0.2, "delay": 0.02}]

    captioned = {**element, "word_animation": said}
    moving = marked(shown(tmp_path / "moving", {**captioned, "motion": quick}, 0.15, format="png"), of)
    still = marked(shown(tmp_path / "still", captioned, 0.25, format="png"), of)

    assert moving is not None
    assert still is not None
    assert moving[0] == pytest.approx(still[0], abs=2)
    assert moving[1] <= still[1] + 1


def test_a_text_is_flipped_within_its_bounds(tmp_path: Path) -> None:
    plain = shown(tmp_path / "plain", text("Lf", background=True, background_color="#0000ff"), format="png")
    cases: list[tuple[str, dict[str, Any], int]] = [
        ("across", {"flip_horizontal": True}, 1),
        ("down", {"flip_vertical": True}, 0),
        ("letters", {"flip_horizontal": True, "motion": [{**LETTERS[0], "time": -0.0, "delay": 0, "loop": True}]}, 1),
    ]
    for name, more, axis in cases:
        left, top, right, bottom = ink(plain)
        at_s = 0.29 if name == "letters" else 0.0
        flipped = shown(
            tmp_path / name, text("Lf", background=True, background_color="#0000ff", **more), at_s, format="png"
        )
        mirrored = np.flip(plain[top:bottom, left:right], axis)

        assert ink(flipped) == (left, top, right, bottom)
        assert np.abs(flipped[top:bottom, left:right].astype(int) - mirrored).mean() < 3


@pytest.mark.parametrize("preset", ["typewriter", "Typewriter", "type-on"])
def test_a_typed_text_has_each_character_whole_or_not_at_all(preset: str, tmp_path: Path) -> None:
    """Ten characters at 0.06 s each, in frames of a thirtieth of a second."""
    said, whole = "HHHHHHHHHH", shown(tmp_path / "still", text("HHHHHHHHHH", font_size=24))
    typed = text(said, font_size=24, animation_preset=preset)
    left, _, right, _ = ink(whole)
    for count, share in ((2, 0.1), (6, 0.5), (9, 0.9)):
        edge = left + round((right - left) * count / 10)
        picture = shown(tmp_path / str(count), typed, at_s=share * 0.6 + 0.02)
        assert np.array_equal(picture[:, : edge - 2], whole[:, : edge - 2]), share
        assert not picture[:, edge + 1 :].any(), share
    assert np.array_equal(shown(tmp_path / "after", typed, at_s=1.0), whole)


def test_a_long_text_is_typed_in_time_to_be_read(tmp_path: Path) -> None:
    long = text("word " * 30, font_size=14, animation_preset="typewriter", background=True, background_color="#202080")
    done = shown(tmp_path / "still", {**long, "animation_preset": None})

    begun, half, near = (shown(tmp_path / str(at), long, at_s=at) for at in (0.1, 0.7, 1.45))
    lit = [int((picture[..., 0] > 128).sum()) for picture in (begun, half, near, done)]
    assert lit[0] < 0.15 * lit[3]
    assert lit[1] == pytest.approx(0.5 * lit[3], rel=0.12)
    assert lit[2] == lit[3]
    assert marked(begun, (32, 32, 128)) == marked(done, (32, 32, 128))  # its plate is there from the start


@pytest.mark.parametrize(
    ("preset", "motion"),
    [
        ("fade", "fade"), ("fade_in", "fade"), ("pop", "smooth_pop"), ("Slide Up", "slide_up"), ("slide", "slide_up"),
        ("bounceIn", "bounce"), ("wiggle", "loop_wiggle"),
    ],
)  # fmt: skip
def test_presets_are_the_motions_of_their_names(preset: str, motion: str, tmp_path: Path) -> None:
    still = shown(tmp_path / "still", text())
    springs = motion in ("smooth_pop", "bounce") or motion.startswith("loop")
    own = [{
        "type": motion, "time": 0, "duration": 1.5 if motion.startswith("loop") else 0.6,
        "easing": "linear" if springs else "ease_out",
    }]  # fmt: skip
    for at_s in (0.1, 0.3):
        moved = shown(tmp_path / f"preset{at_s}", text(animation_preset=preset), at_s=at_s)
        assert np.array_equal(moved, shown(tmp_path / f"own{at_s}", text(motion=own), at_s=at_s))
        assert not np.array_equal(moved, still)


def test_an_exit_preset_ends_with_the_text(tmp_path: Path) -> None:
    lights = [
        int(shown(tmp_path / str(at), text(animation_preset="fade_out"), at_s=at).max()) for at in (0.1, 1.3, 1.9)
    ]
    assert lights[0] == lights[1] == 255
    assert lights[2] < 200


def test_cascading_letters_come_one_after_another(tmp_path: Path) -> None:
    coming = text("HHHHHH", animation_preset="cascade")
    early, late = ink(shown(tmp_path / "a", coming, at_s=0.2)), ink(shown(tmp_path / "b", coming, at_s=1.0))

    assert early[2] < late[2] - 10
    assert late == ink(shown(tmp_path / "c", text("HHHHHH")))


def test_motion_of_its_own_wins_over_a_preset(tmp_path: Path) -> None:
    own = [{"type": "slide_left", "time": 0, "duration": 0.5}]
    wanted = shown(tmp_path / "own", text(motion=own), at_s=0.2)
    for preset in ("typewriter", "fade"):
        found = shown(tmp_path / preset, text(motion=own, animation_preset=preset), at_s=0.2)
        assert np.array_equal(found, wanted)


@pytest.mark.parametrize("preset", ["none", "", "sparkle_storm", "overlay", "🎉", "x" * 5000])
def test_unknown_presets_do_nothing(preset: str, tmp_path: Path) -> None:
    still = shown(tmp_path / "still", text())
    assert np.array_equal(shown(tmp_path / "named", text(animation_preset=preset), at_s=0.1), still)
