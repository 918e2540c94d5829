"""Files made to mislead, damaged files, and files of another type: refused in words, never followed, never endless."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from tests.support.av import convert, ffmpeg, film, frames

from mediamill.core import formats
from mediamill.core.errors import BadMedia, Failed
from mediamill.engines import _av
from mediamill.engines.av_probe import PROBER

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-c:a", "aac")
VIDEOS = [mime for mime in _av.DEMUXERS if mime.startswith("video/")]


@pytest.fixture(scope="module")
def secret(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Somebody else's film, which no input may lead to."""
    folder = tmp_path_factory.mktemp("other")
    return film(folder / "secret.ts", *H264, seconds=1)


def scripts(secret: Path) -> dict[str, str]:
    return {
        "m3u8": f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        "m3u8-relative": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nsecret.ts\n#EXT-X-ENDLIST\n",
        "m3u8-http": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:9/x.ts\n#EXT-X-ENDLIST\n",
        "ffconcat": "ffconcat version 1.0\nfile secret.ts\n",
        "dash": "<?xml version='1.0'?><MPD xmlns='urn:mpeg:dash:schema:mpd:2011' type='static'><Period><AdaptationSet>"
        f"<Representation id='1'><BaseURL>{secret}</BaseURL></Representation></AdaptationSet></Period></MPD>",
        "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\n",
        "svg": f"<svg xmlns='http://www.w3.org/2000/svg' width='9' height='9'><image href='file://{secret}'/></svg>",
    }


@pytest.mark.parametrize("mime", VIDEOS)
@pytest.mark.parametrize("script", ["m3u8", "m3u8-relative", "m3u8-http", "ffconcat", "dash", "sdp", "svg"])
def test_a_playlist_or_script_named_as_a_film_is_refused(mime: str, script: str, secret: Path, tmp_path: Path) -> None:
    source = tmp_path / f"film{formats.suffix(mime)}"
    source.write_text(scripts(secret)[script])
    (tmp_path / "secret.ts").write_bytes(secret.read_bytes())

    with pytest.raises(BadMedia):
        PROBER.probe(source, mime)
    with pytest.raises(BadMedia):
        convert(source, mime, "video/mp4", tmp_path / "out")


def test_a_film_that_names_an_outer_file_does_not_lead_there(secret: Path, tmp_path: Path) -> None:
    """MOV may say that its samples lie in another file; ffmpeg's own switch for that stays off."""
    film(tmp_path / "own.mov", *H264, seconds=1)
    content = (tmp_path / "own.mov").read_bytes()
    alias = b"url " + bytes(4)  # a data reference: flags 0 means "elsewhere", and the path follows
    assert content.count(b"url \x00\x00\x00\x01") + content.count(b"alis") >= 1
    (tmp_path / "led.mov").write_bytes(content.replace(b"url \x00\x00\x00\x01", alias))

    made = convert(tmp_path / "led.mov", "video/quicktime", "video/webm", tmp_path / "out")

    assert len(frames(made.path)) == pytest.approx(25, abs=1)
    assert not any("enable_drefs" in word for words in made.argvs for word in words)


@pytest.mark.parametrize("mime", VIDEOS)
@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 4096, b"%PDF-1.7 no film at all\n" * 50], ids=["empty", "zeros", "pdf"]
)
def test_bytes_that_are_no_film_are_bad_media(mime: str, content: bytes, tmp_path: Path) -> None:
    source = tmp_path / f"bad{formats.suffix(mime)}"
    source.write_bytes(content)

    with pytest.raises(BadMedia):
        PROBER.probe(source, mime)
    with pytest.raises(BadMedia):
        convert(source, mime, "video/webm", tmp_path / "out")


def test_a_film_of_another_type_than_claimed_is_bad_media(secret: Path, tmp_path: Path) -> None:
    for mime in ("video/mp4", "video/webm", "video/x-msvideo"):
        with pytest.raises(BadMedia, match="cannot be read as"):
            convert(secret, mime, "video/mp4", tmp_path / "out")


def test_a_film_cut_off_before_its_index_is_bad_media(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mp4", *H264).read_bytes()  # the index of a plain MP4 stands at its end
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])

    with pytest.raises(BadMedia, match="damaged, cut off"):
        convert(tmp_path / "cut.mp4", "video/mp4", "video/webm", tmp_path / "out")


def test_a_film_cut_off_after_its_index_yields_what_is_there_and_says_so(tmp_path: Path) -> None:
    whole = film(tmp_path / "whole.mp4", *H264, "-movflags", "+faststart", seconds=4).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])

    made = convert(tmp_path / "cut.mp4", "video/mp4", "video/x-msvideo", tmp_path / "out")

    assert 25 < len(frames(made.path)) < 75
    assert "could be read" in made.details["incomplete"]


@pytest.mark.parametrize("mime", ["video/mp4", "video/webm", "video/x-msvideo", "video/mp2t", "video/x-flv"])
def test_flipped_bits_end_in_a_film_or_in_words(mime: str, tmp_path: Path) -> None:
    codecs = {"video/webm": ("-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libvorbis")}.get(
        mime, ("-c:v", "mpeg4", "-c:a", "libmp3lame") if mime == "video/x-msvideo" else H264
    )
    whole = film(tmp_path / f"w{formats.suffix(mime)}", *codecs, size="96x64", seconds=1).read_bytes()
    dice = random.Random(7)

    for number in range(6):
        content = bytearray(whole)
        for _ in range(4 ** (number % 3) * 4):
            content[dice.randrange(len(content))] ^= 1 << dice.randrange(8)
        source = tmp_path / f"flipped{formats.suffix(mime)}"
        source.write_bytes(content)
        try:
            made = convert(source, mime, "video/mp4", tmp_path / "out", resize={"width": 64})
        except Failed as error:
            assert str(tmp_path) not in str(error)  # noqa: PT017 - either end is right
        else:
            assert made.path.stat().st_size > 0


def test_a_picture_bomb_in_a_film_is_refused(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "color=s=12000x12000:d=0.04,format=monob", "-c:v", "png", tmp_path / "bomb.mov")

    with pytest.raises(BadMedia):
        convert(tmp_path / "bomb.mov", "video/quicktime", "image/jpeg", tmp_path / "out", resize={"width": 10})


@pytest.mark.parametrize("name", ["-i.mp4", "%03d.mp4", "a;'\"$(x).mp4", "pipe:0.mp4", "http:x.mp4"])
def test_no_file_name_is_a_flag_a_pattern_or_a_protocol(name: str, tmp_path: Path) -> None:
    source = film(tmp_path / "plain.mp4", *H264, size="64x64", seconds=0.4).rename(tmp_path / name)

    made = convert(source, "video/mp4", "image/gif", tmp_path / "out")

    assert len(frames(made.path)) == pytest.approx(5, abs=1)
