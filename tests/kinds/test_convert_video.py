"""Videos turned into other formats: what comes out is decoded, measured and looked at."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from tests.support.av import (
    BLUE,
    FRAME_S,
    LIME,
    RED,
    WHITE,
    boxes,
    close,
    colours,
    convert,
    corners,
    ffmpeg,
    film,
    frames,
    picture,
    pitch_hz,
)

from mediamill.core import formats
from mediamill.core.errors import BadMedia, LimitExceeded
from mediamill.engines.av_probe import PROBER

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")
SOURCES: dict[str, tuple[str, ...]] = {
    "video/mp4": H264,
    "video/webm": ("-c:v", "libvpx-vp9", "-deadline", "realtime", "-cpu-used", "8", "-c:a", "libopus"),
    "video/quicktime": H264,
    "video/x-matroska": H264,
    "video/x-msvideo": ("-c:v", "mpeg4", "-c:a", "libmp3lame"),
    "video/mpeg": ("-c:v", "mpeg2video", "-c:a", "mp2", "-f", "mpeg"),
    "video/mp2t": (*H264, "-f", "mpegts"),
    "video/3gpp": ("-s", "176x144", "-c:v", "h263", "-c:a", "aac", "-f", "3gp"),
    "video/x-flv": ("-c:v", "flv1", "-c:a", "libmp3lame", "-f", "flv"),
}
TARGETS = {
    "video/mp4": ("h264", "aac"),
    "video/webm": ("vp9", "opus"),
    "video/quicktime": ("h264", "aac"),
    "video/x-matroska": ("h264", "aac"),
    "video/x-msvideo": ("mpeg4", "mp3"),
}
REMUXED = {
    ("video/mp4", "video/quicktime"),
    ("video/mp4", "video/x-matroska"),
    ("video/quicktime", "video/mp4"),
    ("video/quicktime", "video/x-matroska"),
    ("video/x-matroska", "video/mp4"),
    ("video/x-matroska", "video/quicktime"),
    ("video/mp2t", "video/mp4"),
    ("video/mp2t", "video/quicktime"),
    ("video/mp2t", "video/x-matroska"),
    ("video/webm", "video/x-matroska"),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("films")
    made = {
        mime: film(folder / f"film{formats.suffix(mime)}", *codec, size="192x108") for mime, codec in SOURCES.items()
    }
    ffmpeg("-i", made["video/mp4"], "-vf", "fps=10", folder / "film.gif")
    return {**made, "image/gif": folder / "film.gif"}


@pytest.mark.parametrize("target_mime", TARGETS)
@pytest.mark.parametrize("source_mime", SOURCES)
def test_every_film_becomes_every_film(
    source_mime: str, target_mime: str, sources: dict[str, Path], tmp_path: Path
) -> None:
    before = PROBER.probe(sources[source_mime], source_mime)

    made = convert(sources[source_mime], source_mime, target_mime, tmp_path)

    facts = made.facts
    assert facts.duration_s == pytest.approx(before.duration_s, abs=2 * FRAME_S)  # a frame, and the sound's last packet
    assert (facts.width_px, facts.height_px) == (before.width_px, before.height_px)
    assert facts.frame_rate == pytest.approx(25, abs=0.1)
    assert len(frames(made.path)) == pytest.approx(50, abs=1)
    assert pitch_hz(made.path) == pytest.approx(440, abs=2)
    assert np.abs(picture(made.path, 20).astype(int) - _shown(sources[source_mime], 20)).mean() < 12
    if (source_mime, target_mime) in REMUXED:
        assert made.details == {"remuxed": True}
    else:
        assert "remuxed" not in made.details
        if (source_mime, target_mime) != ("video/mpeg", "video/x-matroska"):  # only its sound is encoded
            assert (facts.video_codec, facts.audio_codec) == TARGETS[target_mime]
    if target_mime in ("video/mp4", "video/quicktime"):
        assert boxes(made.path).index("moov") < boxes(made.path).index("mdat")


def _shown(path: Path, number: int) -> np.ndarray[tuple[int, ...], np.dtype[np.int64]]:
    """A picture at its displayed size: 3GP's H.263 has pixels that are not square."""
    with av.open(str(path)) as container:
        ratio = container.streams.video[0].sample_aspect_ratio or 1
    frame = frames(path)[number]
    shape = frame.reformat(width=round(frame.width * ratio) // 2 * 2, height=frame.height)
    return shape.to_ndarray(format="rgb24").astype(np.int64)


@pytest.mark.parametrize("target_mime", TARGETS)
def test_a_gif_becomes_a_silent_film_of_the_same_length(
    target_mime: str, sources: dict[str, Path], tmp_path: Path
) -> None:
    made = convert(sources["image/gif"], "image/gif", target_mime, tmp_path)

    assert made.facts.duration_s == pytest.approx(2.0, abs=0.11)
    assert len(frames(made.path)) == 20
    assert made.facts.audio_codec is None


@pytest.mark.parametrize("target_mime", TARGETS)
def test_colours_survive(target_mime: str, tmp_path: Path) -> None:
    source = corners(tmp_path / "c.mp4", *H264[:6])

    made = convert(source, "video/mp4", target_mime, tmp_path / "out", crf=20)

    found = colours(picture(made.path, 10))
    assert all(close(a, b) for a, b in zip(found, (RED, LIME, BLUE, WHITE), strict=True)), found


def test_colours_of_a_gif_survive_with_the_right_matrix(tmp_path: Path) -> None:
    source = corners(tmp_path / "c.gif")

    made = convert(source, "image/gif", "video/mp4", tmp_path / "out")

    frame = frames(made.path)[3]
    assert (frame.colorspace, frame.format.name) == (1, "yuv420p")  # BT.709
    found = colours(frame.to_ndarray(format="rgb24", src_colorspace="itu709").astype(np.uint8))
    assert all(close(a, b) for a, b in zip(found, (RED, LIME, BLUE, WHITE), strict=True)), found


def test_an_avi_has_the_colours_that_players_take_it_to_have(tmp_path: Path) -> None:
    source = corners(tmp_path / "c.gif")
    film = convert(source, "image/gif", "video/mp4", tmp_path / "film").path  # says BT.709, which AVI cannot

    for path, mime in ((source, "image/gif"), (film, "video/mp4")):
        made = convert(path, mime, "video/x-msvideo", tmp_path / mime.replace("/", "-"))

        frame = frames(made.path)[3]
        found = colours(frame.to_ndarray(format="rgb24", src_colorspace="itu601").astype(np.uint8))
        assert all(close(a, b, 14) for a, b in zip(found, (RED, LIME, BLUE, WHITE), strict=True)), (mime, found)


@pytest.mark.parametrize(
    ("degrees", "expected"),
    [(90, (LIME, WHITE, RED, BLUE)), (180, (WHITE, BLUE, LIME, RED)), (270, (BLUE, RED, WHITE, LIME))],
)
@pytest.mark.parametrize("target_mime", ["video/webm", "video/x-matroska", "image/gif", "image/png", "video/mp4"])
def test_a_film_held_sideways_comes_out_upright(
    degrees: int, expected: tuple[tuple[int, ...], ...], target_mime: str, tmp_path: Path
) -> None:
    corners(tmp_path / "flat.mp4", *H264[:6], size="160x96")
    ffmpeg("-display_rotation", str(degrees), "-i", tmp_path / "flat.mp4", "-c", "copy", tmp_path / "turned.mp4")
    upright = (96, 160) if degrees != 180 else (160, 96)

    probed = PROBER.probe(tmp_path / "turned.mp4", "video/mp4")
    made = convert(tmp_path / "turned.mp4", "video/mp4", target_mime, tmp_path / "out", resize={"max_width": 4000})

    assert (probed.width_px, probed.height_px) == upright
    image = picture(made.path)
    assert image.shape[:2] == upright[::-1]
    assert frames(made.path)[0].rotation == 0
    assert all(close(a, b, 40) for a, b in zip(colours(image), expected, strict=True)), colours(image)


def test_moving_the_tracks_of_a_turned_film_keeps_it_turned(tmp_path: Path) -> None:
    corners(tmp_path / "flat.mp4", *H264[:6], size="160x96")
    ffmpeg("-display_rotation", "90", "-i", tmp_path / "flat.mp4", "-c", "copy", tmp_path / "turned.mp4")

    moved = convert(tmp_path / "turned.mp4", "video/mp4", "video/quicktime", tmp_path / "a")
    encoded = convert(tmp_path / "turned.mp4", "video/mp4", "video/x-matroska", tmp_path / "b")

    assert moved.details == {"remuxed": True}
    assert (moved.facts.width_px, moved.facts.height_px) == (96, 160)
    assert encoded.details == {}
    assert (encoded.facts.width_px, encoded.facts.height_px) == (96, 160)


def test_pixels_that_are_not_square_become_square(tmp_path: Path) -> None:
    source = corners(tmp_path / "wide.mkv", "-vf", "scale=160:120,setsar=2/1", *H264[:6])

    made = convert(source, "video/x-matroska", "video/webm", tmp_path / "out")

    assert PROBER.probe(source, "video/x-matroska").width_px == 320
    assert picture(made.path).shape == (120, 320, 3)
    with av.open(str(made.path)) as container:
        assert container.streams.video[0].sample_aspect_ratio in (None, 1)


@pytest.mark.parametrize(
    ("resize", "expected"),
    [
        ({"width": 160}, (160, 90)),
        ({"height": 90}, (160, 90)),
        ({"width": 101, "height": 77}, (100, 76)),
        ({"max_width": 100}, (100, 56)),
        ({"max_width": 1000, "max_height": 1000}, (320, 180)),
        ({"width": 640, "max_height": 200}, (356, 200)),
    ],
)
def test_resize_does_what_the_contract_says(resize: dict[str, int], expected: tuple[int, int], tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", *H264, seconds=0.2)

    made = convert(source, "video/mp4", "video/quicktime", tmp_path, resize=resize)

    assert (made.facts.width_px, made.facts.height_px) == expected
    assert "remuxed" not in made.details


@pytest.mark.parametrize("target_mime", TARGETS)
def test_odd_sizes_are_rounded_down_to_even(target_mime: str, tmp_path: Path) -> None:
    source = film(tmp_path / "odd.mkv", "-c:v", "ffv1", "-pix_fmt", "yuv444p", size="161x91", seconds=0.4)

    made = convert(source, "video/x-matroska", target_mime, tmp_path / "out")

    assert picture(made.path).shape == (90, 160, 3)


@pytest.mark.parametrize("target_mime", ["video/mp4", "video/webm", "video/x-msvideo"])
def test_a_trim_starts_and_ends_on_the_frame(target_mime: str, sources: dict[str, Path], tmp_path: Path) -> None:
    wanted = picture(sources["video/mp4"], 20)  # at 0.8 s

    made = convert(sources["video/mp4"], "video/mp4", target_mime, tmp_path, start=0.8, duration=0.6)

    assert len(frames(made.path)) == pytest.approx(15, abs=1)
    assert made.facts.duration_s == pytest.approx(0.6, abs=2 * FRAME_S)
    near = np.abs(picture(made.path).astype(int) - wanted).mean()
    far = np.abs(picture(made.path).astype(int) - picture(sources["video/mp4"], 25)).mean()
    assert near < 8 < far
    assert pitch_hz(made.path) == pytest.approx(440, abs=3)


def test_a_start_after_the_end_is_said_so(sources: dict[str, Path], tmp_path: Path) -> None:
    for target_mime in ("video/webm", "image/png", "image/gif", "audio/mpeg"):
        with pytest.raises(BadMedia, match="start lies after the end"):
            convert(sources["video/mp4"], "video/mp4", target_mime, tmp_path, start=60)


@pytest.mark.parametrize(("fps", "count"), [(5, 10), (50, 100), (29.97, 60)])
def test_the_frame_rate_is_as_asked(fps: float, count: int, sources: dict[str, Path], tmp_path: Path) -> None:
    made = convert(sources["video/mp4"], "video/mp4", "video/mp4", tmp_path, fps=fps)

    assert made.facts.frame_rate == pytest.approx(fps, abs=0.01)
    assert len(frames(made.path)) == pytest.approx(count, abs=1)
    assert made.facts.duration_s == pytest.approx(2.0, abs=0.05)


@pytest.mark.parametrize("target_mime", ["video/mp4", "video/webm"])
def test_a_higher_crf_makes_a_smaller_file(target_mime: str, sources: dict[str, Path], tmp_path: Path) -> None:
    fine = convert(sources["video/mp4"], "video/mp4", target_mime, tmp_path / "a", crf=15)
    coarse = convert(sources["video/mp4"], "video/mp4", target_mime, tmp_path / "b", crf=50)

    assert coarse.path.stat().st_size < fine.path.stat().st_size * 0.6


def test_sound_can_be_left_out_without_encoding_the_picture(sources: dict[str, Path], tmp_path: Path) -> None:
    made = convert(sources["video/mp4"], "video/mp4", "video/quicktime", tmp_path, audio=False)

    assert made.facts.audio_codec is None
    assert made.details == {"remuxed": True}


def test_sound_settings_leave_the_picture_as_it_is(sources: dict[str, Path], tmp_path: Path) -> None:
    made = convert(sources["video/mp4"], "video/mp4", "video/x-matroska", tmp_path, sample_rate=22050, channels=2)

    assert (made.facts.sample_rate_hz, made.facts.channels) == (22050, 2)
    assert made.argvs[0][made.argvs[0].index("-c:v") + 1] == "copy"
    assert "remuxed" not in made.details


def test_every_sound_track_and_text_track_is_kept_where_the_target_can(tmp_path: Path) -> None:
    (tmp_path / "t.srt").write_text("1\n00:00:00,200 --> 00:00:00,900\nHello\n")
    film(tmp_path / "f.mp4", *H264, seconds=1)
    ffmpeg(
        *("-i", tmp_path / "f.mp4", "-f", "lavfi", "-i", "sine=f=900:d=1", "-i", tmp_path / "t.srt"),
        *("-map", "0", "-map", "1", "-map", "2", "-c:v", "copy", "-c:a", "aac", "-c:s", "srt"),
        *("-metadata:s:a:1", "language=deu", tmp_path / "many.mkv"),
    )

    for target_mime, sounds, texts in (("video/mp4", 2, 1), ("video/webm", 2, 1), ("video/x-msvideo", 1, 0)):
        made = convert(tmp_path / "many.mkv", "video/x-matroska", target_mime, tmp_path / "out")
        with av.open(str(made.path)) as container:
            assert len(container.streams.audio) == sounds
            assert len(container.streams.subtitles) == texts
            if sounds == 2:
                assert container.streams.audio[1].language == "deu"


def test_frames_at_uneven_times_keep_them(tmp_path: Path) -> None:
    # 10 frames a second in the first half, 25 in the second
    film(tmp_path / "v.mkv", *H264, "-fps_mode", "vfr", filters="select='if(lt(t,1),not(mod(n,5)),1)'")
    before = [float(f.time or 0) for f in frames(tmp_path / "v.mkv")]

    made = convert(tmp_path / "v.mkv", "video/x-matroska", "video/mp4", tmp_path / "out", crf=30)
    even = convert(tmp_path / "v.mkv", "video/x-matroska", "video/mp4", tmp_path / "even", fps=25)

    after = [float(f.time or 0) for f in frames(made.path)]
    assert after == pytest.approx(before, abs=0.005)
    assert len(frames(even.path)) == pytest.approx(50, abs=1)


def test_ten_bit_and_422_become_what_every_player_shows(tmp_path: Path) -> None:
    source = film(tmp_path / "pro.mkv", "-c:v", "libx264", "-pix_fmt", "yuv422p10le", seconds=0.4)

    made = convert(source, "video/x-matroska", "video/mp4", tmp_path / "out")

    assert frames(made.path)[0].format.name == "yuv420p"
    assert "remuxed" not in made.details


@pytest.mark.parametrize(("curve", "name"), [("smpte2084", "pq"), ("arib-std-b67", "hlg")])
def test_hdr_is_mapped_to_ordinary_range(curve: str, name: str, tmp_path: Path) -> None:
    params = f"setparams=color_primaries=bt2020:color_trc={curve}:colorspace=bt2020nc:range=tv"
    source = film(
        tmp_path / "hdr.mkv",
        *("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none", "-pix_fmt", "yuv420p10le"),
        seconds=0.4,
        tone_hz=None,
        filters=f"format=yuv420p10le,{params}",
    )

    made = convert(source, "video/x-matroska", "video/webm", tmp_path / "out")

    frame = frames(made.path)[0]
    assert any("tonemap" in word for word in made.argvs[-1])
    assert (frame.color_trc, frame.colorspace, frame.format.name) == (1, 1, "yuv420p")
    assert 40 < picture(made.path).mean() < 215


@pytest.mark.parametrize(
    ("name", "mime", "codec"),
    [
        ("clear.mov", "video/quicktime", ("-c:v", "prores_ks", "-pix_fmt", "yuva444p10le")),
        ("clear.webm", "video/webm", ("-c:v", "libvpx-vp9", "-pix_fmt", "yuva420p", "-auto-alt-ref", "0")),
    ],
)
def test_transparency_is_kept_where_the_target_can(
    name: str, mime: str, codec: tuple[str, ...], tmp_path: Path
) -> None:
    half = "color=red:s=128x72:r=25:d=0.4,format=rgba,geq=r=255:g=0:b=0:a='255*gte(X,W/2)'"  # the right one shows
    ffmpeg("-f", "lavfi", "-i", half, *codec, tmp_path / name)

    png = convert(tmp_path / name, mime, "image/png", tmp_path / "png")
    webm = convert(tmp_path / name, mime, "video/webm", tmp_path / "webm")
    mp4 = convert(tmp_path / name, mime, "video/mp4", tmp_path / "mp4")
    again = convert(webm.path, "video/webm", "image/png", tmp_path / "again")

    assert PROBER.probe(tmp_path / name, mime).has_alpha
    assert webm.facts.has_alpha
    assert not mp4.facts.has_alpha
    for made in (png, again):
        image = frames(made.path)[0].to_ndarray(format="rgba")
        assert image[36, 20, 3] < 30
        assert image[36, 100, 3] > 225
        assert close(tuple(int(v) for v in image[36, 100, :3]), RED)


def test_the_title_stays_and_the_place_does_not(tmp_path: Path) -> None:
    film(tmp_path / "f.mp4", *H264, "-metadata", "title=Holiday", "-metadata", "location=+48.1+011.5/", seconds=0.4)

    made = convert(tmp_path / "f.mp4", "video/mp4", "video/x-matroska", tmp_path / "out")

    assert made.facts.title == "Holiday"
    with av.open(str(tmp_path / "f.mp4")) as before, av.open(str(made.path)) as after:
        assert "location" in before.metadata
        assert not [key for key in after.metadata if "location" in key.lower() or "brand" in key.lower()]


def test_interlaced_pictures_are_woven(tmp_path: Path) -> None:
    source = film(
        tmp_path / "tv.mpg", "-c:v", "mpeg2video", "-flags", "+ilme+ildct", "-f", "mpeg", rate="50",
        filters="interlace", tone_hz=None, seconds=1,
    )  # fmt: skip

    made = convert(source, "video/mpeg", "video/mp4", tmp_path / "out")

    assert "bwdif" in " ".join(made.argvs[-1])
    assert not frames(made.path)[0].interlaced_frame
    assert made.facts.frame_rate == pytest.approx(25, abs=0.1)


@pytest.mark.parametrize("target_mime", ["image/png", "image/jpeg", "image/webp"])
def test_the_first_frame_or_that_at_start_becomes_a_picture(
    target_mime: str, sources: dict[str, Path], tmp_path: Path
) -> None:
    first = convert(sources["video/mp4"], "video/mp4", target_mime, tmp_path / "a")
    later = convert(sources["video/mp4"], "video/mp4", target_mime, tmp_path / "b", start=1.2, resize={"width": 101})

    assert np.abs(picture(first.path).astype(int) - picture(sources["video/mp4"], 0)).mean() < 8
    assert picture(later.path).shape == (57, 101, 3)
    small = [f.reformat(width=101, height=57).to_ndarray(format="rgb24") for f in frames(sources["video/mp4"])]
    off = [np.abs(picture(later.path).astype(int) - image).mean() for image in small]
    assert int(np.argmin(off)) == 30


def test_a_picture_at_the_very_end_is_the_last_frame(sources: dict[str, Path], tmp_path: Path) -> None:
    made = convert(sources["video/mp4"], "video/mp4", "image/png", tmp_path, start=1.99)

    assert np.abs(picture(made.path).astype(int) - picture(sources["video/mp4"], 49)).mean() < 8


def test_a_size_the_codec_has_no_room_for_is_a_limit_not_a_crash(sources: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(LimitExceeded, match="at this size"):
        convert(sources["video/mp4"], "video/mp4", "video/x-msvideo", tmp_path, resize={"width": 9000, "height": 16})


def test_quality_acts_on_jpeg_and_webp_pictures(sources: dict[str, Path], tmp_path: Path) -> None:
    for target_mime in ("image/jpeg", "image/webp"):
        small = convert(sources["video/mp4"], "video/mp4", target_mime, tmp_path / "a", quality=10)
        large = convert(sources["video/mp4"], "video/mp4", target_mime, tmp_path / "b", quality=95)
        assert small.path.stat().st_size < large.path.stat().st_size / 2


def test_a_gif_has_twelve_frames_a_second_and_the_right_colours(tmp_path: Path) -> None:
    source = corners(tmp_path / "c.mp4", *H264[:6], seconds=2)

    made = convert(source, "video/mp4", "image/gif", tmp_path / "out")

    assert len(frames(made.path)) == 24
    assert b"NETSCAPE2.0\x03\x01\x00\x00" in made.path.read_bytes()
    found = colours(picture(made.path, 10))
    assert all(close(a, b) for a, b in zip(found, (RED, LIME, BLUE, WHITE), strict=True)), found


@pytest.mark.parametrize(("loop", "field"), [(0, b"\x00\x00"), (3, b"\x02\x00"), (1, None)])
def test_a_gif_plays_as_often_as_asked(
    loop: int, field: bytes | None, sources: dict[str, Path], tmp_path: Path
) -> None:
    made = convert(sources["video/mp4"], "video/mp4", "image/gif", tmp_path, loop=loop, duration=0.5, fps=10)

    content = made.path.read_bytes()
    assert len(frames(made.path)) == 5
    if field is None:
        assert b"NETSCAPE2.0" not in content
    else:
        assert b"NETSCAPE2.0\x03\x01" + field in content


def test_a_gif_too_large_for_memory_is_read_twice(
    sources: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    once = convert(sources["video/mp4"], "video/mp4", "image/gif", tmp_path / "a")
    monkeypatch.setattr("mediamill.engines._ffmpeg_args.GIF_MEMORY_BYTES", 1000)

    twice = convert(sources["video/mp4"], "video/mp4", "image/gif", tmp_path / "b")

    assert (len(once.argvs), len(twice.argvs)) == (1, 2)
    assert len(frames(twice.path)) == len(frames(once.path))
    assert np.abs(picture(twice.path, 9).astype(int) - picture(once.path, 9)).mean() < 4
    fractions = [f for stage, f in twice.reports if stage == "encode" and f is not None]
    assert fractions == sorted(fractions)
    assert sorted(p.name for p in (tmp_path / "b").iterdir()) == ["result.gif"]


def test_progress_only_goes_forward_and_ends_at_one(tmp_path: Path) -> None:
    source = film(tmp_path / "long.mp4", *H264, size="640x360", seconds=3)

    made = convert(source, "video/mp4", "video/webm", tmp_path / "out")

    fractions = [f for stage, f in made.reports if stage == "encode" and f is not None]
    assert fractions == sorted(set(fractions))
    assert fractions[-1] == 1.0
    assert len(fractions) > 1


def test_a_sound_in_a_film_format_has_no_picture(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "sine=d=1", tmp_path / "only.mp4")

    with pytest.raises(BadMedia, match="no video track"):
        convert(tmp_path / "only.mp4", "video/mp4", "video/webm", tmp_path / "out")
