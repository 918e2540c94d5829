"""The kind `audio`: what comes out is decoded, listened to and measured."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import av
import imageio_ffmpeg  # type: ignore[import-untyped]  # the package ships no types
import msgspec
import numpy as np
import pytest
from PIL import Image
from tests.support.av import ffmpeg, film, pitch_hz, samples, tone
from tests.support.media_kinds import Done, run
from tests.support.tools import PlainTools

from mediamill import engines
from mediamill.core.errors import BadMedia, Invalid, NoSound, RangeEmpty, Unsupported
from mediamill.engines.av_probe import PROBER
from mediamill.kinds import Hint
from mediamill.kinds.audio import KIND, Options

FORMATS = {
    "mp3": ("audio/mpeg", "mp3", ".mp3"),
    "aac": ("audio/aac", "aac", ".aac"),
    "m4a": ("audio/mp4", "aac", ".m4a"),
    "wav": ("audio/wav", "pcm_s16le", ".wav"),
    "ogg": ("audio/ogg", "vorbis", ".ogg"),
    "flac": ("audio/flac", "flac", ".flac"),
    "alac": ("audio/mp4", "alac", ".m4a"),
    "opus": ("audio/opus", "opus", ".opus"),
}


def lufs(path: Path) -> float:
    """Integrated loudness, by a measurement of our own."""
    argv = [imageio_ffmpeg.get_ffmpeg_exe(), "-hide_banner", "-nostdin", "-i", str(path), "-af", "ebur128"]
    done = subprocess.run([*argv, "-f", "null", "-"], capture_output=True, text=True, check=True)
    return float(re.findall(r"I:\s+(-?[\d.]+) LUFS", done.stderr)[-1])


def codec(path: Path) -> tuple[str, int]:
    """(codec, bit rate) of the sound."""
    with av.open(str(path)) as container:
        [stream] = container.streams.audio
        seconds = (container.duration or 1) / 1_000_000
        return stream.codec_context.codec.canonical_name, round(path.stat().st_size * 8 / seconds)


def fractions(done: Done) -> list[float]:
    return [fraction for _, fraction in done.reports if fraction is not None]


@pytest.fixture(scope="module")
def chime(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tone(tmp_path_factory.mktemp("tones") / "chime.wav", seconds=2, channels=2)


@pytest.fixture(scope="module")
def swell(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six seconds between loud and soft, as speech is: 12 dB between its peaks and its loudness."""
    path = tmp_path_factory.mktemp("tones") / "swell.wav"
    source = "anoisesrc=c=pink:r=44100:d=6:a=0.3:seed=3"
    ffmpeg("-f", "lavfi", "-i", source, "-af", "tremolo=f=0.7:d=0.9,lowpass=f=6000", "-ac", "2", path)
    return path


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_holds_the_same_tone(name: str, chime: Path, tmp_path: Path) -> None:
    done = run("audio", chime, tmp_path / "work", format=name)

    mime, expected, suffix = FORMATS[name]
    assert (done.result.mime, done.result.filename) == (mime, f"chime{suffix}")
    assert codec(done.result.path)[0] == expected
    facts = PROBER.probe(done.result.path, mime)
    assert facts.duration_s == pytest.approx(2.0, abs=0.1)
    assert facts.channels == 2
    assert pitch_hz(done.result.path) == pytest.approx(440, abs=2)
    assert fractions(done) == sorted(fractions(done))
    assert fractions(done)[-1] == 1.0


def test_without_a_format_it_is_an_mp3(chime: Path, tmp_path: Path) -> None:
    assert run("audio", chime, tmp_path / "work").result.mime == "audio/mpeg"


@pytest.mark.parametrize("name", ["flac", "alac", "wav"])
def test_lossless_formats_hold_the_very_same_samples(name: str, chime: Path, tmp_path: Path) -> None:
    before, _ = samples(chime)

    after, rate_hz = samples(run("audio", chime, tmp_path / "work", format=name).result.path)

    assert rate_hz == 44100
    assert np.array_equal(before, after)


def test_24_bit_samples_stay_24_bit_as_alac(tmp_path: Path) -> None:
    source = tone(tmp_path / "deep.wav", "-c:a", "pcm_s24le")
    before, _ = samples(source)

    after, _ = samples(run("audio", source, tmp_path / "work", format="alac").result.path)

    assert np.array_equal(before, after)


@pytest.mark.parametrize("name", ["mp3", "m4a", "ogg", "opus"])
def test_better_quality_takes_more_bits(name: str, swell: Path, tmp_path: Path) -> None:
    rates = [
        codec(run("audio", swell, tmp_path / str(quality), format=name, quality=quality, end=2).result.path)[1]
        for quality in ("very_low", "medium", "very_high")
    ]

    assert rates == sorted(set(rates))


@pytest.mark.parametrize(("name", "bitrate"), [("mp3", 96_000), ("m4a", 160_000), ("mp3", 320_000), ("opus", 64_000)])
def test_a_bit_rate_is_kept_and_goes_before_quality(name: str, bitrate: int, swell: Path, tmp_path: Path) -> None:
    made = run("audio", swell, tmp_path / "work", format=name, bitrate=bitrate, quality="very_low").result.path

    assert codec(made)[1] == pytest.approx(bitrate, rel=0.35)  # opus and aac spend less on what is easy


def test_what_means_nothing_to_a_format_is_named(chime: Path, tmp_path: Path) -> None:
    done = run("audio", chime, tmp_path / "work", format="flac", bitrate=64_000, quality="low")

    assert done.details["ignored_settings"] == ["bitrate", "quality"]


def test_a_span_is_cut_to_the_sample(tmp_path: Path) -> None:
    source = tmp_path / "steps.wav"
    graph = "sine=f=300:d=1[a];sine=f=600:d=1[b];sine=f=900:d=1[c];[a][b][c]concat=n=3:v=0:a=1"
    ffmpeg("-filter_complex", graph, source)

    made = run("audio", source, tmp_path / "work", format="wav", start=1, end=2).result.path

    assert pitch_hz(made) == pytest.approx(600, abs=2)
    assert samples(made)[0].shape[1] == 44100


@pytest.mark.parametrize("start", [1.0, 0.2, 1.3])
def test_a_span_of_a_films_sound_is_cut_to_the_sample(start: float, tmp_path: Path) -> None:
    source = tmp_path / "film.mp4"
    graph = "sine=f=300:d=1[a];sine=f=600:d=1[b];sine=f=900:d=1[c];[a][b][c]concat=n=3:v=0:a=1[s]"
    pictures = ("-f", "lavfi", "-i", "color=c=red:s=64x64:r=25:d=3")
    coded = ("-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac")
    ffmpeg(*pictures, "-filter_complex", graph, "-map", "0:v", "-map", "[s]", *coded, source)

    made = run("audio", source, tmp_path / "work", format="wav", start=start, end=start + 0.5).result.path

    assert samples(made)[0].shape[1] == 22050
    assert pitch_hz(made) == pytest.approx(300 if start < 1 else 600, abs=4)


@pytest.mark.parametrize("options", [{"start": 2}, {"start": 60, "end": 61}, {"end": 5}])
def test_times_beyond_the_end_fail_as_an_empty_range(options: dict[str, Any], chime: Path, tmp_path: Path) -> None:
    with pytest.raises(RangeEmpty) as failed:
        run("audio", chime, tmp_path / "work", **options)

    assert failed.value.code == "range_empty"


def test_a_films_sound_is_taken_out_and_copied_where_it_fits(tmp_path: Path) -> None:
    source = film(tmp_path / "film.mp4", "-c:a", "aac", size="64x64", tone_hz=500)

    copied = run("audio", source, tmp_path / "a", format="m4a")
    coded = run("audio", source, tmp_path / "b", format="mp3")

    assert copied.details["remuxed"] is True
    assert "remuxed" not in coded.details
    for done in (copied, coded):
        assert pitch_hz(done.result.path) == pytest.approx(500, abs=2)
        with av.open(str(done.result.path)) as container:
            assert not container.streams.video


def test_a_silent_film_has_no_sound_stream(tmp_path: Path) -> None:
    with pytest.raises(NoSound) as failed:
        run("audio", film(tmp_path / "film.mp4", size="64x64", seconds=0.4, tone_hz=None), tmp_path / "work")

    assert failed.value.code == "no_audio_stream"


def test_a_span_after_the_films_sound_is_empty(tmp_path: Path) -> None:
    source = tmp_path / "short.mp4"
    picture = ("-f", "lavfi", "-i", "color=s=64x64:r=25:d=4")
    ffmpeg(*picture, "-f", "lavfi", "-i", "sine=d=1", "-pix_fmt", "yuv420p", source)

    with pytest.raises(RangeEmpty):
        run("audio", source, tmp_path / "work", format="mp3", start=2.5, end=3.5)


def test_tags_and_cover_stay_also_in_a_part(tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), (200, 30, 30)).save(tmp_path / "cover.jpg")
    source = tmp_path / "song.mp3"
    cover = ("-i", tmp_path / "cover.jpg", "-map", "0", "-map", "1", "-c:v", "copy", "-disposition:v", "attached_pic")
    ffmpeg("-f", "lavfi", "-i", "sine=d=2", *cover, "-metadata", "title=Grist", "-metadata", "artist=Mill", source)

    for name in ("mp3", "flac", "m4a", "alac"):
        made = run("audio", source, tmp_path / name, format=name, start=0.5, end=1.5).result.path
        with av.open(str(made)) as container:
            assert (container.metadata["title"], container.metadata["artist"]) == ("Grist", "Mill")
            [picture] = container.streams.video
            [frame] = container.decode(picture)
            assert isinstance(frame, av.VideoFrame)
            assert np.abs(frame.to_ndarray(format="rgb24")[16, 16].astype(int) - (200, 30, 30)).max() < 12
        assert PROBER.probe(made, FORMATS[name][0]).duration_s == pytest.approx(1.0, abs=0.1)
    for name in ("ogg", "opus"):
        made = run("audio", source, tmp_path / name, format=name, end=1).result.path
        with av.open(str(made)) as container:
            tags = {**container.metadata, **container.streams.audio[0].metadata}
            assert {key.lower(): value for key, value in tags.items()}["title"] == "Grist"
            [picture] = container.streams.video
            [frame] = container.decode(picture)
            assert isinstance(frame, av.VideoFrame)
            assert np.abs(frame.to_ndarray(format="rgb24")[16, 16].astype(int) - (200, 30, 30)).max() < 12
        for other in ("mp3", "ogg", "opus"):
            again = run("audio", made, tmp_path / f"{name}-{other}", format=other, end=0.5).result.path
            with av.open(str(again)) as container:
                assert len(container.streams.video) == 1


@pytest.mark.parametrize(
    ("name", "target"), [*((name, -23.0) for name in FORMATS), ("mp3", -14.0), ("opus", -14.0), ("flac", -14.0)]
)
def test_the_result_is_within_half_a_unit_of_the_loudness(
    name: str, target: float, swell: Path, tmp_path: Path
) -> None:
    done = run("audio", swell, tmp_path / "work", format=name, loudness=True if target == -23.0 else target)

    assert lufs(done.result.path) == pytest.approx(target, abs=0.5)
    assert done.details["loudness"]["target_lufs"] == target
    assert fractions(done) == sorted(fractions(done))
    assert fractions(done)[-1] == 1.0


def test_a_gain_that_needs_no_limiter_changes_nothing_but_the_level(swell: Path, tmp_path: Path) -> None:
    done = run("audio", swell, tmp_path / "work", format="flac", loudness=-24)

    before, _ = samples(swell)
    after, _ = samples(done.result.path)
    factor = 10 ** (done.details["loudness"]["gain_db"] / 20)
    assert done.details["loudness"]["limited"] is False
    assert np.abs(after - before * factor).max() < 3 / 32768


def test_peaks_stay_below_full_scale_where_the_gain_alone_would_clip(swell: Path, tmp_path: Path) -> None:
    done = run("audio", swell, tmp_path / "work", format="wav", loudness=-11)

    assert done.details["loudness"]["limited"] is True
    loudest, _ = samples(done.result.path)
    assert float(np.abs(loudest).max()) <= 10 ** (-0.9 / 20)
    assert lufs(done.result.path) == pytest.approx(-11, abs=0.5)


def test_what_a_codec_takes_of_noise_is_given_back(tmp_path: Path) -> None:
    source = tmp_path / "hiss.wav"
    ffmpeg("-f", "lavfi", "-i", "anoisesrc=c=white:r=44100:d=3:a=0.1:seed=5", source)

    done = run("audio", source, tmp_path / "work", format="mp3", quality="very_low", loudness=-30)

    encoded = [argv for argv in done.argvs if "libmp3lame" in argv]
    assert len(encoded) == 2
    assert lufs(done.result.path) == pytest.approx(-30, abs=0.5)


def test_silence_is_left_alone(tmp_path: Path) -> None:
    source = tmp_path / "silence.wav"
    ffmpeg("-f", "lavfi", "-i", "anullsrc=r=44100:cl=mono", "-t", "1", source)

    done = run("audio", source, tmp_path / "work", format="wav", loudness=True)

    assert done.details["loudness"] == {"target_lufs": -23.0, "silent": True}
    assert not samples(done.result.path)[0].any()


def test_the_waveform_holds_the_true_peaks_of_what_was_made(tmp_path: Path) -> None:
    source = tmp_path / "two.wav"
    # A second of a loud tone on the left alone, then one of silence, then a soft one on both sides.
    graph = (
        "aevalsrc='if(lt(t,1),0.8*sin(2*PI*440*t),if(lt(t,2),0,0.2*sin(2*PI*440*t)))"
        "|if(lt(t,2),0,0.2*sin(2*PI*440*t))':s=44100:d=3"
    )
    ffmpeg("-f", "lavfi", "-i", graph, source)

    done = run("audio", source, tmp_path / "work", format="wav", waveform={"points": 30, "png": True, "width": 300})

    made = json.loads(done.role("waveform").path.read_text())
    data = np.array(made.pop("data")).reshape(-1, 2)
    assert made == {
        "version": 2, "channels": 1, "sample_rate": 44100, "samples_per_pixel": 4416, "bits": 16, "length": 30,
    }  # fmt: skip
    assert np.allclose(data[:10, 1], 0.8 * 32767, atol=40)
    assert np.allclose(data[:10, 0], -0.8 * 32767, atol=40)
    assert not data[10:19].any()
    assert np.allclose(data[20:, 1], 0.2 * 32767, atol=40)
    assert (done.role("waveform").mime, done.role("waveform").filename) == ("application/json", "two.json")
    with Image.open(done.role("waveform_image").path) as picture:
        assert (picture.size, picture.mode) == ((300, 240), "RGBA")
        heights = (np.asarray(picture)[..., 3] > 0).sum(axis=0)
    assert np.abs(heights[:100] - 0.8 * 240).max() <= 3
    assert heights[100:190].max() <= 2
    assert np.abs(heights[200:] - 0.2 * 240).max() <= 3


@pytest.mark.parametrize(("points", "seconds"), [(10, 2.0), (1000, 2.0), (5000, 0.05)])
def test_a_waveform_covers_the_whole_sound_with_no_more_points_than_asked(
    points: int, seconds: float, tmp_path: Path
) -> None:
    source = tone(tmp_path / "tone.wav", seconds=seconds, channels=2)

    made = json.loads(
        run("audio", source, tmp_path / "work", format="flac", waveform={"points": points})
        .role("waveform")
        .path.read_text()
    )

    assert made["length"] <= points
    assert len(made["data"]) == 2 * made["length"]
    assert 0 <= made["length"] * made["samples_per_pixel"] - round(seconds * 44100) < made["samples_per_pixel"]


def test_the_waveform_is_of_the_part_at_its_new_loudness(swell: Path, tmp_path: Path) -> None:
    done = run("audio", swell, tmp_path / "work", format="wav", start=2, end=4, loudness=-30, waveform={})

    made = json.loads(done.role("waveform").path.read_text())
    loudest, rate_hz = samples(done.result.path)
    assert made["length"] * made["samples_per_pixel"] == pytest.approx(2 * rate_hz, abs=made["samples_per_pixel"])
    assert max(made["data"]) == pytest.approx(float(loudest.max()) * 32768, abs=1)
    assert fractions(done) == sorted(fractions(done))


def test_a_broken_sound_and_no_sound_at_all_are_refused(tmp_path: Path) -> None:
    (tmp_path / "noise.mp3").write_bytes(bytes(range(256)) * 40)
    Image.new("RGB", (8, 8)).save(tmp_path / "flat.png")

    for name in ("noise.mp3", "flat.png"):
        with pytest.raises(BadMedia) as failed:
            run("audio", tmp_path / name, tmp_path / "work")
        assert str(tmp_path) not in str(failed.value)


@pytest.mark.parametrize(
    ("options", "field", "error"),
    [
        ({"format": "wma"}, "format", Unsupported),
        ({"format": ""}, "format", Unsupported),
        ({"format": "image/png"}, "format", Unsupported),
        ({"start": 2, "end": 2}, "end", Invalid),
        ({"start": 3, "end": 1}, "end", Invalid),
    ],
)
def test_wrong_options_are_refused_before_anything_is_queued(
    options: dict[str, Any], field: str, error: type[Invalid]
) -> None:
    with pytest.raises(error) as refused:
        KIND.check(msgspec.convert(options, Options), [Hint(mime="audio/wav")], engines.open(PlainTools()))

    assert refused.value.field == field


@pytest.mark.parametrize(
    "options",
    [
        {"bitrate": 31_999},
        {"bitrate": 320_001},
        {"loudness": 0},
        {"loudness": "loud"},
        {"waveform": {"points": 1}},
        {"quality": "best"},
        {"start": -1},
        {"volume": 3},
    ],
)
def test_options_of_another_shape_are_refused_by_the_schema(options: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(options, Options)


def test_formats_are_also_known_by_their_types(chime: Path, tmp_path: Path) -> None:
    assert codec(run("audio", chime, tmp_path / "work", format="audio/mp4").result.path)[0] == "aac"
