"""One moment of a film as a picture: found by seeking, turned upright, with square pixels, HDR brought to sRGB."""

from __future__ import annotations

from pathlib import Path

from mediamill.core.errors import BadMedia, NoVideo, RangeEmpty, ToolFailed
from mediamill.core.ports import Tools
from mediamill.engines import _av, _entry, _ffmpeg, _ffmpeg_args

FILMS = frozenset(mime for mime in _av.DEMUXERS if mime.startswith(("video/", "audio/")))
"""What may be asked for a moment; sounds are named to say that they have none."""
_PNG = ("-c:v", "png", "-compression_level", "1", "-pred", "sub")
_BACK_S = (0.0, 0.2, 3.0, 30.0, 1e6)
"""How far before the moment to look for the last picture, when none follows."""


def video(path: Path, mime: str, at_s: float = 0.0) -> tuple[_av.Source, _av.Video]:
    """The film and its picture track. Raises NoVideo, RangeEmpty when it ends before `at_s`, BadMedia."""
    source = _av.read(path, mime)
    if source.video is None:
        raise NoVideo("The file has no video track, only sound.")
    if at_s > 0 and source.duration_s is not None and at_s >= source.duration_s:
        raise RangeEmpty(f"The start, {at_s:g} s, lies beyond the end at {source.duration_s:g} s.")
    return source, source.video


def frame(
    path: Path, mime: str, at_s: float, size: tuple[int, int], *, scratch: Path, tools: Tools
) -> tuple[Path, str]:
    """What stands on the screen at that moment, scaled to `size`, as a picture in the scratch folder, and its type.

    Raises NoVideo, RangeEmpty, BadMedia, LimitExceeded, ToolFailed.
    """
    source, track = video(path, mime, at_s)
    # Bare samples where there is no transparency: packing 1080p as PNG and back takes 0.1 s.
    made, codec = ("image/png", _PNG) if track.alpha else ("image/x-portable-pixmap", ("-c:v", "ppm"))
    target = scratch / "moment"
    for back_s in _BACK_S:
        begin = max(0.0, at_s - back_s)
        last = back_s > 0
        given = _ffmpeg.input_args(path, mime, start_s=begin, decoder=_ffmpeg_args.decoder(track))
        chain = filters(track, size, tools)
        if not last:
            entry = _entry.entry(path, mime, source, at_s)
            given, chain = entry.input_args(path, mime, _ffmpeg_args.decoder(track)), [*entry.still, *chain]
        argv: list[str | Path] = [
            *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-y", "-v", "warning"),
            *given,
            *("-map", f"0:{track.index}", "-an", "-sn", "-dn", "-vf", ",".join(chain)),
            *(() if last else ("-frames:v", "1")),
            *("-fps_mode", "passthrough", *codec),
            *("-f", "image2", "-update", "1", _ffmpeg.url(target)),
        ]
        try:
            tools.run(argv, name="ffmpeg", cwd=scratch)
        except ToolFailed as error:
            found = _ffmpeg.named(error, mime, "picture")
            if not isinstance(found, BadMedia) or begin == 0:
                raise found from error
        if target.is_file() and target.stat().st_size:
            return target, made
        if begin == 0:
            break
    raise BadMedia("No picture of the film can be read there.")


def filters(track: _av.Video, size: tuple[int, int], tools: Tools, *, kernel: str = "lanczos") -> list[str]:
    """The chain from a film's frames to RGB of one size (turning upright is ffmpeg's own first step)."""
    chain = ["bwdif=mode=send_frame:deint=interlaced"] if track.interlaced else []
    if track.transfer is not None and {"zscale", "tonemap"} <= _ffmpeg.filters(tools):
        chain.append(_ffmpeg_args.tone_map(track.transfer))
    pixels = "rgba" if track.alpha else "rgb24"
    return [*chain, f"scale={size[0]}:{size[1]}:flags={kernel}+accurate_rnd", "setsar=1", f"format={pixels}"]
