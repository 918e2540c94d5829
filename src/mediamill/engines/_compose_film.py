"""Decoders of a composition's clips: each an ffmpeg of its own that gives frames at the timeline's rate through a pipe.

A clip's frames lie on a grid that begins at its in_point and has a step of one timeline frame, wherever decoding
begins: a preview that seeks shows the very frame that the film will.
"""

from __future__ import annotations

import math
import queue
import threading
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import IO

import numpy as np

from mediamill.core.errors import BadMedia, ToolFailed
from mediamill.core.ports import Piped, Tools
from mediamill.engines import _compose_glimpse, _ffmpeg
from mediamill.engines._compose_pixels import Buffer, Pool
from mediamill.engines._compose_shot import BEFORE, NUDGE, Shot

_AHEAD_BYTES = 64 << 20


class Film:
    """The frames of a shot, one after the other. Opened by `open`, closed when its last was taken or by `close`."""

    def __init__(self, shot: Shot, tools: Tools, pool: Pool) -> None:
        self.shot = shot
        self._tools = tools
        self._pool = pool
        self._running: AbstractContextManager[Piped | None] | None = None
        ahead = max(1, min(4, _AHEAD_BYTES // max(1, shot.size_bytes)))
        self._frames: queue.Queue[Buffer | _Unseen | None] = queue.Queue(ahead)
        self._thread: threading.Thread | None = None
        self._stopped = threading.Event()
        self._at = 0
        self._last = 0
        self._part = (0, 0, 0)
        self._least = self._begun = 0
        self._came = False
        self._held: Buffer | None = None
        self._next: Buffer | None = None
        self._over = False

    @property
    def opened(self) -> bool:
        return self._running is not None or self._over

    def open(self, first: int, after: int, *, whole: int | None = None, threads: int = 0) -> None:
        """Begin to decode frames [first, after) of the grid. whole: the first that a film of it all would have."""
        self._last = after
        step = max(self.shot.least, first)
        begin = self._least = self._before(step if whole is None else whole)
        self._part = step, after, threads
        if after - first <= 1 and whole is not None and _compose_glimpse.can(self.shot):
            self._at = step - 1
            self._running = nullcontext()
            self._thread = threading.Thread(
                target=self._look, args=(step - begin, self.shot.second_of(begin), threads), daemon=True
            )
            self._thread.start()
        else:
            self._start()

    def _look(self, step: int, begin_s: float, threads: int) -> None:
        """The one frame that is wanted."""
        found = None
        try:
            with suppress(BadMedia, OSError, ValueError):  # the program has a word for what is wrong with it
                found = _compose_glimpse.frame(
                    self.shot,
                    step,
                    begin_s=begin_s,
                    nudge=NUDGE,
                    pool=self._pool,
                    threads=threads,
                    wanted=lambda: not self._stopped.is_set(),
                )
        finally:  # whoever waits for it must not wait for ever
            self._frames.put(_Unseen() if found is None else found)
            if found is not None:
                self._frames.put(None)

    def _before(self, step: int, *, anew: bool = False) -> int:
        """The step at which a decoder begins whose first frame wanted is this one. anew: in the midst of a clip.

        One that comes too late has not the frame that is still shown, as in slow films and between the pages of a talk.
        """
        usual = self.shot.first_of(step)
        if not (anew or self.shot.holding):
            return usual
        least = self.shot.least
        with suppress(BadMedia, OSError, ValueError):  # the program has a word for what is wrong with it
            found = _compose_glimpse.before(
                self.shot, max(least, step) - least, begin_s=self.shot.second_of(least), nudge=NUDGE
            )
            if found is not None:
                return max(least, min(usual, least + found - BEFORE))
        return usual

    def _start(self, back: int | None = None) -> None:
        """Have it decoded by a program. back: begin so many steps before what is wanted."""
        step, after, threads = self._part
        if back is not None:
            first = max(self._least, step - back)
        elif self.shot.first_of(step) <= self._least:
            first = self._least
        else:
            first = max(self._least, self._before(step, anew=True))
        self._begun = first
        self._at = first - 1
        count = max(step + 1, after) - first
        tone = {"zscale", "tonemap"} <= _ffmpeg.filters(self._tools) if self.shot.video.transfer else False
        running = self._tools.spawn(
            self.shot.argv(first, count, tone, threads),
            name="ffmpeg",
            stdout=True,
            cwd=None if self.shot.cube is None else self.shot.cube.parent,
        )
        piped = running.__enter__()
        self._running = running
        assert piped.stdout is not None
        self._thread = threading.Thread(target=self._read, args=(piped.stdout,), daemon=True)
        self._thread.start()

    def at(self, step: int) -> tuple[Buffer, bool]:
        """The frame of that step of the grid, and whether it may be taken: another follows. The nearest where it has
        none. Steps never go back."""
        while (self._at < step or self._held is None) and (following := self._following()) is not None:
            if self._held is not None:
                self._pool.give(self._held)
            self._held, self._next = following, None
            self._at += 1
        if self._held is None:
            raise BadMedia("A clip has no pictures in the part that is shown.")
        return self._held, step + 1 < self._last and self._following() is not None

    def _following(self) -> Buffer | None:
        """The frame after the one held; None when there is no other."""
        if self._next is None and not self._over:
            found = self._frames.get()
            if isinstance(found, _Unseen):
                self._running = None
                self._start()
                found = self._frames.get()
            while found is None and not self._came and self._begun > self._least:
                # The source is over where it was begun, and the last of its frames is still shown.
                self._end()
                self._start(max(2 * (self._part[0] - self._begun), math.ceil(1 / self.shot.step_s)))
                found = self._frames.get()
            assert not isinstance(found, _Unseen)
            self._next = found
            self._came = True
            if found is None:
                self._over = True
                self._end()
        return self._next

    def taken(self) -> None:
        """The frame given last has become somebody else's."""
        self._held = None

    def close(self) -> None:
        """Stop; what was not read is left."""
        self._stopped.set()
        if self._running is not None:
            running, self._running = self._running, None
            running.__exit__(_EnoughError, _EnoughError(), None)
            while self._thread is not None and self._thread.is_alive():
                self._drain()
                self._thread.join(0.01)
        self._over = True
        self._drain()
        for left in (self._held, self._next):
            if left is not None:
                self._pool.give(left)
        self._held = self._next = None

    def _drain(self) -> None:
        try:
            while (left := self._frames.get_nowait()) is not None:
                if not isinstance(left, _Unseen):
                    self._pool.give(left)
        except queue.Empty:
            return

    def _end(self) -> None:
        """Wait for the program. Raises what it ended of."""
        running, self._running = self._running, None
        if running is None:
            return
        try:
            running.__exit__(None, None, None)
        except ToolFailed as error:
            raise _ffmpeg.named(error, self.shot.mime) from error

    def _read(self, stream: IO[bytes]) -> None:
        while not self._stopped.is_set():
            buffer = self._pool.take()
            try:
                whole = _fill(stream, buffer.data)
            except (OSError, ValueError):  # closed under our hands
                whole = False
            if not whole:
                self._pool.give(buffer)
                self._frames.put(None)
                return
            self._frames.put(buffer)


class _Unseen:
    """In place of a frame that could not be decoded here."""


class _EnoughError(Exception):
    """Ends a program whose rest nobody wants."""


def _fill(stream: IO[bytes], into: memoryview) -> bool:
    """Read until it is full; False at the end of the stream."""
    read = 0
    while read < len(into):
        count = stream.readinto(into[read:])  # type: ignore[attr-defined]  # unbuffered pipes are FileIO
        if not count:
            return False
        read += count
    return True


class Pools:
    """The pools of every size of frame, so that a decoder's frame may become the canvas."""

    def __init__(self, known: Sequence[Pool] = ()) -> None:
        self._by_size = {pool.size_bytes: pool for pool in known}

    def of(self, size_bytes: int) -> Pool:
        """The pool of that size."""
        return self._by_size.setdefault(size_bytes, Pool(size_bytes))


def as_rgba(buffer: Buffer, size: tuple[int, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """A frame of a transparent clip as a premultiplied picture of its own."""
    from mediamill.engines._look_base import premultiplied

    straight = buffer.reshape(size[1], size[0], 4)
    return premultiplied(straight, np.ascontiguousarray(straight[:, :, 3]))
