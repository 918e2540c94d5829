"""Frames through a function: a film is decoded by one ffmpeg, changed picture by picture here, and encoded by another.

    pumped = pump(job, [find, draw])

`job` says what is read and what is written; every step is a function of one `Frame`, runs in a thread of its own and
sees all frames in order, so it may remember what it likes. While one frame is drawn the next is looked at, the one
after that decoded, and the one before encoded. A step reads `frame.given`, leaves word for the steps after it in
`frame.note`, and the last fills `frame.made`; both are NumPy views of raw planes, never files. Only as many frames are
under way as there are slots, made once before the first one, so memory stays flat however long the film is.

Pictures come upright, with square pixels, without interlacing and high dynamic range. Sound goes from the source into
the target, moved where the container takes it as it is. Every picture keeps its time: a film with one rate keeps that
rate (gaps are filled), one whose pictures come as they like keeps each picture's own instant. Both ways go through the
NUT container, which carries times with raw pictures, where a bare pipe would carry none.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from functools import partial
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, ClassVar, Protocol, cast

from mediamill.core.encode import Container
from mediamill.core.errors import BadMedia, LimitExceeded, NoVideo, ToolFailed
from mediamill.core.ports import Report, Tools
from mediamill.engines import _av, _ffmpeg, _ffmpeg_args, _languages, _video_codec
from mediamill.engines._ffmpeg_sound import FORGOTTEN

if TYPE_CHECKING:
    import av
    import numpy as np
    from av.packet import Packet
    from av.video.stream import VideoStream
    from numpy.typing import NDArray

SLOTS = 6
"""Frames under way at once: one in each step, and a few for encoders that take theirs in gulps."""
SLOTS_BYTES = 512 << 20
"""What they may take together; larger pictures get fewer slots."""
TICKS = 90_000
"""Parts of a second in which the times of a film without one rate are written."""
_PIPE_BYTES = 1 << 20

_PLANES: Mapping[str, tuple[tuple[int, int, int], ...]] = {
    "gray": ((1, 1, 1),),
    "yuv420p": ((1, 1, 1), (2, 2, 1), (2, 2, 1)),
    "yuva420p": ((1, 1, 1), (2, 2, 1), (2, 2, 1), (1, 1, 1)),
    "yuv444p": ((1, 1, 1),) * 3,
    "yuva444p": ((1, 1, 1),) * 4,
    "rgb24": ((1, 1, 3),),
    "rgba": ((1, 1, 4),),
}
"""Pixel format → its planes: what width and height are divided by, and samples a point. A sample is a byte."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A raw picture. `planes` are views of `data`, (height, width) or (height, width, samples), uint8; the planes of
    "yuv420p" are Y, U, V in this order, in video range (16 to 235), and "yuva420p" has the transparency after them."""

    data: NDArray[np.uint8]
    planes: tuple[NDArray[np.uint8], ...]


@dataclass(slots=True)
class Frame:
    """One picture on its way. `given` is there until the last step has returned, and must not be changed."""

    number: int
    time_s: float
    """When it is shown, counted from the film's beginning."""
    given: Picture
    made: Picture
    note: Any = None


Step = Callable[[Frame], None]


def in_turn(*steps: Step) -> Step:
    """Steps as one, in one thread. To return from NumPy or OpenCV a thread has to get Python's lock, and where many
    take turns at it short steps wait longer than they work; two of those are sooner done in one thread than in two."""

    def all_of_them(frame: Frame) -> None:
        for step in steps:
            step(frame)

    return all_of_them


class Coder(Protocol):
    """Codes pictures by itself, beside the steps, where ffmpeg would do them one after another; ffmpeg puts what it
    makes into the target, with the sound. For one film."""

    demuxer: ClassVar[str]
    """How ffmpeg reads what `packed` makes."""

    def steps(self, size: tuple[int, int], rate: Fraction | None, colours: Mapping[str, str]) -> Sequence[Step]:
        """What is done to a frame after the film's own steps. `colours` are libav's options for what samples mean."""

    def packed(self, frame: Frame) -> bytes:
        """What is written for a frame, after all steps; for the first, what stands before it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """A film to be changed. Options of `encoder` begin with "-c:v" and speak of the picture track alone.

    given, made: pixel formats, keys of what `picture_bytes` knows. size: of the pictures given, those of the film by
    default; made_size: of those made, as given by default. `report` gets fractions from `span`.
    """

    source: Path
    mime: str
    target: Path
    container: Container
    encoder: Sequence[str] = ()
    coder: Coder | None = None
    """In place of `encoder`."""
    given: str = "yuv420p"
    made: str = "yuv420p"
    size: tuple[int, int] | None = None
    made_size: tuple[int, int] | None = None
    filters: Sequence[str] = ()
    """Further ffmpeg filters of the encoder, before its pixel format is chosen."""
    tools: Tools
    report: Report
    span: tuple[float, float] = (0.02, 1.0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pumped:
    """What went through. `details`: {"incomplete": …} where the film broke off before its index said."""

    frames: int
    slots: int
    slot_bytes: int
    details: Mapping[str, Any] = field(default_factory=dict)


def film(source: Path, mime: str) -> tuple[_av.Source, _av.Video]:
    """What is in a film. Raises NoVideo where there are no pictures, BadMedia."""
    found = _av.read(source, mime)
    if found.video is None:
        raise NoVideo("The file has no video track, only sound.")
    return found, found.video


def count(source: _av.Source, video: _av.Video) -> int | None:
    """About how many pictures there are, None when nothing tells."""
    if video.frame_rate and source.duration_s:
        return max(1, round(float(video.frame_rate) * source.duration_s))
    return video.frames


def picture_bytes(pixels: str, width: int, height: int) -> int:
    """What one raw picture takes."""
    return sum(-(-width // w) * -(-height // h) * samples for w, h, samples in _PLANES[pixels])


def picture(data: NDArray[np.uint8], pixels: str, width: int, height: int) -> Picture:
    """The planes of a raw picture in one buffer."""
    planes, at = [], 0
    for w, h, samples in _PLANES[pixels]:
        shape = (-(-height // h), -(-width // w), samples)[: 2 if samples == 1 else 3]
        size = shape[0] * shape[1] * samples
        planes.append(data[at : at + size].reshape(shape))
        at += size
    return Picture(data, tuple(planes))


def pump(job: Job, steps: Sequence[Step]) -> Pumped:
    """Change a film. Raises NoVideo, BadMedia, LimitExceeded, ToolFailed, and what a step raises."""
    source, video = film(job.source, job.mime)
    size = job.size or (video.width_px, video.height_px)
    made_size = job.made_size or size
    in_bytes, out_bytes = picture_bytes(job.given, *size), picture_bytes(job.made, *made_size)
    # A frame's given picture is libav's until it is taken, and a further one is on its way in.
    slots = min(max(SLOTS, len(steps) + 3), SLOTS_BYTES // (in_bytes + out_bytes))
    if slots < 2:
        raise LimitExceeded(f"The film's pictures of {size[0]} x {size[1]} are too large to work on one by one.")
    try:
        with job.tools.spawn(_decoder(job, video, size), name="ffmpeg", stdout=True) as decoder:
            assert decoder.stdout is not None
            frames = _read(decoder.stdout)
            # While the decoder starts.
            after = job.coder.steps(made_size, _rate(video), _colours(job, video)) if job.coder is not None else ()
            slots += len(after)
            first = next(frames, None)
            if first is None:
                raise BadMedia("The film holds no picture that can be read.")
            encoder = _encoder(job, source, video, first[1])
            with job.tools.spawn(encoder, name="ffmpeg", stdin=True) as writer:
                assert writer.stdin is not None
                line = _Line(job, [*steps, *after], size, made_size, slots, count(source, video))
                end: _Writer | _Packer = (
                    _Packer(writer.stdin, job.coder)
                    if job.coder is not None
                    else _Writer(writer.stdin, job, video, made_size)
                )
                with one_thread_each():
                    number = line.run(chain([first], frames), end)
    except ToolFailed as error:
        raise _ffmpeg.named(error, job.mime, "film") from error
    if job.container != "webm":
        _languages.write(job.target, [video.language, *(track.language for track in source.sounds)])
    job.report("encode", job.span[1])
    return Pumped(
        frames=number, slots=slots, slot_bytes=in_bytes + out_bytes, details=_shortfall(source, video, number)
    )


@contextmanager
def one_thread_each() -> Iterator[None]:
    """OpenCV without threads of its own: the steps run beside one another, and to share out a millisecond's work takes
    a fifth more processor time, which the encoder needs."""
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _shortfall(source: _av.Source, video: _av.Video, number: int) -> dict[str, str]:
    """A note when far less came out than the file's index promised: the upload was probably cut off."""
    expected = count(source, video)
    if not source.indexed or not expected or number >= 0.9 * expected - 8:
        return {}
    return {"incomplete": f"Only {number} of about {expected} pictures could be read."}


def _decoder(job: Job, video: _av.Video, size: tuple[int, int]) -> list[str | Path]:
    filters = ["bwdif=mode=send_frame:deint=interlaced"] if video.interlaced else []
    rate = _rate(video)
    if rate is not None:
        filters.append(f"fps={rate}")
    if video.transfer is not None and {"zscale", "tonemap"} <= _ffmpeg.filters(job.tools):
        filters.append(_ffmpeg_args.tone_map(video.transfer))
    if job.given.startswith(("rgb", "gray")):
        filters += [f"scale={size[0]}:{size[1]}:flags=bicubic+accurate_rnd+full_chroma_int", "setsar=1"]
    else:
        filters.append(_ffmpeg_args.scale(video, size))
    filters.append(f"format={job.given}")
    ticks = f"{rate.denominator}:{rate.numerator}" if rate is not None else f"1:{TICKS}"
    return [
        *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-v", "error"),
        *_ffmpeg.input_args(job.source, job.mime, decoder=_ffmpeg_args.decoder(video)),
        *("-map", f"0:{video.index}", "-vf", ",".join(filters), "-fps_mode", "passthrough", "-enc_time_base", ticks),
        *("-c:v", "rawvideo", "-pix_fmt", job.given, "-f", "nut", "pipe:1"),
    ]


def _rate(video: _av.Video) -> Fraction | None:
    """The one rate of a film, None where its pictures come as they like."""
    return None if video.varying or not video.frame_rate else video.frame_rate


def _encoder(job: Job, source: _av.Source, video: _av.Video, starts_s: float) -> list[str | Path]:
    """The source is input 0, for its sound and its title; the pictures are input 1."""
    rate = _rate(video)
    sounds, _ = _video_codec.sound_args(job.container, source.sounds, copy=True)
    muxer = _video_codec.MUXERS[job.container]
    ticks = f"{rate.denominator}:{rate.numerator}" if rate is not None else f"1:{TICKS}"
    # Red, green and blue are written as BT.709; planes go on as the source coded them.
    mixed = ["scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd"] if job.made.startswith("rgb") else []
    filters = [*job.filters, *mixed]
    coding: list[str] = ["-c:v", "copy"]
    if job.coder is None:
        coding = [*(("-vf", ",".join(filters)) if filters else ()), *job.encoder]
        coding += [word for name, value in _colours(job, video).items() for word in (f"-{name}", value)]
        coding += ["-fps_mode", "passthrough", "-enc_time_base", ticks]
    return [
        *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-y", "-v", "error"),
        *_ffmpeg.input_args(job.source, job.mime),
        # Each input is counted from its own beginning: what the pictures begin late is given back to them.
        *(("-itsoffset", _ffmpeg.seconds(starts_s)) if starts_s > 0 else ()),
        *("-protocol_whitelist", "pipe", "-f", job.coder.demuxer if job.coder is not None else "nut", "-i", "pipe:0"),
        *("-map", "1:v:0"),
        *coding,
        *sounds,
        *("-sn", "-dn", "-map_metadata", "0", "-map_chapters", "0", "-max_muxing_queue_size", "4096"),
        *FORGOTTEN,
        *muxer.flags,
        *("-f", muxer.name, _ffmpeg.url(job.target)),
    ]


def _colours(job: Job, video: _av.Video) -> dict[str, str]:
    """What samples mean, as options of libav's encoders."""
    matrix = "bt709" if video.rgb or video.transfer or job.made.startswith("rgb") else video.matrix
    if matrix is None or matrix == "bt2020nc":
        return {"color_range": "tv"}
    same = {"color_primaries": "bt709", "color_trc": "bt709"} if matrix == "bt709" else {}
    return {"colorspace": matrix, **same, "color_range": "tv"}


class _Pipe:
    """A raw pipe as libav calls it: reads may come short, writes must not. An error that it raised inside libav would
    come out as another, so it is kept: `broken`."""

    def __init__(self, pipe: IO[bytes]) -> None:
        self._pipe = pipe
        self.broken: OSError | None = None

    def read(self, size: int) -> bytes:
        return self._pipe.read(size) or b""

    def write(self, data: bytes) -> int:
        rest = memoryview(data)
        try:
            while rest and self.broken is None:
                rest = rest[self._pipe.write(rest) :]
        except OSError as error:
            self.broken = error
        return len(data)

    def seekable(self) -> bool:
        return False


Raw = tuple["Packet[Any]", float]


def _read(pipe: IO[bytes]) -> Iterator[Raw]:
    """Raw pictures and their times, to the decoder's end, however that comes: its exit status says whether it was
    a good one."""
    import av

    class Readable:
        """Only what reads: libav takes a pipe with both ends for one to write on."""

        read = _Pipe(pipe).read

    try:
        with av.open(Readable(), "r", format="nut", buffer_size=_PIPE_BYTES) as container:
            for packet in container.demux(container.streams.video[0]):
                if packet.size and packet.pts is not None and packet.time_base is not None:
                    yield packet, float(packet.pts * packet.time_base)
    except (av.FFmpegError, EOFError):
        return


class _Writer:
    """The encoder's end: raw pictures with their times."""

    def __init__(self, pipe: IO[bytes], job: Job, video: _av.Video, size: tuple[int, int]) -> None:
        self._raw, self._pipe, self._pixels, self._size = pipe, _Pipe(pipe), job.made, size
        rate = _rate(video)
        self._base = 1 / rate if rate is not None else Fraction(1, TICKS)
        self._stream: VideoStream | None = None
        self._container: av.container.OutputContainer | None = None

    def __enter__(self) -> _Writer:
        import av

        self._container = av.open(self._pipe, "w", format="nut", buffer_size=_PIPE_BYTES)
        self._stream = self._container.add_stream("rawvideo", rate=1 / self._base)
        self._stream.width, self._stream.height = self._size
        self._stream.pix_fmt = self._pixels
        self._stream.time_base = self._stream.codec_context.time_base = self._base
        return self

    def write(self, frame: Frame) -> None:
        import av

        assert self._container is not None
        assert self._stream is not None
        packet = av.Packet(cast(bytes, frame.made.data))  # any buffer will do
        packet.pts = packet.dts = round(frame.time_s / self._base)
        packet.time_base = self._base
        packet.stream = self._stream
        packet.is_keyframe = True
        self._container.mux(packet)
        if self._pipe.broken is not None:
            raise self._pipe.broken

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        assert self._container is not None
        self._container.close()
        if self._pipe.broken is not None and error is None:
            raise self._pipe.broken
        self._raw.close()


class _Packer:
    """The end of a pipe for pictures that are coded already."""

    def __init__(self, pipe: IO[bytes], coder: Coder) -> None:
        self._raw, self._pipe, self._coder = pipe, _Pipe(pipe), coder

    def __enter__(self) -> _Packer:
        return self

    def write(self, frame: Frame) -> None:
        self._pipe.write(self._coder.packed(frame))
        if self._pipe.broken is not None:
            raise self._pipe.broken

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        self._raw.close()


class _Line:
    """The threads: one reads, one for each step; the caller's own writes and reports. Slots go round; None in a queue
    means that all is over."""

    def __init__(
        self,
        job: Job,
        steps: Sequence[Step],
        size: tuple[int, int],
        made_size: tuple[int, int],
        slots: int,
        expected: int | None,
    ) -> None:
        import numpy as np

        self._job, self._steps, self._size, self._expected = job, steps, size, expected
        self._queues: list[queue.SimpleQueue[Frame | None]] = [queue.SimpleQueue() for _ in range(len(steps) + 1)]
        self._free: queue.SimpleQueue[Picture | None] = queue.SimpleQueue()
        out_bytes = picture_bytes(job.made, *made_size)
        for _ in range(slots):
            self._free.put(picture(np.zeros(out_bytes, np.uint8), job.made, *made_size))
        self._failures: list[BaseException] = []
        self._over = threading.Event()
        self._written = 0

    def run(self, frames: Iterator[Raw], writer: _Writer | _Packer) -> int:
        """All frames through all steps; how many there were."""
        work: list[Callable[[], None]] = [partial(self._fill, frames)]
        work += [partial(self._step, at, step) for at, step in enumerate(self._steps)]
        threads = [threading.Thread(target=self._guarded, args=(one,), daemon=True) for one in work]
        for thread in threads:
            thread.start()
        self._guarded(partial(self._drain, writer))
        for thread in threads:
            thread.join()
        if self._failures:
            raise self._failures[0]
        return self._written

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # handed to the caller's thread, which raises it
            self._failures.append(error)
            self._over.set()
            self._free.put(None)
            for line in self._queues:
                line.put(None)

    def _fill(self, frames: Iterator[Raw]) -> None:
        import numpy as np

        last_s = -1.0
        for number, (packet, time_s) in enumerate(frames):
            made = self._free.get()
            if made is None or self._over.is_set():
                return
            data = np.frombuffer(cast(bytes, packet), np.uint8)  # a buffer, which libav fills for each picture
            given = picture(data, self._job.given, *self._size)
            # Two pictures of the same instant would stop the encoder.
            last_s = max(time_s, last_s + 1 / TICKS)
            self._queues[0].put(Frame(number, last_s, given, made))
        self._queues[0].put(None)

    def _step(self, at: int, step: Step) -> None:
        while (frame := self._queues[at].get()) is not None:
            if self._over.is_set():
                return
            step(frame)
            self._queues[at + 1].put(frame)
        self._queues[at + 1].put(None)

    def _drain(self, writer: _Writer | _Packer) -> None:
        low, high = self._job.span
        with writer:
            while (frame := self._queues[-1].get()) is not None:
                if self._over.is_set():
                    return
                writer.write(frame)
                self._written += 1
                self._free.put(frame.made)
                if self._expected:
                    self._job.report("work", low + (high - low) * min(0.99, self._written / self._expected))
