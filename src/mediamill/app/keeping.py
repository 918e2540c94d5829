"""A process of ours beside this one: started again when it dies, told to leave when we do."""

from __future__ import annotations

import asyncio
import os
import sys

import structlog

from mediamill import config
from mediamill.app.common import SUPERVISED, end_all
from mediamill.config import Settings

log = structlog.get_logger()

_PAUSE_S = 1.0


class Kept:
    """`mediamill worker` with these arguments. leave_s: the time it has to leave. on_end: what the log says when it
    ends by itself."""

    def __init__(self, settings: Settings, *arguments: str, leave_s: float, on_end: str) -> None:
        self._settings = settings
        self._arguments = arguments
        self._leave_s = leave_s
        self._on_end = on_end
        self._process: asyncio.subprocess.Process | None = None
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Start it, and keep it. Raises OSError."""
        self._process = await self._spawn()
        self.want()

    def want(self) -> None:
        """Have it from now on; never blocks."""
        if self._keeper is None:
            self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def stop(self) -> None:
        """End it in good order; by force when it takes too long."""
        if self._keeper is not None:
            await end_all(self._keeper)
        process = self._process
        if process is None or process.returncode is not None:
            return
        process.terminate()
        try:
            async with asyncio.timeout(self._leave_s):
                await process.wait()
        except TimeoutError:
            process.kill()
            await process.wait()

    async def _keep(self) -> None:
        while True:
            if self._process is None:
                self._process = await self._spawn()
            status = await self._process.wait()
            log.error(self._on_end, status=status)
            await asyncio.sleep(_PAUSE_S)
            self._process = None

    async def _spawn(self) -> asyncio.subprocess.Process:
        environment = {**os.environ, f"{config.PREFIX}DATA": str(self._settings.data), SUPERVISED: str(os.getpid())}
        if self._settings.database_url is not None:
            environment[f"{config.PREFIX}DATABASE_URL"] = self._settings.database_url.get_secret_value()
        return await asyncio.create_subprocess_exec(
            sys.executable, "-m", "mediamill.cli", "worker", *self._arguments, env=environment, start_new_session=True
        )
