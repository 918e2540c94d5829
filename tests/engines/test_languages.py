"""The languages of tracks: their codes, and what of them files hold when they have been moved or made anew."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest
from tests.support import films
from tests.support.av import convert, ffmpeg

from mediamill.core import formats
from mediamill.engines import _languages

SPOKEN = {"deu": "deu", "ger": "deu", "fre": "fra", "cze": "ces", "hrv": "hrv", "srp": "srp", "chi": "zho"}
SPOKEN |= {"swe": "swe", "nld": "nld", "gsw": "gsw", "mul": "mul", "qaa": "qaa"}
"""What the tracks of a film are said to speak, and its code in ISO 639-2/T. The Macintosh has none for most."""
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A film with a sound track and a subtitle track in each language, and one of each that says nothing."""
    folder = tmp_path_factory.mktemp("spoken")
    text = folder / "t.srt"
    text.write_text("1\n00:00:00,100 --> 00:00:00,400\nHello\n")
    told = [*SPOKEN, "und"]
    tags = [f"-metadata:s:{kind}:{n} language={code}".split() for n, code in enumerate(told) for kind in "as"]
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=0.5", "-f", "lavfi", "-i", "sine=d=0.5", "-i", text),
        *("-map", "0:v", *("-map", "1:a") * len(told), *("-map", "2:s") * len(told)),
        *(*H264, "-c:a", "aac", "-b:a", "32k", "-c:s", "srt"),
        *(word for tag in tags for word in tag),
        folder / "in.mkv",
    )
    return folder / "in.mkv"


def told(path: Path) -> tuple[list[str | None], list[str | None]]:
    with av.open(str(path)) as opened:
        sounds, texts = (
            [known.metadata.get("language") for known in streams]
            for streams in (opened.streams.audio, opened.streams.subtitles)
        )
    return sounds, texts


@pytest.mark.parametrize("options", [{}, {"width": 32}], ids=["moved", "encoded"])
@pytest.mark.parametrize("container", ["mp4", "mov"])
def test_a_film_keeps_every_language(film: Path, tmp_path: Path, container: str, options: dict[str, Any]) -> None:
    made = films.make(film, tmp_path, format=container, **options)

    for tracks in told(made.path):
        assert tracks[:-1] == list(SPOKEN.values())
        assert tracks[-1] in (None, "und")


@pytest.mark.parametrize("container", ["mp4", "mov", "mkv", "webm"])
def test_a_conversion_keeps_every_language(film: Path, tmp_path: Path, container: str) -> None:
    made = convert(film, "video/x-matroska", formats.by_filename(f"a.{container}").mime, tmp_path)  # type: ignore[union-attr]

    for tracks in told(made.path):
        assert [_languages.long(track) for track in tracks] == [*SPOKEN.values(), None]


def test_quicktime_and_transport_streams_give_their_languages_on(tmp_path: Path) -> None:
    pattern = ("-f", "lavfi", "-i", "testsrc2=s=64x48:r=10:d=0.5", "-f", "lavfi", "-i", "sine=d=0.5")
    ffmpeg(*pattern, *H264, "-c:a", "aac", "-metadata:s:a:0", "language=hrv", tmp_path / "in.ts")

    first = films.make(tmp_path / "in.ts", tmp_path / "a", format="mov")
    second = films.make(first.path, tmp_path / "b", format="mov", width=32)
    third = films.make(second.path, tmp_path / "c", format="webm")

    assert [told(made.path)[0] for made in (first, second, third)] == [["hrv"]] * 3


def test_subtitles_that_are_given_take_no_other_tracks_language(film: Path, tmp_path: Path) -> None:
    given = tmp_path / "given.srt"
    given.write_text("1\n00:00:00,100 --> 00:00:00,400\nGiven\n")

    made = films.make(film, tmp_path, given, format="mov", subtitle_url="https://files.example/given.srt")

    _, texts = told(made.path)
    assert texts[0] is None
    assert texts[1:-1] == list(SPOKEN.values())


@pytest.mark.parametrize("mime", ["audio/mp4", "audio/mpeg", "audio/flac", "audio/wav", "audio/ogg", "audio/opus"])
def test_a_sound_file_says_what_its_track_said(tmp_path: Path, mime: str) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=0.5", "-c:a", "aac", "-metadata:s:a:0", "language=ger", tmp_path / "in.mkv")

    made = convert(tmp_path / "in.mkv", "video/x-matroska", mime, tmp_path)

    with av.open(str(made.path)) as opened:
        [track] = opened.streams.audio
        assert _languages.long(track.metadata.get("language") or opened.metadata.get("language")) == "deu"
    back = convert(made.path, mime, "audio/mp4", tmp_path / "back")
    assert told(back.path)[0] == ["deu"]


@pytest.mark.parametrize(
    ("tag", "long", "short"),
    [
        ("deu", "deu", "de"),
        ("ger", "deu", "de"),
        ("de", "deu", "de"),
        ("de-AT", "deu", "de-AT"),
        ("pt_BR", "por", "pt-BR"),
        ("ENG", "eng", "en"),
        ("hr ", "hrv", "hr"),
        ("sve", "swe", "sv"),
        ("iw", "heb", "he"),
        ("gsw", "gsw", "gsw"),
        ("deu,eng", "deu", "de"),
        ("zxx", "zxx", None),
        ("und", None, None),
        ("", None, None),
        (None, None, None),
        ("english", None, None),
        ("e1g", None, None),
        ("日本語", None, None),
    ],
)
def test_a_language_has_a_long_and_a_short_code(tag: str | None, long: str | None, short: str | None) -> None:
    assert (_languages.long(tag), _languages.short(tag)) == (long, short)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\0\0\1moov",
        b"\0\0\0\x10moov\0\0\0\x40trak",
        b"\0\0\0\x18moov\0\0\0\x10trak\0\0\0\x08mdia",
        b"\xff" * 64,
    ],
)
def test_a_file_of_another_make_is_left_as_it_is(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "odd"
    path.write_bytes(content)

    _languages.write(path, ["deu", "fra"])

    assert path.read_bytes() == content
