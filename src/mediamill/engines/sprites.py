"""Sheets of small pictures of a film, in one pass of FFmpeg: over keyframes alone where they stand close enough."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from mediamill.core.errors import BadMedia, ToolFailed
from mediamill.core.pictures import Sheet, SheetMaker
from mediamill.core.ports import Missing
from mediamill.engines import _av, _ffmpeg, _ffmpeg_args, _film_frame, _picture_convert, picture_edit
from mediamill.engines._picture import Still, check_size, pillow, reading
from mediamill.engines._picture_write import write

_PACKETS = 500_000
"""How many packets are looked at for keyframes; a longer film is judged by its beginning."""
_DECODED = 0.98
"""The share of the work that reading the film is."""


class FfmpegSheets(SheetMaker):
    """See the module."""

    name = "sprites"
    licence = "GPL-3.0-or-later"

    def missing(self) -> Missing | None:
        return _ffmpeg.missing() or _picture_convert.missing()

    def sources(self) -> frozenset[str]:
        return _film_frame.FILMS

    def sheet(self, work: Sheet) -> Mapping[str, Any]:
        work.report("probe", 0.0)
        check_size(work.columns * work.cell_width_px, work.rows * work.cell_height_px)
        _, track = _film_frame.video(work.source, work.source_mime, work.start_s)
        quick = _close_keyframes(work, track)
        cells = _cells(work, track, quick)
        if not cells.stat().st_size and quick:
            quick, cells = False, _cells(work, track, False)
        work.report("encode", _DECODED)
        drawn = _write(work, cells)
        cells.unlink()
        work.report("encode", 1.0)
        return {"frames_read": "keyframes" if quick else "all", "pictures_found": drawn}


def _close_keyframes(work: Sheet, track: _av.Video) -> bool:
    """Whether every half step holds a keyframe, so that each cell's picture is one of its own time."""
    last = work.start_s
    with _av.opened(work.source, work.source_mime) as container:
        stream = container.streams[track.index]
        first = None
        for number, packet in enumerate(container.demux(stream)):
            if packet.pts is None or packet.time_base is None:
                continue
            at = float(packet.pts * packet.time_base)
            first = at if first is None else first
            if at - first - last > work.step_s / 2:
                return False
            if packet.is_keyframe:
                last = at - first
            if number > _PACKETS:
                break
    return True


def _cells(work: Sheet, track: _av.Video, quick: bool) -> Path:
    """Raw frames of all cells in order, in a file of the scratch folder."""
    target = work.scratch / "cells.raw"
    size = work.cell_width_px, work.cell_height_px
    # `round=near` holds the last frame before the middle of each step; without reference frames' children it may be
    # one frame early, which nobody sees, and decoding takes half the time.
    steps = f"fps=fps={1 / work.step_s:.9f}:start_time=0:round=near"
    scaled = _film_frame.filters(track, size, work.tools, kernel="area")
    args = [
        *("-skip_frame", "nokey" if quick else "noref"),
        *_ffmpeg.input_args(work.source, work.source_mime, start_s=work.start_s, decoder=_ffmpeg_args.decoder(track)),
        *("-map", f"0:{track.index}", "-an", "-sn", "-dn"),
        *("-vf", ",".join([steps, *scaled[:-1], "format=rgb24"]), "-frames:v", str(work.count)),
        *("-c:v", "rawvideo", "-f", "rawvideo", _ffmpeg.url(target)),
        # Where reading stands, for the progress: what is written above comes a whole step at a time, and late.
        *("-map", f"0:{track.index}", "-c", "copy", "-t", _ffmpeg.seconds(work.count * work.step_s), "-f", "null", "-"),
    ]
    argv: list[str | Path] = [
        *(_ffmpeg.binary(), "-hide_banner", "-nostdin", "-y", "-v", "warning"),
        *("-progress", "pipe:1", "-stats_period", "0.1", "-nostats"),
        *args,
    ]
    progress = _ffmpeg.Progress(work.report, work.count * work.step_s, (0.0, _DECODED))
    try:
        work.tools.run(argv, name="ffmpeg", on_line=progress, cwd=work.scratch)
    except ToolFailed as error:
        raise _ffmpeg.named(error, work.source_mime) from error
    return target


def _write(work: Sheet, cells: Path) -> int:
    """Lay the cells out; returns how many there were. Those that a film ended too early for show its last picture."""
    import numpy as np

    width, height = work.cell_width_px, work.cell_height_px
    one = width * height * 3
    found = min(work.count, cells.stat().st_size // one)
    if not found:
        raise BadMedia("There are no pictures in the part that was asked for.")
    frames = np.fromfile(cells, np.uint8, found * one).reshape(found, height, width, 3)
    sheet = np.zeros((work.rows * height, work.columns * width, 3), np.uint8)
    for number in range(work.count):
        left, top = work.corner(number)
        sheet[top : top + height, left : left + width] = frames[min(number, found - 1)]
    with reading():
        picture = pillow().fromarray(sheet)
        wanted = picture_edit.wishes(work.target_mime, work.level, (0, 0, 0))
        write(Still(pixels=picture), work.target, work.target_mime, wanted)
    return int(found)


PROVIDES = (FfmpegSheets(),)
