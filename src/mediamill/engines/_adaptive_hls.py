"""HLS playlists over files of one rendition each, its segments byte ranges. Source: RFC 8216 and its revision,
draft-pantos-hls-rfc8216bis; Apple's HLS authoring specification where it asks for more."""

from __future__ import annotations

from collections.abc import Sequence

from mediamill.engines._adaptive_renditions import (
    STATED_DIGITS,
    Rendition,
    Renditions,
    Text,
    peak_bps,
    rendition_peak_bps,
)

VERSION = 7  # EXT-X-MAP in playlists that are not of key frames alone asks for 6, fragmented MP4 as such for 7
_STARTING_BPS = 3_500_000
_SOUNDS, _TEXTS = "audio", "subtitles"


def quoted(value: str) -> str:
    """A quoted-string: the format has no way to write quotes or line ends in one."""
    return '"' + "".join(c if c.isprintable() and c != '"' else "'" if c == '"' else " " for c in value) + '"'


def media(rendition: Rendition, target_s: int) -> str:
    """The playlist of a rendition's segments."""
    lines = _head(target_s)
    lines.append(_map(rendition))
    for segment, duration_s in zip(rendition.segments, rendition.durations_s, strict=True):
        lines += [
            f"#EXTINF:{duration_s:.{STATED_DIGITS}f},",
            f"#EXT-X-BYTERANGE:{segment.size}@{segment.offset}",
            rendition.file,
        ]
    return _written([*lines, "#EXT-X-ENDLIST"])


def keys(rendition: Rendition) -> str:
    """The playlist of a rendition's key frames: each range ends with the first frame of its fragment."""
    lines = _head(max(1, max(int(lasts_s + 0.5) for _, lasts_s in rendition.keys)))
    lines += ["#EXT-X-I-FRAMES-ONLY", _map(rendition)]
    for fragment, lasts_s in rendition.keys:
        lines += [
            f"#EXTINF:{lasts_s:.{STATED_DIGITS}f},",
            f"#EXT-X-BYTERANGE:{fragment.first_bytes}@{fragment.offset}",
            rendition.file,
        ]
    return _written([*lines, "#EXT-X-ENDLIST"])


def text(track: Text, duration_s: float) -> str:
    """The playlist of a subtitle file, which is one segment."""
    lines = [*_head(max(1, int(duration_s + 0.5)))]
    return _written([*lines, f"#EXTINF:{duration_s:.{STATED_DIGITS}f},", track.file, "#EXT-X-ENDLIST"])


def master(renditions: Renditions) -> str:
    """The playlist that players open."""
    lines = ["#EXTM3U", f"#EXT-X-VERSION:{VERSION}", "#EXT-X-INDEPENDENT-SEGMENTS"]
    target_s = renditions.target_s
    if not renditions.pictures:
        for sound in renditions.sounds:
            lines += [_stream((rendition_peak_bps(sound, target_s), sound.average_bps), [sound.track.codec])]
            lines += [sound.playlist]
        return _written(lines)
    sounds, texts = renditions.sounds, renditions.texts
    lines += [_sound(sound) for sound in sounds]
    lines += [_subtitles(track) for track in texts]
    heard = (
        max((rendition_peak_bps(sound, target_s) for sound in sounds), default=0),
        max((sound.average_bps for sound in sounds), default=0),
    )
    codecs = sorted({sound.track.codec for sound in sounds})
    groups = [f'AUDIO="{_SOUNDS}"'] if sounds else []
    groups += [f'SUBTITLES="{_TEXTS}"'] if texts else []
    for picture in _starting_first(renditions.pictures):
        rate = rendition_peak_bps(picture, target_s) + heard[0], picture.average_bps + heard[1]
        shown = [_size(picture), f"FRAME-RATE={picture.track.frame_rate:.3f}", "VIDEO-RANGE=SDR"]
        lines += [_stream(rate, [picture.track.codec, *codecs], *shown, *groups, "CLOSED-CAPTIONS=NONE")]
        lines += [picture.playlist]
    for picture in renditions.pictures:
        if picture.name in renditions.key_playlists:
            lines += [_key_stream(picture, renditions.key_playlists[picture.name])]
    return _written(lines)


def _head(target_s: int) -> list[str]:
    return [
        "#EXTM3U",
        f"#EXT-X-VERSION:{VERSION}",
        f"#EXT-X-TARGETDURATION:{target_s}",
        "#EXT-X-MEDIA-SEQUENCE:0",
        "#EXT-X-PLAYLIST-TYPE:VOD",
        "#EXT-X-INDEPENDENT-SEGMENTS",
    ]


def _map(rendition: Rendition) -> str:
    return f'#EXT-X-MAP:URI="{rendition.file}",BYTERANGE="{rendition.track.init_bytes}@0"'


def _written(lines: Sequence[str]) -> str:
    return "\n".join(lines) + "\n"


def _size(picture: Rendition) -> str:
    return f"RESOLUTION={picture.track.width_px}x{picture.track.height_px}"


def _stream(rate: tuple[int, int], codecs: Sequence[str], *more: str) -> str:
    named = [f"BANDWIDTH={rate[0]}", f"AVERAGE-BANDWIDTH={rate[1]}", f'CODECS="{",".join(codecs)}"', *more]
    return "#EXT-X-STREAM-INF:" + ",".join(named)


def _key_stream(picture: Rendition, playlist: str) -> str:
    sizes = [fragment.first_bytes for fragment, _ in picture.keys]
    lasting_s = [lasts_s for _, lasts_s in picture.keys]
    average = round(sum(sizes) * 8 / sum(lasting_s))
    attributes = (
        f"BANDWIDTH={peak_bps(sizes, lasting_s, max(lasting_s))}",
        f"AVERAGE-BANDWIDTH={average}",
        f'CODECS="{picture.track.codec}"',
        _size(picture),
        "VIDEO-RANGE=SDR",
        f'URI="{playlist}"',
    )
    return "#EXT-X-I-FRAME-STREAM-INF:" + ",".join(attributes)


def _sound(sound: Rendition) -> str:
    return _media("AUDIO", _SOUNDS, sound, f'CHANNELS="{sound.track.channels}"')


def _subtitles(track: Text) -> str:
    return _media("SUBTITLES", _TEXTS, track, "FORCED=NO")


def _media(type: str, group: str, track: Rendition | Text, more: str) -> str:
    language = [f"LANGUAGE={quoted(track.language)}"] if track.language else []
    attributes = [
        f"TYPE={type}",
        f'GROUP-ID="{group}"',
        f"NAME={quoted(track.label)}",
        *language,
        f"DEFAULT={_yes(track.default)}",
        "AUTOSELECT=YES",
        more,
        f'URI="{track.playlist}"',
    ]
    return "#EXT-X-MEDIA:" + ",".join(attributes)


def _yes(value: bool) -> str:
    return "YES" if value else "NO"


def _starting_first(pictures: Sequence[Rendition]) -> list[Rendition]:
    """Players without a measure of their line begin with the first: the best that most lines carry."""
    first = next((p for p in pictures if p.average_bps <= _STARTING_BPS), pictures[-1])
    return [first, *(picture for picture in pictures if picture is not first)]
