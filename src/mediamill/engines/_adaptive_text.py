"""Subtitles that go along with a package: cut to its span, and given names that players show.

Cues keep their lines and settings as they are; only times change. No X-TIMESTAMP-MAP is needed: every track of a
package begins at 0, which is what players take a WebVTT file without one to mean.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from mediamill.core.adaptive import Caption
from mediamill.core.errors import BadMedia, LimitExceeded
from mediamill.engines import subtitles
from mediamill.engines._decode import decoded

_TIME = r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]?\d)[.,](\d{1,3})"
_TIMING = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}(.*)$")


@dataclass(frozen=True, slots=True, kw_only=True)
class Track:
    """A subtitle track ready to be handed out."""

    path: Path
    label: str
    language: str | None
    default: bool
    cues: int


def prepare(caption: Caption, target: Path, *, start_s: float, duration_s: float | None) -> Track:
    """Write a caption as WebVTT in the package's own time. Raises BadMedia, LimitExceeded."""
    if caption.path.stat().st_size > subtitles.BYTES:
        raise LimitExceeded(f"Subtitles may be at most {subtitles.BYTES // 1024**2} MiB.")
    text = decoded(caption.path.read_bytes())
    if caption.mime == subtitles.SRT:
        text = subtitles.write_vtt(subtitles.read_srt(text))
    elif caption.mime == subtitles.VTT:
        subtitles.read_vtt(text)  # refuses what is none
    else:
        raise BadMedia("A subtitle file must be WebVTT or SubRip.")
    made, cues = moved(text, start_s, duration_s)
    target.write_text(made, encoding="utf-8")
    return Track(path=target, label=caption.label, language=caption.language, default=caption.default, cues=cues)


def moved(text: str, start_s: float, duration_s: float | None) -> tuple[str, int]:
    """WebVTT whose time 0 is `start_s`, without the cues that lie outside; and how many are left."""
    first_ms = round(start_s * 1000)
    last_ms = None if duration_s is None else round(duration_s * 1000)
    blocks: list[str] = []
    cues = 0
    for block in re.split(r"\n{2,}", text.strip("\n")):
        lines = block.strip("\n").split("\n")
        at, timing = _timing(lines)
        if timing is None:
            blocks.append("\n".join(line for line in lines if not line.startswith("X-TIMESTAMP-MAP")))
            continue
        begin, end = _ms(timing.groups()[:4]) - first_ms, _ms(timing.groups()[4:8]) - first_ms
        if end <= 0 or (last_ms is not None and begin >= last_ms):
            continue
        end = end if last_ms is None else min(end, last_ms)
        lines[at] = f"{_stamp(max(0, begin))} --> {_stamp(end)}{timing.group(9).rstrip()}"
        blocks.append("\n".join(lines))
        cues += 1
    return "\n\n".join(blocks) + "\n", cues


def _timing(lines: list[str]) -> tuple[int, re.Match[str] | None]:
    for at, line in enumerate(lines[:2]):  # first, or second after the cue's name
        found = _TIMING.match(line)
        if found:
            return at, found
    return 0, None


def _ms(parts: tuple[str | None, ...]) -> int:
    hours, minutes, seconds, thousandths = parts
    whole = (int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)
    return whole * 1000 + int((thousandths or "0").ljust(3, "0"))


def _stamp(ms: int) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}.{ms:03}"
