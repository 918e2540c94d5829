"""How far the coding of an AVIF is, by the memory that it has touched."""

from __future__ import annotations

import io
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from mediamill.engines import _avif_course


def picture() -> Image.Image:
    """1.8 megapixels: noise above, one colour below."""
    pixels = np.full((1200, 1500, 3), 200, np.uint8)
    pixels[:500] = np.random.default_rng(1).integers(0, 255, (500, 1500, 3))
    return Image.fromarray(pixels)


def written(image: Image.Image, said: list[float]) -> bytes:
    def report(stage: str, fraction: float | None = None) -> None:
        if fraction is not None:
            said.append(fraction)

    made = io.BytesIO()
    with _avif_course.watching(report, image, 1.0, done_s=0.0):
        image.save(made, "AVIF", quality=60, speed=8, max_threads=1)
    return made.getvalue()


def test_looking_on_does_not_change_the_file() -> None:
    image, made, said = picture(), io.BytesIO(), list[float]()
    image.save(made, "AVIF", quality=60, speed=8, max_threads=1)

    assert written(image, said) == made.getvalue()
    assert said == sorted(said)
    assert all(0 <= fraction <= 1 for fraction in said)


@pytest.mark.parametrize("error", [PermissionError("not here"), ValueError("another system")], ids=repr)
def test_where_memory_is_not_to_be_seen_what_was_expected_is_told(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unseen() -> Iterator[tuple[int, int]]:
        raise error

    said: list[float] = []
    monkeypatch.setattr(_avif_course, "_mapped", unseen)
    made = written(picture(), said)

    assert Image.open(io.BytesIO(made)).size == (1500, 1200)
    assert said == sorted(said)


def test_squares_of_one_colour_count_for_nothing() -> None:
    weights = _avif_course.weights(picture())

    assert weights.shape == (19, 24)
    assert weights[:7].min() > 0
    assert weights[9:].max() == 0


def test_a_drawing_of_two_colours_is_known_to_be_painted() -> None:
    strokes = np.random.default_rng(1).integers(0, 2, (200, 200), np.uint8) * 255

    assert _avif_course.painted(Image.fromarray(strokes.repeat(5, 0).repeat(5, 1)).convert("RGB"))
    assert not _avif_course.painted(picture())
