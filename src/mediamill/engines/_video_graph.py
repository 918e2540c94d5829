"""The filter graph of a film: upright and square, at its size, with its layers. Pure functions, tested as strings.

Nothing of a caller's stands in it but checked numbers: texts, file names and subtitles go in through files of ours.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from mediamill.core.encode import Film
from mediamill.core.media import Placing
from mediamill.engines._av import Video
from mediamill.engines._ffmpeg import seconds
from mediamill.engines._ffmpeg_args import frame_rate, tone_map

AVI = "video/x-msvideo"
FASTEST = 250
"""Frames a second; what claims more has a broken header."""
SUBTITLES = "subtitles.ass"
"""The file that is drawn, in the folder ffmpeg runs in."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sprite:
    """A layer drawn and ready: a picture of the size it has on the film, and where and when it lies there."""

    left_px: int
    top_px: int
    start_s: float | None = None
    end_s: float | None = None


def even(placing: Placing | None, video: Video) -> Placing:
    """The placing, or the film's own size with the even sides that 4:2:0 colour needs."""
    if placing is not None:
        return placing
    width, height = (max(2, side - side % 2) for side in (video.width_px, video.height_px))
    return Placing(width_px=width, height_px=height, scaled_width_px=width, scaled_height_px=height)


def rate(film: Film, video: Video) -> Fraction | None:
    """The rate to even frames out to; None to leave them when they come."""
    if film.fps is not None:
        return frame_rate(film.fps)
    if video.frame_rate and video.frame_rate > FASTEST:
        return Fraction(60)
    if film.source_mime == AVI and video.frame_rate:
        return frame_rate(video.frame_rate)  # AVI has one rate and no times; what decoders guess of them is off
    return None


def clear(film: Film, video: Video) -> bool:
    """Whether the film made stays see-through; elsewhere the background shows. A GIF is rarely meant to be."""
    return video.alpha and film.codec == "vp9" and video.codec != "gif" and not (film.layers or film.burn_in)


def graph(film: Film, video: Video, sprites: Sequence[Sprite], *, tone_mapped: bool, before: Sequence[str] = ()) -> str:
    """From the film's pictures, and inputs 1 to n with the sprites, to [out]. before: filters that go first."""
    placing = even(film.placing, video)
    chain = list(before)
    if video.interlaced:
        chain.append("bwdif=mode=send_frame:deint=interlaced")
    fps = rate(film, video)
    if fps is not None:
        chain.append(f"fps={fps}")
    size = f"{placing.scaled_width_px}:{placing.scaled_height_px}"
    coded = ":out_color_matrix=bt709" if video.rgb else ""
    chain.append(f"scale={size}:flags=bicubic:out_range=tv{coded},setsar=1")
    if tone_mapped and video.transfer:
        chain.append(tone_map(video.transfer))
    deep = film.keep_hdr and video.transfer is not None
    see_through = clear(film, video)
    pixels = "yuva420p" if see_through else "yuv420p10le" if deep else "yuv420p"
    if video.alpha and not see_through:
        ground = f"drawbox=color=0x{film.background.removeprefix('#')}:t=fill:replace=1"
        chain.append(f"format=yuva420p,split[clear][copy];[copy]{ground}[ground];[ground][clear]overlay=format=auto")
    chain.append(f"format={pixels}")
    if placing.cropped:
        left, top = max(0, -placing.left_px), max(0, -placing.top_px)
        width, height = min(placing.width_px, placing.scaled_width_px), min(placing.height_px, placing.scaled_height_px)
        chain.append(f"crop={width}:{height}:{left}:{top}")
    if placing.padded:
        left, top = max(0, placing.left_px), max(0, placing.top_px)
        colour = film.background.removeprefix("#")
        chain.append(f"pad={placing.width_px}:{placing.height_px}:{left}:{top}:0x{colour}")
    if video.rgb:
        chain.append("setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709")
    matrix = _matrix(video, tone_mapped=tone_mapped)
    if sprites:  # said of both, for ffmpeg converts every frame of one whose colours it takes to be coded otherwise
        chain.append(f"setparams=colorspace={matrix}:range=tv")
    parts = [f"[0:{video.index}]{','.join(chain)}"]
    for number, sprite in enumerate(sprites, 1):
        layer = f"[{number}:v]format=rgba,scale=out_color_matrix={_COEFFICIENTS[matrix]}:out_range=tv"
        layer += f",format={_with_alpha(deep)},setparams=colorspace={matrix}:range=tv"
        when = _when(sprite)
        over = f"overlay={sprite.left_px}:{sprite.top_px}:format={'yuv420p10' if deep else 'yuv420'}{when}"
        parts[-1] += f"[under{number}]"
        parts += [f"{layer}[over{number}]", f"[under{number}][over{number}]{over}"]
    if film.burn_in:
        parts[-1] += f",ass={SUBTITLES}"
    parts[-1] += f",format={pixels}[out]"
    return ";".join(parts)


def _with_alpha(deep: bool) -> str:
    return "yuva420p10le" if deep else "yuva420p"


_COEFFICIENTS = {"bt709": "bt709", "bt470bg": "bt601", "smpte170m": "bt601", "bt2020nc": "bt2020"}


def _matrix(video: Video, *, tone_mapped: bool) -> str:
    """The matrix that players read the film's colours by: what it says, else what its size suggests."""
    if video.transfer:
        return "bt709" if tone_mapped else "bt2020nc"
    if video.rgb:
        return "bt709"
    return video.matrix or ("bt709" if video.height_px >= 720 else "smpte170m")


def _when(sprite: Sprite) -> str:
    if sprite.start_s is None and sprite.end_s is None:
        return ""
    start = seconds(sprite.start_s or 0.0) or "0"
    if sprite.end_s is None:
        return f":enable='gte(t,{start})'"
    return f":enable='gte(t,{start})*lt(t,{seconds(sprite.end_s)})'"
