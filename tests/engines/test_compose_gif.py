"""GIFs of compositions: what is stored is what was drawn, as near as 255 colours a frame come to it."""

from __future__ import annotations

import io
from collections.abc import Sequence

import av
import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.support import vision

from mediamill.engines import _compose_gif

Picture = NDArray[np.uint8]


def written(pictures: Sequence[Picture], rate: int = 10) -> bytes:
    stream = io.BytesIO()
    high, wide = pictures[0].shape[:2]
    with _compose_gif.Writer(stream, (wide, high), rate) as writer:
        for picture in pictures:
            writer.write(picture)
        writer.finish()
    return stream.getvalue()


def read(data: bytes) -> list[Picture]:
    """Every frame as players show it, with its transparency."""
    with Image.open(io.BytesIO(data)) as image:
        found = []
        for number in range(getattr(image, "n_frames", 1)):
            image.seek(number)
            found.append(np.array(image.convert("RGBA")))
        return found


def solid(picture: NDArray[np.uint8]) -> Picture:
    return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGB2RGBA), np.uint8)


def photo(name: str, size: tuple[int, int] = (160, 120)) -> Picture:
    return solid(np.asarray(cv2.resize(vision.photo(name), size, interpolation=cv2.INTER_AREA), np.uint8))


def flat(colour: tuple[int, int, int, int], size: tuple[int, int] = (40, 30)) -> Picture:
    return np.full((size[1], size[0], 4), colour, np.uint8)


def test_few_colours_are_kept_as_they_are() -> None:
    picture = flat((13, 77, 201, 255))
    for number in range(250):
        picture[number // 40, number % 40] = number, 255 - number, (7 * number) % 256, 255
    moved = np.roll(picture, 3, axis=0)

    assert all(map(np.array_equal, read(written([picture, moved, picture])), [picture, moved, picture]))


@pytest.mark.parametrize("name", ["cat", "astronaut", "cup"])
def test_photographs_keep_their_light(name: str) -> None:
    picture = photo(name, (320, 240))
    [shown] = read(written([picture]))

    assert vision.ssim(picture[:, :, :3], shown[:, :, :3]) >= 0.99
    assert np.abs(cv2.blur(picture, (5, 5)).astype(int) - cv2.blur(shown, (5, 5))).mean() < 1.5


def test_what_is_said_to_be_shown_is_what_players_show() -> None:
    pictures = [photo("cat") for _ in range(7)]
    for number, picture in enumerate(pictures):
        picture[10 * number : 10 * number + 40, 30:90] = photo("astronaut")[40:80, 20:80]
    pictures[4][:20, :30] = 0
    pictures[5][40:50, 60:90] = 20, 12, 4, 90
    seen = _compose_gif.Shown()

    for picture, there in zip(pictures, read(written(pictures)), strict=True):
        assert np.array_equal(seen(picture), there)


def test_what_stands_still_takes_nothing_and_never_flickers() -> None:
    still = photo("cat")
    pictures = []
    for number in range(8):
        picture = still.copy()
        picture[100:110, 10 * number : 10 * number + 10] = 255, 0, 0, 255
        pictures.append(picture)
    data = written(pictures)
    shown = read(data)

    assert all(np.array_equal(shown[0][:100], later[:100]) for later in shown[1:])
    assert len(data) < 1.5 * len(written(pictures[:1]))
    with av.open(io.BytesIO(data), "r") as container:
        frames = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    assert np.array_equal(np.stack(frames), np.stack(shown)[:, :, :, :3])


def test_what_goes_leaves_nothing_behind() -> None:
    nothing = np.zeros((30, 40, 4), np.uint8)
    pictures = []
    for number in range(6):
        picture = nothing.copy()
        picture[5:15, 5 * number : 5 * number + 8] = 200, 30, 90, 255
        pictures.append(picture)
    pictures += [nothing, flat((1, 2, 3, 255)), flat((1, 2, 3, 255)), nothing]

    assert all(map(np.array_equal, read(written(pictures)), pictures))


def test_half_there_is_there_with_its_own_colour_or_not_at_all() -> None:
    picture = flat((80, 40, 20, 204))  # premultiplied
    picture[:, :20] = 20, 12, 4, 40

    [shown] = read(written([picture]))

    assert np.array_equal(shown, _compose_gif.shown(picture))
    assert shown[0, 30].tolist() == [100, 50, 25, 255]
    assert shown[0, 0, 3] == 0


@pytest.mark.parametrize(("rate", "count"), [(3, 7), (24, 25), (30, 31), (60, 13)])
def test_frames_come_in_time(rate: int, count: int) -> None:
    """In hundredths of a second, none of which is lost on the way."""
    pictures = [flat((number * 8, 0, 0, 255), (8, 8)) for number in range(count)]
    with Image.open(io.BytesIO(written(pictures, rate))) as image:
        passed = 0
        for number in range(count):
            image.seek(number)
            assert abs(passed - 1000 * number / rate) <= 5
            passed += image.info["duration"]
        assert image.info["loop"] == 0
        assert getattr(image, "n_frames", 1) == count


@pytest.mark.parametrize("size", [(1, 1), (2, 1), (17, 3), (2049, 2)])
def test_any_size_will_do(size: tuple[int, int]) -> None:
    noise = np.random.default_rng(7).integers(0, 256, (size[1], size[0], 3), np.uint8)
    pictures = [solid(noise), solid(255 - noise), np.zeros((size[1], size[0], 4), np.uint8), solid(noise)]
    shown = read(written(pictures))

    assert len(shown) == 4
    assert all(np.array_equal(one[:, :, 3], other[:, :, 3]) for one, other in zip(shown, pictures, strict=True))
    assert max(np.abs(one.astype(int) - other).mean() for one, other in zip(shown, pictures, strict=True)) < 16
