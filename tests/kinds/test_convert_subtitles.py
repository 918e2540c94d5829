"""Subtitles turned into each other: read back by another library, and compared by time and words."""

from __future__ import annotations

from pathlib import Path

import pysubs2
import pytest
from tests.support.sheets import convert

from mediamill.core.errors import BadMedia, LimitExceeded
from mediamill.engines import subtitles
from mediamill.engines.subtitles import CONVERTER

VTT = """WEBVTT - a title

STYLE
::cue { color: lime }

NOTE not spoken

intro
00:01.000 --> 00:03.500 position:10% align:start
<v Zoë>Hello <i>there</i> &amp; <c.loud>welcome</c></v>
second line

2
01:02:03.004 --> 01:02:05.000
5 &lt; 6 {braces stay} <00:01:02.000>日本語

NOTE
also not spoken
"""
SRT = """\ufeff1
00:00:01,000 --> 00:00:03,500
Hello <i>there</i> & <font color="red">welcome</font>
<B>bold</B> 5 < 6

2
01:02:03,004 --> 01:02:05,000
{\\an8}up here

after a blank line
1984

3
01:02:06,000 --> 01:02:07,000
end
"""


def times(path: Path) -> list[tuple[int, int]]:
    return [(line.start, line.end) for line in pysubs2.load(str(path))]


def test_vtt_becomes_srt_with_times_words_and_italics(tmp_path: Path) -> None:
    source = tmp_path / "a.vtt"
    source.write_text(VTT, encoding="utf-8")

    made, details = convert(CONVERTER, source, "vtt", "srt", tmp_path)

    assert times(made) == [(1000, 3500), (3_723_004, 3_725_000)]
    assert made.read_text(encoding="utf-8") == (
        "1\n00:00:01,000 --> 00:00:03,500\nHello <i>there</i> & welcome\nsecond line\n\n"
        "2\n01:02:03,004 --> 01:02:05,000\n5 < 6 {braces stay} 日本語\n"
    )
    assert details == {"cues": 2}


def test_srt_becomes_vtt_with_signs_escaped_and_no_cue_cut_short(tmp_path: Path) -> None:
    source = tmp_path / "a.srt"
    source.write_text(SRT, encoding="utf-8")

    made, _ = convert(CONVERTER, source, "srt", "vtt", tmp_path)

    assert times(made) == [(1000, 3500), (3_723_004, 3_725_000), (3_726_000, 3_727_000)]
    assert made.read_text(encoding="utf-8") == (
        "WEBVTT\n\n00:00:01.000 --> 00:00:03.500\nHello <i>there</i> &amp; welcome\n<b>bold</b> 5 &lt; 6\n\n"
        "01:02:03.004 --> 01:02:05.000\nup here\nafter a blank line\n1984\n\n"
        "01:02:06.000 --> 01:02:07.000\nend\n"
    )


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_the_encoding_is_found(codec: str, tmp_path: Path) -> None:
    source = tmp_path / "a.srt"
    source.write_bytes("1\r\n00:00:01,000 --> 00:00:02,000\r\nGrüße, naïve “Zoë”\r\n".encode(codec))

    made, _ = convert(CONVERTER, source, "srt", "srt", tmp_path)

    assert "Grüße, naïve “Zoë”\n" in made.read_text(encoding="utf-8")


def test_vtt_to_vtt_keeps_styles_notes_and_settings(tmp_path: Path) -> None:
    source = tmp_path / "a.vtt"
    source.write_bytes(("\ufeff" + VTT.replace("\n", "\r\n")).encode())

    made, details = convert(CONVERTER, source, "vtt", "vtt", tmp_path)

    assert made.read_text(encoding="utf-8") == VTT
    assert details == {"cues": 2}


def test_there_and_back_is_the_same(tmp_path: Path) -> None:
    source = tmp_path / "a.srt"
    source.write_text("1\n00:00:01,000 --> 00:00:02,000\n1 < 2 & <i>so</i> --> on &amp; <3\n", encoding="utf-8")

    there, _ = convert(CONVERTER, source, "srt", "vtt", tmp_path)
    back, _ = convert(CONVERTER, there, "vtt", "srt", tmp_path)

    assert back.read_bytes() == source.read_bytes()


@pytest.mark.parametrize(
    ("given", "data"),
    [
        ("vtt", b"1\n00:00:01,000 --> 00:00:02,000\nx\n"),
        ("vtt", b"WEBVTT\n\n00:00:xx.000 --> 00:00:02.000\nx\n"),
        ("srt", b"just words"),
        ("srt", b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256))),
        ("srt", b""),
    ],
)
def test_what_is_no_subtitle_is_refused(given: str, data: bytes, tmp_path: Path) -> None:
    source = tmp_path / "a"
    source.write_bytes(data)

    with pytest.raises(BadMedia):
        convert(CONVERTER, source, given, "srt", tmp_path)


def test_too_much_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(subtitles, "BYTES", 100)
    source = tmp_path / "a.srt"
    source.write_text(SRT)

    with pytest.raises(LimitExceeded):
        convert(CONVERTER, source, "srt", "vtt", tmp_path)
