"""Conversions of sounds and videos by FFmpeg: encode, or only move the tracks when they already fit the target."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

from mediamill.core.errors import BadMedia, ToolFailed
from mediamill.core.ports import Conversion, Missing, Pair
from mediamill.engines import _av, _entry, _ffmpeg, _ffmpeg_args, _ffmpeg_sound, _languages

_GIF = "image/gif"
_RANK = 10

_SOUNDS_IN = tuple(mime for mime in _av.DEMUXERS if mime.startswith("audio/"))
_VIDEOS_IN = tuple(mime for mime in _av.DEMUXERS if mime.startswith("video/"))


@cache
def _pairs() -> Mapping[Pair, int]:
    made: list[Pair] = [(a, b) for a in _SOUNDS_IN for b in _ffmpeg_sound.TARGETS]
    for source in _VIDEOS_IN:
        for targets in (_ffmpeg_args.CONTAINERS, _ffmpeg_sound.TARGETS, _ffmpeg_args.PICTURES, (_GIF,)):
            made += [(source, target) for target in targets]
    made += [(_GIF, target) for target in _ffmpeg_args.CONTAINERS]
    return dict.fromkeys(made, _RANK)


class Ffmpeg:
    """See the module. Implements core.ports.Converter."""

    name = "ffmpeg"

    def pairs(self) -> Mapping[Pair, int]:
        return _pairs()

    def missing(self) -> Missing | None:
        return _ffmpeg.missing()

    def keys(self, pair: Pair) -> frozenset[str]:
        source, target = pair
        if target in _ffmpeg_args.PICTURES:
            more = {"image/jpeg": {"quality"}, "image/webp": {"quality", "lossless"}}.get(target, set())
            return frozenset({"resize", "start"} | more)
        if target == _GIF:
            return frozenset({"resize", "start", "duration", "fps", "loop"})
        if target in _ffmpeg_sound.TARGETS:
            lossy = _ffmpeg_sound.TARGETS[target].codec.kbps is not None
            return frozenset({"start", "duration", "sample_rate", "channels"} | ({"bitrate"} if lossy else set()))
        keys = {"resize", "start", "duration", "fps"}
        if target != "video/x-msvideo":  # its codec has no such scale
            keys.add("crf")
        return frozenset(keys if source == _GIF else keys | {"audio"} | _ffmpeg_sound.SETTINGS)

    def convert(self, work: Conversion) -> Mapping[str, Any]:
        work.report("probe", 0.0)
        source = _av.read(work.source, work.source_mime)
        _check_span(source, work.settings)
        if work.target_mime in _ffmpeg_sound.TARGETS:
            return _sound(work, source)
        if source.video is None:
            raise BadMedia("The file has no video track, only sound.")
        if work.target_mime in _ffmpeg_args.PICTURES:
            return _still(work, source, source.video)
        if work.target_mime == _GIF:
            return _gif(work, source, source.video)
        return _film(work, source, source.video)


def _check_span(source: _av.Source, settings: Mapping[str, Any]) -> None:
    if settings.get("duration") == 0:
        raise BadMedia("Nothing is left to convert: the duration asked for is 0 s.")
    start_s = settings.get("start", 0.0)
    if start_s and source.duration_s is not None and start_s >= source.duration_s:
        raise BadMedia(f"The start lies after the end: {start_s:g} s of {source.duration_s:g} s.")


def _span(work: Conversion, source: _av.Source) -> float | None:
    """Seconds that will be written, as far as known."""
    left = None if source.duration_s is None else source.duration_s - work.settings.get("start", 0.0)
    asked = work.settings.get("duration")
    return min((s for s in (left, asked) if s is not None), default=None)


def _input(work: Conversion, decoder: str | None = None) -> list[str]:
    start_s, duration_s = work.settings.get("start"), work.settings.get("duration")
    return _ffmpeg.input_args(work.source, work.source_mime, start_s=start_s, duration_s=duration_s, decoder=decoder)


def _entry_of(work: Conversion, source: _av.Source) -> _entry.Entry:
    return _entry.entry(work.source, work.source_mime, source, work.settings.get("start", 0.0))


def _from(work: Conversion, begin: _entry.Entry, video: _av.Video) -> list[str]:
    return begin.input_args(work.source, work.source_mime, _ffmpeg_args.decoder(video))


def _output(work: Conversion) -> str:
    return _ffmpeg.url(work.target)


def _tone_maps(work: Conversion, video: _av.Video) -> bool:
    return video.transfer is not None and {"zscale", "tonemap"} <= _ffmpeg.filters(work.tools)


def _shortfall(source: _av.Source, work: Conversion, written_s: float) -> dict[str, Any]:
    """A note when far less came out than the file's index promised: the upload was probably cut off."""
    expected_s = _span(work, source)
    if not source.indexed or expected_s is None or not written_s or written_s >= 0.9 * expected_s - 0.5:
        return {}
    return {"incomplete": f"Only {written_s:.1f} s of {expected_s:.1f} s could be read."}


def _sound(work: Conversion, source: _av.Source) -> Mapping[str, Any]:
    track = source.sound
    if track is None:
        raise BadMedia("The file has no sound track.")
    cover = source.cover if source.video is None and not {"start", "duration"} & set(work.settings) else None
    index = cover.index if cover and cover.codec in ("mjpeg", "png") else None
    copy = work.source_mime != work.target_mime and _ffmpeg_sound.fits(work.target_mime, track, work.settings)

    def run(copy: bool) -> float:
        args = _ffmpeg_sound.extract(
            work.target_mime, track, work.settings, copy=copy, cover=index, ogg=source.demuxer == "ogg"
        )
        written_s = _ffmpeg.run(
            work, [*_input(work), *args, _output(work)], duration_s=_span(work, source), what="sound"
        )
        if work.target_mime == "audio/mp4":
            _languages.write(work.target, [track.language])
        return written_s

    copied, written_s = _first_that_works(run, copy)
    whole = _shortfall(source, work, written_s) if source.video is None else {}  # a film's sound may well be shorter
    return {**({"remuxed": True} if copied else {}), **whole}


def _film(work: Conversion, source: _av.Source, video: _av.Video) -> Mapping[str, Any]:
    hdr = _tone_maps(work, video)
    begin, asked_s = _entry_of(work, source), work.settings.get("duration")
    before = begin.picture(video, asked_s), begin.sound
    end = [] if asked_s is None else ["-t", _ffmpeg.seconds(max(asked_s, _ffmpeg.SHORTEST_S))]
    end += _entry.last_until(video, _span(work, source) if end else None)

    def plan(copy: bool) -> _ffmpeg_args.Plan:
        settings = work.settings
        return _ffmpeg_args.film(
            work.target_mime, work.source_mime, source, video, settings, hdr=hdr, copy=copy, before=before
        )

    def run(copy: bool) -> float:
        planned = plan(copy)
        written_s = _ffmpeg.run(
            work, [*_from(work, begin, video), *end, *planned.args, _output(work)], duration_s=_span(work, source)
        )
        if work.target_mime in ("video/mp4", "video/quicktime"):
            _languages.write(work.target, planned.languages)
        return written_s

    copied, written_s = _first_that_works(run, plan(True).picture_kept)
    whole = _shortfall(source, work, written_s) if work.settings.get("audio", True) else {}
    return {**({"remuxed": True} if copied and plan(True).remuxed else {}), **whole}


def _first_that_works(run: Callable[[bool], float], copy: bool) -> tuple[bool, float]:
    """Move the tracks; encode them when the container turns out not to take them after all."""
    if copy:
        try:
            return True, run(True)
        except (BadMedia, ToolFailed):
            return False, run(False)
    return False, run(False)


def _still(work: Conversion, source: _av.Source, video: _av.Video) -> Mapping[str, Any]:
    """What stands on the screen at the start."""
    begin = _entry_of(work, source)
    hdr = _tone_maps(work, video)
    args = _ffmpeg_args.still(work.target_mime, video, work.settings, hdr=hdr, before=begin.still)
    _ffmpeg.run(work, [*_from(work, begin, video), *args, _output(work)], duration_s=None, what="picture")
    return {}


def _gif(work: Conversion, source: _av.Source, video: _av.Video) -> Mapping[str, Any]:
    to = _ffmpeg_args.size(video.width_px, video.height_px, work.settings.get("resize", {}), even=False)
    fps = _ffmpeg_args.gif_rate(video, work.settings)
    seconds = _span(work, source)
    begin, asked_s = _entry_of(work, source), work.settings.get("duration")
    before = begin.picture(video, asked_s, fps)
    frames = _ffmpeg_args.gif_frames(video, to, fps, hdr=_tone_maps(work, video), before=before)
    # A palette needs the end of its own stretch, not that of the whole file: the filters cut, or the input ends.
    given = _from(work, begin, video) if before else _input(work, _ffmpeg_args.decoder(video))
    picked = f"[0:{video.index}]{frames}"
    loop = str(_ffmpeg_args.gif_loop(work.settings.get("loop", 0)))
    end = ["-an", "-sn", "-dn", "-loop", loop, "-f", "gif", _output(work)]
    if _ffmpeg_args.gif_fits_memory(to, fps, seconds):
        graph = f"{picked},split[a][b];[a]{_ffmpeg_args.PALETTE}[p];[b][p]{_ffmpeg_args.DITHER}"
        _ffmpeg.run(work, [*given, "-filter_complex", graph, *end], duration_s=seconds)
        return {}
    palette = work.scratch / "palette.png"
    first = ["-filter_complex", f"{picked},{_ffmpeg_args.PALETTE}", "-frames:v", "1", "-update", "1", "-f", "image2"]
    _ffmpeg.run(work, [*given, *first, _ffmpeg.url(palette)], duration_s=None, span=(0.0, 0.4))
    second = [
        "-f",
        "image2",
        "-i",
        _ffmpeg.url(palette),
        "-filter_complex",
        f"{picked}[b];[b][1:v]{_ffmpeg_args.DITHER}",
    ]
    _ffmpeg.run(work, [*given, *second, *end], duration_s=seconds, span=(0.4, 1.0))
    palette.unlink()
    return {}


CONVERTER = Ffmpeg()
