"""What the encoder of a composition is told of its quality."""

from __future__ import annotations

import pytest

from mediamill.engines._compose_encode import h264


@pytest.mark.parametrize(
    ("hard", "zones"),
    [
        ([], None),
        ([(7, 7)], None),
        ([(30, 45)], ["30,44"]),
        ([(60, 70), (30, 45), (40, 50)], ["30,49", "60,69"]),
        ([(30, 45), (45, 50)], ["30,49"]),
    ],
)
def test_transitions_are_zones_that_do_not_overlap(hard: list[tuple[int, int]], zones: list[str] | None) -> None:
    told = h264(hard=hard)[-1]

    found = [part.removeprefix("zones=") for part in told.split(":") if part.startswith("zones=")]
    assert [zone.rpartition(",b=")[0] for part in found for zone in part.split("/")] == (zones or [])


def test_a_smaller_picture_gets_a_better_quality_unless_one_is_named() -> None:
    sizes = [(640, 360), (960, 540), (1280, 720), (1920, 1080)]

    told = [h264(pixels=wide * high) for wide, high in sizes]

    quality = [int(one[one.index("-crf") + 1]) for one in told]
    assert quality == sorted(quality)
    assert quality[0] < quality[-1]
    named = h264(crf=20, pixels=100, hard=[(0, 9)])
    assert named[named.index("-crf") + 1] == "20"
    assert "zones" not in named[-1]
