"""What ffmpeg is told, as strings."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest

from mediamill.core.errors import BadMedia, LimitExceeded, OutOfSpace, ToolFailed
from mediamill.engines import _ffmpeg, _ffmpeg_args, _ffmpeg_sound
from mediamill.engines._av import DEMUXERS, Sound, Source, Text, Video
from mediamill.engines.ffmpeg import CONVERTER


def video(codec: str = "h264", **more: object) -> Video:
    values: dict[str, object] = {"index": 0, "codec": codec, "width_px": 320, "height_px": 180, **more}
    return Video(**values)  # type: ignore[arg-type]  # a factory: the test names only the fields that matter


def sound(codec: str = "aac", **more: object) -> Sound:
    values: dict[str, object] = {"index": 1, "codec": codec, "sample_rate_hz": 48000, "channels": 2, **more}
    return Sound(**values)  # type: ignore[arg-type]  # see above


def words(args: list[str]) -> str:
    return " ".join(args)


def test_inputs_are_local_files_of_the_sniffed_type_only(tmp_path: Path) -> None:
    args = _ffmpeg.input_args(tmp_path / "-y.mp4", "video/webm", start_s=1.5, duration_s=2)

    assert args == [
        *("-protocol_whitelist", "file,pipe", "-format_whitelist", "matroska,webm", "-max_pixels", "100000000"),
        *("-ss", "1.5", "-t", "2", "-i", f"file:{tmp_path}/-y.mp4"),
    ]


def test_no_type_lets_a_playlist_or_a_list_of_files_in() -> None:
    allowed = {name for names in DEMUXERS.values() for name in names.split(",")}

    assert not allowed & {"hls", "applehttp", "concat", "dash", "image2", "sdp", "rtsp", "lavfi", "svg_pipe", "tee"}


@pytest.mark.parametrize(
    ("value", "text"), [(0.000001, "0.000001"), (1.5, "1.5"), (10, "10"), (1e-9, "0"), (123456.789, "123456.789")]
)
def test_seconds_are_never_in_scientific_notation(value: float, text: str) -> None:
    assert _ffmpeg.seconds(value) == text


@pytest.mark.parametrize(
    ("resize", "even", "expected"),
    [
        ({}, True, (1920, 1080)),
        ({"width": 961}, True, (960, 540)),
        ({"width": 961}, False, (961, 541)),
        ({"height": 1}, True, (2, 2)),
        ({"width": 300, "height": 300, "max_width": 150}, True, (150, 150)),
        ({"max_width": 100, "max_height": 100}, False, (100, 56)),
        ({"max_width": 4000}, True, (1920, 1080)),
    ],
)
def test_sizes(resize: dict[str, int], even: bool, expected: tuple[int, int]) -> None:
    assert _ffmpeg_args.size(1920, 1080, resize, even=even) == expected


def test_decimal_rates_mean_the_broadcast_fractions() -> None:
    assert _ffmpeg_args.frame_rate(29.97) == Fraction(30000, 1001)
    assert _ffmpeg_args.frame_rate(23.976) == Fraction(24000, 1001)
    assert _ffmpeg_args.frame_rate(12.5) == Fraction(25, 2)
    assert _ffmpeg_args.frame_rate(30) == 30


def test_the_filters_of_a_plain_film() -> None:
    chain = _ffmpeg_args.picture_filters(video(), (160, 90), fps=Fraction(25), hdr=False, pixels="yuv420p")

    assert chain == "fps=25,scale=160:90:flags=bicubic:out_range=tv,setsar=1,format=yuv420p"


def test_hdr_is_mapped_only_when_the_filters_are_there() -> None:
    hdr = video(transfer="pq")

    with_filters = _ffmpeg_args.picture_filters(hdr, (160, 90), fps=None, hdr=True, pixels="yuv420p")
    without = _ffmpeg_args.picture_filters(hdr, (160, 90), fps=None, hdr=False, pixels="yuv420p")

    assert "zscale=tin=smpte2084" in with_filters
    assert with_filters.index("scale=160:90") < with_filters.index("zscale")  # fewer pixels to map
    assert "zscale" not in without


def test_quality_scales_stop_at_what_the_encoder_has() -> None:
    assert words(_ffmpeg_args.picture_codec("libx264", {})) == "-c:v libx264 -preset veryfast -crf 23"
    assert words(_ffmpeg_args.picture_codec("libx264", {"crf": 60})).endswith("-crf 51")
    assert "-b:v 0 -crf 32" in words(_ffmpeg_args.picture_codec("libvpx-vp9", {}))
    assert "-crf 0" in words(_ffmpeg_args.picture_codec("libvpx-vp9", {"crf": 0}))


@pytest.mark.parametrize(
    ("target", "source", "track", "settings", "kept"),
    [
        ("video/mp4", "video/quicktime", video(), {}, True),
        ("video/mp4", "video/quicktime", video(), {"bitrate": 64}, True),
        ("video/mp4", "video/quicktime", video(), {"crf": 20}, False),
        ("video/mp4", "video/quicktime", video(), {"start": 0}, False),
        ("video/mp4", "video/mp4", video(), {}, False),
        ("video/mp4", "video/webm", video("vp9"), {}, False),
        ("video/webm", "video/x-matroska", video("vp9"), {}, True),
        ("video/mp4", "video/x-matroska", video(pixel_format="yuv422p10le"), {}, False),
        ("video/x-matroska", "video/mp4", video(rotation_deg=90), {}, False),
        ("video/quicktime", "video/mp4", video(rotation_deg=90), {}, True),
        ("video/mp4", "video/x-msvideo", video(), {}, False),
        ("video/x-msvideo", "video/mp4", video("mpeg4"), {}, False),
    ],
)
def test_when_a_picture_track_is_moved_as_it_is(
    target: str, source: str, track: Video, settings: dict[str, object], kept: bool
) -> None:
    assert _ffmpeg_args.keeps_picture(target, source, track, settings) is kept


def test_optimising_encodes_only_sound_that_is_richer_than_the_default() -> None:
    assert _ffmpeg_args.keeps_sound("video/mp4", "video/mp4", sound(bitrate_bps=128_000), {})
    assert not _ffmpeg_args.keeps_sound("video/mp4", "video/mp4", sound(bitrate_bps=320_000), {})
    assert not _ffmpeg_args.keeps_sound("video/mp4", "video/mp4", sound(), {})


def test_hevc_gets_the_name_that_apple_players_know() -> None:
    hevc = video("hevc")
    source = Source(demuxer="matroska,webm", video=hevc)

    plan = _ffmpeg_args.film("video/mp4", "video/x-matroska", source, hevc, {}, hdr=False)

    assert plan.remuxed
    assert "-c:v copy -tag:v hvc1" in words(plan.args)


def test_each_track_is_copied_or_encoded_on_its_own() -> None:
    source = Source(
        demuxer="matroska,webm",
        video=video(),
        sounds=(sound(), sound("flac", index=2)),
        texts=(Text(index=3, codec="subrip"), Text(index=4, codec="hdmv_pgs_subtitle")),
    )

    plan = _ffmpeg_args.film("video/mp4", "video/x-matroska", source, video(), {}, hdr=False)

    assert (plan.picture_kept, plan.sounds_kept) == (True, False)
    assert "-map 0:1 -c:a:0 copy -map 0:2 -c:a:1 aac -b:a:1 128k" in words(plan.args)
    assert "-map 0:3 -c:s:0 mov_text" in words(plan.args)
    assert "0:4" not in plan.args
    assert words(plan.args).endswith("-movflags +faststart -f mp4")


def test_a_gif_never_has_more_frames_than_its_source() -> None:
    assert _ffmpeg_args.gif_rate(video(frame_rate=Fraction(5)), {}) == 5
    assert _ffmpeg_args.gif_rate(video(frame_rate=Fraction(60)), {}) == 12
    assert _ffmpeg_args.gif_rate(video(frame_rate=Fraction(60)), {"fps": 100.0}) == 50
    assert _ffmpeg_args.gif_loop(0) == 0
    assert _ffmpeg_args.gif_loop(1) == -1
    assert _ffmpeg_args.gif_loop(2) == 1


def test_jpeg_quality_goes_down_with_the_quantizer() -> None:
    steps = [_ffmpeg_args.jpeg_quantizer(quality) for quality in (1, 30, 50, 80, 95, 100)]

    assert steps == sorted(steps, reverse=True)
    assert (steps[0], steps[-1]) == (31, 2)


def test_sound_rates_and_bit_rates_stay_inside_the_codec() -> None:
    assert _ffmpeg_sound.rate(_ffmpeg_sound.MP3, 44101) == 48000
    assert _ffmpeg_sound.rate(_ffmpeg_sound.MP3, 192000) == 48000
    assert _ffmpeg_sound.rate(_ffmpeg_sound.OPUS, 8000) == 48000
    assert _ffmpeg_sound.bitrate(_ffmpeg_sound.MP3, 512, 2, 44100) == 320
    assert _ffmpeg_sound.bitrate(_ffmpeg_sound.MP3, 512, 2, 22050) == 160
    assert _ffmpeg_sound.bitrate(_ffmpeg_sound.OPUS, 512, 1, 48000) == 256
    assert _ffmpeg_sound.bitrate(_ffmpeg_sound.AAC, 512, 1, 8000) == 48


def test_vorbis_quality_grows_with_the_bit_rate() -> None:
    qualities = [_ffmpeg_sound.vorbis_quality(kbps, 2) for kbps in (8, 45, 64, 96, 100, 128, 160, 320, 512)]

    assert qualities == sorted(qualities)
    assert qualities[:3] == [-1.0, -1.0, 0.0]
    assert qualities[-1] == 10.0
    assert _ffmpeg_sound.vorbis_quality(64, 1) == 4.0


def test_progress_never_goes_back_and_fills_its_span() -> None:
    ticks: list[float | None] = []
    progress = _ffmpeg.Progress(lambda stage, fraction=None: ticks.append(fraction), 10.0, (0.5, 1.0))

    for line in ("out_time_us=N/A", "out_time_us=2000000", "out_time_us=1000000", "frame=3", "out_time_us=90000000"):
        progress(line)
    progress("progress=end\n")

    assert ticks == [0.6, 1.0]


def test_without_a_duration_progress_waits_for_the_end() -> None:
    ticks: list[float | None] = []
    progress = _ffmpeg.Progress(lambda stage, fraction=None: ticks.append(fraction), None)

    progress("out_time_us=2000000")
    progress("progress=end")

    assert (ticks, progress.out_s) == ([1.0], 2.0)


@pytest.mark.parametrize(
    ("tail", "kind"),
    [
        ("Error opening input: Invalid data found when processing input", BadMedia),
        ("[in#0 @ 0x55] Format not on whitelist 'mov'", BadMedia),
        ("Decode error rate 1 exceeds maximum 0.666667", BadMedia),
        ("av_interleaved_write_frame(): No space left on device", OutOfSpace),
        ("Error writing trailer: Disk quota exceeded", OutOfSpace),
        ("x264 [error]: malloc of size 99 failed\nCannot allocate memory", LimitExceeded),
        ("[mpeg4 @ 0x55] dimensions too large for MPEG-4", LimitExceeded),
        ("Segmentation fault", ToolFailed),
    ],
)
def test_what_ffmpeg_says_becomes_the_narrowest_error(tail: str, kind: type[Exception]) -> None:
    error = _ffmpeg.named(ToolFailed("ffmpeg failed.", tail), "video/mp4")

    assert type(error) is kind
    assert "0x55" not in str(error)


def test_a_named_program_that_is_not_there_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(_ffmpeg.SETTING, "/nowhere/ffmpeg")
    _ffmpeg.binary.cache_clear()
    try:
        missing = CONVERTER.missing()
    finally:
        _ffmpeg.binary.cache_clear()

    assert missing is not None
    assert _ffmpeg.SETTING in missing.remedy


def test_the_matrix_is_the_contracts() -> None:
    pairs = CONVERTER.pairs()

    assert len(pairs) == 9 * 8 + 9 * (5 + 8 + 3 + 1) + 5
    assert ("image/gif", "image/gif") not in pairs
    assert ("video/mp2t", "audio/opus") in pairs
    assert CONVERTER.keys(("video/mp4", "image/gif")) == {"resize", "start", "duration", "fps", "loop"}
    assert "bitrate" not in CONVERTER.keys(("audio/mpeg", "audio/wav"))
    assert "crf" not in CONVERTER.keys(("video/mp4", "video/x-msvideo"))


def test_listing_the_pairs_loads_no_media_library() -> None:
    code = (
        "import sys; from mediamill.engines.ffmpeg import CONVERTER; from mediamill.engines.av_probe import PROBER; "
        "CONVERTER.pairs(); print([m for m in ('av', 'numpy', 'imageio_ffmpeg', 'subprocess') if m in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
