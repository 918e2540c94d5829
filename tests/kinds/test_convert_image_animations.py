"""Animations: frames, times, loops and see-through parts of what comes out, read by a decoder of another make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pyvips  # type: ignore[import-untyped]
from PIL import Image
from tests.support import images
from tests.support.images import apart, convert, engines, mime, scene, seen

from mediamill.core import formats

DURATIONS_MS = [40, 60, 120, 500]
MOVING = ["gif", "webp", "png", "avif"]
LEVELS_OFF = 8.0


def moving(folder: Path, name: str, *, see_through: bool = False, loop: int | None = 0, **options: Any) -> Path:
    """Four frames, each the scene moved 20 pixels on, for DURATIONS_MS."""
    frames = [Image.fromarray(np.roll(images.clear() if see_through else scene(), 20 * n, axis=1)) for n in range(4)]
    target = folder / f"moving{formats.suffix(mime(name))}"
    options |= {"webp": {"lossless": True}, "avif": {"quality": 95}, "gif": {"disposal": 2}}.get(name, {})
    options |= {} if loop is None else {"loop": loop}
    frames[0].save(target, save_all=True, append_images=frames[1:], duration=DURATIONS_MS, **options)
    return target


def frames_of(path: Path) -> tuple[list[np.ndarray[Any, Any]], list[int]]:
    """Frames and their milliseconds: GIF and WebP by libvips, others by Pillow."""
    if path.suffix in (".gif", ".webp"):
        image = pyvips.Image.new_from_file(str(path), n=-1)
        pixels = (image if image.bands > 2 else image.colourspace("srgb")).numpy()
        height = image.get("page-height")
        return [pixels[n : n + height] for n in range(0, image.height, height)], list(image.get("delay"))
    with Image.open(path) as opened:
        found, times = [], []
        for n in range(opened.n_frames):
            opened.seek(n)
            found.append(np.asarray(opened.convert("RGBA")).copy())
            times.append(round(opened.info["duration"]))
        return found, times


@pytest.mark.parametrize("width", [None, 80])
@pytest.mark.parametrize("target", ["gif", "webp"])
@pytest.mark.parametrize("source", MOVING)
def test_frames_and_times_are_kept(source: str, target: str, width: int | None, tmp_path: Path) -> None:
    settings = {"resize": {"width": width}} if width else {}

    frames, times = frames_of(convert(moving(tmp_path, source), target, tmp_path, **settings))

    assert times == DURATIONS_MS
    for n, frame in enumerate(frames):
        expected = np.roll(scene(), 20 * n, axis=1)
        if width:
            expected = np.asarray(Image.fromarray(expected).resize((80, 60), Image.Resampling.BOX))
        assert apart(frame, expected) < LEVELS_OFF


@pytest.mark.parametrize("name", ["png", "avif"])
def test_a_moving_still_format_keeps_moving_in_place(name: str, tmp_path: Path) -> None:
    frames, times = frames_of(convert(moving(tmp_path, name), name, tmp_path))

    assert times == DURATIONS_MS
    assert apart(frames[3], np.roll(scene(), 60, axis=1)) < LEVELS_OFF


@pytest.mark.parametrize("target", ["png", "jpeg", "avif", "tiff", "bmp", "pdf"])
@pytest.mark.parametrize("source", ["gif", "webp"])
def test_still_targets_take_the_first_frame(source: str, target: str, tmp_path: Path) -> None:
    result = convert(moving(tmp_path, source), target, tmp_path)

    assert apart(seen(result), scene()) < LEVELS_OFF
    if target != "pdf":
        with Image.open(result) as image:
            assert getattr(image, "n_frames", 1) == 1


@pytest.mark.parametrize("target", ["gif", "webp"])
@pytest.mark.parametrize("source", ["gif", "webp", "png"])
def test_what_is_see_through_stays_so_in_every_frame(source: str, target: str, tmp_path: Path) -> None:
    frames, _ = frames_of(convert(moving(tmp_path, source, see_through=True), target, tmp_path))

    for n, frame in enumerate(frames):
        alpha = np.roll(frame[..., 3], -20 * n, axis=1)
        assert alpha[:, 4:48].max() < 10
        assert alpha[:, 60:150].min() > 245


@pytest.mark.parametrize(("asked", "field"), [(0, 0), (1, None), (3, 2)])
def test_loop_counts_plays_of_a_gif(asked: int, field: int | None, tmp_path: Path) -> None:
    with Image.open(convert(moving(tmp_path, "webp"), "gif", tmp_path, loop=asked)) as image:
        assert image.info.get("loop") == field


def test_plays_are_carried_over(tmp_path: Path) -> None:
    with Image.open(convert(moving(tmp_path, "gif", loop=2), "webp", tmp_path)) as image:
        assert image.info["loop"] == 3


def test_jpeg_xl_moves_both_ways(tmp_path: Path) -> None:
    step = convert(moving(tmp_path, "gif"), "jxl", tmp_path)

    frames, times = frames_of(convert(step, "webp", tmp_path))

    assert len(frames) == 4
    assert times[:3] == DURATIONS_MS[:3]
    assert apart(frames[2], np.roll(scene(), 40, axis=1)) < LEVELS_OFF


def test_a_drawn_gif_keeps_every_colour_in_place(tmp_path: Path) -> None:
    still = Image.new("P", (300, 200))
    still.putpalette([0, 0, 0, 250, 10, 10, 10, 250, 10, 10, 10, 250])
    frames = []
    for n in range(8):
        frame = still.copy()
        frame.paste(1 + n % 3, (30 * n, 40, 30 * n + 30, 90))
        frames.append(frame)
    original = tmp_path / "drawn.gif"
    joined = pyvips.Image.new_from_array(np.concatenate([np.asarray(f.convert("RGB")) for f in frames])).copy()
    joined.set_type(pyvips.GValue.gint_type, "page-height", 200)
    joined.gifsave(str(original), keep_duplicate_frames=True, effort=1)

    result = convert(original, "gif", tmp_path)

    before, _ = frames_of(original)
    after, _ = frames_of(result)
    assert len(after) == 8
    assert all(np.array_equal(a[..., :3], b[..., :3]) for a, b in zip(before, after, strict=True))
    assert result.stat().st_size <= 1.5 * original.stat().st_size  # a palette a frame, against one in all


def test_a_probe_counts_frames(tmp_path: Path) -> None:
    facts = engines().probe(moving(tmp_path, "gif"), "image/gif")

    assert facts.frames == 4
    assert facts.duration_s == pytest.approx(0.72)
