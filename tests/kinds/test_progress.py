"""Progress against the truth: the share of all processor time that had been used when it was said.

Processor time, not the clock, because a machine that does other things as well slows the clock only. What a second of
it is worth still changes while others come and go and take the caches: a case may be run five times, and must hold in
one of them. An estimate that is off is off in all. Where more wants to run than there are processors, as when all
tests run at once, seconds differ by a third and 5 % cannot be told; a gross error can, and is.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.support import progress, voices
from tests.support.images import ffmpeg

_TRIES = 5
_APART, _APART_BESIDE_OTHERS = 0.05, 0.2
_OTHERS = 0.4
"""Share of the machine that others take while a case runs, from which on it is not alone; the load of a minute tells
that too late."""
_TOLD_S = 0.3
"""However fast a machine is, a task that takes long tells at least so often."""
FILM = ("-f", "lavfi", "-i", "testsrc2=s=1280x720:r=30:d=12,noise=alls=12:allf=t", "-f", "lavfi", "-i", "sine=d=12")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("film") / "in.mp4"
    ffmpeg(*FILM, "-c:v", "libx264", "-preset", "ultrafast", "-g", "30", "-c:a", "aac", path)
    return path


@pytest.fixture(scope="module")
def spoken(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two voices who pause, as people do: some twelve pieces for a recogniser."""
    parts = []
    for name in ("harbour", "meeting"):
        whole = voices.passage(name)
        for first in range(0, len(whole.words), 6):
            parts += [whole.part(first, min(first + 6, len(whole.words))).samples, voices.silence(0.8)]
    return voices.write(tmp_path_factory.mktemp("spoken") / "in.flac", *parts)


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory, spoken: Path) -> Path:
    path = tmp_path_factory.mktemp("talk") / "in.mp4"
    pictures = ("-f", "lavfi", "-i", "testsrc2=s=1280x720:r=25:d=60,noise=alls=6:allf=t")
    encoder = ("-c:v", "libx264", "-preset", "ultrafast", "-b:v", "4M", "-c:a", "aac")
    ffmpeg(*pictures, "-i", spoken, "-shortest", *encoder, path)
    return path


@pytest.fixture(scope="module")
def music(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two minutes of stereo whose peaks stand high above its loudness, so that a limiter has something to do."""
    path, rate_hz = tmp_path_factory.mktemp("music") / "in.wav", 44_100
    t = np.arange(120 * rate_hz) / rate_hz
    made = 0.2 * np.sin(2 * np.pi * 220 * t) + 0.1 * np.sin(2 * np.pi * (300 * t + 8 * np.sin(t)))
    made += 0.05 * np.random.default_rng(1).normal(size=len(t))
    raw = path.with_suffix(".raw")
    raw.write_bytes((np.stack([made, made], 1).clip(-1, 1) * 32767).astype("<i2").tobytes())
    ffmpeg("-f", "s16le", "-ar", str(rate_hz), "-ac", "2", "-i", raw, path)
    return path


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("photo") / "in.jpg"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=6000x4000,noise=alls=20", "-frames:v", "1", path)
    return path


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fine lines on the upper half of a white sheet: a coder has much to do with them, and little with the rest."""
    path, lines = tmp_path_factory.mktemp("page") / "in.png", np.full((1800, 1400), 255, np.uint8)
    strokes = np.random.default_rng(1).integers(0, 255, (900 // 6, 1400 // 3), np.uint8)
    lines[:900, : strokes.shape[1] * 3] = strokes.repeat(6, 0).repeat(3, 1)
    Image.fromarray(lines).convert("RGB").save(path)
    return path


@pytest.mark.parametrize(
    ("kind", "options", "source"),
    [
        ("video", {"width": 640, "format": "mp4"}, "film"),
        ("video", {"width": 480, "codec": "h265"}, "film"),
        ("adaptive_video", {}, "film"),
        ("image", {"sprite": {"interval": 0.5, "width": 160}}, "film"),
        ("image", {"sprite": {"count": 9, "width": 320}}, "film"),
        ("image", {"format": "png"}, "photo"),
        ("image", {"format": "heic", "width": 2400}, "photo"),
        ("image", {"format": "webp"}, "photo"),
        ("image", {"format": "avif", "width": 2400}, "photo"),
        ("image", {"format": "avif"}, "page"),
        ("audio", {"format": "mp3"}, "music"),
        ("audio", {"format": "m4a", "loudness": True}, "music"),
        ("audio", {"format": "flac", "loudness": -9}, "music"),
        ("audio", {"format": "opus", "loudness": -9}, "music"),
        ("audio", {"format": "ogg", "waveform": {"png": True}}, "music"),
        ("audio", {"format": "mp3", "loudness": -14, "waveform": {}}, "music"),
        ("speech", {}, "spoken"),
        ("subtitles", {}, "talk"),
        ("outline", {}, "spoken"),
        ("summary", {}, "spoken"),
        ("chapters", {}, "film"),
        ("chapters", {}, "spoken"),
        ("chapters", {}, "talk"),
        ("nsfw", {}, "talk"),
    ],
    ids=lambda value: "-".join(map(str, value)) if isinstance(value, dict) else None,
)
def test_progress_is_within_5_percent_of_the_work_done(
    kind: str,
    options: dict[str, Any],
    source: str,
    tmp_path: Path,
    request: pytest.FixtureRequest,
) -> None:
    path: Path = request.getfixturevalue(source)
    tried = []
    for number in range(_TRIES):
        folder = tmp_path / str(number)
        folder.mkdir()
        others = progress.Others()
        seen = progress.looked(kind, options, path, folder)
        assert seen.said == sorted(seen.said)
        assert len(seen.middle()) >= min(5, int(seen.wall_s / _TOLD_S))
        tried.append(max(seen.middle(), key=lambda look: abs(look.said - look.true)))
        busy = os.getloadavg()[0] > (os.cpu_count() or 1) + 0.5 or others.share(seen.used_s) > _OTHERS
        if abs(tried[-1].said - tried[-1].true) <= (_APART_BESIDE_OTHERS if busy else _APART):
            return
    raise AssertionError(f"said and true: {tried}")
