"""Packages of the kind `adaptive_video`: every playlist is read strictly, every segment is decoded and looked at."""

from __future__ import annotations

import io
import time
from itertools import pairwise
from pathlib import Path

import av
import numpy as np
import pytest
from tests.support import hls_rules, progress
from tests.support.adaptive import H264, Packaged, halves, package
from tests.support.av import BLUE, RED, close, colours, corners, ffmpeg, film

from mediamill.core.adaptive import ladder
from mediamill.core.errors import BadMedia, Invalid, NoSound, RangeEmpty
from mediamill.kinds import Hint, adaptive_video

SECONDS = 14.0


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return halves(tmp_path_factory.mktemp("source") / "two halves.mp4", seconds=SECONDS)


@pytest.fixture(scope="module")
def made(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Packaged:
    return package(source, "video/mp4", tmp_path_factory.mktemp("package") / "made")


def middle(frame: av.VideoFrame) -> tuple[int, ...]:
    """The mean colour near the lower right corner, where nothing moves."""
    image = frame.to_ndarray(format="rgb24")
    return tuple(int(v) for v in image[-24:-8, -24:-8].mean(axis=(0, 1)))


@pytest.mark.parametrize(
    ("size", "heights"),
    [
        ((1920, 1080), [1080, 720, 480, 360, 240]),
        ((3840, 2160), [1080, 720, 480, 360, 240]),
        ((1280, 719), [480, 360, 240]),
        ((640, 360), [360, 240]),
        ((426, 240), [240]),
        ((320, 180), [180]),
        ((1080, 1920), [1080, 720, 480, 360, 240]),
        ((7, 5), [4]),
    ],
)
def test_rungs_are_the_ladders_and_never_above_the_source(size: tuple[int, int], heights: list[int]) -> None:
    rungs = ladder(*size)

    assert [rung.height_px for rung in rungs] == heights
    assert all(rung.width_px % 2 == rung.height_px % 2 == 0 for rung in rungs)
    assert all(rung.width_px <= size[0] for rung in rungs)
    assert [r.bitrate_bps for r in ladder(1920, 1080)] == [5_000_000, 2_800_000, 1_400_000, 800_000, 400_000]


def test_the_hls_package_keeps_the_rules(made: Packaged) -> None:
    found = hls_rules.master(made.result)

    assert made.result.name == "two halves.m3u8"
    assert sorted(variant.size for variant in found.variants) == [(426, 240), (640, 360)]
    assert [len(variant.playlist.parts) for variant in found.variants] == [3, 3]
    assert found.variants[0].playlist.target_s == 6
    [(sound, playlist)] = found.group("AUDIO")
    assert sound["DEFAULT"] == "YES"
    assert abs(playlist.duration_s - SECONDS) < 0.05
    assert {variant.size for variant in found.key_frames} == {(426, 240), (640, 360)}


def test_each_segment_plays_by_itself_and_begins_with_a_key_frame(made: Packaged) -> None:
    for variant in hls_rules.master(made.result).variants:
        at_s = 0.0
        for part in variant.playlist.parts:
            frames = variant.playlist.frames(part)
            assert frames[0].key_frame
            assert abs(frames[0].time - at_s) < 0.001
            assert len(frames) == round(part.duration_s * 25)
            assert (frames[0].width, frames[0].height) == variant.size
            at_s += part.duration_s
        assert close(middle(variant.playlist.frames(variant.playlist.parts[0])[0]), RED, 40)
        assert close(middle(frames[-1]), BLUE, 40)


def test_what_the_master_says_is_true_of_the_files(made: Packaged) -> None:
    for variant in hls_rules.master(made.result).variants:
        picture, sound = variant.attributes["CODECS"].split(",")
        with av.open(io.BytesIO(variant.playlist.init)) as container:
            extra = container.streams.video[0].codec_context.extradata or b""
        assert picture == f"avc1.{extra[1:4].hex().upper()}"
        assert sound == "mp4a.40.2"
        assert variant.attributes["FRAME-RATE"] == "25.000"


def test_every_range_of_a_key_frame_playlist_decodes_to_one_picture(made: Packaged) -> None:
    for variant in hls_rules.master(made.result).key_frames:
        assert len(variant.playlist.parts) == 7
        for part in variant.playlist.parts:
            frames = variant.playlist.frames(part)
            assert len(frames) == 1
            assert frames[0].key_frame
            assert (frames[0].width, frames[0].height) == variant.size


def test_the_whole_ladder_comes_from_one_decode(made: Packaged) -> None:
    encodes = [argv for argv in made.argvs if "libx264" in argv]

    assert len(encodes) == 1
    assert encodes[0].count("-i") == 1
    assert encodes[0].count("libx264") == 2


def test_files_have_names_of_their_own_and_are_counted(made: Packaged) -> None:
    names = [output.filename for output in made.outputs] + list(made.early_bytes)

    assert len(names) == len(set(names))
    assert sum(output.path.stat().st_size for output in made.outputs) == made.details["package_bytes"]
    assert [output.role for output in made.outputs].count("result") == 1
    assert {output.role for output in made.outputs} == {"result", "part"}
    assert len([name for name in names if name.endswith(".mp4")]) == 2 + 1 + 2


def test_the_source_itself_is_published_early_and_never_changes(source: Path, made: Packaged) -> None:
    [early] = made.early
    manifest = made.folder / early[0].filename

    assert early[0].role == "early"
    assert {output.role for output in early[1:]} == {"part"}
    assert made.details["early"] == {"way": "remux", "duration_s": SECONDS}
    for name, content in made.early_bytes.items():
        assert (made.folder / name).read_bytes() == content
    [variant] = hls_rules.master(manifest).variants
    assert variant.size == (640, 360)
    played = [frame for part in variant.playlist.parts for frame in variant.playlist.frames(part)]
    with av.open(str(source)) as container:
        original = list(container.decode(video=0))
    assert len(played) == len(original)
    for number in (0, 100, len(original) - 1):
        assert np.array_equal(played[number].to_ndarray(), original[number].to_ndarray())


def test_progress_only_grows_to_the_end(made: Packaged) -> None:
    fractions = [fraction for _, fraction in made.reports if fraction is not None]

    assert fractions == sorted(fractions)
    assert fractions[0] == 0.0
    assert fractions[-1] >= 0.99


@pytest.mark.parametrize(("name", "mime"), [("grain.mp4", "video/mp4"), ("grain.avi", "video/x-msvideo")])
def test_progress_is_the_share_of_the_work_that_is_done(tmp_path: Path, name: str, mime: str) -> None:
    codecs = H264 if name.endswith("mp4") else ("-c:v", "mpeg4", "-b:v", "4M", "-c:a", "libmp3lame")
    film_ = film(tmp_path / name, *codecs, size="480x270", seconds=18, filters="noise=alls=8:allf=t")
    # What a second of processor time is worth changes while others come and go: one of five must hold.
    tried = [progress_apart(film_, mime, tmp_path / "made 0")]
    while tried[-1][0] >= 0.05 and len(tried) < 5:
        tried.append(progress_apart(film_, mime, tmp_path / f"made {len(tried)}"))

    assert tried[-1][0] < 0.05, tried


def progress_apart(film_: Path, mime: str, target: Path) -> tuple[float, list[tuple[float, float]]]:
    """How far what is said is from the truth at most, and both each time."""
    seen: list[tuple[float, float]] = []
    began_s, wall_s = progress.used_s(), time.monotonic()

    def looked(stage: str, fraction: float | None) -> None:
        if fraction is not None and stage == "encode":
            seen.append((progress.used_s() - began_s, fraction))

    package(film_, mime, target, reported=looked)

    whole_s = progress.used_s() - began_s
    assert len(seen) >= min(4, int((time.monotonic() - wall_s) / 0.5))
    shares = [(round(at_s / whole_s, 3), round(fraction, 3)) for at_s, fraction in seen]
    return max(abs(share - fraction) for share, fraction in shares), shares


def test_sound_and_picture_stay_together(tmp_path: Path) -> None:
    """White from second 4 on, and a tone from second 4 on."""
    graph = (
        "color=black:s=320x240:r=25:d=4,format=yuv420p[a];color=white:s=320x240:r=25:d=4,format=yuv420p[b];"
        "[a][b]concat=n=2:v=1[v];anullsrc=r=48000:cl=mono,atrim=0:4[q];sine=f=1000:r=48000:d=4[s];[q][s]concat=v=0:a=1[o]"
    )
    film_ = tmp_path / "flash.mkv"
    ffmpeg("-filter_complex", graph, "-map", "[v]", "-map", "[o]", "-c:v", "mpeg4", "-c:a", "flac", film_)

    packed = package(film_, "video/x-matroska", tmp_path / "made", start=1, end=7)

    found = hls_rules.master(packed.result)
    [variant] = found.variants
    frames = [frame for part in variant.playlist.parts for frame in variant.playlist.frames(part)]
    seen_s = next(frame.time for frame in frames if frame.to_ndarray(format="gray").mean() > 128)
    [(_, sound)] = found.group("AUDIO")
    with av.open(str(sound.parts[0].file)) as container:
        heard_s = next(f.time for f in container.decode(audio=0) if np.abs(f.to_ndarray()).max() > 0.05)
    assert abs(seen_s - 3.0) < 0.041
    assert abs(heard_s - 3.0) < 0.03
    assert abs(packed.details["duration_s"] - 6.0) < 0.05


def test_a_source_that_players_cannot_take_is_published_as_its_first_seconds(tmp_path: Path) -> None:
    film_ = film(tmp_path / "old.avi", "-c:v", "mpeg4", "-c:a", "libmp3lame", size="480x360", rate="10", seconds=26)

    packed = package(film_, "video/x-msvideo", tmp_path / "made")

    assert packed.details["early"] == {"way": "preview", "duration_s": 24.0}
    [variant] = hls_rules.master(packed.folder / packed.early[0][0].filename).variants
    assert variant.size == (480, 360)
    assert [argv.count("libx264") for argv in packed.argvs] == [1, 2]
    fractions = [fraction for _, fraction in packed.reports if fraction is not None]
    assert fractions == sorted(fractions)


def test_a_source_with_rare_key_frames_is_not_handed_on_as_it_is(tmp_path: Path) -> None:
    codecs = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "400", "-sc_threshold", "0", "-pix_fmt", "yuv420p")
    film_ = film(tmp_path / "rare.mp4", *codecs, size="320x240", seconds=30, tone_hz=None)

    packed = package(film_, "video/mp4", tmp_path / "made")

    assert packed.details["early"]["way"] == "preview"
    hls_rules.master(packed.result)


def test_a_film_turned_upright_makes_upright_rungs(tmp_path: Path) -> None:
    flat, turned = tmp_path / "flat.mp4", tmp_path / "turned.mp4"
    corners(flat, *H264[:6], size="640x360")
    ffmpeg("-display_rotation:v:0", "90", "-i", flat, "-c", "copy", turned)

    packed = package(turned, "video/mp4", tmp_path / "made")

    found = hls_rules.master(packed.result)
    assert [variant.size for variant in found.variants] == [(270, 480), (202, 360), (134, 240)]
    assert packed.details["early"]["way"] == "preview"
    best = found.variants[0].playlist
    seen = colours(best.frames(best.parts[0])[0].to_ndarray(format="rgb24"))
    assert close(seen[0], (0, 255, 0), 40)
    assert close(seen[2], RED, 40)


def test_a_film_without_sound_has_no_sound_group(tmp_path: Path) -> None:
    film_ = film(tmp_path / "silent.mp4", *H264[:8], size="320x240", seconds=3, tone_hz=None)

    packed = package(film_, "video/mp4", tmp_path / "made")

    found = hls_rules.master(packed.result)
    assert found.media == []
    assert found.variants[0].attributes["CODECS"].startswith("avc1.")
    with pytest.raises(NoSound):
        package(film_, "video/mp4", tmp_path / "muted", mute_video=True)


@pytest.mark.parametrize(("name", "mime"), [("tone.flac", "audio/flac"), ("film.mp4", "video/mp4")])
def test_sound_alone_makes_a_package_of_sound(tmp_path: Path, source: Path, name: str, mime: str) -> None:
    given = source
    if mime == "audio/flac":
        given = tmp_path / name
        ffmpeg("-f", "lavfi", "-i", "sine=f=440:r=44100:d=9", "-ac", "2", given)

    packed = package(given, mime, tmp_path / "made", mute_video=mime == "video/mp4")

    found = hls_rules.master(packed.result)
    assert len(found.variants) == 2
    assert all("RESOLUTION" not in variant.attributes for variant in found.variants)
    assert {variant.attributes["CODECS"] for variant in found.variants} == {"mp4a.40.2"}
    assert packed.details["ladder"] == []


def test_only_the_span_asked_for_is_packaged(source: Path, tmp_path: Path) -> None:
    packed = package(source, "video/mp4", tmp_path / "made", start=7.6, end=10)

    assert abs(packed.details["duration_s"] - 2.4) < 0.05
    best = hls_rules.master(packed.result).variants[0].playlist
    frames = best.frames(best.parts[0])
    assert len(frames) == 60
    assert close(middle(frames[0]), BLUE, 40)
    with pytest.raises(RangeEmpty):
        package(source, "video/mp4", tmp_path / "late", start=60)


@pytest.mark.parametrize(
    ("options", "size"),
    [
        ({"width": 320}, (320, 180)),
        ({"height": "50%"}, (320, 180)),
        ({"height": 2000}, (640, 360)),
        ({"width": 360, "height": 360, "fit": "fill"}, (360, 360)),
        ({"width": 2000, "height": 2000, "fit": "cover"}, (360, 360)),
        ({"width": 300, "height": 360, "fit": "contain"}, (300, 360)),
    ],
)
def test_sizes_cap_the_ladder_and_shape_it(
    tmp_path: Path, options: dict[str, int | str], size: tuple[int, int]
) -> None:
    film_ = film(tmp_path / "film.mp4", *H264[:8], size="640x360", seconds=1, tone_hz=None)

    packed = package(film_, "video/mp4", tmp_path / "made", **options)

    assert hls_rules.master(packed.result).variants[0].size == size
    assert packed.details["early"]["way"] == "preview"


def test_padding_has_the_colour_and_the_place_asked_for(tmp_path: Path) -> None:
    flat = corners(tmp_path / "flat.mp4", *H264[:6], size="640x360")
    wanted = {"width": 360, "height": 360, "fit": "contain", "position": "top", "background": "#0000ff"}

    packed = package(flat, "video/mp4", tmp_path / "made", **wanted)

    best = hls_rules.master(packed.result).variants[0].playlist
    image = best.frames(best.parts[0])[0].to_ndarray(format="rgb24")
    assert close(tuple(int(v) for v in image[300, 180]), BLUE, 40)
    assert close(tuple(int(v) for v in image[30, 60]), RED, 40)


def test_every_rung_states_its_colours_and_padding_has_them(tmp_path: Path) -> None:
    flat = corners(tmp_path / "flat.mp4", *H264[:6], size="640x360")

    packed = package(flat, "video/mp4", tmp_path / "made", width=360, height=360, fit="contain", background="#227722")

    for variant in hls_rules.master(packed.result).variants:
        frame = variant.playlist.frames(variant.playlist.parts[0])[0]
        assert int(frame.colorspace) == int(frame.color_primaries) == 6
        image = frame.to_ndarray(format="rgb24")
        assert close(tuple(int(v) for v in image[4, 4]), (0x22, 0x77, 0x22), 6)


def test_quality_moves_the_bit_rates(tmp_path: Path) -> None:
    noisy = tmp_path / "noisy.mp4"
    noise = "nullsrc=s=320x240:r=25:d=4,geq=random(1)*255:128:128,format=yuv420p"
    ffmpeg("-f", "lavfi", "-i", noise, "-c:v", "libx264", "-preset", "ultrafast", "-qp", "20", noisy)
    rates = {}
    for quality in ("very_low", "medium", 95):
        packed = package(noisy, "video/mp4", tmp_path / str(quality), quality=quality)
        [rung] = packed.details["ladder"]
        rates[quality] = rung["average_bps"]

    assert rates["very_low"] < 0.7 * rates["medium"]
    assert rates[95] > 1.3 * rates["medium"]
    assert 300_000 < rates["medium"] < 520_000


def test_ntsc_and_changing_rates_come_out_constant(tmp_path: Path) -> None:
    film_ = film(tmp_path / "ntsc.mp4", *H264[:6], size="320x240", rate="30000/1001", seconds=7, tone_hz=None)
    packed = package(film_, "video/mp4", tmp_path / "made")
    [variant] = hls_rules.master(packed.result).variants
    assert variant.attributes["FRAME-RATE"] == "29.970"
    assert [round(part.duration_s, 3) for part in variant.playlist.parts] == [6.006, 1.001]

    changing = tmp_path / "vfr.mkv"
    vfr = ("-vf", "select='lt(t,3)+not(mod(n,3))'", "-fps_mode", "vfr", *H264[:8])
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=320x240:r=30:d=8", *vfr, changing)
    packed = package(changing, "video/x-matroska", tmp_path / "made-vfr")
    [variant] = hls_rules.master(packed.result).variants
    durations = {
        round(after.time - before.time, 4)
        for part in variant.playlist.parts
        for frames in [variant.playlist.frames(part)]
        for before, after in pairwise(frames)
    }
    assert max(durations) - min(durations) < 0.0015
    assert abs(variant.playlist.duration_s - 8.0) < 0.15


def test_what_moves_in_a_recorded_screen_moves_as_fast_in_the_ladder(tmp_path: Path) -> None:
    still = ("-vf", "select='between(mod(t,6),2,3)+not(mod(n,50))'", "-fps_mode", "vfr", *H264[:8])
    recorded = tmp_path / "screen.mp4"
    ffmpeg("-f", "lavfi", "-i", "testsrc2=s=160x90:r=50:d=12", *still, recorded)
    with av.open(str(recorded)) as source:
        assert (source.streams.video[0].average_rate or 0) < 12  # of which most of what moves would be lost

    [variant] = hls_rules.master(package(recorded, "video/mp4", tmp_path / "made").result).variants

    assert variant.attributes["FRAME-RATE"] == "50.000"
    assert abs(variant.playlist.duration_s - 11.02) < 0.03


def test_an_hdr_film_becomes_one_that_every_screen_shows(tmp_path: Path) -> None:
    codecs = ("-c:v", "libx265", "-preset", "ultrafast", "-pix_fmt", "yuv420p10le", "-x265-params", "log-level=none")
    tags = "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc,format=yuv420p10le"
    film_ = film(tmp_path / "hdr.mp4", *codecs, size="320x240", seconds=1, tone_hz=None, filters=tags)

    packed = package(film_, "video/mp4", tmp_path / "made")

    [variant] = hls_rules.master(packed.result).variants
    [frame, *_] = variant.playlist.frames(variant.playlist.parts[0])
    assert frame.format.name == "yuv420p"
    assert int(frame.color_trc) == 1


def test_the_smallest_and_oddest_picture_is_packaged(tmp_path: Path) -> None:
    film_ = film(tmp_path / "tiny.mkv", "-c:v", "ffv1", size="7x5", seconds=1, tone_hz=None)

    packed = package(film_, "video/x-matroska", tmp_path / "made")

    assert [variant.size for variant in hls_rules.master(packed.result).variants] == [(6, 4)]


def test_a_sound_that_ends_before_the_span_is_left_out(tmp_path: Path) -> None:
    film_ = tmp_path / "short-sound.mkv"
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=320x240:r=25:d=6", "-f", "lavfi", "-i", "sine=d=1"),
        *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "flac", film_),
    )

    packed = package(film_, "video/x-matroska", tmp_path / "made", start=3)

    assert hls_rules.master(packed.result).media == []
    assert "audio_missing" in packed.details


def test_several_sound_tracks_are_told_apart(tmp_path: Path, source: Path) -> None:
    two = tmp_path / "two.mkv"
    tags = (
        "-metadata:s:a:0",
        "language=eng",
        "-metadata:s:a:1",
        "language=fre",
        "-metadata:s:a:1",
        "title=Fran\u00e7ais",
    )
    ffmpeg("-i", source, "-t", "3", "-map", "0:v", "-map", "0:a", "-map", "0:a", "-c", "copy", *tags, two)

    packed = package(two, "video/x-matroska", tmp_path / "made")

    found = [attributes for attributes, _ in hls_rules.master(packed.result).group("AUDIO")]
    assert [(f["NAME"], f["LANGUAGE"], f["DEFAULT"]) for f in found] == [
        ("en", "en", "YES"),
        ("Fran\u00e7ais", "fr", "NO"),
    ]


def test_a_picture_that_is_no_film_is_refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(BadMedia):
        package(source, "image/png", tmp_path / "made")


def test_bytes_that_are_no_film_are_the_inputs_fault(tmp_path: Path) -> None:
    bad = tmp_path / "bad.mp4"
    bad.write_bytes(b"\0\0\0\x18ftypmp42" + bytes(5000))

    with pytest.raises(BadMedia):
        package(bad, "video/mp4", tmp_path / "made")


@pytest.mark.parametrize(
    ("options", "field"),
    [
        ({"start": 5, "end": 5}, "end"),
        ({"width": "0%"}, "width"),
        ({"subtitles": [{"label": "English"}]}, "subtitles.0.url"),
        ({"subtitles": [{"url": "https://x/y.vtt", "file": "f1"}]}, "subtitles.0.url"),
        ({"subtitles": [{"url": "http://x/1", "default": True}, {"url": "http://x/2", "default": True}]}, "subtitles"),
    ],
)
def test_options_that_mean_nothing_are_refused_by_name(
    source: Path, tmp_path: Path, options: dict[str, object], field: str
) -> None:
    with pytest.raises(Invalid) as refused:
        package(source, "video/mp4", tmp_path / "made", **options)

    assert refused.value.field == field


def test_the_kind_says_what_it_fetches_besides() -> None:
    options = adaptive_video.Options(
        subtitles=(adaptive_video.Subtitle(url="https://x/a.vtt"), adaptive_video.Subtitle(file="file_abc")),
    )

    first, second = adaptive_video.KIND.attachments(options)

    assert (first.url, second.file) == ("https://x/a.vtt", "file_abc")


def test_an_input_is_refused_by_its_type_before_anything_is_queued(made: Packaged) -> None:
    from tests.support.tools import PlainTools

    from mediamill import engines

    with pytest.raises(Invalid, match="neither a film nor a sound"):
        adaptive_video.KIND.check(adaptive_video.Options(), [Hint(mime="text/plain")], engines.open(PlainTools()))
