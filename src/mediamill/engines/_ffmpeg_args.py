"""What ffmpeg is told about pictures: size, rate, colours, codecs and containers. Pure functions, tested as strings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from mediamill.engines import _ffmpeg_sound as sound
from mediamill.engines._av import Sound, Source, Text, Video

GIF_FPS = Fraction(12)
GIF_MEMORY_BYTES = 256_000_000
"""Frames that a palette made in the same pass may hold back; above it the file is read twice."""

_TEXTS = frozenset({"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"})
_PICTURES = frozenset({"dvd_subtitle", "dvdsub", "hdmv_pgs_subtitle", "pgssub", "dvb_subtitle", "dvbsub"})
_AVI = "video/x-msvideo"
_PLANAR_8BIT = frozenset({"yuv420p", "yuvj420p"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """A video format: how it is written, what is encoded into it, and what may enter as it is."""

    muxer: str
    encoder: str
    sound: sound.Codec
    videos: frozenset[str] = frozenset()
    sounds: frozenset[str] = frozenset()
    text: str | None = None
    flags: tuple[str, ...] = ()
    sound_limit: int | None = None
    """Most sound tracks; None for all."""


_MP4_SOUNDS = frozenset({"aac", "mp3", "alac"})
CONTAINERS: dict[str, Container] = {
    "video/mp4": Container(
        muxer="mp4",
        encoder="libx264",
        sound=sound.AAC,
        videos=frozenset({"h264", "hevc", "av1"}),
        sounds=_MP4_SOUNDS,
        text="mov_text",
        flags=("-movflags", "+faststart"),
    ),
    "video/quicktime": Container(
        muxer="mov",
        encoder="libx264",
        sound=sound.AAC,
        videos=frozenset({"h264", "hevc", "prores", "mjpeg"}),
        sounds=_MP4_SOUNDS | {"pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"},
        text="mov_text",
        flags=("-movflags", "+faststart"),
    ),
    "video/x-matroska": Container(
        muxer="matroska",
        encoder="libx264",
        sound=sound.AAC,
        videos=frozenset({"h264", "hevc", "av1", "vp8", "vp9"} | {"mpeg4", "mpeg2video", "prores"}),
        sounds=_MP4_SOUNDS | {"opus", "vorbis", "flac", "ac3", "eac3", "dts", "pcm_s16le", "pcm_s24le"},
        text="subrip",
    ),
    "video/webm": Container(
        muxer="webm",
        encoder="libvpx-vp9",
        sound=sound.OPUS,
        videos=frozenset({"vp8", "vp9", "av1"}),
        sounds=frozenset({"opus", "vorbis"}),
        text="webvtt",
    ),
    # MPEG-4 part 2 with MP3 is what every player that still asks for AVI plays; H.264 has no clean home in it.
    _AVI: Container(
        muxer="avi",
        encoder="mpeg4",
        sound=sound.MP3,
        sounds=frozenset({"mp3"}),
        sound_limit=1,
        flags=("-avoid_negative_ts", "disabled"),  # else MP3's encoder delay costs the second frame its place
    ),
}

PICTURES: dict[str, tuple[str, str]] = {
    "image/png": ("png", "image2"),
    "image/jpeg": ("mjpeg", "image2"),
    "image/webp": ("libwebp", "webp"),
}
"""Still targets: encoder and muxer."""

_RATES = tuple(Fraction(n * 1000, 1001) for n in (24, 30, 48, 60, 120))


def frame_rate(value: float | Fraction) -> Fraction:
    """A rate as a fraction that every codec can write: 29.97 means 30000/1001."""
    for ntsc in _RATES:
        if abs(float(value) - float(ntsc)) < 0.005:
            return ntsc
    return Fraction(value).limit_denominator(500)


def size(width: int, height: int, resize: Mapping[str, int], *, even: bool) -> tuple[int, int]:
    """The size to write: width and height as asked (one alone keeps the ratio), then shrunk into the maxima.

    `even` rounds down to even numbers, which 4:2:0 colour needs.
    """
    w, h = float(width), float(height)
    if "width" in resize and "height" in resize:
        w, h = float(resize["width"]), float(resize["height"])
    elif "width" in resize:
        w, h = float(resize["width"]), resize["width"] * height / width
    elif "height" in resize:
        w, h = resize["height"] * width / height, float(resize["height"])
    shrink = min(1.0, resize.get("max_width", w) / w, resize.get("max_height", h) / h)
    return _pixels(w * shrink, even), _pixels(h * shrink, even)


def _pixels(value: float, even: bool) -> int:
    whole = max(1, round(value))
    return max(2, whole - whole % 2) if even else whole


def tone_map(transfer: str) -> str:
    """HDR (PQ or HLG, BT.2020) down to BT.709, with a filmic curve in linear light at 100 nit white."""
    curve = "smpte2084" if transfer == "pq" else "arib-std-b67"
    return (
        f"zscale=tin={curve}:min=bt2020nc:pin=bt2020:rin=tv:t=linear:npl=100,format=gbrpf32le,"
        "zscale=p=bt709,tonemap=tonemap=hable:desat=0,zscale=t=bt709:m=bt709:p=bt709:r=tv"
    )


def scale(video: Video, to: tuple[int, int], *, kernel: str = "bicubic") -> str:
    """Scale to a size with square pixels. Always there: it costs nothing at the same size, and a source that
    changes its size in the middle goes on."""
    colours = ":out_color_matrix=bt709" if video.rgb else ""
    return f"scale={to[0]}:{to[1]}:flags={kernel}:out_range=tv{colours},setsar=1"


def picture_filters(
    video: Video,
    to: tuple[int, int],
    *,
    fps: Fraction | None,
    hdr: bool,
    pixels: str,
    before: Sequence[str] = (),
) -> str:
    """The filter chain of an encoded video. Turning upright is ffmpeg's own first step, before these."""
    chain = list(before)
    if video.interlaced:
        chain.append("bwdif=mode=send_frame:deint=interlaced")
    if fps is not None:
        chain.append(f"fps={fps}")
    chain.append(scale(video, to))
    if hdr and video.transfer:
        chain.append(tone_map(video.transfer))
    chain.append(f"format={pixels}")
    if video.rgb:
        chain.append("setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709")
    return ",".join(chain)


def decoder(video: Video) -> str | None:
    """The decoder to ask for by name: ffmpeg's own VP8 and VP9 decoders leave transparency out."""
    return {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(video.codec) if video.alpha else None


def picture_codec(encoder: str, settings: Mapping[str, Any]) -> list[str]:
    """The encoder with the house's defaults, its quality from `crf`."""
    crf = settings.get("crf")
    if encoder == "libx264":
        return ["-c:v", encoder, "-preset", "veryfast", "-crf", str(min(51, 23 if crf is None else int(crf)))]
    if encoder == "libvpx-vp9":
        speed = ("-deadline", "good", "-cpu-used", "5", "-row-mt", "1", "-tile-columns", "2")
        return ["-c:v", encoder, "-b:v", "0", "-crf", str(32 if crf is None else int(crf)), *speed]
    return ["-c:v", encoder, "-q:v", "4", "-vtag", "xvid", "-g", "250"]


def keeps_picture(mime: str, source_mime: str, video: Video, settings: Mapping[str, Any]) -> bool:
    """Whether the picture track can be moved into the target as it is."""
    if mime == source_mime or {"resize", "start", "duration", "fps", "crf"} & set(settings):
        return False
    if source_mime == _AVI or video.codec not in CONTAINERS[mime].videos:
        return False  # AVI stores no presentation times: B-frames would come out shuffled
    if video.rotation_deg and mime not in ("video/mp4", "video/quicktime"):
        return False  # elsewhere players do not turn it
    # 4:2:2 and 10-bit H.264 is for cutting rooms: browsers and phones show nothing
    return video.codec != "h264" or video.pixel_format in _PLANAR_8BIT or mime == "video/x-matroska"


def keeps_sound(mime: str, source_mime: str, track: Sound, settings: Mapping[str, Any]) -> bool:
    """Whether a sound track can be moved into the target as it is; optimising recodes what is above the default."""
    if (sound.SETTINGS | {"start", "duration"}) & set(settings) or source_mime == _AVI:
        return False
    container = CONTAINERS[mime]
    if track.codec not in container.sounds:
        return False
    if mime != source_mime:
        return True
    default_bps = (container.sound.kbps or 128) * 1000 * max(1, track.channels / 2)
    return track.bitrate_bps is not None and track.bitrate_bps <= default_bps * 1.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Output options, and which tracks they move as they are."""

    args: list[str]
    picture_kept: bool
    sounds_kept: bool
    languages: list[str | None]
    """Of the tracks, in their order."""

    @property
    def remuxed(self) -> bool:
        """Nothing is encoded again."""
        return self.picture_kept and self.sounds_kept


def film(
    mime: str,
    source_mime: str,
    source: Source,
    video: Video,
    settings: Mapping[str, Any],
    *,
    hdr: bool,
    copy: bool = True,
    before: tuple[Sequence[str], Sequence[str]] = ((), ()),
) -> Plan:
    """The output options of a video file. `copy` false encodes everything. before: filters that go first, of the
    picture and of sounds."""
    container = CONTAINERS[mime]
    args = ["-map", f"0:{video.index}"]
    kept = copy and keeps_picture(mime, source_mime, video, settings)
    if kept:
        args += ["-c:v", "copy"]
        if video.codec == "hevc" and container.muxer in ("mp4", "mov"):
            args += ["-tag:v", "hvc1"]  # Apple's players know no other name for it
    else:
        args += _encoded(container, video, settings, hdr=hdr, avi=_AVI in (mime, source_mime), before=before[0])
    sounds_kept = True
    sounds = source.sounds[: container.sound_limit] if settings.get("audio", True) else ()
    for place, track in enumerate(sounds):
        args += ["-map", f"0:{track.index}"]
        if copy and keeps_sound(mime, source_mime, track, settings):
            args += [f"-c:a:{place}", "copy"]
        else:
            sounds_kept = False
            args += sound.encode(container.sound, track, settings, f":{place}", before[1])
    texts = _texts(container, source)
    for place, (text, codec) in enumerate(texts):
        args += ["-map", f"0:{text.index}", f"-c:s:{place}", codec]
    if mime == _AVI:
        args += sound.told_of_file(sounds[0] if sounds else None)
    return Plan(
        args=[
            *args,
            "-dn",
            "-max_muxing_queue_size",
            "4096",
            *sound.FORGOTTEN,
            *container.flags,
            "-f",
            container.muxer,
        ],
        picture_kept=kept,
        sounds_kept=sounds_kept,
        languages=[video.language, *(track.language for track in sounds), *(text.language for text, _ in texts)],
    )


def _encoded(
    container: Container,
    video: Video,
    settings: Mapping[str, Any],
    *,
    hdr: bool,
    avi: bool,
    before: Sequence[str],
) -> list[str]:
    """The output options of a picture that is encoded anew."""
    to = size(video.width_px, video.height_px, settings.get("resize", {}), even=True)
    fps = frame_rate(settings["fps"]) if "fps" in settings else None
    if fps is None and avi:
        fps = min(frame_rate(video.frame_rate or 25), Fraction(60))  # AVI has one rate for all frames
    clear = video.alpha and container.muxer == "webm" and video.codec != "gif"  # a GIF is rarely see-through
    pixels = "yuva420p" if clear else "yuv420p"
    filters = picture_filters(video, to, fps=fps, hdr=hdr, pixels=pixels, before=before)
    if container.muxer == "avi":
        filters += ",scale=out_color_matrix=bt601:out_range=tv"  # MPEG-4 in AVI names no matrix: players take BT.601
    args = ["-vf", filters, *picture_codec(container.encoder, settings)]
    if clear:
        args += ["-auto-alt-ref", "0"]  # libvpx writes no transparency otherwise
    return args


def _texts(container: Container, source: Source) -> list[tuple[Text, str]]:
    """Subtitle tracks the container can carry, recoded to its own text form; Matroska keeps pictures of text too."""
    if container.text is None:
        return []
    found = [(track, container.text) for track in source.texts if track.codec in _TEXTS]
    if container.muxer == "matroska":
        found += [(track, "copy") for track in source.texts if track.codec in _PICTURES]
    return sorted(found, key=lambda pair: pair[0].index)


def gif_rate(video: Video, settings: Mapping[str, Any]) -> Fraction:
    """The asked rate, or 12 frames a second at most; GIF counts in hundredths of a second, so never above 50."""
    if "fps" in settings:
        return min(frame_rate(settings["fps"]), Fraction(50))
    return min(GIF_FPS, frame_rate(video.frame_rate)) if video.frame_rate else GIF_FPS


def gif_fits_memory(to: tuple[int, int], fps: Fraction, duration_s: float | None) -> bool:
    """Whether all frames may be held back while the palette is made."""
    return duration_s is not None and to[0] * to[1] * 4 * float(fps) * duration_s <= GIF_MEMORY_BYTES


def gif_frames(video: Video, to: tuple[int, int], fps: Fraction, *, hdr: bool, before: Sequence[str] = ()) -> str:
    """The frames a GIF is made of. before: filters that go first."""
    chain = [*before, *(["bwdif=mode=send_frame:deint=interlaced"] if video.interlaced else [])]
    chain += [f"fps={fps}", f"scale={to[0]}:{to[1]}:flags=lanczos", "setsar=1"]
    if hdr and video.transfer:
        chain.append(tone_map(video.transfer))
    return ",".join(chain)


def gif_loop(plays: int) -> int:
    """ffmpeg's `-loop` for a number of plays, 0 for ever. The file's field counts repeats; -1 leaves it out."""
    return {0: 0, 1: -1}.get(plays, plays - 1)


PALETTE = "palettegen=stats_mode=diff"
DITHER = "paletteuse=dither=bayer:bayer_scale=5:diff_mode=rectangle"


def still(mime: str, video: Video, settings: Mapping[str, Any], *, hdr: bool, before: Sequence[str] = ()) -> list[str]:
    """The output options of one frame as a picture. before: filters that go first."""
    encoder, muxer = PICTURES[mime]
    to = size(video.width_px, video.height_px, settings.get("resize", {}), even=False)
    chain = [*before, *(["bwdif=mode=send_frame:deint=interlaced"] if video.interlaced else [])]
    if hdr and video.transfer:
        chain.append(tone_map(video.transfer))
    pixels = "yuvj420p" if encoder == "mjpeg" else "rgba" if video.alpha else "rgb24"
    matrix = ":out_color_matrix=bt601:out_range=pc" if encoder == "mjpeg" else ""  # JFIF knows only full-range BT.601
    chain += [f"scale={to[0]}:{to[1]}:flags=lanczos+accurate_rnd{matrix}", "setsar=1", f"format={pixels}"]
    args = ["-map", f"0:{video.index}", "-vf", ",".join(chain), "-frames:v", "1", "-an", "-sn", "-dn", "-c:v", encoder]
    quality = int(settings.get("quality", 80))
    if encoder == "mjpeg":
        args += ["-q:v", str(jpeg_quantizer(quality))]
    elif encoder == "libwebp":
        args += ["-lossless", "1"] if settings.get("lossless") else ["-quality", str(quality)]
    return [*args, *(("-update", "1") if muxer == "image2" else ()), "-f", muxer]


def jpeg_quantizer(quality: int) -> int:
    """ffmpeg's quantizer (2 best, 31 worst) for a quality of 1 to 100 as libjpeg scales its tables."""
    percent = 5000 / quality if quality < 50 else 200 - 2 * quality
    return max(2, min(31, round(0.14 * percent)))


def cues_within(length_s: float | None) -> str:
    """A bit stream filter for the subtitle tracks of a part of a film: cues that have begun before it begin with it,
    and none outlasts it. Left alone, the first kind moves all that follow, the second makes the film as long as it."""
    ends = "PTS+DURATION" if length_s is None else f"min(PTS+DURATION\\,{length_s:.6f}/TB)"
    return f"setts=pts=max(PTS\\,0):dts=max(PTS\\,0):duration=max(0\\,{ends}-max(PTS\\,0))"
