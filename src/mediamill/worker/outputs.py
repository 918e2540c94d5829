"""What children have made: into the blobs, and out of them again where nothing comes of it."""

from __future__ import annotations

import uuid
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from mediamill.core.dispatch import Finish, Taken
from mediamill.core.errors import BadMedia, NotFound
from mediamill.core.files import File, NewFile, safe_name
from mediamill.core.tasks import State, Task
from mediamill.worker.rules import Rules
from mediamill.worker.slot import Done, OutputFile


class Blobs(Protocol):
    """The bytes."""

    async def adopt(self, file: Any, path: Path, *, sha256: str | None = None) -> Any: ...
    async def copy(self, key: str) -> str: ...
    async def delete(self, keys: Sequence[str]) -> None: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Outputs:
    """Stores what is made. show: publishes outputs of running work; False when the fence is lost. unused: those of some
    blob keys that no file refers to."""

    blobs: Blobs
    show: Callable[[str, uuid.UUID, Sequence[tuple[str, NewFile]]], Awaitable[bool]]
    unused: Callable[[Sequence[str]], Awaitable[Sequence[str]]]
    rules: Rules

    async def store(self, taken: Taken, files: Sequence[File], done: Done) -> Finish:
        """Keep all that was made of these inputs; the end of the work."""
        task = taken.task
        outputs: list[tuple[str, NewFile]] = []
        try:
            for output in done.outputs:
                outputs.append((output.role, await self._keep(task, output)))
        except BaseException:
            await self.drop(outputs)
            raise
        return Finish(
            task_id=task.id,
            fence=taken.fence,
            job_id=taken.job_id,
            state=State.SUCCEEDED,
            new_media=bool(task.extra.get("new_media")),
            media=task.extra.get("media"),
            details=done.details,
            outputs=outputs,
            input_facts={file.id: facts for file, facts in zip(files, done.input_facts, strict=False) if facts},
            lifetime_s=self.rules.kept_s(task),
        )

    async def publish(self, taken: Taken, outputs: Sequence[OutputFile]) -> None:
        """Store what a child shows while it works, and make it known."""
        made = [(output.role, await self._keep(taken.task, output)) for output in outputs]
        if not await self.show(taken.task.id, taken.fence, made):
            await self.drop(made)

    async def drop(self, outputs: Sequence[tuple[str, NewFile]]) -> None:
        """Let go of what was stored: nothing came of it."""
        await self.blobs.delete([file.blob_key for _, file in outputs if file.blob_key])

    async def drop_unused(self, finish: Finish) -> None:
        """Let go of what an attempt has stored, but for what it has published."""
        made = [*(file for _, file in finish.outputs), *(finish.inputs or ())]
        if made:
            # Asked, not assumed: a commit whose answer was lost on the way has published them.
            await self.blobs.delete(await self.unused([file.blob_key for file in made if file.blob_key]))

    async def _keep(self, task: Task, output: OutputFile) -> NewFile:
        given = None if output.input is None else task.inputs[output.input].file
        if given is not None and given.sha256:
            try:
                size_bytes, sha256, key = given.size_bytes, given.sha256, await self.blobs.copy(given.blob_key or "")
            except NotFound:
                raise BadMedia("The bytes of an input are gone.") from None
        else:
            with output.open() as file:
                stored = await self.blobs.adopt(file, output.path)
            size_bytes, sha256, key = stored.size_bytes, stored.sha256, stored.key
        return NewFile(
            project_id=task.project_id,
            filename=safe_name(output.filename),
            mime=output.mime,
            claimed_mime=output.mime,
            size_bytes=size_bytes,
            sha256=sha256,
            blob_key=key,
            facts=output.facts,
            public=bool(task.extra.get("public", False)),
            dialect=task.dialect,
        )
