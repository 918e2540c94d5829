"""Every pair of picture formats, with the picture that comes out looked at by a decoder that did not write it."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest
from PIL import Image
from tests.support import heic, images
from tests.support.images import GREY, INPUTS, OUTPUTS, apart, convert, engines, grey, made, mime, scene, seen

from mediamill.core import formats

PILLOW_NAMES = {"jpg": "JPEG", "jp2": "JPEG2000", "pgm": "PPM", "pbm": "PPM"}
LEVELS_OFF = 6.0
"""Lossy formats at their default quality stay within this of the scene; chroma is halved at the quarters' edges."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes")


@pytest.mark.parametrize("target", OUTPUTS)
@pytest.mark.parametrize("source", INPUTS)
def test_every_pair_keeps_the_picture(source: str, target: str, folder: Path, tmp_path: Path) -> None:
    if (source, target) == ("svg", "svg"):
        return
    original = made(folder, source)

    result = convert(original, target, tmp_path)

    assert_format(result, target)
    expected = grey(scene()) if {source, target} & GREY else scene()
    pixels = seen(result)
    if target == "ico":  # on a square, the picture in its middle
        assert pixels.shape[:2] == (160, 160)
        pixels = pixels[20:140]
    assert apart(pixels, expected) < LEVELS_OFF


def assert_format(path: Path, name: str) -> None:
    head = path.read_bytes()[:16]
    if name == "pdf":
        assert head.startswith(b"%PDF-")
    elif name == "jxl":
        assert head.startswith((b"\xff\x0a", b"\0\0\0\x0cJXL "))
    else:
        with Image.open(path) as image:
            assert image.format == PILLOW_NAMES.get(path.suffix[1:], path.suffix[1:].upper())
        if name in ("ppm", "pgm", "pbm"):
            assert head[:2] == {"ppm": b"P6", "pgm": b"P5", "pbm": b"P4"}[name]


def test_every_pair_of_the_matrix_has_an_engine() -> None:
    known = engines().conversions()

    absent = [(a, b) for a in INPUTS for b in OUTPUTS if (mime(a), mime(b)) not in known]

    assert absent == []


@pytest.mark.parametrize("name", INPUTS)
def test_a_probe_tells_size_and_codec(name: str, folder: Path) -> None:
    facts = engines().probe(made(folder, name), mime(name))

    assert (facts.width_px, facts.height_px) == (160, 120)
    assert facts.video_codec == {"avif": "av1", "heic": "hevc"}.get(name, formats.by_mime(mime(name)).names[0])


def test_a_tiled_heic_is_joined_and_turned(tmp_path: Path) -> None:
    source = heic.write(tmp_path / "phone.heic", scene(256, 192), tiles=(2, 2), quarter_turns=3)

    pixels = seen(convert(source, "png", tmp_path))
    facts = engines().probe(source, "image/heic")

    assert (facts.width_px, facts.height_px) == (192, 256)
    upright = scene(256, 192).transpose(1, 0, 2)[:, ::-1]
    assert apart(pixels, upright) < LEVELS_OFF


@pytest.mark.parametrize("target", ["png", "jpeg", "webp", "avif", "tiff", "jxl"])
@pytest.mark.parametrize("source", ["jpeg", "png", "webp", "tiff"])
@pytest.mark.parametrize("orientation", [3, 5, 6, 8])
def test_orientation_is_applied_once(orientation: int, source: str, target: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    name = tmp_path / f"turned{formats.suffix(mime(source))}"
    options = {"lossless": True} if source == "webp" else {"quality": 95} if source == "jpeg" else {}
    images.save(name, scene(), exif=exif, **options)
    # Transposes by the EXIF 2.32 table, written as array moves.
    moved = {
        3: scene()[::-1, ::-1],
        5: scene().transpose(1, 0, 2),
        6: scene().transpose(1, 0, 2)[:, ::-1],
        8: scene().transpose(1, 0, 2)[::-1],
    }[orientation]

    result = convert(name, target, tmp_path)
    pixels = seen(result)

    assert apart(pixels, moved) < LEVELS_OFF
    if target != "jxl":
        with Image.open(result) as image:
            assert image.getexif().get(0x0112, 1) == 1
    facts = engines().probe(name, mime(source))
    assert (facts.width_px, facts.height_px) == ((120, 160) if orientation > 4 else (160, 120))


def test_warnings_of_the_libraries_stay_inside(tmp_path: Path) -> None:
    source = images.save(tmp_path / "a.png", images.clear())
    with warnings.catch_warnings(record=True) as escaped:
        warnings.simplefilter("always")
        convert(source, "jpeg", tmp_path)

    assert escaped == []
