"""Sounds made by FFmpeg: a span of a file's sound, in the wished format, at a wished loudness, tags and cover kept."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mediamill.core.errors import BadMedia, NoSound, RangeEmpty, ToolFailed
from mediamill.core.ports import Missing, Report
from mediamill.core.sound import SoundEdit, SoundEditor
from mediamill.engines import _av, _ffmpeg, _ffmpeg_sound, _languages, _loudness, _ogg_cover

_ALAC = _ffmpeg_sound.Codec(encoder="alac", channels=8, names=frozenset({"alac"}))


@dataclass(frozen=True, slots=True, kw_only=True)
class _Format:
    """A format: the file's type, the kbit/s a stereo pair gets at each step of quality (none: lossless), and the
    processor seconds that five minutes of stereo take to encode and to decode, of which progress is made."""

    mime: str
    target: _ffmpeg_sound.Target
    kbps: tuple[int, ...] = ()
    cost: float
    decode: float


def _format(mime: str, cost: float, decode: float, *kbps: int, target: _ffmpeg_sound.Target | None = None) -> _Format:
    return _Format(mime=mime, target=target or _ffmpeg_sound.TARGETS[mime], kbps=kbps, cost=cost, decode=decode)


FORMATS: Mapping[str, _Format] = {
    "mp3": _format("audio/mpeg", 4.3, 0.65, 96, 128, 192, 256, 320),
    "aac": _format("audio/aac", 6.1, 0.5, 64, 96, 128, 192, 256),
    "m4a": _format("audio/mp4", 6.1, 0.5, 64, 96, 128, 192, 256),
    "wav": _format("audio/wav", 0.3, 0.0),
    "ogg": _format("audio/ogg", 9.5, 0.65, 80, 112, 160, 224, 320),
    "flac": _format("audio/flac", 1.2, 0.35),
    "alac": _format(
        "audio/mp4",
        1.3,
        0.8,
        target=_ffmpeg_sound.Target(muxer="ipod", codec=_ALAC, flags=("-movflags", "+faststart"), cover=True),
    ),
    "opus": _format("audio/opus", 4.1, 1.2, 48, 80, 128, 160, 224),
}
_MEASURE_COST, _LIMIT_COST, _READ_COST = 0.65, 3.5, 0.6
"""The same for measuring a loudness, for a limiter with the measuring of what it makes, and for reading a source that
is encoded."""
_LEAD_S = 0.5
"""What is read before a start: a decoder says nothing of the first packet that it is given after a jump."""
_LISTEN_COST = 0.6
"""The same for measuring the loudness of a result, of which nothing is told meanwhile."""
_FAR_LU = 0.45


class FfmpegSound(SoundEditor):
    """See the module."""

    name = "sound"
    licence = "GPL-3.0-or-later"

    def missing(self) -> Missing | None:
        return _ffmpeg.missing()

    def sources(self) -> frozenset[str]:
        return frozenset(_av.DEMUXERS) - {"image/gif"}

    def codecs(self) -> Mapping[str, str]:
        return {name: known.mime for name, known in FORMATS.items()}

    def ignored(self, codec: str) -> frozenset[str]:
        return frozenset() if FORMATS[codec].kbps else frozenset({"quality", "bitrate"})

    def decode_s(self, codec: str) -> float:
        return FORMATS[codec].decode

    def edit(self, work: SoundEdit) -> Mapping[str, Any]:
        source = _av.read(work.source, work.source_mime)
        track = source.sound
        if track is None:
            raise NoSound("The file has no sound track.")
        if work.start_s > 0 and source.duration_s is not None and work.start_s >= source.duration_s:
            raise RangeEmpty(f"The start, {work.start_s:g} s, lies beyond the end at {source.duration_s:g} s.")
        return _Job(work, source, track, _Course(work.report, work.rest_s)).run()


@dataclass(slots=True)
class _Course:
    """Where passes over a sound stand that have different costs. What is still to come after one may turn out while it
    goes on: whether there must be a limiter shows from the sound. `rest`: what comes after all of them."""

    report: Report
    rest: float
    done: float = 0.0
    reached: float = 0.0

    def at(self, fraction: float, cost: float, to_come: float) -> None:
        """A pass of that cost has come so far; after it and before the rest there is more to come."""
        now = (self.done + fraction * cost) / (self.done + cost + to_come + self.rest)
        self.reached = max(self.reached, min(1.0, now))
        self.report("encode", self.reached)


@dataclass(frozen=True, slots=True)
class _Job:
    work: SoundEdit
    source: _av.Source
    track: _av.Sound
    course: _Course

    @property
    def _format(self) -> _Format:
        return FORMATS[self.work.codec]

    @property
    def _seconds(self) -> float | None:
        """How long what is made will be, as far as known."""
        ends = [end for end in (self.work.end_s, self.source.duration_s) if end is not None]
        return max(min(ends) - self.work.start_s, _ffmpeg.SHORTEST_S) if ends else None

    def run(self) -> Mapping[str, Any]:
        if self._may_copy():
            try:
                self._encode(["-c:a", "copy"], 0.1)
                return {"remuxed": True}
            except (BadMedia, ToolFailed):
                pass  # the container does not take the track after all: encode it
        if self.work.loudness_lufs is not None:
            return {"loudness": self._level(self.work.loudness_lufs)}
        self._encode(self._codec(), self._read_cost + self._format.cost)
        return {}

    @property
    def _read_cost(self) -> float:
        return 0.0 if self.track.codec.startswith("pcm") else _READ_COST

    def _may_copy(self) -> bool:
        asked = (self.work.level, self.work.bitrate_bps, self.work.loudness_lufs, self.work.end_s)
        whole = self.work.start_s == 0 and all(value is None for value in asked)
        return whole and self.track.codec in self._format.target.codec.names

    def _codec(self) -> list[str]:
        """Encoder, bit rate, sample format and rate, and perhaps a filter for channels."""
        known = self._format
        codec = known.target.codec
        settings: dict[str, Any] = {}
        if known.kbps and self.work.bitrate_bps is not None:
            settings["bitrate"] = round(self.work.bitrate_bps / 1000)
        elif known.kbps:
            channels = min(self.track.channels, codec.channels)
            step = known.kbps[2 if self.work.level is None else self.work.level]
            settings["bitrate"] = round(step * max(1.0, channels / 2))
        args = _ffmpeg_sound.encode(codec, self.track, settings)
        if codec is _ALAC:
            at = args.index("-b:a")
            args[at : at + 2] = ["-sample_fmt:a", "s16p" if self.track.bits == 16 else "s32p"]
        return args

    def _level(self, target_lufs: float) -> Mapping[str, Any]:
        """Write the target at a loudness; what is said of it."""
        args, before = _unfiltered(self._codec())
        rate_hz = int(args[args.index("-ar") + 1]) if "-ar" in args else self.track.sample_rate_hz
        before = [*before, f"aresample={rate_hz}"]
        lossy = bool(self._format.kbps)
        listened = _LISTEN_COST + self._format.decode if lossy else 0.0  # a lossy result is listened to
        round_cost, encode_cost = self._read_cost + _LIMIT_COST, self._read_cost + self._format.cost
        limit_cost = _LIMIT_COST - _MEASURE_COST
        first, last, last_number = _loudness.Heard(), _loudness.Heard(), 0

        def after_first() -> float:
            rounds = first.rounds(target_lufs)
            return rounds * round_cost + encode_cost + bool(rounds) * limit_cost + listened

        def after_round() -> float:
            short = last.falls_short(first, target_lufs - found.lufs) and last_number == 0
            return short * round_cost + encode_cost + limit_cost + listened

        def measure(filters: tuple[str, ...], number: int) -> _loudness.Measured:
            nonlocal last, last_number
            last, last_number = _loudness.Heard(), number
            return self._measured(self._sound(), [*before, *filters], round_cost, after_round, last)

        found = self._measured(self._sound(), before, self._read_cost + _MEASURE_COST, after_first, first)
        plan = _loudness.plan(found, target_lufs, rate_hz, measure)
        filters = plan.filters
        encode_cost += limit_cost * bool(plan.facts.get("limited"))
        self._encode([*args, "-filter:a", ",".join([*before, *filters])], encode_cost, listened)
        if not lossy or found.silent:
            return plan.facts
        made = self._measured(self._made(), [], listened)
        if abs(target_lufs - made.lufs) > _FAR_LU:
            # Noise loses more in a lossy codec than music does: once more, by as much louder.
            filters = _loudness.corrected(filters, target_lufs - made.lufs)
            self._encode([*args, "-filter:a", ",".join([*before, *filters])], encode_cost, listened)
            made = self._measured(self._made(), [], listened)
        return {**plan.facts, "result_lufs": round(made.lufs, 1)}

    def _measured(
        self,
        source: Sequence[str],
        filters: Sequence[str],
        cost: float,
        to_come: Callable[[], float] = lambda: 0.0,
        heard: _loudness.Heard | None = None,
    ) -> _loudness.Measured:
        measure = _loudness.MEASURE + ("" if heard is None else _loudness.TOLD)
        args = [*source, "-af", ",".join([*filters, measure]), "-f", "null", "-"]
        return _loudness.summary(self._ffmpeg(args, cost, to_come, heard=heard, level="info"))

    def _sound(self) -> list[str]:
        return [*self._input(), "-map", f"0:{self.track.index}", "-vn", "-sn", "-dn"]

    def _made(self) -> list[str]:
        return [*_ffmpeg.input_args(self.work.target, self._format.mime), "-map", "0:a:0", "-vn", "-sn", "-dn"]

    def _encode(self, codec: Sequence[str], cost: float, to_come: float = 0.0) -> None:
        target = self._format.target
        cover = self.source.cover if self.source.video is None else None
        lead_s = min(_LEAD_S, self.work.start_s) if cover is None else 0.0
        args, maps = self._input(lead_s), ["-map", f"0:{self.track.index}"]
        tags = [
            "-map_metadata",
            f"0:s:{self.track.index}" if self.source.demuxer == "ogg" else "0",
        ]  # Ogg's: on the track
        if cover is not None and cover.codec in ("mjpeg", "png"):
            if target.cover:
                # From a look of its own at the file: a picture at second 0 is not in a span that starts later.
                args += _ffmpeg.input_args(self.work.source, self.work.source_mime)
                maps += ["-map", f"1:{cover.index}", "-c:v", "copy", "-disposition:v:0", "attached_pic"]
            elif target.muxer in _ogg_cover.MUXERS:
                args += _ogg_cover.input_args(self.work.source, self.work.source_mime, cover, self.work.scratch)
                tags += ["-map_metadata", "1"]
        log = self._ffmpeg(
            [
                *args,
                *maps,
                *codec,
                *(*tags, "-sn", "-dn"),
                *_ffmpeg_sound.FORGOTTEN,
                *(_ffmpeg_sound.told_of_file(self.track) if target.language else ()),
                *(("-ss", _ffmpeg.seconds(lead_s)) if lead_s else ()),
                *target.flags,
                *("-f", target.muxer, _ffmpeg.url(self.work.target)),
            ],
            cost,
            lambda: to_come,
        )
        if "Output file is empty" in log or not self.work.target.is_file():
            if self._cut:
                raise RangeEmpty("There is no sound in the part that was asked for.")
            raise BadMedia("There is no sound in the file.")
        if target.muxer == "ipod":
            _languages.write(self.work.target, [self.track.language])

    @property
    def _cut(self) -> bool:
        return self.work.start_s > 0 or self.work.end_s is not None

    def _input(self, lead_s: float = 0.0) -> list[str]:
        """The source from its start on, or from so much before it: to be left out again of what is made."""
        start_s, end_s = self.work.start_s - lead_s, self.work.end_s
        return _ffmpeg.input_args(
            self.work.source,
            self.work.source_mime,
            start_s=start_s,
            duration_s=None if end_s is None else end_s - start_s,
        )

    def _ffmpeg(
        self,
        args: Sequence[str],
        cost: float,
        to_come: Callable[[], float],
        *,
        heard: _loudness.Heard | None = None,
        level: str = "warning",
    ) -> str:
        """Run ffmpeg for a pass of that cost, before what is to come; the end of its log. `heard` reads along."""

        def report(stage: str, fraction: float | None = None) -> None:
            self.course.at(fraction or 0.0, cost, to_come())

        progress = _ffmpeg.Progress(report, self._seconds)

        def on_line(line: str) -> None:
            if heard is not None:
                heard(line)
            progress(line)

        argv: list[str | Path] = [
            *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-y", "-v", level),
            *("-progress", "pipe:1", "-stats_period", "0.1", "-nostats"),
            *args,
        ]
        try:
            done = self.work.tools.run(argv, name="ffmpeg", on_line=on_line, cwd=self.work.scratch)
        except ToolFailed as error:
            raise _ffmpeg.named(error, self.work.source_mime, "sound") from error
        self.course.done += cost
        return done.stderr_tail


def _unfiltered(codec: list[str]) -> tuple[list[str], list[str]]:
    """A codec's arguments without their filter, and that filter: there can be one chain only."""
    if "-filter:a" not in codec:
        return codec, []
    at = codec.index("-filter:a")
    return [*codec[:at], *codec[at + 2 :]], [codec[at + 1]]


PROVIDES = (FfmpegSound(),)
