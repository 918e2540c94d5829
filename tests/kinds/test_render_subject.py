"""The effect that blurs what is behind people, with and without the model that finds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.support import models as kept
from tests.support import vision
from tests.support.scenes import Picture, at, run
from tests.support.tools import PlainTools

from mediamill import models
from mediamill.core import compositions
from mediamill.core.compositions import Material, Render
from mediamill.engines import matting_selfie
from mediamill.engines._compose_people import Crowd
from mediamill.engines._compose_scene import Scene

FACE = (slice(44, 132), slice(56, 120))
"""Of the woman, who stands at the left edge of `ASIDE`."""
BEHIND = (slice(20, 150), slice(240, 340))
ASIDE = (slice(20, 236), slice(140, 500))


@pytest.fixture
def aside(tmp_path: Path) -> Picture:
    """A photograph whose person is not in its middle, 360 x 216, as aside.png; the same as a film of five frames."""
    photo = np.ascontiguousarray(vision.photo("astronaut")[ASIDE])
    Image.fromarray(photo).save(tmp_path / "aside.png")
    shown = [np.ascontiguousarray(np.roll(photo, number, axis=0)) for number in range(5)]
    vision.film(tmp_path / "aside.mp4", shown, *vision.H264, rate=25)
    return photo


@pytest.fixture
def person_model(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(models.SETTING, str(kept.folder("selfie_segmentation")))


@pytest.fixture
def no_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(models.SETTING, str(tmp_path / "nothing"))


def blurred(name: str, **more: Any) -> dict[str, Any]:
    """A scene of 360 x 216 with that file and the effect."""
    kind = "video" if name.endswith(".mp4") else "image"
    lasts = {"out_point": 0.2} if kind == "video" else {"id": "i", "duration": 0.2}
    effect = {"type": "camera_lens_blur_bg", "intensity": 100}
    element = {"type": kind, "source_url": at(name), "effects": [effect], **lasts, **more}
    return {"width": 360, "height": 216, "frame_rate": 25, "duration": 0.2, "elements": [element]}


def frame(request: dict[str, Any], media: Path, at_s: float = 0.0) -> Picture:
    return run("preview", {**request, "at": at_s}, media / f"scratch-{at_s}", media).rgba()[:, :, :3]


def detail(picture: Picture, part: tuple[slice, slice]) -> float:
    """How much fine structure is there."""
    return float(cv2.Laplacian(cv2.cvtColor(picture[part], cv2.COLOR_RGB2GRAY), cv2.CV_64F).std())


@pytest.mark.usefixtures("person_model")
def test_a_person_aside_stays_sharp_before_a_blurred_background(aside: Picture, tmp_path: Path) -> None:
    made = frame(blurred("aside.png"), tmp_path)

    assert detail(made, FACE) > 0.95 * detail(aside, FACE)
    assert detail(made, BEHIND) < 0.45 * detail(aside, BEHIND)


@pytest.mark.usefixtures("no_model")
def test_without_the_model_the_middle_stays_sharp(aside: Picture, tmp_path: Path) -> None:
    made = frame(blurred("aside.png"), tmp_path)

    assert detail(made, FACE) < 0.5 * detail(aside, FACE)
    middle = (slice(90, 130), slice(165, 195))
    assert np.abs(made[middle].astype(int) - aside[middle]).max() <= 2


def test_whom_only_the_network_for_wide_pictures_is_sure_of_must_show_a_face(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(models.SETTING, str(kept.folder("selfie", "face", "iris")))
    with Image.open(vision.PICTURES.parent / "faces" / "collins.jpg") as image:
        wide = np.asarray(image.crop((0, 0, 320, 180)).convert("RGB"))
    real, masks = matting_selfie._Network.by, matting_selfie._Masks()

    def by(self: matting_selfie._Network, model: str, rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        found = real(self, model, rgb)
        return found if model == matting_selfie.WIDE else np.zeros_like(found)

    monkeypatch.setattr(matting_selfie._Network, "by", by)

    seen, cup = masks(wide), masks(cv2.resize(vision.photo("cup"), (320, 180), interpolation=cv2.INTER_AREA))

    assert seen is not None
    assert (seen.shape, seen[60:90, 100:140].min(), seen[20:120, 190:].max()) == ((144, 256), 255, 0)
    assert cup is None


def test_where_nobody_is_the_middle_stays_sharp(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cup = cv2.resize(vision.photo("cup"), (360, 216), interpolation=cv2.INTER_AREA)
    Image.fromarray(cup).save(tmp_path / "cup.png")
    made = []
    for folder in (kept.folder("selfie_segmentation"), tmp_path / "nothing"):
        monkeypatch.setenv(models.SETTING, str(folder))
        made.append(frame(blurred("cup.png"), tmp_path))

    assert np.array_equal(made[0], made[1])


@pytest.mark.usefixtures("person_model")
def test_a_preview_sees_the_people_of_a_film_as_the_render_does(aside: Picture, tmp_path: Path) -> None:
    """Frame 3 after three others, and by itself."""
    film = run("render", blurred("aside.mp4"), tmp_path / "film", tmp_path).pictures()
    seen = frame(blurred("aside.mp4"), tmp_path, 3 / 25)

    assert np.abs(seen.astype(float) - film[3]).mean() < 3
    assert detail(seen, FACE) > 0.7 * detail(aside, FACE)
    assert detail(seen, BEHIND) < 0.4 * detail(aside, BEHIND)


@pytest.fixture
def flashing(tmp_path: Path) -> list[Picture]:
    """The same film with flashes so bright that nobody is found in those frames by themselves, as flashing.mp4."""
    photo = np.ascontiguousarray(vision.photo("astronaut")[ASIDE])
    flash = (photo * 0.15 + 255 * 0.85).astype(np.uint8)
    shown = [flash if number in FLASHES else photo for number in range(12)]
    vision.film(tmp_path / "flashing.mp4", shown, *vision.H264, rate=25)
    return shown


FLASHES = (0, 3, 6, 7)


@pytest.mark.usefixtures("person_model")
def test_people_found_in_some_frames_stay_sharp_in_all(flashing: list[Picture], tmp_path: Path) -> None:
    masks = matting_selfie._Masks()
    assert [number for number, picture in enumerate(flashing) if masks(picture) is None] == list(FLASHES)

    request = blurred("flashing.mp4", out_point=0.48) | {"duration": 0.48}
    plain = blurred("flashing.mp4", out_point=0.48, effects=[]) | {"duration": 0.48}

    for made, source in zip(frames(request, tmp_path), frames(plain, tmp_path), strict=True):
        assert np.abs(made[FACE].astype(int) - source[FACE]).mean() < 0.5
        assert detail(made, BEHIND) < 0.65 * detail(source, BEHIND)


@pytest.mark.usefixtures("person_model")
@pytest.mark.parametrize("number", [0, 3, 7, 11])
def test_a_preview_goes_by_the_same_frames_around_it(number: int, flashing: list[Picture], tmp_path: Path) -> None:
    request = blurred("flashing.mp4", out_point=0.48) | {"duration": 0.48}
    with drawn(request, tmp_path) as scene:
        assert np.array_equal(scene.picture(number), frames(request, tmp_path)[number])


def frames(request: dict[str, Any], media: Path) -> list[Picture]:
    """All frames of the scene, one after the other, before they are encoded."""
    with drawn(request, media) as scene:
        return [scene.canvas.picture(buffer).copy() for buffer in scene.frames(0, scene.timeline.frames)]


def drawn(request: dict[str, Any], media: Path) -> Scene:
    """The scene before it is encoded."""
    material = Material(path=media / "flashing.mp4", mime="video/mp4")
    work = Render(
        scene=compositions.parse(request),
        materials={at("flashing.mp4"): material},
        scratch=media,
        tools=PlainTools(),
        report=lambda stage, fraction=None: None,
        people=matting_selfie._Masks(),
    )
    return Scene(work)


def test_one_frame_with_somebody_among_many_without_is_a_slip() -> None:
    mask, grey = np.full((256, 256), 255, np.uint8), np.full((16, 16, 3), 90, np.uint8)
    crowd = Crowd(lambda rgb: mask if rgb[0, 0, 0] == 91 else None, reach=15)
    for step in range(31):
        crowd.see(step, grey + (step == 15))
    assert all(crowd.matte(step) is None for step in range(31))


def test_who_leaves_is_let_go_of_bit_by_bit() -> None:
    mask, grey = np.full((256, 256), 255, np.uint8), np.full((16, 16, 3), 90, np.uint8)
    crowd = Crowd(lambda rgb: mask if rgb[0, 0, 0] == 91 else None, reach=15)
    counted = []
    for step in range(75):
        crowd.see(step, grey + (step < 40))
        if step >= 15:
            counted.append(0.0 if (found := crowd.matte(step - 15)) is None else found[1])

    assert counted[:30] == [1.0] * 30
    assert counted[-3:] == [0.0] * 3
    assert max(np.abs(np.diff(counted))) < 0.25


@pytest.mark.usefixtures("person_model")
def test_one_mask_is_made_for_each_frame_and_one_for_a_still(
    aside: Picture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[int, ...]] = []
    real = matting_selfie._Masks.__call__

    def counted(self: Any, rgb: Picture) -> Any:
        asked.append(rgb.shape)
        return real(self, rgb)

    monkeypatch.setattr(matting_selfie._Masks, "__call__", counted)
    for name, count in (("aside.mp4", 5), ("aside.png", 1)):
        asked.clear()
        twice = [{"type": "camera_lens_blur_bg", "intensity": 50}] * 2
        run("render", blurred(name, effects=twice), tmp_path / f"film-{name}", tmp_path)
        assert set(asked) == {(216, 360, 3)}
        assert len(asked) == count
    asked.clear()
    run("render", blurred("aside.mp4", effects=[]), tmp_path / "plain", tmp_path)
    assert not asked
