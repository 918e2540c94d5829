"""Pictures made to break, to mislead or to exhaust: refused by name, quickly, and never followed elsewhere."""

from __future__ import annotations

import contextlib
import gzip
import signal
import struct
import subprocess
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.support import images
from tests.support.images import INPUTS, convert, engines, made, mime, seen

from mediamill.core import formats
from mediamill.core.errors import BadMedia, Failed, LimitExceeded
from mediamill.engines import _picture, _picture_convert

RASTER = [name for name in INPUTS if name != "svg"]


def chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width: int, height: int, *extra: bytes, depth: int = 8, colour: int = 2, body: bytes = b"") -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0))
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(extra) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("target", ["png", "webp", "jpeg"])
@pytest.mark.parametrize("name", [name for name in RASTER if name != "ico"])
def test_a_file_cut_in_half_is_bad_media(name: str, target: str, tmp_path: Path) -> None:
    whole = made(tmp_path, name).read_bytes()
    cut = tmp_path / f"cut{formats.suffix(mime(name))}"
    cut.write_bytes(whole[: len(whole) // 2])

    with pytest.raises(BadMedia):
        convert(cut, target, tmp_path)


@pytest.mark.parametrize("name", INPUTS)
def test_noise_under_any_name_is_bad_media(name: str, tmp_path: Path) -> None:
    noise = tmp_path / f"noise{formats.suffix(mime(name))}"
    noise.write_bytes(np.random.default_rng(7).bytes(4000))

    with pytest.raises(BadMedia):
        convert(noise, "png", tmp_path)
    with pytest.raises(BadMedia):
        engines().probe(noise, mime(name))


@pytest.mark.parametrize("name", INPUTS)
def test_an_empty_file_is_bad_media(name: str, tmp_path: Path) -> None:
    empty = tmp_path / f"empty{formats.suffix(mime(name))}"
    empty.write_bytes(b"")

    with pytest.raises(BadMedia):
        convert(empty, "jpeg", tmp_path)


@pytest.mark.parametrize("name", RASTER)
def test_flipped_bytes_never_escape_as_anything_but_a_failure(name: str, tmp_path: Path) -> None:
    whole = made(tmp_path, name).read_bytes()
    random = np.random.default_rng(3)
    hurt_path = tmp_path / f"hurt{formats.suffix(mime(name))}"
    for _ in range(4 if name in ("heic", "jxl") else 12):
        hurt = bytearray(whole)
        for at in random.integers(0, len(hurt), 12):
            hurt[at] = int(random.integers(0, 256))
        hurt_path.write_bytes(hurt)
        with warnings.catch_warnings(record=True) as escaped:
            warnings.simplefilter("always")
            with contextlib.suppress(Failed):
                convert(hurt_path, "png", tmp_path)
        assert escaped == []


@pytest.mark.parametrize("name", ["png", "jpeg", "gif", "webp", "tiff", "bmp"])
@pytest.mark.parametrize("inside", ["png", "jpeg", "svg", "heic"])
def test_a_file_of_another_type_is_not_read(name: str, inside: str, tmp_path: Path) -> None:
    if name == inside:
        return
    disguised = tmp_path / f"disguised{formats.suffix(mime(name))}"
    disguised.write_bytes(made(tmp_path, inside).read_bytes())

    with pytest.raises(BadMedia):
        convert(disguised, "webp", tmp_path)


@pytest.mark.parametrize(("width", "height"), [(30000, 30000), (65000, 65000), (2**31 - 1, 1), (1, 2**31 - 1)])
@pytest.mark.parametrize("target", ["png", "jpeg", "webp", "jxl"])
def test_a_picture_of_too_many_pixels_is_refused_by_its_header(
    width: int, height: int, target: str, tmp_path: Path
) -> None:
    bomb = tmp_path / "bomb.png"
    bomb.write_bytes(png(width, height, body=zlib.compress(b"\0" * 1000)))

    with pytest.raises(Failed):
        convert(bomb, target, tmp_path)
    if width * height > _picture.MAX_PIXELS:
        with pytest.raises(LimitExceeded):
            engines().probe(bomb, "image/png")


def test_a_resize_to_too_many_pixels_is_refused(tmp_path: Path) -> None:
    thin = images.save(tmp_path / "thin.png", np.zeros((2000, 1, 3), np.uint8))

    with pytest.raises(LimitExceeded):
        convert(thin, "png", tmp_path, resize={"width": 16384})


@pytest.mark.parametrize(("target", "longest"), [("webp", 16383), ("jpeg", 65500)])
def test_a_side_longer_than_the_format_holds_is_named(target: str, longest: int, tmp_path: Path) -> None:
    long = images.save(tmp_path / "long.png", np.zeros((2, longest + 2, 3), np.uint8))

    with pytest.raises(LimitExceeded, match=str(longest)):
        convert(long, target, tmp_path)


def test_a_side_longer_than_the_format_holds_is_refused_before_the_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = images.save(tmp_path / "small.png", np.zeros((10, 10, 3), np.uint8))
    for step in ("_while_telling", "write"):
        monkeypatch.setattr(_picture_convert, step, lambda *_: pytest.fail("it was made first"))

    with pytest.raises(LimitExceeded, match="16383"):
        convert(small, "webp", tmp_path, resize={"width": 16384, "height": 16384})


def test_a_side_of_65000_is_converted(tmp_path: Path) -> None:
    long = images.save(tmp_path / "long.png", np.full((3, 65000, 3), 120, np.uint8))

    assert seen(convert(long, "jpeg", tmp_path)).shape == (3, 65000, 3)
    assert seen(convert(long, "webp", tmp_path, resize={"max_width": 16000})).shape[1] == 16000


def test_a_text_chunk_that_unpacks_without_end_does_no_harm(tmp_path: Path) -> None:
    text = chunk(b"zTXt", b"bomb\0\0" + zlib.compress(b"a" * 80_000_000, 9))
    rows = zlib.compress((b"\0" + b"\x50" * 30) * 10)
    bomb = tmp_path / "text.png"
    bomb.write_bytes(png(10, 10, text, text, body=rows))

    for target in ("png", "webp", "jpeg"):
        try:
            convert(bomb, target, tmp_path)
        except BadMedia:
            continue


def test_an_animation_of_too_many_pixels_is_refused_before_decoding(tmp_path: Path) -> None:
    frame = Image.new("P", (4000, 4000))
    frame.putpalette([0, 0, 0, 9, 9, 9])
    bomb = tmp_path / "bomb.gif"
    frame.save(bomb)
    one = bomb.read_bytes()
    start = one.index(b"\x2c")  # the only picture block, repeated
    bomb.write_bytes(one[:start] + one[start:-1] * 90 + b";")

    for target in ("gif", "webp"):
        with pytest.raises(LimitExceeded):
            convert(bomb, target, tmp_path)


def test_an_svg_leads_nowhere_else(tmp_path: Path) -> None:
    secret = images.save(tmp_path / "secret.png", np.full((40, 40, 3), (255, 0, 0), np.uint8))
    for link in (str(secret), f"file://{secret}", "secret.png", "http://127.0.0.1:9/x.png"):
        drawing = tmp_path / "leak.svg"
        drawing.write_text(
            f"""<?xml version="1.0"?><!DOCTYPE svg [<!ENTITY x SYSTEM "{secret}">]>
            <svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="40" height="40">
            <rect width="40" height="40" fill="white"/>
            <image width="40" height="40" xlink:href="{link}"/><image width="40" height="40" href="{link}"/>
            <filter id="f"><feImage href="{link}"/></filter><rect width="40" height="40" filter="url(#f)" fill="white"/>
            </svg>"""
        )

        pixels = seen(convert(drawing, "png", tmp_path, background="#FFFFFF"))

        assert not ((pixels[..., 0] > 200) & (pixels[..., 1] < 80) & (pixels[..., 3] > 0)).any()


@pytest.mark.parametrize(
    "text",
    [
        "<svg",
        "<html/>",
        '<!DOCTYPE s [<!ENTITY a "aaaaaaaaaa">'
        + "".join(f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9))
        + ']><svg xmlns="http://www.w3.org/2000/svg">&j;</svg>',
        f'<svg xmlns="http://www.w3.org/2000/svg">{"<g>" * 20_000}{"</g>" * 20_000}</svg>',
    ],
)
def test_a_broken_svg_is_bad_media(text: str, tmp_path: Path) -> None:
    drawing = tmp_path / "bad.svg"
    drawing.write_text(text)

    with pytest.raises(BadMedia):
        convert(drawing, "png", tmp_path)


def test_a_drawing_that_asks_for_years_ends_the_process_that_draws_it(tmp_path: Path) -> None:
    code = """
import sys
from pathlib import Path
from types import SimpleNamespace
from mediamill.engines import svg
from mediamill.engines._picture import Resize

svg.MOST_CPU_S = 1
for source in sys.argv[1:]:
    svg.to_png(SimpleNamespace(source=Path(source), scratch=Path(source).parent), Resize())
    print("drawn", flush=True)
"""
    filters = '<feTurbulence baseFrequency=".01" numOctaves="9"/>' * 50
    for name, drawn in (("quick", "<rect/>"), ("slow", f'<filter id="f">{filters}</filter><rect filter="url(#f)"/>')):
        drawn = drawn.replace("<rect", '<rect width="4000" height="4000"')
        svg = f'<svg xmlns="http://www.w3.org/2000/svg" width="4000" height="4000">{drawn}</svg>'
        (tmp_path / f"{name}.svg").write_text(svg)

    argv = [sys.executable, "-c", code, str(tmp_path / "quick.svg"), str(tmp_path / "slow.svg")]
    said = subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=False)

    assert (said.stdout, said.returncode) == ("drawn\n", -signal.SIGXCPU)


def test_a_huge_svg_is_refused_and_drawn_when_resized(tmp_path: Path) -> None:
    drawing = tmp_path / "huge.svg"
    drawing.write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" width="9e5" height="9e5"><rect width="9e5" height="9e5"/></svg>'
    )

    with pytest.raises(LimitExceeded):
        convert(drawing, "png", tmp_path)
    assert seen(convert(drawing, "png", tmp_path, resize={"width": 64})).shape[:2] == (64, 64)


def test_a_packed_svg_is_drawn_and_a_packed_bomb_refused(tmp_path: Path) -> None:
    drawing = tmp_path / "packed.svg"
    drawing.write_bytes(gzip.compress(b'<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"/>'))
    assert seen(convert(drawing, "png", tmp_path)).shape[:2] == (10, 20)

    drawing.write_bytes(gzip.compress(b"<svg>" + b" " * 40_000_000))
    with pytest.raises(LimitExceeded):
        convert(drawing, "png", tmp_path)
