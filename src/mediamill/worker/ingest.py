"""A task's inputs that are URLs: fetched and stored, so that the task can go on to its queue."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from mediamill.core import formats
from mediamill.core.dispatch import Finish
from mediamill.core.errors import BadMedia, Failed
from mediamill.core.files import NewFile, safe_name
from mediamill.core.tasks import MOST_BYTES, Input, State, Task
from mediamill.worker.carrier import Carrier, Progress
from mediamill.worker.live import Attempt
from mediamill.worker.rules import Rules

_FETCHES = 32
"""Sources fetched at once by one worker."""


class Blobs(Protocol):
    """The bytes."""

    async def adopt(self, file: Any, path: Path, *, sha256: str | None = None) -> Any: ...


class Ingest:
    """Fetches into folders of its own below `scratch`. sniff: what type a file's bytes really are."""

    def __init__(
        self, *, carrier: Carrier, blobs: Blobs, sniff: Callable[..., str | None], scratch: Path, rules: Rules
    ) -> None:
        self._carrier = carrier
        self._blobs = blobs
        self._sniff = sniff
        self._scratch = scratch
        self._rules = rules
        self._fetching = asyncio.Semaphore(_FETCHES)

    async def __call__(self, attempt: Attempt) -> Finish:
        """Fetch the inputs that are URLs, and hand the task on to its queue."""
        taken, task = attempt.taken, attempt.task
        folder = self._scratch / f"ingest-{task.id}-{task.attempt}"
        try:
            files = await attempt.live.stoppable(self._in_turn(attempt, folder), "fetch")
        except Failed as error:
            error.stage = error.stage or "fetch"
            raise
        finally:
            await asyncio.to_thread(shutil.rmtree, folder, ignore_errors=True)
        return Finish(
            task_id=task.id,
            fence=taken.fence,
            job_id=taken.job_id,
            state=State.QUEUED,
            inputs=files,
            lifetime_s=self._rules.lifetime_s.get(task.dialect),
        )

    async def _in_turn(self, attempt: Attempt, folder: Path) -> list[NewFile]:
        async with self._fetching:
            await asyncio.to_thread(folder.mkdir, parents=True)
            wanted = [source for source in attempt.task.inputs if source.file is None]
            files: list[NewFile] = []
            for n, source in enumerate(wanted):

                def progress(received: int, total: int | None, done: int = n) -> None:
                    part = received / total if total else 0.0
                    attempt.moved("fetch", (done + min(1.0, part)) / len(wanted))

                if source.url is None:
                    raise BadMedia("An input of this task is gone.")
                attempt.live.entered("fetch")
                files.append(await self._fetched(attempt.task, source, folder / str(n), progress))
            return files

    async def _fetched(self, task: Task, source: Input, path: Path, on_progress: Progress) -> NewFile:
        most = min(self._rules.max_fetch_bytes, task.extra.get(MOST_BYTES, self._rules.max_fetch_bytes))
        fetched = await self._carrier.fetch(task, source, path, on_progress=on_progress, max_bytes=most)
        if fetched.size_bytes == 0:
            raise BadMedia("The source has no bytes.")
        name = safe_name(fetched.filename or "file")
        claimed = formats.canonical(fetched.content_type or "")
        # A web server's word on the type is weaker than a name: it says text/plain of what it does not know.
        hint = None if formats.by_filename(name) else claimed
        mime = await asyncio.to_thread(self._sniff, path, claimed=hint, filename=name)
        with path.open("rb") as file:
            stored = await self._blobs.adopt(file, path, sha256=fetched.sha256)
        return NewFile(
            project_id=task.project_id,
            filename=name,
            mime=mime or "application/octet-stream",
            claimed_mime=claimed,
            size_bytes=stored.size_bytes,
            sha256=stored.sha256,
            blob_key=stored.key,
            dialect=task.dialect,
        )
