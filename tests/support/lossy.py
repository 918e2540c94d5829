"""A line to PostgreSQL that loses what the server says: it takes a statement there and never brings the answer."""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

_SOCKET = ".s.PGSQL.5432"


@dataclass
class Line:
    """`dsn` is the database at the far end of it. Set `lose` to the statement whose answer is to be lost. holds: it is
    not cut when the server hangs up, as on a machine that is too busy to see that yet."""

    dsn: str
    lose: bytes | None = None
    holds: bool = False
    lost: asyncio.Event = field(default_factory=asyncio.Event)


@contextlib.asynccontextmanager
async def line(dsn: str) -> AsyncIterator[Line]:
    """A line to the database of `dsn`, which is reached by a socket in a folder."""
    far = parse_qs(urlsplit(dsn).query)["host"][0]
    with tempfile.TemporaryDirectory(prefix="mill-") as near:
        kept = Line(dsn.replace(far, near))
        talks: set[asyncio.Task[None]] = set()

        async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            talks.add(task)
            task.add_done_callback(talks.discard)
            with contextlib.suppress(ConnectionError):  # whoever is at either end may hang up at any moment
                await _carry(kept, reader, writer, str(Path(far) / _SOCKET))

        server = await asyncio.start_unix_server(met, str(Path(near) / _SOCKET))
        try:
            yield kept
        finally:
            server.close()
            for task in talks:
                task.cancel()
            await asyncio.gather(*talks, return_exceptions=True)


async def _carry(kept: Line, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, far: str) -> None:
    back, forth = await asyncio.open_unix_connection(far)
    losing = asyncio.Event()

    async def answers() -> None:
        # What comes once it is losing says that it is done; nobody hears of it.
        while (said := await back.read(1 << 16)) and not losing.is_set():
            writer.write(said)
        if not kept.holds:
            writer.close()

    hearing = asyncio.create_task(answers())
    try:
        while asked := await reader.read(1 << 16):
            if kept.lose is not None and kept.lose in asked:
                kept.lose = None
                losing.set()
                forth.write(asked)
                await hearing
                kept.lost.set()
                return
            forth.write(asked)
    finally:
        hearing.cancel()
        for end in (writer, forth):
            end.close()
        await asyncio.gather(hearing, return_exceptions=True)
