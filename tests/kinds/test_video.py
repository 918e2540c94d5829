"""The kind `video`: what it makes of small films made here, looked at frame by frame."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import films
from tests.support.av import boxes, film

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("video") / "holiday.in.mov", *H264, seconds=3)


def test_a_film_that_is_already_right_is_moved_not_encoded(source: Path, tmp_path: Path) -> None:
    made = films.make(source, tmp_path / "out")

    assert made.details["remuxed"] is True
    assert made.details["engine"] == "ffmpeg"
    assert (made.mime, made.filename) == ("video/mp4", "holiday.in.mp4")
    assert all((a == b).all() for a, b in zip(films.pictures(made.path), films.pictures(source), strict=True))
    assert boxes(made.path).index("moov") < boxes(made.path).index("mdat")


def test_one_side_keeps_the_ratio(source: Path, tmp_path: Path) -> None:
    made = films.make(source, tmp_path / "out", width=160)

    assert (made.facts.width_px, made.facts.height_px) == (160, 90)
    assert made.facts.duration_s == pytest.approx(3, abs=0.05)
    assert len(films.pictures(made.path)) == 75
    assert "remuxed" not in made.details
    assert boxes(made.path).index("moov") < boxes(made.path).index("mdat")
