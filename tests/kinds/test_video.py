"""The kind `video`: what it makes of small films made here, looked at frame by frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import av
import pytest
from tests.support import films
from tests.support.av import BLUE, LIME, RED, WHITE, boxes, close, colours, corners, ffmpeg, film, samples, tone

from mediamill.core.errors import BadMedia, LimitExceeded, NoVideo, RangeEmpty
from mediamill.engines import video

H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac")


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return film(tmp_path_factory.mktemp("video") / "holiday.in.mov", *H264, seconds=3)


@pytest.fixture(scope="module")
def quarters(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Red and lime above, blue and white below."""
    return corners(tmp_path_factory.mktemp("video") / "quarters.mp4", *H264)


# what needs no encoder


def test_a_film_that_is_already_right_is_moved_not_encoded(source: Path, tmp_path: Path) -> None:
    made = films.make(source, tmp_path / "out")

    assert made.details["remuxed"] is True
    assert made.details["engine"] == "ffmpeg"
    assert (made.mime, made.filename) == ("video/mp4", "holiday.in.mp4")
    assert all((a == b).all() for a, b in zip(films.pictures(made.path), films.pictures(source), strict=True))
    assert boxes(made.path).index("moov") < boxes(made.path).index("mdat")


def test_a_large_film_is_moved_in_one_pass_with_its_index_in_front(tmp_path: Path) -> None:
    noise = "testsrc2=s=640x360:r=25:d=2,noise=alls=40:allf=t"
    source = tmp_path / "in.mov"
    ffmpeg("-f", "lavfi", "-i", noise, "-f", "lavfi", "-i", "sine=d=2", *H264, "-crf", "1", source)

    made = films.make(source, tmp_path / "out")

    found = boxes(made.path)
    assert found.index("moov") < found.index("free") < found.index("mdat")
    assert not any("faststart" in word for word in made.argvs[-1])
    assert made.path.stat().st_size < source.stat().st_size * 1.01
    assert len(films.pictures(made.path)) == 50
    assert made.facts.audio_codec == "aac"


def test_the_size_and_rate_it_has_are_no_reason_to_encode(source: Path, tmp_path: Path) -> None:
    made = films.make(source, tmp_path / "out", width=320, height=180, fps=25, codec="h264", format="mov")

    assert made.details["remuxed"] is True
    assert made.mime == "video/quicktime"


@pytest.mark.parametrize(
    "options",
    [
        {"quality": "high"},
        {"bitrate": 400_000},
        {"fps": 12},
        {"start": 1},
        {"frames": 5},
        {"width": "50%"},
        {"codec": "h265"},
        {"format": "webm"},
    ],
)
def test_what_changes_pictures_is_encoded(options: dict[str, Any], source: Path, tmp_path: Path) -> None:
    assert "remuxed" not in films.make(source, tmp_path / "out", **options).details


def test_a_sound_that_does_not_fit_is_encoded_beside_a_moved_picture(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mkv", *H264[:-1], "flac")

    made = films.make(source, tmp_path / "out")

    assert made.details["picture_kept"] is True
    assert "remuxed" not in made.details
    assert films.tracks(made.path) == [("video", "h264"), ("audio", "aac")]


def test_pictures_no_browser_plays_are_not_moved(tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", *H264[:4], "-pix_fmt", "yuv422p10le")

    made = films.make(source, tmp_path / "out")

    assert "remuxed" not in made.details
    assert made.facts.video_profile == "High"


# sizes


def test_one_side_keeps_the_ratio(source: Path, tmp_path: Path) -> None:
    made = films.make(source, tmp_path / "out", width=160)

    assert (made.facts.width_px, made.facts.height_px) == (160, 90)
    assert made.facts.duration_s == pytest.approx(3, abs=0.05)
    assert len(films.pictures(made.path)) == 75
    assert boxes(made.path).index("moov") < boxes(made.path).index("mdat")
    assert "remuxed" not in made.details


def test_sides_are_even(source: Path, tmp_path: Path) -> None:
    made = films.make(source, tmp_path / "out", width="33%")

    assert (made.facts.width_px, made.facts.height_px) == (106, 58)


def test_fill_stretches(quarters: Path, tmp_path: Path) -> None:
    made = films.make(quarters, tmp_path / "out", width=120, height=120)

    found = colours(films.pictures(made.path)[5])
    assert all(close(one, wanted) for one, wanted in zip(found, (RED, LIME, BLUE, WHITE), strict=True))


def test_contain_pads_with_the_background(quarters: Path, tmp_path: Path) -> None:
    made = films.make(quarters, tmp_path / "out", width=120, height=160, fit="contain", background="#8040c0")

    picture = films.pictures(made.path)[5]
    assert picture.shape == (160, 120, 3)
    for y in (4, 155):
        assert close(films.spot(picture, 60, y), (0x80, 0x40, 0xC0))
    assert close(films.spot(picture, 30, 60), RED)
    assert close(films.spot(picture, 90, 100), WHITE)


def test_contain_leaves_the_picture_where_the_position_says(quarters: Path, tmp_path: Path) -> None:
    made = films.make(quarters, tmp_path / "out", width=120, height=160, fit="contain", position="bottom")

    picture = films.pictures(made.path)[5]
    assert close(films.spot(picture, 60, 40), (0, 0, 0))
    assert close(films.spot(picture, 30, 154), BLUE)


@pytest.mark.parametrize(
    ("position", "wanted"), [("left", (RED, RED)), ("right", (LIME, LIME)), ("center", (RED, LIME))]
)
def test_cover_crops_to_the_position(
    position: str, wanted: tuple[tuple[int, int, int], ...], quarters: Path, tmp_path: Path
) -> None:
    made = films.make(quarters, tmp_path / "out", width=80, height=180, fit="cover", position=position)

    picture = films.pictures(made.path)[5]
    assert picture.shape == (180, 80, 3)
    assert close(films.spot(picture, 12, 40), wanted[0])
    assert close(films.spot(picture, 68, 40), wanted[1])


def test_turned_films_come_out_upright(quarters: Path, tmp_path: Path) -> None:
    ffmpeg("-display_rotation", "90", "-i", quarters, "-c", "copy", tmp_path / "turned.mp4")

    made = films.make(tmp_path / "turned.mp4", tmp_path / "out", width="50%")

    facts = made.facts
    assert (facts.width_px, facts.height_px, facts.rotation_deg) == (90, 160, None)
    found = colours(films.pictures(made.path)[5])
    assert all(close(one, wanted) for one, wanted in zip(found, (LIME, WHITE, RED, BLUE), strict=True))


def test_turned_films_keep_their_turn_when_moved_and_lose_it_where_players_ignore_it(
    quarters: Path, tmp_path: Path
) -> None:
    ffmpeg("-display_rotation", "90", "-i", quarters, "-c", "copy", tmp_path / "turned.mp4")

    moved = films.make(tmp_path / "turned.mp4", tmp_path / "moved", format="mov")
    webm = films.make(tmp_path / "turned.mp4", tmp_path / "webm", format="webm")

    assert moved.details["remuxed"] is True
    assert (moved.facts.rotation_deg, moved.facts.width_px, moved.facts.height_px) == (90, 180, 320)
    assert films.pictures(webm.path)[0].shape == (320, 180, 3)


def test_pixels_come_out_square(tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=180x180:r=25:d=1,setsar=16/9", *H264[:6], tmp_path / "wide.mp4")

    plain = films.make(tmp_path / "wide.mp4", tmp_path / "plain")
    small = films.make(tmp_path / "wide.mp4", tmp_path / "small", height=90)

    assert films.pictures(plain.path)[0].shape == (180, 320, 3)
    assert films.pictures(small.path)[0].shape == (90, 160, 3)


# codecs, containers, rates


@pytest.mark.parametrize(
    ("container", "codec", "tracks"),
    [
        ("mp4", None, ("h264", "aac")),
        ("mov", None, ("h264", "aac")),
        ("webm", None, ("vp9", "opus")),
        ("mp4", "h265", ("hevc", "aac")),
        ("mov", "h265", ("hevc", "aac")),
        ("mp4", "av1", ("av1", "aac")),
        ("webm", "av1", ("av1", "opus")),
    ],
)
def test_every_pair_of_codec_and_container(
    container: str, codec: str | None, tracks: tuple[str, str], source: Path, tmp_path: Path
) -> None:
    options = {"codec": codec} if codec else {}

    made = films.make(source, tmp_path / "out", format=container, width=160, end=1, **options)

    facts = made.facts
    assert (facts.video_codec, facts.audio_codec) == tracks
    assert made.filename == f"holiday.in.{container}"
    assert facts.duration_s == pytest.approx(1, abs=0.06)
    [first, *_], [wanted, *_] = films.pictures(made.path), films.pictures(source)
    assert films.psnr(first, wanted[::2, ::2]) > 18  # the same picture, whatever the codec


def test_a_better_quality_is_nearer_to_the_source_and_larger(source: Path, tmp_path: Path) -> None:
    poor, good = (films.make(source, tmp_path / word, quality=word, end=1) for word in ("very_low", "very_high"))

    wanted = films.pictures(source)[10]
    assert poor.path.stat().st_size * 2 < good.path.stat().st_size
    assert films.psnr(films.pictures(poor.path)[10], wanted) + 4 < films.psnr(films.pictures(good.path)[10], wanted)


def test_a_bit_rate_is_held(tmp_path: Path) -> None:
    noise = "testsrc2=s=640x360:r=25:d=4,noise=alls=30:allf=t"
    ffmpeg("-f", "lavfi", "-i", noise, *H264[:6], tmp_path / "noise.mp4")

    mean = films.make(tmp_path / "noise.mp4", tmp_path / "mean", bitrate=600_000)
    capped = films.make(tmp_path / "noise.mp4", tmp_path / "capped", bitrate=600_000, quality="very_high")

    assert mean.facts.bitrate_bps == pytest.approx(600_000, rel=0.25)
    assert capped.facts.bitrate_bps is not None
    assert capped.facts.bitrate_bps < 900_000


def test_the_rate_asked_for_is_the_rate_made(source: Path, tmp_path: Path) -> None:
    made = films.make(source, tmp_path / "out", fps=10, width=160)

    assert films.times(made.path) == pytest.approx([n / 10 for n in range(30)], abs=0.002)
    assert made.facts.duration_s == pytest.approx(3, abs=0.05)


@pytest.mark.parametrize(
    "given", [{}, {"codec": "h265"}, {"codec": "av1"}, {"format": "webm"}], ids=["h264", "h265", "av1", "vp9"]
)
def test_unequal_distances_between_frames_are_kept(given: dict[str, str], tmp_path: Path) -> None:
    uneven = "select='not(mod(n\\,7)-3)+lt(mod(n\\,5)\\,2)'"
    source = film(tmp_path / "uneven.mp4", "-fps_mode", "vfr", *H264, rate="30", seconds=4, filters=uneven)

    made = films.make(source, tmp_path / "out", width=160, **given)

    assert films.times(made.path) == pytest.approx(films.times(source), abs=0.002)
    assert made.facts.duration_s == pytest.approx(4, abs=0.06)


# parts


def test_a_part_begins_and_ends_where_asked(source: Path, tmp_path: Path) -> None:
    made = films.make(source, tmp_path / "out", start=0.8, end=2, quality="very_high")

    pictures, wanted = films.pictures(made.path), films.pictures(source)
    assert len(pictures) == 30
    assert films.psnr(pictures[0], wanted[20]) > 30
    assert films.psnr(pictures[29], wanted[49]) > 30
    signal, rate_hz = samples(made.path)
    assert signal.shape[1] / rate_hz == pytest.approx(1.2, abs=0.06)


def test_chapters_are_kept_and_trimmed(source: Path, tmp_path: Path) -> None:
    chapter = "[CHAPTER]\nTIMEBASE=1/1000\nSTART={}\nEND={}\ntitle={}\n"
    (tmp_path / "tags.txt").write_text(
        ";FFMETADATA1\n" + chapter.format(0, 1000, "One") + chapter.format(1000, 3000, "Two")
    )
    ffmpeg("-i", source, "-i", tmp_path / "tags.txt", "-map_chapters", "1", "-c", "copy", tmp_path / "in.mp4")

    for container in ("mp4", "webm"):
        made = films.make(tmp_path / "in.mp4", tmp_path / container, format=container, start=0.5, end=2, width=160)
        with av.open(str(made.path)) as opened:
            found = [
                (*(float(one[edge] * (one["time_base"] or 0)) for edge in ("start", "end")), one["metadata"]["title"])
                for one in opened.chapters()
            ]
        assert found == [(0, 0.5, "One"), (0.5, 1.5, "Two")]
        assert made.facts.duration_s == pytest.approx(1.5, abs=0.03)


def test_frames_stop_the_sound_too(source: Path, tmp_path: Path) -> None:
    made = films.make(source, tmp_path / "out", frames=10, start=1)

    assert len(films.pictures(made.path)) == 10
    signal, rate_hz = samples(made.path)
    assert signal.shape[1] / rate_hz == pytest.approx(0.4, abs=0.06)


@pytest.mark.parametrize("given", [{"start": 3}, {"start": 30}, {"end": 5}, {"start": 2.999}])
def test_times_beyond_the_end_fail_as_an_empty_range(given: dict[str, float], source: Path, tmp_path: Path) -> None:
    with pytest.raises(RangeEmpty) as caught:
        films.make(source, tmp_path / "out", **given)
    assert caught.value.code == "range_empty"


# high dynamic range


PQ = (
    "scale=out_color_matrix=bt2020,format=yuv420p10le,setparams=color_primaries=bt2020:color_trc={}:colorspace=bt2020nc"
)
X265 = ("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=none:max-cll=1000,400")


@pytest.mark.parametrize("curve", ["smpte2084", "arib-std-b67"])
def test_high_dynamic_range_is_toned_down(curve: str, tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", *X265, tone_hz=None, seconds=0.6, filters=PQ.format(curve))

    made = films.make(source, tmp_path / "out")

    assert made.details["tone_mapped"] is True
    assert made.facts.hdr is None
    assert made.facts.video_profile == "High"
    assert 40 < films.pictures(made.path)[0].mean() < 215


@pytest.mark.parametrize(("codec", "container"), [("h265", "mp4"), ("av1", "mp4"), ("av1", "webm")])
def test_high_dynamic_range_is_kept_when_asked(codec: str, container: str, tmp_path: Path) -> None:
    source = film(tmp_path / "in.mp4", *X265, tone_hz=None, seconds=0.6, filters=PQ.format("smpte2084"))

    made = films.make(source, tmp_path / "out", codec=codec, format=container, hdr="keep", width=160)

    assert made.facts.hdr == "pq"
    with av.open(str(made.path)) as container_:
        frame = next(iter(container_.decode(video=0)))
        assert isinstance(frame, av.VideoFrame)
        assert frame.format.name == "yuv420p10le"
        assert frame.side_data.get("CONTENT_LIGHT_LEVEL") is not None


def test_kept_high_dynamic_range_may_be_moved_and_toned_down_may_not(tmp_path: Path) -> None:
    source = film(
        tmp_path / "in.mp4", *X265, "-tag:v", "hvc1", tone_hz=None, seconds=0.6, filters=PQ.format("smpte2084")
    )

    assert films.make(source, tmp_path / "keep", codec="h265", hdr="keep").details.get("remuxed")
    assert "remuxed" not in films.make(source, tmp_path / "sdr", codec="h265").details


# sound, other tracks, other inputs


def test_sound_can_be_left_out(source: Path, tmp_path: Path) -> None:
    assert films.tracks(films.make(source, tmp_path / "out", no_audio=True).path) == [("video", "h264")]


def test_every_sound_track_and_its_language_are_kept(tmp_path: Path) -> None:
    one, two = (tone(tmp_path / f"{hz}.m4a", "-c:a", "aac", hz=hz, seconds=1) for hz in (440, 880))
    pattern = ("-f", "lavfi", "-i", "testsrc2=s=160x90:r=25:d=1")
    tags = ("-metadata:s:a:0", "language=eng", "-metadata:s:a:1", "language=fra")
    maps = ("-map", "0:v", "-map", "1:a", "-map", "2:a")
    ffmpeg(*pattern, "-i", one, "-i", two, *maps, *H264, *tags, tmp_path / "in.mp4")

    for container in ("mp4", "webm"):
        made = films.make(tmp_path / "in.mp4", tmp_path / container, format=container, width=80)
        assert made.facts.audio_tracks == 2
        with av.open(str(made.path)) as opened:
            assert [track.metadata.get("language") for track in opened.streams.audio] == ["eng", "fra"]


@pytest.mark.parametrize("name", ["in.gif", "in.avi", "in.ts", "in.mkv", "in.webm", "in.flv", "in.mpg"])
def test_any_film_becomes_an_mp4(name: str, tmp_path: Path) -> None:
    codecs = {
        "in.gif": (),
        "in.webm": ("-c:v", "libvpx", "-deadline", "realtime", "-c:a", "libvorbis"),
        "in.avi": ("-c:v", "mpeg4", "-c:a", "libmp3lame"),
        "in.flv": ("-c:v", "flv", "-c:a", "libmp3lame"),
        "in.mpg": ("-c:v", "mpeg2video", "-c:a", "mp2"),
    }.get(name, H264)
    source = film(tmp_path / name, *codecs, seconds=1, tone_hz=None if name == "in.gif" else 440)

    made = films.make(source, tmp_path / "out")

    assert made.facts.video_codec == "h264"
    assert made.facts.audio_codec == (None if name == "in.gif" else "aac")
    assert len(films.pictures(made.path)) == pytest.approx(25, abs=1)
    # AVI has no times: FFmpeg takes the second picture of this one for the third
    late = 1 if name == "in.avi" else 0
    assert films.psnr(films.pictures(made.path)[3 + late], films.pictures(source)[3]) > 22


def test_interlaced_films_are_woven_together(tmp_path: Path) -> None:
    source = film(
        tmp_path / "in.mp4", *H264[:6], "-flags", "+ildct+ilme", rate="50", tone_hz=None, filters="tinterlace=4"
    )

    made = films.make(source, tmp_path / "out")

    assert "remuxed" not in made.details
    assert any("bwdif" in word for word in made.argvs[-1])


def test_what_is_see_through_is_laid_on_the_background_or_kept(tmp_path: Path) -> None:
    half = "color=red:s=64x48:r=10:d=1,format=yuva420p,geq=lum=81:cb=90:cr=240:a='255*lt(X,32)'"
    ffmpeg("-f", "lavfi", "-i", half, "-c:v", "libvpx-vp9", "-auto-alt-ref", "0", tmp_path / "clear.webm")

    laid = films.make(tmp_path / "clear.webm", tmp_path / "mp4", background="#00ff00")
    kept = films.make(tmp_path / "clear.webm", tmp_path / "webm", format="webm", width=32)

    picture = films.pictures(laid.path)[3]
    assert close(films.spot(picture, 10, 20), RED)
    assert close(films.spot(picture, 50, 20), LIME)
    assert kept.facts.has_alpha is True


def test_a_sound_alone_has_no_video_stream(tmp_path: Path) -> None:
    source = tone(tmp_path / "song.m4a", "-c:a", "aac")
    (tmp_path / "song.mp4").write_bytes(source.read_bytes())

    for path in (source, tmp_path / "song.mp4"):
        with pytest.raises(NoVideo) as caught:
            films.make(path, tmp_path / "out")
        assert caught.value.code == "no_video_stream"


def test_what_is_no_film_is_bad_media(tmp_path: Path) -> None:
    (tmp_path / "page.pdf").write_bytes(b"%PDF-1.7")
    with pytest.raises(BadMedia, match="neither a film"):
        films.make(tmp_path / "page.pdf", tmp_path / "out")


def test_sizes_no_encoder_takes_are_refused_in_words(source: Path, tmp_path: Path) -> None:
    for codec in ("h265", "av1"):
        with pytest.raises(LimitExceeded, match="16 pixels"):
            films.make(source, tmp_path / "out", width=8, codec=codec)


def test_facts_name_profile_level_and_sound(source: Path) -> None:
    facts = films.Film(path=source, mime="video/quicktime", filename="", details={}, argvs=[]).facts

    assert (facts.video_codec, facts.video_profile, facts.video_level) == ("h264", "Constrained Baseline", "1.2")
    assert (facts.audio_codec, facts.sample_rate_hz, facts.channels) == ("aac", 44100, 1)
    assert facts.audio_bitrate_bps == pytest.approx(69_000, rel=0.2)
    assert (facts.audio_tracks, facts.subtitle_tracks) == (1, None)


def test_progress_goes_up_to_the_end(source: Path, tmp_path: Path) -> None:
    made = films.make(source, tmp_path / "out", format="webm", width=160)

    fractions = [fraction for _, fraction in made.reports if fraction is not None]
    assert fractions == sorted(fractions)
    assert (fractions[0], fractions[-1]) == (0.0, 1.0)


def test_progress_is_half_of_what_is_read_and_half_of_what_is_written() -> None:
    said: list[float] = []
    progress = video._Progress(lambda stage, fraction=None: said.append(fraction or 0.0), 10.0, (0.0, 1.0), 250)

    for line in ("frame=0", "out_time_us=1000000", "frame=20", "out_time_us=2000000", "out_time_us=1500000"):
        progress(line)
    assert said == pytest.approx([0.05, 0.14])
    for line in ("frame=300", "out_time_us=9900000", "progress=end"):
        progress(line)
    assert said[2:] == pytest.approx([0.995, 1.0])


def test_without_a_count_of_pictures_progress_goes_by_time() -> None:
    said: list[float] = []
    progress = video._Progress(lambda stage, fraction=None: said.append(fraction or 0.0), 10.0, (0.5, 1.0), None)

    progress("frame=1")
    progress("out_time_us=5000000")
    assert said == pytest.approx([0.75])


@pytest.mark.parametrize("given", [{}, {"width": 160}], ids=["moved", "encoded"])
def test_a_film_cut_off_in_the_middle_yields_what_is_there_and_says_so(
    given: dict[str, int], source: Path, tmp_path: Path
) -> None:
    ffmpeg("-i", source, "-c", "copy", "-movflags", "+faststart", tmp_path / "whole.mp4")
    content = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(content[: len(content) // 2])

    made = films.make(tmp_path / "cut.mp4", tmp_path / "out", **given)

    assert "could be read" in made.details["incomplete"]
    assert 15 < len(films.pictures(made.path)) < 60
