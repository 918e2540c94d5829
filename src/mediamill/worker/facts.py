"""The facts of a file that nobody has asked anything of yet."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import structlog

from mediamill.core.errors import Failed, StorageAway
from mediamill.core.files import File
from mediamill.worker.children import Children
from mediamill.worker.in_child import Blobs, lend
from mediamill.worker.messages import Job
from mediamill.worker.tool import Limits

log = structlog.get_logger()

_PROBE_S = 60.0
_NOTHING = "ping"
"""The kind to run when only the facts of an input are wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """Finds facts in a child. files: a live file by its id; probed: writes (file, facts) and that the job is done."""

    children: Mapping[str, Children]
    blobs: Blobs
    files: Callable[[str], Awaitable[File | None]]
    probed: Callable[[str, Mapping[str, Any], int], Awaitable[None]]
    limits: Limits

    async def find(self, file_id: str, job_id: int, queue: str) -> None:
        """Find and record them; a file that has none to find is as good."""
        file = await self.files(file_id)
        facts: Mapping[str, Any] = {}
        if file is not None and file.ready and not file.facts:
            pool, limits = self.children[queue], replace(self.limits, wall_s=min(_PROBE_S, self.limits.wall_s))
            try:
                async with pool.slot(owner=file.project_id) as slot:
                    source = await lend(self.blobs, file, 0, slot, link=pool.sandboxed)
                    job = Job(kind=_NOTHING, options={}, inputs=[source], limits=limits, probe=True)
                    done = await slot.run(job, lambda *_: None)
                    facts = next(iter(done.input_facts), {})
            except Failed as error:
                log.info("no facts", file=file_id, why=str(error))
            except StorageAway:
                return  # the job stays, and is taken again once our hold on it has run out
        await self.probed(file_id, facts, job_id)
