"""Facts of animations, from their blocks alone."""

from __future__ import annotations

import io
import struct
import time
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from mediamill.engines import image_probe

FRAME = b"\x21\xf9\x04\0%s\0\0,\0\0\0\0\1\0\1\0\0\x02\x02D\x01\0"


def gif(side: int, hundredths: list[int]) -> bytes:
    """A canvas of `side` on which each frame paints one pixel."""
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + b"".join(FRAME % struct.pack("<H", each) for each in hundredths) + b";"


def pictures(n: int) -> list[Any]:
    return [Image.effect_noise((40, 30), 99 + each).convert("P") for each in range(n)]


def probe(content: bytes, folder: Path) -> Any:
    path = folder / "a.gif"
    path.write_bytes(content)
    return image_probe.PROBER.probe(path, "image/gif")


def test_a_gif_lasts_as_long_as_its_frames_stand(tmp_path: Path) -> None:
    made = io.BytesIO()
    first, *rest = pictures(4)
    options: dict[str, Any] = {"save_all": True, "comment": b"; , !", "loop": 3}
    first.save(made, "GIF", append_images=rest, duration=[100, 20, 40_000, 0], **options)

    facts = probe(made.getvalue(), tmp_path)

    assert (facts.frames, facts.duration_s) == (4, 40.12)


def test_a_frame_that_says_nothing_stands_for_no_time(tmp_path: Path) -> None:
    bare = FRAME[8:] % ()
    content = gif(9, [50, 50])[:-1] + bare + b";"

    facts = probe(content, tmp_path)

    assert (facts.frames, facts.duration_s) == (3, 1.0)


def test_many_frames_on_a_large_canvas_are_not_drawn_to_be_counted(tmp_path: Path) -> None:
    content = gif(8000, [2] * 5000)  # 115 kB; 320,000,000,000 pixels if each were
    before = time.process_time()

    facts = probe(content, tmp_path)

    assert (facts.frames, facts.duration_s) == (5000, 100.0)
    assert time.process_time() - before < 30, "seconds of a processor; drawing them takes most of an hour"


@pytest.mark.parametrize("cut", [1, 3])
def test_a_gif_cut_short_has_the_facts_of_what_is_left(cut: int, tmp_path: Path) -> None:
    facts = probe(gif(9, [50] * 4)[:-cut], tmp_path)

    assert 0 < facts.duration_s <= 2.0
