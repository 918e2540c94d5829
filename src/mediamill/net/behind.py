"""Blocking work on a stream of bytes that goes on in threads while the next bytes come."""

from __future__ import annotations

import asyncio
import hashlib
import io
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

STEP_BYTES = 1 << 20
"""What is worth a thread: less costs more to hand over than to do."""


class Behind:
    """Blocking calls in threads, one after the other, while the caller goes on to prepare the next.

    On leaving, whatever happened, none runs any more: a thread must not find its descriptor closed, or another file's.
    """

    def __init__(self) -> None:
        self._step: asyncio.Future[Any] | None = None

    async def call(self, work: Callable[..., Any], *given: Any) -> None:
        """Begin a call once the one before is done; raises what that one raised."""
        await self.rest()
        self._step = asyncio.ensure_future(asyncio.to_thread(work, *given))

    async def rest(self) -> None:
        """Wait for the last call; raises what it raised."""
        if self._step is not None:
            await asyncio.shield(self._step)

    async def __aenter__(self) -> Behind:
        return self

    async def __aexit__(self, *_: object) -> None:
        step, cancelled = self._step, False
        while step is not None and not step.done():
            try:
                await asyncio.wait([step])
            except asyncio.CancelledError:
                cancelled = True
        if step is not None:
            step.exception()  # asked for, so that nobody complains that it was not: the first error counts
        if cancelled:
            raise asyncio.CancelledError


class Aside:
    """Blocking calls in a thread beside the caller's, one at a time. The thread is started for the first."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._thread: ThreadPoolExecutor | None = None
        self._step: Future[Any] | None = None

    def begin(self, work: Callable[..., Any], *given: Any) -> None:
        """Begin a call once the one before is done; raises what that one raised."""
        self.rest()
        if self._thread is None:
            self._thread = ThreadPoolExecutor(1, self._name)
        self._step = self._thread.submit(work, *given)

    def rest(self) -> None:
        """Wait for the last call; raises what it raised, once."""
        step, self._step = self._step, None
        if step is not None:
            step.result()

    def close(self) -> None:
        """Wait for the last call, and let go of the thread; raises what the call raised."""
        if self._thread is not None:
            self._thread.shutdown()
            self._thread = None
        self.rest()

    def leave(self) -> None:
        """Let go of the thread, which ends with its last call; nobody hears of that one."""
        if self._thread is not None:
            self._thread.shutdown(wait=False)
            self._thread = self._step = None


class Digest:
    """SHA-256 of pieces of which the large ones are worked in a thread beside the one that writes them."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._aside = Aside("digest")

    def update(self, piece: bytes) -> None:
        """Begin with a piece, once the one before is done. It must not change afterwards."""
        if len(piece) < STEP_BYTES // 4:
            self._aside.rest()
            self._hash.update(piece)
        else:
            self._aside.begin(self._hash.update, piece)

    def hexdigest(self) -> str:
        """Of all that was given."""
        self._aside.rest()
        return self._hash.hexdigest()

    def close(self) -> None:
        """Let go of the thread."""
        self._aside.close()


def write_all(file: io.FileIO, data: bytes | memoryview) -> None:
    """Write all of it: on a disk that is nearly full, one call may take less."""
    view = memoryview(data)
    while view:
        view = view[file.write(view) :]
