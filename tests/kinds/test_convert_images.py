"""Every pair of picture formats, with the picture that comes out looked at by a decoder that did not write it."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms
from tests.support import heic, images
from tests.support.images import GREY, INPUTS, OUTPUTS, apart, convert, engines, grey, made, mime, scene, seen

from mediamill.core import formats
from mediamill.core.errors import LimitExceeded, ToolFailed
from mediamill.engines import _ffmpeg

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


def test_a_photo_of_too_many_tiles_is_named_as_such() -> None:
    said = "[vist#0:620/hevc @ 0x55] [dec:hevc @ 0x55] pthread_create() failed: Resource temporarily unavailable"

    error = _ffmpeg.named(ToolFailed("ffmpeg failed (exit status 245).", said), "image/heic", "picture")

    assert isinstance(error, LimitExceeded)
    assert str(error) == "The picture needs more threads than a task may have, one for each of its tiles."


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


@pytest.mark.parametrize("target", ["png", "jpeg", "webp", "avif"])
@pytest.mark.parametrize("damage", ["no header", "cut short", "a word for a number"])
def test_what_a_photo_says_of_itself_may_be_damaged(damage: str, target: str, tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x011A] = 72.0
    block = exif.tobytes()
    block = {
        "no header": b"Exif\0\0" + b"\xff" * 40,
        "cut short": block[:-6],
        "a word for a number": block.replace(b"\x01\x1a\0\x05", b"\x01\x1a\0\x02"),
    }[damage]
    assert block != exif.tobytes()
    source = images.save(tmp_path / "photo.jpg", scene(), exif=block, quality=95)

    assert apart(seen(convert(source, target, tmp_path)), scene()) < LEVELS_OFF


def test_a_damaged_photo_that_says_how_it_is_turned_is_turned(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112], exif[0x011A] = 6, 72.0
    block = exif.tobytes().replace(b"\x01\x1a\0\x05", b"\x01\x1a\0\x02")
    source = images.save(tmp_path / "photo.jpg", scene(), exif=block, quality=95)

    pixels = seen(convert(source, "webp", tmp_path))

    assert apart(pixels, scene().transpose(1, 0, 2)[:, ::-1]) < LEVELS_OFF


@pytest.mark.parametrize("target", ["png", "jpeg", "tiff"])
@pytest.mark.parametrize("kind", ["Lab", "planes in tiles"])
def test_a_tiff_that_libvips_cannot_read_is_read_by_pillow(kind: str, target: str, tmp_path: Path) -> None:
    source = tmp_path / "scene.tiff"
    if kind == "Lab":
        lab = ImageCms.profileToProfile(
            Image.fromarray(scene()), ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB"), outputMode="LAB"
        )
        assert lab is not None
        lab.save(source)
    else:
        source.write_bytes(planes_in_tiles(scene()))

    assert apart(seen(convert(source, target, tmp_path)), scene()) < LEVELS_OFF


def planes_in_tiles(pixels: images.Pixels, side: int = 80) -> bytes:
    """A TIFF whose colours lie apart, in uncompressed tiles: TIFF 6.0, sections 8 and 15. side: divisible by 16."""
    height, width, colours = pixels.shape
    tiles = [
        np.pad(part, ((0, side - part.shape[0]), (0, side - part.shape[1]))).tobytes()
        for colour in range(colours)
        for top in range(0, height, side)
        for part in (pixels[top : top + side, left : left + side, colour] for left in range(0, width, side))
    ]
    count, entries = len(tiles), 11
    lists_at = 8 + 2 + 12 * entries + 4
    data_at = lists_at + 6 + 8 * count
    long, short = 4, 3
    told = [
        (256, long, 1, width),
        (257, long, 1, height),
        (258, short, 3, lists_at),
        (259, short, 1, 1),
        (262, short, 1, 2),
        (277, short, 1, colours),
        (284, short, 1, 2),
        (322, long, 1, side),
        (323, long, 1, side),
        (324, long, count, lists_at + 6),
        (325, long, count, lists_at + 6 + 4 * count),
    ]
    directory = b"".join(struct.pack("<HHII", *entry) for entry in told)
    places = [data_at + at * side * side for at in range(count)]
    lists = struct.pack(f"<3H{count}I{count}I", 8, 8, 8, *places, *[side * side] * count)
    return struct.pack("<2sHIH", b"II", 42, 8, entries) + directory + bytes(4) + lists + b"".join(tiles)


def test_warnings_of_the_libraries_stay_inside(tmp_path: Path) -> None:
    source = images.save(tmp_path / "a.png", images.clear())
    with warnings.catch_warnings(record=True) as escaped:
        warnings.simplefilter("always")
        convert(source, "jpeg", tmp_path)

    assert escaped == []
