"""The encoder of a composition: frames go into one ffmpeg through a pipe, which mixes the sound at the same time."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TypeAlias

from mediamill.core.errors import ToolFailed
from mediamill.core.ports import Tools
from mediamill.engines import _ffmpeg
from mediamill.engines._compose_pixels import Buffer, Pool

_QUEUED_BYTES = 256 << 20
_TAGS = "setparams=color_primaries=bt709:color_trc=bt709:colorspace=bt709:range=tv"
_LOOKING_AHEAD = "rc-lookahead=10:mbtree=1"
"""What the preset leaves out and what is worth its time: bits go where later frames lean on them."""
_LARGE = 4096 * 2304
_CALM = "rc-lookahead=5:ref=1:bframes=0"
"""From that size on x264 looks ahead less: forty frames of 8K are gigabytes."""
_CRF = 12
_SHARE = 1.4
"""How many times the bits where two pictures move through each other."""
_SMALL = 1280 * 720
_SMALLER = 960 * 540
_SMALL_CRF, _SMALLER_CRF, _SMALL_SHARE = 11, 10, 1.3
_EVENLY = "qcomp=0.8"
"""Below that size a pixel shows more of the picture, so that there is less that is smooth, and SSIM falls sooner: more
bits, of which fewer are taken from what moves quickly."""
_MOST_ZONES = 1000
_GLANCE_CRF = 20
"""Of a preview's clip, which is looked at once."""


def h264(*, crf: int | None = None, pixels: int = 1920 * 1080, hard: Sequence[tuple[int, int]] = ()) -> list[str]:
    """x264 for films that look as their previews do: SSIM 0.99. A quicker preset with more bits is alike at two thirds
    of the work of a slower one with fewer.

    crf: another quality than that. hard: frames [first, after) in which two pictures move through each other, which no
    search for motion finds: they get more bits, where those are needed.
    """
    small = pixels < _SMALL and crf is None
    told = [_CALM if pixels > _LARGE else _LOOKING_AHEAD]
    if small:
        told.append(_EVENLY)
    if crf is None and (zones := _apart(hard)):
        share = _SMALL_SHARE if small else _SHARE
        told.append("zones=" + "/".join(f"{first},{after - 1},b={share}" for first, after in zones))
    usual = _CRF if not small else _SMALL_CRF if pixels >= _SMALLER else _SMALLER_CRF
    quality = str(usual if crf is None else crf)
    return ["-c:v", "libx264", "-preset", "superfast", "-crf", quality, "-x264-params", ":".join(told)]


def _apart(spans: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """The same frames in spans that neither meet nor are too many."""
    found: list[tuple[int, int]] = []
    for first, after in sorted(spans):
        if after <= first:
            continue
        if found and first <= found[-1][1]:
            found[-1] = found[-1][0], max(found[-1][1], after)
        else:
            found.append((first, after))
    return found[:_MOST_ZONES]


def pictures(
    format: str,
    pixel_format: str,
    *,
    alpha: bool,
    pixels: int,
    scaled: str | None = None,
    hard: Sequence[tuple[int, int]] = (),
) -> list[str]:
    """What ffmpeg is told about the picture track. scaled: a filter that makes it smaller. hard: see `h264`."""
    to_yuv = (() if scaled is None else (scaled,)) if pixel_format in PLANAR else (
        *(() if scaled is None else (scaled,)), "scale=out_color_matrix=bt709:out_range=tv:flags=accurate_rnd",
    )  # fmt: skip
    if format == "webm":
        chain = [*to_yuv, f"format={'yuva420p' if alpha else 'yuv420p'}", _TAGS]
        # "good" at 5 takes three times as long, and is less alike however many bits it may have.
        speed = ("-deadline", "realtime", "-cpu-used", "7", "-row-mt", "1", "-tile-columns", "2")
        codec = ["-c:v", "libvpx-vp9", "-b:v", "0", "-crf", "6", *speed]
        return ["-vf", ",".join(chain), *codec, *(("-auto-alt-ref", "0") if alpha else ())]
    if format == "mov" and alpha:
        chain = [*to_yuv, "format=yuva444p10le", _TAGS]
        return ["-vf", ",".join(chain), "-c:v", "prores_ks", "-profile:v", "4444", "-vendor", "apl0"]
    codec = h264(crf=None if scaled is None else _GLANCE_CRF, pixels=pixels, hard=hard)
    return ["-vf", ",".join([*to_yuv, "format=yuv420p", _TAGS]), *codec]


def sounds(format: str, *, alpha: bool) -> list[str]:
    """What ffmpeg is told about the sound track."""
    if format == "webm":
        return ["-c:a", "libopus", "-b:a", "160k"]
    if format == "mov" and alpha:
        return ["-c:a", "pcm_s16le"]
    return ["-c:a", "aac", "-b:a", "192k"]


PLANAR = ("yuv420p", "yuva420p")
"""Formats of frames that are in BT.709 already."""
MUXERS = {
    "mp4": ("-movflags", "+faststart", "-f", "mp4"),
    "mov": ("-movflags", "+faststart", "-f", "mov"),
    "webm": ("-f", "webm"),
}


Coding: TypeAlias = Callable[[Buffer], Buffer]
"""What is written of a frame; it may be the frame itself."""


class Writer:
    """Takes frames in order and writes them from a thread of its own; each goes back to its pool when it is written."""

    def __init__(self, stream: IO[bytes], pool: Pool, written: Callable[[int], None], coding: Coding | None) -> None:
        self._stream = stream
        self._pool = pool
        self._coding = coding
        self._written = written
        self._frames: queue.Queue[Buffer | None] = queue.Queue(max(1, min(8, _QUEUED_BYTES // pool.size_bytes)))
        self._broken: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def write(self, buffer: Buffer) -> None:
        """Hand a frame over. Raises what became of the pipe."""
        self._frames.put(buffer)
        if self._broken is not None:
            raise self._broken

    def finish(self) -> None:
        """Wait until all is written."""
        self._frames.put(None)
        self._thread.join()
        if self._broken is not None:
            raise self._broken

    def abandon(self) -> None:
        """Let the thread end, whatever it has left."""
        self._broken = self._broken or BrokenPipeError()
        self._frames.put(None)
        self._thread.join()

    def _work(self) -> None:
        count = 0
        while (buffer := self._frames.get()) is not None:
            if self._broken is None:
                try:
                    rest = (buffer if self._coding is None else self._coding(buffer)).data
                    while rest:
                        rest = rest[self._stream.write(rest) :]
                    count += 1
                    self._written(count)
                except (OSError, ValueError) as error:
                    self._broken = error if isinstance(error, BrokenPipeError) else BrokenPipeError()
                except BaseException as error:
                    self._broken = error  # raised to whoever writes
            self._pool.give(buffer)


@contextmanager
def encoder(
    argv: Sequence[str | Path],
    *,
    tools: Tools,
    pool: Pool,
    cwd: Path,
    written: Callable[[int], None],
    coding: Coding | None = None,
) -> Iterator[Writer]:
    """A running encoder that reads frames from its standard input. Raises what `Tools.spawn` raises, better named."""
    try:
        with tools.spawn(argv, name="ffmpeg", stdin=True, cwd=cwd) as piped:
            assert piped.stdin is not None
            writer = Writer(piped.stdin, pool, written, coding)
            try:
                yield writer
                writer.finish()
            except BrokenPipeError:
                writer.abandon()
                raise
            except BaseException:
                # The thread may stand in a write that only the end of the program ends.
                threading.Thread(target=writer.abandon, daemon=True).start()
                raise
    except ToolFailed as error:
        raise _ffmpeg.named(error, "video/mp4") from error


def raw_input(width: int, height: int, rate: int, pixel_format: str) -> list[str]:
    """Frames from standard input, as ffmpeg is told of them."""
    tags = ("-color_range", "tv", "-colorspace", "bt709") if pixel_format in PLANAR else ()
    return [
        "-f", "rawvideo", "-pixel_format", pixel_format, "-video_size", f"{width}x{height}", "-framerate", str(rate),
        *tags, "-thread_queue_size", "4", "-i", "pipe:0",
    ]  # fmt: skip
