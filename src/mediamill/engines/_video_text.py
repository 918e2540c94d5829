"""Subtitles on a film: as a track, or as a script that libass draws in the fonts of `mediamill.fonts`.

Nothing a caller wrote reaches a filter graph or a markup language: subtitles are read by our own reader and written
anew, with every sign of SubStation's markup disarmed.
"""

from __future__ import annotations

import re
from html import escape
from pathlib import Path

from mediamill import fonts
from mediamill.core.encode import Film
from mediamill.engines.subtitles import Cue, read_srt, write_srt

FAMILY = "Noto Sans"
_TAG = re.compile(r"<(/?)([ibu])>|</?[a-z][^<>\n]*>", re.I)
_OVERRIDE = re.compile(r"\{\\[^{}\n]*\}")  # {\an8}: where SubRip files speak SubStation; the place is ours to choose
_SCRIPT = """\
[Script Info]
ScriptType: v4.00+
PlayResX: {width}
PlayResY: {height}
WrapStyle: 0
ScaledBorderAndShadow: yes
YCbCr Matrix: None

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,{font},{size},&H00{white},&H00{white},&H00000000,&H80000000,0,0,0,0,100,100,0,0,1,{outline},0,2,\
{side},{side},{foot},1

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""
_WHITE = {None: 255, "pq": 148, "hlg": 191}
"""The code of paper white, 203 cd/m2, in each transfer curve (ITU-R BT.2408)."""


def write_fontconfig(folder: Path) -> Path:
    """A fontconfig file that knows our fonts and the operator's, and nothing of the machine."""
    path = folder / "fonts.conf"
    listed = "".join(f"<dir>{escape(str(place.absolute()))}</dir>" for place in fonts.folders())
    cache = escape(str((folder / "fontcache").absolute()))
    path.write_text(
        f'<?xml version="1.0"?><!DOCTYPE fontconfig SYSTEM "fonts.dtd"><fontconfig>{listed}'
        f"<cachedir>{cache}</cachedir></fontconfig>",
        encoding="utf-8",
    )
    return path


def cues_of(film: Film, length_s: float | None) -> list[Cue]:
    """The cues of the film's subtitles, ends after starts; those after the end of the film are left out."""
    text = film.subtitles.read_text(encoding="utf-8") if film.subtitles is not None else ""
    cues = read_srt(text) if text.strip() else []
    start_ms = round(film.start_s * 1000)
    moved = (
        Cue(start_ms=max(0, cue.start_ms - start_ms), end_ms=cue.end_ms - start_ms, lines=cue.lines) for cue in cues
    )
    end_ms = float("inf") if length_s is None else length_s * 1000
    return [cue for cue in moved if cue.end_ms > cue.start_ms and cue.start_ms < end_ms and cue.lines]


def write_track(cues: list[Cue], path: Path) -> Path:
    """The cues as SubRip for a subtitle track."""
    path.write_text(write_srt(cues, plain=str), encoding="utf-8")
    return path


def write_script(cues: list[Cue], path: Path, size: tuple[int, int], transfer: str | None) -> Path:
    """The cues as a SubStation script for a picture of this size: white with a dark edge, at the foot."""
    width, height = size
    points = max(8, round(min(height * 0.06, width * 0.08)))
    white = f"{_WHITE[transfer]:02X}" * 3
    head = _SCRIPT.format(
        width=width,
        height=height,
        font=FAMILY,
        size=points,
        white=white,
        outline=round(max(1.0, points / 14), 1),
        side=round(width * 0.05),
        foot=round(height * 0.05),
    )
    lines = [
        f"Dialogue: 0,{_stamp(cue.start_ms)},{_stamp(cue.end_ms)},Default,,0,0,0,,"
        + r"\N".join(_line(line) for line in cue.lines if line)
        for cue in cues
    ]
    path.write_text(head + "\n".join(lines) + "\n", encoding="utf-8")
    return path


def _stamp(ms: int) -> str:
    hundredths = (ms + 5) // 10
    return f"{hundredths // 360000}:{hundredths // 6000 % 60:02}:{hundredths // 100 % 60:02}.{hundredths % 100:02}"


def _line(text: str) -> str:
    """A line of SubRip: italic, bold and underline kept, every sign of SubStation's own made plain."""
    made, at, text = "", 0, _OVERRIDE.sub("", text)
    for tag in _TAG.finditer(text):
        made += _plain(text[at : tag.start()])
        if tag.group(2):
            made += f"{{\\{tag.group(2).lower()}{0 if tag.group(1) else 1}}}"
        at = tag.end()
    return made + _plain(text[at:])


def _plain(text: str) -> str:
    # A word joiner after the backslash: it shows nothing, and "\N" is no line break any more.
    return text.replace("\\", "\\\u2060").replace("{", r"\{").replace("}", r"\}")
