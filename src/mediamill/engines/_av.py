"""What is inside an audio or video file, read with PyAV: the streams that conversions and probes care about.

Only the demuxers of the type the file was sniffed as may open it, so a playlist or script in disguise is refused
before a single path in it is looked at.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mediamill.core import formats
from mediamill.core.errors import BadMedia

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

MOV = "mov,mp4,m4a,3gp,3g2,mj2"
DEMUXERS: dict[str, str] = {
    "audio/wav": "wav,w64",
    "audio/mpeg": "mp3",
    "audio/flac": "flac",
    "audio/ogg": "ogg",
    "audio/opus": "ogg",
    "audio/aac": "aac",
    "audio/mp4": MOV,
    "audio/aiff": "aiff",
    "audio/x-ms-wma": "asf",
    "video/mp4": MOV,
    "video/webm": "matroska,webm",
    "video/quicktime": MOV,
    "video/x-matroska": "matroska,webm",
    "video/x-msvideo": "avi",
    "video/mpeg": "mpeg,mpegvideo",
    "video/mp2t": "mpegts",
    "video/3gpp": MOV,
    "video/x-flv": "flv",
    "image/gif": "gif",
}
"""Canonical MIME type → the demuxers that may read it (names as `ffmpeg -demuxers` prints them)."""

PROTOCOLS = "file,pipe"
MAX_PIXELS = 100_000_000  # a frame of 8K is 33 million; a 12,000-pixel-square bomb in a cover picture is 144 million
MAX_PACKETS = 2_000_000  # how far a file without a duration is read to find one: six hours at 90 packets a second

REORDERED = 32
"""How many packets may come before one that is shown first; codecs allow 16."""

_GUESSED = frozenset({"aac", "mp3"})
"""Without an index: a declared duration may be a guess from the first packets' bit rate."""
_INDEXED = ("mov", "matroska", "avi", "wav", "flac", "aiff")
_PQ, _HLG = 16, 18  # transfer characteristics, ITU-T H.273 table 3
_MATRICES = {1: "bt709", 5: "bt470bg", 6: "smpte170m", 9: "bt2020nc"}  # matrix coefficients, table 4
_FREE = frozenset({"pcm", "flac", "alac", "ape", "wavpack", "tta", "wmalossless", "mlp", "truehd"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Video:
    """The picture track. Width and height are as displayed: turned upright, with square pixels."""

    index: int
    codec: str
    width_px: int
    height_px: int
    rotation_deg: int = 0
    square: bool = True
    pixel_format: str = "yuv420p"
    frame_rate: Fraction | None = None
    frames: int | None = None
    interlaced: bool = False
    transfer: Literal["pq", "hlg"] | None = None
    alpha: bool = False
    profile: str | None = None
    level: str | None = None
    varying: bool = False
    """Whether frames come at unequal distances, as from a phone in the dark or a screen recorder."""
    matrix: str | None = None
    """How colours are coded, as ffmpeg names it, where the film says so."""
    language: str | None = None

    @property
    def rgb(self) -> bool:
        """Whether samples are red, green and blue (or a palette of them), so that a matrix must be chosen."""
        return self.pixel_format.startswith(("rgb", "bgr", "gbr", "argb", "abgr", "pal8", "0rgb", "0bgr"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Sound:
    """A sound track. `bits`: 16, or 24 for finer lossless samples, or 32 for floating-point ones."""

    index: int
    codec: str
    sample_rate_hz: int
    channels: int
    bitrate_bps: int | None = None
    bits: Literal[16, 24, 32] = 16
    default: bool = False
    language: str | None = None
    """As the file says it: "deu", "ger", "de", "de-AT"."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """A subtitle track."""

    index: int
    codec: str
    language: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """The tracks of a file. `cover` is a still picture stored beside a sound, never a video."""

    demuxer: str
    duration_s: float | None = None
    bitrate_bps: int | None = None
    title: str | None = None
    video: Video | None = None
    sounds: tuple[Sound, ...] = ()
    texts: tuple[Text, ...] = ()
    cover: Text | None = None

    @property
    def indexed(self) -> bool:
        """Whether the duration is declared by an index, so that less is a sign of a file cut off."""
        return self.demuxer.startswith(_INDEXED)

    @property
    def sound(self) -> Sound | None:
        """The sound track a player would start with."""
        return next((s for s in self.sounds if s.default), self.sounds[0] if self.sounds else None)


@contextmanager
def opened(path: Path, mime: str) -> Iterator[InputContainer]:
    """A container opened by the demuxers of `mime` only. Raises BadMedia for what cannot be read, inside as well."""
    import av

    options = {
        "protocol_whitelist": PROTOCOLS,
        "format_whitelist": DEMUXERS[mime],
        "max_pixels": str(MAX_PIXELS),
    }
    try:
        with av.open(f"file:{path.absolute()}", options=options, metadata_errors="replace") as container:
            yield container
    except (av.FFmpegError, EOFError, UnicodeDecodeError) as error:
        raise unreadable(mime) from error


def unreadable(mime: str) -> BadMedia:
    """The error for bytes that are not what their type says."""
    found = formats.find(mime)
    name = found.names[0].upper() if found else mime
    return BadMedia(f"The file cannot be read as {name}; it may be damaged, cut off or of another type.")


def read(path: Path, mime: str) -> Source:
    """The tracks of a file. Decodes at most one picture (only frames tell how they are turned). Raises BadMedia.

    A kind looks at its input and its engine looks again: the last answers are kept for as long as a file is the same.
    """
    try:
        known = path.stat()
    except OSError as error:
        raise unreadable(mime) from error
    return _read(path, mime, known.st_size, known.st_mtime_ns)


@lru_cache(maxsize=8)
def _read(path: Path, mime: str, size_bytes: int, changed_ns: int) -> Source:
    with opened(path, mime) as container:
        video = cover = None
        for stream in container.streams.video:
            if _is_cover(stream):
                cover = cover or Text(index=stream.index, codec=stream.codec_context.codec.canonical_name)
            elif video is None:
                video = _video(container, stream)
        sounds = tuple(_sound(stream) for stream in container.streams.audio if _decodable(stream))
        if len(sounds) == 1 and video is None and sounds[0].language is None:  # a song says it of itself
            sounds = (replace(sounds[0], language=container.metadata.get("language")),)
        texts = tuple(
            Text(index=s.index, codec=s.codec_context.name, language=s.metadata.get("language"))
            for s in container.streams.subtitles
            if s.codec_context
        )
        if video is None and not sounds:
            raise BadMedia("The file holds neither pictures nor sound that can be read.")
        duration_s = container.duration / 1_000_000 if container.duration else None
        title = container.metadata.get("title") or next(
            (t for s in container.streams.audio if (t := s.metadata.get("title"))), None
        )
        bitrate_bps = container.bit_rate or None
        demuxer = container.format.name
    if duration_s is None or demuxer in _GUESSED:
        measured_s = _measured(path, mime)
        if measured_s and (duration_s is None or abs(measured_s - duration_s) > max(0.1, 0.01 * duration_s)):
            duration_s = measured_s
            bitrate_bps = int(path.stat().st_size * 8 / duration_s)
    return Source(
        demuxer=demuxer,
        duration_s=duration_s,
        bitrate_bps=bitrate_bps,
        title=title,
        video=video,
        sounds=sounds,
        texts=texts,
        cover=cover,
    )


def _is_cover(stream: VideoStream) -> bool:
    from av.stream import Disposition

    return bool(stream.disposition & (Disposition.attached_pic | Disposition.still_image))


def _decodable(stream: AudioStream) -> bool:
    return stream.codec_context is not None and stream.sample_rate > 0 and stream.channels > 0


def _video(container: InputContainer, stream: VideoStream) -> Video | None:
    if stream.codec_context is None:
        return None
    frame = _first_frame(container, stream)
    width, height = (frame.width, frame.height) if frame else (stream.width, stream.height)
    if width < 1 or height < 1:
        raise BadMedia("The video has no picture size; it may be damaged.")
    ratio = stream.sample_aspect_ratio or Fraction(1)
    if not Fraction(1, 8) <= ratio <= 8:  # a header field nobody checks: such pixels are an error, not a shape
        ratio = Fraction(1)
    shown = max(1, round(width * ratio)), height
    rotation = (round(frame.rotation) if frame else 0) % 360
    if rotation in (90, 270):
        shown = shown[1], shown[0]
    rate = stream.average_rate or stream.guessed_rate
    pixel_format = frame.format.name if frame else stream.codec_context.pix_fmt or "yuv420p"
    tags = stream.metadata  # Matroska's own note that a second, grey picture holds the transparency
    transfer: int = stream.codec_context.color_trc
    return Video(
        index=stream.index,
        codec=stream.codec_context.codec.canonical_name,
        width_px=shown[0],
        height_px=shown[1],
        rotation_deg=rotation,
        square=ratio == 1,
        pixel_format=pixel_format,
        frame_rate=Fraction(rate) if rate else None,
        frames=stream.frames or None,
        interlaced=bool(frame and frame.interlaced_frame),
        transfer="pq" if transfer == _PQ else "hlg" if transfer == _HLG else None,
        alpha=pixel_format.startswith(_ALPHA) or "1" in (tags.get("alpha_mode"), tags.get("ALPHA_MODE")),
        profile=stream.codec_context.profile,
        level=_level(stream.codec_context.codec.canonical_name, stream.codec_context.level),
        matrix=_MATRICES.get(stream.codec_context.colorspace),
        varying=bool(stream.average_rate and stream.base_rate and _differ(stream.average_rate, stream.base_rate)),
        language=tags.get("language"),
    )


def _differ(average: Fraction, base: Fraction) -> bool:
    return abs(average / base - 1) > Fraction(1, 2000)


def _level(codec: str, number: int | None) -> str | None:
    """A level as its standard writes it, from the number in the header; None for codecs that have none."""
    if number is None or number < 0:
        return None
    if codec == "h264" and number > 8:
        return "1b" if number == 9 else f"{number // 10}.{number % 10}"
    if codec == "hevc" and number >= 30:
        return f"{number // 30}.{number % 30 // 3}"
    if codec == "av1" and number < 24:
        return f"{2 + number // 4}.{number % 4}"
    return None


_ALPHA = ("rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "yuva")


def _first_frame(container: InputContainer, stream: VideoStream) -> VideoFrame | None:
    """The first picture, or None when the first packets hold none (a damaged start that a decoder may get over)."""
    import av

    try:
        for tried, packet in enumerate(container.demux(stream)):
            for frame in packet.decode():
                if isinstance(frame, av.VideoFrame):
                    return frame
            if tried > 64:
                break
    except av.FFmpegError:
        return None
    return None


def _sound(stream: AudioStream) -> Sound:
    from av.stream import Disposition

    codec, sample = stream.codec_context.codec.canonical_name, stream.format.name
    lossless = codec.split("_")[0] in _FREE
    bits: Literal[16, 24, 32] = 16
    if lossless and sample.startswith(("flt", "dbl")):
        bits = 32
    elif lossless and sample.startswith("s32"):
        bits = 24
    return Sound(
        index=stream.index,
        codec=codec,
        sample_rate_hz=stream.sample_rate,
        channels=stream.channels,
        bitrate_bps=stream.bit_rate or None,
        bits=bits,
        default=bool(stream.disposition & Disposition.default),
        language=stream.metadata.get("language"),
    )


def _measured(path: Path, mime: str) -> float | None:
    """The duration in seconds by reading every packet; None when packets carry no times."""
    first = last = None
    with opened(path, mime) as container:
        for count, packet in enumerate(container.demux()):
            if packet.pts is None or packet.time_base is None:
                continue
            begin = float(packet.pts * packet.time_base)
            end = begin + float((packet.duration or 0) * packet.time_base)
            first = begin if first is None else min(first, begin)
            last = end if last is None else max(last, end)
            if count > MAX_PACKETS:
                break
    return last - first if first is not None and last is not None and last > first else None


def frame_times(path: Path, mime: str, *, from_s: float, most: int) -> list[float]:
    """When the first pictures from an instant on are shown, in seconds and in order; packets only, nothing decoded."""
    times: list[float] = []
    with opened(path, mime) as container:
        stream = next(s for s in container.streams.video if not _is_cover(s))
        first_s = float(stream.start_time * stream.time_base) if stream.start_time and stream.time_base else 0.0
        for packet in container.demux(stream):
            if packet.pts is None or packet.time_base is None:
                continue
            at_s = float(packet.pts * packet.time_base) - first_s
            if at_s >= from_s:
                times.append(at_s)
            if len(times) > most + REORDERED:
                break
    return sorted(times)[:most]


def shown_at(path: Path, mime: str, at_s: float, *, before_s: float = 0.0) -> float | None:
    """When the picture came up that is on the screen at an instant, in seconds from the film's beginning; None before
    the first. Packets only, from the key frame before on, or from one `before_s` earlier."""
    import av

    found: float | None = None
    with opened(path, mime) as container:
        stream = next(s for s in container.streams.video if not _is_cover(s))
        begins = (container.start_time or 0) / 1_000_000
        # What cannot be sought in is read from its beginning, as ffmpeg does it.
        with suppress(av.FFmpegError):
            container.seek(round((max(0.0, at_s - before_s) + begins) * 1_000_000), backward=True)
        later = 0
        for packet in container.demux(stream):
            if packet.pts is None or packet.time_base is None:
                continue
            time_s = float(packet.pts * packet.time_base) - begins
            if time_s <= at_s + 0.0005:
                found = time_s if found is None else max(found, time_s)
            else:
                later += 1
            if later > REORDERED:
                break
    return found
