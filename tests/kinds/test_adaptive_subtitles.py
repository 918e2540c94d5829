"""Subtitles of packages: those given beside, those in the source, and names that somebody made up."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import hls_rules
from tests.support.adaptive import H264, Packaged, package
from tests.support.av import ffmpeg, film

from mediamill.core.errors import BadMedia
from mediamill.engines import _adaptive_text
from mediamill.kinds import Input

SRT = "1\n00:00:01,000 --> 00:00:02,500\nFirst\n\n2\n00:00:03,000 --> 00:00:05,000\nSecond <b>& last</b>\n"
VTT = "WEBVTT\n\nSTYLE\n::cue { color: red }\n\nname\n00:01.000 --> 00:02.000 line:0 align:start\nUp here\n"


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("source")
    return film(folder / "film.mp4", *H264, size="320x180", seconds=6)


def beside(folder: Path, name: str, content: str) -> Input:
    path = folder / name
    path.write_text(content)
    return Input(path=path, mime="text/vtt" if name.endswith("vtt") else "application/x-subrip", filename=name)


def cues(made: Packaged, number: int = 0) -> str:
    _, playlist = hls_rules.master(made.result).group("SUBTITLES")[number]
    [part] = playlist.parts
    return part.file.read_text()


def test_files_beside_become_tracks_in_their_order(source: Path, tmp_path: Path) -> None:
    given = [beside(tmp_path, "a.srt", SRT), beside(tmp_path, "b.vtt", VTT)]
    subtitles = [
        {"url": "https://x/a.srt", "label": "English", "language": "en", "default": True},
        {"url": "https://x/b.vtt", "label": "English", "language": "en-GB"},
    ]

    made = package(source, "video/mp4", tmp_path / "made", *given, subtitles=subtitles)

    found = [attributes for attributes, _ in hls_rules.master(made.result).group("SUBTITLES")]
    assert [(f["NAME"], f["LANGUAGE"], f["DEFAULT"]) for f in found] == [
        ("English", "en", "YES"),
        ("English 2", "en-GB", "NO"),
    ]
    assert "00:00:03.000 --> 00:00:05.000\nSecond <b>&amp; last</b>" in cues(made)
    assert "00:00:01.000 --> 00:00:02.000 line:0 align:start\nUp here" in cues(made, 1)
    assert "STYLE\n::cue { color: red }" in cues(made, 1)


def test_cues_move_with_the_span(source: Path, tmp_path: Path) -> None:
    given = beside(tmp_path, "a.srt", SRT)

    made = package(source, "video/mp4", tmp_path / "made", given, subtitles=[{"url": "https://x/a"}], start=2, end=4)

    assert cues(made) == (
        "WEBVTT\n\n00:00:00.000 --> 00:00:00.500\nFirst\n\n00:00:01.000 --> 00:00:02.000\nSecond <b>&amp; last</b>\n"
    )


def test_the_sources_own_tracks_come_along_with_their_languages(source: Path, tmp_path: Path) -> None:
    words = beside(tmp_path, "a.srt", SRT)
    both = tmp_path / "both.mkv"
    tags = ("-metadata:s:s:0", "language=ger", "-metadata:s:s:1", "language=eng", "-metadata:s:s:1", "title=Forced")
    ffmpeg(
        *("-i", source, "-i", words.path, "-i", words.path, "-map", "0", "-map", "1", "-map", "2"),
        *("-c", "copy", "-c:s", "srt", *tags, both),
    )

    made = package(both, "video/x-matroska", tmp_path / "made", start=1)

    found = [attributes for attributes, _ in hls_rules.master(made.result).group("SUBTITLES")]
    assert [(f["NAME"], f["LANGUAGE"]) for f in found] == [("de", "de"), ("Forced", "en")]
    assert "00:00:02.000 --> 00:00:04.000" in cues(made)


def test_a_track_of_the_source_is_cut_with_it(source: Path, tmp_path: Path) -> None:
    words = beside(tmp_path, "a.srt", SRT)
    both = tmp_path / "both.mp4"
    ffmpeg("-i", source, "-i", words.path, "-map", "0", "-map", "1", "-c", "copy", "-c:s", "mov_text", both)

    made = package(both, "video/mp4", tmp_path / "made", start=2, end=4)

    assert "00:00:00.000 --> 00:00:00.500\nFirst" in cues(made)
    assert "00:00:01.000 --> 00:00:02.000\nSecond" in cues(made)


def test_early_packages_have_the_words_too(source: Path, tmp_path: Path) -> None:
    given = beside(tmp_path, "a.srt", SRT)

    made = package(source, "video/mp4", tmp_path / "made", given, subtitles=[{"url": "https://x/a"}])

    early = hls_rules.master(made.folder / made.early[0][0].filename)
    assert len(early.group("SUBTITLES")) == 1
    hls_rules.master(made.result)


def test_names_cannot_break_out_of_a_manifest(source: Path, tmp_path: Path) -> None:
    given = beside(tmp_path, "a.srt", SRT)
    label = 'x",URI="http://evil/\n#EXT-X-KEY </Label>&\u202e'

    made = package(
        source,
        "video/mp4",
        tmp_path / "made",
        given,
        filename='a"b\n<c>&.mp4',
        subtitles=[{"url": "https://x/a", "label": label}],
    )

    [(found, _)] = hls_rules.master(made.result).group("SUBTITLES")
    assert found["URI"] == "a-b-c-subtitles_1.m3u8"
    assert '"' not in found["NAME"]


def test_a_file_that_holds_no_subtitles_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(BadMedia):
        package(
            *(source, "video/mp4", tmp_path / "made", beside(tmp_path, "a.vtt", "nothing")),
            subtitles=[{"url": "https://x/a"}],
        )
    picture = Input(path=source, mime="image/png", filename="a.png")
    with pytest.raises(BadMedia, match=r"subtitles\.0"):
        package(source, "video/mp4", tmp_path / "made2", picture, subtitles=[{"url": "https://x/a"}])


def test_an_old_timestamp_map_is_taken_out() -> None:
    moved, count = _adaptive_text.moved(
        "WEBVTT\nX-TIMESTAMP-MAP=MPEGTS:900000,LOCAL:00:00:00.000\n\n00:01.000 --> 00:02.000\nHi\n", 0.0, None
    )

    assert moved == "WEBVTT\n\n00:00:01.000 --> 00:00:02.000\nHi\n"
    assert count == 1
