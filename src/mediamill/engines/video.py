"""Films made by FFmpeg in one go: decode, turn, scale, lay over, encode; or only moved when nothing has to change."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from mediamill.core.encode import CODECS, Codec, Film, FilmMaker
from mediamill.core.errors import BadMedia, LimitExceeded, NoVideo, RangeEmpty, ToolFailed
from mediamill.core.ports import Missing, Report, Rising, Tools
from mediamill.engines import _av, _entry, _ffmpeg, _languages, _video_codec, _video_graph, _video_sprites, _video_text
from mediamill.engines._ffmpeg_args import cues_within, decoder, frame_rate
from mediamill.engines._ffmpeg_sound import FORGOTTEN
from mediamill.engines.subtitles import Cue

TEXTS = frozenset({"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text"})
FIRST_LOOK = 0.02
"""How much of the whole is reading the headers and drawing the layers."""


class Ffmpeg(FilmMaker):
    """See the module."""

    name = "ffmpeg"
    licence = "GPL-3.0-or-later"
    codecs = frozenset(codec for codecs in CODECS.values() for codec in codecs)

    def missing(self) -> Missing | None:
        return _ffmpeg.missing()

    def make(self, film: Film) -> Mapping[str, Any]:
        source = _av.read(film.source, film.source_mime)
        video = source.video
        if video is None:
            raise NoVideo("The input has no pictures, only sound.")
        film = replace(film, report=Rising(film.report))
        if film.fps is not None and not video.varying and frame_rate(film.fps) == video.frame_rate:
            film = replace(film, fps=None)
        length_s = _length(film, source)
        cues = _video_text.cues_of(film, length_s)
        movable = not film.touched and _video_codec.fits(
            film.codec, film.container, video, film.source_mime, keep_hdr=film.keep_hdr
        )
        if movable:
            try:
                return _move(film, source, video, cues, length_s)
            except (BadMedia, ToolFailed):
                pass  # the container does not take it after all: a track without times, a header that is wrong
        return _encode(film, source, video, cues, length_s)


PROVIDES = (Ffmpeg(),)


def _length(film: Film, source: _av.Source) -> float | None:
    """Seconds that will be written, as far as known. Raises RangeEmpty."""
    ends = [end for end in (film.end_s, source.duration_s) if end is not None]
    length_s = min(ends) - film.start_s if ends else None
    if film.frames is not None:
        taken_s = _stretch(film, source)
        length_s = taken_s if length_s is None else min(length_s, taken_s)
    if length_s is not None and length_s <= 0 and film.spanned:
        raise RangeEmpty(f"The part asked for begins at {film.start_s:g} s, where the input is over.")
    return length_s


def _stretch(film: Film, source: _av.Source) -> float:
    """How long the first frames from the start on take, so that the sound ends with them."""
    wanted = film.frames or 1
    if film.fps is not None:
        return wanted / film.fps
    video = source.video
    rate = float(video.frame_rate) if video and video.frame_rate else 25.0
    if video is None or not video.varying:
        return wanted / rate
    times = _av.frame_times(film.source, film.source_mime, from_s=film.start_s, most=wanted + 1)
    if film.start_s and (not times or times[0] > film.start_s + 0.0005):
        times.insert(0, film.start_s)  # what is on the screen then is the first
    return times[wanted] - times[0] if len(times) > wanted else wanted / rate


def _move(film: Film, source: _av.Source, video: _av.Video, cues: list[Cue], length_s: float | None) -> dict[str, Any]:
    """Move the tracks into the container."""
    tracks = source.sounds if film.sound else ()
    sounds, kept = _video_codec.sound_args(film.container, tracks, copy=True)
    track = _track(film, cues, number=1)
    flags = _video_codec.MUXERS[film.container].flags
    room = _video_codec.index_bytes(video, tracks, length_s) if flags else None
    ways = [flags]
    if room is not None and room * 100 < film.source.stat().st_size:
        # Room for the index, left in front: else all that was written is read and written again to make some.
        ways.insert(0, ("-moov_size", str(room)))
    for last, way in zip(range(len(ways) - 1, -1, -1), ways, strict=True):
        args = [
            *(("-fflags", "+discardcorrupt") if source.indexed else ()),  # the last packet of a file cut off
            *_ffmpeg.input_args(film.source, film.source_mime),
            *track.inputs,
            *("-map", f"0:{video.index}", "-c:v", "copy", *_video_codec.tag(film.codec, film.container)),
            *sounds,
            *track.outputs(source, film, length_s, way),
        ]
        try:
            written_s = _run(film, args, length_s, span=(FIRST_LOOK, 1.0))
            track.name(film, source, video)
            break
        except ToolFailed:
            if not last:
                raise
    return {**({"remuxed": True} if kept else {"picture_kept": True}), **_shortfall(source, length_s, written_s)}


def _encode(
    film: Film, source: _av.Source, video: _av.Video, cues: list[Cue], length_s: float | None
) -> dict[str, Any]:
    encoder = _encoder(film.codec, film.tools)
    known = _ffmpeg.filters(film.tools) if video.transfer else frozenset()
    tone_mapped = video.transfer is not None and not film.keep_hdr and {"zscale", "tonemap"} <= known
    deep = video.transfer if film.keep_hdr else None
    placing = _video_graph.even(film.placing, video)
    size = placing.width_px, placing.height_px
    if min(size) < (least := _video_codec.LEAST_PX.get(film.codec, 2)):
        raise LimitExceeded(
            f"The film would be {size[0]} x {size[1]}; {film.codec} takes sides from {least} pixels on."
        )
    sprites = _video_sprites.draw(film, size, deep)
    env = _words(film, cues, size, deep)
    film.report("encode", FIRST_LOOK)
    track = _track(film, [] if film.burn_in else cues, number=1 + len(sprites))
    begin = _entry.entry(film.source, film.source_mime, source, film.start_s)
    sounds, _ = _video_codec.sound_args(
        film.container, source.sounds if film.sound else (), copy=not film.spanned, before=begin.sound
    )
    clear = _video_graph.clear(film, video)
    before = begin.picture(video, length_s if film.end_s is not None else None)
    graph = _video_graph.graph(film, video, [sprite for sprite, _ in sprites], tone_mapped=tone_mapped, before=before)
    args = [
        *begin.input_args(film.source, film.source_mime, decoder(video)),
        *_video_sprites.inputs(sprites),
        *track.inputs,
        *("-filter_complex", graph, "-map", "[out]"),
        *_video_codec.encoder_args(film.codec, encoder, film.quality, film.bitrate_bps),
        *_video_codec.tag(film.codec, film.container),
        *_times(film, video),
        *_entry.last_until(video, length_s if film.end_s is not None and film.frames is None else None),
        *_colours(deep),
        *(("-auto-alt-ref", "0") if clear else ()),  # libvpx writes no transparency otherwise
        *(("-frames:v", str(film.frames)) if film.frames is not None else ()),
        # It ends the chapters, too, which else would make the film longer.
        *(("-t", _ffmpeg.seconds(length_s)) if length_s and (film.end_s or film.frames) else ()),
        *sounds,
        *track.outputs(source, film, length_s),
    ]
    expected = _expected(film, video, length_s)
    written_s = _run(film, args, length_s, span=(FIRST_LOOK, 1.0), expected=expected, env=env)
    track.name(film, source, video)
    toned = {"tone_mapped": True} if tone_mapped else {}
    return {"encoder": encoder, **toned, **_shortfall(source, length_s, written_s)}


def _shortfall(source: _av.Source, length_s: float | None, written_s: float) -> dict[str, str]:
    """A note when far less came out than the file's index promised: the upload was probably cut off."""
    if not source.indexed or length_s is None or written_s >= 0.9 * length_s - 0.5:
        return {}
    return {"incomplete": f"Only {written_s:.1f} s of {length_s:.1f} s could be read."}


def _expected(film: Film, video: _av.Video, length_s: float | None) -> float | None:
    """About how many pictures will be written."""
    if film.frames is not None:
        return film.frames
    rate = _video_graph.rate(film, video) or video.frame_rate
    return float(rate) * length_s if rate and length_s else None


def _times(film: Film, video: _av.Video) -> list[str]:
    """Frames that come at unequal distances keep their times; else the encoder would put them on its own grid."""
    if video.varying and _video_graph.rate(film, video) is None:
        return ["-fps_mode", "vfr", "-enc_time_base:v", "1:90000"]
    return []


def _colours(deep: str | None) -> list[str]:
    if deep is None:
        return []
    curve = "smpte2084" if deep == "pq" else "arib-std-b67"
    return ["-color_primaries", "bt2020", "-color_trc", curve, "-colorspace", "bt2020nc", "-color_range", "tv"]


def _words(film: Film, cues: list[Cue], size: tuple[int, int], deep: str | None) -> dict[str, str]:
    """What libass needs to draw the subtitles, and where its fonts are."""
    if not film.burn_in:
        return {}
    _video_text.write_script(cues, film.scratch / _video_graph.SUBTITLES, size, deep)
    return {"FONTCONFIG_FILE": str(_video_text.write_fontconfig(film.scratch).absolute())}


class _Track:
    """The subtitle tracks of the film made: the given one first, then the source's own."""

    def __init__(self, path: Path | None, number: int) -> None:
        self._given = path is not None
        self._number = number
        self.inputs: list[str] = []
        if path is not None:
            self.inputs = ["-protocol_whitelist", "file", "-format_whitelist", "srt", "-f", "srt"]
            self.inputs += ["-i", _ffmpeg.url(path)]

    def outputs(
        self, source: _av.Source, film: Film, length_s: float | None, flags: Sequence[str] | None = None
    ) -> list[str]:
        """The last of the output options: subtitles, tags, the container (with `flags` of its own), the file."""
        muxer = _video_codec.MUXERS[film.container]
        maps = [f"{self._number}:s:0"] if self._given else []
        maps += [f"0:{text.index}" for text in _words_of(source)]
        args = [word for one in maps for word in ("-map", one)]
        args += ["-c:s", muxer.text] if maps else ["-sn"]
        if maps and film.spanned:
            args += ["-bsf:s", cues_within(length_s)]
        if self._given:
            args += ["-disposition:s:0", "default"]
        return [
            *args,
            *("-dn", "-map_metadata", "0", "-map_chapters", "0", "-max_muxing_queue_size", "4096"),
            *FORGOTTEN,
            *(muxer.flags if flags is None else flags),
            *("-f", muxer.name, _ffmpeg.url(film.target)),
        ]

    def name(self, film: Film, source: _av.Source, video: _av.Video) -> None:
        """Write the languages of the tracks where ffmpeg may have dropped them."""
        if film.container == "webm":
            return
        sounds = [sound.language for sound in source.sounds if film.sound]
        given = [None] if self._given else []
        _languages.write(film.target, [video.language, *sounds, *given, *(t.language for t in _words_of(source))])


def _words_of(source: _av.Source) -> list[_av.Text]:
    """The subtitle tracks that hold words, not pictures of them."""
    return [text for text in source.texts if text.codec in TEXTS]


def _track(film: Film, cues: list[Cue], *, number: int) -> _Track:
    path = _video_text.write_track(cues, film.track or film.scratch / "track.srt") if cues else None
    return _Track(path, number)


_encoders: dict[Path, frozenset[str]] = {}


def _encoder(codec: Codec, tools: Tools) -> str:
    """The best encoder this ffmpeg has; its list is asked for once a process. Raises ToolFailed."""
    program = _ffmpeg.binary()
    if program not in _encoders:
        listing = tools.run([program, "-hide_banner", "-encoders"], name="ffmpeg").stdout.decode(errors="replace")
        _encoders[program] = frozenset(parts[1] for line in listing.splitlines() if len(parts := line.split()) > 2)
    for encoder in _video_codec.ENCODERS[codec]:
        if encoder in _encoders[program]:
            return encoder
    raise ToolFailed(f"The ffmpeg of this install has no encoder for {codec}.")


class _Progress(_ffmpeg.Progress):
    """Goes by the pictures written and the sound, which runs ahead by as many pictures as the encoder holds back: half
    of the work on those is done. Where the number of pictures is not known, by the time alone."""

    def __init__(
        self, report: Report, duration_s: float | None, span: tuple[float, float], expected: float | None
    ) -> None:
        super().__init__(report, duration_s, span)
        self._expected = expected
        self.pictures = 0

    def __call__(self, line: str) -> None:
        name, _, value = line.strip().partition("=")
        if name == "frame" and value.isdigit():
            self.pictures = int(value)
        super().__call__(line)

    def _advance(self, fraction: float) -> None:
        if self._expected and fraction < 1.0:
            fraction = (fraction + min(1.0, self.pictures / self._expected)) / 2
        super()._advance(fraction)


def _run(
    film: Film,
    args: Sequence[str],
    length_s: float | None,
    *,
    span: tuple[float, float],
    expected: float | None = None,
    env: Mapping[str, str] | None = None,
) -> float:
    """Run ffmpeg; the seconds written, by its own count. A film without a picture is none."""
    progress = _Progress(film.report, length_s, span, expected)
    argv: list[str | Path] = [
        *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-y", "-v", "warning"),
        *("-progress", "pipe:1", "-stats_period", "0.25", "-nostats"),
        *args,
    ]
    try:
        done = film.tools.run(argv, name="ffmpeg", on_line=progress, cwd=film.scratch, env=env)
    except ToolFailed as error:
        raise _ffmpeg.named(error, film.source_mime, "film") from error
    if not progress.pictures or "Output file is empty" in done.stderr_tail:
        if film.spanned:
            raise RangeEmpty("There is no picture in the part that was asked for.")
        raise BadMedia("There is no picture in the input that can be read.")
    return progress.out_s
