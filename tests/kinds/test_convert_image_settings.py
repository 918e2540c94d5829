"""What each setting of a picture conversion does, and what is kept without being asked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips  # type: ignore[import-untyped]
from PIL import Image, ImageCms
from tests.support import heic, images
from tests.support.images import apart, clear, convert, engines, made, mime, scene, seen

from mediamill.core import formats
from mediamill.engines._picture import Resize

LOSSY_AND_NOT = ["png", "jpeg", "webp", "avif", "gif", "tiff", "bmp", "ppm", "jp2", "jxl", "pdf"]
LEVELS_OFF = 6.0


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return images.save(tmp_path / "scene.png", scene())


@pytest.fixture(scope="module")
def wide_gamut() -> bytes:
    """An ICC profile that is not sRGB: libvips' own Display P3."""
    return bytes(
        pyvips.Image.black(1, 1, bands=3).copy(interpretation="srgb").icc_transform("p3").get("icc-profile-data")
    )


@pytest.mark.parametrize("target", LOSSY_AND_NOT)
@pytest.mark.parametrize(
    ("resize", "size"),
    [
        ({"width": 80}, (80, 60)),
        ({"height": 240}, (320, 240)),
        ({"width": 100, "height": 100}, (100, 100)),
        ({"max_width": 40, "max_height": 40}, (40, 30)),
        ({"max_width": 4000}, (160, 120)),
        ({"width": 400, "max_height": 150}, (200, 150)),
    ],
)
def test_resize_gives_the_size_the_contract_says(
    target: str, resize: dict[str, int], size: tuple[int, int], source: Path, tmp_path: Path
) -> None:
    pixels = seen(convert(source, target, tmp_path, resize=resize))

    assert pixels.shape[1::-1] == size
    expected = np.asarray(Image.fromarray(scene()).resize(size, Image.Resampling.BOX))
    assert apart(pixels, expected) < LEVELS_OFF


@pytest.mark.parametrize("name", images.INPUTS)
def test_every_input_can_be_resized(name: str, tmp_path: Path) -> None:
    pixels = seen(convert(made(tmp_path, name), "png", tmp_path, resize={"width": 80}))

    expected = np.asarray(Image.fromarray(scene()).resize((80, 60), Image.Resampling.BOX))
    expected = images.grey(expected) if name in images.GREY else expected
    assert pixels.shape[:2] == (60, 80)
    assert apart(pixels, expected) < LEVELS_OFF


def test_extreme_ratios_never_reach_zero_pixels() -> None:
    assert Resize(width=1).fit(1, 60000) == (1, 60000)
    assert Resize(max_width=10).fit(60000, 1) == (10, 1)


@pytest.mark.parametrize("target", ["jpeg", "webp", "avif", "jxl", "jp2", "pdf"])
def test_quality_trades_bytes(target: str, tmp_path: Path) -> None:
    grain = np.random.default_rng(1).normal(0, 12, (240, 320, 3))
    source = images.save(tmp_path / "grain.png", (scene(320, 240) + grain).clip(0, 255).astype(np.uint8))

    sizes = [convert(source, target, tmp_path, quality=quality).stat().st_size for quality in (20, 60, 95)]

    assert sizes == sorted(sizes)
    assert sizes[0] < 0.6 * sizes[2]


@pytest.mark.parametrize("target", ["webp", "jxl"])
def test_lossless_keeps_every_pixel(target: str, source: Path, tmp_path: Path) -> None:
    assert np.array_equal(seen(convert(source, target, tmp_path, lossless=True))[..., :3], scene())


def test_lossless_avif_is_within_a_level(source: Path, tmp_path: Path) -> None:
    pixels = seen(convert(source, "avif", tmp_path, lossless=True)).astype(int)

    assert np.abs(pixels[..., :3] - scene()).max() <= 3


@pytest.mark.parametrize("target", ["png", "webp", "avif", "tiff", "jp2", "jxl", "ico"])
@pytest.mark.parametrize("before", ["png", "webp", "tiff", "avif"])
def test_alpha_is_kept_where_the_target_has_it(before: str, target: str, tmp_path: Path) -> None:
    options: dict[str, Any] = {"webp": {"lossless": True}, "avif": {"quality": 95}}.get(before, {})
    original = images.save(tmp_path / f"clear{formats.suffix(mime(before))}", clear(), **options)

    pixels = seen(convert(original, target, tmp_path))

    rows = pixels[20:140] if target == "ico" else pixels
    assert rows[..., 3][:, :40].max() < 10
    assert rows[..., 3][:, 70:].min() > 245
    assert apart(rows[:, 80:], scene()[:, 80:]) < LEVELS_OFF


@pytest.mark.parametrize("target", ["jpeg", "bmp", "ppm", "pdf"])
def test_background_fills_what_was_see_through(target: str, tmp_path: Path) -> None:
    original = images.save(tmp_path / "clear.png", clear())

    white = seen(convert(original, target, tmp_path))[60, 20, :3]
    orange = seen(convert(original, target, tmp_path, background="#FF8000"))[60, 20, :3]

    assert np.abs(white.astype(int) - 255).max() < 6
    assert np.abs(orange.astype(int) - (255, 128, 0)).max() < 8


def test_gif_keeps_one_clear_colour(tmp_path: Path) -> None:
    with Image.open(convert(images.save(tmp_path / "clear.png", clear()), "gif", tmp_path)) as image:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]

    assert alpha[:, :50].max() == 0
    assert alpha[:, 60:].min() == 255


@pytest.mark.parametrize("target", ["png", "jpeg", "webp", "avif", "tiff"])
@pytest.mark.parametrize("before", ["png", "jpeg", "webp", "tiff", "avif"])
def test_the_profile_is_kept_and_the_metadata_goes(before: str, target: str, wide_gamut: bytes, tmp_path: Path) -> None:
    original = _tagged(tmp_path, before, wide_gamut)

    with Image.open(convert(original, target, tmp_path)) as image:
        assert image.info["icc_profile"] == wide_gamut
        assert 0x010F not in image.getexif()
        assert "xmp" not in image.info


@pytest.mark.parametrize("target", ["png", "jpeg", "webp", "avif"])
@pytest.mark.parametrize("before", ["png", "jpeg", "webp", "avif"])
def test_strip_false_keeps_exif_with_the_orientation_reset(
    before: str, target: str, wide_gamut: bytes, tmp_path: Path
) -> None:
    original = _tagged(tmp_path, before, wide_gamut, orientation=6)

    with Image.open(convert(original, target, tmp_path, strip=False)) as image:
        exif = image.getexif()
        assert image.size == (120, 160)
        assert exif[0x010F] == "Maker"
        assert exif.get(0x0112, 1) == 1


def _tagged(folder: Path, name: str, icc: bytes, orientation: int = 1) -> Path:
    exif = Image.Exif()
    exif[0x010F] = "Maker"
    exif[0x0112] = orientation
    return images.save(folder / f"tagged{formats.suffix(mime(name))}", scene(), exif=exif, icc_profile=icc)


@pytest.mark.parametrize("target", ["gif", "bmp", "ppm", "jp2", "pdf", "jxl"])
def test_targets_without_a_profile_get_srgb(target: str, wide_gamut: bytes, tmp_path: Path) -> None:
    original = images.save(tmp_path / "p3.png", scene(), icc_profile=wide_gamut)
    in_srgb = np.asarray(pyvips.Image.new_from_file(str(original)).icc_transform("srgb").numpy())

    pixels = seen(convert(original, target, tmp_path))

    assert apart(scene(), in_srgb) > 2
    assert apart(pixels, in_srgb) < min(3.0, apart(pixels, scene()))


def test_a_broken_profile_does_no_harm(tmp_path: Path) -> None:
    original = images.save(tmp_path / "bad.png", scene(), icc_profile=b"\0" * 200)

    for target in ("jpeg", "bmp", "webp", "gif"):
        assert apart(seen(convert(original, target, tmp_path)), scene()) < LEVELS_OFF


@pytest.mark.parametrize("target", ["png", "jpeg", "webp", "avif", "bmp"])
def test_press_colours_become_rgb(target: str, tmp_path: Path) -> None:
    original = tmp_path / "press.jpg"
    Image.fromarray(scene()).convert("CMYK").save(original, quality=95)

    pixels = seen(convert(original, target, tmp_path))

    assert pixels.shape[2] == 3
    assert pixels[20, 20, 0] > int(pixels[20, 20, 2]) + 20
    assert pixels[100, 20, 2] > int(pixels[100, 20, 0]) + 20


@pytest.mark.parametrize("target", ["png", "tiff"])
@pytest.mark.parametrize("before", ["png", "tiff"])
@pytest.mark.parametrize("bands", [1, 3])
def test_sixteen_bits_stay_sixteen(bands: int, before: str, target: str, tmp_path: Path) -> None:
    values = (
        np.arange(160 * 120 * bands, dtype=np.uint32).reshape(120, 160, bands) * 65535 // (160 * 120 * bands)
    ).astype(np.uint16)
    image = pyvips.Image.new_from_array(values if bands > 1 else values[..., 0])
    original = tmp_path / f"deep.{before}"
    image.copy(interpretation="rgb16" if bands > 1 else "grey16").write_to_file(str(original))

    read = pyvips.Image.new_from_file(str(convert(original, target, tmp_path))).numpy()

    assert read.dtype == np.uint16
    assert np.array_equal(read.reshape(values.shape), values)


@pytest.mark.parametrize("target", ["jpeg", "webp", "gif", "bmp", "pgm", "pdf"])
def test_sixteen_bits_are_scaled_not_clipped(target: str, tmp_path: Path) -> None:
    ramp = np.tile(np.linspace(0, 65535, 160).astype(np.uint16), (120, 1))
    original = tmp_path / "ramp.png"
    Image.fromarray(ramp).save(original)

    pixels = seen(convert(original, target, tmp_path))

    expected = np.stack([(ramp // 257).astype(np.uint8)] * 3, axis=-1)
    assert apart(pixels, expected) < 3


def test_png_optimised_is_the_same_picture_in_fewer_bytes(tmp_path: Path) -> None:
    cases = {"few.png": clear(), "photo.png": scene(400, 300), "grey.png": images.grey(scene())}
    for name, pixels in cases.items():
        original = images.save(tmp_path / name, pixels, compress_level=1)

        result = convert(original, "png", tmp_path)

        before = np.asarray(Image.open(original).convert("RGBA")).copy()
        after = np.asarray(Image.open(result).convert("RGBA")).copy()
        assert np.array_equal(before, after)
        assert result.stat().st_size < 0.9 * original.stat().st_size


@pytest.mark.parametrize(
    ("name", "options"), [("jpeg", {"quality": 98}), ("webp", {"quality": 98}), ("avif", {"quality": 95})]
)
def test_lossy_formats_shrink_in_place(name: str, options: dict[str, int], tmp_path: Path) -> None:
    grain = np.random.default_rng(1).normal(0, 6, (240, 320, 3))
    pixels = (scene(320, 240) + grain).clip(0, 255).astype(np.uint8)
    original = images.save(tmp_path / f"big{formats.suffix(mime(name))}", pixels, **options)

    assert convert(original, name, tmp_path).stat().st_size < 0.7 * original.stat().st_size


def test_ico_holds_the_usual_sizes_up_to_256(tmp_path: Path) -> None:
    original = images.save(tmp_path / "logo.png", clear(600, 600))

    with Image.open(convert(original, "ico", tmp_path)) as image:
        assert image.info["sizes"] == {(s, s) for s in (16, 24, 32, 48, 64, 128, 256)}


def test_a_tiff_of_many_pages_gives_its_first(tmp_path: Path) -> None:
    pages = [Image.fromarray(scene()), Image.new("RGB", (50, 50), "red")]
    pages[0].save(original := tmp_path / "pages.tiff", save_all=True, append_images=pages[1:])

    assert apart(seen(convert(original, "png", tmp_path)), scene()) < 1
    assert engines().probe(original, "image/tiff").pages == 2


def test_a_grey_profile_does_not_reach_a_colour_format(tmp_path: Path) -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    grey_profile = bytes(profile[:16] + b"GRAY" + profile[20:])
    original = tmp_path / "grey.png"
    Image.fromarray(scene()).convert("L").save(original, icc_profile=grey_profile)

    with Image.open(convert(original, "webp", tmp_path)) as image:
        assert "icc_profile" not in image.info


def test_heic_keeps_its_profile(wide_gamut: bytes, tmp_path: Path) -> None:
    original = heic.write(tmp_path / "photo.heic", scene(), icc=wide_gamut)

    with Image.open(convert(original, "jpeg", tmp_path)) as image:
        assert image.info["icc_profile"] == wide_gamut


def test_interlaced_png_and_progressive_jpeg_are_read(tmp_path: Path) -> None:
    woven = tmp_path / "woven.png"
    pyvips.Image.new_from_array(scene()).pngsave(str(woven), interlace=True)
    growing = images.save(tmp_path / "growing.jpg", scene(), progressive=True, quality=95)

    assert apart(seen(convert(woven, "webp", tmp_path)), scene()) < LEVELS_OFF
    assert apart(seen(convert(growing, "png", tmp_path)), scene()) < LEVELS_OFF
