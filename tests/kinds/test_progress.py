"""Progress against the truth: the share of all processor time that the program had used when it was said.

Processor time, not the clock, because a machine that does other things as well slows the clock only.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest
from tests.support.images import ffmpeg
from tests.support.tools import PlainTools

from mediamill import engines
from mediamill.core import formats
from mediamill.kinds import Context, Hint, Input, named

_TICKS = os.sysconf("SC_CLK_TCK")
FILM = ("-f", "lavfi", "-i", "testsrc2=s=1280x720:r=30:d=12,noise=alls=12:allf=t", "-f", "lavfi", "-i", "sine=d=12")


def used_s() -> float:
    """Processor seconds of all programs that ran or run below us."""
    ended = os.times()
    total = (ended.children_user + ended.children_system) * _TICKS
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
    ffmpeg(*FILM, "-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac", path)
    return path


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("video", {"width": 640, "format": "mp4"}),
        ("video", {"width": 480, "codec": "h265"}),
        ("adaptive_video", {}),
    ],
)
def test_progress_is_within_5_percent_of_the_work_done(
    film: Path, tmp_path: Path, kind: str, options: dict[str, Any]
) -> None:
    said: list[tuple[float, float]] = []

    def report(stage: str, fraction: float | None = None) -> None:
        if fraction is not None:
            said.append((fraction, used_s()))

    before = used_s()
    run(kind, options, film, tmp_path, report)
    total_s = used_s() - before

    fractions = [fraction for fraction, _ in said]
    assert fractions == sorted(fractions)
    apart = [(fraction, (used - before) / total_s) for fraction, used in said if 0.02 < fraction < 0.98]
    assert len(apart) >= 5
    assert max(abs(fraction - truth) for fraction, truth in apart) <= 0.05, apart


def run(kind: str, options: dict[str, Any], film: Path, folder: Path, report: Callable[..., None]) -> None:
    chosen, installed = named(kind), engines.open(PlainTools())
    mime = getattr(formats.by_filename(film.name), "mime", "video/mp4")
    checked = chosen.check(msgspec.convert(options, chosen.options), [Hint(mime=mime)], installed)
    given = Input(path=film, mime=mime, filename="in.mp4")
    context = Context(inputs=[given], scratch=folder, engines=installed, report=report)
    chosen.run(context, checked)
