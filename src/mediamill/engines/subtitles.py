"""Subtitles: WebVTT and SubRip into each other, or the same written cleanly; always UTF-8.

Kept: times to the millisecond, lines, italic, bold, underline. WebVTT's cue settings, regions, notes, style blocks and
voice names have no place in SubRip and are dropped, as are SubRip's fonts and positions in WebVTT; words never are.
WebVTT to WebVTT keeps every line. Our own reader: the common library takes the name of a cue and a NOTE for spoken
text, drops bold and everything in braces, and leaves entities undecoded.
Source: W3C WebVTT, sections 4 and 6; SubRip has no standard, the rules are those of its players.
"""

from __future__ import annotations

import html
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mediamill.core.errors import BadMedia, LimitExceeded
from mediamill.core.ports import Conversion, Missing, Pair
from mediamill.engines._decode import decoded

VTT, SRT = "text/vtt", "application/x-subrip"
BYTES = 32 * 1024**2

_TIME = r"(?:(\d{1,4}):)?([0-5]?\d):([0-5]?\d)[.,](\d{1,3})"
_TIMING = re.compile(rf"^\s*{_TIME}\s*-->\s*{_TIME}(?:\s|$)")
_TAG = re.compile(r"<(/?)([A-Za-z]*)[^<>\n]*>|<\d[\d:.]*>")
_OVERRIDE = re.compile(r"\{\\[^{}\n]*\}")  # {\an8}: a SubStation habit that many SubRip files carry


@dataclass(frozen=True, slots=True, kw_only=True)
class Cue:
    """Some text and when it shows. `lines` are as written in the source format."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]


class Subtitles:
    """Turns captions into the other common format."""

    name = "subtitles"

    def pairs(self) -> Mapping[Pair, int]:
        return {(given, wanted): 10 for given in (VTT, SRT) for wanted in (VTT, SRT)}

    def missing(self) -> Missing | None:
        return None

    def keys(self, pair: Pair) -> frozenset[str]:
        return frozenset()

    def convert(self, work: Conversion) -> Mapping[str, Any]:
        if work.source.stat().st_size > BYTES:
            raise LimitExceeded(f"Subtitles may be at most {BYTES // 1024**2} MiB.")
        text = decoded(work.source.read_bytes())
        cues = read_vtt(text) if work.source_mime == VTT else read_srt(text)
        if work.target_mime == work.source_mime == VTT:
            made = text.rstrip("\n") + "\n"
        elif work.target_mime == VTT:
            made = write_vtt(cues)
        else:
            made = write_srt(cues, plain=_srt_line if work.source_mime == VTT else str)
        work.target.write_bytes(made.encode())
        return {"cues": len(cues)}


def read_vtt(text: str) -> list[Cue]:
    """The cues of a WebVTT file. Raises BadMedia when it is none, or when nothing in it is a cue though times are."""
    if not re.match(r"WEBVTT(?:[ \t\n]|$)", text):
        raise BadMedia("This is not WebVTT: the first line must begin with WEBVTT.")
    cues = []
    for block in re.split(r"\n{2,}", text):
        lines = block.strip("\n").split("\n")
        for at, line in enumerate(lines[:2]):  # the timing line comes first, or second after the cue's name
            timing = _TIMING.match(line)
            if timing:
                cues.append(_cue(timing, lines[at + 1 :]))
                break
    if not cues and "-->" in text:
        raise BadMedia("The WebVTT file has no cue whose times can be read.")
    return cues


def read_srt(text: str) -> list[Cue]:
    """The cues of a SubRip file; text may hold blank lines. Raises BadMedia when there is none."""
    cues: list[Cue] = []
    timing: re.Match[str] | None = None
    held: list[str] = []
    for line in text.split("\n"):
        found = _TIMING.match(line)
        if not found:
            held.append(line)
            continue
        if held and held[-1].strip().isdecimal():
            held.pop()
        if timing:
            cues.append(_cue(timing, held))
        timing, held = found, []
    if timing is None:
        raise BadMedia("This is not SubRip: it has no line with a start and an end time.")
    cues.append(_cue(timing, held))
    return cues


def _cue(timing: re.Match[str], lines: list[str]) -> Cue:
    kept = [line.rstrip() for line in lines]
    while kept and not kept[-1]:
        kept.pop()
    while kept and not kept[0]:
        kept.pop(0)
    return Cue(start_ms=_ms(timing.groups()[:4]), end_ms=_ms(timing.groups()[4:]), lines=tuple(kept))


def _ms(parts: tuple[str | None, ...]) -> int:
    hours, minutes, seconds, thousandths = parts
    whole = (int(hours or 0) * 60 + int(minutes or 0)) * 60 + int(seconds or 0)
    return whole * 1000 + int((thousandths or "0").ljust(3, "0"))


def _stamp(ms: int, point: str) -> str:
    seconds, ms = divmod(ms, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{ms:03}"


def write_srt(cues: list[Cue], *, plain: Any) -> str:
    """SubRip, numbered from 1. plain: makes a line of the source format one of SubRip."""
    blocks = []
    for number, cue in enumerate(cues, 1):
        lines = [plain(line) for line in cue.lines]
        blocks.append(
            "\n".join([str(number), f"{_stamp(cue.start_ms, ',')} --> {_stamp(cue.end_ms, ',')}", *lines]) + "\n"
        )
    return "\n".join(blocks) or "\n"


def write_vtt(cues: list[Cue]) -> str:
    """WebVTT from SubRip's cues."""
    blocks = ["WEBVTT\n"]
    for cue in cues:
        lines = [_vtt_line(line) for line in cue.lines if line]  # a blank line would end the cue
        blocks.append("\n".join([f"{_stamp(cue.start_ms, '.')} --> {_stamp(cue.end_ms, '.')}", *lines]) + "\n")
    return "\n".join(blocks)


def _known(tag: re.Match[str]) -> str:
    name = (tag.group(2) or "").lower()
    return f"<{tag.group(1)}{name}>" if name in ("i", "b", "u") else ""


def _srt_line(line: str) -> str:
    """A line of a WebVTT cue: the three shared tags kept, others dropped, entities decoded."""
    return html.unescape(_TAG.sub(_known, line)).replace("\u00a0", " ")


def _vtt_line(line: str) -> str:
    """A line of SubRip: the three shared tags and the words; every other sign that WebVTT would read is escaped."""
    line = _OVERRIDE.sub("", line)
    made, at = "", 0
    for tag in _TAG.finditer(line):
        made += html.escape(line[at : tag.start()], quote=False)
        if tag.group(2) and tag.group(2).lower() in ("i", "b", "u", "s", "font"):
            made += _known(tag)
        else:
            made += html.escape(tag.group(), quote=False)
        at = tag.end()
    return made + html.escape(line[at:], quote=False)


CONVERTER = Subtitles()
