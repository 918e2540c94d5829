"""Pictures that previews are: PNG packed in stripes, read back by others."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image
from tests.support import vision

from mediamill.engines import _compose_still, image_probe


@pytest.mark.parametrize("size", [(1, 1), (3, 17), (640, 361)])
@pytest.mark.parametrize("channels", [3, 4])
def test_a_picture_packed_in_stripes_is_read_as_it_was(size: tuple[int, int], channels: int) -> None:
    pixels = cv2.resize(vision.photo("cat"), size)
    if channels == 4:
        pixels = cv2.cvtColor(pixels, cv2.COLOR_RGB2RGBA)
        pixels[:, : size[0] // 2, 3] = 100

    packed = _compose_still.png(pixels.astype(np.uint8))

    assert np.array_equal(np.asarray(Image.open(io.BytesIO(packed))), pixels)
    again = cv2.imdecode(np.frombuffer(packed, np.uint8), cv2.IMREAD_UNCHANGED)
    assert again is not None
    assert np.array_equal(cv2.cvtColor(again, cv2.COLOR_BGR2RGB if channels == 3 else cv2.COLOR_BGRA2RGBA), pixels)


def test_how_a_png_is_turned_is_found_before_and_behind_its_pixels(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    plain, turned, behind = (tmp_path / f"{name}.png" for name in ("plain", "turned", "behind"))
    picture = Image.new("RGB", (40, 20), "red")
    picture.save(plain)
    picture.save(turned, exif=exif)
    data = turned.read_bytes()
    start = data.index(b"eXIf") - 4
    chunk = data[start : start + 12 + int.from_bytes(data[start : start + 4], "big")]
    without = data.replace(chunk, b"")
    behind.write_bytes(without[:-12] + chunk + without[-12:])

    found = [image_probe.PROBER.probe(path, "image/png") for path in (plain, turned, behind)]

    assert [(one.width_px, one.height_px) for one in found] == [(40, 20), (20, 40), (20, 40)]
