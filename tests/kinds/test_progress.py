"""Progress against the truth: the share of all processor time that had been used when it was said.

Processor time, not the clock, because a machine that does other things as well slows the clock only. What a second of
it is worth still changes while others come and go and take the caches: a case may be run three times, and must hold in
one of them. An estimate that is off is off in all. Where more wants to run than there are processors, as when all
tests run at once, seconds differ by a third and 5 % cannot be told; a gross error can, and is.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from tests.support import voices
from tests.support.images import ffmpeg
from tests.support.tools import PlainTools

from mediamill import engines
from mediamill.core import formats
from mediamill.engines import _speech_farm
from mediamill.kinds import Context, Hint, Input, named

_TICKS = os.sysconf("SC_CLK_TCK")
_EVERY_S = 0.02
"""Looking is work too: what is said sooner after the last is not looked at, as the worker does not pass it on."""
_TRIES = 3
_APART, _APART_BESIDE_OTHERS = 0.05, 0.2
FILM = ("-f", "lavfi", "-i", "testsrc2=s=1280x720:r=30:d=12,noise=alls=12:allf=t", "-f", "lavfi", "-i", "sine=d=12")


def used_s() -> float:
    """Processor seconds of this process and of all programs that ran or run below it."""
    ended = os.times()
    total = (ended.user + ended.system + ended.children_user + ended.children_system) * _TICKS
    for pid in children():
        with contextlib.suppress(OSError):  # it has ended just now
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total / _TICKS


def children() -> list[str]:
    found: list[str] = []
    for thread in Path("/proc/self/task").iterdir():
        with contextlib.suppress(OSError):
            found += (thread / "children").read_text().split()
    return found


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


@pytest.mark.parametrize(
    ("kind", "options", "source"),
    [
        ("video", {"width": 640, "format": "mp4"}, "film"),
        ("video", {"width": 480, "codec": "h265"}, "film"),
        ("adaptive_video", {}, "film"),
        ("image", {"sprite": {"interval": 0.5, "width": 160}}, "film"),
        ("image", {"sprite": {"count": 9, "width": 320}}, "film"),
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
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
) -> None:
    monkeypatch.setattr(_speech_farm, "processors", lambda: 2)
    path: Path = request.getfixturevalue(source)
    tried = []
    for number in range(_TRIES):
        folder = tmp_path / str(number)
        folder.mkdir()
        seen = looked(kind, options, path, folder)
        assert seen.fractions == sorted(seen.fractions)
        assert len(seen.apart) >= 5
        tried.append(max(seen.apart, key=lambda pair: abs(pair[0] - pair[1])))
        busy = os.getloadavg()[0] > (os.cpu_count() or 1) + 0.5
        if abs(tried[-1][0] - tried[-1][1]) <= (_APART_BESIDE_OTHERS if busy else _APART):
            return
    raise AssertionError(f"said and true: {tried}")


@dataclass(slots=True)
class Seen:
    """What was said, and (said, true) of all but the very beginning and end."""

    fractions: list[float] = field(default_factory=list)
    apart: list[tuple[float, float]] = field(default_factory=list)


def looked(kind: str, options: dict[str, Any], source: Path, folder: Path) -> Seen:
    """Run it and look at what has been used whenever it says how far it is."""
    seen, said, last_s = Seen(), list[tuple[float, float]](), 0.0

    def report(stage: str, fraction: float | None = None) -> None:
        nonlocal last_s
        if fraction is None:
            return
        seen.fractions.append(fraction)
        if time.monotonic() - last_s >= _EVERY_S:
            said.append((fraction, used_s()))
            last_s = time.monotonic()

    before = used_s()
    run(kind, options, source, folder, report)
    total_s = used_s() - before
    seen.apart = [(fraction, (used - before) / total_s) for fraction, used in said if 0.02 < fraction < 0.98]
    return seen


def run(kind: str, options: dict[str, Any], source: Path, folder: Path, report: Callable[..., None]) -> None:
    chosen, installed = named(kind), engines.open(PlainTools())
    known = formats.by_filename(source.name)
    assert known is not None
    checked = chosen.check(msgspec.convert(options, chosen.options), [Hint(mime=known.mime)], installed)
    given = Input(path=source, mime=known.mime, filename=source.name)
    context = Context(inputs=[given], scratch=folder, engines=installed, report=report)
    chosen.run(context, checked)
