"""Pictures and films stretched by FFmpeg's Lanczos filter and sharpened by its contrast-adaptive one: quick."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from mediamill.core.errors import BadMedia, ToolFailed
from mediamill.core.ports import Missing
from mediamill.core.upscaling import LargerFilm, LargerPicture, Upscaler, Way
from mediamill.engines import _ffmpeg, _ffmpeg_args, _frames, _languages, _matting_picture, _upscale_work, _video_codec
from mediamill.engines._expected import Course
from mediamill.engines._ffmpeg_sound import FORGOTTEN
from mediamill.engines._lacking import lacking
from mediamill.engines._processor import slowness, used_s

_RESIZE_S = 0.02
"""Processor seconds for a megapixel of result."""
_SHARPEN = 0.4
"""Of cas: more makes halos. On downscaled photographs it costs 0.005 of SSIM and gives a third of the lost contrast."""


class Stretch(Upscaler):
    """See the module."""

    name = "lanczos"
    licence = "GPL-3.0-or-later"
    way: ClassVar[Way] = "fast"
    speed: ClassVar[str] = "360p to 720p: 90 pictures a second on 4 cores of x86-64"
    px_per_s: ClassVar[int] = 20_000_000

    def missing(self) -> Missing | None:
        return _ffmpeg.missing() or lacking("cv2")

    def picture(self, work: LargerPicture) -> Mapping[str, Any]:
        import numpy as np
        from PIL import Image

        larger_mp, slow = math.prod(work.size) / 1e6, slowness()
        resize_s, write_s = _RESIZE_S * slow * larger_mp, _upscale_work.WRITE_S * slow * larger_mp
        again_s = _upscale_work.AGAIN_S * slow * larger_mp * work.again
        course = Course(work.report, "work", done_s=0.0 if work.began_s is None else used_s() - work.began_s)
        opened = _matting_picture.read(work.source)
        course.at(resize_s, write_s + again_s)
        course.say()
        pixels = opened.rgb if opened.own is None else np.dstack([opened.rgb, opened.own])
        larger = Image.fromarray(pixels).resize(work.size, Image.Resampling.LANCZOS)
        if larger_mp * 1e6 > _matting_picture.LARGE_PX:
            write_s = _matting_picture.written_s(np.asarray(larger), _upscale_work.LEVEL)
        course.at(write_s, again_s)
        course.say()
        extra = {"icc_profile": opened.icc} if opened.icc else {}
        with course.looking():
            larger.save(work.target, "PNG", compress_level=_upscale_work.LEVEL, **extra)
        return {}

    def film(self, work: LargerFilm) -> Mapping[str, Any]:
        source, video = _frames.film(work.source, work.source_mime)
        clear = video.alpha and work.container == "webm"
        sounds, _ = _video_codec.sound_args(work.container, source.sounds, copy=True)
        muxer = _video_codec.MUXERS[work.container]
        args: list[str] = [
            *_ffmpeg.input_args(work.source, work.source_mime, decoder=_ffmpeg_args.decoder(video)),
            *("-map", f"0:{video.index}", "-vf", ",".join(_filters(work, video))),
            *_upscale_work.encoder(work, clear=clear),
            *(("-fps_mode", "vfr", "-enc_time_base:v", "1:90000") if video.varying else ()),
            *sounds,
            *("-sn", "-dn", "-map_metadata", "0", "-map_chapters", "0", "-max_muxing_queue_size", "4096"),
            *FORGOTTEN,
            *muxer.flags,
            *("-f", muxer.name, _ffmpeg.url(work.target)),
        ]
        progress = _Counted(work, _frames.count(source, video))
        argv: list[str | Path] = [
            *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-y", "-v", "warning"),
            *("-progress", "pipe:1", "-stats_period", "0.25", "-nostats", *args),
        ]
        try:
            work.tools.run(argv, name="ffmpeg", on_line=progress)
        except ToolFailed as error:
            raise _ffmpeg.named(error, work.source_mime, "film") from error
        if not progress.frames:
            raise BadMedia("The film holds no picture that can be read.")
        if work.container != "webm":
            _languages.write(work.target, [video.language, *(track.language for track in source.sounds)])
        work.report("encode", 1.0)
        return {"frames": progress.frames}


def _filters(work: LargerFilm, video: Any) -> list[str]:
    filters = ["bwdif=mode=send_frame:deint=interlaced"] if video.interlaced else []
    if video.transfer is not None and {"zscale", "tonemap"} <= _ffmpeg.filters(work.tools):
        filters.append(_ffmpeg_args.tone_map(video.transfer))
    filters.append(_ffmpeg_args.scale(video, work.size, kernel="lanczos+accurate_rnd"))
    if not video.alpha and "cas" in _ffmpeg.filters(work.tools):
        filters += ["format=yuv420p", f"cas={_SHARPEN}:planes=1"]
    return filters


class _Counted:
    """Reports by the pictures written."""

    def __init__(self, work: LargerFilm, expected: int | None) -> None:
        self._work, self._expected = work, expected
        self.frames = 0

    def __call__(self, line: str) -> None:
        name, _, value = line.strip().partition("=")
        if name == "frame" and value.isdigit() and int(value) > self.frames:
            self.frames = int(value)
            if self._expected:
                self._work.report("encode", 0.02 + 0.97 * min(1.0, self.frames / self._expected))


PROVIDES = (Stretch(),)
