"""The kind `super_resolution`: pictures against the originals they were made smaller from, and films."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.support import models as kept
from tests.support import vision
from tests.support.av import ffmpeg
from tests.support.vision import Bytes, doubling_network, film, photo, run

from mediamill import models
from mediamill.core.errors import BadMedia, LimitExceeded, NoVideo, ToolFailed, Unavailable, Unsupported
from mediamill.core.upscaling import enlarged
from mediamill.engines import _upscale_tiles
from mediamill.engines._upscale_tiles import Network
from mediamill.kinds import super_resolution


@pytest.fixture(autouse=True)
def own_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A models folder of the test's own, with waifu2x."""
    folder = tmp_path / "models"
    folder.mkdir()
    source = kept.folder("waifu2x")
    for name, model in models.manifest().items():
        if name.startswith("waifu2x"):
            shutil.copy(source / model.file, folder / model.file)
    monkeypatch.setenv(models.SETTING, str(folder))
    return folder


def crop(name: str, side: int = 192) -> Bytes:
    whole = photo(name)
    left = (whole.shape[1] - side) // 2
    return whole[20 : 20 + side, left : left + side]


def smaller(path: Path, picture: Bytes, scale: float) -> Path:
    size = round(picture.shape[1] / scale), round(picture.shape[0] / scale)
    Image.fromarray(picture).resize(size, Image.Resampling.BICUBIC).save(path)
    return path


def opened(path: Path) -> Bytes:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("name", ["astronaut", "cup", "cat"])
def test_a_photograph_comes_nearer_to_its_original_than_by_stretching(name: str, tmp_path: Path) -> None:
    original = crop(name)
    small = smaller(tmp_path / "small.png", original, 2)

    done = run("super_resolution", small, tmp_path / "scratch")

    made = opened(done.path)
    with Image.open(small) as image:
        stretched = np.asarray(image.resize((192, 192), Image.Resampling.LANCZOS))
    assert (done.details["engine"], done.details["quality"]) == ("waifu2x-photo", "best")
    assert (done.details["licence"], done.details["model"]) == ("MIT", "waifu2x_photo")
    assert made.shape == original.shape
    assert vision.ssim(original, made) > vision.ssim(original, stretched) + 0.002
    assert vision.gmsd(original, made) < vision.gmsd(original, stretched)
    assert done.fractions == sorted(done.fractions)
    assert done.fractions[-1] == 1.0


@pytest.mark.parametrize(("scale", "size"), [(1, (60, 45)), (1.5, (90, 68)), (2.7, (162, 122)), (4, (240, 180))])
@pytest.mark.parametrize("quality", ["fast", "best"])
def test_every_fraction_gives_its_size(scale: float, size: tuple[int, int], quality: str, tmp_path: Path) -> None:
    Image.fromarray(photo("cat")[40:85, 60:120]).save(tmp_path / "small.png")
    done = run("super_resolution", tmp_path / "small.png", tmp_path / "scratch", scale=scale, quality=quality)
    with Image.open(done.path) as image:
        assert image.size == size
    assert (done.details["width_px"], done.details["height_px"]) == size
    assert (done.details["scale"], done.filename) == (scale, "small.png")


def test_a_jpeg_stays_one_and_loses_its_blocks(tmp_path: Path) -> None:
    original = crop("cat")
    size = (96, 96)
    Image.fromarray(original).resize(size, Image.Resampling.BICUBIC).save(tmp_path / "small.jpg", quality=80)
    done = run("super_resolution", tmp_path / "small.jpg", tmp_path / "scratch")
    with Image.open(done.path) as image, Image.open(tmp_path / "small.jpg") as small:
        assert image.format == "JPEG"
        stretched = np.asarray(small.resize((192, 192), Image.Resampling.LANCZOS))
        assert vision.ssim(original, np.asarray(image)) > vision.ssim(original, stretched)
    assert done.details["model"] == "waifu2x_photo_noise0"
    assert done.filename == "small.jpg"


def test_transparency_grows_along(tmp_path: Path) -> None:
    pixels = np.dstack([photo("cup")[:64, :64], np.full((64, 64), 255, np.uint8)])
    pixels[:, :32, 3] = 0
    Image.fromarray(pixels).save(tmp_path / "half.png")
    for quality in ("fast", "best"):
        done = run("super_resolution", tmp_path / "half.png", tmp_path / quality, quality=quality)
        with Image.open(done.path) as image:
            alpha = np.asarray(image)[..., 3]
        assert alpha.shape == (128, 128)
        assert alpha[:, :56].max() == 0
        assert alpha[:, 72:].min() == 255


def test_tiles_leave_no_seam() -> None:
    seen: list[int] = []

    def blur(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
        import cv2

        seen.append(rgb.shape[0] * rgb.shape[1])
        return np.asarray(cv2.resize(cv2.blur(rgb, (5, 5), borderType=cv2.BORDER_REFLECT), None, fx=2, fy=2))

    picture = photo("astronaut")[:150, :211]
    whole = _upscale_tiles.once(picture, Network(blur, 2, 8, 1000))
    seen.clear()
    tiled = _upscale_tiles.once(picture, Network(blur, 2, 8, 48))
    fixed = _upscale_tiles.once(picture, Network(blur, 2, 8, 48, fixed=True))
    assert np.abs(whole.astype(int) - tiled).max() <= 1
    assert np.abs(whole.astype(int) - fixed).max() <= 1
    assert max(seen) <= 64 * 64  # so much is in the network at once, whatever the picture's size


def moved(count: int, side: int = 96) -> list[Bytes]:
    """A photograph that pans."""
    return [photo("astronaut")[40 : 40 + side, 150 + 2 * n : 150 + 2 * n + side] for n in range(count)]


@pytest.mark.parametrize(("quality", "engine"), [("fast", "lanczos"), ("best", "waifu2x-photo")])
def test_a_film_keeps_rate_length_and_sound(quality: str, engine: str, tmp_path: Path) -> None:
    originals = moved(12, 128)
    small = [np.asarray(Image.fromarray(p).resize((64, 64), Image.Resampling.BICUBIC)) for p in originals]
    source = film(tmp_path / "in.mp4", small, rate=24, sound=True)

    done = run("super_resolution", source, tmp_path / "scratch", quality=quality)

    made = vision.frames(done.path)
    assert (done.filename, done.details["engine"], done.details["frames"]) == ("in.mp4", engine, 12)
    assert len(made) == 12
    assert made[0].shape == (128, 128, 4)
    assert vision.rate(done.path) == 24
    assert vision.sounds(done.path)[0] == pytest.approx(0.5, abs=0.05)
    likeness = [vision.ssim(a, b) for a, b in zip(originals, made, strict=True)]
    assert min(likeness) > (0.84 if quality == "fast" else 0.86), likeness
    assert done.fractions == sorted(done.fractions)
    assert done.fractions[-1] == 1.0


def test_the_best_way_shows_more_of_a_film_than_the_fast_one(tmp_path: Path) -> None:
    originals = moved(4, 160)
    small = [np.asarray(Image.fromarray(p).resize((80, 80), Image.Resampling.BICUBIC)) for p in originals]
    source = film(tmp_path / "in.mp4", small)
    found = {
        quality: np.mean(
            [
                vision.ssim(a, b)
                for a, b in zip(
                    originals,
                    vision.frames(run("super_resolution", source, tmp_path / quality, quality=quality).path),
                    strict=True,
                )
            ]
        )
        for quality in ("fast", "best")
    }
    assert found["best"] > found["fast"] + 0.002, found


def test_sides_of_films_are_the_nearest_even_numbers(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", moved(3, 64))
    for scale, side in ((1.4, 90), (1.55, 100), (1.0, 64)):
        made = vision.frames(run("super_resolution", source, tmp_path / str(side), scale=scale, quality="fast").path)
        assert made[0].shape[:2] == (side, side)
    assert enlarged(101, 75, 1.0, even=True) == (100, 76)
    assert enlarged(101, 75, 1.5) == (152, 112)


def test_pictures_that_come_as_they_like_keep_their_times(tmp_path: Path) -> None:
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=64x48:r=60:d=1", "-vf", r"select='lt(mod(n\,7)\,2)'", "-fps_mode", "vfr"),
        *(*vision.H264, tmp_path / "in.mp4"),
    )
    for quality in ("fast", "best"):
        done = run("super_resolution", tmp_path / "in.mp4", tmp_path / quality, quality=quality)
        assert vision.times(done.path) == pytest.approx(vision.times(tmp_path / "in.mp4"), abs=0.002), quality


def test_a_webm_stays_one_with_its_transparency(tmp_path: Path) -> None:
    pictures = [
        np.dstack([p, np.where(np.arange(64) < 32, 0, 255)[None].repeat(64, 0)]).astype(np.uint8) for p in moved(3, 64)
    ]
    raw = tmp_path / "in.raw"
    raw.write_bytes(b"".join(picture.tobytes() for picture in pictures))
    ffmpeg(
        *("-f", "rawvideo", "-pix_fmt", "rgba", "-s", "64x64", "-r", "10", "-i", raw, "-c:v", "libvpx-vp9"),
        *("-pix_fmt", "yuva420p", "-auto-alt-ref", "0", "-crf", "10", "-b:v", "0", tmp_path / "in.webm"),
    )
    for quality in ("fast", "best"):
        done = run("super_resolution", tmp_path / "in.webm", tmp_path / quality, quality=quality)
        made = vision.frames(done.path)
        assert (done.filename, made[0].shape) == ("in.webm", (128, 128, 4))
        assert made[1][:, :52, 3].max() < 16
        assert made[1][:, 76:, 3].min() > 239


def test_auto_takes_the_fast_way_where_the_best_would_take_too_long_and_says_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = film(tmp_path / "in.mp4", moved(6, 64))
    assert run("super_resolution", source, tmp_path / "short").details["quality"] == "best"
    monkeypatch.setattr(super_resolution, "PATIENCE_S", 0.01)
    done = run("super_resolution", source, tmp_path / "long")
    assert (done.details["engine"], done.details["quality"]) == ("lanczos", "fast")
    assert "quality best asks for it" in done.details["chosen_because"]


def test_without_models_auto_stretches_and_best_is_refused_with_the_remedy(own_models: Path, tmp_path: Path) -> None:
    shutil.rmtree(own_models)
    smaller(tmp_path / "small.png", crop("cup", 64), 1)
    assert run("super_resolution", tmp_path / "small.png", tmp_path / "scratch").details["engine"] == "lanczos"
    with pytest.raises(Unavailable, match="mediamill models fetch"):
        run("super_resolution", tmp_path / "small.png", tmp_path / "scratch", quality="best")


@pytest.mark.parametrize(("side", "factor"), [(48, 2), ("side", 3)])
def test_the_operators_network_comes_first(own_models: Path, side: int | str, factor: int, tmp_path: Path) -> None:
    doubling_network(own_models / "upscaling" / "tiny.onnx", side=side, factor=factor)
    (own_models / "upscaling" / "tiny.json").write_text(json.dumps({"rim": 4, "licence": "CC0-1.0"}))
    picture = photo("cat")[:70, :90]
    Image.fromarray(picture).save(tmp_path / "small.png")

    done = run("super_resolution", tmp_path / "small.png", tmp_path / "scratch", scale=factor)

    assert (done.details["engine"], done.details["model"]) == ("onnx-upscaling", "tiny")
    assert (done.details["model_licence"], done.details["provider"]) == ("CC0-1.0", "CPU")
    assert (opened(done.path) == picture.repeat(factor, 0).repeat(factor, 1)).all()


@pytest.mark.parametrize("told", ['{"tile": 4000}', '{"rim": -1}', "no JSON", "[]"])
def test_what_is_wrong_about_the_operators_network_is_named(own_models: Path, told: str, tmp_path: Path) -> None:
    doubling_network(own_models / "upscaling" / "tiny.onnx")
    (own_models / "upscaling" / "tiny.json").write_text(told)
    with pytest.raises(ToolFailed, match="tiny"):
        run("super_resolution", smaller(tmp_path / "small.png", crop("cup", 32), 1), tmp_path / "scratch")


def test_pictures_too_large_are_refused_before_any_work(tmp_path: Path) -> None:
    Image.new("L", (9000, 3000)).save(tmp_path / "large.png")
    with pytest.raises(LimitExceeded, match="36000 x 12000"):
        run("super_resolution", tmp_path / "large.png", tmp_path / "scratch", scale=4)


def test_what_has_no_picture_is_refused(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", tmp_path / "in.mp3")
    with pytest.raises(Unsupported):
        run("super_resolution", tmp_path / "in.mp3", tmp_path / "scratch")
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", tmp_path / "in.m4a")
    (tmp_path / "in.m4a").rename(tmp_path / "in.mp4")
    with pytest.raises(NoVideo):
        run("super_resolution", tmp_path / "in.mp4", tmp_path / "scratch")
    with pytest.raises(Unsupported, match="quality"):
        run("super_resolution", tmp_path / "in.mp4", tmp_path / "scratch", quality="restore")


@pytest.mark.parametrize("name", ["in.mp4", "in.png", "in.jpg"])
def test_bytes_that_are_something_else_are_bad_media(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"nothing of the kind" * 200)
    with pytest.raises(BadMedia):
        run("super_resolution", tmp_path / name, tmp_path / "scratch")


def test_a_film_that_lies_on_its_side_comes_upright(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=64x48:r=25:d=0.2", *vision.H264, tmp_path / "flat.mp4")
    ffmpeg("-display_rotation", "90", "-i", tmp_path / "flat.mp4", "-c", "copy", tmp_path / "in.mp4")
    for quality in ("fast", "best"):
        done = run("super_resolution", tmp_path / "in.mp4", tmp_path / quality, quality=quality)
        with av.open(str(done.path)) as container:
            frame = next(container.decode(video=0))
            assert (frame.width, frame.height, round(frame.rotation) % 360) == (96, 128, 0)
