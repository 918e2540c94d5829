"""The kind `remove_background`, on photographs and on films made of them."""

from __future__ import annotations

import hashlib
import re
import shutil
from dataclasses import replace
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.support import models as kept
from tests.support import vision
from tests.support.av import ffmpeg
from tests.support.tools import PlainTools
from tests.support.vision import Bytes, film, photo, red_network, run

from mediamill import engines, models
from mediamill.core.errors import BadMedia, NoSubject, NoVideo, ToolFailed, Unsupported
from mediamill.core.matting import PictureCut
from mediamill.engines import _matting, _matting_picture, matting_selfie, matting_things
from mediamill.kinds import Context, Input, remove_background

PERSON = vision.PICTURES / "astronaut.jpg"
CUP = vision.PICTURES / "cup.jpg"
WIDE = "selfie_segmentation_landscape"
FAR = "face_detection_full_range"
PEOPLE = ("selfie_segmentation", WIDE, "face_detection_short_range", FAR, "face_landmark", "iris_landmark")


@pytest.fixture(autouse=True)
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder of the test's own, with the models for people."""
    folder = tmp_path / "models"
    folder.mkdir()
    for model in PEOPLE:
        name = models.manifest()[model].file
        shutil.copy(kept.folder(*PEOPLE) / name, folder / name)
    monkeypatch.setenv(models.SETTING, str(folder))
    return folder


@pytest.fixture(scope="module")
def cutout(tmp_path_factory: pytest.TempPathFactory) -> Bytes:
    """The person of the photograph, cut out by the kind, (384, 384, 4)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(models.SETTING, str(kept.folder(*PEOPLE)))
        done = run("remove_background", PERSON, tmp_path_factory.mktemp("cutout") / "scratch")
    with Image.open(done.path) as image:
        return np.asarray(image.resize((240, 240), Image.Resampling.LANCZOS))


def scene(cutout: Bytes, number: int, left: int) -> tuple[Bytes, Bytes]:
    """The person before a wall with shelves and grain, and where they are."""
    y, x = np.mgrid[0:240, 0:400].astype(np.float64)
    wall = (
        np.stack([150 + x / 10, 160 + y / 8, 175 - x / 12], -1) - 40.0 * ((y // 40 % 3 == 2) & (y % 40 < 6))[..., None]
    )
    alpha = np.zeros((240, 400))
    alpha[:, left : left + 240] = cutout[..., 3] / 255
    front = np.zeros((240, 400, 3))
    front[:, left : left + 240] = cutout[..., :3]
    grain = np.random.default_rng(number).normal(0, 3, (240, 400, 1))
    shown = front * alpha[..., None] + wall * (1 - alpha[..., None]) + grain
    return np.clip(shown, 0, 255).astype(np.uint8), (alpha * 255).astype(np.uint8)


def test_a_person_is_cut_out_of_a_picture_with_hair_and_suit(tmp_path: Path) -> None:
    done = run("remove_background", PERSON, tmp_path / "scratch")

    with Image.open(done.path) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (512, 512))
        cut = np.asarray(image)
    alpha = cut[..., 3]
    for x, y in ((240, 100), (200, 60), (250, 60), (230, 330), (150, 450), (420, 480)):  # face, hair, suit, helmet
        assert alpha[y, x] == 255, (x, y)
    for x, y in ((20, 20), (300, 30), (400, 60), (490, 200), (120, 60), (330, 120)):  # flag, wall, shuttle
        assert alpha[y, x] == 0, (x, y)
        assert tuple(cut[y, x, :3]) == (0, 0, 0)
    assert 0.50 < alpha.mean() / 255 < 0.60
    # the edge of the hair is soft, and not a stair of the network's 256 pixels
    assert 0.005 < ((alpha > 10) & (alpha < 245)).mean() < 0.05
    assert done.details["engine"] == "mediapipe-selfie"
    assert (done.details["licence"], done.details["quality"]) == ("Apache-2.0", "full")
    assert done.filename == "astronaut.png"
    assert done.fractions == sorted(done.fractions)
    assert done.fractions[-1] == 1.0


def headshot(folder: Path, aspect: float) -> Path:
    """Somebody close to the camera before a blue wall, in a picture that many times as wide as high."""
    path = folder / "headshot.png"
    with Image.open(vision.PICTURES.parent / "faces" / "collins.jpg") as image:
        image.crop((0, 0, 320, round(320 / aspect))).save(path)
    return path


def test_a_wide_picture_is_seen_by_the_network_for_wide_ones(own_models: Path, tmp_path: Path) -> None:
    """The other one sees faces squeezed there, and takes the wall beside a neck for a part of somebody."""
    source = headshot(tmp_path, 16 / 9)

    def walls(folder: str) -> tuple[float, bool]:
        done = run("remove_background", source, tmp_path / folder)
        with Image.open(done.path) as image:
            return float(np.asarray(image)[60:170, 225:, 3].mean()) / 255, WIDE in done.details["model"].split(", ")

    assert walls("wide") == (pytest.approx(0, abs=0.01), True)
    (own_models / models.manifest()[WIDE].file).unlink()
    share, wide = walls("square")
    assert (share > 0.1, wide) == (True, False)


@pytest.mark.parametrize(("aspect", "wide"), [(1.5, True), (1.25, True), (1.1, False)])
def test_what_counts_as_wide(aspect: float, wide: bool, tmp_path: Path) -> None:
    done = run("remove_background", headshot(tmp_path, aspect), tmp_path / "scratch")

    assert (WIDE in done.details["model"].split(", ")) is wide


def far_off(cutout: Bytes, folder: Path) -> tuple[Path, Bytes]:
    """Somebody a sixth as high as the picture, before a wall with a shelf, and where."""
    small = Image.fromarray(cutout).resize((72, 72), Image.Resampling.LANCZOS)
    y, x = np.mgrid[0:432, 0:768]
    wall = Image.fromarray(np.stack([150 + x / 20, 160 + y / 16, 175 - x / 24], -1).astype(np.uint8))
    wall.paste((95, 70, 50), (0, 120, 300, 132))
    wall.paste(small, (380, 360), small)
    wall.save(folder / "far.png")
    truth = Image.new("L", wall.size)
    truth.paste(small.getchannel("A"), (380, 360))
    return folder / "far.png", np.asarray(truth)


def test_somebody_far_off_is_somebody(own_models: Path, cutout: Bytes, tmp_path: Path) -> None:
    source, truth = far_off(cutout, tmp_path)

    done = run("remove_background", source, tmp_path / "scratch")

    assert done.details["engine"] == "mediapipe-selfie"
    with Image.open(done.path) as image:
        assert vision.overlap(np.asarray(image)[..., 3], truth) > 0.8
    (own_models / models.manifest()[FAR].file).unlink()
    assert run("remove_background", source, tmp_path / "without").details["engine"] == "u2netp"


def test_a_thing_is_cut_out_as_a_best_effort_that_says_so(tmp_path: Path) -> None:
    done = run("remove_background", CUP, tmp_path / "scratch")

    with Image.open(done.path) as image:
        alpha = np.asarray(image)[..., 3]
    assert (done.details["engine"], done.details["quality"]) == ("u2netp", "best_effort")
    assert (done.details["model"], done.details["model_licence"]) == ("u2netp", "Apache-2.0")
    for x, y in ((250, 110), (180, 60), (330, 80), (240, 190), (80, 200)):  # coffee, both rims, wall, saucer
        assert alpha[y, x] == 255, (x, y)
    for x, y in ((25, 25), (20, 120), (380, 20)):  # the table
        assert alpha[y, x] == 0, (x, y)
    assert 0.45 < alpha.mean() / 255 < 0.7
    assert done.fractions == sorted(done.fractions)


def test_a_thing_that_moves_is_cut_out_of_a_film(tmp_path: Path) -> None:
    with Image.open(run("remove_background", CUP, tmp_path / "cut").path) as image:
        cup = np.asarray(image.crop((40, 0, 400, 300)).resize((120, 100), Image.Resampling.LANCZOS)).astype(float)
    pictures, truths = [], []
    for number in range(6):
        picture, truth = np.full((180, 320, 3), (70, 110, 140), float), np.zeros((180, 320))
        place = slice(40, 140), slice(40 + 16 * number, 160 + 16 * number)
        picture[place] += (cup[..., :3] - picture[place]) * cup[..., 3:] / 255
        truth[place] = cup[..., 3]
        pictures.append(picture.astype(np.uint8))
        truths.append(truth.astype(np.uint8))

    done = run("remove_background", film(tmp_path / "in.mp4", pictures), tmp_path / "scratch")

    made = vision.frames(done.path)
    assert (done.details["engine"], done.details["frames_with_subject"], len(made)) == ("u2netp", 6, 6)
    shares = [vision.overlap(one[..., 3], truth) for one, truth in zip(made, truths, strict=True)]
    assert min(shares) > 0.85, shares


def test_what_has_no_face_is_nobody(tmp_path: Path) -> None:
    """The network for people takes the cup before a plain wall for somebody's head, as it does cats."""
    with Image.open(run("remove_background", CUP, tmp_path / "cut").path) as image:
        wall = Image.new("RGB", (320, 180), (70, 110, 140))
        cup = image.crop((40, 0, 400, 300)).resize((120, 100), Image.Resampling.LANCZOS)
    wall.paste(cup, (60, 40), cup)
    wall.save(tmp_path / "in.png")
    cut = PictureCut(source=tmp_path / "in.png", target=tmp_path / "out.png", report=lambda *_: None)

    matting_selfie.Selfie().picture(cut)
    with pytest.raises(NoSubject):
        matting_selfie.Selfie().picture(replace(cut, others=True))
    assert run("remove_background", tmp_path / "in.png", tmp_path / "scratch").details["engine"] == "u2netp"


@pytest.mark.parametrize(("lost", "kept_below"), [(0.5, True), (0.1, False)])
def test_a_closer_look_that_loses_much_of_what_was_seen_is_not_taken(
    lost: float, kept_below: bool, tmp_path: Path
) -> None:
    picture = np.full((400, 400, 3), 255, np.uint8)
    picture[100:300, 150:250] = 40
    Image.fromarray(picture).save(tmp_path / "in.png")
    looks: list[int] = []

    def look(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        """What is dark, but for its lowest part when it is looked at alone."""
        mask = (rgb.mean(axis=2) < 0.5).astype(np.float32)
        looks.append(len(mask))
        if len(looks) > 1:
            rows = np.flatnonzero(mask.any(axis=1))
            mask[rows[-1] - round(lost * len(rows)) :] = 0
        return mask

    made = PictureCut(source=tmp_path / "in.png", target=tmp_path / "out.png", report=lambda *_: None)
    _matting_picture.cut(made, look)

    with Image.open(made.target) as image:
        alpha = np.asarray(image)[..., 3]
    assert len(looks) == 2
    assert alpha[150, 200] == 255
    assert (alpha[290, 200] > 200) == kept_below


def test_the_network_for_things_is_the_one_the_notice_names() -> None:
    notice = (Path(__file__).parents[2] / "NOTICE").read_text()

    assert hashlib.sha256(matting_things.MODEL.read_bytes()).hexdigest() in notice


@pytest.mark.parametrize("colour", ["white", (20, 90, 140)])
def test_a_picture_of_one_colour_has_nothing_to_cut_out(colour: str, tmp_path: Path) -> None:
    Image.new("RGB", (200, 150), colour).save(tmp_path / "flat.png")
    with pytest.raises(NoSubject):
        run("remove_background", tmp_path / "flat.png", tmp_path / "scratch")


def test_the_transparency_that_a_picture_has_stays(tmp_path: Path) -> None:
    pixels = np.dstack([photo("astronaut"), np.full((512, 512), 255, np.uint8)])
    pixels[:, :260, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "half.png")
    with Image.open(run("remove_background", tmp_path / "half.png", tmp_path / "scratch").path) as image:
        alpha = np.asarray(image)[..., 3]
    assert alpha[:, :260].max() == 0
    assert alpha[330, 300] == 255


def test_a_moving_person_is_cut_out_of_a_film(cutout: Bytes, tmp_path: Path) -> None:
    lefts = [round(80 + 60 * np.sin(number / 6)) for number in range(30)]
    shown = [scene(cutout, number, left) for number, left in enumerate(lefts)]
    source = film(tmp_path / "in.mp4", [picture for picture, _ in shown], sound=True)

    done = run("remove_background", source, tmp_path / "scratch")

    made = vision.frames(done.path)
    assert (done.filename, done.details["frames"], len(made)) == ("in.webm", 30, 30)
    assert made[0].shape == (240, 400, 4)
    assert vision.rate(done.path) == 25
    assert vision.sounds(done.path)[0] == pytest.approx(1.2, abs=0.05)
    shares = [vision.overlap(picture[..., 3], truth) for picture, (_, truth) in zip(made, shown, strict=True)]
    assert min(shares) > 0.88, shares
    with av.open(str(done.path)) as container:
        assert (
            container.streams.video[0].metadata.get("alpha_mode", container.streams.video[0].metadata.get("ALPHA_MODE"))
            == "1"
        )
    # far from anybody nothing of the wall is left to be seen, not even by players that know no transparency
    assert max(picture[:40, 380:, 3].max() for picture in made) == 0
    assert max(int(picture[:40, 380:, :3].max()) for picture in made) < 12


def test_edges_stand_still_where_the_film_does(cutout: Bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    still = [scene(cutout, number, 80)[0] for number in range(14)]
    source = film(tmp_path / "in.mp4", still)

    def flicker(folder: str) -> float:
        made = vision.frames(run("remove_background", source, tmp_path / folder, format="mov").path)[2:]
        alphas = np.stack([picture[..., 3].astype(float) for picture in made])
        edge = (alphas.min(0) < 250) & (alphas.max(0) > 5)
        return float(np.abs(np.diff(alphas, axis=0))[:, edge].mean())

    steady = flicker("steady")
    monkeypatch.setattr(_matting.Steady, "HOLD", 0.0)
    trembling = flicker("trembling")

    assert steady < 3.0
    assert steady < 0.6 * trembling


def test_mov_is_prores_with_transparency_and_moved_sound(cutout: Bytes, tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", [scene(cutout, n, 80)[0] for n in range(6)], sound=True)
    done = run("remove_background", source, tmp_path / "scratch", format="mov")
    with av.open(str(done.path)) as container:
        video, audio = container.streams.video[0], container.streams.audio[0]
        assert (video.codec_context.name, video.profile) == ("prores", "4444")
        assert audio.codec_context.name == "aac"
    made = vision.frames(done.path)
    assert (done.filename, len(made)) == ("in.mov", 6)
    assert made[3][120, 200, 3] == 255
    assert made[3][10, 390, 3] == 0


def test_png_of_a_film_is_its_first_picture(cutout: Bytes, tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", [scene(cutout, n, 80)[0] for n in range(6)])
    done = run("remove_background", source, tmp_path / "scratch", format="png")
    with Image.open(done.path) as image:
        assert (image.format, image.mode, image.size) == ("PNG", "RGBA", (400, 240))
        assert vision.overlap(np.asarray(image)[..., 3], scene(cutout, 0, 80)[1]) > 0.88
    assert done.filename == "in.png"


def test_a_film_without_anything_fails(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "color=0x305070:s=160x120:r=10:d=1", *vision.H264, tmp_path / "in.mp4")
    with pytest.raises(NoSubject) as caught:
        run("remove_background", tmp_path / "in.mp4", tmp_path / "scratch")
    assert caught.value.code == "no_subject_found"


def test_somebody_who_comes_late_is_seen_at_a_glance(cutout: Bytes, tmp_path: Path) -> None:
    empty, person = scene(np.zeros_like(cutout), 1, 80)[0], scene(cutout, 1, 80)[0]
    source = film(tmp_path / "in.mp4", [empty] * 24 + [person] * 3, "-g", "3")

    done = run("remove_background", source, tmp_path / "scratch")

    assert done.details["engine"] == "mediapipe-selfie"
    assert done.details["frames_with_subject"] in (3, 4)


@pytest.mark.parametrize("degrees", [90, 180, 270])
def test_somebody_in_a_turned_film_is_seen_at_a_glance(degrees: int, cutout: Bytes, tmp_path: Path) -> None:
    upright = scene(cutout, 1, 80)[0]
    lying = np.ascontiguousarray(np.rot90(upright, -degrees // 90))
    flat = film(tmp_path / "flat.mp4", [lying] * 4)
    ffmpeg("-display_rotation", str(degrees), "-i", flat, "-c", "copy", tmp_path / "in.mp4")

    done = run("remove_background", tmp_path / "in.mp4", tmp_path / "scratch")

    made = vision.frames(done.path)
    assert (done.details["engine"], made[0].shape) == ("mediapipe-selfie", (240, 400, 4))
    assert vision.overlap(made[2][..., 3], scene(cutout, 1, 80)[1]) > 0.88


def test_progress_of_a_film_follows_its_pictures(cutout: Bytes, tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", [scene(cutout, n, 80)[0] for n in range(40)])
    said = run("remove_background", source, tmp_path / "scratch").fractions
    assert said == sorted(said)
    steps = [fraction for fraction in said if 0.02 < fraction < 1.0]
    assert len(steps) == 40
    assert max(abs(fraction - (number + 1) / 40) for number, fraction in enumerate(steps)) <= 0.05


@pytest.mark.parametrize("side", [32, "side"])
def test_the_operators_network_comes_first(own_models: Path, side: int | str, tmp_path: Path) -> None:
    red_network(own_models / "matting" / "my-u2net.onnx", side=side)
    (own_models / "matting" / "my-u2net.json").write_text(
        '{"mean": [0, 0, 0], "std": [1, 1, 1], "side": 32, "licence": "CC0-1.0"}'
    )
    pixels = np.full((120, 160, 3), (90, 120, 160), np.uint8)
    pixels[30:90, 40:120] = (230, 20, 30)
    Image.fromarray(pixels).save(tmp_path / "red.png")

    done = run("remove_background", tmp_path / "red.png", tmp_path / "scratch")

    assert (done.details["engine"], done.details["model"]) == ("onnx-matting", "my-u2net")
    assert (done.details["model_licence"], done.details["provider"]) == ("CC0-1.0", "CPU")
    with Image.open(done.path) as image:
        alpha = np.asarray(image)[..., 3]
    assert alpha[60, 80] == 255
    assert alpha[5, 5] == 0
    assert alpha[36:84, 46:114].min() > 240  # the coarse mask follows the picture's own edge
    assert alpha[:24].max() < 16


def test_the_operators_network_does_films_and_may_answer_before_its_last_step(own_models: Path, tmp_path: Path) -> None:
    red_network(own_models / "matting" / "birefnet-tiny.onnx", logits=True)
    pictures = []
    for number in range(8):
        picture = np.full((96, 128, 3), (90, 120, 160), np.uint8)
        picture[30:70, 20 + 4 * number : 60 + 4 * number] = (230, 20, 30)
        pictures.append(picture)
    done = run("remove_background", film(tmp_path / "in.mp4", pictures), tmp_path / "scratch")
    made = vision.frames(done.path)
    assert (len(made), done.details["frames_with_subject"]) == (8, 8)
    for number, picture in enumerate(made):
        assert picture[50, 40 + 4 * number, 3] > 230
        assert picture[10, 10, 3] < 16


@pytest.mark.parametrize("content", [b"no network", b""])
def test_a_file_that_is_no_network_is_named(own_models: Path, content: bytes, tmp_path: Path) -> None:
    (own_models / "matting").mkdir()
    (own_models / "matting" / "broken.onnx").write_bytes(content)
    with pytest.raises(ToolFailed, match="broken"):
        run("remove_background", PERSON, tmp_path / "scratch")


def test_a_network_of_another_shape_is_named(own_models: Path, tmp_path: Path) -> None:
    vision.doubling_network(own_models / "matting" / "doubling.onnx", side=64)
    with pytest.raises(ToolFailed, match=re.escape("doubling")):
        run("remove_background", PERSON, tmp_path / "scratch")


def test_what_has_no_picture_is_refused(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", tmp_path / "in.mp3")
    with pytest.raises(Unsupported):
        run("remove_background", tmp_path / "in.mp3", tmp_path / "scratch")
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", tmp_path / "in.m4a")
    (tmp_path / "in.m4a").rename(tmp_path / "in.mp4")
    with pytest.raises(NoVideo):
        run("remove_background", tmp_path / "in.mp4", tmp_path / "scratch")


def test_a_picture_does_not_become_a_film(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="format"):
        run("remove_background", PERSON, tmp_path / "scratch", format="webm")


def test_nor_does_one_of_which_only_the_bytes_tell_that_it_is_a_picture(tmp_path: Path) -> None:
    given = Input(path=PERSON, mime="image/jpeg", filename="download")
    context = Context(inputs=[given], scratch=tmp_path, engines=engines.open(PlainTools()), report=lambda *_: None)

    with pytest.raises(Unsupported, match="a picture becomes png; mov is for films"):
        remove_background.KIND.run(context, remove_background.Options(format="mov"))


@pytest.mark.parametrize("name", ["in.mp4", "in.png"])
def test_bytes_that_are_something_else_are_bad_media(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind" * 200)
    with pytest.raises(BadMedia):
        run("remove_background", tmp_path / name, tmp_path / "scratch")


def test_without_the_model_for_people_all_are_things_and_the_remedy_is_named(own_models: Path, tmp_path: Path) -> None:
    (own_models / models.manifest()["selfie_segmentation"].file).unlink()
    missing = matting_selfie.Selfie().missing()
    assert missing is not None
    assert missing.remedy == "Run `mediamill models fetch`."
    assert run("remove_background", PERSON, tmp_path / "scratch").details["engine"] == "u2netp"
