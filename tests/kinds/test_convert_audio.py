"""Sounds turned into other sound formats: what comes out is decoded and listened to."""

from __future__ import annotations

from pathlib import Path

import av
import numpy as np
import pytest
from tests.support.av import convert, ffmpeg, film, pitch_hz, samples, tone
from tests.support.tools import PlainTools

from mediamill.core import formats
from mediamill.core.errors import BadMedia
from mediamill.core.ports import Report
from mediamill.engines import Installed
from mediamill.engines.av_probe import PROBER
from mediamill.engines.ffmpeg import CONVERTER
from mediamill.kinds import Context, Input
from mediamill.kinds.convert import KIND as CONVERT
from mediamill.kinds.convert import Options as ConvertOptions
from mediamill.kinds.optimise import KIND as OPTIMISE
from mediamill.kinds.optimise import Options as OptimiseOptions

TARGETS = {
    "audio/wav": "pcm_s16le",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/ogg": "vorbis",
    "audio/opus": "opus",
    "audio/aac": "aac",
    "audio/mp4": "aac",
    "audio/aiff": "pcm_s16be",
}
SOURCES = {
    "audio/wav": (),
    "audio/mpeg": (),
    "audio/flac": (),
    "audio/ogg": ("-c:a", "libvorbis"),
    "audio/opus": ("-c:a", "libopus"),
    "audio/aac": (),
    "audio/mp4": (),
    "audio/aiff": (),
    "audio/x-ms-wma": ("-c:a", "wmav2", "-f", "asf"),
}


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("tones")
    return {mime: tone(folder / f"tone{formats.suffix(mime)}", *codec) for mime, codec in SOURCES.items()}


@pytest.mark.parametrize("target_mime", TARGETS)
@pytest.mark.parametrize("source_mime", SOURCES)
def test_every_sound_becomes_every_sound_with_its_pitch_and_length(
    source_mime: str, target_mime: str, sources: dict[str, Path], tmp_path: Path
) -> None:
    made = convert(sources[source_mime], source_mime, target_mime, tmp_path)

    facts = made.facts
    assert facts.audio_codec == TARGETS[target_mime]
    assert facts.duration_s == pytest.approx(2.0, abs=0.1)  # frames of 1024 to 2048 samples at both ends
    assert facts.channels == 1
    assert facts.width_px is None
    assert pitch_hz(made.path) == pytest.approx(440, abs=2)
    assert made.reports[-1] == ("encode", 1.0)


def test_lossless_targets_hold_the_very_same_samples(sources: dict[str, Path], tmp_path: Path) -> None:
    before, _ = samples(sources["audio/wav"])

    for mime in ("audio/flac", "audio/aiff"):
        after, rate_hz = samples(convert(sources["audio/wav"], "audio/wav", mime, tmp_path).path)
        assert rate_hz == 44100
        assert np.array_equal(before, after)


def test_24_bit_samples_stay_24_bit_in_lossless_targets(tmp_path: Path) -> None:
    source = tone(tmp_path / "deep.wav", "-c:a", "pcm_s24le")

    flac = convert(source, "audio/wav", "audio/flac", tmp_path / "a")
    aiff = convert(source, "audio/wav", "audio/aiff", tmp_path / "b")

    assert np.array_equal(samples(flac.path)[0], samples(source)[0])
    assert aiff.facts.audio_codec == "pcm_s24be"


def test_a_lossy_source_does_not_become_a_bloated_24_bit_flac(sources: dict[str, Path], tmp_path: Path) -> None:
    made = convert(sources["audio/mpeg"], "audio/mpeg", "audio/flac", tmp_path)

    with av.open(str(made.path)) as container:
        assert container.streams.audio[0].format.name == "s16"


def test_floating_point_samples_keep_what_lies_above_full_scale(tmp_path: Path) -> None:
    source = tone(tmp_path / "loud.wav", "-af", "volume=20", "-c:a", "pcm_f32le")

    made = convert(source, "audio/wav", "audio/wav", tmp_path / "out", start=0.5)

    assert made.facts.audio_codec == "pcm_f32le"
    assert float(np.abs(samples(made.path)[0]).max()) > 1.5


@pytest.mark.parametrize("mime", ["audio/wav", "audio/mpeg", "audio/opus", "audio/mp4"])
def test_start_and_duration_keep_that_span(mime: str, tmp_path: Path) -> None:
    ffmpeg(
        *("-f", "lavfi", "-i", "sine=f=440:d=2:r=48000", "-f", "lavfi", "-i", "sine=f=880:d=2:r=48000"),
        *("-filter_complex", "[0][1]concat=n=2:v=0:a=1", tmp_path / "two.wav"),
    )

    made = convert(tmp_path / "two.wav", "audio/wav", mime, tmp_path / "out", start=2.25, duration=1.5)

    assert made.facts.duration_s == pytest.approx(1.5, abs=0.06)
    assert pitch_hz(made.path) == pytest.approx(880, abs=2)


@pytest.mark.parametrize(
    ("mime", "asked_hz", "got_hz"),
    [
        ("audio/wav", 22050, 22050),
        ("audio/mpeg", 96000, 48000),
        ("audio/mpeg", 9000, 11025),
        ("audio/opus", 16000, 48000),
        ("audio/mp4", 192000, 96000),
        ("audio/ogg", 8000, 8000),
        ("audio/flac", 192000, 192000),
        ("audio/aiff", 8000, 8000),
    ],
)
def test_the_sample_rate_is_the_asked_one_or_the_next_the_codec_has(
    mime: str, asked_hz: int, got_hz: int, sources: dict[str, Path], tmp_path: Path
) -> None:
    made = convert(sources["audio/wav"], "audio/wav", mime, tmp_path, sample_rate=asked_hz)

    assert made.facts.sample_rate_hz == got_hz
    assert pitch_hz(made.path) == pytest.approx(440, abs=2)


MOST_CHANNELS = {"audio/mpeg": 2, "audio/aac": 6, "audio/aiff": 6}


@pytest.mark.parametrize("mime", TARGETS)
@pytest.mark.parametrize("channels", [1, 2, 6, 8])
def test_channels_are_as_asked_or_as_many_as_the_codec_has(
    mime: str, channels: int, sources: dict[str, Path], tmp_path: Path
) -> None:
    made = convert(sources["audio/flac"], "audio/flac", mime, tmp_path, channels=channels)

    assert made.facts.channels == min(channels, MOST_CHANNELS.get(mime, 8))


@pytest.mark.parametrize("mime", TARGETS)
def test_surround_of_the_side_kind_enters_every_format(mime: str, tmp_path: Path) -> None:
    source = tone(tmp_path / "side.wav", "-channel_layout", "5.1(side)", seconds=0.5, channels=6)

    made = convert(source, "audio/wav", mime, tmp_path / "out")

    assert made.facts.channels == (2 if mime == "audio/mpeg" else 6)


@pytest.mark.parametrize(
    ("mime", "kbps", "got_kbps"),
    [
        ("audio/mpeg", None, 192),
        ("audio/mpeg", 96, 96),
        ("audio/mpeg", 512, 320),
        ("audio/mp4", 64, 64),
        ("audio/opus", 32, 32),
        ("audio/opus", 512, 512),
        ("audio/ogg", 96, 96),
    ],
)
def test_the_bit_rate_is_near_the_asked_one(mime: str, kbps: int | None, got_kbps: int, tmp_path: Path) -> None:
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=d=4:c=pink:r=44100", "-ac", "2", tmp_path / "noise.wav")

    made = convert(
        tmp_path / "noise.wav", "audio/wav", mime, tmp_path / "out", **({"bitrate": kbps} if kbps is not None else {})
    )

    assert made.path.stat().st_size * 8 / 4000 == pytest.approx(got_kbps, rel=0.25)  # variable rates aim, not hit


def test_a_sound_already_in_the_right_codec_is_moved_not_encoded(sources: dict[str, Path], tmp_path: Path) -> None:
    made = convert(sources["audio/aac"], "audio/aac", "audio/mp4", tmp_path)

    assert made.details == {"remuxed": True}
    assert made.argvs[0][made.argvs[0].index("-c:a") :][:2] == ["-c:a", "copy"]


def test_any_setting_that_changes_the_sound_makes_it_encoded(sources: dict[str, Path], tmp_path: Path) -> None:
    made = convert(sources["audio/aac"], "audio/aac", "audio/mp4", tmp_path, bitrate=64)

    assert made.details == {}


def test_the_length_of_an_mp3_without_a_header_is_measured_not_guessed(tmp_path: Path) -> None:
    ffmpeg(  # nearly nothing for a second, then noise: the first packets' bit rate says far too much
        *("-f", "lavfi", "-i", "anullsrc=d=1:r=44100", "-f", "lavfi", "-i", "anoisesrc=d=5:r=44100"),
        *("-filter_complex", "[0][1]concat=n=2:v=0:a=1", "-q:a", "2", "-write_xing", "0", tmp_path / "vbr.mp3"),
    )

    assert PROBER.probe(tmp_path / "vbr.mp3", "audio/mpeg").duration_s == pytest.approx(6, abs=0.1)
    made = convert(tmp_path / "vbr.mp3", "audio/mpeg", "audio/wav", tmp_path / "out", start=5)
    assert made.facts.duration_s == pytest.approx(1, abs=0.1)


def test_tags_and_cover_picture_travel_along(tmp_path: Path) -> None:
    tone(tmp_path / "plain.mp3")
    ffmpeg("-f", "lavfi", "-i", "color=red:s=64x64", "-frames:v", "1", tmp_path / "cover.png")
    ffmpeg(
        *("-i", tmp_path / "plain.mp3", "-i", tmp_path / "cover.png", "-map", "0:a", "-map", "1:v", "-c", "copy"),
        *("-disposition:v", "attached_pic", "-metadata", "title=Å song", "-metadata", "artist=Ann", tmp_path / "s.mp3"),
    )

    for mime in ("audio/mp4", "audio/flac", "audio/ogg", "audio/wav", "audio/opus", "audio/aiff"):
        made = convert(tmp_path / "s.mp3", "audio/mpeg", mime, tmp_path / "out")
        assert made.facts.title == "Å song", mime
        with av.open(str(made.path)) as container:
            assert len(container.streams.video) == (1 if mime in ("audio/mp4", "audio/flac") else 0)
    back = convert(tmp_path / "out" / "result.ogg", "audio/ogg", "audio/mpeg", tmp_path / "back")
    assert back.facts.title == "Å song"


@pytest.mark.parametrize("mime", ["audio/mpeg", "audio/mp4", "audio/wav"])
def test_the_sound_of_a_film_is_taken_out(mime: str, tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", tone_hz=880)

    made = convert(source, "video/mp4", mime, tmp_path / "out")

    assert made.facts.video_codec is None
    assert made.facts.duration_s == pytest.approx(2.0, abs=0.06)
    assert pitch_hz(made.path) == pytest.approx(880, abs=2)
    assert made.details == ({"remuxed": True} if mime == "audio/mp4" else {})


def test_of_several_tracks_the_default_one_is_taken(tmp_path: Path) -> None:
    ffmpeg(
        *("-f", "lavfi", "-i", "testsrc2=s=64x64:d=1", "-f", "lavfi", "-i", "sine=f=300:d=1"),
        *("-f", "lavfi", "-i", "sine=f=900:d=1", "-map", "0", "-map", "1", "-map", "2"),
        *("-disposition:a:0", "0", "-disposition:a:1", "default", tmp_path / "two.mkv"),
    )

    made = convert(tmp_path / "two.mkv", "video/x-matroska", "audio/wav", tmp_path / "out")

    assert pitch_hz(made.path) == pytest.approx(900, abs=3)


def test_a_silent_film_has_no_sound_to_take_out(tmp_path: Path) -> None:
    source = film(tmp_path / "silent.mp4", tone_hz=None)

    with pytest.raises(BadMedia, match="no sound track"):
        convert(source, "video/mp4", "audio/mpeg", tmp_path / "out")


def test_a_start_after_the_end_is_said_so(sources: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(BadMedia, match="start lies after the end"):
        convert(sources["audio/flac"], "audio/flac", "audio/mpeg", tmp_path, start=9)
    with pytest.raises(BadMedia, match="duration asked for is 0"):
        convert(sources["audio/flac"], "audio/flac", "audio/mpeg", tmp_path, duration=0)


@pytest.mark.parametrize("name", ["-i.wav", "%d.wav", "a b'; rm.wav", "concat:x|y.wav", "ünï\u202e.wav"])
def test_no_file_name_is_a_flag_a_pattern_or_a_protocol(name: str, sources: dict[str, Path], tmp_path: Path) -> None:
    source = tmp_path / name
    source.write_bytes(sources["audio/wav"].read_bytes())

    made = convert(source, "audio/wav", "audio/flac", tmp_path)

    assert pitch_hz(made.path) == pytest.approx(440, abs=2)


@pytest.mark.parametrize("mime", SOURCES)
@pytest.mark.parametrize(
    "content", [b"", b"\x00" * 4096, b"%PDF-1.7 not a sound at all\n" * 50], ids=["empty", "zeros", "pdf"]
)
def test_bytes_that_are_no_sound_are_bad_media(mime: str, content: bytes, tmp_path: Path) -> None:
    source = tmp_path / f"bad{formats.suffix(mime)}"
    source.write_bytes(content)

    with pytest.raises(BadMedia):
        PROBER.probe(source, mime)
    with pytest.raises(BadMedia):
        convert(source, mime, "audio/mpeg", tmp_path / "out")


def test_a_sound_of_another_type_than_claimed_is_bad_media(sources: dict[str, Path], tmp_path: Path) -> None:
    with pytest.raises(BadMedia, match="cannot be read as MP3"):
        convert(sources["audio/wav"], "audio/mpeg", "audio/flac", tmp_path)


def engines() -> Installed:
    return Installed((CONVERTER,), (PROBER,), PlainTools())


def context(source: Path, mime: str, scratch: Path) -> Context:
    def report(stage: str, fraction: float | None = None) -> None:
        return None

    quiet: Report = report
    scratch.mkdir(exist_ok=True)
    taken = Input(path=source, mime=mime, filename=source.name)
    return Context(inputs=[taken], scratch=scratch, engines=engines(), report=quiet)


def test_the_convert_kind_names_ignored_settings(sources: dict[str, Path], tmp_path: Path) -> None:
    options = ConvertOptions(format="wav", bitrate=96, channels=2)

    result = CONVERT.run(context(sources["audio/mpeg"], "audio/mpeg", tmp_path / "s"), options)

    assert result.details == {"engine": "ffmpeg", "ignored_settings": ["bitrate"]}
    assert result.outputs[0].filename == "tone.wav"


def test_optimise_makes_a_rich_mp3_smaller_and_keeps_a_lean_one(tmp_path: Path) -> None:
    rich = tone(tmp_path / "rich.mp3", "-b:a", "320k")
    lean = tone(tmp_path / "lean.mp3", "-b:a", "64k")

    smaller = OPTIMISE.run(context(rich, "audio/mpeg", tmp_path / "a"), OptimiseOptions())
    kept = OPTIMISE.run(context(lean, "audio/mpeg", tmp_path / "b"), OptimiseOptions())

    assert smaller.outputs[0].path.stat().st_size < rich.stat().st_size
    assert kept.details["kept_original"] is True
    assert kept.outputs[0].path.read_bytes() == lean.read_bytes()
