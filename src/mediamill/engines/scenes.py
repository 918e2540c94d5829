"""Scene cuts by how much brightness and colour change from picture to picture; silences by loudness.

Pictures come 320 pixels wide from FFmpeg over a pipe, as luma and chroma: how far two colours lie apart there is what
hue and saturation tell as well, without the work of turning each picture into them, which took longer than decoding.
A cut is a change that is large, and large beside those around it: motion changes many pictures a little, a flash
changes two and then all is as before. FFmpeg's own detector looks at brightness alone and misses cuts that keep it;
measured in docs/how-to/understanding.md. The idea is that of PySceneDetect's content and adaptive detectors.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from mediamill.core.errors import BadMedia, ToolFailed
from mediamill.core.ports import Missing, Report, Tools
from mediamill.core.scenes import Cut, SceneFinder, Silence, SilenceFinder
from mediamill.engines import _av, _ffmpeg
from mediamill.engines._processor import program_s, slowness, used_s

if TYPE_CHECKING:
    from numpy.typing import NDArray

WIDTH_PX = 320
MOST_FPS = 30.0
LEAST_CHANGE = 12.0
"""Half the mean change of luma and the whole of both chromas', each 0 to 255."""
TIMES_AROUND = 3.0
"""How many times the mean change of the pictures around it a cut must be."""
AROUND = 4
"""Pictures on each side that are "around"."""
TIMES_RESTLESS = 1.4
TIMES_WITHIN = 4.0
LEAST_BETWEEN = 15.0
"""For pictures that never rest: how a cut stands out from the changes around it, and how many times further apart both
sides' mean thumbnails are than the thumbnails of one side. In 16 films put together of generated pictures, 79 of 80
cuts had 5.7 times or more, and of all other pictures that changed as much none had more than 3.2. With these numbers
all 160 cuts of 32 further such films are found and none is made up."""
APART_S = 0.5
FLASH_S = 0.35
"""A change that is undone within this time is a flash or a damaged picture."""
SAME = 0.35
"""The part of a change that may be left over when it counts as undone."""
DARK = 14.0
"""Mean luma below which a picture counts as black."""
LOOK_S = 15.0
"""How much of both sides is compared for Cut.change."""
SILENT_DB = -40
SILENT_S = 0.6
SAMPLED_FROM_S = 20.0
"""Films as long as this are looked at for a moment, to know what looking at all of them takes."""
_SAMPLE_S = 2.0
"""How long that moment is."""
_BEGIN_S = 0.1
"""Processor seconds that FFmpeg takes up to its first picture."""
_AHEAD, _READING = 14, 0.75
"""Pictures that FFmpeg and the pipe hold ready, and how much of the work on a picture is reading it."""
_STEP = 32
"""Luma and both chromas are counted in steps of that size for the look of a picture."""
Planes = tuple["NDArray[Any]", "NDArray[Any]", "NDArray[Any]"]
"""Luma (height, width) and both chromas (height / 2, width / 2), int16 in [0, 255]."""


class Scenes(SceneFinder):
    """See the module."""

    name: ClassVar[str] = "hsv-scenes"
    licence: ClassVar[str] = "Apache-2.0"

    def missing(self) -> Missing | None:
        return _ffmpeg.missing()

    def cuts(self, source: Path, mime: str, *, tools: Tools, report: Report) -> Sequence[Cut]:
        found = _av.read(source, mime)
        video = found.video
        if video is None:
            raise BadMedia("The file has no video track, only sound.")
        fps = min(float(video.frame_rate or 25), MOST_FPS)
        watch = _Watch(fps)
        for number, (planes, _) in enumerate(_pictures(source, mime, video, fps, tools)):
            watch.see(planes)
            if found.duration_s and number % 4 == 0:
                report("work", _reached(number, found.duration_s * fps))
        report("work", 1.0)
        return watch.cuts()

    def cost_s(self, source: Path, mime: str, *, tools: Tools) -> float:
        found = _av.read(source, mime)
        video, length_s = found.video, found.duration_s or 0.0
        if video is None:
            raise BadMedia("The file has no video track, only sound.")
        rate = float(video.frame_rate or 25)
        fps = min(rate, MOST_FPS)
        if length_s >= SAMPLED_FROM_S:
            # How it was coded matters three times as much as anything that can be read off it.
            start_s = _keyframe_s(source, mime, video, length_s / 2)
            _warm(fps)
            began_s, watch, seen, begin_s = used_s(), _Watch(fps), 0, _BEGIN_S
            for planes, pid in _pictures(source, mime, video, fps, tools, start_s=start_s, length_s=_SAMPLE_S):
                if seen == 0:
                    with suppress(OSError):  # it has ended
                        begin_s = program_s(pid)
                watch.see(planes)
                seen += 1
            if seen > 1:
                picture_s = (used_s() - began_s - begin_s) / (seen - 1)
                return _BEGIN_S + picture_s * length_s * fps
        megapixels = video.width_px * video.height_px * rate / 1e6
        megabits = source.stat().st_size * 8 / 1e6 / length_s if length_s else 0.0
        return slowness() * length_s * (0.0042 * megapixels + 0.0026 * megabits + 0.0009 * fps)


class Silences(SilenceFinder):
    """See the module."""

    name: ClassVar[str] = "silencedetect"
    licence: ClassVar[str] = "GPL-3.0-or-later"

    def missing(self) -> Missing | None:
        return _ffmpeg.missing()

    def silences(self, source: Path, mime: str, *, tools: Tools, report: Report) -> Sequence[Silence]:
        found = _av.read(source, mime)
        if found.sound is None:
            raise BadMedia("The file has no sound track.")
        tell = _Silences(found.duration_s, report)
        argv: list[str | Path] = [
            *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-v", "error", "-nostats"),
            *_ffmpeg.input_args(source, mime),
            *("-map", f"0:{found.sound.index}", "-af"),
            # Mono and 8 kHz first: the detector's work is by the sample.
            f"aresample=8000,aformat=channel_layouts=mono,silencedetect=noise={SILENT_DB}dB:d={SILENT_S},"
            "ametadata=mode=print:file=pipe\\\\:1",
            *("-f", "null", "-"),
        ]
        try:
            tools.run(argv, name="ffmpeg", on_line=tell)
        except ToolFailed as error:
            raise _ffmpeg.named(error, mime, "sound") from error
        return tell.found()


class _Silences:
    """Reads silences from what the filter ametadata prints: each block of samples with its time and its marks."""

    _TIME = re.compile(r"pts_time:(-?[\d.]+)")
    _MARK = re.compile(r"lavfi\.silence_(start|end)=(-?[\d.]+)")

    def __init__(self, duration_s: float | None, report: Report) -> None:
        self._duration_s = duration_s
        self._report = report
        self._reached = 0.0
        self._start_s: float | None = None
        self._made: list[Silence] = []
        self._last_s = 0.0

    def __call__(self, line: str) -> None:
        if (time := self._TIME.search(line)) is not None:
            self._last_s = float(time[1])
            if self._duration_s and self._last_s / self._duration_s > self._reached + 0.01:
                self._reached = min(1.0, self._last_s / self._duration_s)
                self._report("work", self._reached)
        elif (mark := self._MARK.match(line)) is not None:
            if mark[1] == "start":
                self._start_s = max(0.0, float(mark[2]))
            elif self._start_s is not None:
                self._made.append(Silence(start_s=self._start_s, end_s=max(self._start_s, float(mark[2]))))
                self._start_s = None

    def found(self) -> list[Silence]:
        if self._start_s is not None:
            end_s = max(self._start_s, self._duration_s or self._last_s)
            self._made.append(Silence(start_s=self._start_s, end_s=end_s))
            self._start_s = None
        return self._made


def _keyframe_s(source: Path, mime: str, video: _av.Video, before_s: float) -> float:
    """The last instant before another from which pictures can be read without reading earlier ones."""
    with _av.opened(source, mime) as container:
        stream = container.streams[video.index]
        began_s = (container.start_time or 0) / 1_000_000
        container.seek(round((began_s + before_s) * 1_000_000))
        for packet in container.demux(stream):
            if packet.pts is not None and packet.time_base is not None:
                return max(0.0, float(packet.pts * packet.time_base) - began_s)
    return 0.0


def _pictures(
    source: Path,
    mime: str,
    video: _av.Video,
    fps: float,
    tools: Tools,
    *,
    start_s: float | None = None,
    length_s: float | None = None,
) -> Iterator[tuple[Planes, int]]:
    """Each picture, at an even pace from the start of the file or in a span of it, with FFmpeg's process id."""
    import numpy as np

    height = max(2, min(1024, round(video.height_px * WIDTH_PX / video.width_px / 2) * 2))
    scaled = f"scale={WIDTH_PX}:{height}:flags=fast_bilinear:out_range=full"
    argv: list[str | Path] = [
        *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-v", "error"),
        *_ffmpeg.input_args(source, mime, start_s=start_s, duration_s=length_s),
        *("-map", f"0:{video.index}", "-vf", f"fps=fps={fps:.6f}:start_time=0,{scaled},format=yuv420p"),
        *("-f", "rawvideo", "pipe:1"),
    ]
    luma, chroma = WIDTH_PX * height, WIDTH_PX * height // 4
    try:
        with tools.spawn(argv, name="ffmpeg", stdout=True) as piped:
            assert piped.stdout is not None
            block = bytearray(luma + 2 * chroma)
            while _filled(piped.stdout, block):
                whole = np.frombuffer(block, np.uint8).astype(np.int16)
                planes = (
                    whole[:luma].reshape(height, WIDTH_PX),
                    whole[luma : luma + chroma].reshape(height // 2, WIDTH_PX // 2),
                    whole[luma + chroma :].reshape(height // 2, WIDTH_PX // 2),
                )
                yield planes, piped.pid
    except ToolFailed as error:
        raise _ffmpeg.named(error, mime) from error


def _filled(stream: Any, block: bytearray) -> bool:
    """Fill the block from a raw pipe; False at its end."""
    view, at = memoryview(block), 0
    while at < len(block):
        count = stream.readinto(view[at:])
        if not count:
            return False
        at += count
    return True


class _Watch:
    """Sees every picture once, in order; keeps a few numbers of each, and thumbnails of the last second only."""

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._flash = max(1, round(FLASH_S * fps))
        self._ahead = max(AROUND, self._flash) + 1
        self._before: Planes | None = None
        self._changes: list[float] = []
        self._values: list[float] = []
        self._small: dict[int, NDArray[Any]] = {}
        self._looks: list[NDArray[Any]] = []
        self._hard: list[int] = []

    def see(self, now: Planes) -> None:
        """The next picture."""
        number = len(self._changes)
        self._changes.append(0.0 if self._before is None else _change(self._before, now))
        self._values.append(float(now[0].mean()))
        self._small[number] = _small(now)
        if number % max(1, round(self._fps)) == 0:
            self._looks.append(_look(now))
        self._before = now
        if number >= self._ahead:
            self._judge(number - self._ahead)
            self._small.pop(number - 2 * self._ahead - 1, None)

    def cuts(self) -> list[Cut]:
        """The cuts among what was seen, which has ended."""
        seen = len(self._changes)
        for at in range(max(0, seen - self._ahead), seen):
            self._judge(at)
        apart = max(1, round(APART_S * self._fps))
        found: list[int] = []
        for at in sorted({*self._hard, *self._through_black()}):
            if at < apart or at >= seen - 1:
                continue
            if found and at - found[-1] < apart:
                if self._changes[at] > self._changes[found[-1]]:
                    found[-1] = at
                continue
            found.append(at)
        return [Cut(at_s=round(at / self._fps, 3), change=self._changed(at)) for at in found]

    def _judge(self, at: int) -> None:
        """Note a hard cut: a picture unlike the one before, far more than those around differ, and to stay."""
        change = self._changes[at]
        if at == 0 or change < LEAST_CHANGE:
            return
        before, after = self._changes[max(1, at - AROUND) : at], self._changes[at + 1 : at + 1 + AROUND]
        # A flash among the neighbours must not hide the cut: the largest of them does not count.
        near = sorted([*before, *after])[:-1]
        calm = change >= TIMES_AROUND * max(_mean(near), 1.0)
        if (calm or self._parts(at, change, before, after)) and not self._undone(at):
            self._hard.append(at)

    def _parts(self, at: int, change: float, before: Sequence[float], after: Sequence[float]) -> bool:
        """Whether pictures that never rest, as of a crowd or of water, are others on the whole from here on."""
        import numpy as np

        if change < TIMES_RESTLESS * max(_mean(before), _mean(after)):
            return False
        left = np.stack([self._small[n] for n in range(max(0, at - AROUND - 1), at)])
        right = np.stack([self._small[n] for n in range(at, min(len(self._changes), at + AROUND + 1))])
        within = max(float(np.abs(side - side.mean(axis=0)).mean()) for side in (left, right))
        between = float(np.abs(left.mean(axis=0) - right.mean(axis=0)).mean())
        return between >= max(LEAST_BETWEEN, TIMES_WITHIN * within)

    def _undone(self, at: int) -> bool:
        """Whether the picture before this change is back soon after it, or this change itself takes one back."""
        change = self._differ(at - 1, at)
        later = range(at + 1, min(len(self._changes), at + 1 + self._flash))
        earlier = range(max(0, at - 1 - self._flash), at - 1)
        return any(self._differ(at - 1, other) < SAME * change for other in later) or any(
            self._differ(other, at) < SAME * change for other in earlier
        )

    def _differ(self, one: int, other: int) -> float:
        import numpy as np

        return float(np.abs(self._small[one] - self._small[other]).mean())

    def _through_black(self) -> Iterator[int]:
        """The middles of black stretches between pictures; one at either end is no cut."""
        began: int | None = None
        for at, value in enumerate(self._values):
            if value < DARK and began is None:
                began = at
            elif value >= DARK and began is not None:
                if began > 0 and at - began >= 2:
                    yield (began + at) // 2
                began = None

    def _changed(self, at: int) -> float:
        """How different the looks of both sides are, one look a second."""
        import numpy as np

        second = at / self._fps
        before = self._looks[max(0, int(second - LOOK_S)) : max(1, round(second))]
        after = self._looks[min(len(self._looks) - 1, round(second + 0.5)) : int(second + LOOK_S) + 1]
        shared = np.minimum(np.mean(before, axis=0), np.mean(after, axis=0)).sum()
        return round(float(1 - shared), 4)


def _reached(seen: int, pictures: float) -> float:
    """The share of the work that is done when so many pictures of all are seen."""
    read, looked = (min(1.0, count / pictures) for count in (seen + _AHEAD, seen))
    return _READING * read + (1 - _READING) * looked


def _warm(fps: float) -> None:
    """Load what looking at pictures takes: that is not part of what a picture takes."""
    import numpy as np

    watch, high = _Watch(fps), WIDTH_PX * 9 // 16
    luma, chroma = np.zeros((high, WIDTH_PX), np.int16), np.zeros((high // 2, WIDTH_PX // 2), np.int16)
    for _ in range(3):
        watch.see((luma, chroma, chroma))
    watch.cuts()


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def _change(before: Planes, now: Planes) -> float:
    """How much two pictures differ: see LEAST_CHANGE."""
    import numpy as np

    luma, *chromas = (float(np.abs(b - a).mean()) for a, b in zip(before, now, strict=True))
    return luma / 2 + sum(chromas)


def _small(now: Planes) -> NDArray[Any]:
    """A thumbnail of some hundred numbers, to compare pictures far apart."""
    import numpy as np

    made = []
    for plane in now:
        rows, columns = min(9, plane.shape[0]), min(16, plane.shape[1])
        high, wide = plane.shape[0] // rows, plane.shape[1] // columns
        cut = plane[: rows * high, : columns * wide].reshape(rows, high, columns * wide)
        made.append(cut.mean(axis=1, dtype=np.float32).reshape(rows, columns, wide).mean(axis=2).ravel())
    return np.concatenate(made)


def _look(now: Planes) -> NDArray[Any]:
    """The shares of colours in a picture, coarsely."""
    import numpy as np

    # Half a step further, so that greys, whose chromas are 128 and a little more or less, stay together.
    luma, blue, red = now[0][::2, ::2] // _STEP, (now[1] + _STEP // 2) // _STEP, (now[2] + _STEP // 2) // _STEP
    steps = 256 // _STEP + 1
    cell = (luma * steps + blue) * steps + red
    made: NDArray[Any] = np.bincount(cell.ravel(), minlength=steps**3) / cell.size
    return made


PROVIDES = (Scenes(), Silences())
