"""What ffmpeg is told about sound: codec, bit rate, sample rate and channels a target can carry. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Any

from mediamill.engines import _languages
from mediamill.engines._av import Sound

_MPEG_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Codec:
    """One sound codec. `rates` empty: any. `names`: what a source must hold to be copied as it is."""

    encoder: str
    channels: int
    rates: tuple[int, ...] = ()
    kbps: int | None = None
    names: frozenset[str] = frozenset()


MP3 = Codec(encoder="libmp3lame", channels=2, rates=_MPEG_RATES, kbps=192, names=frozenset({"mp3"}))
AAC = Codec(encoder="aac", channels=8, rates=(*_MPEG_RATES, 64000, 88200, 96000), kbps=128, names=frozenset({"aac"}))
ADTS = replace(AAC, channels=6)  # its header counts to seven, and seven means eight in an order few have
OPUS = Codec(encoder="libopus", channels=8, rates=(48000,), kbps=128, names=frozenset({"opus"}))
VORBIS = Codec(encoder="libvorbis", channels=8, kbps=160, names=frozenset({"vorbis"}))
FLAC = Codec(encoder="flac", channels=8, names=frozenset({"flac"}))
WAV = Codec(encoder="pcm_s16le", channels=8)
AIFF = Codec(encoder="pcm_s16be", channels=6)  # eight make a CHAN chunk that libavformat 8.1 overruns its heap on

_LAYOUTS = {1: "mono", 2: "stereo", 3: "3.0", 4: "quad", 5: "5.0", 6: "5.1", 7: "6.1", 8: "7.1"}
"""One layout a channel count, the ones libopus and libvorbis accept: they refuse "5.1(side)", which most discs hold."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A sound format: how ffmpeg writes it, and which codecs may enter it uncoded."""

    muxer: str
    codec: Codec
    flags: tuple[str, ...] = ()
    cover: bool = False
    language: bool = False
    """Whether its language is a tag of the whole file, where the others have one of each track or none."""


TARGETS: dict[str, Target] = {
    "audio/wav": Target(muxer="wav", codec=WAV, flags=("-rf64", "auto"), language=True),
    "audio/mpeg": Target(muxer="mp3", codec=MP3, flags=("-id3v2_version", "3"), cover=True, language=True),
    "audio/flac": Target(muxer="flac", codec=FLAC, cover=True, language=True),
    "audio/ogg": Target(muxer="ogg", codec=VORBIS),
    "audio/opus": Target(muxer="opus", codec=OPUS),
    "audio/aac": Target(muxer="adts", codec=ADTS),
    "audio/mp4": Target(muxer="ipod", codec=AAC, flags=("-movflags", "+faststart"), cover=True),
    "audio/aiff": Target(muxer="aiff", codec=AIFF, flags=("-write_id3v2", "1"), language=True),
}

_FORGOTTEN_KEYS = (
    *("location", "location-eng", "com.apple.quicktime.location.ISO6709"),
    *("major_brand", "minor_version", "compatible_brands"),
)
FORGOTTEN = tuple(word for key in _FORGOTTEN_KEYS for word in ("-metadata", f"{key}="))
"""Tags that do not travel: where a phone was, as with pictures, and what only described the old container."""


def told_of_file(sound: Sound | None) -> list[str]:
    """The language of the one sound track as a tag of the file."""
    code = _languages.long(sound.language) if sound is not None else None
    return ["-metadata", f"language={code}"] if code else []


SETTINGS = frozenset({"bitrate", "sample_rate", "channels"})


def rate(codec: Codec, wanted_hz: int) -> int:
    """The sample rate to write: the wanted one, or the next higher that the codec has, or its highest."""
    if not codec.rates:
        return wanted_hz
    return min((r for r in codec.rates if r >= wanted_hz), default=max(codec.rates))


def bitrate(codec: Codec, wanted_kbps: int, channels: int, rate_hz: int) -> int:
    """The bit rate in kbit/s held to what the codec allows at these channels and this sample rate."""
    if codec is OPUS:
        return max(6 * channels, min(wanted_kbps, 256 * channels))
    if codec is MP3:  # ISO 11172-3 and 13818-3: 320 for MPEG-1, 160 for MPEG-2, 64 for the 2.5 extension
        return min(wanted_kbps, 320 if rate_hz >= 32000 else 160 if rate_hz >= 16000 else 64)
    return min(wanted_kbps, 6 * rate_hz * channels // 1000)  # AAC: 6144 bits a channel in 1024 samples


def vorbis_quality(kbps: int, channels: int) -> float:
    """libvorbis's quality that comes to about `kbps`. Its managed mode refuses many rates; quality never fails.

    The steps are the encoder's nominal rates for 44.1 kHz stereo.
    """
    steps = (45, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 500)
    stereo = kbps * 2 / max(channels, 1)
    for quality, (low, high) in enumerate(pairwise(steps), start=-1):
        if stereo <= high:
            return round(max(-1.0, quality + (stereo - low) / (high - low)), 2)
    return 10.0


def encode(
    codec: Codec, sound: Sound, settings: Mapping[str, Any], spec: str = "", before: Sequence[str] = ()
) -> list[str]:
    """The encoder and its options for one track; `spec` picks the output track (":0"), "" all of them. before: filters
    that go first."""
    wanted = min(int(settings.get("channels", sound.channels)), codec.channels)
    rate_hz = rate(codec, int(settings.get("sample_rate", sound.sample_rate_hz)))
    args = [f"-c:a{spec}", codec.encoder]
    if codec in (WAV, AIFF):
        end = codec.encoder[-2:]
        args[1] = {16: f"pcm_s16{end}", 24: f"pcm_s24{end}", 32: f"pcm_f32{end}"}[sound.bits]
    elif codec is FLAC:
        args += [f"-sample_fmt{_a(spec)}", "s16" if sound.bits == 16 else "s32", "-compression_level", "8"]
    elif codec is VORBIS:
        args += [f"-q:a{spec}", str(vorbis_quality(int(settings.get("bitrate", VORBIS.kbps)), wanted))]
    else:
        default = (codec.kbps or 128) * max(1, wanted / 2)
        args += [f"-b:a{spec}", f"{bitrate(codec, int(settings.get('bitrate', default)), wanted, rate_hz)}k"]
    filters = list(before)
    if wanted != sound.channels or wanted > 2:
        filters.append(f"aformat=channel_layouts={_LAYOUTS[wanted]}")
    if filters:
        args += [f"-filter:a{spec}", ",".join(filters)]
    return [*args, f"-ar{_a(spec)}", str(rate_hz)]


def _a(spec: str) -> str:
    return f":a{spec}" if spec else ""


def extract(
    mime: str, source: Sound, settings: Mapping[str, Any], *, copy: bool, cover: int | None = None, ogg: bool = False
) -> list[str]:
    """Output options of a sound file made from one track, with its cover picture where the target has a place.

    `ogg`: the source keeps its tags on the track, where other formats would leave them unseen.
    """
    target = TARGETS[mime]
    args = ["-map", f"0:{source.index}"]
    if cover is not None and target.cover:
        args += ["-map", f"0:{cover}", "-c:v", "copy", "-disposition:v:0", "attached_pic"]
    args += ["-c:a", "copy"] if copy else encode(target.codec, source, settings)
    if ogg:
        args += ["-map_metadata", f"0:s:{source.index}"]
    if target.language:
        args += told_of_file(source)
    return [*args, "-sn", "-dn", *FORGOTTEN, *target.flags, "-f", target.muxer]


def fits(mime: str, source: Sound, settings: Mapping[str, Any]) -> bool:
    """Whether the track can be moved into the target as it is: same codec, and nothing asked that changes it."""
    if SETTINGS & set(settings) or {"start", "duration"} & set(settings):
        return False
    return source.codec in TARGETS[mime].codec.names
