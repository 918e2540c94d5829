"""How a film's picture track is encoded: encoder, quality, bit rate, container. Pure functions, tested as strings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mediamill.core.encode import Codec, Container
from mediamill.engines import _ffmpeg_sound as sound
from mediamill.engines._av import Sound, Video

MEDIUM = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Muxer:
    """A container: how it is written, what sound and text it carries."""

    mime: str
    name: str
    sound: sound.Codec
    text: str
    flags: tuple[str, ...] = ()


MUXERS: Mapping[Container, Muxer] = {
    "mp4": Muxer(mime="video/mp4", name="mp4", sound=sound.AAC, text="mov_text", flags=("-movflags", "+faststart")),
    "mov": Muxer(
        mime="video/quicktime", name="mov", sound=sound.AAC, text="mov_text", flags=("-movflags", "+faststart")
    ),
    "webm": Muxer(mime="video/webm", name="webm", sound=sound.OPUS, text="webvtt"),
}

ENCODERS: Mapping[Codec, tuple[str, ...]] = {
    "h264": ("libx264",),
    "h265": ("libx265",),
    "vp9": ("libvpx-vp9",),
    "av1": ("libsvtav1", "libaom-av1"),
}
"""By codec, the best first."""

_CRF: Mapping[Codec, tuple[int, ...]] = {
    "h264": (34, 28, 23, 20, 17),
    "h265": (37, 32, 27, 23, 20),
    "vp9": (45, 38, 32, 27, 22),
    "av1": (52, 43, 35, 29, 24),
}
"""Constant quality from very low to very high; the middle ones look alike."""
_EFFORT: Mapping[str, tuple[str, ...]] = {
    "libx264": ("-preset", "veryfast"),
    "libx265": ("-preset", "veryfast", "-x265-params", "log-level=error"),
    "libvpx-vp9": ("-deadline", "good", "-cpu-used", "5", "-row-mt", "1", "-tile-columns", "2"),
    "libsvtav1": ("-preset", "10"),
    "libaom-av1": ("-cpu-used", "8", "-row-mt", "1", "-tile-columns", "1"),
}
LEAST_PX: Mapping[Codec, int] = {"h265": 16, "av1": 16}
"""Sides below which an encoder refuses, or (SVT-AV1 4.2 at 2 x 2) overruns its own memory."""
NAMES: Mapping[Codec, str] = {"h264": "h264", "h265": "hevc", "vp9": "vp9", "av1": "av1"}
"""As probes name them."""
_PLAYED = frozenset({"yuv420p", "yuvj420p"})


def encoder_args(codec: Codec, encoder: str, quality: int | None, bitrate_bps: int | None) -> list[str]:
    """The encoder with its rate control: constant quality, a mean bit rate, or the one held below the other."""
    args = ["-c:v", encoder, *_EFFORT[encoder]]
    crf = str(_CRF[codec][MEDIUM if quality is None else quality])
    if bitrate_bps is None:
        return [*args, "-crf", crf, *(("-b:v", "0") if encoder in ("libvpx-vp9", "libaom-av1") else ())]
    ceiling = ["-maxrate", str(bitrate_bps), "-bufsize", str(bitrate_bps * 2)]
    if quality is None:
        # SVT-AV1 takes no ceiling beside a mean.
        room = [] if encoder == "libsvtav1" else ["-maxrate", str(bitrate_bps * 3 // 2), *ceiling[2:]]
        return [*args, "-b:v", str(bitrate_bps), *room]
    if encoder in ("libvpx-vp9", "libaom-av1"):
        return [*args, "-crf", crf, "-b:v", str(bitrate_bps)]
    return [*args, "-crf", crf, *ceiling]


def tag(codec: Codec, container: Container) -> list[str]:
    """The name under which Apple's players look for HEVC."""
    return ["-tag:v", "hvc1"] if codec == "h265" and container != "webm" else []


def fits(codec: Codec, container: Container, video: Video, source_mime: str, *, keep_hdr: bool) -> bool:
    """Whether the picture track is what would be made of it anyway, so that it can be moved as it is."""
    if video.codec != NAMES[codec] or source_mime == "video/x-msvideo":
        return False  # AVI stores no presentation times: B-frames would come out shuffled
    if not video.square or video.interlaced or (video.transfer and not keep_hdr):
        return False
    if video.rotation_deg and container == "webm":
        return False  # players do not turn it
    deep = video.pixel_format == "yuv420p10le" and codec != "h264"
    return (video.pixel_format in _PLAYED or deep) and not video.alpha


def index_bytes(video: Video, tracks: tuple[Sound, ...], length_s: float | None) -> int | None:
    """The most that the index of an MP4 of these tracks may take, as far as it can be told."""
    if length_s is None or (video.frames is None and video.frame_rate is None):
        return None
    # A sample has a length, a duration, an order, a chunk, and a picture may be one to begin at (ISO 14496-12, 8.6)
    pictures = video.frames or float(video.frame_rate or 0) * length_s
    samples = sum(track.sample_rate_hz / 960 * length_s for track in tracks)
    return round(1.05 * (44 * pictures + 32 * samples)) + 65_536


def sound_args(
    container: Container, tracks: tuple[Sound, ...], *, copy: bool, before: Sequence[str] = ()
) -> tuple[list[str], bool]:
    """The sound tracks of input 0, moved where they are what would be made; and whether all of them are moved. before:
    filters of those that are encoded, first of all."""
    codec = MUXERS[container].sound
    args, kept = [], True
    for place, track in enumerate(tracks):
        args += ["-map", f"0:{track.index}"]
        if copy and track.codec in codec.names:
            args += [f"-c:a:{place}", "copy"]
        else:
            kept = False
            args += sound.encode(codec, track, {}, f":{place}", before)
    return args, kept
