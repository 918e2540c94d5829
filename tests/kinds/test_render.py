"""The kind `render`: what a scene asks for is on its frames, to the pixel and to the frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from tests.support import scenes
from tests.support.scenes import Picture, at, run, scene

from mediamill.core.errors import BadMedia, Failed, Invalid, NoSound, RangeEmpty, Unsupported

RED, BLUE, GREEN, WHITE, BLACK = (255, 0, 0), (0, 0, 255), (0, 255, 0), (255, 255, 255), (0, 0, 0)


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small clips, pictures and tones."""
    folder = tmp_path_factory.mktemp("media")
    scenes.clip(folder / "red.mp4", colour="red", seconds=2)
    scenes.clip(folder / "blue.webm", colour="blue", seconds=2)
    scenes.counting(folder / "count.mp4")
    scenes.counting(folder / "count25.mp4", rate=25, frames=50)
    scenes.tone(folder / "tone.wav", seconds=2)
    scenes.flat(folder / "green.png", GREEN)
    scenes.flat(folder / "blue.png", BLUE)
    scenes.flat(folder / "half.png", (0, 255, 0, 128))
    from PIL import Image

    four = Image.new("RGB", (40, 20), RED)
    four.paste(GREEN, (20, 0, 40, 10))
    four.paste(BLUE, (0, 10, 20, 20))
    four.paste(WHITE, (20, 10, 40, 20))
    four.save(folder / "four.png")
    return folder


def image(name: str = "green.png", **fields: Any) -> dict[str, Any]:
    return {"type": "image", "id": name, "source_url": at(name), "duration": 1, **fields}


def video(name: str = "red.mp4", **fields: Any) -> dict[str, Any]:
    return {"type": "video", "id": name, "source_url": at(name), **fields}


def still(folder: Path, media: Path, *elements: dict[str, Any], **request: Any) -> Picture:
    """The first frame of a scene as a PNG, with its transparency."""
    return run("render", scene(*elements, format="png", **request), folder, media).rgba()


def colour(picture: Picture, x: int, y: int) -> tuple[int, ...]:
    return tuple(int(part) for part in picture[y, x][:3])


def close(one: tuple[int, ...], other: tuple[int, ...], within: int = 6) -> bool:
    return all(abs(a - b) <= within for a, b in zip(one, other, strict=True))


def box(picture: Picture, of: tuple[int, int, int]) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of what has that colour."""
    there = (np.abs(picture[:, :, :3].astype(int) - np.array(of)) < 60).all(axis=2)
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def level(picture: Picture) -> int:
    """The number of a frame of a counting clip."""
    return round((16 + float(picture[18, 32].mean()) * 219 / 255 - 15) / 3)


def test_a_picture_is_fitted_into_its_box_and_keeps_its_ratio(tmp_path: Path, media: Path) -> None:
    picture = still(tmp_path, media, image())

    assert box(picture, GREEN) == (0, 2, 64, 34)


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ({"width": 20, "height": 10}, (22, 13, 42, 23)),
        ({"width": "50%", "height": "50%"}, (16, 10, 48, 26)),
        ({"width": 20, "height": 10, "x": 0, "y": 0, "x_anchor": 0, "y_anchor": 0}, (0, 0, 20, 10)),
        ({"width": 20, "height": 10, "x": 64, "y": "100%", "x_anchor": 20, "y_anchor": "100%"}, (44, 26, 64, 36)),
        ({"width": "12px", "height": "6", "x": 10, "y": 5}, (4, 2, 16, 8)),
        ({"width": 20, "height": 10, "x_scale": "200%"}, (12, 13, 52, 23)),
        ({"width": 20, "height": 10, "z_rotation": 90}, (27, 8, 37, 28)),
        ({"width": 20, "height": 10, "z_rotation": "1.5707963rad"}, (27, 8, 37, 28)),
        ({"width": 40, "height": 40, "aspect_ratio": 4}, (22, 13, 42, 23)),
        ({"width": 20, "height": 10, "x_rotation": 180}, (22, 13, 42, 23)),
        ({"width": 40, "height": 20, "crop_left": 0.5}, (22, 8, 42, 28)),
    ],
)  # fmt: skip
def test_a_picture_lies_where_it_is_put(
    fields: dict[str, Any], wanted: tuple[int, int, int, int], tmp_path: Path, media: Path
) -> None:
    picture = still(tmp_path, media, image(**fields))

    assert box(picture, GREEN) == pytest.approx(wanted, abs=1)


@pytest.mark.parametrize(
    ("fields", "corners"),
    [
        ({}, (RED, GREEN, BLUE, WHITE)),
        ({"flip_horizontal": True}, (GREEN, RED, WHITE, BLUE)),
        ({"flip_vertical": True}, (BLUE, WHITE, RED, GREEN)),
        ({"z_rotation": 180}, (WHITE, BLUE, GREEN, RED)),
        ({"y_rotation": 180}, (GREEN, RED, WHITE, BLUE)),
        ({"x_scale": "-100%"}, (GREEN, RED, WHITE, BLUE)),
        ({"crop_right": 0.5, "width": 20, "height": 20}, (RED, RED, BLUE, BLUE)),
    ],
)
def test_corners_come_where_flips_and_turns_put_them(
    fields: dict[str, Any], corners: tuple[Any, ...], tmp_path: Path, media: Path
) -> None:
    wide = {"width": 40, "height": 20, **fields}
    picture = still(tmp_path, media, image("four.png", **wide))

    left, right = (28, 36)
    found = [colour(picture, x, y) for y in (12, 24) for x in (left, right)]
    assert all(close(one, other) for one, other in zip(found, corners, strict=True)), found


def test_the_higher_z_index_is_in_front_and_of_equal_ones_the_earlier(tmp_path: Path, media: Path) -> None:
    small = {"width": 20, "height": 10}

    earlier = still(tmp_path, media, image(**small), image("blue.png", **small))
    higher = still(tmp_path, media, image(**small), image("blue.png", z_index=1, **small))

    assert close(colour(earlier, 32, 18), GREEN)
    assert close(colour(higher, 32, 18), BLUE)


def test_what_is_not_visible_is_left_out(tmp_path: Path, media: Path) -> None:
    picture = still(tmp_path, media, image(visible=False), background_color="#ff0000")

    assert close(colour(picture, 32, 18), RED)


def test_opacity_and_transparency_mix_with_what_is_behind(tmp_path: Path, media: Path) -> None:
    faint = still(tmp_path, media, image(opacity=50), background_color="#0000ff")
    thin = still(tmp_path, media, image("half.png"), background_color="#0000ff")

    assert close(colour(faint, 32, 18), (0, 128, 128))
    assert close(colour(thin, 32, 18), (0, 128, 127))


@pytest.mark.parametrize(
    ("mode", "wanted"),
    [("multiply", (0, 128, 0)), ("screen", (128, 255, 128)), ("darken", (0, 128, 0)), ("lighten", (128, 255, 128))],
)
def test_blend_modes_mix_by_their_formulas(
    mode: str, wanted: tuple[int, int, int], tmp_path: Path, media: Path
) -> None:
    picture = still(tmp_path, media, image(blend_mode=mode), background_color="#808080")

    assert close(colour(picture, 32, 18), wanted)


def test_a_border_a_round_corner_and_a_shadow_are_drawn(tmp_path: Path, media: Path) -> None:
    picture = still(
        tmp_path, media,
        image(
            width=30, height=15, border_radius=6, border_color="#ff0000", border_width=2, shadow_color="#0000ff",
            shadow_x=6, shadow_y=6,
        ),
        background_color="#ffffff",
    )  # fmt: skip

    left, top = 17, 10
    assert close(colour(picture, left, top), WHITE)  # outside the round corner
    assert close(colour(picture, left + 15, top), RED, 40)
    assert close(colour(picture, 32, 18), GREEN)
    assert close(colour(picture, left + 32, top + 16), BLUE, 40)


@pytest.mark.parametrize(
    ("controls", "check"),
    [
        ({"brightness": 100}, lambda rgb: rgb[0] > 170 and rgb[1] == 255),
        ({"saturation": -100}, lambda rgb: max(rgb) - min(rgb) <= 2),
        ({"hue_rotate": 120}, lambda rgb: rgb[2] > rgb[1]),
        ({"exposure": -100}, lambda rgb: 0.4 < rgb[1] / 200 < 0.65),
        ({"contrast": -100}, lambda rgb: all(abs(part - 128) < 3 for part in rgb)),
        ({"color_overlay": "#ff0000"}, lambda rgb: close(rgb, RED)),
        ({"color_overlay": "#ff000080"}, lambda rgb: close(rgb, (153, 100, 25), 4)),
    ],
)
def test_colour_controls_change_colours_as_they_are_named(
    controls: dict[str, Any], check: Any, tmp_path: Path, media: Path
) -> None:
    scenes.flat(media / "soft.png", (50, 200, 50))

    found = colour(still(tmp_path, media, image("soft.png", **controls)), 32, 18)

    assert check(found), found


@pytest.mark.parametrize("kind", ["image", "video"])
def test_a_table_of_colours_is_applied_by_its_intensity(kind: str, tmp_path: Path, media: Path) -> None:
    rows = "\n".join(f"{b} {g} {r}" for b in (0, 1) for g in (0, 1) for r in (0, 1))
    (media / "swap.cube").write_text(f'TITLE "swap"\nLUT_3D_SIZE 2\n{rows}\n')
    make = (lambda **f: image("blue.png", **f)) if kind == "image" else (lambda **f: video("blue.webm", **f))

    whole = still(tmp_path / "a", media, make(lut_url=at("swap.cube")))
    half = still(tmp_path / "b", media, make(lut_url=at("swap.cube"), lut_intensity=50))

    assert close(colour(whole, 32, 18), RED, 8)
    assert close(colour(half, 32, 18), (128, 0, 128), 8)


def test_a_still_is_the_frame_at_zero_and_keeps_transparency(tmp_path: Path, media: Path) -> None:
    picture = still(tmp_path, media, image(width=20, height=10), background_color="#00000000")

    assert picture.shape == (36, 64, 4)
    assert picture[0, 0, 3] == 0
    assert picture[18, 32, 3] == 255


def test_every_frame_of_a_clip_is_shown_once_and_in_step(tmp_path: Path, media: Path) -> None:
    made = run("render", scene(video("count.mp4", out_point=2)), tmp_path, media)

    shown = [level(picture) for picture in made.pictures()]
    assert len(shown) == 60
    assert shown == pytest.approx(list(range(60)), abs=1)
    assert shown[10:50:10] == list(range(10, 50, 10))


@pytest.mark.parametrize(
    ("fields", "frame", "wanted"),
    [
        ({"in_point": 0.5, "out_point": 1.5}, 0, 15),
        ({"in_point": 0.5, "out_point": 1.5}, 29, 44),
        ({"speed": 2, "out_point": 2}, 10, 20),
        ({"speed": 0.5, "out_point": 1}, 30, 15),
        ({"time": 0.5, "out_point": 1}, 20, 5),
    ],
)
def test_a_clip_is_trimmed_sped_and_placed_to_the_frame(
    fields: dict[str, Any], frame: int, wanted: int, tmp_path: Path, media: Path
) -> None:
    made = run("render", scene(video("count.mp4", **fields)), tmp_path, media)

    element = {"in_point": 0, "speed": 1, "time": 0, **fields}
    seconds = element["time"] + (element["out_point"] - element["in_point"]) / element["speed"]
    assert len(made.pictures()) == round(seconds * 30)
    assert abs(level(made.picture(frame)) - wanted) <= (0 if element["speed"] == 1 else 1)


def test_a_clip_of_another_rate_is_brought_to_the_timelines(tmp_path: Path, media: Path) -> None:
    made = run("render", scene(video("count25.mp4", out_point=2)), tmp_path, media)

    shown = [level(picture) for picture in made.pictures()]
    assert len(shown) == 60
    assert all(abs(found - number * 25 / 30) <= 1 for number, found in enumerate(shown))


def test_the_length_is_that_of_the_last_end_and_else_ten_seconds(tmp_path: Path, media: Path) -> None:
    still_there = run("render", scene(image(time=0.4, duration=0.3), frame_rate=10), tmp_path / "a", media)
    lone = run("render", scene(video("count.mp4"), frame_rate=10), tmp_path / "b", media)
    nothing = run("render", scene(frame_rate=1), tmp_path / "c", media)
    said = run("render", scene(image(duration=5), duration=0.55, frame_rate=20), tmp_path / "d", media)

    assert still_there.details["frames"] == 7
    assert lone.details["frames"] == 20
    assert nothing.details["frames"] == 10
    assert said.details["frames"] == 11


def test_an_element_is_there_from_its_start_to_its_end(tmp_path: Path, media: Path) -> None:
    made = run("render", scene(image(time=0.2, duration=0.3), duration=1), tmp_path, media)

    shown = [close(colour(picture, 32, 18), GREEN, 30) for picture in made.pictures()]
    assert shown == [6 <= number < 15 for number in range(30)]


def test_a_cross_dissolve_is_centred_on_the_cut(tmp_path: Path, media: Path) -> None:
    made = run(
        "render",
        scene(
            video("red.mp4", out_point=1), video("blue.webm", time=1, out_point=1),
            transitions=[{"type": "cross_dissolve", "duration": 0.4, "from_id": "red.mp4", "to_id": "blue.webm"}],
        ),
        tmp_path, media,
    )  # fmt: skip

    frames = made.pictures()
    assert len(frames) == 60
    assert close(colour(frames[23], 32, 18), RED, 8)
    assert close(colour(frames[30], 32, 18), (128, 0, 128), 14)
    assert close(colour(frames[27], 32, 18), (191, 0, 64), 14)
    assert close(colour(frames[36], 32, 18), BLUE, 8)


def test_other_transitions_and_pictures_smaller_than_the_canvas_take_the_same_cut(tmp_path: Path, media: Path) -> None:
    made = run(
        "render",
        scene(
            image("green.png", duration=1), image("blue.png", time=1, duration=1),
            transitions=[{"type": "wipe_left", "duration": 0.4, "from_id": "green.png", "to_id": "blue.png"}],
        ),
        tmp_path, media,
    )  # fmt: skip

    frames = made.pictures()
    middle = {colour(frames[30], 8, 18), colour(frames[30], 56, 18)}
    assert any(close(one, GREEN, 12) for one in middle)
    assert any(close(one, BLUE, 12) for one in middle)
    assert close(colour(frames[36], 8, 18), BLUE, 12)


def test_motion_brings_an_element_in_and_takes_it_out(tmp_path: Path, media: Path) -> None:
    motion = [
        {"type": "fade", "time": 0, "duration": 0.5, "easing": "linear"},
        {"type": "slide_left", "time": 0.7, "duration": 0.3, "reversed": True},
    ]
    made = run("render", scene(image(motion=motion)), tmp_path, media)

    frames = made.pictures()
    assert close(colour(frames[0], 32, 18), BLACK, 12)
    assert close(colour(frames[8], 32, 18), (0, 136, 0), 14)
    assert close(colour(frames[17], 32, 18), GREEN, 8)
    assert (frames[29][:, :, 1] > 128).sum() < (frames[17][:, :, 1] > 128).sum() / 2


def test_effects_change_the_element_and_nothing_else(tmp_path: Path, media: Path) -> None:
    picture = still(
        tmp_path, media, image("green.png", width=20, height=10, effects=[{"type": "invert"}]),
        background_color="#ff0000",
    )  # fmt: skip

    assert close(colour(picture, 32, 18), (255, 0, 255))
    assert close(colour(picture, 2, 2), RED)


def test_chroma_key_takes_a_colour_away(tmp_path: Path, media: Path) -> None:
    settings = {"hue_min": 90, "hue_max": 150, "sat_min": 0.3, "sat_max": 1, "lum_min": 0.1, "lum_max": 0.9}
    keyed = image(effects=[{"type": "chroma_key", "chroma_settings": settings}])

    picture = still(tmp_path, media, keyed, background_color="#ff0000")

    assert close(colour(picture, 32, 18), RED)


def test_sounds_are_placed_mixed_and_in_step(tmp_path: Path, media: Path) -> None:
    sound = {"type": "audio", "source_url": at("tone.wav"), "time": 0.5, "out_point": 1}
    made = run("render", scene(image(duration=2), sound), tmp_path, media)

    with av.open(str(made.path)) as film:
        rate = film.streams.audio[0].rate
    loud = np.abs(scenes.samples(made.path)[0]) > 0.03
    first, last = np.flatnonzero(loud)[[0, -1]] / rate
    assert first == pytest.approx(0.5, abs=1 / 30)
    assert last == pytest.approx(1.5, abs=1 / 30)


def test_volume_fades_and_speed_act_on_the_sound(tmp_path: Path, media: Path) -> None:
    sound = {"type": "audio", "source_url": at("tone.wav"), "out_point": 2, "volume": 50, "fade_out_duration": 1}
    fast = {"type": "audio", "source_url": at("tone.wav"), "out_point": 2, "speed": 4}

    faded = scenes.samples(run("render", scene(image(duration=2), sound), tmp_path / "a", media).path)[0]
    quick = scenes.samples(run("render", scene(image(duration=2), fast), tmp_path / "b", media).path)[0]

    assert np.abs(faded[4800:24000]).max() == pytest.approx(0.0625, rel=0.15)
    assert np.abs(faded[72000:76800]).max() == pytest.approx(0.03, rel=0.3)
    assert np.abs(quick[30000:]).max() < 0.01


def test_many_loud_sounds_do_not_clip(tmp_path: Path, media: Path) -> None:
    loud = [{"type": "audio", "source_url": at("tone.wav"), "out_point": 1} for _ in range(30)]

    found = scenes.samples(run("render", scene(image(duration=1), *loud), tmp_path, media).path)[0]

    assert 0.7 < np.abs(found[9600:38400]).max() <= 1.0


def test_there_is_a_sound_track_only_when_something_is_heard(tmp_path: Path, media: Path) -> None:
    mute = video("red.mp4", out_point=0.2, volume=0)

    made = run("render", scene(mute), tmp_path, media)

    with av.open(str(made.path)) as film:
        assert not film.streams.audio


@pytest.mark.parametrize(
    ("format", "alpha", "codec", "pixels"),
    [
        ("mp4", False, "h264", "yuv420p"),
        ("webm", False, "vp9", "yuv420p"),
        ("webm", True, "vp9", "yuv420p"),
        ("mov", False, "h264", "yuv420p"),
        ("mov", True, "prores", "yuva444p12le"),
    ],
)
def test_every_format_has_its_codecs(
    format: str, alpha: bool, codec: str, pixels: str, tmp_path: Path, media: Path
) -> None:
    sound = {"type": "audio", "source_url": at("tone.wav"), "out_point": 0.3}
    half = image("green.png", duration=0.3, width=20, height=10)

    made = run("render", scene(half, sound, format=format, alpha=alpha), tmp_path, media)

    with av.open(str(made.path)) as film:
        track = film.streams.video[0]
        assert track.codec_context.codec.canonical_name == codec
        assert track.codec_context.pix_fmt == pixels
        assert track.codec_context.color_primaries == 1
        wanted = {"mp4": "aac", "webm": "opus", "mov": "pcm_s16le" if alpha else "aac"}[format]
        assert film.streams.audio[0].codec_context.codec.canonical_name == wanted
    assert len(made.pictures()) == 9


@pytest.mark.parametrize("format", ["webm", "mov"])
def test_alpha_films_are_transparent_where_nothing_is(format: str, tmp_path: Path, media: Path) -> None:
    small = image("green.png", duration=0.2, width=20, height=10)
    made = run("render", scene(small, format=format, alpha=True), tmp_path, media)

    over = run(
        "render",
        scene({"type": "video", "id": "v", "source_url": at(made.path.name)}, background_color="#ff0000", format="png"),
        tmp_path / "over", made.path.parent,
    )  # fmt: skip

    found = over.rgba()
    assert close(colour(found, 4, 4), RED, 8)
    assert close(colour(found, 32, 18), GREEN, 20)


def test_a_gif_moves(tmp_path: Path, media: Path) -> None:
    made = run("render", scene(video("count.mp4", out_point=1), format="gif", frame_rate=10), tmp_path, media)

    frames = made.pictures()
    assert len(frames) == 10
    assert frames[9].mean() > frames[0].mean() + 50


def test_odd_sides_are_rounded_down_in_films_and_kept_in_stills(tmp_path: Path, media: Path) -> None:
    film = run("render", scene(image(duration=0.1), width=65, height=37), tmp_path / "a", media)
    picture = run("render", scene(image(), width=65, height=37, format="png"), tmp_path / "b", media)

    assert film.pictures()[0].shape == (36, 64, 3)
    assert picture.rgba().shape == (37, 65, 4)


def test_a_background_picture_fills_the_canvas(tmp_path: Path, media: Path) -> None:
    made = run("render", scene(background_image_url=at("blue.png"), duration=0.1), tmp_path, media)

    assert (np.abs(made.pictures()[0].astype(int) - BLUE) < 12).all()


def test_progress_never_goes_back(tmp_path: Path, media: Path) -> None:
    made = run("render", scene(video("count.mp4", out_point=2)), tmp_path, media)

    told = [fraction for _, fraction in made.reports if fraction is not None]
    assert told == sorted(told)
    assert told[-1] == 1.0


@pytest.mark.parametrize(
    ("request_", "field", "error"),
    [
        ({"width": 640}, "height", Invalid),
        ({"alpha": True}, "alpha", Invalid),
        ({"elements": [video("red.mp4", in_point=2, out_point=1)]}, "elements.0.out_point", Invalid),
        ({"elements": [video("red.avi")]}, "elements.0.source_url", Invalid),
        (
            {"elements": [image(motion=[{"type": "zoom_in", "time": 0, "duration": 1, "reversed": True}])]},
            "elements.0.motion.0.reversed", Unsupported,
        ),
        (
            {"elements": [image(motion=[{"type": "fade", "time": 0, "duration": 1, "scope": "character"}])]},
            "elements.0.motion.0.scope", Invalid,
        ),
        ({"elements": [image(), image()]}, "elements.1.id", Invalid),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_with_its_field(
    request_: dict[str, Any], field: str, error: type[Invalid], tmp_path: Path, media: Path
) -> None:
    with pytest.raises(error) as refused:
        run("render", request_, tmp_path, media)

    assert refused.value.field == field


@pytest.mark.parametrize(
    ("element", "error"),
    [
        (video("red.mp4", in_point=9), RangeEmpty),
        ({"type": "audio", "source_url": at("red.mp4"), "out_point": 1}, NoSound),
        ({"type": "video", "source_url": at("lie.mp4"), "out_point": 1}, BadMedia),
        ({"type": "image", "id": "x", "duration": 1, "source_url": at("lie.png")}, BadMedia),
        (image("green.png", lut_url=at("lie.cube")), BadMedia),
    ],
)  # fmt: skip
def test_a_source_that_cannot_be_used_fails_the_task(
    element: dict[str, Any], error: type[Failed], tmp_path: Path, media: Path
) -> None:
    for name in ("lie.mp4", "lie.png", "lie.cube"):
        (media / name).write_bytes(b"not what it says" * 100)

    with pytest.raises(error):
        run("render", scene(element), tmp_path, media)
