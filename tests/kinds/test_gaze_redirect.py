"""The kind `gaze_redirect` on a face whose eyes were averted before: they come back, and nothing else moves."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from tests.support import av, voices
from tests.support import models as kept
from tests.support.av import ffmpeg

from mediamill import models
from mediamill.core.errors import NoFace, NoVideo, Unsupported
from mediamill.engines import _face, gaze
from mediamill.engines import open as open_engines
from mediamill.engines._frames import Frame, picture
from mediamill.engines.av_probe import PROBER
from mediamill.kinds import Hint, gaze_redirect

Pixels = NDArray[np.uint8]
FACE = Path(__file__).parent.parent / "media" / "faces" / "collins.jpg"
WIDTH, HEIGHT = 640, 480
AVERTED = 0.9
"""In radii of the iris: as far as eyes go when they read beside the camera."""


@pytest.fixture(scope="module", autouse=True)
def networks() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(models.SETTING, str(kept.folder(*_face.MODELS)))
        yield


@pytest.fixture(scope="module")
def straight() -> Pixels:
    """The portrait as a raw picture; she looks at the camera."""
    seen = cv2.imread(str(FACE))
    assert seen is not None
    return planes(np.asarray(cv2.resize(seen, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8))


def planes(bgr: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2YUV_I420), np.uint8).reshape(-1)


def luma(flat: Pixels) -> Pixels:
    return flat.reshape(HEIGHT * 3 // 2, WIDTH)[:HEIGHT]


def face_of(flat: Pixels) -> _face.Face:
    there = picture(flat, "yuv420p", WIDTH, HEIGHT).planes
    [face] = _face.Reader().read(lambda square, side: _face.patch(there, square, side), WIDTH, HEIGHT)
    return face


def averted(flat: Pixels, radii: float) -> Pixels:
    """The picture with both irises moved to the right."""
    made = flat.copy()
    for eye in face_of(flat).eyes:
        move = gaze._Move(eye, radii * eye.radius, 0.0)
        given, target = picture(flat, "yuv420p", WIDTH, HEIGHT), picture(made, "yuv420p", WIDTH, HEIGHT)
        gaze._moved(given.planes, target.planes, move)
    return made


def aside(flat: Pixels) -> float:
    """How far the irises are from the middle between the corners, in widths of the eye; right is positive."""
    ways = []
    for seen in face_of(flat).eyes:
        eye, contrast = gaze._looked_at(seen, luma(flat))
        assert contrast > 0
        ways.append(float((eye.iris - eye.corners.mean(axis=0)) @ eye.axis) / eye.width)
    return float(np.mean(ways))


def redirected(frames: Sequence[Pixels], intensity: float = 1.0, rate: float = 30.0) -> list[Pixels]:
    film = gaze._Film(intensity, rate)
    made = []
    for number, flat in enumerate(frames):
        target = np.zeros_like(flat)
        frame = Frame(
            number,
            number / rate,
            picture(flat, "yuv420p", WIDTH, HEIGHT),
            picture(target, "yuv420p", WIDTH, HEIGHT),
        )
        film.find(frame)
        film.draw(frame)
        made.append(target)
    return made


@pytest.mark.parametrize(("radii", "left"), [(AVERTED, 0.45), (-AVERTED, 0.45), (0.5, 0.75)])
def test_averted_eyes_come_back_by_most_of_the_way(straight: Pixels, radii: float, left: float) -> None:
    """A pixel or two are what cannot be told; of a small way they are more."""
    away = averted(straight, radii)
    rest = aside(straight)

    [back] = redirected([away])
    [half] = redirected([away], intensity=0.5)

    gone = aside(away) - rest
    assert abs(gone) > 0.05
    assert abs(aside(back) - rest) < left * abs(gone)
    assert abs(aside(back) - rest) < abs(aside(half) - rest) < abs(gone)


def test_nothing_but_what_lies_between_the_lids_changes(straight: Pixels) -> None:
    away = averted(straight, AVERTED)

    [back] = redirected([away])

    between = np.zeros((HEIGHT, WIDTH), np.uint8)
    for eye in face_of(away).eyes:
        cv2.fillPoly(between, [np.round(eye.lids).astype(np.int32)], 255)
    near = cv2.dilate(between, np.ones((5, 5), np.uint8))
    changed = luma(back) != luma(away)
    assert changed.any()
    assert not (changed & (near == 0)).any()


def test_intensity_zero_leaves_every_pixel_alone(straight: Pixels) -> None:
    away = averted(straight, AVERTED)

    assert (redirected([away], intensity=0.0)[0] == away).all()


def test_eyes_that_look_at_the_camera_hardly_move(straight: Pixels) -> None:
    [kept] = redirected([straight])

    assert abs(aside(kept) - aside(straight)) < 0.04


def test_a_still_face_in_noise_keeps_its_gaze(straight: Pixels) -> None:
    random = np.random.default_rng(7)
    away = averted(straight, AVERTED).astype(np.int16)
    noisy = [np.clip(away + random.normal(0, 4, away.shape), 16, 235).astype(np.uint8) for _ in range(24)]

    ways = [aside(frame) for frame in redirected(noisy)[6:]]
    before = [aside(frame) for frame in noisy[6:]]

    assert float(np.std(ways)) < max(0.012, 1.3 * float(np.std(before)))


def test_eyes_behind_dark_glasses_are_left_alone(straight: Pixels) -> None:
    dark = np.asarray(cv2.cvtColor(straight.reshape(HEIGHT * 3 // 2, WIDTH), cv2.COLOR_YUV2BGR_I420), np.uint8)
    for eye in face_of(straight).eyes:
        x, y = (int(at) for at in eye.corners.mean(axis=0))
        cv2.ellipse(dark, (x, y), (int(eye.width), int(0.6 * eye.width)), 0, 0, 360, (20, 20, 20), -1)
    flat = planes(dark)

    assert (redirected([flat])[0] == flat).all()


def test_thin_rims_of_glasses_stay_and_the_eyes_behind_them_come_back(straight: Pixels) -> None:
    away = averted(straight, AVERTED)
    seen = np.asarray(cv2.cvtColor(away.reshape(HEIGHT * 3 // 2, WIDTH), cv2.COLOR_YUV2BGR_I420), np.uint8)
    rims = np.zeros((HEIGHT, WIDTH), np.uint8)
    for eye in face_of(straight).eyes:
        x, y = (int(at) for at in eye.corners.mean(axis=0))
        for onto, colour in ((seen, (30, 25, 25)), (rims, (255,))):
            cv2.ellipse(onto, (x, y), (int(0.8 * eye.width), int(0.55 * eye.width)), 0, 0, 360, colour, 2, cv2.LINE_AA)
    glasses = planes(seen)

    [back] = redirected([glasses])

    assert abs(aside(back) - aside(straight)) < 0.5 * abs(aside(glasses) - aside(straight))
    assert (luma(back)[rims > 0] == luma(glasses)[rims > 0]).all()


def test_eyes_that_would_become_streaks_are_left_alone(straight: Pixels) -> None:
    """As they do in a picture of few pixels made large, where nothing is as sharp as what was pushed together."""
    away = averted(straight, 1.2)
    seen = cv2.cvtColor(away.reshape(HEIGHT * 3 // 2, WIDTH), cv2.COLOR_YUV2BGR_I420)
    few = cv2.resize(seen, (WIDTH // 5, HEIGHT // 5), interpolation=cv2.INTER_AREA)
    coarse = planes(np.asarray(cv2.resize(few, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC), np.uint8))

    def farthest(flat: Pixels) -> float:
        moves = gaze._Film(1.0, 30)._moves(face_of(flat), luma(flat), 0.0)
        return max((abs(move.x) / move.eye.radius for move in moves), default=0.0)

    assert farthest(away) > 0.8
    assert farthest(coarse) < 0.2


def test_shut_eyes_and_faces_from_the_side_are_left_alone(straight: Pixels) -> None:
    away = averted(straight, AVERTED)
    face = face_of(away)
    middles = [eye.corners.mean(axis=0) for eye in face.eyes]
    shut = [
        replace(eye, lids=((eye.lids - middle) * [1, 0.25] + middle).astype(np.float32))
        for eye, middle in zip(face.eyes, middles, strict=True)
    ]
    points = face.points.copy()
    points[454, 2] += 1.5 * (points[454, 0] - points[234, 0])

    assert gaze._Film(1.0, 30)._moves(face, luma(away), 0.0)
    assert not gaze._Film(1.0, 30)._moves(replace(face, eyes=(shut[0], shut[1])), luma(away), 0.0)
    assert not gaze._Film(1.0, 30)._moves(replace(face, points=points), luma(away), 0.0)


def narrowed(eye: _face.Eye, share: float) -> _face.Eye:
    """The eye, its lids a share as far apart."""
    middle = eye.corners.mean(axis=0)
    return replace(eye, lids=((eye.lids - middle) * [1, share] + middle).astype(np.float32))


def test_an_eye_that_is_shut_or_disagrees_holds_the_other_back(straight: Pixels) -> None:
    """A wink, a hand over one eye, a lash taken for an iris: eyes look together, or are left alone together."""
    away = averted(straight, AVERTED)
    face = face_of(away)
    left, right = face.eyes
    one_sided = straight.copy()
    for eye, radii in zip(face_of(straight).eyes, (0.9, -0.9), strict=True):
        move = gaze._Move(eye, radii * eye.radius, 0.0)
        planes_of = [picture(flat, "yuv420p", WIDTH, HEIGHT).planes for flat in (straight, one_sided)]
        gaze._moved(planes_of[0], planes_of[1], move)

    assert len(gaze._Film(1.0, 30)._moves(face, luma(away), 0.0)) == 2
    assert not gaze._Film(1.0, 30)._moves(replace(face, eyes=(narrowed(left, 0.25), right)), luma(away), 0.0)
    assert not gaze._Film(1.0, 30)._moves(replace(face, eyes=(left, narrowed(right, 0.25))), luma(away), 0.0)
    assert not gaze._Film(1.0, 30)._moves(face_of(one_sided), luma(one_sided), 0.0)


def test_eyes_that_look_down_through_half_lowered_lids_are_left_alone(straight: Pixels) -> None:
    """The lids went down with the iris; above it there is skin."""
    eye = face_of(straight).eyes[0]
    half = narrowed(eye, 0.25 / eye.openness)
    up, level = np.array([0.05, -0.08]), np.array([0.05, 0.0])

    assert gaze._believed(half, 40.0, level) > 0.9
    assert gaze._believed(half, 40.0, up) < 0.1
    assert gaze._believed(narrowed(eye, 0.36 / eye.openness), 40.0, up) > 0.9


def write(path: Path, frames: Sequence[Pixels], *, rate: int = 25) -> Path:
    """A film with a tone, of raw pictures."""
    raw = path.with_suffix(".yuv")
    raw.write_bytes(b"".join(frame.tobytes() for frame in frames))
    pictures = ("-f", "rawvideo", "-pix_fmt", "yuv420p", "-s", f"{WIDTH}x{HEIGHT}", "-r", str(rate), "-i", raw)
    sound = ("-f", "lavfi", "-i", f"sine=440:duration={len(frames) / rate}")
    av.ffmpeg(*pictures, *sound, "-c:v", "libx264", "-crf", "12", "-preset", "ultrafast", "-c:a", "aac", path)
    return path


def test_a_film_keeps_its_size_rate_length_and_sound(straight: Pixels, tmp_path: Path) -> None:
    away = averted(straight, AVERTED)
    source = write(tmp_path / "speaker.mp4", [away] * 30)

    done = voices.run("gaze_redirect", gaze_redirect.Options(), source, "video/mp4", tmp_path / "work")

    [output] = done.result.outputs
    before, after = PROBER.probe(source, "video/mp4"), PROBER.probe(output.path, "video/mp4")
    assert (after.width_px, after.height_px, after.frame_rate) == (before.width_px, before.height_px, before.frame_rate)
    assert abs((after.duration_s or 0) - (before.duration_s or 0)) < av.FRAME_S
    assert abs(av.pitch_hz(output.path) - 440) < 3
    assert (output.mime, output.filename) == ("video/mp4", "speaker.mp4")
    assert done.result.details["engine"] == "gaze-warp"
    assert (done.result.details["frames"], done.result.details["redirected"]) == (30, 30)
    frames = av.frames(output.path)
    assert len(frames) == 30
    shown = np.asarray(frames[20].to_ndarray(format="yuv420p"), np.uint8).reshape(-1)
    assert abs(aside(shown) - aside(straight)) < 0.5 * abs(aside(away) - aside(straight))
    given = np.asarray(av.frames(source)[20].to_ndarray(format="yuv420p"), np.uint8).reshape(-1)
    off = (luma(shown).astype(np.float64) - luma(given))[_elsewhere(away)]
    assert 10 * np.log10(255**2 / np.square(off).mean()) > 46
    fractions = [fraction for _, fraction in done.reports if fraction is not None]
    assert fractions == sorted(fractions)
    assert json.dumps(done.result.details)


def _elsewhere(flat: Pixels) -> NDArray[np.bool_]:
    """Where no eye is."""
    seen = np.ones((HEIGHT, WIDTH), np.uint8)
    for eye in face_of(flat).eyes:
        x, y = (int(at) for at in eye.corners.mean(axis=0))
        cv2.circle(seen, (x, y), int(eye.width), 0, -1)
    return np.asarray(seen > 0)


@pytest.mark.parametrize("side", [64, 192])
@pytest.mark.parametrize("square", [_face.Square(320, 240, 90, 0.3), _face.Square(300, 260, 420, -0.1)])
def test_a_patch_of_planes_is_the_patch_of_the_picture(straight: Pixels, square: _face.Square, side: int) -> None:
    """Against the whole picture made red, green and blue, made small by area, and turned."""
    rgb = cv2.cvtColor(straight.reshape(HEIGHT * 3 // 2, WIDTH), cv2.COLOR_YUV2RGB_I420)
    scale = side / square.side
    around = cv2.getRotationMatrix2D((square.x, square.y), np.degrees(square.turn), 1.0)
    turned = cv2.warpAffine(rgb, around, (WIDTH, HEIGHT), flags=cv2.INTER_CUBIC)
    half = square.side / 2
    cut = turned[round(square.y - half) : round(square.y + half), round(square.x - half) : round(square.x + half)]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    plain = np.asarray(cv2.resize(cut, (side, side), interpolation=way), np.float32) / 255

    made = _face.patch(picture(straight, "yuv420p", WIDTH, HEIGHT).planes, square, side)

    assert float(np.abs(made - plain).mean()) < 0.02
    assert abs(float((made - plain).mean())) < 0.004


def test_a_patch_beside_the_picture_is_black(straight: Pixels) -> None:
    square = _face.Square(WIDTH * 3.0, HEIGHT * 3.0, 300)

    made = _face.patch(picture(straight, "yuv420p", WIDTH, HEIGHT).planes, square, 64)

    assert made.shape == (64, 64, 3)
    assert float(made.max()) < 0.01


def test_a_film_without_a_face_says_so(tmp_path: Path) -> None:
    empty = planes(np.full((HEIGHT, WIDTH, 3), 90, np.uint8))
    source = write(tmp_path / "wall.mp4", [empty] * 8)

    with pytest.raises(NoFace) as refused:
        voices.run("gaze_redirect", gaze_redirect.Options(), source, "video/mp4", tmp_path / "work")

    assert refused.value.code == "no_face_detected"


def test_a_pattern_that_looks_like_a_face_for_a_moment_is_none(tmp_path: Path) -> None:
    source = tmp_path / "pattern.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=4", "-c:v", "libx264", "-qp", "0", source)

    with pytest.raises(NoFace):
        voices.run("gaze_redirect", gaze_redirect.Options(), source, "video/mp4", tmp_path / "work")


@pytest.mark.parametrize("mime", ["image/png", "audio/flac"])
def test_what_is_no_film_is_refused_at_once(mime: str, tmp_path: Path) -> None:
    engines: Any = open_engines(None)  # type: ignore[arg-type]  # it starts no program
    with pytest.raises(Unsupported, match="no film"):
        gaze_redirect.KIND.check(gaze_redirect.Options(), [Hint(mime=mime)], engines)
    with pytest.raises(NoVideo):
        voices.run("gaze_redirect", gaze_redirect.Options(), FACE, mime, tmp_path / "work")
