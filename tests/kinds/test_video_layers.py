"""Layers and subtitles of the kind `video`: where they lie, when they show, what they cannot do."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from tests.support import films
from tests.support.av import close, ffmpeg, film

from mediamill.core.errors import BadMedia
from mediamill.engines import _video_text

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")
GREY, PINK = (128, 128, 128), (255, 0, 128)
Picture = NDArray[np.uint8]


@pytest.fixture(scope="module")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two seconds of flat grey."""
    path = tmp_path_factory.mktemp("layers") / "grey.mp4"
    ffmpeg("-f", "lavfi", "-i", "color=0x808080:s=320x180:r=25:d=2", *H264[:6], path)
    return path


@pytest.fixture(scope="module")
def logo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pink box of 40 x 20."""
    path = tmp_path_factory.mktemp("layers") / "logo.png"
    Image.new("RGBA", (40, 20), (*PINK, 255)).save(path)
    return path


def image(**given: Any) -> dict[str, Any]:
    return {"kind": "image", "url": "http://files.example/logo.png", **given}


def box(picture: Picture, ground: tuple[int, int, int] = GREY, within: int = 40) -> tuple[int, int, int, int] | None:
    """(left, top, right, bottom) of what is not ground."""
    other = (np.abs(picture.astype(int) - np.array(ground)) > within).any(axis=2)
    rows, columns = np.flatnonzero(other.any(axis=1)), np.flatnonzero(other.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


@pytest.mark.parametrize(
    ("place", "wanted"),
    [
        ({}, (140, 80, 180, 100)),
        ({"position": "top_left"}, (0, 0, 40, 20)),
        ({"position": "bottom_right"}, (280, 160, 320, 180)),
        ({"left": 20, "top": 10}, (20, 10, 60, 30)),
        ({"right": 20, "bottom": 10}, (260, 150, 300, 170)),
        ({"left": "50%", "top": "50%"}, (160, 90, 200, 110)),
        ({"width": 80, "left": 0, "top": 0}, (0, 0, 80, 40)),
        ({"width": "25%", "height": 60, "position": "top_left"}, (0, 0, 80, 60)),
        ({"left": -20, "top": -10}, (0, 0, 20, 10)),
    ],
)
def test_a_picture_lies_where_it_is_put(
    place: dict[str, Any], wanted: tuple[int, ...], grey: Path, logo: Path, tmp_path: Path
) -> None:
    made = films.make(grey, tmp_path / "out", logo, layers=[image(**place)], frames=3, quality="very_high")

    picture = films.pictures(made.path)[1]
    found = box(picture)
    assert found is not None
    assert found == pytest.approx(wanted, abs=2)  # colour has half the resolution
    middle = (found[0] + found[2]) // 2, (found[1] + found[3]) // 2
    assert close(films.spot(picture, *middle), PINK)


def test_a_picture_shows_from_its_start_to_its_end(grey: Path, logo: Path, tmp_path: Path) -> None:
    made = films.make(grey, tmp_path / "out", logo, layers=[image(start=0.4, end=1.2)])

    shown = [box(picture) is not None for picture in films.pictures(made.path)]
    assert shown == [10 <= number < 30 for number in range(50)]


def test_times_of_layers_count_from_the_start_of_the_result(grey: Path, logo: Path, tmp_path: Path) -> None:
    made = films.make(grey, tmp_path / "out", logo, layers=[image(start=0.2)], start=1)

    shown = [box(picture) is not None for picture in films.pictures(made.path)]
    assert shown == [number >= 5 for number in range(25)]


def test_half_opacity_shows_half(grey: Path, logo: Path, tmp_path: Path) -> None:
    made = films.make(grey, tmp_path / "out", logo, layers=[image(opacity=0.5)], frames=2)

    assert close(films.spot(films.pictures(made.path)[1], 160, 90), (192, 64, 128))


def test_later_layers_lie_on_top(grey: Path, logo: Path, tmp_path: Path) -> None:
    Image.new("RGB", (20, 20), (0, 0, 255)).save(tmp_path / "blue.webp", lossless=True)

    made = films.make(grey, tmp_path / "out", logo, tmp_path / "blue.webp", layers=[image(), image()], frames=2)

    picture = films.pictures(made.path)[1]
    assert close(films.spot(picture, 160, 90), (0, 0, 255))
    assert close(films.spot(picture, 144, 90), PINK)


def samples_at(path: Path, x: int, y: int) -> list[int]:
    """(Y, Cb, Cr) of the second picture's sample there, as coded."""
    with av.open(str(path)) as container:
        frame = list(container.decode(video=0))[1]
        assert isinstance(frame, av.VideoFrame)
        planes = frame.to_ndarray(format="yuv420p")
        height, width = frame.height, frame.width
        chroma = planes[height:].reshape(2, height // 2, width // 2)
    return [int(planes[y, x]), *(int(plane[y // 2, x // 2]) for plane in chroma)]


@pytest.mark.parametrize(("size", "pink"), [("320x180", (94, 146, 231)), ("1280x720", (70, 159, 235))])
def test_a_film_that_does_not_say_how_it_is_coded_keeps_its_samples_under_a_layer(
    size: str, pink: tuple[int, ...], logo: Path, tmp_path: Path
) -> None:
    ffmpeg("-f", "lavfi", "-i", f"color=0x20a060:s={size}:r=25:d=0.2", *H264[:6], tmp_path / "in.mp4")

    made = films.make(tmp_path / "in.mp4", tmp_path / "out", logo, layers=[image(left=20, top=20)], quality="very_high")

    assert samples_at(made.path, 200, 100) == pytest.approx(samples_at(tmp_path / "in.mp4", 200, 100), abs=2)
    assert samples_at(made.path, 40, 30) == pytest.approx(pink, abs=3)  # BT.601 in small films, BT.709 in large ones


@pytest.mark.parametrize("name", ["logo.jpg", "logo.gif", "logo.avif", "logo.svg"])
def test_layers_may_be_of_any_picture_format(name: str, grey: Path, tmp_path: Path) -> None:
    if name.endswith("svg"):
        (tmp_path / name).write_text(
            "<svg xmlns='http://www.w3.org/2000/svg' width='40' height='20'>"
            "<rect width='40' height='20' fill='#ff0080'/></svg>"
        )
    else:
        Image.new("RGB", (40, 20), PINK).save(tmp_path / name)

    made = films.make(grey, tmp_path / "out", tmp_path / name, layers=[image()], frames=2)

    assert close(films.spot(films.pictures(made.path)[1], 160, 90), PINK)


def test_a_layer_that_is_no_picture_is_bad_media(grey: Path, tmp_path: Path) -> None:
    with pytest.raises(BadMedia, match="Layer 1"):
        films.make(grey, tmp_path / "out", grey, layers=[image()])
    (tmp_path / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(BadMedia):
        films.make(grey, tmp_path / "out2", tmp_path / "broken.png", layers=[image()])


def text(words: str, **given: Any) -> dict[str, Any]:
    return {"kind": "text", "text": words, **given}


def test_text_is_drawn_in_its_colour_and_size(grey: Path, tmp_path: Path) -> None:
    made = films.make(
        grey, tmp_path / "out", layers=[text("HHHH", font_size=60, color="#ff0080", position="top")], frames=2
    )

    picture = films.pictures(made.path)[1]
    found = box(picture)
    assert found is not None
    left, top, right, bottom = found
    assert abs((left + right) / 2 - 160) < 4
    assert top < 25
    assert 36 < bottom - top < 60  # capitals are about 0.71 of the size
    pinks = (np.abs(picture.astype(int) - np.array(PINK)) < 40).all(axis=2)
    assert pinks.mean() > 0.01


@pytest.mark.parametrize(
    "words",
    [
        "%{pts} %{localtime}",
        "':x=0[out];movie=/etc/passwd[out]",
        "a\\,b;c,d[e]=f:'g'",
        "#read(\"/etc/passwd\") <span size='9000'>&amp;",
        "{\\an8}\\N",
    ],
)
def test_text_is_never_a_program(words: str, grey: Path, tmp_path: Path) -> None:
    made = films.make(grey, tmp_path / "out", layers=[text(words, font_size=20)], frames=2)

    assert box(films.pictures(made.path)[1]) is not None
    assert not any(part in word for argv in made.argvs for word in argv for part in ("passwd", "%{", "localtime"))


def test_every_script_leaves_ink(grey: Path, tmp_path: Path) -> None:
    widths = []
    for number, words in enumerate(("مرحبا بالعالم", "你好，世界", "नमस्ते दुनिया", "안녕하세요")):
        made = films.make(grey, tmp_path / f"out-{number}", layers=[text(words, font_size=30)], frames=1)
        found = box(films.pictures(made.path)[0])
        assert found is not None
        widths.append(found[2] - found[0])
    assert all(width > 60 for width in widths)


# subtitles

SRT = "1\n00:00:00,400 --> 00:00:01,200\nHello <i>world</i>\n\n2\n00:00:01,400 --> 00:00:01,800\nAgain & more\n"
VTT = "WEBVTT\n\n00:00.400 --> 00:01.200 line:0\nHello <v Ann>world</v>\n\n00:01.400 --> 00:01.800\nAgain &amp; more\n"
URL = "http://files.example/subs"


def subtitles(folder: Path, name: str = "subs.srt", content: str | None = None) -> Path:
    path = folder / name
    path.write_text(content if content is not None else VTT if name.endswith("vtt") else SRT, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", ["subs.srt", "subs.vtt"])
def test_burnt_subtitles_show_while_they_are_spoken(name: str, grey: Path, tmp_path: Path) -> None:
    made = films.make(grey, tmp_path / "out", subtitles(tmp_path, name), subtitle_url=URL, subtitle_style="burn_in")

    pictures = films.pictures(made.path)
    shown = [box(picture) is not None for picture in pictures]
    assert shown == [10 <= number < 30 or 35 <= number < 45 for number in range(50)]
    found = box(pictures[15])
    assert found is not None
    left, top, right, bottom = found
    assert abs((left + right) / 2 - 160) < 6
    assert (top > 140, bottom > 160) == (True, True)
    assert films.tracks(made.path) == [("video", "h264")]
    assert [output.role for output in made.outputs] == ["result"]


def test_burnt_subtitles_follow_a_trim(grey: Path, tmp_path: Path) -> None:
    made = films.make(grey, tmp_path / "out", subtitles(tmp_path), subtitle_url=URL, subtitle_style="burn_in", start=1)

    shown = [box(picture) is not None for picture in films.pictures(made.path)]
    assert shown == [number < 5 or 10 <= number < 20 for number in range(25)]


def test_burnt_subtitles_in_a_kept_dynamic_range_are_paper_white(tmp_path: Path) -> None:
    params = "format=yuv420p10le,setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"
    x265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none")
    ffmpeg("-f", "lavfi", "-i", "color=black:s=640x360:r=25:d=0.8", "-vf", params, *x265, tmp_path / "in.mp4")
    asked = {"codec": "h265", "hdr": "keep", "width": 320, "quality": "very_high"}
    white = Image.new("RGB", (60, 30), (255, 255, 255))
    white.save(tmp_path / "white.png")

    made = films.make(
        tmp_path / "in.mp4",
        tmp_path / "out",
        tmp_path / "white.png",
        subtitles(tmp_path, content="1\n00:00:00,000 --> 00:00:02,000\nWWWWWWWW\n"),
        layers=[image(position="top")],
        subtitle_url=URL,
        subtitle_style="burn_in",
        **asked,
    )

    with av.open(str(made.path)) as container:
        frame = next(iter(container.decode(video=0)))
        assert isinstance(frame, av.VideoFrame)
        luma = np.frombuffer(bytes(frame.planes[0]), dtype=np.uint16).reshape(frame.height, -1)[:, : frame.width]
    paper = 64 + 0.58 * 876  # 203 cd/m2 in PQ, limited range, ten bits
    assert luma[15, 160] == pytest.approx(paper, abs=16)
    assert luma[120:].max() == pytest.approx(paper, abs=45)


@pytest.mark.parametrize(("container", "codec"), [("mp4", "mov_text"), ("mov", "mov_text"), ("webm", "webvtt")])
@pytest.mark.parametrize("name", ["subs.srt", "subs.vtt"])
def test_subtitles_are_kept_as_a_track_and_beside_it(
    name: str, container: str, codec: str, grey: Path, tmp_path: Path
) -> None:
    made = films.make(grey, tmp_path / "out", subtitles(tmp_path, name), subtitle_url=URL, format=container)

    assert made.facts.subtitle_tracks == 1
    assert films.tracks(made.path)[-1] == ("subtitle", codec)
    cues = films.words(made.path)
    assert [start for start, _ in cues] == pytest.approx([0.4, 1.4], abs=0.002)
    assert "world" in cues[0][1]
    assert "Again & more" in cues[1][1].replace("&amp;", "&")
    [sidecar] = [output for output in made.outputs if output.role == "subtitles"]
    assert (sidecar.mime, sidecar.filename) == ("text/vtt", "grey.vtt")
    assert sidecar.path.read_text().startswith("WEBVTT\n")
    assert made.details.get("remuxed", False) == (container != "webm")


def test_a_subtitle_track_follows_a_trim(grey: Path, tmp_path: Path) -> None:
    made = films.make(grey, tmp_path / "out", subtitles(tmp_path), subtitle_url=URL, start=1)

    assert [start for start, _ in films.words(made.path)] == pytest.approx([0, 0.4], abs=0.002)
    [sidecar] = [output for output in made.outputs if output.role == "subtitles"]
    assert "00:00:00.400 --> 00:00:00.800\nAgain" in sidecar.path.read_text()


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_the_inputs_own_subtitles_are_kept(container: str, tmp_path: Path) -> None:
    source = tmp_path / "in.mkv"
    pattern = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=2")
    tags = ("-metadata:s:s:0", "language=deu")
    ffmpeg(*pattern, "-i", subtitles(tmp_path), "-map", "0:v", "-map", "1:s", *H264[:6], "-c:s", "srt", *tags, source)

    plain = films.make(source, tmp_path / "plain", format=container)
    more = films.make(
        source, tmp_path / "more", subtitles(tmp_path, "x.vtt"), subtitle_url=URL, format=container, width=80
    )

    assert [start for start, _ in films.words(plain.path)] == pytest.approx([0.4, 1.4], abs=0.002)
    with av.open(str(plain.path)) as opened:
        assert opened.streams.subtitles[0].metadata["language"] in ("deu", "ger")
    assert more.facts.subtitle_tracks == 2


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_the_inputs_own_subtitles_are_cut_with_it(container: str, tmp_path: Path) -> None:
    source = tmp_path / "in.mp4"
    pattern = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=2")
    ffmpeg(*pattern, "-i", subtitles(tmp_path), "-map", "0:v", "-map", "1:s", *H264[:6], "-c:s", "mov_text", source)

    made = films.make(source, tmp_path / "out", format=container, start=0.8, end=1.6)

    with av.open(str(made.path)) as opened:
        [stream] = opened.streams.subtitles
        found = [
            (float(packet.pts * stream.time_base), float(packet.duration * stream.time_base))
            for packet in opened.demux(stream)
            if packet.pts is not None and packet.duration and stream.time_base and bytes(packet) != b"\0\0"
        ]
    assert found == [pytest.approx((0, 0.4), abs=0.01), pytest.approx((0.6, 0.2), abs=0.01)]
    assert made.facts.duration_s == pytest.approx(0.8, abs=0.05)


def test_subtitles_without_a_cue_leave_the_film_as_it_is(grey: Path, tmp_path: Path) -> None:
    for style in ({}, {"subtitle_style": "burn_in"}):
        made = films.make(
            grey, tmp_path / f"out{len(style)}", subtitles(tmp_path, "e.vtt", "WEBVTT\n"), subtitle_url=URL, **style
        )
        assert len(films.pictures(made.path)) == 50
        assert box(films.pictures(made.path)[20]) is None


@pytest.mark.parametrize("content", ["#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1/x\n", "ffconcat version 1.0\nfile x\n"])
def test_what_is_no_subtitles_is_bad_media(content: str, grey: Path, tmp_path: Path) -> None:
    path = subtitles(tmp_path, "subs.srt", content)
    with pytest.raises(BadMedia):
        films.make(grey, tmp_path / "out", path, subtitle_url=URL, subtitle_style="burn_in")
    with pytest.raises(BadMedia, match="neither WebVTT nor SubRip"):
        films.make(grey, tmp_path / "out2", films.given(path, "text/plain"), subtitle_url=URL)


def test_subtitles_may_be_a_stored_file(grey: Path, tmp_path: Path) -> None:
    made = films.make(grey, tmp_path / "out", subtitles(tmp_path), subtitle_file="file_1")

    assert made.facts.subtitle_tracks == 1


def test_a_line_of_subrip_cannot_speak_substation() -> None:
    hostile = r"{\an8}{\fnfile:/etc/passwd}<i>a</i> {b} \N {\p1}m 0 0 l <font color=red>c</font> 1 < 2"
    assert _video_text._line(hostile) == "{\\i1}a{\\i0} \\{b\\} \\\u2060N m 0 0 l c 1 < 2"


def test_a_film_with_sound_and_layers_keeps_its_sound_as_it_is(logo: Path, tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", *H264, seconds=1)

    made = films.make(source, tmp_path / "out", logo, layers=[image()])

    assert any(argv[at : at + 2] == ["-c:a:0", "copy"] for argv in made.argvs for at in range(len(argv)))
    assert made.facts.audio_codec == "aac"
