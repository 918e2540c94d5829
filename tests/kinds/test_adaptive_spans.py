"""Parts of films as packages: as long as asked for, and with what is seen and heard at that time."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import av
import pytest
from tests.support import hls_rules
from tests.support.adaptive import H264, package
from tests.support.av import ffmpeg

from mediamill.core import formats
from mediamill.core.errors import RangeEmpty

GREY = "nullsrc=s=320x240:r={rate}:d=4,geq=lum='16+2*N':cb=128:cr=128"
"""A film whose pictures tell their number by their light."""


def mime_of(path: Path) -> str:
    found = formats.by_filename(path.name)
    assert found is not None
    return found.mime


def shown(path: Path) -> list[tuple[float, float]]:
    """(second, number in the source) of every picture of a rung of a film of GREY."""
    with av.open(str(path)) as container:
        return [
            (float(frame.time or 0), float(frame.to_ndarray(format="gray").mean()) * 219 / 255 / 2)
            for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize(
    ("name", "rate", "more"),
    [
        ("in.mp4", Fraction(25), ()),
        ("in.ts", Fraction(25), ()),
        ("in.mkv", Fraction(24000, 1001), ()),
        ("in.mov", Fraction(30000, 1001), ()),
        ("hold.mkv", Fraction(25), ("-vf", "select='lt(n,20)+gt(n,60)'", "-fps_mode", "vfr")),
    ],
)
def test_a_part_lasts_as_long_as_was_asked_to_a_frame(
    name: str, rate: Fraction, more: tuple[str, ...], tmp_path: Path
) -> None:
    film_ = tmp_path / name
    grey, sound = GREY.format(rate=rate), "sine=f=440:r=48000:d=4"
    ffmpeg("-f", "lavfi", "-i", grey, "-f", "lavfi", "-i", sound, *more, *H264, "-qp", "8", "-g", "40", film_)

    for start, end in ((1.01, 2.01), (0.513, 2.777), (0, 1.015), (2.333, 2.34)):
        packed = package(film_, mime_of(film_), tmp_path / f"made {start}", start=start, end=end)

        [variant] = hls_rules.master(packed.result).variants
        pictures = shown(variant.playlist.parts[0].file)
        [(_, heard)] = hls_rules.master(packed.result).group("AUDIO")
        early = packed.details["early"]["duration_s"]
        made_at = Fraction(variant.attributes["FRAME-RATE"])
        assert len(pictures) == max(1, round((end - start) * made_at)), (start, end)
        assert abs(heard.duration_s - (end - start)) <= 1024 / 48000 + 0.0001
        assert abs(early - packed.details["duration_s"]) < 0.001
        assert abs(early - (end - start)) <= max(1 / made_at, 1024 / 48000)
        for at, number in pictures:
            wanted = (start + at) * float(rate)
            wanted = 19 if more and 20 <= wanted < 60.5 else wanted  # what stands on the screen meanwhile
            assert abs(number - wanted) < 1.3, (start, at)


def test_a_part_that_no_picture_begins_in_is_an_empty_range(tmp_path: Path) -> None:
    tone_ = ("-f", "lavfi", "-i", "sine=d=4")
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=2", *tone_, *H264, tmp_path / "in.mkv")

    with pytest.raises(RangeEmpty, match="no picture"):
        package(tmp_path / "in.mkv", "video/x-matroska", tmp_path / "made", start=3, end=3.5)
