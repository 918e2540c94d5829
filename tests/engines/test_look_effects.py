"""Each effect does to a picture what its name says."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from tests.support import looks

from mediamill.engines import _look, _look_base, _look_film, _look_screen
from mediamill.engines._look import Moment

H, W = 180, 320
LAKE, TOWN = looks.lake(), looks.town()
BLACK = looks.solid(np.zeros((H, W, 3)))
RAMP = looks.solid(np.tile(np.linspace(0, 255, W)[None, :, None], (H, 1, 3)))


def made(name: str, picture: Any = LAKE, moment: Moment | None = None, intensity: float = 1.0, **settings: Any) -> Any:
    """The colours of a picture with an effect, as floats."""
    moment = moment or Moment(t=1.2, frame=36, length_s=4)
    return _look.EFFECTS[name](picture, moment, intensity, settings)[:, :, :3].astype(float)


def dot(x: int = W // 2, y: int = H // 2, size: int = 0) -> Any:
    picture = BLACK.copy()
    picture[y - size : y + size + 1, x - size : x + size + 1, :3] = 255
    return picture


def grey(colours: Any) -> Any:
    return colours[:, :, :3].astype(float) @ (0.299, 0.587, 0.114)


def fine(colours: Any) -> float:
    """How much detail of single pixels there is."""
    return float(np.abs(cv2.Laplacian(grey(colours), cv2.CV_64F)).mean())


def hue_of(colours: Any) -> tuple[float, float]:
    """The hue of the mean colour in degrees, and its saturation (HSL)."""
    mean = colours.reshape(-1, 3).mean(axis=0) / 255
    hue, _, saturation = cv2.cvtColor(mean.reshape(1, 1, 3).astype(np.float32), cv2.COLOR_RGB2HLS)[0, 0]
    return float(hue), float(saturation)


def colourful(colours: Any) -> float:
    return float((colours[:, :, :3].max(axis=2) - colours[:, :, :3].min(axis=2)).mean())


def warmth(colours: Any) -> float:
    return float((colours[:, :, 0].astype(float) - colours[:, :, 2]).mean())


def corner(colours: Any) -> float:
    return float(grey(colours)[:6, :6].mean())


# Film


def test_vintage_fades_and_warms_and_darkens_the_corners() -> None:
    out, flat = made("vintage"), looks.solid(np.full((H, W, 3), 160.0))

    assert colourful(out) < 0.85 * colourful(LAKE)
    assert made("vintage", BLACK)[60:120, 100:220].mean() > 12
    assert warmth(made("vintage", RAMP)) > 15
    assert corner(made("vintage", flat)) < 0.7 * grey(made("vintage", flat))[H // 2, W // 2]


def test_polaroid_stands_in_a_white_frame_with_a_broad_foot() -> None:
    out = made("polaroid")
    white = (out.min(axis=2) > 225).all(axis=1)

    top = int(np.argmin(white))
    foot = int(np.argmin(white[::-1]))
    assert foot > 2.5 * top > 0
    assert colourful(out[top : H - foot, 20:-20]) < colourful(LAKE[top : H - foot, 20:-20])


def test_portra_is_warm_soft_and_muted() -> None:
    out = made("portra")

    assert warmth(made("portra", RAMP)) > 6
    assert colourful(out) < 0.95 * colourful(LAKE)
    assert np.percentile(made("portra", RAMP), 1) > 8


def test_super8_jumps_in_a_round_gate_with_grain() -> None:
    frames = [made("super8", LAKE, Moment(t=n / 18 + 0.01, frame=n)) for n in range(4)]

    assert corner(frames[0]) < 12
    assert fine(frames[0][50:130, 100:220]) > 1.5 * fine(LAKE[50:130, 100:220])
    assert all(np.abs(one - other).mean() > 3 for one, other in pairwise(frames))
    assert warmth(made("super8", RAMP)) > 15


def test_filmic_has_teal_shadows_and_warm_lights() -> None:
    out = made("filmic", RAMP)

    assert (out[:, :60, 2] - out[:, :60, 0]).mean() > 4
    assert (out[:, -80:-20, 0] - out[:, -80:-20, 2]).mean() > 15
    assert np.diff(grey(out).mean(axis=0))[W // 3 : W // 2].mean() > 1.05 * 255 / W


def test_grain_keeps_the_mean_and_is_new_on_every_frame() -> None:
    one, two = (made("add_grain", LAKE, Moment(frame=n)) - LAKE[:, :, :3] for n in (1, 2))

    assert abs(one.mean()) < 1.5
    assert one.std() > 7
    assert abs(np.corrcoef(one.ravel(), two.ravel())[0, 1]) < 0.1


def test_film_burn_flares_hot_from_the_sides() -> None:
    light = made("film_burn", BLACK)

    sides = np.concatenate([light[:, : W // 4], light[:, -W // 4 :]], axis=1)
    assert sides.mean() > 3 * light[:, W // 3 : -W // 3].mean()
    assert light.max() > 230
    assert light[..., 0].mean() > light[..., 1].mean() > light[..., 2].mean()


def test_light_leaks_are_soft_and_warm() -> None:
    light = made("light_leaks", BLACK)

    assert light.max() > 60
    assert light[..., 0].mean() > 1.5 * light[..., 2].mean()
    assert fine(light) < 2
    assert (made("light_leaks") >= LAKE[:, :, :3] - 1.0).all()


# Colour


def test_sepia_is_one_brown() -> None:
    hue, saturation = hue_of(made("sepia"))

    assert 25 < hue < 45
    assert saturation < 0.5
    middle = made("sepia", RAMP)[0]
    assert (np.diff(middle[:, 0]) >= 0).all()


def test_duotone_has_two_inks_whatever_the_colours_were() -> None:
    out = made("duotone", RAMP)[0]
    red, green = (looks.solid(np.full((4, 4, 3), colour, float)) for colour in ((255, 0, 0), (0, 130, 0)))

    assert out[4, 2] > 2 * out[4, 0]
    assert out[-5, 0] > out[-5, 2] + 40
    assert np.abs(made("duotone", red) - made("duotone", green)).max() < 4


def test_cross_process_turns_lights_yellow_and_shadows_blue() -> None:
    out = made("cross_process", RAMP)[0]

    assert out[5, 2] > out[5, 0] + 30
    assert out[-5, 0] > out[-5, 2] + 40


def test_bleach_bypass_is_hard_and_almost_grey() -> None:
    out = made("bleach_bypass")

    assert colourful(out) < 0.6 * colourful(LAKE)
    assert grey(out).std() > 1.1 * grey(LAKE).std()


def test_posterize_leaves_five_levels() -> None:
    out = made("posterize")

    assert set(np.unique(out)) <= {0, 64, 128, 191, 255}
    assert len(np.unique(made("posterize", RAMP))) == 5


def test_invert_is_the_negative() -> None:
    assert np.array_equal(made("invert"), 255 - LAKE[:, :, :3].astype(float))


def test_night_vision_is_green_and_noisy_in_a_round_tube() -> None:
    out = made("night_vision", TOWN)

    assert (out[..., 1] >= out[..., 0]).mean() > 0.99
    assert out[..., 1].mean() > 1.6 * out[..., 0].mean()
    assert corner(out) < 12
    assert fine(out) > 1.5 * fine(TOWN)


def test_thermal_goes_from_blue_over_red_to_white() -> None:
    out = made("thermal", RAMP)[H // 2]

    assert np.argmax(out[W // 8]) == 2
    assert np.argmax(out[W * 5 // 8]) == 0
    assert out[W * 5 // 8, 2] < 120
    assert out[-3].min() > 180


# Blur and light


def test_lens_blur_makes_a_disc_of_a_light() -> None:
    out = made("camera_lens_blur", dot(size=1))[H // 2, :, 0]
    lit = np.flatnonzero(out > out.max() / 2)

    radius = (lit[-1] - lit[0]) / 2
    assert 3 <= radius <= 8
    assert out[W // 2 + round(radius * 0.6)] > 0.75 * out[W // 2]
    assert out[W // 2 + round(radius * 2.2)] < 0.1 * out[W // 2]


def test_lens_blur_of_the_background_keeps_the_middle_sharp() -> None:
    out = _look.EFFECTS["camera_lens_blur_bg"](TOWN, Moment(), 1.0, {})

    middle = (slice(70, 120), slice(140, 180))
    assert np.array_equal(out[middle], TOWN[middle])
    assert fine(out[:, :60]) < 0.5 * fine(TOWN[:, :60])


def test_lens_blur_of_the_background_keeps_a_matte_sharp() -> None:
    matte = np.zeros((H, W), np.uint8)
    matte[:, :100] = 255
    out = _look.EFFECTS["camera_lens_blur_bg"](TOWN, Moment(), 1.0, {"matte": matte})

    assert np.array_equal(out[:, :100], TOWN[:, :100])
    assert fine(out[:, 100:]) < 0.5 * fine(TOWN[:, 100:])


def test_box_blur_spreads_a_dot_over_a_square() -> None:
    spread = made("box_blur", dot(size=2))[..., 0]
    rows, columns = np.flatnonzero(spread.max(axis=1)), np.flatnonzero(spread.max(axis=0))

    assert rows[-1] - rows[0] == columns[-1] - columns[0] > 8
    assert spread[rows[0] + 2, columns[0] + 2] > 0
    assert spread.sum() == pytest.approx(25 * 255, rel=0.25)


def test_glow_shines_round_lights_and_leaves_the_dark() -> None:
    out = made("glow", dot(size=12))[..., 0]

    assert out[H // 2, W // 2 + 17] > 25
    assert made("glow", BLACK).max() == 0
    assert (made("glow", TOWN) >= TOWN[:, :, :3]).all()


def test_lens_flare_has_a_sun_and_reflections_across_the_middle() -> None:
    light = grey(made("lens_flare", BLACK))
    y, x = np.unravel_index(np.argmax(cv2.GaussianBlur(light, (0, 0), 3)), light.shape)

    assert abs(x / W - 0.22) < 0.06
    assert abs(y / H - 0.24) < 0.06
    assert light[H // 2 :, W // 2 :].max() > 15
    assert light[H // 2 :, : W // 3].mean() < light[H // 2 :, W // 2 :].mean() + 3


def test_strobe_flashes_at_most_three_times_a_second() -> None:
    means = np.array([made("strobe_light", LAKE, Moment(t=n / 60, frame=n)).mean() for n in range(60)])

    lit = means > LAKE[:, :, :3].mean() + 40
    assert np.count_nonzero(lit[1:] & ~lit[:-1]) + bool(lit[0]) == 3
    assert means.min() < 0.6 * LAKE[:, :, :3].mean()


def test_snow_falls() -> None:
    early, late = (grey(made("snow", BLACK, Moment(t=1 + dt))) for dt in (0.0, 0.05))

    fits = {down: (early[20:140] * late[20 + down : 140 + down]).mean() for down in range(-6, 7)}
    assert max(fits, key=lambda down: fits[down]) > 0
    assert 0.003 < (early > 80).mean() < 0.1


def passing(seconds: float) -> Any:
    """A light that moves to the right, as it was some time ago."""
    return dot(W // 2 + 30 - round(seconds * 300), size=3)


def test_echo_repeats_what_was_there_fainter_the_older() -> None:
    out = made("echo", passing(0), Moment(t=1, earlier=passing))[..., 0]

    places = [out[H // 2 - 3 : H // 2 + 4, x - 2 : x + 3].max() for x in (W // 2 + 30, W // 2 - 2, W // 2 - 35)]
    assert places[0] > places[1] > places[2] > 80


def test_ghosting_hangs_over_and_doubles() -> None:
    out = made("ghosting", passing(0), Moment(t=1, earlier=passing))[H // 2, :, 0]

    assert out[W // 2 + 30 - 36] > 20
    assert out[W // 2 + 30 + 7] > 20
    assert out[W // 2 + 30] < 255


def test_prism_splits_colours_round_a_clear_middle() -> None:
    out = made("prism", TOWN)

    assert np.array_equal(out[82:98, 152:168], TOWN[82:98, 152:168, :3])
    assert colourful(made("prism", RAMP)) < 60
    white = made("prism", dot(60, 60, 3))
    assert len({tuple(np.argwhere(white[..., c] > 60).mean(axis=0).round()) for c in range(3)}) == 3


# Blocks


def blocks(colours: Any, side: int) -> Any:
    """Whole blocks: (rows, columns, side, side, 3)."""
    rows, columns = H // side, W // side
    part = colours[: rows * side, : columns * side]
    return part.reshape(rows, side, columns, side, 3).swapaxes(1, 2)


def test_mosaic_is_of_blocks_of_one_colour_their_mean() -> None:
    squares, before = blocks(made("mosaic"), 7), blocks(LAKE[:, :, :3].astype(float), 7)

    assert (squares == squares[:, :, :1, :1]).all()
    assert np.abs(squares[:, :, 0, 0] - before.mean(axis=(2, 3))).max() <= 1


def test_mosaic_blur_has_soft_blocks() -> None:
    soft, hard = made("mosaic_blur"), made("mosaic")

    assert fine(soft) < 0.4 * fine(hard)
    assert np.abs(blocks(soft, 7).mean(axis=(2, 3)) - blocks(hard, 7).mean(axis=(2, 3))).mean() < 8


def test_mosaic_posterize_is_of_blocks_in_few_colours() -> None:
    out = made("mosaic_posterize")
    squares = blocks(out, 7)

    assert (squares == squares[:, :, :1, :1]).all()
    assert set(np.unique(out)) <= {0, 85, 170, 255}


def test_halftone_prints_the_tone_in_dots() -> None:
    for level in (64, 128, 192):
        out = made("cc_halftone", looks.solid(np.full((H, W, 3), float(level))))
        assert out.mean() == pytest.approx(level, abs=14)
        assert ((out < 50) | (out > 205)).mean() > 0.55


@pytest.mark.parametrize(("name", "channel"), [("red", 0), ("green", 1), ("blue", 2)])
def test_halftone_of_one_ink_has_that_colour_on_paper(name: str, channel: int) -> None:
    out = made(f"cc_halftone_{name}", RAMP)

    assert np.argmax(out[:, : W // 8].reshape(-1, 3).mean(axis=0)) == channel
    assert out[:, -8:].min() > 225
    shares = [grey(out[:, x : x + 40]).mean() for x in range(0, W - 40, 40)]
    assert shares == sorted(shares)


# Distortion


def test_rgb_split_moves_red_left_and_blue_right() -> None:
    out, way = made("rgb_split", TOWN), round(0.012 * W)

    assert np.array_equal(out[:, :-way, 0], TOWN[:, way:, 0])
    assert np.array_equal(out[..., 1], TOWN[..., 1])
    assert np.array_equal(out[:, way:, 2], TOWN[:, :-way, 2])


def test_chromatic_aberration_grows_from_the_middle() -> None:
    def fringe(x: int) -> float:
        line = BLACK.copy()
        line[:, x - 1 : x + 2, :3] = 255
        out = made("chromatic_aberration", line)[H // 2]
        red, blue = (float((out[:, c] * np.arange(W)).sum() / out[:, c].sum()) for c in (0, 2))
        return red - blue

    assert abs(fringe(W // 2)) < 0.2
    assert fringe(W - 20) > 3
    assert fringe(20) < -3


def test_displacement_bends_lines_and_keeps_colours() -> None:
    line = BLACK.copy()
    line[:, 158:163, :3] = 255
    out = made("displacement_map", line)[..., 0]
    middles = (out * np.arange(W)).sum(axis=1) / np.maximum(out.sum(axis=1), 1)

    assert middles[10:-10].std() > 1
    assert np.abs(made("displacement_map").mean(axis=(0, 1)) - LAKE[:, :, :3].mean(axis=(0, 1))).max() < 4
    assert np.abs(made("displacement_map", LAKE, Moment(t=2)) - made("displacement_map")).mean() > 2


def test_optics_compensation_bows_lines_outwards() -> None:
    line = BLACK.copy()
    line[:, 98:103, :3] = 255
    out = made("optics_compensation", line)[..., 0]

    def place(row: int) -> float:
        return float((out[row] * np.arange(W)).sum() / out[row].sum())

    assert place(H // 2) < 80
    assert place(5) > place(H // 2) + 5


def test_viewfinder_shows_frame_lamp_and_running_code() -> None:
    lit, unlit = (made("viewfinder", BLACK, Moment(t=t, frame=0)) for t in (1.1, 1.7))

    assert lit[9, 9:24].mean() > 200
    assert lit[H // 2, W // 2].min() > 200
    red = (lit[..., 0] - lit[..., 1] > 100).sum(), (unlit[..., 0] - unlit[..., 1] > 100).sum()
    assert red[0] > 10
    assert red[1] == 0
    assert np.abs(lit[-30:] - unlit[-30:]).max() > 100


# Broadcast


def test_vhs_smears_colour_more_than_brightness_and_jitters() -> None:
    edge = looks.solid(np.zeros((H, W, 3)))
    edge[:, : W // 2, :3] = (200, 40, 40)
    edge[:, W // 2 :, :3] = (40, 130, 40)
    out = made("vhs", edge)[40:70]
    ycc = cv2.cvtColor(out.clip(0, 255).astype(np.uint8), cv2.COLOR_RGB2YCrCb).astype(float).mean(axis=0)
    red = (ycc[:, 1] - np.median(ycc[-W // 3 :, 1])) / (np.median(ycc[: W // 3, 1]) - np.median(ycc[-W // 3 :, 1]))

    on_the_way = np.flatnonzero((red > 0.1) & (red < 0.9))
    assert 4 <= np.count_nonzero(np.abs(on_the_way - W // 2) < 20) <= 30
    assert on_the_way.mean() > W // 2
    frames = [made("vhs", TOWN, Moment(t=n / 30, frame=n)) for n in (0, 1)]
    assert np.abs(frames[0] - frames[1]).mean() > 3
    assert fine(frames[0][-6:]) > fine(frames[0][30:100])


def test_vhs_overlay_writes_a_running_display() -> None:
    one, two = (made("vhs_overlay", BLACK, Moment(t=t, frame=0)) for t in (1.0, 2.0))

    assert (one[10:30, 10:90].min(axis=2) > 200).sum() > 40
    assert (one[-30:-10, 10:40].min(axis=2) > 200).sum() > 10
    assert np.abs(one[-32:-8, -80:] - two[-32:-8, -80:]).max() > 100
    assert np.abs(made("vhs_overlay") - LAKE[:, :, :3])[110:140].mean() < 5


def test_crt_has_lines_stripes_and_black_corners() -> None:
    flat = looks.solid(np.full((540, 960, 3), 140.0))
    out = made("crt", flat)
    rows, columns = out[240:300, 480, 1], out[270, 440:500]

    assert out[:4, :4].max() < 8
    assert np.abs(np.diff(rows)).mean() > 10
    assert np.std(columns[:, 0] - columns[:, 1]) > 5


def test_television_is_pale_noisy_and_round() -> None:
    out = made("television", LAKE)

    assert corner(out) < 10
    assert colourful(out[40:140, 60:260]) < 0.6 * colourful(LAKE[40:140, 60:260])
    assert fine(out) > 2 * fine(LAKE)


def test_glitch_tears_bands_sideways_and_holds_for_a_moment() -> None:
    one, held, later = (made("glitch", TOWN, Moment(t=t, frame=round(t * 60))) for t in (1.0, 1.02, 1.2))

    same = (one[..., 1] == TOWN[..., 1]).mean(axis=1)
    assert (same > 0.99).sum() > 20
    assert (same < 0.9).sum() > 10
    assert np.array_equal(one, held)
    assert not np.array_equal(one, later)


def test_compression_glitch_is_of_coarse_blocks() -> None:
    out = grey(made("compression_glitch"))
    steps = np.abs(np.diff(out, axis=1)).mean(axis=0)

    seams = steps[7 : W - 1 : 8]
    assert seams.mean() > 1.5 * np.delete(steps, np.arange(7, W - 1, 8)).mean()
    assert np.abs(out - grey(LAKE)).mean() < 45


def test_scanlines_darken_every_other_line_alone() -> None:
    out = made("scanlines")

    assert np.array_equal(out[0::2], LAKE[0::2, :, :3])
    assert np.abs(out[1::2] - LAKE[1::2, :, :3] * 0.38).max() <= 1


# Key


def key(picture: Any, **settings: float) -> Any:
    return _look.EFFECTS["chroma_key"](picture, Moment(), 1.0, settings)


def test_chroma_key_takes_a_green_wall_and_its_shine_away() -> None:
    scene, mask = looks.green_screen(), looks.figure_mask()
    out = key(scene)

    assert (out[..., 3][mask == 0] == 0).mean() > 0.995
    assert (out[..., 3][mask == 255] > 250).mean() > 0.98
    inside = out[(out[..., 3] > 250)].astype(float)
    assert (inside[:, 1] - np.maximum(inside[:, 0], inside[:, 2])).max() < 12
    assert ((out[..., 3] > 5) & (out[..., 3] < 250)).sum() > 50


def test_chroma_key_takes_the_hues_it_is_told() -> None:
    patches = looks.solid(np.zeros((8, 40, 3)))
    for number, colour in enumerate(((200, 20, 30), (20, 200, 40), (30, 40, 210), (128, 128, 128), (210, 30, 110))):
        patches[:, number * 8 : number * 8 + 8, :3] = colour
    wide: Mapping[str, float] = {"sat_min": 0.3, "sat_max": 1, "lum_min": 0.1, "lum_max": 0.9}

    blue = key(patches, hue_min=200, hue_max=260, **wide)[0, 4::8, 3]
    red = key(patches, hue_min=320, hue_max=20, **wide)[0, 4::8, 3]

    assert blue.tolist() == [255, 255, 0, 255, 255]
    assert red.tolist() == [0, 255, 255, 255, 0]


def test_chroma_key_goes_as_far_as_its_intensity() -> None:
    out = _look.EFFECTS["chroma_key"](looks.green_screen(), Moment(), 0.5, {})

    assert out[5, 5, 3] == pytest.approx(128, abs=1)


def test_every_effect_has_a_test_of_its_name() -> None:
    text = Path(__file__).read_text(encoding="utf-8")

    untested = [name for name in _look.EFFECTS if f'"{name}"' not in text and not name.startswith("cc_halftone_")]
    assert untested == []


def test_a_picture_halved_before_it_is_shrunk_is_the_same_to_the_eye() -> None:
    picture = looks.town(360, 640)
    at_once = cv2.resize(picture, (80, 45), interpolation=cv2.INTER_AREA)
    by_halves = _look_base.shrunk(picture, 80, 45)

    assert np.abs(by_halves.astype(int) - at_once).mean() < 0.5
    assert np.abs(by_halves.astype(int) - at_once).max() <= 2


def test_the_light_round_lights_is_the_table_s_on_the_whole_picture() -> None:
    """The quick way of `filmic` beside the plain one: the lights looked up in full size, then made soft."""
    picture, moment = looks.town(360, 640), Moment(t=1, frame=30)
    level = np.arange(256)
    ramps = [np.interp(level, [_look_film.HALO_FROM, 255], [0, most]) for most in _look_film.HALATION]
    glow = _look_base.blurred(_look_base.toned(picture, _look_base.table(*ramps)), 360 / 70)
    bright = _look_base.screened(picture, glow)
    grey = _look_base.four(_look_base.luma(bright))
    lit = cv2.addWeighted(bright, 0.92, grey, 0.08, 0)
    plain = _look_base.grained(_look_base.toned(lit, _look_film.FILMIC), moment, 0.012, size=1.4)

    away = np.abs(_look.EFFECTS["filmic"](picture, moment, 1.0, {}).astype(int) - plain)[:, :, :3]

    assert away.mean() < 0.2
    assert away.max() <= 8


@pytest.mark.parametrize("scale", [1.015, 1.06, 1.18])
def test_an_enlarged_picture_is_the_warped_one_within_half_a_pixel(scale: float) -> None:
    picture = cv2.GaussianBlur(looks.town(360, 640), (0, 0), 2)
    matrix = np.array([[scale, 0, (1 - scale) * 639 / 2], [0, scale, (1 - scale) * 359 / 2]])
    warped = cv2.warpAffine(picture, matrix, (640, 360), borderMode=cv2.BORDER_REPLICATE).astype(int)
    moved = [np.roll(warped, (down, right), (0, 1)) for down in (-1, 0, 1) for right in (-1, 0, 1)]
    low, high = np.min(moved, axis=0), np.max(moved, axis=0)

    enlarged = _look_base.zoomed(picture, scale).astype(int)[2:-2, 2:-2]

    assert np.maximum(low[2:-2, 2:-2] - enlarged, enlarged - high[2:-2, 2:-2]).max() <= 2  # both round


def test_rows_are_moved_each_by_its_own_way_and_their_edge_is_repeated() -> None:
    picture, shift = looks.town(90, 160), np.random.default_rng(1).normal(0, 30, 90)

    bent = _look_screen._bent(picture, shift)

    for row, way in enumerate(np.clip(np.rint(shift), -159, 159).astype(int)):
        columns = np.clip(np.arange(160) - way, 0, 159)
        assert np.array_equal(bent[row], picture[row, columns])


@pytest.mark.parametrize("alpha", [255, 254, 0])
def test_one_pixel_that_shines_through_is_seen(alpha: int) -> None:
    picture = looks.town(90, 160)
    picture[41, 73, 3] = alpha

    assert _look_base.opaque(picture) is (alpha == 255)
    assert _look_base.opaque(picture[40:43, 70:75]) is (alpha == 255)
