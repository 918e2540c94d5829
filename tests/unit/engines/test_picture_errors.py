"""What image libraries raise, in our words."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from mediamill.core.errors import BadMedia, LimitExceeded, OutOfSpace
from mediamill.engines import _picture


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_is_no_fault_of_the_picture(number: int) -> None:
    with pytest.raises(OutOfSpace) as told, _picture.reading():
        raise OSError(number, os.strerror(number), "/srv/x.png")

    assert "/srv" not in str(told.value)


def test_what_a_reader_stumbles_over_is() -> None:
    with pytest.raises(BadMedia), _picture.reading():
        raise OSError("broken data stream when reading image file")


@pytest.mark.parametrize("library", ["vips", "pillow"])
@pytest.mark.parametrize("words", ["VipsJpeg: Insufficient memory (case 4)", "vips_tracked: out of memory"])
def test_want_of_memory_is_no_fault_of_the_picture(library: str, words: str) -> None:
    error = _picture.libvips().Error("unable to call jpegsave", words) if library == "vips" else OSError(words)

    with pytest.raises(LimitExceeded), _picture.reading():
        raise error


def by_pillow(target: Path) -> None:
    _picture.pillow().effect_noise((512, 512), 99).save(target, "PNG")


def by_libvips(target: Path) -> None:
    _picture.libvips().Image.gaussnoise(512, 512).cast("uchar").write_to_file(str(target))


@pytest.mark.parametrize("write", [by_pillow, by_libvips])
def test_both_libraries_tell_of_a_full_disk(write: Callable[[Path], None], tmp_path: Path) -> None:
    target = tmp_path / "a.png"
    target.symlink_to("/dev/full")

    with pytest.raises(OutOfSpace), _picture.reading():
        write(target)
